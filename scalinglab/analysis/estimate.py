"""A number with its interval, and how to write one."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalinglab.units import count_text, number_text

__all__ = ["Estimate", "count_text", "estimate", "number_text"]

_SPREAD = 30.0
"""An interval whose ends differ by more than this factor leaves a positive quantity open."""


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its interval; NaN ends where there is none."""

    value: float
    lo: float = math.nan
    hi: float = math.nan

    def __float__(self) -> float:
        return self.value

    @property
    def open(self) -> bool:
        """Whether the interval says next to nothing: no finite upper end, or ends a factor 30 apart."""
        if math.isnan(self.lo):
            return False
        return not math.isfinite(self.hi) or (self.lo >= 0 and self.hi > _SPREAD * max(self.lo, 1e-300))

    def text(self, counts: bool = False) -> str:
        """`1.2M [0.9M, 1.6M]` for counts, `0.34 [0.31, 0.37]` otherwise."""
        write = count_text if counts else number_text
        if math.isnan(self.lo):
            return write(self.value)
        return f"{write(self.value)} [{write(self.lo)}, {write(self.hi)}]"

    def __str__(self) -> str:
        return self.text()


def estimate(value: float, draws: NDArray[np.float64] | None, level: float) -> Estimate:
    """A value with the percentile interval of its bootstrap draws.

    A draw that is not a number speaks for neither side: half of them count at each end, which for a quantity that is
    never negative is 0 and infinity.
    """
    if draws is None:
        return Estimate(float(value))
    tail = (1 - level) / 2
    known = np.sort(draws[~np.isnan(draws)])
    lost = len(draws) - len(known)
    if lost:
        bottom = 0.0 if len(known) and known[0] >= 0 else -np.inf
        known = np.concatenate([np.full(lost // 2, bottom), known, np.full(lost - lost // 2, np.inf)])
    # "higher" and "lower" pick draws: interpolating towards an infinite one would give NaN
    lo = float(np.quantile(known, tail, method="lower"))
    hi = float(np.quantile(known, 1 - tail, method="higher"))
    return Estimate(float(value), lo, hi)


def estimate_known(value: float, draws: NDArray[np.float64], level: float) -> Estimate:
    """The percentile interval where a draw that is not finite speaks for neither side: it is cut from both ends.

    No ends where so many are lost that an end would be among them.
    """
    known = np.sort(draws[np.isfinite(draws)])
    lost, tail = 1 - len(known) / max(len(draws), 1), 0.5 * (1 - level)
    if not len(known) or 0.5 * lost >= tail or math.isnan(value):
        return Estimate(value)
    share = (tail - 0.5 * lost) / (1 - lost)
    return Estimate(
        value,
        float(np.quantile(known, share, method="lower")),
        float(np.quantile(known, 1 - share, method="higher")),
    )
