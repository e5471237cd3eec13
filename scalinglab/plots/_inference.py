"""The inference-aware optimum over the tokens served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from scalinglab.plots._axes import count, key_above, log_axis
from scalinglab.plots._canvas import BLUE, GREEN, GREY, INK, VERMILLION, canvas
from scalinglab.plots._fits import optimum_to_draw
from scalinglab.plots._kinds import largest_budget
from scalinglab.plots._panels import panel_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis.convention import Cost
    from scalinglab.analysis.hardware import Hardware
    from scalinglab.fitting import Bootstrap, Fit

_POINTS = 30


def inference_optimum(
    fit: Fit,
    served: float | None = None,
    *,
    loss: float | None = None,
    params: float | None = None,
    flops: float | None = None,
    cost: Cost = "6ND",
    train_on: str | float | Hardware | None = None,
    serve_on: str | float | Hardware | None = None,
    unit: Any = None,
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Optimal N and D over tokens served, relative to the compute-optimal model of one loss; below, the cost saved.

    loss, params or flops: whose loss, as in `scalinglab.analysis.inference_optimum`; by default that of the
        compute-optimal model at the largest 6·N·D among the rows. served: a number to be marked. The other options
        are the answer's. Returns the upper Axes; the lower are the figure's latest.
    Raises InputError where nothing says which loss, or a term of the law has vanished and the optimum with it.
    """
    from scalinglab.analysis import inference_curve

    if loss is None and params is None and flops is None:
        flops = largest_budget(fit)
    options: dict[str, Any] = {
        "loss": loss, "params": params, "flops": flops, "cost": cost, "train_on": train_on,
        "serve_on": serve_on, "unit": unit, "level": interval, "boot": boot,
    }  # fmt: skip
    usual = inference_curve(fit, [0.0], **options).iloc[0]
    optimum_to_draw(fit, usual["params"])
    low, high = usual["tokens"] / 30, usual["tokens"] * 1000
    if served:
        low, high = min(low, served / 3), max(high, 3 * served)
    x = np.geomspace(low, high, _POINTS)
    rows = inference_curve(fit, x, **options)
    with canvas(ax, height=1.3) as ax:
        below = panel_below(ax)
        drawn = (
            ("data", VERMILLION, f"training tokens D, 1× = {count(usual['tokens'])}", "-"),
            ("size", BLUE, f"model size N, 1× = {count(usual['params'])}", (0, (6, 1.5))),
        )
        for column, colour, name, dashes in drawn:
            if rows[f"{column}_lo"].notna().all():
                ends = (np.clip(rows[f"{column}_{end}"], 1e-9, 1e9) for end in ("lo", "hi"))
                ax.fill_between(x, *ends, color=colour, alpha=0.2, lw=0)
            ax.plot(x, rows[column], color=colour, ls=dashes, label=name, zorder=3)
        ax.axhline(1.0, color=GREY, lw=0.8, zorder=1)
        if rows["saving_lo"].notna().all():
            below.fill_between(x, rows["saving_lo"], rows["saving_hi"], color=GREEN, alpha=0.2, lw=0)
        below.plot(x, rows["saving"], color=GREEN, zorder=3)
        if served:
            for axes in (ax, below):
                axes.axvline(served, color=INK, lw=1.0, ls=(0, (2, 2)), zorder=1)
            ax.plot([], [], color=INK, lw=1.0, ls=(0, (2, 2)), label=f"{count(served)} served")
        log_axis(
            ax.yaxis,
            "× compute-optimal",
            (rows["size"].min() / 1.6, rows["data"].max() * 1.6),
            "{:g}".format,
        )
        below.set_ylim(0.0, 1.02 if rows["saving"].max() > 0.7 else 1.25 * rows["saving"].max())
        below.yaxis.set_major_formatter(PercentFormatter(1.0))
        below.set_ylabel("cost saved")
        log_axis(below.xaxis, f"tokens served (same loss, {usual['loss']:.4g})", (x[0], x[-1]), count)
        key_above(ax)
    return ax
