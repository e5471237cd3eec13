"""A study turned into runs, and what they cost before and after they are trained."""

from collections.abc import Iterable
from dataclasses import dataclass

from scalinglab.errors import InputError
from scalinglab.ladder.presets import DecaySpec
from scalinglab.ladder.schedule import WSD
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.study import Study


@dataclass(frozen=True)
class Branch:
    """A decay forked from a trunk: updates `fork` .. `end`, its horizon being `end`."""

    fork: int
    end: int
    schedule: WSD

    @property
    def steps(self) -> int:
        return self.end - self.fork


@dataclass(frozen=True)
class Trunk:
    """One size's warmup and stable run, and the branches that fork from it. Counted in updates."""

    shape: Shape
    seed: int
    batch_tokens: int
    schedule: WSD
    branches: tuple[Branch, ...]

    @property
    def forks(self) -> list[int]:
        return sorted({branch.fork for branch in self.branches})

    @property
    def steps(self) -> int:
        """The trunk ends at its furthest fork: nothing needs it beyond."""
        return self.forks[-1]

    @property
    def evaluations(self) -> list[int]:
        """Where the trunk is measured: at its forks, and at the branches' ends that it reaches."""
        ends = {branch.end for branch in self.branches if branch.end < self.steps}
        return sorted(ends.union(self.forks))


def plan(study: Study) -> list[Trunk]:
    """The trunks of a study with their branches, smallest size first.

    A branch of S updates decays over its last round(share·S), at least one. Raises InputError when
    a fork would lie inside the warmup.
    """
    batch, spec = study.training.batch_tokens, study.schedule
    warmup = -(-spec.warmup_tokens // batch)
    decays = DecaySpec(spec.decay, spec.decay_share, spec.floor)
    trunks = []
    for size in study.ladder.sizes:
        shape = study.shape(size)
        for seed, horizons in study.trunks(size):
            branches = []
            for tokens in horizons:
                end = tokens // batch
                try:
                    decay = decays.decay(end)
                except InputError as error:
                    raise InputError(f"horizon {tokens} of size {size.name!r}: {error}") from None
                branches.append(Branch(decay.start, end, WSD(warmup, decay)))
            trunks.append(Trunk(shape, seed, batch, WSD(warmup), tuple(branches)))
    return sorted(trunks, key=lambda trunk: (trunk.shape.params, trunk.seed))


@dataclass(frozen=True)
class Cost:
    """Updates and training FLOPs of a ladder: trunks, branches, and the same points from scratch.

    FLOPs are given twice: by 6·N·D with N non-embedding, and as executed (`Shape.flops_exact`).
    """

    size: str
    trunk_steps: int
    branch_steps: int
    scratch_steps: int
    trunk_flops: float
    branch_flops: float
    scratch_flops: float
    trunk_flops_exact: float
    branch_flops_exact: float
    scratch_flops_exact: float

    @property
    def ratio(self) -> float:
        """How many times more the same points cost when each is trained from scratch."""
        return self.scratch_flops / (self.trunk_flops + self.branch_flops)

    @property
    def ratio_exact(self) -> float:
        return self.scratch_flops_exact / (self.trunk_flops_exact + self.branch_flops_exact)


def trunk_cost(
    trunk: Trunk,
    trunk_steps: int | None = None,
    branch_steps: int | None = None,
    scratch_steps: int | None = None,
) -> Cost:
    """Cost of one trunk and its branches; the steps really trained, and reached, may be given instead.

    Planned: WSD costs the furthest fork + Σ decay_i, from scratch Σ end_i, in whole updates.
    """
    steps = trunk.steps if trunk_steps is None else trunk_steps
    forked = sum(b.steps for b in trunk.branches) if branch_steps is None else branch_steps
    scratch = sum(b.end for b in trunk.branches) if scratch_steps is None else scratch_steps
    per_step = trunk.batch_tokens * trunk.shape.flops_6n()
    exact = trunk.batch_tokens * trunk.shape.flops_exact()
    return Cost(
        trunk.shape.name,
        steps, forked, scratch,
        steps * per_step, forked * per_step, scratch * per_step,
        steps * exact, forked * exact, scratch * exact,
    )  # fmt: skip


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of several costs."""
    rows = list(costs)
    counts = [field for field in Cost.__dataclass_fields__ if field != "size"]
    return Cost("all", **{field: sum(getattr(row, field) for row in rows) for field in counts})


def ledger(trunks: Iterable[Trunk]) -> list[Cost]:
    """What a plan costs, a row each trunk and the sum last."""
    rows = [trunk_cost(trunk) for trunk in trunks]
    return [*rows, total(rows)]
