"""What a sweep will train, take and cost, before anything runs. Neither text nor torch is opened."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scalinglab.ladder import Cost, Study, memory_bytes, state_bytes, total
from scalinglab.ladder.definition import Run
from scalinglab.records.store import StudyFolder
from scalinglab.sweep.compiling import compiled_sizes, compiler
from scalinglab.sweep.graph import PlannedTrunk, Task, outstanding, planned_trunks, tasks, urgency
from scalinglab.sweep.ledger import study_costs
from scalinglab.sweep.text import source_names, text_weights
from scalinglab.sweep.throughput import Rate, Throughput, cores, how_of


@dataclass(frozen=True)
class SizeForecast:
    """One size: all its trunks, branches, merges and runs from scratch."""

    size: str
    params: int
    params_total: int
    trunks: int
    branches: int
    """Decays; merges are counted apart."""
    merges: int
    full: int
    horizons: tuple[int, ...]
    """Tokens at the ends of branches, of merges and of runs from scratch."""
    cost: Cost
    memory_bytes: int
    """Of one worker while it trains this size, the interpreter and its libraries left out."""
    disk_bytes: int
    """Of every checkpoint; a merge keeps none."""
    rate: Rate | None
    core_seconds: float | None
    """Of training and measuring, by one worker; None where no speed is known."""


@dataclass(frozen=True)
class Forecast:
    """A sweep before it runs."""

    title: str
    sizes: tuple[SizeForecast, ...]
    cost: Cost
    workers: int
    tasks: int
    outstanding: int
    """Parts still to do; all of them where nothing has begun."""
    seconds: float | None
    """From begin to end with so many workers, each part after the one it starts from."""
    core_seconds: float | None
    processor: str

    @property
    def disk_bytes(self) -> int:
        return sum(size.disk_bytes for size in self.sizes)

    @property
    def memory_bytes(self) -> int:
        """Of all workers at the worst moment: each on the largest size."""
        return self.workers * max(size.memory_bytes for size in self.sizes)


def forecast(study: Study, folder: StudyFolder, known: Throughput, workers: int | None = None) -> Forecast:
    """Sizes, horizons, cost, memory, disk and time of a study.

    folder: where it will run; what stands there is not counted in the time. known: this machine's speeds. Raises
    StudyConflict when the folder holds runs that the study does not ask for.
    """
    crew = workers or cores()
    trunks = _planned(study, folder, known, crew)
    every = tasks(trunks)
    begun = folder.study_path.exists()
    todo = outstanding(every, folder) if begun else every
    sets = len(trunks[0].run.weights) if trunks else 0
    rates = {
        _alike(trunk.run): known.rate(
            trunk.run.shape, trunk.run.batch_tokens, trunk.run.compiled, how_of(trunk.run)
        )
        for trunk in trunks
    }
    seconds = {task.id: _seconds(task, rates[_alike(task.run)], sets) for task in todo}
    sizes = []
    for name in dict.fromkeys(trunk.run.shape.name for trunk in trunks):
        own = [trunk for trunk in trunks if trunk.run.shape.name == name]
        ids = {run.id for trunk in own for run in trunk.runs}
        shape, rate = own[0].run.shape, rates[_alike(own[0].run)]
        batches = [batch for trunk in own for run in trunk.runs for batch in _batches(run)]
        sizes.append(
            SizeForecast(
                name,
                shape.params,
                shape.params_total,
                sum(trunk.run.kind == "trunk" for trunk in own),
                sum(run.kind == "branch" for trunk in own for run in trunk.branches),
                sum(run.kind == "merge" for trunk in own for run in trunk.branches),
                sum(trunk.run.kind == "full" for trunk in own),
                tuple(sorted({end for trunk in own for end in _ends(trunk)})),
                total(study_costs(own), name),
                memory_bytes(shape, max(batches)),
                state_bytes(shape) * sum(task.keeps_state for task in every if task.run.id in ids),
                rate,
                _sum(seconds[task.id] for task in todo if task.run.id in ids),
            )
        )
    return Forecast(
        study.title,
        tuple(sizes),
        total(size.cost for size in sizes),
        crew,
        len(every),
        len(todo),
        _makespan(todo, seconds, crew),
        _sum(seconds.values()),
        known.processor,
    )


def timed_runs(study: Study, folder: StudyFolder) -> list[Run]:
    """One run of each size and batch, to measure its speed; compiled too where the study leaves that open."""
    planned = _planned(study, folder, Throughput({}, ""), 1)
    runs = list({_alike(trunk.run): trunk.run for trunk in planned}.values())
    if study.training.compile == "auto" and compiler() is not None:
        return [replace(run, compiled=compiled) for run in runs for compiled in (False, True)]
    return runs


def _planned(study: Study, folder: StudyFolder, known: Throughput, workers: int) -> list[PlannedTrunk]:
    if folder.study_path.exists() and folder.data_path.exists():
        from scalinglab.sweep.study_run import begun

        return begun(study, folder)
    compiled, _ = compiled_sizes(study, folder, known, workers)
    return planned_trunks(study, "not opened", text_weights(study, source_names(study)), compiled)


def _alike(run: Run) -> tuple[str, int]:
    return run.shape.name, run.batch_tokens


def _batches(run: Run) -> list[int]:
    return [run.batch_tokens, *(tokens for _, tokens in run.ramp)]


def _ends(trunk: PlannedTrunk) -> list[int]:
    branches = [run.batches.tokens_at(run.end) for run in trunk.branches]
    if trunk.run.kind == "full":
        return [trunk.run.batches.tokens_at(end) for end in trunk.plan.stations]
    return branches


def _seconds(task: Task, rate: Rate | None, sets: int) -> float | None:
    """Training and measuring; a forward pass over the held-out windows is a third of training on them."""
    if rate is None:
        return None
    run = task.run
    measured = sets * run.heldout_windows * run.shape.context
    per_token = rate.seconds_per_step / run.batch_tokens
    # a probed update takes one gradient more, so does the last one of a record, and the rest is copies
    gradients = 1.0 + (1.3 / task.probe if task.probe else 0.0)
    return per_token * (gradients * task.tokens + measured / 3.0)


def _sum(values: object) -> float | None:
    found = list(values)  # type: ignore[call-overload]
    return None if None in found else float(sum(found))


def _makespan(todo: Sequence[Task], seconds: Mapping[str, float | None], workers: int) -> float | None:
    """The engine's own order of work, played through: most urgent first, each task after the one it needs."""
    if None in seconds.values():
        return None
    order = urgency(todo)
    ids = {task.id for task in todo}
    waiting = {task.id: needs for task in todo if (needs := ids.intersection(task.needs))}
    ready = [(-order[task.id], task.id) for task in todo if task.id not in waiting]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, task_id = heapq.heappop(ready)
            heapq.heappush(running, (now + float(seconds[task_id] or 0.0), task_id))
        now, done = heapq.heappop(running)
        for task_id in [task_id for task_id, needs in waiting.items() if done in needs]:
            waiting[task_id].discard(done)
            if not waiting[task_id]:
                del waiting[task_id]
                heapq.heappush(ready, (-order[task_id], task_id))
    return now
