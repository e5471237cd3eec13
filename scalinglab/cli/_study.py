"""`scalinglab sweep`, `quickstart` and `status`."""

import time
from pathlib import Path
from typing import Any

from scalinglab.cli import _summary
from scalinglab.cli._console import console, note, print_json, say
from scalinglab.cli._progress import SweepProgress, outcome_sentences, steps
from scalinglab.cli._table import table
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder import read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import prepare, run


def run_study(study: Path, out: Path, figures: Path, workers: int | None, as_json: bool) -> bool:
    """Corpus, runs, table, fits, figures, summary. True when it was interrupted."""
    began = time.monotonic()
    need_training_extra()
    console.quiet = as_json
    try:
        with steps("Corpus") as progress:
            prepared = prepare(study, out, progress)
        for sentence in prepared.texts.notes:
            note(sentence)
        if prepared.todo:
            already = len(prepared.tasks) - len(prepared.todo)
            say(
                f"{prepared.study.title or study.stem}: {len(prepared.trunks)} trunks, "
                f"{sum(len(t.branches) for t in prepared.trunks)} decay branches into {out}"
                + (f"; {already} of {len(prepared.tasks)} parts already stand" if already else "")
            )
        with SweepProgress(prepared.tasks, prepared.todo) as watch:
            swept = run(prepared, study, workers, watch)
        if swept.outcome.stopped:
            say("Stopped; everything so far is kept. The same command goes on from here.", "yellow")
            return True
        for sentence in outcome_sentences(swept.outcome):
            note(sentence)
        if swept.outcome.failed:
            raise EnvironmentProblem(
                f"{len(swept.outcome.failed)} parts of the study could not be trained, the first because "
                f"{next(iter(swept.outcome.failed.values())).strip().splitlines()[-1].rstrip('.')}; what stands is "
                "kept, and the same command tries the rest again"
            )

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


def need_training_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "safetensors", "filelock") if find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
            'install the extra: pip install "scalinglab[train]"'
        )


def print_status(source: Path, out: Path | None, as_json: bool) -> None:
    """Every run of a study's folder: how far it is and its last measured loss."""
    folder = StudyFolder(source if source.is_dir() else out or Path("runs") / source.stem)
    if not source.exists():
        raise InputError(f"{source}: there is no such study file or folder")
    study = read_study(folder.study_path if source.is_dir() else source)
    if not folder.study_path.exists():
        raise InputError(f"{folder.path}: nothing has been trained there yet; start it with scalinglab sweep")
    rows: list[dict[str, Any]] = []
    from scalinglab.sweep.study_run import begun

    for trunk in begun(study, folder):
        runs = [(trunk.run, trunk.plan.steps), *((branch, branch.end) for branch in trunk.branches)]
        for one, end in runs:
            metrics = folder.run(one.id).read_metrics()
            at = max(metrics.train, default=one.start)
            measured = metrics.evals.get(max(metrics.evals, default=-1))
            found = measured["sets"].values() if measured else ()
            sets = [each.get("loss_per_byte", each["loss"]) for each in found]
            done = end in metrics.evals
            state = "diverged" if metrics.diverged is not None else "done" if done else "waiting"
            if state == "waiting" and metrics.train:
                state = "begun"
            rows.append(
                {
                    "run_id": one.id,
                    "size": one.shape.name,
                    "seed": one.seed,
                    "kind": one.kind,
                    "tokens": at * one.batch_tokens,
                    "of_tokens": end * one.batch_tokens,
                    "state": state,
                    "loss": sum(sets) / len(sets) if sets else None,
                    "steps_wasted": metrics.wasted,
                    "lines_dropped": metrics.dropped,
                }
            )
    if as_json:
        print_json({"study": str(folder.path), "runs": rows})
        return
    shown = table(f"{study.title or folder.path}", "run", "tokens", "of", "state", "held-out loss")
    for row in rows:
        kind = "trunk" if row["kind"] == "trunk" else "  decay"
        loss = "" if row["loss"] is None else f"{row['loss']:.4f}"
        shown.add_row(
            f"{kind} {row['size']} seed {row['seed']}",
            f"{row['tokens'] / 1e6:.3f}M",
            f"{row['of_tokens'] / 1e6:.3f}M",
            str(row["state"]),
            loss,
        )
    console.print(shown)
    finished = sum(row["state"] == "done" for row in rows)
    console.print(f"{finished} of {len(rows)} runs are done")
