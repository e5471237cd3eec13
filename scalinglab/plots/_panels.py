"""A second panel in the place of a figure's axes."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec, GridSpecBase


def panel_above(ax: Axes, *, share_x: bool = True) -> Axes:
    """Give the upper third of the place that `ax` has to Axes of its own, with the same x axis or another."""
    figure = ax.get_figure()
    assert figure is not None
    place = ax.get_subplotspec()
    if place is not None:
        grid = place.subgridspec(2, 1, height_ratios=(1, 2.4))
        ax.set_subplotspec(grid[1])
        return figure.add_subplot(grid[0], sharex=ax if share_x else None)
    left, bottom, width, height = ax.get_position().bounds
    ax.set_position((left, bottom, width, 0.66 * height))
    return figure.add_axes(
        (left, bottom + 0.72 * height, width, 0.28 * height), sharex=ax if share_x else None
    )


def panel_below(ax: Axes, share: float = 0.36) -> Axes:
    """Give the lower `share` of the place that `ax` has to Axes of its own, with the same x axis.

    The upper panel loses its tick labels: the lower one carries them.
    """
    figure = ax.get_figure()
    assert figure is not None
    place = ax.get_subplotspec()
    if place is not None:
        grid = place.subgridspec(2, 1, height_ratios=(1 - share, share))
        ax.set_subplotspec(grid[0])
        below: Axes = figure.add_subplot(grid[1], sharex=ax)
    else:
        left, bottom, width, height = ax.get_position().bounds
        ax.set_position((left, bottom + (share + 0.04) * height, width, (0.96 - share) * height))
        below = figure.add_axes((left, bottom, width, share * height), sharex=ax)
    ax.tick_params(labelbottom=False)
    return below


def grid_at(ax: Axes, rows: int, columns: int) -> GridSpecBase:
    """The place that `ax` has, divided; `ax` moves to its first part."""
    figure: Any = ax.get_figure()
    place = ax.get_subplotspec()
    grid: GridSpecBase
    if place is not None:
        grid = place.subgridspec(rows, columns)
    else:
        left, bottom, width, height = ax.get_position().bounds
        grid = GridSpec(
            rows, columns, figure, left=left, bottom=bottom, right=left + width, top=bottom + height
        )
    ax.set_subplotspec(grid[0, 0])
    return grid


def panel_grid(ax: Axes, rows: int, columns: int, panels: int, *, share_x: bool = True) -> list[Axes]:
    """Divide the place that `ax` has among `panels` Axes, row by row, which share both axes; `ax` is the first.

    share_x: no, where each has an x axis of its own.

    Where the last row is not full, its last panel is as wide as what is left of it.
    """
    figure: Any = ax.get_figure()
    grid = grid_at(ax, rows, columns)
    found = [ax]
    for i in range(1, panels):
        row, column = divmod(i, columns)
        where = grid[row, column:] if i == panels - 1 else grid[row, column]
        found.append(figure.add_subplot(where, sharex=ax if share_x else None, sharey=ax))
    return found
