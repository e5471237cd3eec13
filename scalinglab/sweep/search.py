"""A search of constants: many short runs of one size, each a trunk and its decay as any study would train them.

`suggest` decides what is tried and which trials go on; the engine trains; `records.trials` keeps what came of it. What
a trial leaves on disk while it runs lies in runs/<study>/trials/, and its states are deleted when it ends.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scalinglab import corpus
from scalinglab.errors import EnvironmentProblem, StudyConflict
from scalinglab.ladder import Study, read_study
from scalinglab.ladder.definition import Weights
from scalinglab.ladder.trials import rungs, searched, trial_horizon, trial_study
from scalinglab.records.measured import loss_unit, measured_loss
from scalinglab.records.store import MetricsLog, StudyFolder
from scalinglab.records.trials import Searched, State, Trial, read_search, search_path
from scalinglab.sweep.engine import Needs
from scalinglab.sweep.graph import Task, outstanding, planned_trunks, tasks
from scalinglab.sweep.local_engine import SAVE_EVERY, LocalEngine
from scalinglab.sweep.schedule_tasks import Watch, interrupts
from scalinglab.sweep.suggest import goes_on, need_sampler, suggest
from scalinglab.sweep.text import Progress, study_text, text_weights
from scalinglab.sweep.throughput import cores

_ATTEMPTS = 2  # a failed or lost task is tried once more
_LOOK_EVERY = 1.0  # seconds between looks for Ctrl-C while no worker speaks
_ONE = Needs()


@dataclass(frozen=True)
class PreparedSearch:
    """A search bound to its folder and text."""

    study: Study
    folder: StudyFolder
    texts: corpus.Corpus
    weights: Weights
    begun: Searched | None
    """What stands already."""
    trials: int
    """How many there shall be in all."""

    @property
    def left(self) -> int:
        """Trials without a last word."""
        return max(0, self.trials - (len(self.begun.finished) if self.begun else 0))

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        return searched(self.study).ranges

    @property
    def horizon(self) -> int:
        """Tokens of a trial that is not given up."""
        return trial_horizon(self.study)


def prepare_search(
    study_path: Path, out: Path, progress: Progress | None = None, trials: int | None = None
) -> PreparedSearch:
    """Read the study, get its text and see what stands. Trains nothing.

    trials: how many in all, if not as the study says.
    Raises InputError for a study without a search, EnvironmentProblem where the sampler's package is missing, and
    StudyConflict when `out` holds another search.
    """
    study = read_study(study_path)
    asked = trials or searched(study).trials
    folder = StudyFolder(out)
    texts = study_text(study, study_path, folder, progress)
    weights = text_weights(study, texts.names)
    begun = read_search(folder)
    prepared = PreparedSearch(study, folder, texts, weights, begun, asked)
    if prepared.left:
        need_sampler()
    if begun is not None:
        _check_same(folder, begun.header, _header(prepared))
    return prepared


def trial_tasks(prepared: PreparedSearch, settings: Mapping[str, float]) -> list[Task]:
    """The parts of a trial, each after the one it needs, the last its decay."""
    own = trial_study(prepared.study, settings)
    compiled = {
        size.label: own.training.compile is True for size in own.ladder.sizes
    }  # "auto": too short for it
    return tasks(planned_trunks(own, prepared.texts.fingerprint, prepared.weights, compiled))


def run_search(
    prepared: PreparedSearch,
    workers: int | None = None,
    watch: Watch = lambda event: None,
    save_every: float = SAVE_EVERY,
) -> bool:
    """Train the trials that are missing. False when it was stopped; what was trained is kept either way.

    watch: takes the engine's events, and ("trial", Trial) when one begins or has ended. Raises EnvironmentProblem when
    a trial cannot be trained.
    """
    folder = prepared.folder
    with folder.locked():
        begun = read_search(folder)  # another process may have been here since
        path = search_path(folder)
        with MetricsLog(path) as log:
            if begun is None:
                log.append("search", _header(prepared))
            engine = LocalEngine(folder.path / "trials", prepared.texts.files, workers or cores(), save_every)
            book = _Book(prepared, begun.trials if begun else [], log, watch)
            stopped = _loop(book, engine, watch)
    return not stopped


def _loop(book: "_Book", engine: LocalEngine, watch: Watch) -> bool:
    stopped = False
    with interrupts() as interrupted:
        try:
            while book.open or (book.unfinished and not stopped):
                if interrupted and not stopped:
                    stopped = True
                    watch(("stopping",))
                    engine.cancel()
                while not interrupted and engine.has_room(_ONE) and (task := book.take()) is not None:
                    book.open[engine.submit(task, _ONE)] = task
                for ticket, event in engine.wait(_LOOK_EVERY):
                    watch(event)
                    if ticket is not None:
                        book.note(ticket, event, stopped)
        finally:
            engine.close()
    return stopped


@dataclass
class _Book:
    """Where every trial stands."""

    prepared: PreparedSearch
    trials: list[Trial]
    log: MetricsLog
    watch: Watch
    open: dict[int, Task] = field(default_factory=dict)
    """Ticket -> what is being trained."""

    def __post_init__(self) -> None:
        self._search = searched(self.prepared.study)
        self._rungs = set(rungs(self.prepared.study))
        self._store = StudyFolder(self.prepared.folder.path / "trials")
        self._parts: dict[str, tuple[Trial, list[Task]]] = {}  # task id -> its trial and all its parts
        self._ready: list[Task] = []
        self._failures: dict[str, int] = {}
        self._waiting = [trial for trial in self.trials if trial.state == "running"]

    @property
    def unfinished(self) -> bool:
        """Whether something is to be trained that no worker has."""
        return bool(self._ready or self._waiting) or len(self.trials) < self.prepared.trials

    def take(self) -> Task | None:
        """The next task: what goes on before what begins, what was interrupted before what is new."""
        while not self._ready and self.unfinished:
            self._begin()
        return self._ready.pop(0) if self._ready else None

    def note(self, ticket: int, event: tuple[Any, ...], stopping: bool) -> None:
        kind, task = event[0], self.open[ticket]
        if kind == "progress":
            return
        if kind == "unable":
            raise EnvironmentProblem(event[2])
        del self.open[ticket]
        trial, parts = self._parts[task.id]
        if kind in ("done", "diverged"):
            self._advance(trial, parts)
        elif kind != "stopped" or not stopping:
            self._failures[task.id] = self._failures.get(task.id, 0) + 1
            sentence = event[2] if len(event) > 2 else "it was stopped before its end"
            if self._failures[task.id] >= _ATTEMPTS:
                raise EnvironmentProblem(
                    f"trial {trial.number} could not be trained, because {sentence.strip().splitlines()[-1]}; "
                    "what stands is kept, and the same command tries again"
                )
            self._ready.append(task)

    def _begin(self) -> None:
        """Take up an interrupted trial as far as it was trained, or draw a new one."""
        if self._waiting:
            trial = self._waiting.pop(0)
            parts = trial_tasks(self.prepared, trial.settings)
        else:
            number = len(self.trials)
            settings = suggest(self._search, number, self.trials)
            parts = trial_tasks(self.prepared, settings)
            trial = Trial(number, settings, run=parts[-1].run.id)
            self.log.append("begin", {"trial": number, "settings": settings, "run": trial.run})
            self.trials.append(trial)
        self._parts |= {part.id: (trial, parts) for part in parts}
        self.watch(("trial", trial))
        self._advance(trial, parts)

    def _advance(self, trial: Trial, parts: list[Task]) -> None:
        """Note what stands of a trial, and have its next part trained."""
        todo = outstanding(parts, self._store)
        for part in parts:
            diverged = self._store.run(part.run.id).read_metrics().diverged
            if diverged is not None and diverged <= part.end:
                self._end(trial, parts, "diverged", part.run.batches.tokens_at(diverged))
                return
            if part in todo:
                self._ready.insert(0, part)
                return
            self._measured(trial, part, parts)
            if trial.state != "running":
                return

    def _measured(self, trial: Trial, task: Task, parts: list[Task]) -> None:
        """Note what a part ended in, where that is not told yet."""
        record = self._store.run(task.run.id).read_metrics().evals[task.end]
        unit = loss_unit(record["sets"].values())
        losses = [measured_loss(found, unit)[0] for found in record["sets"].values()]
        loss, tokens = sum(losses) / len(losses), int(record["tokens"])
        if tokens in trial.measured:
            return
        then: State = "running"
        if task is parts[-1]:
            then = "complete"
        elif tokens in self._rungs and not goes_on(self._search, trial.number, tokens, loss, self.trials):
            then = "pruned"
        trial.measured[tokens] = loss
        entry = {"trial": trial.number, "tokens": tokens, "loss": loss, "loss_unit": unit, "then": then}
        self.log.append("measured", entry)
        trial.tokens = tokens
        if then != "running":
            self._end(trial, parts, then, tokens)

    def _end(self, trial: Trial, parts: list[Task], state: State, tokens: int) -> None:
        trial.state, trial.tokens = state, tokens
        if state == "diverged":
            self.log.append("diverged", {"trial": trial.number, "tokens": tokens})
        self.log.flush()
        for run_id in {part.run.id for part in parts}:
            shutil.rmtree(self._store.run(run_id).path / "checkpoints", ignore_errors=True)
        self.watch(("trial", trial))


def _header(prepared: PreparedSearch) -> dict[str, Any]:
    """What a search goes on under: everything but how many trials there shall be."""
    search, parts = searched(prepared.study), trial_tasks(prepared, {})
    run = parts[-1].run
    return {
        "size": run.shape.name,
        "params": run.shape.params,
        "horizon": prepared.horizon,
        "ranges": {name: list(ends) for name, ends in search.ranges.items()},
        "rungs": rungs(prepared.study),
        "keep": search.keep,
        "startup": search.startup,
        "seed": search.seed,
        "run": run.id,
        "sampler": f"optuna {version('optuna')}, multivariate TPE" if prepared.left else "",
    }


def _check_same(folder: StudyFolder, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        f"{key}: {begun.get(key)} -> {now[key]}"
        for key in now
        if key != "sampler" and begun.get(key) != now[key]
    ]
    if changed:
        raise StudyConflict(
            f"{folder.path} holds another search, and nothing was changed there. It differs in: {'; '.join(changed)}. "
            "Trials may be added; for anything else take another folder with --out"
        )
