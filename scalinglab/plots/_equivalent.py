"""The compute-optimal model that a loss is worth, read off a curve of loss over N."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from scalinglab.plots._axes import PARAMS, count, key_above, log_axis, loss_label
from scalinglab.plots._canvas import BLUE, INK, VERMILLION, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis import Estimate
    from scalinglab.fitting import Bootstrap, Fit


def equivalent_size(
    fit: Fit,
    loss: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    *,
    tokens_per_param: float | Literal["optimal"] = "optimal",
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Loss of the models on a frontier against their N; a loss is followed across to it and down to a size.

    loss: the loss to be read, in the fit's unit; without it, the fit's own for a model of `params` and `tokens`.
    params: N of the model that has this loss, drawn at its place.
    tokens_per_param: the frontier's D/N, or "optimal" for the fit's compute-optimal models (6·N·D).
    The curve is solid at sizes that were trained, dashed beyond; the band is its `interval` at each N, and the
    shaded strip below it the interval of the size read off (`scalinglab.analysis.equivalent_size`).
    Raises InputError where no size on the frontier reaches the loss.
    """
    from scalinglab import analysis
    from scalinglab.analysis.equivalent import frontier_loss

    if boot is None and len(fit.rows):
        boot = fit.boot()
    model = {"params": params, "tokens": tokens} if loss is None else {"loss": loss}
    found = analysis.equivalent_size(
        fit, **model, tokens_per_param=tokens_per_param, level=interval, boot=boot, beyond=np.inf
    )
    worth, loss = found.params, found.loss
    trained = fit.domain.get("params", (worth.value, worth.value))
    shown = [worth.value, *trained, *([] if params is None else [params])]
    lo, hi = min(shown) / 1.6, max(shown) * 2.2
    n = np.geomspace(lo, hi, 200)
    curve = frontier_loss(fit.law, fit.constants, n, tokens_per_param)
    with canvas(ax) as ax:
        if boot is not None:
            draws = np.stack(
                [frontier_loss(fit.law, boot.constants, each, tokens_per_param) for each in n], axis=1
            )
            # a draw without a frontier has no loss there; draws are picked, for infinities do not interpolate
            draws = np.nan_to_num(draws, nan=1e9, posinf=1e9)
            below = np.quantile(draws, (1 - interval) / 2, axis=0, method="lower")
            above = np.quantile(draws, (1 + interval) / 2, axis=0, method="higher")
            ax.fill_between(n, below, above, color=BLUE, alpha=0.18, lw=0, label=f"{interval:.0%} interval")
        inside = (n >= trained[0]) & (n <= trained[1])
        rule = (
            "compute-optimal models"
            if tokens_per_param == "optimal"
            else f"models at D = {tokens_per_param:g}·N"
        )
        ax.plot(n, np.where(inside, curve, np.nan), color=BLUE, label=rule, zorder=3)
        beyond = None if inside.all() else "beyond the sizes trained"
        ax.plot(n, curve, color=BLUE, ls=(0, (3, 2)), zorder=2, label=beyond)
        bottom, top = min(curve.min(), loss), max(curve.max(), loss)
        floor, ceiling = bottom - 0.12 * (top - bottom), top + 0.05 * (top - bottom)
        start = lo if params is None else params
        ax.plot([start, worth.value, worth.value], [loss, loss, floor], color=VERMILLION, lw=1.2, zorder=4)
        if not np.isnan(worth.lo):
            ax.fill_between(
                [worth.lo, min(worth.hi, 10 * hi)], floor, loss, color=VERMILLION, alpha=0.15, lw=0, zorder=1
            )
        ax.plot(
            worth.value,
            loss,
            "o",
            color=VERMILLION,
            mec="white",
            zorder=5,
            label=f"worth N = {_reading(worth)}",
        )
        if params is not None:
            times = worth.value / params
            compared = f"{times:.2g}× smaller" if times > 1 else f"{1 / times:.2g}× larger"
            ax.plot(
                params, loss, "s", color=INK, mec="white", zorder=5,
                label=f"the model, N = {count(params)} ({compared})",
            )  # fmt: skip
        log_axis(ax.xaxis, PARAMS, (lo, hi), count)
        log_axis(ax.yaxis, loss_label(fit.rows), (floor, ceiling))
        key_above(ax)
    return ax


def _reading(worth: Estimate) -> str:
    """The size with its interval; an end that no model has (less than one parameter, infinite) is said in words."""
    if np.isnan(worth.lo):
        return count(worth.value)
    if worth.lo < 1 and not np.isfinite(worth.hi):
        return f"{count(worth.value)} (interval unbounded)"
    if worth.lo < 1:
        return f"{count(worth.value)} (at most {count(worth.hi)})"
    if not np.isfinite(worth.hi):
        return f"{count(worth.value)} (at least {count(worth.lo)})"
    return worth.text(True)
