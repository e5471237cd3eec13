"""Figures: one function each, which takes a fit or a table and an optional Axes and returns the Axes.

Without an Axes the figure is one of its own, unknown to pyplot: no backend, no global state. `style("paper")`
and `style("notebook")` set how figures made inside look. Names are imported on first use, so that listing
KINDS loads no matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scalinglab.plots._kinds import KINDS, Kind

if TYPE_CHECKING:
    from scalinglab.plots._batch_lr import batch_lr, batch_lr_valley
    from scalinglab.plots._bootstrap import bootstrap
    from scalinglab.plots._canvas import save, style
    from scalinglab.plots._continual import continual
    from scalinglab.plots._contours import contours
    from scalinglab.plots._coordinates import coordinate_check
    from scalinglab.plots._crossings import crossings
    from scalinglab.plots._curve import curve, measured
    from scalinglab.plots._data_limited import data_limited
    from scalinglab.plots._envelope import envelope
    from scalinglab.plots._equivalent import equivalent_size
    from scalinglab.plots._fits import loss_vs_tokens, residuals
    from scalinglab.plots._frontier import frontier
    from scalinglab.plots._inference import inference_optimum
    from scalinglab.plots._iso_loss import iso_loss, iso_loss_law, iso_loss_sizes
    from scalinglab.plots._isoflop import isoflop, isoflop_optima
    from scalinglab.plots._ladder_cost import ladder_cost
    from scalinglab.plots._leverage import leverage
    from scalinglab.plots._lr_valleys import lr_drift, lr_valleys
    from scalinglab.plots._next_runs import next_runs
    from scalinglab.plots._overtraining import overtraining
    from scalinglab.plots._paired import paired
    from scalinglab.plots._profile import profile
    from scalinglab.plots._review import review
    from scalinglab.plots._schedules import schedule, schedule_kinds
    from scalinglab.plots._search import search_gains, search_progress, search_trials
    from scalinglab.plots._training import read_curves, schedule_and_loss

_HOME = {
    "batch_lr": "_batch_lr",
    "batch_lr_valley": "_batch_lr",
    "bootstrap": "_bootstrap",
    "continual": "_continual",
    "contours": "_contours",
    "coordinate_check": "_coordinates",
    "crossings": "_crossings",
    "curve": "_curve",
    "envelope": "_envelope",
    "equivalent_size": "_equivalent",
    "frontier": "_frontier",
    "isoflop": "_isoflop",
    "isoflop_optima": "_isoflop",
    "data_limited": "_data_limited",
    "inference_optimum": "_inference",
    "iso_loss": "_iso_loss",
    "iso_loss_law": "_iso_loss",
    "iso_loss_sizes": "_iso_loss",
    "loss_vs_tokens": "_fits",
    "overtraining": "_overtraining",
    "ladder_cost": "_ladder_cost",
    "paired": "_paired",
    "leverage": "_leverage",
    "lr_drift": "_lr_valleys",
    "lr_valleys": "_lr_valleys",
    "measured": "_curve",
    "profile": "_profile",
    "next_runs": "_next_runs",
    "read_curves": "_training",
    "residuals": "_fits",
    "review": "_review",
    "save": "_canvas",
    "schedule": "_schedules",
    "schedule_and_loss": "_training",
    "schedule_kinds": "_schedules",
    "search_gains": "_search",
    "search_progress": "_search",
    "search_trials": "_search",
    "style": "_canvas",
}

__all__ = [
    "KINDS",
    "Kind",
    "batch_lr",
    "batch_lr_valley",
    "bootstrap",
    "continual",
    "contours",
    "coordinate_check",
    "crossings",
    "curve",
    "data_limited",
    "envelope",
    "equivalent_size",
    "frontier",
    "inference_optimum",
    "iso_loss",
    "iso_loss_law",
    "iso_loss_sizes",
    "isoflop",
    "isoflop_optima",
    "ladder_cost",
    "leverage",
    "loss_vs_tokens",
    "lr_drift",
    "lr_valleys",
    "measured",
    "next_runs",
    "overtraining",
    "paired",
    "profile",
    "read_curves",
    "residuals",
    "review",
    "save",
    "schedule",
    "schedule_and_loss",
    "schedule_kinds",
    "search_gains",
    "search_progress",
    "search_trials",
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
