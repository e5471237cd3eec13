"""The figures by name, each with what it is drawn from: for a command line and for documentation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scalinglab.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Fit


@dataclass(frozen=True)
class Kind:
    """A figure: its name, what input it takes, one line of help, and how it comes of a path.

    takes: "fit" is a fit's JSON, or a run table or study folder, which is then fitted; "runs" a run table or
        study folder; "study" a study folder, or for a plan a study file; "schedule" a schedule's text, several
        joined by + or ;, a study file or folder, or nothing.
    """

    name: str
    takes: Literal["fit", "runs", "study", "schedule"]
    help: str
    _draw: str

    @property
    def function(self) -> Callable[..., Axes]:
        """The function of `scalinglab.plots` that draws it."""
        function: Callable[..., Axes] = getattr(import_module("scalinglab.plots"), self.name)
        return function

    def draw(self, source: str | Path | None = None, **options: Any) -> Axes:
        """The figure of what lies at `source`; `options` go to the function, `eval_set` to the reading.

        Raises InputError for an input this figure cannot be drawn from, and without one where it needs one.
        """
        if source is None and self.takes != "schedule":
            raise InputError(f"the figure {self.name} needs an input: a table, a saved fit or a study folder")
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
    from scalinglab.analysis import count_text

    fit = _fit(source, eval_set)
    chosen = not {"loss", "params"} & set(options) and len(fit.rows) > 0
    if chosen:
        smallest = fit.rows[fit.rows["params"] == fit.rows["params"].min()]
        longest = smallest.loc[smallest["tokens"].idxmax()]
        options |= {"loss": float(longest["loss"]), "params": float(longest["params"])}
    ax = function(fit, **options)
    key = ax.get_legend()
    if chosen and key is not None:
        key.set_title(
            f"the model: the smallest, trained longest (D = {count_text(float(longest['tokens']))})"
        )
        key.set_alignment("left")
    return ax


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


def _of_table(
    function: Callable[..., Axes], source: str | Path, eval_set: str | None = None, **options: Any
) -> Axes:
    return function(_ends(source, eval_set), **options)


def _of_review(
    function: Callable[..., Axes], source: str | Path, eval_set: str | None = None, **options: Any
) -> Axes:
    from scalinglab.review import check

    return function(check(source, eval_set=eval_set), **options)


def _of_sweep(
    function: Callable[..., Axes], source: str | Path, eval_set: str | None = None, **options: Any
) -> Axes:
    from scalinglab.analysis import batch_lr

    return function(batch_lr(_ends(source, eval_set)), **options)


def _of_lines(
    function: Callable[..., Axes], source: str | Path, eval_set: str | None = None, **options: Any
) -> Axes:
    from scalinglab.analysis import iso_loss

    runs = _ends(source, eval_set)
    return function(iso_loss(runs), runs=runs, **options)


def _of_study(
    function: Callable[..., Axes], source: str | Path, size: str | None = None, **options: Any
) -> Axes:
    from scalinglab.plots._training import read_curves

    return function(*read_curves(source, size), **options)


def _of_curves(
    function: Callable[..., Axes], source: str | Path, eval_set: str | None = None, **options: Any
) -> Axes:
    from scalinglab import analysis

    return function(getattr(analysis, function.__name__)(source, eval_set=eval_set), **options)


def _of_plan(function: Callable[..., Axes], source: str | Path, **options: Any) -> Axes:
    from scalinglab.analysis import plan

    return function(plan(source), **options)


def _of_schedule(function: Callable[..., Axes], source: str | Path | None, **options: Any) -> Axes:
    if source is None:
        from scalinglab.plots._schedules import schedule_kinds

        return schedule_kinds(**options)
    from scalinglab.ladder.schedule_text import TEXTS, parse_schedule

    text = source if isinstance(source, str) else source.as_posix()
    if Path(source).exists():
        schedules, batches = _schedules_of(Path(source))
        return function(schedules, **({"batches": batches} | options))
    if ":" not in text and text not in TEXTS:
        raise InputError(
            f"{text} is neither a study nor a schedule's text; a text that works: {TEXTS['wsd'].example}"
        )
    # a plus inside a number, 1e+4, joins nothing
    parts = [part.strip() for part in re.split(r"[;+](?=\s*[A-Za-z])", text)]
    found = [parse_schedule(part) for part in parts]
    names = [each.name for each in found]
    labels = [name if names.count(name) == 1 else part for name, part in zip(names, parts, strict=True)]
    return function(dict(zip(labels, found, strict=True)), **options)


def _schedules_of(study: Path) -> tuple[dict[str, Any], Any]:
    """Trunk, branches and runs from scratch of a study's first size, each by name, and the batches of each."""
    from scalinglab.analysis import count_text
    from scalinglab.ladder import plan, plan_full, read_study

    path = study / "study.toml" if study.is_dir() else study
    if not path.is_file():
        raise InputError(f"{study} is a folder without a study.toml; give a study file or its folder")
    read = read_study(path)
    first = read.ladder.sizes[0].label
    trunk = max(
        (each for each in plan(read) if each.shape.name == first), key=lambda each: len(each.branches)
    )
    found: dict[str, Any] = {f"trunk of {trunk.shape.name}": trunk.schedule}
    batches = dict.fromkeys(found, trunk.batches)
    for branch in trunk.branches:
        if branch.averaged:
            continue  # a merge has the trunk's rate
        name = f"{branch.recipe} D {count_text(trunk.horizon(branch))}".strip()
        found[name], batches[name] = branch.schedule, branch.batches
    for run in plan_full(read):
        if (run.shape.name, run.seed) == (first, trunk.seed):
            name = f"{run.recipe} D {count_text(run.batches.tokens_at(run.steps))}"
            found[name], batches[name] = run.schedule, run.batches
    return found, batches


def _fit(source: str | Path, eval_set: str | None) -> Fit:
    from scalinglab.analysis.source import read_fit

    return read_fit(source, eval_set=eval_set)[0]


def largest_budget(fit: Fit) -> float:
    """The largest 6·N·D among a fit's rows. Raises InputError for constants that were given."""
    if not len(fit.rows):
        raise InputError("this figure of given constants needs flops= to know which budget is meant.")
    return float((6 * fit.rows["params"] * fit.rows["tokens"]).max())


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
        Kind(
            "schedule",
            "schedule",
            "learning rate over a run: any schedule, a study's, or all kinds",
            "_of_schedule",
        ),
        Kind("loss_vs_tokens", "fit", "loss against tokens for each size, with the fitted curves", "_of_fit"),
        Kind("contours", "fit", "equal-loss lines over N and D with the compute-optimal line", "_of_fit"),
        Kind(
            "continual", "runs", "one size trained on: power law against exponential in compute", "_of_runs"
        ),
        Kind(
            "data_limited",
            "fit",
            "optimal N and epochs against compute when unique tokens are few",
            "_of_fit",
        ),
        Kind("equivalent_size", "fit", "the compute-optimal model that a loss is worth", "_of_smallest"),
        Kind(
            "envelope", "runs", "training curves, the lowest at each compute, and whose it is", "_of_curves"
        ),
        Kind(
            "crossings",
            "runs",
            "where the curves of two sizes cross, which brackets the optimum",
            "_of_curves",
        ),
        Kind(
            "batch_lr", "runs", "best learning rate of a sweep's cells against D, with its law", "_of_sweep"
        ),
        Kind(
            "batch_lr_valley", "runs", "a sweep's loss over learning rate and batch in one cell", "_of_sweep"
        ),
        Kind("iso_loss", "runs", "lines of equal loss over batch and tokens, with their minima", "_of_lines"),
        Kind("iso_loss_law", "runs", "batch of the fewest tokens against loss, with its law", "_of_lines"),
        Kind("frontier", "fit", "compute-optimal N against compute, beside published laws", "_of_fit"),
        Kind("isoflop", "runs", "loss against N at each budget, with both optima", "_of_table"),
        Kind("isoflop_optima", "runs", "N at the least loss of each budget, against compute", "_of_table"),
        Kind(
            "inference_optimum",
            "fit",
            "optimal N and D against tokens served, and the cost saved",
            "_of_fit",
        ),
        Kind("overtraining", "fit", "what models smaller than the optimum cost", "_of_fit"),
        Kind(
            "ladder_cost",
            "study",
            "cost of a study's trunks and branches beside training from scratch",
            "_of_plan",
        ),
        Kind("next_runs", "fit", "which N and D to train next, to know D/N better", "_of_fit"),
        Kind(
            "review",
            "runs",
            "rows over N and D, those that a review found something about marked",
            "_of_review",
        ),
        Kind("residuals", "fit", "what the fit leaves over, against compute", "_of_fit"),
        Kind(
            "leverage", "fit", "residuals against leverage, and what each run does to the optimum", "_of_fit"
        ),
        Kind("profile", "fit", "profiles of alpha and beta, and the valley they trade off in", "_of_fit"),
    )
}
"""Name -> figure."""
