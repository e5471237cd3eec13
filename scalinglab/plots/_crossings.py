"""Where the curves of two sizes cross, and the bracket each crossing puts around D/N."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from scalinglab.errors import InputError
from scalinglab.plots._axes import count, key_above, log_axis, loss_label, power_of_ten
from scalinglab.plots._canvas import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, VERMILLION, SizeColours, canvas
from scalinglab.plots._envelope import draw_curves, tell_sizes
from scalinglab.plots._panels import panel_above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from scalinglab.analysis.crossing import Crossings

_LINES = ((GREEN, (0, (6, 2))), (PURPLE, (0, (4, 1.5, 1, 1.5))), (ORANGE, (0, (1.5, 1.2))))


def crossings(
    found: Crossings, *, references: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """The bracket that each crossing puts around D/N over compute; of curves or a fit, the curves below.

    found: the answer of `scalinglab.analysis.crossings`. references: name -> D/N, drawn as lines. A bar goes from the
    larger size's D/N to the smaller's; a thin line around a mark is the interval of the crossing.
    Returns the Axes of the brackets, or, with curves, those of the loss; the brackets' are then the figure's next.
    Raises InputError where no pair of sizes crosses.
    """
    rows = found.found
    if rows.empty:
        raise InputError("there is no crossing to draw: none of these sizes' curves cross in range")
    alone = found.of == "figures"
    with canvas(ax, height=1.2 if alone else 1.35) as ax:
        label = f"training compute C ({found.cost}, FLOPs)"
        if alone:
            log_axis(ax.xaxis, label, _span(rows), power_of_ten)
            _brackets(ax, found, rows, references or {}, "D/N (tokens per parameter)")
            return ax
        curves = _curves(found, rows)
        lowest, highest = curves["loss"].min(), rows["loss"].max()
        ceiling = highest + 0.6 * (highest - lowest)
        # a trunk's first steps lie far above everything that is compared
        span = float(curves.loc[curves["loss"] < ceiling, "flops"].min()) / 1.2, float(curves["flops"].max())
        sizes = np.unique(curves["params"])
        top, colour = panel_above(ax), SizeColours(sizes)
        draw_curves(ax, curves, colour, lw=1.2, alpha=0.9)
        ax.plot(rows["flops"], rows["loss"], "o", mfc="white", mec=INK, zorder=5)
        log_axis(top.xaxis, "", span, power_of_ten)
        top.tick_params(labelbottom=False)
        _brackets(top, found, rows, references or {}, "D/N (tokens\nper parameter)")
        log_axis(ax.xaxis, label, span, power_of_ten)
        told = None if found.fit is None else loss_label(found.fit.rows)
        unit = told or f"loss ({(found.curves and found.curves.unit) or 'unit not given'})"
        log_axis(ax.yaxis, unit, (0.985 * lowest, ceiling))
        tell_sizes(ax, [ax, top], colour, sizes)
    return ax


def _span(rows: pd.DataFrame) -> tuple[float, float]:
    return float(rows["flops"].min()) / 3, 3 * float(rows["flops"].max())


def _brackets(
    ax: Axes, found: Crossings, rows: pd.DataFrame, references: Mapping[str, float], label: str
) -> None:
    """Bars, marks, sizes and reference lines, on an x axis that is set already."""
    c = rows["flops"].to_numpy(float)
    left, right = ax.get_xlim()
    aside = (right / left) ** 0.012
    ax.vlines(c, rows["at_least"], rows["at_most"], color=GREY, lw=2.0, zorder=2)
    looks = [
        ("at_most", "v", VERMILLION, "smaller size: at most (MiniCPM's reading)", aside),
        ("middle", "_", INK, "geometric middle", 1.0),
        ("at_least", "^", BLUE, "larger size: at least", 1 / aside),
    ]
    if found.fit is not None:  # the optimum itself in place of the middle
        looks[1] = ("optimum", "D", GREEN, "the fit's own optimum", 1.0)
    drawn = [rows["at_least"], rows["at_most"], pd.Series(references, dtype=float)]
    handles: list[Any] = []
    barred = False
    for name, marker, shade, text, shift in looks:
        edge = 2.0 if marker == "_" else 0.5
        handles += ax.plot(c, rows[name], marker, color=shade, ms=7, mew=edge, label=text, zorder=4)
        if shift != 1.0 and rows[f"{name}_lo"].notna().any():
            # an end that is lost must not stretch the axis to it
            ends = [rows[f"{name}_{end}"].clip(rows[name] / 8, rows[name] * 8) for end in ("lo", "hi")]
            ax.vlines(c * shift, ends[0], ends[1], color=shade, lw=1.0, zorder=3)
            drawn += ends
            barred = True
    if barred:
        label_bar = f"{found.level:.0%} interval"
        handles.append(Line2D([], [], marker="|", ls="", color=GREY, ms=9, mew=1.0, label=label_bar))
    for (name, ratio), (shade, dashes) in zip(references.items(), _LINES * 9, strict=False):
        handles.append(ax.axhline(ratio, color=shade, ls=dashes, lw=1.5, label=name, zorder=1))
    values = np.concatenate(drawn)
    log_axis(ax.yaxis, label, (np.nanmin(values) / 1.6, np.nanmax(values) * 1.6), count)
    for row in rows.to_dict("records") if found.of == "figures" else []:
        pair = f" {count(row['params_small'])}, {count(row['params_large'])}"
        ax.annotate(
            pair, (row["flops"], row["middle"]), (8, 8), textcoords="offset points", color=INK, va="center"
        )
    key_above(ax, handles=handles)


def _curves(found: Crossings, rows: pd.DataFrame) -> pd.DataFrame:
    """The curves of the sizes compared: as read, or as the fit has them around the crossings."""
    if found.curves is not None:
        return found.curves.rows
    assert found.fit is not None
    assert found.counted is not None
    cost = found.counted
    lo, hi = _span(rows)
    flops, parts = np.geomspace(lo / 10, hi * 10, 120), []
    for n in np.unique(found.rows[["params_small", "params_large"]].to_numpy(float)):
        tokens = cost.tokens_at(n, flops)
        loss = found.fit.predict(params=np.full(len(flops), n), tokens=tokens)["loss"].to_numpy()
        parts.append(pd.DataFrame({"curve": f"{n:g}", "params": n, "flops": flops, "loss": loss}))
    return pd.concat(parts)
