"""Runs after the study: found by name, forked again, taken further, removed."""

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder import WSD, Branch, Decay, read_study
from scalinglab.ladder.definition import Run, run_of
from scalinglab.ladder.plan import Changes
from scalinglab.records.derive import derive_table
from scalinglab.records.measured import loss_unit, measured_loss
from scalinglab.records.store import Metrics, RunFolder, StudyFolder
from scalinglab.sweep.agreement import check_maths
from scalinglab.sweep.graph import Task, fork_task
from scalinglab.sweep.local_engine import run_tasks
from scalinglab.sweep.schedule_tasks import Outcome, Watch
from scalinglab.sweep.text import begun_text

State = Literal["waiting", "running", "stopped", "diverged", "done"]
"""waiting: nothing of it exists; stopped: begun, and nobody is training it."""


@dataclass(frozen=True)
class KnownRun:
    """A run on disk, with the study folder it lies in."""

    folder: StudyFolder
    run: RunFolder
    manifest: dict[str, Any]
    beyond: int = 0
    """Tokens for which the study has a branch trained on after its decay, to the last at which it is measured."""

    @property
    def id(self) -> str:
        return str(self.manifest["id"])

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def definition(self) -> Run:
        return run_of(self.manifest["definition"], self.manifest["size"])

    @property
    def end(self) -> int | None:
        """The step a branch is to reach, what follows its decay inside; others have none of their own."""
        end: int | None = self.manifest["end"]
        if end is None or not self.beyond:
            return end
        batches = self.definition.batches
        return batches.step_at(batches.tokens_at(end) + self.beyond)

    def branches(self) -> list["KnownRun"]:
        """The runs that forked from this one, the shortest horizon first."""
        found = [known for known in known_runs(self.folder) if known.manifest["parent"] == self.id]
        return sorted(found, key=lambda known: known.definition.batches.tokens_at(known.manifest["end"]))


def known_runs(folder: StudyFolder) -> list[KnownRun]:
    """Every run of a study folder that has begun, by id."""
    beyond = _beyond_decays(folder)
    return [_known(folder, run, beyond) for run in folder.runs()]


def known_run(folder: StudyFolder, run_id: str) -> KnownRun | None:
    """A run of a folder, or None where there is none of that id."""
    run = folder.run(run_id)
    return _known(folder, run, _beyond_decays(folder)) if (run.path / "manifest.json").exists() else None


def _known(folder: StudyFolder, run: RunFolder, beyond: dict[str, int]) -> KnownRun:
    manifest = run.manifest()
    own = manifest["kind"] == "branch" and manifest.get("origin", "study") == "study"
    return KnownRun(folder, run, manifest, beyond.get(manifest.get("recipe", ""), 0) if own else 0)


def _beyond_decays(folder: StudyFolder) -> dict[str, int]:
    """Recipe -> tokens after its decay at which a branch is last measured, by the study that was begun.

    A run does not say it itself: its study may ask for more tokens later.
    """
    if not folder.study_path.exists() or "after" not in folder.study_path.read_text("utf-8"):
        return {}  # without reading studies that have no such branch
    return {
        entry.name: max(entry.after.tokens) for entry in read_study(folder.study_path).branches if entry.after
    }


def run_state(run: RunFolder, metrics: Metrics, end: int | None = None) -> State:
    """What a run is doing, by its files.

    end: the step it is to reach; a run without one is done where it was last measured.
    """
    if metrics.diverged is not None:
        return "diverged"
    if run.busy:
        return "running"
    if (max(metrics.train, default=-1) if end is None else end) in metrics.evals:
        return "done"
    return "stopped" if (run.path / "manifest.json").exists() else "waiting"


def last_loss(metrics: Metrics) -> tuple[float | None, str]:
    """The last measured loss, the mean over the held-out sets, and its unit: nats/byte or nats/token."""
    sets = list(metrics.evals[max(metrics.evals)]["sets"].values()) if metrics.evals else []
    unit = loss_unit(sets)
    return (sum(measured_loss(found, unit)[0] for found in sets) / len(sets) if sets else None), unit


def find_run(reference: str | Path, kind: str | None = None, below: Path = Path("runs")) -> KnownRun:
    """The run of that name.

    reference: the run's folder; or STUDY_FOLDER/BEGINNING, where the beginning of an id is enough, as the name of a
        size is for its trunk; or such a beginning alone, looked for in the study folders of `below`.
    kind: "trunk" where only a trunk will do.
    Raises InputError when there is none or there are several, naming them.
    """
    path = Path(reference)
    if not path.name or path.name == "..":
        path = path.resolve()
    alone = path.parent == Path()
    if (path / "manifest.json").is_file():
        study = StudyFolder(path.parent)
        found = [_known(study, RunFolder(path), _beyond_decays(study))]
    else:
        found = []
        for folder in sorted(below.glob("*")) if alone else [path.parent]:
            begin = [known for known in known_runs(StudyFolder(folder)) if known.id.startswith(path.name)]
            exact = [known for known in begin if known.id == path.name]
            # the name of a size means its trunk, that of the first seed where it has several
            trunks = [
                known for known in begin if known.kind == "trunk" and known.manifest["size"] == path.name
            ]
            trunks.sort(key=lambda known: known.definition.seed)
            found += exact or trunks[:1] or begin
    if not found:
        if (path / "study.toml").is_file():
            raise InputError(
                f"{path} is a study, and this takes one of its runs; scalinglab ls {path} names them"
            )
        if not alone and not path.parent.is_dir():
            raise InputError(f"{path.parent}: there is no such study folder; scalinglab ls names the studies")
        where, at = (f"in the studies of {below}", below) if alone else (f"in {path.parent}", path.parent)
        raise InputError(f"no run {path.name!r} {where}; scalinglab ls {at} names them")
    if len(found) > 1:
        names = ", ".join(str(known.run.path) for known in found[:6]) + (", …" if len(found) > 6 else "")
        raise InputError(f"{reference} could be any of {names}; give more of the name")
    if kind is not None and found[0].kind != kind:
        parent = found[0].manifest["parent"]
        what = "was trained from scratch" if found[0].kind == "full" else f"is a {found[0].kind}"
        raise InputError(
            f"{found[0].id} {what}, and this takes a {kind}" + (f"; its {kind} is {parent}" if parent else "")
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
    batches, a batch that is no whole number of sequences, a mixture of other sources than the study's, a fork inside
    the warmup, and for a trunk that had diverged by then.
    """
    check_maths(trunk.folder)
    run = trunk.definition
    fork = _checkpoint(trunk, run, at)
    batches = run.batches if batch_tokens is None else run.batches.forked(fork, batch_tokens)
    batches.samples_before(fork + 1, run.shape.context)
    end = batches.step_at(at + tokens)
    if end is None or end <= fork:
        own = batches.at(fork)
        near = batches.tokens_at(max(batches.nearest_step(at + tokens), fork + 1)) - at
        raise InputError(
            f"a decay of {tokens} tokens is no whole number of batches of {own}; the nearest is {near}"
        )
    if fork < run.schedule.warmup:
        raise InputError(
            f"{at} tokens lie inside the warmup of {trunk.id}, which ends at "
            f"{run.batches.tokens_at(run.schedule.warmup)}; fork from there on"
        )
    schedule = WSD(run.schedule.warmup, Decay(shape, fork, end - fork, floor))
    recipe = f"fork {shape}"
    return fork_task(run.branch(Branch(fork, end, schedule, batches, recipe, changes)), recipe)


def extension(trunk: KnownRun, to: int) -> Task | None:
    """The rest of a trunk up to `to` tokens; None when it stands there already.

    Raises InputError for tokens between two updates, before the trunk's end, or beyond a divergence, and for a trunk
    that is being trained.
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
    _idle(trunk.run)
    if kept and end < kept[-1]:
        raise InputError(
            f"{trunk.id} has gone on to {run.batches.tokens_at(kept[-1])} tokens already and keeps no state at {to}; "
            f"it stands at {_listed(run, kept)}"
        )
    start = max((step for step in kept if step < end), default=0)
    if not start and metrics.evals:
        raise InputError(_without_states(trunk))
    return Task(run, start, end, (trunk.id, start) if start else None)


def perform_tasks(folder: StudyFolder, todo: list[Task], watch: Watch) -> Outcome:
    """Train tasks of a study that has begun, beside its own sweep perhaps, and derive its table anew.

    Raises InputError when another process is training one of the runs.
    """
    for task in todo:
        _idle(folder.run(task.run.id))
    texts = begun_text(read_study(folder.study_path), folder)
    # as their trunk was computed: on another device they would round otherwise
    device = folder.run(str(todo[0].source[0])).read_metrics().device if todo[0].source else None
    outcome = run_tasks(todo, folder.path, texts.files, len(todo), watch, device=device)
    derive_table(folder)
    return outcome


def remove(
    known: Iterable[KnownRun], checkpoints_only: bool = False, whole: StudyFolder | None = None
) -> None:
    """Delete runs, or only their states; the table of the study follows.

    whole: the study whose runs these are, where its folder goes too.
    Raises InputError when one is being trained, or the study is (its sweep relies on what stands), and when others
    than these would go, or lose their trunk; EnvironmentProblem naming what could not be removed.
    """
    runs = list(known)
    ids = {each.id for each in runs}
    folders = {each.folder for each in runs} | ({whole} if whole else set())
    failed: list[str] = []
    with ExitStack() as held:
        for folder in folders:
            if folder.busy:
                raise InputError(f"{folder.path}: a process is training this study; stop it first")
            held.enter_context(folder.locked())
        for each in runs:
            held.enter_context(each.run.locked())
        for other in [] if checkpoints_only else [each for folder in folders for each in known_runs(folder)]:
            if other.id not in ids and (other.folder == whole or other.manifest["parent"] in ids):
                raise InputError(
                    f"{other.run.path} belongs to what is to be removed and was begun meanwhile; give the same "
                    "command again"
                )
        for each in runs:
            _delete(each.run.path / "checkpoints" if checkpoints_only else each.run.path, failed)
        if whole and not failed:
            _delete(whole.path, failed)
        for folder in folders:
            if folder.path.exists() and not len(derive_table(folder).table):
                folder.table_path.unlink(missing_ok=True)
    if failed:
        raise EnvironmentProblem(f"could not be removed: {', '.join(failed)}; give the same command again")


def _delete(folder: Path, failed: list[str]) -> None:
    """Remove a folder; `failed` takes what could not be."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        failed.append(f"{error.filename or folder} ({error.strerror})")


def _checkpoint(trunk: KnownRun, run: Run, at: int) -> int:
    """The step of the checkpoint at `at` tokens."""
    step, kept = run.batches.step_at(at), trunk.run.checkpoints()
    if step in kept:
        _sound(trunk, step)
        return step
    if not kept:
        raise InputError(_without_states(trunk))
    near = sorted(sorted(kept, key=lambda each: abs(run.batches.tokens_at(each) - at))[:2])
    beyond = at > run.batches.tokens_at(kept[-1])
    to = run.batches.tokens_at(run.batches.nearest_step(at))
    raise InputError(
        f"{trunk.id} keeps no checkpoint at {at} tokens; the nearest {'is' if len(near) == 1 else 'are'} at "
        f"{_listed(run, near)}" + (_beyond(trunk, to) if beyond else "")
    )


def _beyond(trunk: KnownRun, to: int) -> str:
    """What to do where a fork lies beyond what is trained."""
    if trunk.folder.busy:
        return ". Its study is being trained and may get there: wait for it, and look with scalinglab show"
    return f". To fork beyond its end, extend it first: scalinglab extend {trunk.run.path} --to {to}"


def _without_states(trunk: KnownRun) -> str:
    if not trunk.run.read_metrics().evals:
        return f"{trunk.id} has no checkpoint yet; its study's sweep writes the first"
    return (
        f"{trunk.id} has no checkpoints any more; to train it again, remove it (scalinglab rm {trunk.run.path}) "
        "and sweep its study"
    )


def _idle(run: RunFolder) -> None:
    if run.busy:
        raise InputError(f"{run.path}: another process is training this run; wait for it or stop it")


def _sound(trunk: KnownRun, step: int) -> None:
    metrics = trunk.run.read_metrics()
    if metrics.diverged is not None and step >= metrics.diverged:
        raise InputError(
            f"{trunk.id} diverged at step {metrics.diverged}: {metrics.reason}; nothing goes on from there"
        )


def _listed(run: Run, steps: list[int]) -> str:
    *first, last = (str(run.batches.tokens_at(step)) for step in steps)
    return (f"{', '.join(first)} and {last}" if first else last) + " tokens"
