"""What the probed decays say: figures of each decay against its trunk, means over seeds and horizons with intervals."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scalinglab.analysis import Estimate
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.experiments.dynamics_records import Dynamics, Measure, Stretch, mean, summed
from scalinglab.experiments.wsd_ends import Recipe

LEVEL = 0.9


@dataclass(frozen=True)
class Pair:
    """A figure late in the decay, of the trunk over the same updates, and their difference or ratio."""

    decay: Estimate
    trunk: Estimate
    against: Estimate


class Findings:
    """Figures of one recipe's decays; the units of every interval are seeds (`SeedGaps.overall`)."""

    def __init__(self, found: Dynamics, recipe: Recipe | None = None) -> None:
        self.found, self.recipe = found, recipe or found.main

    def of(self, value: Callable[[Stretch], float]) -> Estimate:
        """Mean over the decays of a figure of each."""
        return self.gaps(value).overall(LEVEL)

    def gaps(self, value: Callable[[Stretch], float]) -> SeedGaps:
        return self.found.by_seed(value, self.recipe)

    def differs(self, column: str) -> Pair:
        """The late decay's mean less the trunk's."""
        return Pair(*self._both(mean(column)), self.of(lambda each: _late(each, mean(column), _less)))

    def ratio(self, column: str, power: float = 1.0) -> Pair:
        """The late decay's mean over the trunk's, to a power; the interval is that of its logarithm."""
        logs = self.of(lambda each: power * _late(each, mean(column), _log_ratio))
        return Pair(*self._both(mean(column)), exponential(logs))

    def magnitude(self, column: str) -> Pair:
        """The same of figures of either sign: |late decay| less |trunk|, in units of the trunk's mean magnitude."""
        measure = mean(column)
        size = float(np.nanmean([abs(measure(each.late[1])) for each in self.found.of(self.recipe)]))
        gap = self.of(lambda each: _late(each, measure, lambda a, b: (abs(a) - abs(b)) / size))
        return Pair(*self._both(measure), gap)

    @property
    def rate(self) -> float:
        """Mean learning rate late in the decay, as a share of the trunk's."""
        return self.of(lambda each: mean("rate")(each.late[0]) / each.peak).value

    @property
    def follows(self) -> Estimate:
        """d ln(largest update of one weight)/d ln(learning rate) over a decay: 1 where the two are proportional."""
        return self.of(lambda each: _slope(np.log(each.decay["rate"]), np.log(each.decay["update_max"])))

    @property
    def path(self) -> Estimate:
        """Length of the decay's path, over the trunk's of the same updates."""
        length = summed("update_norm")
        return exponential(self.of(lambda each: _log_ratio(length(each.decay), length(each.trunk))))

    @property
    def path_before(self) -> Estimate:
        """The same over the trunk's before the fork."""
        length = summed("update_norm")
        return exponential(self.of(lambda each: _log_ratio(length(each.decay), length(each.before))))

    @property
    def fall(self) -> Estimate:
        """Held-out loss that the decay takes off."""
        return self.of(lambda each: each.loss_fork - each.loss_decay)

    @property
    def fall_trunk(self) -> Estimate:
        """What the trunk's updates take off meanwhile."""
        return self.of(lambda each: each.loss_fork - each.loss_trunk)

    @property
    def fall_before(self) -> Estimate:
        """What as many updates of the trunk took off before the fork."""
        return self.of(lambda each: each.loss_before - each.loss_fork)

    @property
    def falls_faster(self) -> Estimate:
        """The decay's fall less the trunk's."""
        return self.of(lambda each: each.loss_trunk - each.loss_decay)

    @property
    def changes(self) -> Estimate:
        """The changes of unseen batches' losses by single updates, summed over the decay; a fall is positive."""
        return self.of(lambda each: -summed("loss_change")(each.decay))

    def noise_share(self, late: bool) -> float:
        """Of a batch gradient's squared norm, what is noise and not the gradient of the loss."""
        which = 0 if late else 1

        def share(each: Stretch) -> float:
            frame = each.late[which]
            return 1.0 - mean("grad_inner")(frame) / mean("grad_norm_mean")(frame) ** 2

        return self.of(share).value

    def _both(self, measure: Measure) -> tuple[Estimate, Estimate]:
        return self.of(lambda each: measure(each.late[0])), self.of(lambda each: measure(each.late[1]))


def exponential(found: Estimate) -> Estimate:
    return Estimate(math.exp(found.value), math.exp(found.lo), math.exp(found.hi))


def _late(each: Stretch, measure: Measure, of: Callable[[float, float], float]) -> float:
    decay, trunk = each.late
    return of(measure(decay), measure(trunk))


def _less(a: float, b: float) -> float:
    return a - b


def _log_ratio(a: float, b: float) -> float:
    """NaN where one of the two is not positive."""
    return math.log(a / b) if a > 0 and b > 0 else math.nan


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of the least-squares line; NaN where x does not vary."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 2 or np.ptp(x) == 0:
        return math.nan
    x = x - x.mean()
    return float(x @ y / (x @ x))
