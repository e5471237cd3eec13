"""What over-training costs, over how many times smaller than the optimum a model is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.plots._axes import count, key_above, log_axis, loss_label, power_of_ten
from scalinglab.plots._canvas import BLUE, GREY, VERMILLION, canvas
from scalinglab.plots._fits import optimum_to_draw
from scalinglab.plots._kinds import largest_budget
from scalinglab.plots._panels import panel_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis.convention import Cost
    from scalinglab.fitting import Bootstrap, Fit

_TOP = 30.0  # times the compute, the most that is drawn
_POINTS = 30


def overtraining(
    fit: Fit,
    flops: float | None = None,
    *,
    cost: Cost = "6ND",
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Compute to match the optimum's loss (above) and loss lost at equal compute (below), k times smaller.

    flops: the budget whose optimum is compared with; by default the largest 6·N·D among the rows. The grey line is the
        smallest size that can still match, on endless data, and the strip its `interval`.
    Returns the upper Axes; the lower are the figure's latest. Raises InputError where no budget is known, or a term of
    the law has vanished and the optimum with it.
    """
    from scalinglab import analysis

    budget = largest_budget(fit) if flops is None else flops
    if boot is None and len(fit.rows):
        boot = fit.boot()
    most = analysis.overtraining(fit, budget, [1.0], cost=cost, level=interval, boot=boot, beyond=np.inf)
    optimum_to_draw(fit, most.params.value)
    end = most.times_max.value
    last = min(1.25 * end, 40.0) if np.isfinite(end) else 40.0
    times = np.geomspace(1.0, last, _POINTS)
    found = analysis.overtraining(fit, budget, times, cost=cost, level=interval, boot=boot, beyond=np.inf)
    rows = found.rows
    with canvas(ax, height=1.3) as ax:
        below = panel_below(ax)
        if rows["compute_multiple_lo"].notna().all():
            ends = (np.clip(rows[f"compute_multiple_{which}"], 1.0, 1e9) for which in ("lo", "hi"))
            ax.fill_between(times, *ends, color=BLUE, alpha=0.2, lw=0, label=f"{interval:.0%} interval")
            below.fill_between(
                times, rows["penalty_lo"], rows["penalty_hi"], color=VERMILLION, alpha=0.2, lw=0
            )
        ax.plot(
            times, rows["compute_multiple"].where(rows["compute_multiple"] < np.inf), color=BLUE, zorder=3,
            label="compute to reach the optimum's loss",
        )  # fmt: skip
        ax.plot(times, times, color=GREY, ls=(0, (1, 1.5)), lw=1.2, label="inference saved, k×")
        for axes in (ax, below):
            axes.axvline(end, color=GREY, lw=1.2, ls=(0, (4, 2)), zorder=1)
            if not np.isnan(most.times_max.lo):
                axes.axvspan(most.times_max.lo, min(most.times_max.hi, 1e6), color=GREY, alpha=0.12, lw=0)
        ax.plot(
            [],
            [],
            color=GREY,
            lw=1.2,
            ls=(0, (4, 2)),
            label=f"no data suffice beyond {most.times_max.value:.3g}×",
        )
        below.plot(times, rows["penalty"], color=VERMILLION, zorder=3)
        log_axis(ax.yaxis, "compute (×)", (0.9, _TOP), "{:g}".format)
        seen = rows["penalty"]
        hi = max(seen.max(), min(2.0 * seen.max(), np.nanmax(rows["penalty_hi"].fillna(0.0))))
        below.set_ylim(0.0, 1.08 * hi)
        below.set_ylabel(
            loss_label(fit.rows, what="loss lost").removesuffix(" (unit not given)").replace(" (", "\n(")
        )
        log_axis(below.xaxis, "k: times smaller than the optimum", (1.0, last), "{:g}".format)
        title = f"optimum: N = {count(found.params.value)} at {power_of_ten(budget)} FLOPs ({found.cost})"
        title += ",\nthe largest of the runs" if flops is None else ""
        key_above(ax, title=title, alignment="left")
    return ax
