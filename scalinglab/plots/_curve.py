"""Any law against its rows: along its one variable, or fitted against measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglab.analysis.source import Runs, as_table
from scalinglab.errors import InputError
from scalinglab.plots._axes import FLOPS, PARAMS, TOKENS, count, key_above, log_axis, loss_label, power_of_ten
from scalinglab.plots._canvas import BLUE, GREY, INK, canvas, marker_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Bootstrap, Fit

_LABELS = {"params": PARAMS, "tokens": TOKENS, "flops": "training compute C (FLOPs)", "flops_6nd": FLOPS}


def curve(
    fit: Fit,
    runs: Runs | None = None,
    *,
    over: tuple[float, float] | None = None,
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """A law in one variable: runs as points, the fit as a curve with its band, dashed beyond the runs.

    runs: points to draw, by default the rows fitted. over: lowest and highest value of the variable, by default the
        runs' span and a fifth of it (in logs) more at either end. boot: of the band, the `interval` of the mean; by
        default the fit's own, and none for constants that were given.
    Raises InputError for a law in several variables, or where neither rows nor `over` say what to draw.
    """
    law = fit.law
    if len(law.variables) != 1:
        raise InputError(
            f"a curve is drawn of a law in one variable, and {law.name} is in {', '.join(law.variables)}"
        )
    (name,), target = law.variables, law.target
    rows = fit.rows if runs is None else as_table(runs, "runs")
    for column in (name, target):
        if column not in rows:
            raise InputError(f'the runs have no column "{column}", which {law.name} is drawn against')
    x = rows[name].to_numpy(dtype=float)
    if over is None:
        if not len(x):
            raise InputError(f"a curve of given constants needs over=(lowest, highest) of {name}")
        room = max((x.max() / x.min()) ** 0.2, 1.3)
        over = float(x.min() / room), float(x.max() * room)
    grid = np.geomspace(*over, 200)
    known = len(fit.rows) > 0 or boot is not None
    at: dict[str, Any] = {name: grid}
    found = fit.predict(interval=interval if known else None, boot=boot, **at)
    seen = (x.min(), x.max()) if len(x) else over
    inside = (grid >= seen[0]) & (grid <= seen[1])
    drawn = [found[target].to_numpy(), rows[target].to_numpy(dtype=float)]
    with canvas(ax) as ax:
        if known:
            ends = found[f"{target}_lo"], found[f"{target}_hi"]
            ax.fill_between(
                grid, *ends, color=BLUE, alpha=0.2, lw=0, zorder=1, label=f"{interval:.0%} interval"
            )
        ax.plot(
            grid, np.where(inside, drawn[0], np.nan), color=BLUE, zorder=3, label=f"{law.name}, {law.formula}"
        )
        beyond = "beyond the runs" if not inside.all() else None
        ax.plot(grid, drawn[0], color=BLUE, ls=(0, (3, 2)), lw=1.2, zorder=2, label=beyond)
        if len(x):
            spread = rows["loss_se"] if target == "loss" and "loss_se" in rows else None
            ax.errorbar(
                x, drawn[1], yerr=spread, fmt="o", color=INK, mec="white", mew=0.5, elinewidth=1.0,
                ms=marker_size(), zorder=4, label="runs",
            )  # fmt: skip
        every = np.concatenate(drawn)
        every = every[np.isfinite(every) & (every > 0)]
        log_axis(ax.xaxis, _LABELS.get(name, name), over, power_of_ten if "flops" in name else count)
        label = loss_label(rows, fit.rows) if target == "loss" else _LABELS.get(target, target)
        margin = max((every.max() / every.min()) ** 0.05, 1.005)
        log_axis(ax.yaxis, label, (every.min() / margin, every.max() * margin), _writer(target))
        key_above(ax)
    return ax


def measured(fit: Fit, runs: Runs | None = None, *, interval: float = 0.9, ax: Axes | None = None) -> Axes:
    """Measured against fitted, a point a run: on the diagonal the law is right, whatever variables it has.

    runs: by default the rows fitted. Bars are the `interval` of the fitted mean, the grey band that of one new run's
    deviation. Raises InputError where there is no row to draw.
    """
    law = fit.law
    rows = fit.rows if runs is None else as_table(runs, "runs")
    if rows.empty:
        raise InputError("there is no run to draw: this fit's constants were given, so pass runs=")
    for column in (*law.variables, law.target):
        if column not in rows:
            raise InputError(f'the runs have no column "{column}", which {law.name} needs')
    points = {name: rows[name].to_numpy(dtype=float) for name in law.variables}
    y = rows[law.target].to_numpy(dtype=float)
    found = fit.predict(interval=interval if len(fit.rows) else None, **points)
    x = found[law.target].to_numpy()
    with canvas(ax) as ax:
        lo, hi = min(x.min(), y.min()), max(x.max(), y.max())
        margin = max((hi / lo) ** 0.06, 1.01)
        ends = np.array([lo / margin, hi * margin])
        if np.isfinite(fit.noise):
            off = fit.noise
            band = (
                (ends * np.exp(-off), ends * np.exp(off))
                if fit.loss.on == "log"
                else (ends - off, ends + off)
            )
            ax.fill_between(
                ends, *band, color=GREY, alpha=0.2, lw=0, zorder=1, label="±1 standard deviation of a run"
            )
        ax.plot(ends, ends, color=GREY, lw=1.0, zorder=2, label="measured as fitted")
        spread = None
        if len(fit.rows):
            low, high = (found[f"{law.target}_{end}"].to_numpy() for end in ("lo", "hi"))
            spread = np.maximum([x - low, high - x], 0.0)
        name = f"runs, {interval:.0%} interval of the mean" if spread is not None else "runs"
        ax.errorbar(
            x, y, xerr=spread, fmt="o", color=BLUE, mec="white", mew=0.5, elinewidth=1.0, ms=marker_size(), zorder=3,
            label=name,
        )  # fmt: skip
        label = loss_label(rows, fit.rows) if law.target == "loss" else _LABELS.get(law.target, law.target)
        log_axis(ax.xaxis, f"fitted {label}", (ends[0], ends[1]), _writer(law.target))
        log_axis(ax.yaxis, f"measured {label}", (ends[0], ends[1]), _writer(law.target))
        key_above(ax)
    return ax


def _writer(target: str) -> Callable[[float], str] | None:
    return count if target in ("params", "tokens", "batch_tokens") else None
