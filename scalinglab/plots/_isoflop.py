"""Valleys of loss over N at each budget, with both optima; and the optima against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from scalinglab.analysis.source import Runs, as_table
from scalinglab.plots._axes import (
    PARAMS,
    count,
    key_above,
    log_axis,
    loss_label,
    power_of_ten,
)
from scalinglab.plots._canvas import BLUE, INK, VERMILLION, SizeColours, canvas, root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis import IsoFlop

_GRID = 80


def isoflop(
    found: IsoFlop | Runs, runs: pd.DataFrame | None = None, *, ax: Axes | None = None, **options: Any
) -> Axes:
    """Loss against N, one colour a budget: points, parabolas, and both optima of each budget.

    found: an answer of `scalinglab.analysis.isoflop`, or a table of runs, of which it is asked with `options`.
    runs: a table that tells the unit of the loss.
    A circle is the parabola's vertex (hollow where it is left out of the power law), a diamond the optimum of the law
    fitted to the same rows, with its loss; bars are their intervals. A parabola is drawn over the sizes of its budget.
    """
    from scalinglab import analysis

    if not isinstance(found, analysis.IsoFlop):
        found = as_table(found)
        runs = found if runs is None else runs
    answer = analysis.isoflop(found, **options) if not isinstance(found, analysis.IsoFlop) else found
    with canvas(ax, height=1.15) as ax:
        colour = SizeColours(answer.flops)
        lowest, highest = answer.points["loss"].min(), answer.points["loss"].max()
        ends = answer.points["params"].min() / 1.4, answer.points["params"].max() * 1.4
        for _, row in answer.rows.iterrows():
            mine = answer.points[answer.points["flops"] == row["flops"]]
            shade = colour(row["flops"])
            ax.plot(mine["params"], mine["loss"], "o", color=shade, ms=3.5, alpha=0.75, mec="none", zorder=2)
            n, valley = _valley(answer, row, mine)
            ax.plot(n, valley, color=shade, lw=1.2, zorder=3)
            if np.isfinite(row["params"]):
                _mark(ax, row, "", "o", shade, ends, filled=row["note"] == "")
            if np.isfinite(row["law_params"]):
                _mark(ax, row, "law_", "D", shade, ends, filled=True)
                lowest = min(lowest, row["law_loss"])
        log_axis(ax.xaxis, PARAMS, ends, count)
        room = 0.04 * np.log(highest / lowest)
        log_axis(ax.yaxis, loss_label(runs), (lowest * np.exp(-room), highest * np.exp(room)))
        marks = [
            _mark_in_key("o", "parabola's vertex" if answer.minimum == "parabola" else "interpolated minimum")
        ]
        if answer.fit is not None:
            marks.append(_mark_in_key("D", "optimum of the law fitted to the same runs"))
        if answer.rows["params_lo"].notna().any():
            marks.append(Line2D([], [], color=INK, lw=0.9, label=f"{answer.level:.0%} interval"))
        _budget_bar(ax, colour)
        key_above(ax, handles=marks)
    return ax


def isoflop_optima(found: IsoFlop | Runs, *, ax: Axes | None = None, **options: Any) -> Axes:
    """N_opt against C: the vertices with intervals, the power law through them with its band, the law's optima.

    found and options as in `isoflop`. A hollow vertex is left out of the power law.
    """
    from scalinglab import analysis

    answer = found if isinstance(found, analysis.IsoFlop) else analysis.isoflop(found, **options)
    rows = answer.rows
    with canvas(ax) as ax:
        ends = float(rows["flops"].min()) / 2, float(rows["flops"].max()) * 2
        draw_power_law(ax, answer, BLUE, "Approach 2")
        shown = [rows["params"].to_numpy()]
        if answer.fit is not None:
            ax.plot(
                rows["flops"], rows["law_params"], "D", color=VERMILLION, ms=4, zorder=4,
                label=f"Approach 3, $N\\propto C^{{{answer.law_a.value:.3f}}}$",
            )  # fmt: skip
            if rows["law_params_lo"].notna().any():
                ax.vlines(
                    rows["flops"],
                    rows["law_params_lo"],
                    rows["law_params_hi"],
                    color=VERMILLION,
                    lw=1,
                    zorder=3,
                )
            shown.append(rows["law_params"].to_numpy())
        drawn = np.concatenate(shown)
        drawn = drawn[np.isfinite(drawn)]
        log_axis(ax.xaxis, f"training compute C ({answer.cost}, FLOPs)", ends, power_of_ten)
        log_axis(ax.yaxis, PARAMS, (drawn.min() / 2, drawn.max() * 2), count)
        key_above(ax)
    return ax


def draw_power_law(ax: Axes, answer: IsoFlop, colour: str, name: str, marker: str = "o") -> None:
    """Vertices with intervals, hollow where left out, and the power law with its band."""
    rows, along = answer.rows, answer.line
    kept = rows["note"] == ""
    if len(along):
        if along["params_lo"].notna().all():
            ax.fill_between(
                along["flops"], along["params_lo"], along["params_hi"], color=colour, alpha=0.18, lw=0
            )
        label = f"{name}, $N\\propto C^{{{answer.a.value:.3f}}}$"
        ax.plot(along["flops"], along["params"], color=colour, lw=1.6, zorder=3, label=label)
    if rows["params_lo"].notna().any():
        high = rows["params_hi"].replace(np.inf, 1e30)
        ax.vlines(rows["flops"], rows["params_lo"].clip(1e-3), high, color=colour, lw=1, zorder=3)
    ax.plot(
        rows["flops"][kept],
        rows["params"][kept],
        marker,
        color=colour,
        ms=4.5,
        mec="white",
        mew=0.5,
        zorder=5,
    )
    ax.plot(rows["flops"][~kept], rows["params"][~kept], marker, color=colour, ms=4.5, mfc="white", zorder=5)


def _valley(answer: IsoFlop, row: pd.Series, mine: pd.DataFrame) -> tuple[Any, Any]:
    """The parabola, or the interpolant, of one budget over its sizes."""
    n = np.geomspace(mine["params"].min(), mine["params"].max(), _GRID)
    if answer.minimum == "interpolated":
        from scipy.interpolate import Akima1DInterpolator

        if mine["params"].nunique() < len(mine) or len(mine) < 2:
            return n, np.full(_GRID, np.nan)
        return n, np.exp(Akima1DInterpolator(np.log(mine["params"]), np.log(mine["loss"]))(np.log(n)))
    from scalinglab.analysis.isoflop_minimum import vertex

    at, least, curvature = (v[0] for v in vertex(np.log(mine["params"].to_numpy()), mine["loss"].to_numpy()))
    return n, least + curvature * (np.log(n) - at) ** 2


def _mark(
    ax: Axes, row: pd.Series, which: str, marker: str, shade: Any, ends: tuple[float, float], filled: bool
) -> None:
    x, y = row[f"{which}params"], row[f"{which}loss"]
    if np.isfinite(row[f"{which}params_lo"]):
        span = np.clip([row[f"{which}params_lo"], row[f"{which}params_hi"]], *ends)
        ax.plot(span, [y, y], color=INK, lw=0.9, zorder=4)
    ax.plot(
        x, y, marker, color=shade if filled else "white", mec=INK, mew=0.9, ms=6 if marker == "o" else 5, zorder=5
    )  # fmt: skip


def _mark_in_key(marker: str, label: str) -> Line2D:
    return Line2D([], [], marker=marker, color="white", mec=INK, mew=0.9, ls="none", ms=6, label=label)


def _budget_bar(ax: Axes, colour: SizeColours) -> None:
    from matplotlib.cm import ScalarMappable

    bar = root_figure(ax).colorbar(ScalarMappable(colour.norm, colour.map), ax=ax, pad=0.02)
    log_axis(bar.ax.yaxis, "C (FLOPs)", colour.limits, power_of_ten)
