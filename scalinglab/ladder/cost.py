"""What a plan costs: updates, tokens and FLOPs of trunks, branches, and the same points from scratch.

Per size, WSD costs the furthest fork + Σ decay_i, from scratch Σ end_i, in whole updates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from scalinglab.ladder.shapes import Shape

if TYPE_CHECKING:
    from scalinglab.ladder.plan import Scratch, Trunk


@dataclass(frozen=True)
class Spent:
    """Work of one kind. FLOPs twice: by 6·N·D with N non-embedding, and as executed (`Shape.flops_exact`)."""

    steps: int = 0
    tokens: int = 0
    flops: float = 0.0
    flops_exact: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Spent)))

    @classmethod
    def of(cls, shape: Shape, steps: int, tokens: int) -> Spent:
        """So many updates and tokens of a shape."""
        return cls(steps, tokens, tokens * shape.flops_6n(), tokens * shape.flops_exact())


@dataclass(frozen=True)
class Cost:
    """What one size's trunk and branches cost, beside the same points each trained from scratch."""

    size: str
    trunk: Spent = Spent()
    branch: Spent = Spent()
    scratch: Spent = Spent()
    wasted: Spent = Spent()
    """Trained again after interruptions; in none of the others."""

    @property
    def ladder(self) -> Spent:
        """Trunk and branches."""
        return self.trunk + self.branch

    @property
    def ratio(self) -> float:
        """How many times more the same points cost when each is trained from scratch."""
        return self.scratch.flops / self.ladder.flops if self.ladder.flops else math.nan

    @property
    def ratio_exact(self) -> float:
        return self.scratch.flops_exact / self.ladder.flops_exact if self.ladder.flops else math.nan

    def flat(self) -> dict[str, float]:
        """Every number under one name: trunk_steps, branch_tokens, scratch_flops_exact and so on."""
        return {
            f"{part}_{f.name}": getattr(getattr(self, part), f.name)
            for part in ("trunk", "branch", "scratch", "wasted")
            for f in fields(Spent)
        }


def trunk_cost(trunk: Trunk) -> Cost:
    """Cost of a planned trunk and its branches."""

    def spent(steps: int, tokens: int) -> Spent:
        return Spent.of(trunk.shape, steps, tokens)

    none = Spent()
    return Cost(
        trunk.label,
        spent(trunk.steps, trunk.batches.tokens_at(trunk.steps)),
        sum((spent(branch.steps, branch.tokens) for branch in trunk.branches), none),
        sum((spent(b.end, b.batches.tokens_at(b.end)) for b in trunk.branches if not b.averaged), none),
    )


def scratch_cost(run: Scratch) -> Cost:
    """Cost of a run that a study trains from scratch itself: all of it is trunk, and nothing is saved."""
    spent = Spent.of(run.shape, run.steps, run.batches.tokens_at(run.steps))
    ends = (Spent.of(run.shape, end, run.batches.tokens_at(end)) for end in run.ends)
    return Cost(run.label, trunk=spent, scratch=sum(ends, Spent()))


def total(costs: Iterable[Cost], size: str = "all") -> Cost:
    """The sum of several costs."""
    rows = list(costs)
    parts = ("trunk", "branch", "scratch", "wasted")
    return Cost(size, *(sum((getattr(row, part) for row in rows), Spent()) for part in parts))


def ledger(trunks: Iterable[Trunk]) -> list[Cost]:
    """What a plan costs, a row each trunk and the sum last."""
    rows = [trunk_cost(trunk) for trunk in trunks]
    return [*rows, total(rows)]
