"""`scalinglab search`: constants of a study found by many short runs of one size."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from scalinglab.cli._app import Json, Out, SaveEvery, Workers, app
from scalinglab.cli._console import console, note, print_json, say
from scalinglab.cli._progress import _PLAIN_EVERY, steps
from scalinglab.cli._table import table
from scalinglab.errors import InputError
from scalinglab.units import count_text

if TYPE_CHECKING:
    from scalinglab.records.trials import Searched, Trial


@app.command(
    epilog="Examples:\n\n  scalinglab search my_study.toml\n\n  scalinglab search my_study.toml --trials 200\n\n"
    "Stopped with Ctrl-C? The same command goes on where it was."
)
def search(
    study: Annotated[
        Path, typer.Argument(help="A study file with a section [search].", metavar="STUDY.toml")
    ],
    out: Out = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="How many in all, instead of what the file says.")
    ] = None,
    workers: Workers = None,
    save_every: SaveEvery = 30.0,
    as_json: Json = False,
) -> None:
    """Find constants of the parametrisation, and the learning rate, by many short runs of one size."""
    console.quiet = as_json
    found = run_trials(study, out or Path("runs") / study.stem, workers, trials, save_every)
    console.quiet = False
    if found is None:
        raise typer.Exit(130)
    from scalinglab.analysis.found_constants import found_constants, rounded
    from scalinglab.experiments.found_study import variants_text

    frame, names = found.frame(), list(found.searched)
    constants = found_constants(frame, names)
    if as_json:
        print_json(
            {
                "found": {name: each.__dict__ for name, each in constants.items()},
                "trials": frame.to_dict("records"),
            }
        )
        return
    print_search(found)
    say("To train with them, beside the study's own, add to its file:")
    console.print(variants_text(rounded(constants)), markup=False, highlight=False)


def run_trials(
    study: Path, out: Path, workers: int | None, trials: int | None = None, save_every: float = 30.0
) -> Searched | None:
    """Train the trials that a search lacks, with a bar; None when it was stopped."""
    from scalinglab.extras import need_training
    from scalinglab.records.trials import read_search
    from scalinglab.sweep.search import prepare_search, run_search

    need_training()
    with steps("Corpus") as progress:
        prepared = prepare_search(study, out, progress, trials)
    for sentence in prepared.texts.notes:
        note(sentence)
    if prepared.left:
        already = prepared.trials - prepared.left
        say(
            f"{prepared.study.title or study.stem}: a search of {', '.join(prepared.ranges)} in {prepared.trials} "
            f"trials of {count_text(prepared.horizon)} tokens, into {out}"
            + (f"; {already} of them already stand" if already else "")
        )
        begun = prepared.begun.trials if prepared.begun else []
        with SearchProgress(prepared.trials, begun) as bar:
            finished = run_search(prepared, workers, bar, save_every)
        if not finished:
            say("Stopped; everything so far is kept. The same command goes on from here.", "yellow")
            return None
    found = read_search(prepared.folder)
    if found is None:
        raise InputError(f"{out} holds no search")
    return found


class SearchProgress:
    """Takes the events of a search and shows trials done, the best loss and the time left."""

    def __init__(self, total: int, begun: list[Trial]) -> None:
        self._ended = {trial.number: trial for trial in begun if trial.state != "running"}
        self._total, self._first = total, len(self._ended)
        self._began = self._spoke = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=22),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[best]}"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=600.0,
        )
        self._bar = self._progress.add_task(
            "[bold]trials", total=total, completed=self._first, best=self._best()
        )

    def __call__(self, event: tuple[Any, ...]) -> None:
        if event[0] == "stopping":
            say("Stopping: trials in progress are saved. A second Ctrl-C does not wait for that.", "yellow")
        if event[0] != "trial" or event[1].state == "running":
            return
        trial: Trial = event[1]
        self._ended[trial.number] = trial
        self._progress.update(self._bar, completed=len(self._ended), best=self._best())
        now = time.monotonic()
        if not console.is_terminal and now - self._spoke >= _PLAIN_EVERY:
            self._spoke = now
            done = len(self._ended)
            left = (self._total - done) * (now - self._began) / max(1, done - self._first)
            console.print(f"{done} of {self._total} trials, {self._best()}, about {left:.0f} s left")

    def _best(self) -> str:
        losses = [trial.loss for trial in self._ended.values() if not math.isnan(trial.loss)]
        return f"best loss {min(losses):.4f}" if losses else ""

    def __enter__(self) -> SearchProgress:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()


def print_search(found: Searched, most: int = 10) -> None:
    """The best trials, and what they say of each constant."""
    from scalinglab.analysis import number_text
    from scalinglab.analysis.found_constants import best, complete, found_constants

    frame, names = found.frame(), list(found.searched)
    counts = frame["state"].value_counts()
    parts = [f"{counts[state]} {state}" for state in ("complete", "pruned", "diverged") if counts.get(state)]
    ranked = complete(frame)
    shown = table(
        f"The best of {len(frame)} trials ({', '.join(parts)})", "trial", *names, f"loss ({found.loss_unit})"
    )
    for row in ranked.head(most).to_dict("records"):
        shown.add_row(str(row["trial"]), *(f"{row[name]:.3g}" for name in names), f"{row['loss']:.4f}")
    console.print(shown)
    own = table(
        "Found", "constant", "searched", "found", "best trials",
        caption=f"Found: the logarithmic mean of the best {len(best(frame))}; best trials: from the least to the "
        "largest among them.",
    )  # fmt: skip
    for name, each in found_constants(frame, names).items():
        least, most_ = found.searched[name]
        own.add_row(name, f"{least:g} – {most_:g}", number_text(each.value), f"{each.lo:.3g} – {each.hi:.3g}")
    console.print(own)
