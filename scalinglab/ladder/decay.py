"""The last part of a run: from the peak learning rate down to a floor, in one of several shapes."""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

from scalinglab.errors import InputError
from scalinglab.ladder.identity import later

DECAYS: dict[str, Callable[[float, float], float]] = {
    "1-sqrt": lambda p, floor: floor + (1.0 - floor) * (1.0 - math.sqrt(p)),  # Hägele et al. 2024
    "linear": lambda p, floor: floor + (1.0 - floor) * (1.0 - p),
    "cosine": lambda p, floor: floor + (1.0 - floor) * (0.5 * (1.0 + math.cos(math.pi * p))),
    "exponential": lambda p, floor: (
        floor**p
    ),  # Hu et al. 2024 (MiniCPM), the half-life that ends at the floor
    "inverse-linear": lambda p, floor: 1.0 / (p / floor + (1.0 - p)),  # Wen et al. 2024 (WSD-S)
}
"""Shape -> factor at progress p = (step - start) / steps, 0 <= p <= 1, for a floor: 1 at p = 0, the floor at p = 1."""

_ENDLESS = ("exponential", "inverse-linear")
"""Shapes that never reach zero."""


@dataclass(frozen=True)
class Decay:
    """`steps` updates from `start` on, down towards `floor` x the peak.

    half_life: updates in which an exponential decay halves, factor 0.5^((s - start) / half_life), never below the
        floor (MiniCPM: 5000); without it the half-life is the one that reaches the floor at the decay's end.
    Raises InputError for a shape that is not known, negative counts, a floor outside [0, 1) or one of 0 where the
    shape never gets there, and a half-life of another shape.
    """

    shape: str
    start: int
    steps: int
    floor: float = 0.0
    half_life: float | None = later(None)

    def __post_init__(self) -> None:
        check_shape(self.shape, self.floor)
        if self.steps < 0 or self.start < 0:
            raise InputError(
                f"a decay of {self.steps} steps from step {self.start} is not possible; both must be 0 or more"
            )
        if self.half_life is None:
            return
        if self.shape != "exponential":
            raise InputError(
                f"a half-life of {self.half_life} goes with an exponential decay, not with {self.shape}; "
                "leave it out or choose exponential"
            )
        if not 0.0 < self.half_life < math.inf:
            raise InputError(f"a half-life of {self.half_life} steps is not possible; it must be positive")

    @property
    def end(self) -> int:
        """Updates finished when the decay has."""
        return self.start + self.steps

    def factor(self, step: int) -> float:
        """What the peak is multiplied with for the update after `step` updates: 1 before the decay.

        Past its end a decay stays where it came to; one of no steps changes nothing.
        """
        if step <= self.start or not self.steps:
            return 1.0
        step = min(step, self.end)
        if self.half_life is not None:
            return max(self.floor, 0.5 ** ((step - self.start) / self.half_life))
        if step == self.end:
            return self.floor
        return DECAYS[self.shape]((step - self.start) / self.steps, self.floor)


def check_shape(shape: str, floor: float) -> None:
    """Raises InputError unless a decay of this shape can end at this floor."""
    if shape not in DECAYS:
        near = difflib.get_close_matches(shape, DECAYS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(DECAYS)}"
        raise InputError(f"decay shape {shape!r} is not known; {hint}")
    if not 0.0 <= floor < 1.0:
        raise InputError(f"decay floor {floor} must lie in [0, 1)")
    if floor == 0.0 and shape in _ENDLESS:
        raise InputError(
            f"a decay of shape {shape} never reaches a floor of 0; give a floor above it, such as 0.1"
        )
