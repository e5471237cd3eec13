"""Schedules whose end is decided before they begin, and those without one: what WSD is compared with.

MiniCPM (Hu et al. 2024, section 4) compares WSD with cosine, cosine that restarts, linear, Noam and constant.
"""

import math
from dataclasses import dataclass, field

from scalinglab.errors import InputError
from scalinglab.ladder.schedule import Phase, Schedule, check_warmup, warmed, within


@dataclass(frozen=True)
class Cosine(Schedule):
    """MiniCPM's Cosine(T): after the warmup half a cosine, down to `floor` at step `period`, and flat after it.

    A run of S updates does best with period = S (section 4.1). Raises InputError for a warmup that fills the period
    and a floor outside [0, 1).
    """

    warmup: int
    period: int
    floor: float = 0.1
    kind: str = field(default="cosine", init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.warmup, self.period, self.floor, "period")

    @property
    def name(self) -> str:
        return "cosine"

    @property
    def end(self) -> int | None:
        return self.period

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return warmed(step, self.warmup)
        if step >= self.period:
            return self.floor
        return _cosine((step - self.warmup) / (self.period - self.warmup), self.floor)

    def phases(self, end: int) -> list[Phase]:
        return _down(self.warmup, self.period, end)


@dataclass(frozen=True)
class CosineLoop(Schedule):
    """A cosine that goes on past its period: down to `floor` at step `period`, up to the peak as slowly, and so on.

    MiniCPM calls it CosineLoop and speaks of its long rises, so the rate is taken to come up along the same
    cosine rather than to jump back as in Loshchilov & Hutter 2017; a fall and a rise take period − warmup updates
    each. Raises InputError as Cosine does.
    """

    warmup: int
    period: int
    floor: float = 0.1
    kind: str = field(default="cosine-loop", init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.warmup, self.period, self.floor, "period")

    @property
    def name(self) -> str:
        return "cosine-loop"

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return warmed(step, self.warmup)
        half = self.period - self.warmup
        into = (step - self.warmup) % (2 * half)
        return _cosine(min(into, 2 * half - into) / half, self.floor)

    def phases(self, end: int) -> list[Phase]:
        half = self.period - self.warmup
        found = [Phase("warmup", 0, self.warmup)]
        for i, start in enumerate(range(self.warmup, end, half)):
            found.append(Phase("rise" if i % 2 else "decay", start, start + half))
        return within(found, end)


@dataclass(frozen=True)
class Linear(Schedule):
    """After the warmup straight down to `floor` at step `total`. Raises InputError as Cosine does."""

    warmup: int
    total: int
    floor: float = 0.0
    kind: str = field(default="linear", init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.warmup, self.total, self.floor, "total")

    @property
    def name(self) -> str:
        return "linear"

    @property
    def end(self) -> int | None:
        return self.total

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return warmed(step, self.warmup)
        if step >= self.total:
            return self.floor
        return self.floor + (1.0 - self.floor) * (1.0 - (step - self.warmup) / (self.total - self.warmup))

    def phases(self, end: int) -> list[Phase]:
        return _down(self.warmup, self.total, end)


@dataclass(frozen=True)
class Noam(Schedule):
    """Vaswani et al. 2017: after the warmup down with the root of the step, sqrt(warmup / step), without an end.

    Counted in finished updates: the last of the warmup and the one after it have the peak. Raises InputError for a
    warmup of no updates, which leaves the fall without a scale.
    """

    warmup: int
    kind: str = field(default="noam", init=False, repr=False)

    def __post_init__(self) -> None:
        check_warmup(self.warmup, 1)

    @property
    def name(self) -> str:
        return "noam"

    def factor(self, step: int) -> float:
        return warmed(step, self.warmup) if step < self.warmup else math.sqrt(self.warmup / step)

    def phases(self, end: int) -> list[Phase]:
        return _down(self.warmup, end, end)


@dataclass(frozen=True)
class Constant(Schedule):
    """The peak from the warmup on, as a run of its own rather than a trunk to fork from."""

    warmup: int
    kind: str = field(default="constant", init=False, repr=False)

    def __post_init__(self) -> None:
        check_warmup(self.warmup)

    @property
    def name(self) -> str:
        return "constant"

    def factor(self, step: int) -> float:
        return warmed(step, self.warmup)

    def phases(self, end: int) -> list[Phase]:
        return within([Phase("warmup", 0, self.warmup), Phase("stable", self.warmup, end)], end)


def _cosine(progress: float, floor: float) -> float:
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def _down(warmup: int, bottom: int, end: int) -> list[Phase]:
    return within(
        [Phase("warmup", 0, warmup), Phase("decay", warmup, bottom), Phase("floor", bottom, end)], end
    )


def _check(warmup: int, bottom: int, floor: float, what: str) -> None:
    check_warmup(warmup)
    if bottom <= warmup:
        raise InputError(
            f"a {what} of {bottom} steps leaves nothing after the warmup of {warmup}; "
            f"use a longer {what} or a shorter warmup"
        )
    if not 0.0 <= floor < 1.0:
        raise InputError(f"a floor of {floor} must lie in [0, 1)")
