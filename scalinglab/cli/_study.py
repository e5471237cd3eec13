"""`scalinglab sweep`, `quickstart` and `status`."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalinglab.cli import _summary
from scalinglab.cli._console import console, note, print_json, say
from scalinglab.cli._progress import SweepProgress, outcome_sentences, steps
from scalinglab.cli._table import table
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.extras import need_training
from scalinglab.ladder import Scratch, read_study
from scalinglab.ladder.definition import Run
from scalinglab.records.store import Metrics, StudyFolder
from scalinglab.sweep import Swept, prepare, run
from scalinglab.sweep.local_engine import SAVE_EVERY
from scalinglab.sweep.mirrors import mirrored
from scalinglab.sweep.reuse import reuse
from scalinglab.units import count_text

if TYPE_CHECKING:
    from rich.table import Table

_LOOK_EVERY = 1.0  # seconds, of status --follow


def train(
    study: Path,
    out: Path,
    workers: int | None,
    save_every: float = SAVE_EVERY,
    mirrors: Sequence[str] = (),
    processes_per_task: int = 1,
    device: str | None = None,
    others: Sequence[StudyFolder] = (),
) -> Swept | None:
    """Train what a study lacks, with its bars; None when it was stopped.

    others: folders of studies whose runs are taken over where this one asks for the same. Raises EnvironmentProblem
    when a part of it could not be trained.
    """
    with steps("Corpus") as progress:
        prepared = prepare(study, out, progress, workers)
    for sentence in (*prepared.texts.notes, *prepared.notes):
        note(sentence)
    if others:
        prepared, taken = reuse(prepared, study, others)
        for name, count in taken.items():
            say(f"{count} run{'s' * (count > 1)} of {name} are runs of this study too, and are taken over")
    if prepared.todo:
        already = len(prepared.tasks) - len(prepared.todo)
        kinds = [trunk.run.kind for trunk in prepared.trunks]
        counts = {
            "trunks": kinds.count("trunk"),
            "decay branches": sum(
                run.kind == "branch" for trunk in prepared.trunks for run in trunk.branches
            ),
            "merges": sum(run.kind == "merge" for trunk in prepared.trunks for run in trunk.branches),
            "runs from scratch": kinds.count("full"),
        }
        say(
            f"{prepared.study.title or study.stem}: "
            + ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            + f" into {out}"
            + (f"; {already} of {len(prepared.tasks)} parts already stand" if already else "")
        )
    with (
        mirrored(mirrors, prepared.folder) as pass_on,
        SweepProgress(prepared.tasks, prepared.todo) as progress_bars,
    ):

        def watch(event: tuple[Any, ...]) -> None:
            progress_bars(event)
            pass_on()

        swept = run(prepared, study, workers, watch, save_every, processes_per_task, device)
    if swept.outcome.stopped:
        say("Stopped; everything so far is kept. The same command goes on from here.", "yellow")
        return None
    for sentence in outcome_sentences(swept.outcome):
        note(sentence)
    if swept.outcome.failed:
        raise EnvironmentProblem(
            f"{len(swept.outcome.failed)} parts of the study could not be trained, the first because "
            f"{next(iter(swept.outcome.failed.values())).strip().splitlines()[-1].rstrip('.')}; what stands is "
            "kept, and the same command tries the rest again"
        )
    return swept


def run_study(
    study: Path,
    out: Path,
    figures: Path,
    workers: int | None,
    as_json: bool,
    save_every: float,
    mirrors: list[str],
    processes_per_task: int = 1,
    device: str | None = None,
) -> bool:
    """Corpus, runs, table, fits, figures, summary. True when it was interrupted."""
    began = time.monotonic()
    need_training()
    console.quiet = as_json
    try:
        swept = train(study, out, workers, save_every, mirrors, processes_per_task, device)
        if swept is None:
            return True
        prepared = swept.prepared

        from scalinglab.experiments.ladder_figures import draw
        from scalinglab.experiments.ladder_report import ladder_report

        try:
            with steps("Fit") as progress:
                report = ladder_report(swept, progress)
        except InputError:
            _summary.print_ledger(swept)
            say(f"The runs are in {out / 'table.csv'}; no law could be fitted to them.")
            raise
        report.fit.to_json(out / "fit.json")
        with steps("Figures") as progress:
            drawn = draw(swept, report, figures, progress)
    except KeyboardInterrupt:
        say("Stopped; the runs are kept. The same command goes on from here.", "yellow")
        return True
    if as_json:
        print_json(_summary.summary_json(swept, report) | {"figures": [str(path) for path in drawn]})
        return False
    _summary.print_losses(report)
    _summary.print_domains(swept, report)
    _summary.print_fit(report.fit)
    _summary.print_allocations(report)
    _summary.print_answers(report)
    _summary.print_ledger(swept)
    for sentence in (*swept.notes, *report.notes):
        note(sentence)
    say(f"Table {out / 'table.csv'}, fit {out / 'fit.json'}, {len(drawn)} figures in {figures}")
    say(f"{time.monotonic() - began:.0f} s. Next, try:")
    for command in (
        f"scalinglab plot loss-vs-tokens {out / 'fit.json'}",
        f"scalinglab fit {out} --eval-set {prepared.texts.names[-1]} --loss huber:1e-2",
        f"scalinglab status {out}",
    ):
        say(f"  {command}")
    return False


def print_status(source: Path, out: Path | None, follow: bool, as_json: bool) -> None:
    """Every run of a study's folder, and what `fork` added: how far it is and its last measured loss.

    follow: look again every second until nothing is left to do, or Ctrl-C.
    """
    title, folder, rows = _status(source, out)
    if as_json:
        print_json({"study": str(folder.path), "runs": rows})
        return
    if follow and not _finished(rows):
        from rich.live import Live

        with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_status_table(title, rows), refresh=True)
                if _finished(rows):
                    break
                time.sleep(_LOOK_EVERY)
                title, folder, rows = _status(source, out)
    else:
        console.print(_status_table(title, rows))
    finished = sum(row["state"] == "done" for row in rows)
    console.print(f"{finished} of {len(rows)} runs are done")
    for row in rows:
        if row["state"] == "diverged":
            note(f"{row['run_id']} diverged: {row['reason']}")


def _finished(rows: list[dict[str, Any]]) -> bool:
    return all(row["state"] in ("done", "diverged", "left out") for row in rows)


def _status(source: Path, out: Path | None) -> tuple[str, StudyFolder, list[dict[str, Any]]]:
    """Title, folder, and a row each run, a trunk before its branches."""
    from scalinglab.sweep.graph import forked
    from scalinglab.sweep.lineage import last_loss, run_state
    from scalinglab.sweep.study_run import begun

    folder = StudyFolder(source if source.is_dir() else out or Path("runs") / source.stem)
    if not source.exists():
        raise InputError(f"{source}: there is no such study file or folder")
    if not folder.study_path.exists():
        raise InputError(f"{folder.path}: nothing has been trained there yet; start it with scalinglab sweep")
    study = read_study(folder.study_path if source.is_dir() else source)
    trunks = begun(study, folder)
    forks = forked(folder, [run.id for trunk in trunks for run in trunk.runs])
    wanted = []  # (run, the steps at which it is measured in the end, recipe, whether the study asks for it)
    given_up: dict[str | None, int] = {}
    for trunk in trunks:
        own_ends = trunk.plan.ends if isinstance(trunk.plan, Scratch) else (trunk.plan.steps,)
        wanted.append((trunk.run, own_ends, getattr(trunk.plan, "recipe", ""), "study"))
        for planned, branch in zip(trunk.plan.branches, trunk.branches, strict=True):
            wanted.append((branch, (planned.end, *planned.after), planned.recipe, "study"))
        own = [task for task in forks if task.run.parent == trunk.run.id]
        wanted += [(task.run, (task.end,), task.recipe, task.origin) for task in own]
    rows: list[dict[str, Any]] = []
    for one, ends, recipe, origin in wanted:
        metrics, end = folder.run(one.id).read_metrics(), ends[-1]
        lacking = next((each for each in ends if each not in metrics.evals), end)
        begun_at = [*metrics.train, *(metrics.evals if one.averaged else ())]  # a merge trains nothing
        at = max(begun_at, default=one.start)
        state: str = run_state(folder.run(one.id), metrics, lacking)
        if metrics.diverged is not None:
            given_up[one.id] = metrics.diverged
        elif state in ("waiting", "stopped") and one.start >= given_up.get(one.parent, one.start + 1):
            state = "left out"  # its trunk, a row above, had diverged by then
        rows.append(
            {
                "run_id": one.id,
                "size": one.shape.name,
                "seed": one.seed,
                "kind": one.kind,
                "recipe": recipe,
                "origin": origin,
                "tokens": one.batches.tokens_at(at) if begun_at else 0,
                "of_tokens": one.batches.tokens_at(max(end, at)),
                "state": state,
                "tokens_per_second": _speed(one, metrics),
                "loss": last_loss(metrics)[0],
                "steps_wasted": metrics.wasted,
                "lines_dropped": metrics.dropped,
                "reason": metrics.reason,
            }
        )
    return study.title or str(folder.path), folder, rows


def _status_table(title: str, rows: list[dict[str, Any]]) -> "Table":
    shown = table(title, "run", "tokens", "of", "state", "tokens/s", "loss", caption="Loss: held out.")
    for row in rows:
        kind = {"trunk": "trunk", "full": "whole", "branch": "  decay", "merge": "  merge"}[row["kind"]]
        recipe = f", {row['recipe']}" if row["recipe"] else ""
        speed = row["tokens_per_second"]
        shown.add_row(
            f"{kind} {row['size']} seed {row['seed']}{recipe}",
            count_text(row["tokens"], 4),
            count_text(row["of_tokens"], 4),
            row["state"],
            count_text(speed) if speed and row["state"] == "running" else "",
            "" if row["loss"] is None else f"{row['loss']:.4f}",
        )
    return shown


def _speed(one: Run, metrics: Metrics) -> float | None:
    """Tokens a second in the last record."""
    steps = sorted(metrics.train)[-2:]
    seconds = metrics.train[steps[-1]].get("seconds", 0.0) if steps else 0.0
    if not seconds:
        return None
    first = steps[0] if len(steps) == 2 else one.start
    return (one.batches.tokens_at(steps[-1]) - one.batches.tokens_at(first)) / float(seconds)
