"""Continual training of one size: power law against exponential, both with a floor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.errors import InputError
from scalinglab.plots._axes import FLOPS, count, key_above, log_axis, loss_label, power_of_ten
from scalinglab.plots._canvas import BLUE, GREEN, INK, PURPLE, VERMILLION, canvas
from scalinglab.plots._fits import draw_curve, draw_points, fitted_band

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis import Continual, EqualCompute

_NAMES = {"PowerLaw": "power law", "Exponential": "exponential"}
_BESIDE = (GREEN, PURPLE)
_NEAR = 30.0  # times the larger model's compute, within which the match is drawn


def continual(
    found: Continual,
    runs: pd.DataFrame | None = None,
    *,
    flops: tuple[float, float] | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """One size's decayed losses against compute, with the power law and the exponential fitted to them.

    found: what `scalinglab.analysis.continual` returns; the law the evidence favours is named in the legend,
        or that it is undecided. Bands are the `interval` of each mean curve; beyond the runs curves are dashed.
        Larger models it was compared with stand at their compute (squares), with a line on to the compute at which
        the small model matches them.
    runs: the table it came from, to show the run ends that are not on the lower envelope too (hollow).
    flops: lowest and highest compute drawn; by default the runs' span and a little more, or what the comparison needs.
    Raises InputError for given curves without a comparison, where nothing says what range to draw.
    """
    rows, variable = found.rows, found.curves[0].law.variables[0]
    seen = (float(rows[variable].min()), float(rows[variable].max())) if len(rows) else None
    lo, hi = flops or _range(found, seen)
    reach = np.geomspace(lo, hi, 200)
    with canvas(ax) as ax:
        levels = []
        for fit in found.curves:
            name = f"{_NAMES.get(fit.law.name, fit.law.name)}, floor {fit.constants['E']:.3g}"
            if found.better is fit and len(found.curves) > 1:
                name += " (better)"
            band = fitted_band(fit, None, interval, **{variable: reach})
            colour = BLUE if fit.law.name == "PowerLaw" else VERMILLION
            draw_curve(ax, reach, band, seen or (lo, hi), colour, name)
            levels += [float(band["loss"].iloc[-1])]
            if seen is None:
                levels += [float(band["loss"].iloc[0])]
        if runs is not None:
            others = _off_envelope(runs, found, variable)
            levels += list(others["loss"])
            if len(others):
                ax.plot(
                    others[variable], others["loss"], "o", mfc="none", mec=INK, label="not on the envelope"
                )
        if len(rows):
            draw_points(ax, rows, variable, INK, f"{count(found.params)} parameters, decayed")
            levels += list(rows["loss"])
        for beside, colour in zip(found.against, _BESIDE * len(found.against), strict=False):
            levels += _draw_larger(ax, beside, colour, hi)
        label = FLOPS if variable == "flops_6nd" else f"training compute ({variable}, FLOPs)"
        log_axis(ax.xaxis, label, (reach[0], reach[-1]), power_of_ten)
        span = max(levels) - min(levels)
        log_axis(ax.yaxis, loss_label(rows), (min(levels) - 0.12 * span, max(levels) + 0.15 * span))
        if found.better is None and len(rows):
            ax.plot([], [], " ", label="the runs do not decide between them")
        key_above(ax)
    return ax


def _range(found: Continual, seen: tuple[float, float] | None) -> tuple[float, float]:
    """What to draw: the runs, each larger model's compute, and where the small one matches it if that is near."""
    ends = [] if seen is None else [seen[0] / 1.25, seen[1] * 2]
    for beside in found.against:
        match = beside.flops * beside.multiple.value
        near = match if beside.flops < match < _NEAR * beside.flops else beside.flops
        ends += [1.5 * beside.flops, 1.5 * near] + ([] if seen else [beside.flops / 30])
    if not ends:
        raise InputError("curves that were given need flops=(lowest, highest) to know what to draw")
    return min(ends), max(ends)


def _draw_larger(ax: Axes, beside: EqualCompute, colour: str, end: float) -> list[float]:
    """The larger model at its compute, the small one's loss there, and where it catches up; the losses drawn."""
    c, theirs, ours = beside.flops, beside.larger_loss, beside.loss
    known = not np.isnan(theirs.lo)
    ax.errorbar(
        c, theirs.value, yerr=[[theirs.value - theirs.lo], [theirs.hi - theirs.value]] if known else None,
        fmt="s", color=colour, mec="white", mew=0.5, elinewidth=1.0, zorder=5,
        label=f"{count(beside.larger)} at {beside.frontier}",
    )  # fmt: skip
    ax.plot([c, c], [theirs.value, ours.value], color=colour, lw=1.0, ls=":", zorder=4)
    multiple = beside.multiple.value
    if multiple > 1:
        ax.plot([c, min(c * multiple, end)], [theirs.value] * 2, color=colour, lw=1.0, ls=":", zorder=4)
    if 1 < multiple <= end / c:
        ax.plot(
            c * multiple, theirs.value, "s", mfc="white", mec=colour, zorder=5,
            label=f"matched at {multiple:.3g}× its compute",
        )  # fmt: skip
    return [theirs.value, ours.value, *([theirs.lo, theirs.hi] if known else [])]


def _off_envelope(runs: pd.DataFrame, found: Continual, variable: str) -> pd.DataFrame:
    from scalinglab.analysis.source import of_trunks

    ends = runs[~of_trunks(runs)]
    if variable not in ends:
        ends = ends.assign(**{variable: 6.0 * ends["params"] * ends["tokens"]})
    if "eval_set" in found.rows and "eval_set" in ends:
        ends = ends[ends["eval_set"].isin(found.rows["eval_set"])]
    return ends[(ends["params"] == found.params) & ~ends.index.isin(found.rows.index)]
