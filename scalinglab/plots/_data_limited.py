"""The data-limited optimum over compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.plots._axes import PARAMS, count, key_above, log_axis, power_of_ten
from scalinglab.plots._canvas import BLUE, GREY, INK, VERMILLION, canvas
from scalinglab.plots._fits import optimum_to_draw
from scalinglab.plots._kinds import largest_budget
from scalinglab.plots._panels import panel_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis.convention import Cost
    from scalinglab.fitting import Bootstrap, Fit

_POINTS = 30


def data_limited(
    fit: Fit,
    flops: float | None = None,
    unique_tokens: float | None = None,
    *,
    R_D: float | None = None,
    R_N: float | None = None,
    cost: Cost = "6ND",
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Optimal N (above) and epochs (below) over compute with U unique tokens, beside unlimited data (dashed).

    flops: a budget to be marked; by default the largest 6·N·D among the rows, unmarked. unique_tokens: U; by default
        the most unique tokens of a row, or its most tokens. R_D, R_N: as in `scalinglab.analysis.data_limited`.
    Returns the upper Axes; the lower are the figure's latest. Raises InputError where a law or rows do not say enough,
    or a term of the law has vanished and the optimum with it.
    """
    from scalinglab.analysis import data_limited_curve
    from scalinglab.errors import InputError

    centre = largest_budget(fit) if flops is None else flops
    chosen = unique_tokens is None
    if unique_tokens is None:
        if not len(fit.rows):
            raise InputError("a data-limited optimum of given constants needs unique_tokens=.")
        column = "unique_tokens" if "unique_tokens" in fit.rows else "tokens"
        unique_tokens = float(fit.rows[column].max())
    x = np.geomspace(centre / 300, centre * 300, _POINTS)
    rows = data_limited_curve(fit, x, unique_tokens, cost, R_D=R_D, R_N=R_N, level=interval, boot=boot)
    for column in ("params", "unlimited_params"):
        optimum_to_draw(fit, rows[column])
    with canvas(ax, height=1.3) as ax:
        below = panel_below(ax)
        for axes, column, colour in ((ax, "params", BLUE), (below, "epochs", VERMILLION)):
            if rows[f"{column}_lo"].notna().all():
                ends = (np.clip(rows[f"{column}_{end}"], 1e-3, 1e30) for end in ("lo", "hi"))
                name = f"{interval:.0%} interval" if axes is ax else None
                axes.fill_between(x, *ends, color=colour, alpha=0.2, lw=0, label=name)
            label = f"N, {count(unique_tokens)} unique tokens" if axes is ax else "epochs over them"
            axes.plot(x, rows[column], color=colour, zorder=4, label=label)
        ax.plot(x, rows["unlimited_params"], color=GREY, ls=(0, (4, 2)), zorder=3, label="N, unlimited data")
        handles = [*ax.get_legend_handles_labels()[0], *below.get_legend_handles_labels()[0]]
        if flops is not None:
            for axes in (ax, below):
                line = axes.axvline(flops, color=INK, lw=1.0, ls=(0, (2, 2)), zorder=1)
            line.set_label(f"C = {power_of_ten(flops)}")
            handles.append(line)
        sizes = np.concatenate([rows["params"], rows["unlimited_params"]])
        log_axis(ax.yaxis, PARAMS, (sizes.min() / 1.6, sizes.max() * 1.6), count)
        log_axis(below.yaxis, "epochs D/U", (0.8, max(8.0, 1.6 * rows["epochs"].max())), count)
        log_axis(
            below.xaxis, f"training compute C ({rows.attrs['cost']}, FLOPs)", (x[0], x[-1]), power_of_ten
        )
        told = f"U = {count(unique_tokens)}, the most {'unique ' if 'unique_tokens' in fit.rows else ''}tokens of a run"
        key_above(ax, handles=handles, title=told if chosen else None, alignment="left")
    return ax
