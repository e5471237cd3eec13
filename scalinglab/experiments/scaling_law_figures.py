"""The figures of the ladder's scaling law."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from scalinglab.analysis import count_text
from scalinglab.experiments.ladder_report import LEVEL
from scalinglab.experiments.minicpm_law import ratio_interval
from scalinglab.experiments.report import wide_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.experiments.scaling_law import HeldOut, SetLaw


def figures(mean: "SetLaw", found: list["SetLaw"], back: "HeldOut") -> dict[str, Callable[[], "Axes"]]:
    """File stem -> what draws it, the paper's own views first."""
    from scalinglab import plots

    return {
        "scaling-law": lambda: plots.loss_vs_tokens(mean.fit, ax=wide_axes()),
        "scaling-law-contours": lambda: plots.contours(
            mean.fit,
            flops=mean.six_nd.flops if not mean.six_nd.params.open else None,
            ax=wide_axes(height=3.6),
        ),
        "scaling-law-held-out": lambda: _draw_held_out(back),
        "scaling-law-ratio": lambda: _draw_ratios(found),
        "scaling-law-frontier": lambda: plots.frontier(mean.fit, what="ratio", ax=wide_axes()),
        "scaling-law-residuals": lambda: plots.residuals(mean.fit, ax=wide_axes()),
    }


def _draw_held_out(back: "HeldOut") -> "Axes":
    """The smaller sizes with their law, and the largest as it predicts it beside what was measured."""
    from scalinglab import plots
    from scalinglab.plots._axes import key_above
    from scalinglab.plots._canvas import VERMILLION

    rows = back.rows
    ax = plots.loss_vs_tokens(back.fit, ax=wide_axes(height=3.6))
    middle = rows["predicted"].to_numpy()
    spread = np.abs(rows[["lo", "hi"]].to_numpy().T - middle)
    ax.errorbar(
        rows["tokens"], middle, spread, fmt="_", color=VERMILLION, capsize=3, zorder=3,
        label=f"N {count_text(back.params)}: predicted, {LEVEL:.0%} of a new run",
    )  # fmt: skip
    ax.plot(
        rows["tokens"], rows["loss"], "D", color=VERMILLION, mec="white", ms=5, zorder=4,
        label=f"N {count_text(back.params)}: measured, not fitted",
    )  # fmt: skip
    low = min(rows["lo"].min(), rows["loss"].min())
    ax.set_ylim(bottom=min(ax.get_ylim()[0], 0.985 * low))
    key_above(ax)
    return ax


def _draw_ratios(found: list["SetLaw"]) -> "Axes":
    """D/N at the optimum by held-out set, by both counts of FLOPs, with the paper's average."""
    from scalinglab.plots._axes import key_above
    from scalinglab.plots._canvas import BLUE, GREY, INK, ORANGE

    ax = wide_axes(height=0.9 + 0.42 * len(found))
    for shift, colour, marker, name, of in (
        (-0.12, BLUE, "o", "C = 6·N·D", lambda each: each.six_nd.ratio),
        (0.12, ORANGE, "s", "C exact", lambda each: each.exact.ratio),
    ):
        for i, each in enumerate(found):
            ratio = of(each)
            ax.plot([ratio.lo, ratio.hi], [i + shift] * 2, color=colour, lw=1.6)
            ax.plot(ratio.value, i + shift, marker, color=colour, mec="white", label=name if not i else None)
    paper = ratio_interval("minicpm")
    ax.axvline(20, color=GREY, ls=(0, (1, 2)), label="Chinchilla's 20")
    ax.axvline(paper.value, color=INK, ls=(0, (4, 3)), label="MiniCPM's average, at 1e21 FLOPs")
    ax.set_xscale("log")
    lows = [max(each.six_nd.ratio.lo, 1e-3) for each in found]
    highs = [each.six_nd.ratio.hi for each in found if np.isfinite(each.six_nd.ratio.hi)]
    ax.set_xlim(min([10.0, *lows]) / 1.3, min(max([400.0, *highs]) * 1.3, 1e5))
    ax.set_yticks(range(len(found)), [each.name for each in found])
    ax.invert_yaxis()
    ax.set_xlabel(f"D/N at the optimum, tokens a parameter ({LEVEL:.0%} intervals)")
    key_above(ax)
    return ax
