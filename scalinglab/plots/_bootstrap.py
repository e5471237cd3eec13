"""Where the refits of a bootstrap put each constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes

from scalinglab.errors import InputError
from scalinglab.plots._axes import LogTicks, Written, key_above
from scalinglab.plots._canvas import BLUE, VERMILLION, canvas
from scalinglab.plots._panels import grid_at
from scalinglab.units import number_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalinglab.fitting import Bootstrap

_BINS = 30
_WIDE = 20.0  # a constant that spans more than this factor is drawn on a log axis
_PANEL = 1.5  # inches that a panel's numbers need
_SHOWN = 0.005  # of the refits left out at either end, so that a few far ones do not squeeze the rest


def bootstrap(
    boot: Bootstrap, constants: Sequence[str] | None = None, *, interval: float = 0.9, ax: Axes | None = None
) -> Axes:
    """A histogram a constant over the refits, its `interval` dark, and the fit of all rows as a line.

    constants: which; by default all that differ between refits. A pile at an end is a bound; a long tail or a
    logarithmic axis a constant that the rows leave open. Returns the first panel; the others are the figure's latest.
    Raises InputError for an unknown constant, or where none differs.
    """
    known = list(boot.constants.columns)
    unknown = [name for name in constants or () if name not in known]
    if unknown:
        raise InputError(f"the refits have no constant {unknown[0]!r}; they have {', '.join(known)}")
    names = list(constants or (name for name in known if boot.constants[name].nunique() > 1))
    if not names:
        raise InputError("no constant differs between the refits, so there is nothing to draw")
    ends = boot.interval(interval)
    columns = min(len(names), max(1, int(_width(ax) / _PANEL)))
    rows = -(-len(names) // columns)
    with canvas(ax, height=0.35 + 0.5 * rows) as ax:
        panels = _panels(ax, rows, columns, len(names))
        for panel, name in zip(panels, names, strict=True):
            draws = boot.constants[name].to_numpy(dtype=float)
            draws = draws[np.isfinite(draws)]
            lo, hi = (float(v) for v in np.quantile(draws, [_SHOWN, 1 - _SHOWN]))
            lo, hi = min(lo, boot.full[name]), max(hi, boot.full[name])
            wide = lo > 0 and hi / lo > _WIDE
            edges: Any = np.geomspace(lo, hi, _BINS + 1) if wide else np.linspace(lo, hi, _BINS + 1)
            counts, _ = np.histogram(draws, edges)
            share = 100 * counts / len(boot.constants)
            panel.stairs(share, edges, fill=True, color=BLUE, alpha=0.25)
            first, last = ends.loc[name]
            inside = (edges[:-1] >= first) & (edges[1:] <= last)
            panel.stairs(
                np.where(inside, share, 0),
                edges,
                fill=True,
                color=BLUE,
                alpha=0.6,
                label=f"{interval:.0%} interval",
            )
            panel.axvline(boot.full[name], color=VERMILLION, lw=1.6, label="fit of all rows")
            if wide:
                panel.set_xscale("log")
                panel.xaxis.set_major_locator(LogTicks())
                panel.xaxis.set_minor_locator(LogTicks())
            else:
                panel.locator_params(axis="x", nbins=3)
            panel.xaxis.set_major_formatter(Written(number_text if wide else lambda v: f"{v:.4g}"))
            panel.set_xlim(lo, hi)
            panel.set_ylim(0, 1.08 * share.max())
            panel.set_xlabel(name)
            panel.tick_params(axis="x", labelsize="small")
            panel.grid(axis="x")
        for panel in panels[::columns]:
            panel.set_ylabel("share of refits (%)")
        key_above(ax)
    return ax


def _width(ax: Axes | None) -> float:
    """Inches there are for all panels."""
    if ax is None:
        return float(rcParams["figure.figsize"][0])
    figure: Any = ax.get_figure()
    return float(ax.get_position().width * figure.get_figwidth())


def _panels(ax: Axes, rows: int, columns: int, count: int) -> list[Axes]:
    """Divide the place that `ax` has among `count` Axes that share nothing; `ax` is the first."""
    figure: Any = ax.get_figure()
    grid = grid_at(ax, rows, columns)
    return [ax, *(figure.add_subplot(grid[divmod(i, columns)]) for i in range(1, count))]
