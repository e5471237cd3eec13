"""The figures by name, each with what it is drawn from: for a command line and for documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Fit


@dataclass(frozen=True)
class Kind:
    """A figure: its name, what input it takes, one line of help, and how it comes of a path.

    takes: "fit" is a fit's JSON, or a run table or study folder, which is then fitted; "runs" a run table or
        study folder; "study" a study folder only.
    """

    name: str
    takes: Literal["fit", "runs", "study"]
    help: str
    _draw: str

    @property
    def function(self) -> Callable[..., Axes]:
        """The function of `scalinglab.plots` that draws it."""
        function: Callable[..., Axes] = getattr(import_module("scalinglab.plots"), self.name)
        return function

    def draw(self, source: str | Path, **options: Any) -> Axes:
        """The figure of what lies at `source`; `options` go to the function, `eval_set` to the reading.

        Raises InputError for an input this figure cannot be drawn from.
        """
        drawn: Axes = globals()[self._draw](self.function, source, **options)
        return drawn


def _of_fit(
    function: Callable[..., Axes], source: str | Path, eval_set: str | None = None, **options: Any
) -> Axes:
    return function(_fit(source, eval_set), **options)


def _of_smallest(
    function: Callable[..., Axes], source: str | Path, eval_set: str | None = None, **options: Any
) -> Axes:
    """Equivalent size of the longest-trained run of the smallest model, unless the options name another."""
    fit = _fit(source, eval_set)
    if not {"loss", "params"} & set(options) and len(fit.rows):
        smallest = fit.rows[fit.rows["params"] == fit.rows["params"].min()]
        longest = smallest.loc[smallest["tokens"].idxmax()]
        options |= {"loss": float(longest["loss"]), "params": float(longest["params"])}
    return function(fit, **options)


def _of_runs(
    function: Callable[..., Axes],
    source: str | Path,
    eval_set: str | None = None,
    params: float | None = None,
    **options: Any,
) -> Axes:
    from scalinglab.analysis import continual

    runs = _ends(source, eval_set)
    return function(continual(runs, params), runs, **options)


def _of_study(
    function: Callable[..., Axes], source: str | Path, size: str | None = None, **options: Any
) -> Axes:
    from scalinglab.plots._training import read_curves

    return function(*read_curves(source, size), **options)


def _fit(source: str | Path, eval_set: str | None) -> Fit:
    from scalinglab.analysis.source import read_fit

    return read_fit(source, eval_set=eval_set)[0]


def _ends(source: str | Path, eval_set: str | None) -> Any:
    from scalinglab.analysis.source import read_ends

    return read_ends(source, eval_set)[0]


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "schedule_and_loss",
            "study",
            "learning rate and loss of one size's trunk and branches",
            "_of_study",
        ),
        Kind("loss_vs_tokens", "fit", "loss against tokens for each size, with the fitted curves", "_of_fit"),
        Kind("contours", "fit", "equal-loss lines over N and D with the compute-optimal line", "_of_fit"),
        Kind(
            "continual", "runs", "one size trained on: power law against exponential in compute", "_of_runs"
        ),
        Kind("equivalent_size", "fit", "the compute-optimal model that a loss is worth", "_of_smallest"),
        Kind("frontier", "fit", "compute-optimal N against compute, beside published laws", "_of_fit"),
        Kind("next_runs", "fit", "which N and D to train next, to know D/N better", "_of_fit"),
        Kind("residuals", "fit", "what the fit leaves over, against compute", "_of_fit"),
    )
}
"""Name -> figure."""
