"""A study from its file to its table: what stands is kept, what is missing is trained."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scalinglab import corpus
from scalinglab.errors import EnvironmentProblem
from scalinglab.ladder import Cost, Study, read_study, total
from scalinglab.records.derive import derive_table
from scalinglab.records.files import write_atomic, write_json
from scalinglab.records.pack import unpack
from scalinglab.records.store import StudyFolder, read_json
from scalinglab.sweep import throughput
from scalinglab.sweep.agreement import check_data, check_maths, check_runs, check_text
from scalinglab.sweep.compiling import compiled_sizes, need_compiler
from scalinglab.sweep.graph import PlannedTrunk, Task, forked, outstanding, planned_trunks, tasks
from scalinglab.sweep.ledger import study_costs, trained_costs
from scalinglab.sweep.local_engine import SAVE_EVERY, check_shares, run_tasks
from scalinglab.sweep.schedule_tasks import Outcome, Watch
from scalinglab.sweep.text import Progress, study_text, text_weights
from scalinglab.sweep.throughput import cores

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Prepared:
    """A study bound to its folder and text, ready to run."""

    study: Study
    folder: StudyFolder
    texts: corpus.Corpus
    trunks: list[PlannedTrunk]
    tasks: list[Task]
    todo: list[Task]
    compiled: dict[str, bool] = field(default_factory=dict)
    """Size -> whether it is compiled."""
    notes: list[str] = field(default_factory=list)


@dataclass
class Swept:
    """What a sweep leaves behind."""

    prepared: Prepared
    table: pd.DataFrame
    planned: list[Cost]
    trained: list[Cost]
    """The same ledger, counted from what the metrics show."""
    outcome: Outcome
    notes: list[str] = field(default_factory=list)


def prepare(
    study_path: Path, out: Path, progress: Progress | None = None, workers: int | None = None
) -> Prepared:
    """Read the study, get its text and list what is still to be trained. Trains nothing.

    Branches that `fork` began and did not end belong to it. Raises StudyConflict when `out` holds runs that the study
    does not ask for, or of other text or maths.
    """
    study = read_study(study_path)
    folder = StudyFolder(out)
    unpack(folder)
    check_maths(folder)
    check_data(study, folder)
    texts = study_text(study, study_path, folder, progress)
    compiled, notes = compiled_sizes(study, folder, throughput.stored(), workers or cores())
    trunks = planned_trunks(study, texts.fingerprint, text_weights(study, texts.names), compiled)
    ids = [run.id for trunk in trunks for run in trunk.runs]
    check_runs(study, ids, folder)
    all_tasks = [*tasks(trunks), *forked(folder, ids)]
    return Prepared(study, folder, texts, trunks, all_tasks, outstanding(all_tasks, folder), compiled, notes)


def run(
    prepared: Prepared,
    study_path: Path,
    workers: int | None = None,
    watch: Watch | None = None,
    save_every: float = SAVE_EVERY,
    processes_per_task: int = 1,
    device: str | None = None,
) -> Swept:
    """Train what is missing and derive the table. A second call finds nothing to do.

    save_every: seconds between rolling checkpoints of every worker, which bound what a kill can cost.
    workers, processes_per_task, device: as `run_tasks` takes them, and refuses them.
    """
    folder, texts, outcome = prepared.folder, prepared.texts, Outcome()
    planned = [run.id for trunk in prepared.trunks for run in trunk.runs]
    if prepared.todo:
        check_shares(prepared.todo, processes_per_task)  # before anything is written
        _disk(prepared)
    with folder.locked():
        folder.sweep_up()
        if prepared.todo or _written(folder) != study_path.read_text("utf-8"):
            # another process may have been here since `prepare`
            check_runs(prepared.study, planned, folder)
            check_text(texts.fingerprint, folder)
            write_study(folder, study_path, prepared)
            # what `fork` is training at the moment it will finish itself
            begun_elsewhere = {
                task.id
                for task in prepared.tasks
                if task.origin == "command" and folder.run(task.run.id).busy
            }
            todo = [task for task in outstanding(prepared.tasks, folder) if task.id not in begun_elsewhere]
            if any(task.run.compiled for task in todo):
                need_compiler()
            outcome = run_tasks(
                todo,
                folder.path,
                texts.files,
                workers,
                watch or (lambda event: None),
                save_every,
                processes_per_task,
                device,
            )
            done = set(outcome.done)
            if processes_per_task == 1 and device != "cuda":  # speeds are of one core
                throughput.store(throughput.of_tasks((task for task in todo if task.id in done), folder))
        derived = derive_table(folder, write=not outcome.stopped)
    costs, spent = study_costs(prepared.trunks), trained_costs(prepared.trunks, folder)
    return Swept(
        prepared,
        derived.table,
        [*costs, total(costs)],
        [*spent, total(spent)],
        outcome,
        [*texts.notes, *prepared.notes, *derived.notes, *_repeats(derived.table)],
    )


def write_study(folder: StudyFolder, study_path: Path, prepared: Prepared) -> None:
    """The definition as the user wrote it, which text it means, and what was chosen for it."""
    texts = prepared.texts
    # the file itself last: while it is missing, nothing has begun
    if prepared.study.training.compile == "auto":
        write_json(folder.compiled_path, prepared.compiled)
    if not folder.data_path.exists() or not folder.runs():
        tokens = texts.tokens
        if tokens.file is not None:
            write_atomic(folder.tokenizer_path, tokens.file.read_bytes())
        else:
            folder.tokenizer_path.unlink(missing_ok=True)
        meaning = {"name": tokens.name, "vocab": tokens.vocab, "sha256": tokens.sha256}
        write_json(
            folder.data_path,
            {"fingerprint": texts.fingerprint, "sources": texts.summary()}
            | ({} if tokens.name == "bytes" else {"tokens": meaning}),
        )
    written = study_path.read_text("utf-8")
    if _written(folder) != written:
        write_atomic(folder.study_path, written)


def _written(folder: StudyFolder) -> str:
    return folder.study_path.read_text("utf-8") if folder.study_path.exists() else ""


def _repeats(table: pd.DataFrame) -> list[str]:
    """A sentence when a source was gone through more than once: the laws fitted here assume fresh text."""
    if table.empty or table["max_epochs"].max() <= 1:
        return []
    longest = max(table.to_dict("records"), key=lambda row: row["max_epochs"])
    runs = table.loc[table["repeated"], "run_id"].nunique()
    sentence = (
        f"{runs} run{'s' * (runs != 1)} repeated text (column `repeated`): {longest['run_id']} went through one of its "
        f"sources {longest['max_epochs']:.2f} times; repeated text is worth less than fresh text, and the fit does not "
        "know that"
    )
    return [sentence]


def begun(study: Study, folder: StudyFolder) -> list[PlannedTrunk]:
    """The planned trunks of a study that has begun, on the text its folder names. Opens no text.

    Raises InputError when the folder does not say which text that is.
    """
    unpack(folder)
    check_maths(folder)
    check_data(study, folder)
    data = read_json(folder.data_path)
    weights = text_weights(study, [row["source"] for row in data["sources"]])
    compiled, _ = compiled_sizes(study, folder, throughput.stored(), cores())
    trunks = planned_trunks(study, data["fingerprint"], weights, compiled)
    check_runs(study, [run.id for trunk in trunks for run in trunk.runs], folder)
    return trunks


def _disk(prepared: Prepared) -> None:
    """Refuse to begin what the disk cannot hold: three floats a parameter and checkpoint, and a margin."""
    needed = sum(12.0 * task.run.shape.params_total for task in prepared.todo if task.keeps_state) + 20e6
    place = prepared.folder.path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise EnvironmentProblem(
            f"{prepared.folder.path}: the study writes about {needed / 1e6:,.0f} MB of checkpoints and "
            f"{free / 1e6:,.0f} MB are free; free some space or take another folder with --out"
        )
