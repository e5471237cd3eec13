"""Runs after the study: found by name, forked again, taken further, removed."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalinglab.errors import InputError
from scalinglab.ladder import WSD, Branch, Decay, read_study
from scalinglab.ladder.definition import Run, run_of
from scalinglab.ladder.plan import Changes
from scalinglab.records.derive import derive_table
from scalinglab.records.store import RunFolder, StudyFolder
from scalinglab.sweep.agreement import check_maths
from scalinglab.sweep.engine import Outcome, Watch, run_tasks
from scalinglab.sweep.graph import Task, fork_task
from scalinglab.sweep.text import begun_text


@dataclass(frozen=True)
class KnownRun:
    """A run on disk, with the study folder it lies in."""

    folder: StudyFolder
    run: RunFolder
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.manifest["id"])

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def definition(self) -> Run:
        return run_of(self.manifest["definition"], self.manifest["size"])

    def branches(self) -> list["KnownRun"]:
        """The runs that forked from this one, the shortest horizon first."""
        found = [known for known in known_runs(self.folder) if known.manifest["parent"] == self.id]
        return sorted(found, key=lambda known: known.definition.batches.tokens_at(known.manifest["end"]))


def known_runs(folder: StudyFolder) -> list[KnownRun]:
    """Every run of a study folder that has begun, by id."""
    return [KnownRun(folder, run, run.manifest()) for run in folder.runs()]


def find_run(reference: str | Path, kind: str | None = None, below: Path = Path("runs")) -> KnownRun:
    """The run of that name.

    reference: the run's folder; or STUDY_FOLDER/BEGINNING, where the beginning of an id is enough, as the name of a
        size is for its trunk; or such a beginning alone, looked for in the study folders of `below`.
    kind: "trunk" where only a trunk will do.
    Raises InputError when there is none or there are several, naming them.
    """
    path = Path(reference)
    if (path / "manifest.json").is_file():
        found = [KnownRun(StudyFolder(path.parent), RunFolder(path), RunFolder(path).manifest())]
    else:
        folders = [path.parent] if path.parent != Path() else sorted(below.glob("*"))
        found = [
            known
            for folder in folders
            for known in known_runs(StudyFolder(folder))
            if known.id == path.name or known.id.startswith(path.name)
        ]
        exact = [known for known in found if known.id == path.name]
        # the name of a size means its trunk, or the first of its trunks' seeds
        trunks = [known for known in found if known.kind == "trunk" and known.manifest["size"] == path.name]
        found = exact or trunks[:1] or found
    if not found:
        where = f"in {path.parent}" if path.parent != Path() else f"in the studies of {below}"
        raise InputError(f"no run {path.name!r} {where}; scalinglab ls names them")
    if len(found) > 1:
        names = ", ".join(known.id for known in found[:6]) + (", …" if len(found) > 6 else "")
        raise InputError(f"{reference} could be any of {names}; give more of the name")
    if kind is not None and found[0].kind != kind:
        raise InputError(
            f"{found[0].id} is a {found[0].kind}, and this takes a {kind}"
            + (f"; its {kind} is {found[0].manifest['parent']}" if found[0].manifest["parent"] else "")
        )
    return found[0]


def forked_branch(
    trunk: KnownRun,
    at: int,
    shape: str,
    tokens: int,
    floor: float = 0.0,
    changes: Changes = Changes(),  # noqa: B008
    batch_tokens: int | None = None,
) -> Task:
    """A branch from a trunk's checkpoint: the decay of `shape` over `tokens` tokens, down to `floor` x the peak.

    at: tokens at the fork, where a checkpoint must stand: a fork is exact or refused.
    Raises InputError with the nearest checkpoints where there is none, for a decay that is no whole number of
    batches, and for a trunk that had diverged by then.
    """
    check_maths(trunk.folder)
    run = trunk.definition
    fork = _checkpoint(trunk, run, at)
    batches = run.batches if batch_tokens is None else run.batches.forked(fork, batch_tokens)
    end = batches.step_at(at + tokens)
    if end is None or end <= fork:
        own = batches.at(fork)
        near = max(1, round(tokens / own)) * own
        raise InputError(
            f"a decay of {tokens} tokens is no whole number of batches of {own}; the nearest is {near}"
        )
    schedule = WSD(run.schedule.warmup, Decay(shape, fork, end - fork, floor))
    recipe = f"fork {shape}"
    return fork_task(run.branch(Branch(fork, end, schedule, batches, recipe, changes)), recipe)


def extension(trunk: KnownRun, to: int) -> Task | None:
    """The rest of a trunk up to `to` tokens; None when it stands there already.

    Raises InputError for tokens between two updates, before the trunk's end, or beyond a divergence.
    """
    check_maths(trunk.folder)
    run = trunk.definition
    end = run.batches.step_at(to)
    if end is None:
        near = run.batches.nearest_step(to)
        raise InputError(
            f"{to} tokens lie between two updates of {trunk.id}; the nearest end of one is at "
            f"{run.batches.tokens_at(near)}"
        )
    kept, metrics = trunk.run.checkpoints(), trunk.run.read_metrics()
    if end in kept and end in metrics.evals:
        return None
    _sound(trunk, end)
    if kept and end < kept[-1]:
        raise InputError(
            f"{trunk.id} has gone on to {run.batches.tokens_at(kept[-1])} tokens already and keeps no state at {to}; "
            f"it stands at {_listed(run, kept)}"
        )
    start = max((step for step in kept if step < end), default=0)
    if not start and metrics.evals:
        raise InputError(
            f"{trunk.id} has no checkpoints any more to go on from; its study's own command trains it again"
        )
    return Task(run, start, end, (trunk.id, start) if start else None)


def perform_tasks(folder: StudyFolder, todo: list[Task], watch: Watch) -> Outcome:
    """Train tasks of a study that has begun, and derive its table anew."""
    texts = begun_text(read_study(folder.study_path), folder)
    outcome = run_tasks(todo, folder.path, texts.files, len(todo), watch)
    derive_table(folder)
    return outcome


def remove(known: Iterable[KnownRun], checkpoints_only: bool = False) -> None:
    """Delete runs, or only their states; the table of the study follows.

    Raises InputError when one is being trained.
    """
    runs = list(known)
    for each in runs:
        if each.run.busy:
            raise InputError(f"{each.run.path}: a process is training this run; stop it first")
    for each in runs:
        shutil.rmtree(
            each.run.path / "checkpoints" if checkpoints_only else each.run.path, ignore_errors=True
        )
    for folder in {each.folder for each in runs}:
        if not len(derive_table(folder).table):
            folder.table_path.unlink(missing_ok=True)


def _checkpoint(trunk: KnownRun, run: Run, at: int) -> int:
    """The step of the checkpoint at `at` tokens."""
    step, kept = run.batches.step_at(at), trunk.run.checkpoints()
    if step in kept:
        _sound(trunk, step)
        return step
    if not kept:
        raise InputError(
            f"{trunk.id} has no checkpoints to fork from; its study's own command trains it again"
        )
    near = sorted(sorted(kept, key=lambda each: abs(run.batches.tokens_at(each) - at))[:2])
    beyond = at > run.batches.tokens_at(kept[-1])
    raise InputError(
        f"{trunk.id} keeps no checkpoint at {at} tokens; the nearest {'is' if len(near) == 1 else 'are'} at "
        f"{_listed(run, near)}"
        + (
            f". To fork beyond its end, extend it first: scalinglab extend {trunk.run.path} --to {at}"
            if beyond
            else ""
        )
    )


def _sound(trunk: KnownRun, step: int) -> None:
    metrics = trunk.run.read_metrics()
    if metrics.diverged is not None and step >= metrics.diverged:
        raise InputError(
            f"{trunk.id} diverged at step {metrics.diverged}: {metrics.reason}; nothing goes on from there"
        )


def _listed(run: Run, steps: list[int]) -> str:
    return " and ".join(str(run.batches.tokens_at(step)) for step in steps) + " tokens"
