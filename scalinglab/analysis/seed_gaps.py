"""One way of training against another, cell by cell, from pairs that share a seed: few seeds, several cells.

With three seeds a cell's own standard deviation is hardly known. The cells of a study are alike, so the deviation of
a pair is pooled over them; cells of one seed need not be independent, which costs degrees of freedom.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.checks import check_level
from scalinglab.analysis.clustered import clustered
from scalinglab.analysis.estimate import Estimate

Judged = Literal["beyond", "within", "open"]


@dataclass(frozen=True)
class SeedGaps:
    """Differences of pairs: a row a seed, a column a cell (such as a horizon), NaN where a pair is missing."""

    pairs: pd.DataFrame

    @property
    def cells(self) -> list[float]:
        return [float(cell) for cell in np.asarray(self.pairs.columns, float)]

    @property
    def seeds(self) -> int:
        """Seeds with a pair at all."""
        return int(self.pairs.notna().any(axis=1).sum())

    @cached_property
    def sd(self) -> float:
        """Standard deviation of one pair about its cell's mean, pooled over the cells; NaN with one seed.

        Differences of one run and nothing (losses themselves) give the seed noise of a run.
        """
        left, freedom = self._left(), self._pairs_beyond_one()
        return math.sqrt(float((left**2).sum()) / freedom) if freedom else math.nan

    @cached_property
    def correlation(self) -> float:
        """Between two cells of one seed, of the deviations from the cells' means: 1 where seeds differ alike in all."""
        left, width = self._left(), self.pairs.notna().any().sum()
        total = float((left**2).sum())
        if width < 2 or total == 0.0:
            return 0.0
        return (float((left.sum(axis=1) ** 2).sum()) / total - 1.0) / (width - 1)

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of `sd`: Σ(n − 1)/(1 + (cells − 1)·ρ²), n pairs a cell and ρ their `correlation`.

        Satterthwaite's for a pooled variance of cells that are all equally correlated: as many as there are pairs
        beyond the first of each cell where they are independent, and one cell's where a seed decides all of them.
        """
        width = int(self.pairs.notna().any().sum())
        return self._pairs_beyond_one() / (1.0 + (width - 1) * self.correlation**2) if width else 0.0

    def cell(self, cell: float, level: float = 0.9) -> Estimate:
        """Mean of a cell with Student's t interval of the pooled deviation; NaN ends with one seed."""
        check_level(level)
        from scipy.stats import t

        own = self.pairs[cell].dropna().to_numpy(float)
        if not len(own):
            return Estimate(math.nan)
        mean, freedom = float(own.mean()), self.freedom
        if not freedom:
            return Estimate(mean)
        half = float(t.ppf(0.5 + level / 2, freedom)) * self.sd / math.sqrt(len(own))
        return Estimate(mean, mean - half, mean + half)

    def overall(self, level: float = 0.9) -> Estimate:
        """Mean over all pairs; seeds are the units of its interval (`clustered`), as nothing less is independent."""
        check_level(level)
        y, seed, _ = self._long()
        return clustered(np.ones((len(y), 1)), y, seed).estimate(0, level) if len(y) else Estimate(math.nan)

    def trend(self, level: float = 0.9) -> Estimate:
        """Slope over log2 of the cells, the change a doubling, by seed as `overall`; NaN with one cell."""
        check_level(level)
        y, seed, cell = self._long()
        if len(np.unique(cell)) < 2:
            return Estimate(math.nan)
        x = np.log2(cell)
        return clustered(np.column_stack([np.ones(len(y)), x - x.mean()]), y, seed).estimate(1, level)

    def _left(self) -> NDArray[np.float64]:
        """Deviations from the cells' means, 0 where a pair is missing."""
        return np.nan_to_num((self.pairs - self.pairs.mean()).to_numpy(float))

    def _pairs_beyond_one(self) -> int:
        return int((self.pairs.notna().sum() - 1).clip(lower=0).sum())

    def _long(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """(difference, seed as a number, cell) of every pair."""
        values = self.pairs.to_numpy(float)
        seed, cell = np.nonzero(~np.isnan(values))
        return values[seed, cell], seed, np.asarray(self.pairs.columns, float)[cell]


def judged(found: Estimate, margin: float) -> Judged:
    """Whether a figure's whole interval lies above `margin`, or below it; "open" where neither, or without interval."""
    if found.lo > margin:
        return "beyond"
    return "within" if found.hi <= margin else "open"


def level_where(x: NDArray[np.float64], found: list[Estimate]) -> Estimate:
    """Where a falling curve, known with intervals at x > 0 (ascending), first comes down to zero; straight in ln x.

    The interval is that of the x at which zero cannot be told from the curve: from where the lower ends reach it to
    where the upper ends do. 0 stands for before the first x, infinity for beyond the last.
    """

    def crossing(y: list[float]) -> float:
        if any(math.isnan(each) for each in y):
            return math.nan
        if y[0] <= 0:
            return 0.0
        for i in range(1, len(x)):
            if y[i] <= 0:
                share = y[i - 1] / (y[i - 1] - y[i])
                return float(math.exp(math.log(x[i - 1]) + share * math.log(x[i] / x[i - 1])))
        return math.inf

    lo, hi = crossing([each.lo for each in found]), crossing([each.hi for each in found])
    return Estimate(crossing([each.value for each in found]), lo, hi)
