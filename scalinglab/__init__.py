"""Scaling laws for language models, with error bars.

>>> import scalinglab as sl
>>> runs = sl.read_runs("table.csv")
>>> fit = sl.fit(sl.laws.Chinchilla(), runs)

Everything here is imported on first use: `import scalinglab` itself loads neither torch nor pyplot.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scalinglab._version import __version__

if TYPE_CHECKING:
    from scalinglab import analysis, laws, plots
    from scalinglab.analysis.continual import continual
    from scalinglab.analysis.crossing import crossing, crossings
    from scalinglab.analysis.envelope import envelope
    from scalinglab.analysis.equal_compute import equal_compute
    from scalinglab.analysis.hyperparameters import batch_lr
    from scalinglab.analysis.influence import influence
    from scalinglab.analysis.iso_loss import iso_loss
    from scalinglab.analysis.isoflop import isoflop
    from scalinglab.analysis.next_runs import next_runs
    from scalinglab.analysis.next_simulation import simulate_next
    from scalinglab.analysis.paired import paired
    from scalinglab.analysis.plan import plan
    from scalinglab.explorer import explore
    from scalinglab.fitting import (
        Bootstrap,
        Fit,
        Huber,
        Likelihood,
        Squared,
        backtest,
        compare,
        fit,
        fit_groups,
    )
    from scalinglab.records import read_runs
    from scalinglab.reporting.report import report
    from scalinglab.review import check

# public name -> where it lives; a module when the name is empty
_FACE = {
    "analysis": "scalinglab.analysis",
    "laws": "scalinglab.laws",
    "plots": "scalinglab.plots",
    "batch_lr": "scalinglab.analysis:batch_lr",
    "check": "scalinglab.review:check",
    "continual": "scalinglab.analysis:continual",
    "crossing": "scalinglab.analysis:crossing",
    "crossings": "scalinglab.analysis:crossings",
    "envelope": "scalinglab.analysis:envelope",
    "equal_compute": "scalinglab.analysis:equal_compute",
    "explore": "scalinglab.explorer:explore",
    "influence": "scalinglab.analysis:influence",
    "iso_loss": "scalinglab.analysis:iso_loss",
    "isoflop": "scalinglab.analysis:isoflop",
    "next_runs": "scalinglab.analysis:next_runs",
    "paired": "scalinglab.analysis:paired",
    "simulate_next": "scalinglab.analysis:simulate_next",
    "plan": "scalinglab.analysis:plan",
    "Bootstrap": "scalinglab.fitting:Bootstrap",
    "Fit": "scalinglab.fitting:Fit",
    "Huber": "scalinglab.fitting:Huber",
    "Likelihood": "scalinglab.fitting:Likelihood",
    "Squared": "scalinglab.fitting:Squared",
    "backtest": "scalinglab.fitting:backtest",
    "compare": "scalinglab.fitting:compare",
    "fit": "scalinglab.fitting:fit",
    "fit_groups": "scalinglab.fitting:fit_groups",
    "read_runs": "scalinglab.records:read_runs",
    "report": "scalinglab.reporting:report",
}

__all__ = [
    "Bootstrap",
    "Fit",
    "Huber",
    "Likelihood",
    "Squared",
    "__version__",
    "analysis",
    "backtest",
    "batch_lr",
    "check",
    "compare",
    "continual",
    "crossing",
    "crossings",
    "envelope",
    "equal_compute",
    "explore",
    "fit",
    "fit_groups",
    "influence",
    "iso_loss",
    "isoflop",
    "laws",
    "next_runs",
    "paired",
    "plan",
    "plots",
    "read_runs",
    "report",
    "simulate_next",
]


def __getattr__(name: str) -> Any:
    try:
        module, _, attribute = _FACE[name].partition(":")
    except KeyError:
        raise AttributeError(f"module 'scalinglab' has no attribute {name!r}") from None
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
