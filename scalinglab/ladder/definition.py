"""What a run is: everything that decides its numbers, and the identity that follows from it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from scalinglab.ladder.identity import digest, later, plain
from scalinglab.ladder.parametrisation import OptimiserKind, Scaling
from scalinglab.ladder.plan import Branch, Trunk
from scalinglab.ladder.schedule import WSD
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.study import Study

MATHS = 1
"""Raised whenever a change of the code alters what training computes, so that old runs stay apart."""


@dataclass(frozen=True)
class Run:
    """One trunk or one branch. Two runs with equal definitions compute the same bits.

    A trunk's definition does not say how far it goes: nothing on it depends on a horizon.
    """

    kind: Literal["trunk", "branch"]
    shape: Shape
    seed: int
    data: str
    """Fingerprint of the corpus."""
    weights: tuple[tuple[str, float], ...]
    """Source name and weight, in the order samples are drawn."""
    batch_tokens: int
    lr: float
    weight_decay: float
    betas: tuple[float, float]
    clip: float
    parametrisation: str
    width_base: int
    heldout_windows: int
    schedule: WSD
    parent: str | None = None
    """Id of the trunk a branch forks from, at its decay's first step."""
    maths: int = MATHS
    scaling: Scaling = later(Scaling())
    optimiser: OptimiserKind = later("adamw")

    @property
    def id(self) -> str:
        """Readable, and unique by content: size, seed, what it is, and a hash of the definition."""
        what = f"d{self.end * self.batch_tokens}" if self.kind == "branch" else "trunk"
        return f"{self.shape.name}-s{self.seed}-{what}-{digest(self.definition())}"

    @property
    def start(self) -> int:
        """Updates finished when the run begins: 0 for a trunk, the fork for a branch."""
        return self.schedule.decay.start if self.schedule.decay else 0

    @property
    def end(self) -> int:
        """Updates at a branch's end. A trunk has none of its own."""
        if self.schedule.decay is None:
            raise ValueError("a trunk has no end of its own")
        return self.schedule.decay.start + self.schedule.decay.steps

    def definition(self) -> dict[str, Any]:
        """As plain JSON values; the size's name is a label and not part of it."""
        found = plain(self)
        del found["shape"]["name"]
        return found

    def branch(self, branch: Branch) -> "Run":
        """The branch of this trunk."""
        return replace(self, kind="branch", schedule=branch.schedule, parent=self.id)


def trunk_run(study: Study, trunk: Trunk, data: str, weights: tuple[tuple[str, float], ...]) -> Run:
    """The definition of a planned trunk on a given corpus."""
    settings = study.training
    return Run(
        kind="trunk",
        shape=trunk.shape,
        seed=trunk.seed,
        data=data,
        weights=weights,
        batch_tokens=settings.batch_tokens,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        betas=(settings.beta1, settings.beta2),
        clip=settings.clip,
        parametrisation=study.model.parametrisation,
        width_base=study.model.width_base,
        heldout_windows=study.data.heldout_windows,
        schedule=trunk.schedule,
    )
