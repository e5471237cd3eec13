"""`report`: from a run table to everything that its pages say."""

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from scalinglab import laws as known
from scalinglab.analysis.checks import check_level
from scalinglab.analysis.source import loss_unit, of_trunks, one_eval_set, pooled_note
from scalinglab.errors import InputError
from scalinglab.fitting import Comparison, Fit, Loss, compare
from scalinglab.laws import Law
from scalinglab.records import read_runs
from scalinglab.records.derive import AVERAGE
from scalinglab.reporting.review import Reviewed, review
from scalinglab.reporting.views import View, budget_grid, view

FORMATS = (".html", ".pdf", ".md")


@dataclass(frozen=True)
class Report:
    """What a table says under each law: a view an eval set and law, the first of them the one a page opens with.

    title: what it calls itself. views: eval set by eval set, law by law. compared: eval set -> which law describes its
    rows best, where there are several. reviewed: what a review of the table found. notes: a sentence each.
    """

    title: str
    runs: pd.DataFrame = field(repr=False)
    views: tuple[View, ...]
    compared: dict[str | None, Comparison] = field(repr=False)
    reviewed: Reviewed
    notes: tuple[str, ...] = ()

    @property
    def eval_sets(self) -> list[str | None]:
        return list(dict.fromkeys(view.eval_set for view in self.views))

    @property
    def laws(self) -> list[str]:
        return list(dict.fromkeys(view.law.name for view in self.views))

    def summary(self) -> list[str]:
        """What the first view says in plain words, a sentence or two each."""
        from scalinglab.reporting.words import summary

        return summary(self, self.views[0])

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON: each view's constants, its optima and its summary, and what was found."""
        from scalinglab.reporting.words import summary

        return {
            "title": self.title,
            "views": [
                {
                    "eval_set": view.eval_set,
                    "law": view.law.name,
                    "status": view.fit.status.value,
                    "constants": dict(view.fit.constants),
                    "now": view.now.plain(),
                    "tenfold": view.tenfold.plain(),
                    "summary": summary(self, view),
                }
                for view in self.views
            ],
            "findings": [asdict(found) for found in self.reviewed.findings],
            "notes": list(self.notes),
        }

    def html(self, path: str | Path) -> Path:
        """Write a page that loads nothing. Raises EnvironmentProblem without the extra `report`."""
        from scalinglab.reporting.page import write_page

        return write_page(self, Path(path))

    def pdf(self, path: str | Path) -> Path:
        """Write a PDF: summaries, figures in a paper's style, tables."""
        from scalinglab.reporting.paper import write_pdf

        return write_pdf(self, Path(path))

    def markdown(self, path: str | Path) -> Path:
        """Write Markdown, its figures as PNG in the folder of its name beside it."""
        from scalinglab.reporting.paper import write_markdown

        return write_markdown(self, Path(path))

    def write(self, path: str | Path) -> Path:
        """Write what the suffix says: .html, .pdf or .md. Raises InputError for another."""
        return {".html": self.html, ".pdf": self.pdf, ".md": self.markdown}[suffix(path)](path)


def suffix(path: str | Path) -> str:
    """Of a report's file. Raises InputError where it is none of FORMATS."""
    found = Path(path).suffix.lower()
    if found not in FORMATS:
        raise InputError(f"{path}: a report ends in {', '.join(FORMATS)}")
    return found


def report(
    source: str | os.PathLike[str] | pd.DataFrame,
    out: str | Path | None = None,
    *,
    laws: Sequence[Law] = (),
    eval_set: str | None = None,
    loss: Loss | None = None,
    by: str | None = None,
    resamples: int = 1000,
    level: float = 0.9,
    title: str | None = None,
    workers: int = 1,
    progress: Callable[[str, int, int], None] = lambda *step: None,
) -> Report:
    """Fit every eval set of a table or study folder under every law, ask the fits, and write what they say.

    >>> sl.report("table.csv", "report.html")

    source: as `read_runs` takes it. out: a file to write, .html, .pdf or .md; the Report writes others later.
    laws: of loss in params and tokens; Chinchilla and Kaplan by default. eval_set: one alone. loss: of the study's own
    fit where it has one, else Huber(1e-3). by, resamples: as in `Fit.bootstrap`. level: of every interval.
    workers: processes that share the eval sets; a script that asks for several has to guard its own start with
    `if __name__ == "__main__"`, as for multiprocessing. progress: called with (what, done, of). An eval set that cannot
    bear a law is left out, and said.
    Raises InputError for a table that cannot be read or fitted, or an unknown eval set or suffix.
    """
    if out is not None:
        suffix(out)
    check_level(level)
    runs = read_runs(source)
    name = "the table" if isinstance(source, pd.DataFrame) else Path(source).resolve().name
    asked = list(laws) or [known.Chinchilla(), known.Kaplan()]
    twice = [law.name for law in asked if [other.name for other in asked].count(law.name) > 1]
    if twice:
        raise InputError(f"the law {twice[0]} is asked for twice; name each law once")
    loss = loss or _own_loss(source)
    ends = runs[~of_trunks(runs)]
    if not len(ends):
        raise InputError(f"{name} holds undecayed trunks alone: add the ends of decayed runs")
    budgets = budget_grid(ends)
    notes = [*pooled_note(ends)]
    if len(ends) < len(runs):
        notes.append(f"{len(runs) - len(ends)} rows of undecayed trunks are left out.")
    sets = _eval_sets(runs, eval_set, name)
    asks = []
    for each in sets:
        taken = ends if each is None else one_eval_set(ends, each, name)[0]
        loss_unit(taken, name)
        asks.append((tuple(asked), taken, each, budgets, loss, by, resamples, level))
    views: list[View] = []
    compared: dict[str | None, Comparison] = {}
    refusals: list[InputError] = []
    for each, (found, refused, comparison) in zip(sets, _each_set(asks, workers, progress), strict=True):
        views += found
        if comparison is not None:
            compared[each] = comparison
        notes += [f"No fit of {law}{f' on {each}' if each else ''}: {error}." for law, error in refused]
        refusals += [error for _, error in refused]
    if not views:
        raise refusals[-1]
    progress("", 1, 1)
    made = Report(
        title or f"Scaling law of {name}", ends, tuple(views), compared, review(runs, asked[0]), tuple(notes)
    )
    if out is not None:
        made.write(out)
    return made


_Found = tuple[list[View], list[tuple[str, InputError]], Comparison | None]
_MANY = 3  # eval sets: for fewer, starting processes takes as long as they save


def _each_set(asks: list[Any], workers: int, progress: Callable[[str, int, int], None]) -> list[_Found]:
    """What `_one_set` finds of each ask, in their order."""
    progress(str(asks[0][2] or ""), 0, len(asks))
    if workers < 2 or len(asks) < _MANY:
        out = []
        for i, ask in enumerate(asks, 1):
            out.append(_one_set(*ask))
            progress(str(asks[min(i, len(asks) - 1)][2] or ""), i, len(asks))
        return out
    with ProcessPoolExecutor(min(workers, len(asks)), mp_context=get_context("spawn")) as pool:
        going = [pool.submit(_one_set, *ask) for ask in asks]
        try:
            for done, future in enumerate(as_completed(going), 1):
                future.result()
                progress(f"{done} of {len(asks)} eval sets", done, len(asks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in going]


def _one_set(
    laws: Sequence[Law],
    rows: pd.DataFrame,
    eval_set: str | None,
    budgets: Any,
    loss: Loss | None,
    by: str | None,
    resamples: int,
    level: float,
) -> _Found:
    """(views, refusals, which law is best) of one eval set; a refusal is (law, why)."""
    views: list[View] = []
    refusals: list[tuple[str, InputError]] = []
    for law in laws:
        try:
            views.append(
                view(law, rows, eval_set, budgets, loss=loss, by=by, resamples=resamples, level=level)
            )
        except InputError as error:
            refusals.append((law.name, error))
    if len(views) < 2:
        return views, refusals, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return views, refusals, compare([each.fit for each in views])


def _own_loss(source: object) -> Loss | None:
    """The loss of the fit that a study folder holds."""
    if isinstance(source, str | os.PathLike) and (own := Path(source) / "fit.json").is_file():
        return Fit.from_json(own).loss
    return None


def _eval_sets(runs: pd.DataFrame, chosen: str | None, name: str) -> list[str | None]:
    """The average first, where there is one."""
    if chosen is not None:
        return [one_eval_set(runs, chosen, name)[1]]
    sets = [str(each) for each in runs["eval_set"].dropna().unique()] if "eval_set" in runs else []
    return [*sorted(sets, key=lambda each: each != AVERAGE)] or [None]
