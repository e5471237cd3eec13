"""A second panel in the place of a figure's axes."""

from __future__ import annotations

from matplotlib.axes import Axes


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


def panels_beside(ax: Axes, count: int) -> list[Axes]:
    """Divide the place that `ax` has among `count` Axes side by side, `ax` the first."""
    figure = ax.get_figure()
    assert figure is not None
    place = ax.get_subplotspec()
    if place is not None:
        grid = place.subgridspec(1, count)
        ax.set_subplotspec(grid[0])
        return [ax, *(figure.add_subplot(grid[i]) for i in range(1, count))]
    left, bottom, width, height = ax.get_position().bounds
    step = width / count
    ax.set_position((left, bottom, 0.9 * step, height))
    return [
        ax,
        *(figure.add_axes((left + i * step, bottom, 0.9 * step, height)) for i in range(1, count)),
    ]
