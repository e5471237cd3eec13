"""What the ends of a study of schedules say: gaps to Cosine(T = S), the share that meets it, each at its best rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalinglab.analysis import Estimate
from scalinglab.analysis.seed_gaps import SeedGaps, level_where
from scalinglab.errors import InputError
from scalinglab.experiments.minicpm_continual import ENDS as FIGURE_5
from scalinglab.experiments.wsd_ends import Ends, Recipe, percent

LEVEL = 0.9
COSINE_80 = 3.648
"""MiniCPM's figure 5: Cosine(80N) of 0.036B on C4, read off it as FIGURE_5's losses are."""


@dataclass(frozen=True)
class BestRates:
    """A decay and the cosine, each at the best of the learning rates tried, at one horizon with one seed."""

    gap: Estimate
    lr: float
    reference_lr: float
    horizon: float
    edge: bool
    """Whether one of the two does best at the smallest or largest rate, and might do better beyond."""


class Findings:
    """The gaps and their yardstick, computed once. Raises InputError where no pair of the two has ended."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.noise = ends.noise().sd
        self._gaps: dict[tuple[str, str, bool], SeedGaps] = {}
        self._means: dict[tuple[str, str, bool], Estimate] = {}
        if not self.gap(ends.main).seeds:
            raise InputError(
                f"no seed has both {ends.main.label} and {ends.reference.label} at one horizon; train them, or "
                "mend what made them diverge"
            )

    def gap(self, recipe: Recipe, against: Recipe | None = None, relative: bool = False) -> SeedGaps:
        other = against or self.ends.reference
        key = (recipe.name, other.name, relative)
        if key not in self._gaps:
            self._gaps[key] = self.ends.gap(recipe, other, relative=relative)
        return self._gaps[key]

    def mean(self, recipe: Recipe, against: Recipe | None = None, relative: bool = False) -> Estimate:
        key = (recipe.name, (against or self.ends.reference).name, relative)
        if key not in self._means:
            self._means[key] = self.gap(recipe, against, relative).overall(LEVEL)
        return self._means[key]

    def of_share(self, share: float) -> Recipe | None:
        """The main shape at this length, where it was tried."""
        return next((each for each in self.ends.lengths if math.isclose(each.share, share)), None)

    @property
    def meets(self) -> Estimate:
        """The share at which the main shape comes down to Cosine(S), horizons together."""
        shares = np.array([each.share for each in self.ends.lengths])
        return level_where(shares, [self.mean(each) for each in self.ends.lengths])

    def by_shape(self) -> list[tuple[Recipe, float]]:
        """Shapes of the main length, the lowest loss first, with their mean less the main one's."""
        found = [
            (each, 0.0 if each == self.ends.main else self.mean(each, self.ends.main).value)
            for each in self.ends.shapes
        ]
        return sorted(found, key=lambda each: each[1])

    def meets_at(self, horizon: float) -> Estimate:
        """The same at one horizon."""
        own = [each for each in self.ends.lengths if horizon in self.gap(each).cells]
        return level_where(
            np.array([each.share for each in own]), [self.gap(each).cell(horizon, LEVEL) for each in own]
        )

    def against_best_whole(self) -> tuple[float, Recipe, Estimate]:
        """(longest horizon, the whole run with the lowest mean loss there, the main decay's gap to it)."""
        horizon = max(self.ends.horizons)
        wholes = [self.ends.reference, *self.ends.others]
        known = [each for each in wholes if horizon in self.ends.losses(each)]
        best = min(known, key=lambda each: float(self.ends.losses(each)[horizon].mean()))
        gaps = self.gap(self.ends.main, best)
        return horizon, best, gaps.cell(horizon, LEVEL) if horizon in gaps.cells else Estimate(math.nan)

    @property
    def varied_cell(self) -> tuple[int, float] | None:
        """(seed, horizon) at which other learning rates were tried; None where none were."""
        frame = self.ends.frame
        varied = frame[(frame["variant"] != "") & (frame["recipe"] == self.ends.reference.name)]
        varied = varied[varied["lr"] != self.ends.trained.study.training.lr]
        if varied.empty:
            return None
        first = varied.sort_values(["seed", "tokens"]).groupby("seed").tail(1).iloc[0]
        return int(first["seed"]), float(first["tokens"])

    def by_rate(self, recipe: Recipe) -> dict[float, float]:
        """Learning rate -> its loss, at that seed and horizon, the rates ascending."""
        cell = self.varied_cell
        if cell is None:
            return {}
        rows = self.ends.frame
        rows = rows[
            (rows["recipe"] == recipe.name)
            & (rows["eval_set"] == self.ends.eval_set)
            & (rows["seed"] == cell[0])
            & (rows["tokens"] == cell[1])
        ]
        return {float(lr): float(loss) for lr, loss in rows.sort_values("lr")[["lr", "loss"]].to_numpy()}

    def gap_by_rate(self, recipe: Recipe) -> dict[float, Estimate]:
        """Learning rate -> its loss less the reference's at the same rate, with the interval of a single pair."""
        mine, theirs = self.by_rate(recipe), self.by_rate(self.ends.reference)
        return {lr: single(self.gap(recipe), mine[lr] - theirs[lr]) for lr in mine if lr in theirs}

    def at_best_rates(self, recipe: Recipe) -> BestRates | None:
        """Each at its own best rate; None where no other rate was tried."""
        mine, theirs, cell = self.by_rate(recipe), self.by_rate(self.ends.reference), self.varied_cell
        if cell is None or len(mine) < 2 or len(theirs) < 2:
            return None
        lr, other = min(mine, key=mine.__getitem__), min(theirs, key=theirs.__getitem__)
        gap = single(self.gap(recipe), mine[lr] - theirs[other])
        edge = lr in (min(mine), max(mine)) or other in (min(theirs), max(theirs))
        return BestRates(gap, lr, other, cell[1], edge)


def published_gaps() -> dict[float, float]:
    """Figure 5: the decay's share of 80N -> loss above Cosine(80N), in percent as 100·ln of the ratio."""
    return {
        decay / total: 100 * math.log(loss / COSINE_80)
        for (total, decay), loss in sorted(FIGURE_5.items(), key=lambda each: each[0][1] / each[0][0])
        if total == 80
    }


def published_share() -> float:
    """Where the line between figure 5's two decays of 80N meets Cosine(80N), straight in the logarithm of the share."""
    gaps = published_gaps()
    return level_where(np.array(list(gaps)), [Estimate(each) for each in gaps.values()]).value


def single(gaps: SeedGaps, value: float) -> Estimate:
    """One pair's difference with the interval that a single pair has, of the deviation that these have."""
    from scipy.stats import t

    if not gaps.freedom:
        return Estimate(value)
    half = float(t.ppf(0.5 + LEVEL / 2, gaps.freedom)) * gaps.sd
    return Estimate(value, value - half, value + half)


# ---- words -----------------------------------------------------------------------------------------------


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def signed(value: float, decimals: int = 4) -> str:
    """+0.0123, −0.0040."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def loss_text(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.4f}"


def estimate_text(found: Estimate, decimals: int = 4) -> str:
    """Signed, with its interval where there is one."""
    if math.isnan(found.value):
        return "not known"
    if math.isnan(found.lo):
        return signed(found.value, decimals)
    return f"{signed(found.value, decimals)} [{signed(found.lo, decimals)}, {signed(found.hi, decimals)}]"


def share_text(found: Estimate) -> str:
    """A share with its interval, ends outside what was tried in words."""

    def one(value: float) -> str:
        return (
            "below the shortest tried"
            if value == 0
            else "beyond the longest"
            if math.isinf(value)
            else percent(value)
        )

    if math.isnan(found.lo) or math.isnan(found.hi):
        return one(found.value)
    return f"{one(found.value)} [{one(found.lo)}, {one(found.hi)}]"
