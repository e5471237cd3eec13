"""What pairs of runs with one seed say of a claim: on which side of zero they lie, and how many seeds would tell."""

import math
from typing import Literal

from scalinglab.analysis import Estimate
from scalinglab.analysis.seed_gaps import SeedGaps

Verdict = Literal["confirmed", "contradicted", "undecided"]
Side = Literal["below", "above", "open"]
_MOST_SEEDS = 50


def side_of(gaps: SeedGaps, level: float) -> Side:
    """Whether a difference lies below zero, or above: over all cells, and in no cell on the other side.

    A cell's interval is widened for as many looks as there are cells. For runs that share a trunk, where zero is the
    yardstick: what their seed does to both is no part of the difference.
    """
    mean = gaps.overall(level)
    each = 1 - (1 - level) / max(len(gaps.cells), 1)
    cells = [gaps.cell(cell, each) for cell in gaps.cells]
    if mean.hi < 0 and not any(cell.lo > 0 for cell in cells):
        return "below"
    if mean.lo > 0 and not any(cell.hi < 0 for cell in cells):
        return "above"
    return "open"


def seeds_needed(gaps: SeedGaps, mean: Estimate, margin: float, level: float) -> str:
    """How many seeds would bring the interval of `mean` to one side of the margin, were the mean to stay."""
    if math.isnan(mean.lo) or math.isnan(margin):
        return "more seeds: one alone has no interval"
    apart = abs(mean.value - margin)
    by_seed = float(gaps.pairs.mean(axis=1).std(ddof=1))
    needed = next((n for n in range(2, _MOST_SEEDS + 1) if _half(n, level) * by_seed < apart), None)
    if needed is None:
        what = "as large as the seed noise" if margin else "zero"
        return f"more than {_MOST_SEEDS} seeds: the difference is about {what}"
    return f"about {max(needed, gaps.seeds + 1)} seeds, if the mean stays"


def _half(n: int, level: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, n - 1)) / math.sqrt(n)
