"""Residuals and leverage read together, and what each run does to the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.plots._axes import Written, count, key_above
from scalinglab.plots._canvas import BLUE, GREY, INK, VERMILLION, canvas, marker_size

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis import Influence
    from scalinglab.fitting import Fit

_NAMED = 3
_LARGEST = 420.0  # square points of the most influential run


def leverage(
    fit: Fit,
    *,
    flops: float | None = None,
    found: Influence | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Residual of each run against its leverage; area: how far the compute-optimal D/N moves without it.

    flops: the budget of D/N, by default the dearest run's. found: an `influence` of another quantity instead.
    Right: runs that the fit follows whatever they say, so that a small residual there means little. Far right and
    large: runs the answer hangs on. Blue: without it the answer rises; vermillion: it falls. The three that move it
    most are numbered, with the factor it moves by. The dotted line is twice the mean leverage, the grey band ±1
    standard deviation of the residuals.
    Raises InputError as `scalinglab.analysis.influence` does.
    """
    from scalinglab.analysis import influence

    found = found or influence(fit, flops)
    rows = found.rows
    share = 100.0 if fit.loss.on == "log" else 1.0
    x, y = rows["leverage"].to_numpy(), share * rows["residual"].to_numpy()
    shift = 100 * rows["shift"].to_numpy()
    most = float(np.nanmax(np.abs(shift), initial=0.0)) or 1.0
    with canvas(ax, height=1.1) as ax:
        spread = float(np.std(y))
        ax.axhspan(-spread, spread, color=GREY, alpha=0.12, lw=0)
        ax.axhline(0, color=INK, lw=0.8)
        twice = 2 * float(x.mean())
        ax.axvline(twice, color=GREY, lw=1.0, ls=":")
        area = np.nan_to_num(np.abs(shift), nan=0.0) / most * _LARGEST + (0.35 * marker_size()) ** 2
        order = np.argsort(-area)  # small ones on top
        for up, colour in ((True, BLUE), (False, VERMILLION)):
            mine = order[(shift[order] >= 0) == up]
            ax.scatter(
                x[mine], y[mine], s=area[mine], color=colour, alpha=0.55, edgecolors="white", linewidths=0.5,
                zorder=3,
            )  # fmt: skip
        lo, hi = min(y.min(), -spread), max(y.max(), spread)
        ax.set_ylim(lo - 0.12 * (hi - lo), hi + 0.12 * (hi - lo))
        ax.set_xlim(0, 1.12 * x.max())
        keys = [
            ax.scatter([], [], s=60, color=BLUE, alpha=0.55, label=f"without it {found.quantity} rises"),
            ax.scatter([], [], s=60, color=VERMILLION, alpha=0.55, label="falls"),
            ax.plot([], [], color=GREY, lw=1.0, ls=":", label="twice the mean leverage")[0],
        ]
        for rank, i in enumerate(order[:_NAMED], 1):
            if not np.isfinite(shift[i]):
                continue
            ax.plot(x[i], y[i], marker=f"${rank}$", color=INK, ms=1.1 * marker_size(), ls="", zorder=5)
            keys += ax.plot(
                [], [], marker=f"${rank}$", color=INK, ls="", label=f"{_run(rows.loc[i])}: ×{1 + shift[i] / 100:.3g}"
            )  # fmt: skip
        ax.set_xlabel("leverage (1: the fit passes through the run)")
        ax.set_ylabel("residual, ln(loss / fit) (%)" if share == 100.0 else "residual, loss − fit")
        ax.xaxis.set_major_formatter(Written())
        ax.yaxis.set_major_formatter(Written())
        key_above(ax, handles=keys)
    return ax


def _run(row: pd.Series) -> str:
    """The run by its N and D, where it has them."""
    named = (("N", "params"), ("D", "tokens"))
    where = ", ".join(f"{short} {count(float(row[name]))}" for short, name in named if name in row)
    return where or f"row {row.name}"
