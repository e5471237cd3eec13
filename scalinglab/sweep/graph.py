"""A study as a graph of tasks: trunk segment -> next segment, trunk segment -> branch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scalinglab.ladder import Scratch, Shape, Study, Trunk, plan, plan_full
from scalinglab.ladder.definition import Run, Weights, root_run, run_of
from scalinglab.records.store import StudyFolder

STEP_OVERHEAD = 0.35e9
"""FLOPs that one update's fixed cost is worth; it weighs the progress bar, the order of work and the forecast."""


def step_cost(shape: Shape, batch_tokens: int) -> float:
    """FLOPs of an update, its fixed cost counted in."""
    return STEP_OVERHEAD + batch_tokens * shape.flops_exact()


@dataclass(frozen=True)
class Task:
    """Updates `start` .. `end` of one run, measured at the end. `source` is the state it starts from."""

    run: Run
    start: int
    end: int
    source: tuple[str, int] | None
    """(run id, step) of the checkpoint, None for fresh weights."""
    recipe: str = ""
    """The study's name for this way of training, where it has several."""
    origin: Literal["study", "command"] = "study"
    """Whether the study file asks for the run, or `fork` did."""
    probe: int = 0
    """Of how many updates one is looked at closely; 0 of none."""

    @property
    def id(self) -> str:
        return f"{self.run.id}@{self.end}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the tasks whose checkpoints this one starts from: one at most, but of a merge all that it averages."""
        if self.source is None:
            return ()
        run_id, step = self.source
        return tuple(f"{run_id}@{each}" for each in self.run.averaged or (step,))

    @property
    def keeps_state(self) -> bool:
        """Whether a checkpoint is written at its end; a merge is measured and not kept."""
        return not self.run.averaged

    @property
    def tokens(self) -> int:
        """Tokens that it trains on."""
        batches = self.run.batches
        return batches.tokens_at(self.end) - batches.tokens_at(self.start)

    @property
    def cost(self) -> float:
        """Work in FLOPs, the fixed cost of an update counted in."""
        return (self.end - self.start) * STEP_OVERHEAD + self.tokens * self.run.shape.flops_exact()

    @property
    def cost_per_step(self) -> float:
        return self.cost / max(1, self.end - self.start)


@dataclass(frozen=True)
class PlannedTrunk:
    """A planned trunk, or run from scratch, with the definitions of its runs on a given corpus."""

    plan: Trunk | Scratch
    run: Run
    variant: str = ""
    """The settings that differ from the study's own, in words."""
    probe: int = 0
    """As of a task."""

    @property
    def branches(self) -> list[Run]:
        return [self.run.branch(branch) for branch in self.plan.branches]

    @property
    def runs(self) -> list[Run]:
        """The trunk, then its branches."""
        return [self.run, *self.branches]


def planned_trunks(
    study: Study, data: str, weights: Weights, compiled: Mapping[str, bool] | None = None
) -> list[PlannedTrunk]:
    """Every trunk of a study, then what it trains from scratch, each run identified by its content.

    Variants follow one after the other.
    """
    found = []
    probe = study.probe.every if study.probe else 0
    for variant in study.expanded():
        own = variant.study
        roots: list[Trunk | Scratch] = [*plan(own), *plan_full(own)]
        for root in roots:
            run = root_run(own, root, data, weights, (compiled or {}).get(root.shape.name))
            found.append(PlannedTrunk(root, run, variant.name, probe))
    return found


def tasks(trunks: Iterable[PlannedTrunk]) -> list[Task]:
    """All tasks, each after the one it needs."""
    found = []
    for trunk in trunks:
        source: tuple[str, int] | None = None
        for station in trunk.plan.stations:
            begin = source[1] if source else 0
            recipe = trunk.plan.recipe_at(station) if isinstance(trunk.plan, Scratch) else ""
            found.append(Task(trunk.run, begin, station, source, recipe, probe=trunk.probe))
            source = (trunk.run.id, station)
        for planned, run in zip(trunk.plan.branches, trunk.branches, strict=True):
            start, source = run.start, (trunk.run.id, run.start)
            for end in (run.end, *planned.after):
                found.append(Task(run, start, end, source, planned.recipe, probe=trunk.probe))
                start, source = end, (run.id, end)
    return found


def forked(folder: StudyFolder, known: Iterable[str] = ()) -> list[Task]:
    """The branches in a folder that `fork` began, those left out that the study itself asks for (`known` ids)."""
    found, skip = [], set(known)
    for run in folder.runs():
        manifest = run.manifest()
        if (
            manifest.get("origin") == "command"
            and manifest["kind"] == "branch"
            and manifest["id"] not in skip
        ):
            found.append(
                fork_task(run_of(manifest["definition"], manifest["size"]), manifest.get("recipe", ""))
            )
    return found


def fork_task(run: Run, recipe: str = "") -> Task:
    """The one task of a branch that `fork` asks for."""
    return Task(run, run.start, run.end, (str(run.parent), run.start), recipe, "command")


def outstanding(all_tasks: Sequence[Task], folder: StudyFolder) -> list[Task]:
    """The tasks still to do, in order.

    A task is recorded once its measurement stands in the metrics; it is done again only when its
    checkpoint is gone and a later task needs it. What lies beyond the step at which a run diverged stays undone.
    """
    metrics = {run_id: folder.run(run_id).read_metrics() for run_id in {task.run.id for task in all_tasks}}
    diverged = {run_id: found.diverged for run_id, found in metrics.items() if found.diverged is not None}

    def spoilt(run_id: str, step: int) -> bool:
        return run_id in diverged and step >= diverged[run_id]

    wanted: set[str] = set()  # tasks whose checkpoint an outstanding task starts from
    todo: list[Task] = []
    for task in reversed(all_tasks):
        if spoilt(task.run.id, task.end) or (task.source and spoilt(*task.source)):
            continue
        recorded = task.end in metrics[task.run.id].evals
        lost = task.id in wanted and not folder.run(task.run.id).checkpoint_path(task.end).exists()
        if not recorded or lost:
            todo.append(task)
            wanted.update(task.needs)
    return todo[::-1]


def urgency(todo: Sequence[Task]) -> dict[str, float]:
    """Task id -> work of the longest chain that starts with it: what should be begun first."""
    chain: dict[str, float] = {}
    below: dict[str, float] = {}
    for task in reversed(todo):
        chain[task.id] = task.cost + below.get(task.id, 0.0)
        for need in task.needs:
            below[need] = max(below.get(need, 0.0), chain[task.id])
    return chain
