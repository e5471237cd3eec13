"""Figures: one function each, which takes a fit or a table and an optional Axes and returns the Axes.

Without an Axes the figure is one of its own, unknown to pyplot: no backend, no global state. `style("paper")`
and `style("notebook")` set how figures made inside look. Names are imported on first use, so that listing
KINDS loads no matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scalinglab.plots._kinds import KINDS, Kind

if TYPE_CHECKING:
    from scalinglab.plots._canvas import save, style
    from scalinglab.plots._continual import continual
    from scalinglab.plots._contours import contours
    from scalinglab.plots._equivalent import equivalent_size
    from scalinglab.plots._fits import loss_vs_tokens, residuals
    from scalinglab.plots._frontier import frontier
    from scalinglab.plots._next_runs import next_runs
    from scalinglab.plots._training import read_curves, schedule_and_loss

_HOME = {
    "continual": "_continual",
    "contours": "_contours",
    "equivalent_size": "_equivalent",
    "frontier": "_frontier",
    "loss_vs_tokens": "_fits",
    "next_runs": "_next_runs",
    "read_curves": "_training",
    "residuals": "_fits",
    "save": "_canvas",
    "schedule_and_loss": "_training",
    "style": "_canvas",
}

__all__ = [
    "KINDS",
    "Kind",
    "continual",
    "contours",
    "equivalent_size",
    "frontier",
    "loss_vs_tokens",
    "next_runs",
    "read_curves",
    "residuals",
    "save",
    "schedule_and_loss",
    "style",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'scalinglab.plots' has no attribute {name!r}")
    value = getattr(import_module(f"scalinglab.plots.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
