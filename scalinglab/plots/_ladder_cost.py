"""What a ladder costs: trunk and branches of each size beside training from scratch, and how the saving grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scalinglab.analysis.estimate import number_text
from scalinglab.plots._axes import key_above, log_axis, power_of_ten
from scalinglab.plots._canvas import BLUE, FAINT, GREY, INK, ORANGE, VERMILLION, canvas
from scalinglab.plots._panels import panel_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis import Plan

_WIDTH = 0.38  # of a bar, where sizes stand one apart


def ladder_cost(plan: Plan, *, ax: Axes | None = None) -> Axes:
    """Below: cost of each size, trunk and branches stacked, beside its points from scratch. Above: the saving.

    plan: what `scalinglab.analysis.plan` returns. Costs are FLOPs as the plan counts them, device-hours where it names
        hardware, on a linear axis; the figure over a pair says how many times less the ladder costs.
    The upper curve is the closed form for equally spaced horizons at the plan's decay share, with its limit; points
    are this ladder's trunks. Nothing is estimated, so nothing has an interval.
    Returns the Axes of the bars; those of the saving are the figure's latest.
    """
    sizes = plan.rows.iloc[:-1]
    way = "_exact" if plan.counted == "exact" else ""
    scale = 1.0 if plan.hardware is None else plan.hardware.hours(1.0)
    trunk, branch, scratch = (
        scale * sizes[f"{part}_flops{way}"].to_numpy() for part in ("trunk", "branch", "scratch")
    )
    with canvas(ax, height=1.45) as ax:
        saving = panel_above(ax, share_x=False)
        at = np.arange(len(sizes))
        ax.bar(at - _WIDTH / 2, trunk, _WIDTH, color=BLUE, label="trunk")
        ax.bar(at - _WIDTH / 2, branch, _WIDTH, bottom=trunk, color=ORANGE, label="decay branches")
        ax.bar(at + _WIDTH / 2, scratch, _WIDTH, color=FAINT, label="from scratch")
        for i, times in enumerate(sizes["saved"]):
            ax.annotate(
                f"{times:.2f}×", (at[i], max(scratch[i], trunk[i] + branch[i])), (0, 2),
                textcoords="offset points", ha="center", va="bottom", fontsize="small", color=INK,
            )  # fmt: skip
        ax.set_xticks(at, sizes["size"])
        ax.set_xlim(-0.7, len(sizes) - 0.3)
        ax.set_ylim(0, 1.12 * scratch.max())
        ax.grid(axis="x", visible=False)
        ax.set_xlabel("model size")
        if plan.hardware is None:
            ax.yaxis.set_major_formatter(
                FuncFormatter(lambda value, _: "0" if value == 0 else power_of_ten(value))
            )
            ax.set_ylabel(f"training compute ({plan.counted}, FLOPs)")
        else:
            ax.set_ylabel(f"device-hours ({plan.hardware.name}, {plan.hardware.mfu:.0%} MFU)")
        _saving(saving, plan)
        bars = ax.get_legend_handles_labels()[0]
        key_above(saving, handles=[*bars, *saving.get_legend_handles_labels()[0]])
    return ax


def _saving(ax: Axes, plan: Plan) -> None:
    f, inside = plan.decay_share, plan.decay == "inside"
    own = plan.trunks[["horizons", "saved"]].drop_duplicates()
    most = max(100, 2 * int(own["horizons"].max()))
    n = np.arange(1, most + 1)
    # n(n+1)/2 against (1−f)·n + f·n(n+1)/2; appended: (1+f)·n(n+1)/2 against n + f·n(n+1)/2
    ends = n * (n + 1) / 2
    curve = ends / ((1 - f) * n + f * ends) if inside else (1 + f) * ends / (n + f * ends)
    limit = 1 / f if inside else (1 + f) / f
    ax.plot(n, curve, color=INK, label="equally spaced horizons")
    name = f"limit {'1/f' if inside else '(1+f)/f'} = {number_text(limit)}"
    ax.axhline(limit, color=GREY, ls=(0, (4, 2)), lw=1.2, label=name)
    ax.plot(own["horizons"], own["saved"], "o", color=VERMILLION, mec="white", label="this ladder's trunks")
    log_axis(ax.xaxis, "horizons a trunk", (0.9, 1.1 * most), lambda value: f"{value:.0f}")
    ax.set_ylim(0, 1.1 * max(limit, own["saved"].max()))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.set_ylabel("saving (×)")
