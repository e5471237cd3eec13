"""The cost ledger of a study: as planned, and as its metrics show it."""

from collections.abc import Sequence

from scalinglab.ladder import Cost, Scratch, Spent, scratch_cost, trunk_cost
from scalinglab.ladder.definition import Run
from scalinglab.records.store import Metrics, StudyFolder
from scalinglab.sweep.graph import PlannedTrunk, forked


def study_costs(trunks: Sequence[PlannedTrunk]) -> list[Cost]:
    """What is planned, a row each trunk and each run from scratch."""
    return [
        scratch_cost(trunk.plan) if isinstance(trunk.plan, Scratch) else trunk_cost(trunk.plan)
        for trunk in trunks
    ]


def trained_costs(trunks: Sequence[PlannedTrunk], folder: StudyFolder) -> list[Cost]:
    """The same ledger as the metrics show it, branches that `fork` added and what interruptions wasted counted in."""
    extra = forked(folder, [run.id for trunk in trunks for run in trunk.runs])
    rows = []
    for trunk in trunks:
        shape, none = trunk.run.shape, Spent()
        branches = [*trunk.branches, *(task.run for task in extra if task.run.parent == trunk.run.id)]
        metrics = {run.id: folder.run(run.id).read_metrics() for run in (trunk.run, *branches)}

        def spent(run: Run, metrics: dict[str, Metrics] = metrics) -> Spent:
            end = max(metrics[run.id].train, default=run.start)
            tokens = run.batches.tokens_at(end) - run.batches.tokens_at(run.start)
            return Spent.of(run.shape, end - run.start, tokens)

        def wasted(run: Run, metrics: dict[str, Metrics] = metrics) -> Spent:
            again = metrics[run.id].repeated
            tokens = sum(run.batches.tokens_at(last) - run.batches.tokens_at(first) for first, last in again)
            return Spent.of(run.shape, metrics[run.id].wasted, tokens)

        ends = [
            (run, run.end) for run in branches if run.kind == "branch" and run.end in metrics[run.id].evals
        ]
        if isinstance(trunk.plan, Scratch):
            ends = [(trunk.run, end) for end in trunk.plan.ends if end in metrics[trunk.run.id].evals]
        rows.append(
            Cost(
                trunk.plan.label,
                spent(trunk.run),
                sum((spent(run) for run in branches), none),
                sum((Spent.of(shape, end, run.batches.tokens_at(end)) for run, end in ends), none),
                sum((wasted(run) for run in (trunk.run, *branches)), none),
            )
        )
    return rows
