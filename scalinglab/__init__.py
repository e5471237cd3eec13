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
    from scalinglab import laws, plots
    from scalinglab.analysis.continual import continual
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

# public name -> where it lives; a module when the name is empty
_FACE = {
    "laws": "scalinglab.laws",
    "plots": "scalinglab.plots",
    "continual": "scalinglab.analysis:continual",
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
}

__all__ = [
    "Bootstrap",
    "Fit",
    "Huber",
    "Likelihood",
    "Squared",
    "__version__",
    "backtest",
    "compare",
    "continual",
    "fit",
    "fit_groups",
    "laws",
    "plots",
    "read_runs",
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
