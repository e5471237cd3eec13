"""Approach 1 as a picture: the curves, their envelope, and the sizes that lie on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglab.plots._axes import count, key_above, key_beside, log_axis, power_of_ten
from scalinglab.plots._canvas import GREY, VERMILLION, SizeColours, canvas
from scalinglab.plots._panels import panel_above

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis.envelope import Envelope

_NAMED = 8  # more sizes than this: a colour bar
_SCHEDULES = {
    "decayed": "decayed losses",
    "undecayed": "undecayed curves",
    "partly decayed": "curves decayed at their ends only",
    "unknown": "undecayed or unknown schedule",
}


def envelope(found: Envelope, *, ax: Axes | None = None) -> Axes:
    """All curves, faint, by size; the lowest of them bold in its size's colour; and above, that size against compute.

    found: the answer of `scalinglab.analysis.envelope`. Grey: edges of the grid, which stay out of the power law. The
    line above is the power law of N_opt with its interval, dashed outside its optima.
    Returns the loss Axes; those of N_opt are the figure's next.
    """
    points, sizes = found.points, found.curves.sizes
    # a trunk's first steps lie far above and far to the left of everything that is compared
    seen = found.optima["loss"] if len(found.optima) else points["loss"]
    lowest, highest = points["loss"].min(), max(seen.max(), points["loss"].median())
    ceiling = highest + 0.4 * (highest - lowest)
    span = float(points.loc[points["loss"] < ceiling, "flops"].min()) / 1.2, float(points["flops"].max())
    with canvas(ax, height=1.35) as ax:
        colour = SizeColours(sizes)
        top = panel_above(ax)
        draw_curves(ax, found.curves.rows, colour)
        keys: dict[str, Any] = {}
        for n, edge, part in _stretches(points):
            shade, width = (GREY, 1.6) if edge else (colour(n), 3.0)
            ax.plot(part["flops"], part["loss"], color=shade, lw=width, zorder=4)
            (drawn,) = top.plot(part["flops"], part["params"], color=shade, lw=width, zorder=4)
            keys.setdefault("edge of the grid" if edge else "lowest loss at C", drawn)
        if np.isfinite(found.a.value):
            budgets = np.geomspace(*span, 60)
            line = found.at(budgets)
            name = f"$N_{{opt}}\\;\\propto\\;C^{{{found.a.value:.3g}}}$"
            if line["params_lo"].notna().all():
                ends = line["params_lo"], line["params_hi"]
                top.fill_between(budgets, *ends, color=VERMILLION, alpha=0.2, lw=0, zorder=1)
                name += f", {found.level:.0%} interval"
            inside = line["params"].where(line["extrapolation"] == 0)
            (keys[name],) = top.plot(budgets, inside, color=VERMILLION, lw=1.6, zorder=5)
            top.plot(budgets, line["params"], color=VERMILLION, lw=1.1, ls=(0, (3, 2)), zorder=3)
        log_axis(top.xaxis, "", span, power_of_ten)
        log_axis(top.yaxis, "N (parameters)", (sizes[0] / 1.6, sizes[-1] * 1.6), count)
        top.tick_params(labelbottom=False)
        log_axis(ax.xaxis, f"training compute C ({found.cost}, FLOPs)", span, power_of_ten)
        log_axis(ax.yaxis, f"loss ({found.curves.unit or 'unit not given'})", (0.985 * lowest, ceiling))
        ax.set_title(_SCHEDULES[found.schedule], loc="left", color=GREY, fontsize="small")
        tell_sizes(ax, [ax, top], colour, sizes)
        for name, each in keys.items():
            each.set_label(name)
        key_above(top, handles=list(keys.values()))
    return ax


def _stretches(points: pd.DataFrame) -> Iterator[tuple[float, str, pd.DataFrame]]:
    """(N, edge, points) of each run of budgets with one winner and one edge."""
    state = points["params"].astype(str) + points["edge"]
    number = (state != state.shift()).cumsum()
    for _, own in points.groupby(number, sort=False):
        yield float(own["params"].iloc[0]), str(own["edge"].iloc[0]), own


# Pieces that the figure of crossings shares ------------------------------------------------------------------


def draw_curves(
    ax: Axes, rows: pd.DataFrame, colour: SizeColours, lw: float = 0.9, alpha: float = 0.5
) -> None:
    """Each curve, faint, in its size's colour."""
    for _, own in rows.groupby("curve", sort=False):
        n = float(own["params"].iloc[0])
        ax.plot(own["flops"], own["loss"], color=colour(n), lw=lw, alpha=alpha, zorder=2)


def tell_sizes(ax: Axes, beside: list[Axes], colour: SizeColours, sizes: Any) -> None:
    """A legend of the sizes beside `ax`, or, where they are many, a colour bar beside all of `beside`."""
    if len(sizes) <= _NAMED:
        from matplotlib.lines import Line2D

        keys = [Line2D([], [], color=colour(n), label=count(n)) for n in sizes[::-1]]
        key_beside(ax, "model size N", handles=keys)
        return
    from matplotlib.cm import ScalarMappable

    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(ScalarMappable(colour.norm, colour.map), ax=beside, pad=0.02)
    log_axis(bar.ax.yaxis, "model size N (parameters)", colour.limits, count)
