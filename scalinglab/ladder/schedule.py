"""Learning-rate schedules: pure functions of the step, so a resumed run cannot keep an old one.

WSD (Hu et al. 2024, MiniCPM, section 4): warm up, hold, decay. A trunk is a schedule without a
decay; a branch is its trunk's schedule with one. Steps count finished updates: `factor(0)` scales
the first update.
"""

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from scalinglab.errors import InputError
from scalinglab.ladder.decay import Decay


class Phase(NamedTuple):
    """Updates `start` .. `end` of a run in which the rate does one thing."""

    name: Literal["warmup", "stable", "decay", "rise", "floor"]
    start: int
    end: int


class Schedule(ABC):
    """What the peak learning rate is multiplied with, update by update. Kinds are frozen dataclasses."""

    warmup: int
    """Updates of linear warmup: the first has 1/warmup of the peak, the last all of it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For tables: "wsd-1-sqrt", "cosine"; "constant" for a trunk."""

    @property
    def end(self) -> int | None:
        """Updates after which nothing changes any more by design, or None: a trunk can go on forever."""
        return None

    @abstractmethod
    def factor(self, step: int) -> float:
        """What the peak learning rate is multiplied with for the update after `step` updates."""

    @abstractmethod
    def phases(self, end: int) -> list[Phase]:
        """What the rate does in the first `end` updates; phases of no updates are left out."""

    def decay_share(self, end: int) -> float:
        """Share of the first `end` updates spent in the decay that they finish in; 0 where they finish in none.

        A floor held after a decay belongs to neither, but the decay before it counts.
        """
        phases = [phase for phase in self.phases(end) if phase.name != "floor"]
        if not phases or phases[-1].name != "decay":
            return 0.0
        return (phases[-1].end - phases[-1].start) / end


def warmed(step: int, warmup: int) -> float:
    """Factor of the linear warmup."""
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def check_warmup(warmup: int, least: int = 0) -> None:
    """Raises InputError for a warmup below `least`."""
    if warmup < least:
        raise InputError(f"a warmup of {warmup} steps is not possible; it must be {least} or more")


def within(phases: list[Phase], end: int) -> list[Phase]:
    """What of the phases lies before `end`."""
    cut = [Phase(name, start, min(stop, end)) for name, start, stop in phases]
    return [phase for phase in cut if phase.start < phase.end]


@dataclass(frozen=True)
class WSD(Schedule):
    """Warmup-stable-decay. `decay=None` is a trunk: it never ends by itself.

    Raises InputError for a decay that starts inside the warmup.
    """

    warmup: int
    decay: Decay | None = None

    def __post_init__(self) -> None:
        check_warmup(self.warmup)
        if self.decay is not None:
            _check_start(self.decay, self.warmup)

    @property
    def name(self) -> str:
        return f"wsd-{self.decay.shape}" if self.decay else "constant"

    @property
    def end(self) -> int | None:
        return self.decay.end if self.decay else None

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return warmed(step, self.warmup)
        return self.decay.factor(step) if self.decay else 1.0

    def phases(self, end: int) -> list[Phase]:
        warmup = Phase("warmup", 0, self.warmup)
        if self.decay is None or not self.decay.steps:
            return within([warmup, Phase("stable", self.warmup, end)], end)
        start, stop = self.decay.start, self.decay.end
        return within(
            [
                warmup,
                Phase("stable", self.warmup, start),
                Phase("decay", start, stop),
                Phase("floor", stop, end),
            ],
            end,
        )


@dataclass(frozen=True)
class WSDS(Schedule):
    """WSD-S (Wen et al. 2024): one run that decays to each horizon and goes on from there at the full rate.

    The update after a decay's end has the peak again. Raises InputError for decays that overlap each other or the
    warmup, or are not in order.
    """

    warmup: int
    decays: tuple[Decay, ...]
    kind: str = field(default="wsd-s", init=False, repr=False)

    def __post_init__(self) -> None:
        check_warmup(self.warmup)
        if not self.decays:
            raise InputError(
                "WSD-S needs a decay for each horizon; give one at least, or use WSD without one"
            )
        _check_start(self.decays[0], self.warmup)
        for one, following in itertools.pairwise(self.decays):
            if following.start < one.end:
                raise InputError(
                    f"the decay from step {following.start} on begins before the one to step {one.end} has ended; "
                    "give decays in order, further apart or shorter"
                )

    @property
    def name(self) -> str:
        shapes = dict.fromkeys(decay.shape for decay in self.decays)
        return f"wsd-s-{'/'.join(shapes)}"

    @property
    def end(self) -> int | None:
        return self.decays[-1].end

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return warmed(step, self.warmup)
        for decay in self.decays:
            if decay.start <= step < decay.end:
                return decay.factor(step)
        return 1.0

    def phases(self, end: int) -> list[Phase]:
        found, at = [Phase("warmup", 0, self.warmup)], self.warmup
        for decay in self.decays:
            found += [Phase("stable", at, decay.start), Phase("decay", decay.start, decay.end)]
            at = decay.end
        return within([*found, Phase("stable", at, end)], end)


def _check_start(decay: Decay, warmup: int) -> None:
    if decay.start < warmup:
        raise InputError(
            f"the decay starts at step {decay.start}, inside the warmup of {warmup} steps; "
            "use a longer horizon, a shorter decay or a shorter warmup"
        )
