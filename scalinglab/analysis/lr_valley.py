"""Loss against learning rate at one size: the least point by a parabola in ln lr, with an interval.

The parabola goes through the learning rates within a factor of its own vertex: chosen by where they lie, not by their
loss, so that a lucky run has no better chance to be in. Those whose loss is far above the least are left out, for there
the valley is none. The interval is Fieller's: all places at which the parabola's slope is zero within its error. It is
unbounded where the curvature is not told apart from zero.

A valley is steeper on one side, which a parabola cannot follow. With loss = least + c·(v² + κ·v³), v = ln lr − ln lr*,
least squares of a parabola takes up the cubic as a slope, and the vertex moves by −κ·d/2, d being the slope of v³ on
the same points. κ is told by what the parabolas leave over (`skew`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.sweep_cells import SAME

Array = NDArray[np.float64]
ENOUGH = 4
"""Learning rates for a parabola that shows what it cannot follow; with three it meets every one."""


@dataclass(frozen=True)
class Parabola:
    """loss = q0 + q1·u + q2·u², u = ln lr − centre, by least squares."""

    centre: float
    q: Array
    spread: Array
    """Covariance of q over the variance of a point."""
    log_lr: Array
    residuals: Array

    @property
    def freedom(self) -> int:
        return len(self.log_lr) - 3

    @property
    def curvature(self) -> float:
        return float(self.q[2])

    @property
    def at(self) -> float:
        """ln lr of the vertex; NaN where the parabola opens downward."""
        return self.centre - float(self.q[1] / (2 * self.q[2])) if self.q[2] > 0 else math.nan

    @property
    def least(self) -> float:
        return float(self.q[0] - self.q[1] ** 2 / (4 * self.q[2])) if self.q[2] > 0 else math.nan

    def reaches(self, log_lr: float) -> bool:
        """Whether a place lies among the learning rates that carry it."""
        return bool(self.log_lr[0] - SAME <= log_lr <= self.log_lr[-1] + SAME)

    def value(self, log_lr: Array) -> Array:
        u = np.asarray(log_lr) - self.centre
        return np.asarray(self.q[0] + self.q[1] * u + self.q[2] * u * u)

    def variance(self, sd: float) -> float:
        """Of the vertex in ln lr, to first order, where a point has the standard deviation `sd`."""
        _, b, c = self.q
        g = np.array([0.0, -1 / (2 * c), b / (2 * c * c)])
        return float(sd * sd * g @ self.spread @ g)

    def ends(self, sd: float, t: float) -> tuple[float, float]:
        """Fieller's interval of the vertex in ln lr, t being the quantile; infinite where it is unbounded."""
        _, b, c = self.q
        k, V = (t * sd) ** 2, self.spread
        two, one, none = 4 * (c * c - k * V[2, 2]), 4 * (b * c - k * V[1, 2]), b * b - k * V[1, 1]
        if not (c > 0 and two > 0):
            return -math.inf, math.inf
        root = math.sqrt(max(one * one - 4 * two * none, 0.0))
        return self.centre + (-one - root) / (2 * two), self.centre + (-one + root) / (2 * two)

    def cubic(self) -> tuple[float, Array]:
        """Slope d that a parabola on these points takes from v³, and what it leaves over of it."""
        v = self.log_lr - self.at
        X = np.stack([np.ones_like(v), v, v * v], axis=1)
        q = np.linalg.lstsq(X, v**3, rcond=None)[0]
        return float(q[1]), np.asarray(v**3 - X @ q)


@dataclass(frozen=True)
class Valley:
    """The runs of one size.

    log_lr, loss (n,): rising, and the mean over seeds at each with what the seeds differ by throughout taken out.
    losses (seeds, n): of the runs, NaN where there is none. lost: ln lr at which every run diverged.
    """

    log_lr: Array
    loss: Array
    losses: Array
    lost: Array
    parabola: Parabola | None
    edge: str
    """"low" or "high" where the least loss lies at that end of what was tried, "" inside, "none" without a valley."""

    @property
    def bottom(self) -> Parabola | None:
        """The parabola, where its vertex lies inside the grid."""
        return self.parabola if self.edge == "" else None

    def above(self, log_lr: float) -> float:
        """Loss there above the valley's least: by the parabola in its reach, else between the runs.

        Infinite where nothing converges, NaN beyond what was tried.
        """
        found = self.bottom
        least = float(self.loss.min()) if found is None else found.least
        if found is not None and found.reaches(log_lr):
            return float(found.value(np.asarray(log_lr))) - least
        if self.log_lr[0] - SAME <= log_lr <= self.log_lr[-1] + SAME:
            return float(np.interp(log_lr, self.log_lr, self.loss)) - least
        return math.inf if len(self.lost) and log_lr >= self.lost.min() - SAME else math.nan

    def scatter(self, alike: bool) -> tuple[float, int]:
        """Sum of squares and degrees of freedom of runs at one learning rate, in the parabola's reach.

        alike: with what seeds differ by throughout taken out, so that it is the noise of a valley's shape.
        """
        near = slice(None)
        if self.parabola is not None:
            ends = self.parabola.log_lr[0] - SAME, self.parabola.log_lr[-1] + SAME
            near = (self.log_lr >= ends[0]) & (self.log_lr <= ends[1])
        losses = self.losses[:, near]
        if alike:
            _, squares, freedom = additive(losses)
            return squares, freedom
        told = np.isfinite(losses)
        count = told.sum(axis=0)
        off = np.where(told, losses - np.where(told, losses, 0.0).sum(axis=0) / np.maximum(count, 1), 0.0)
        return float((off**2).sum()), int(np.maximum(count - 1, 0).sum())


def valley(log_lr: Array, losses: Array, reach: float, steep: float) -> Valley:
    """The valley of losses (seeds, n) at ln lr (n,) rising; NaN or infinity is a run that diverged or is missing.

    reach: factor in lr about the vertex whose learning rates carry the parabola. steep: share above the least loss from
    which they do not.
    """
    losses = np.where(np.isfinite(losses), losses, np.nan)
    some = np.isfinite(losses).any(axis=0)
    x, kept, lost = log_lr[some], losses[:, some], log_lr[~some]
    if not len(x):
        return Valley(x, x, kept, lost, None, "none")
    y = additive(kept)[0]
    best = int(y.argmin())
    found = _parabola(x, y, math.log(reach), steep)
    edge = "none"
    if len(x) > 1:
        edge = "low" if best == 0 else "high" if best == len(x) - 1 else ""
    if not edge:
        if found is None or not found.curvature > 0:
            edge = "none"
        elif not x[0] < found.at < x[-1]:
            edge = "low" if found.at <= x[0] else "high"
    return Valley(x, y, kept, lost, found, edge)


def additive(losses: Array) -> tuple[Array, float, int]:
    """Least squares of loss = mean of the lr + deviation of the seed, for (seeds, n) with NaN where no run is.

    Returns the means (n,), the sum of squares about them, and its degrees of freedom.
    """
    seeds, n = losses.shape
    s, i = np.nonzero(np.isfinite(losses))
    X = np.zeros((len(s), n + seeds - 1))
    X[np.arange(len(s)), i] = 1.0
    for k in range(seeds - 1):  # deviations that add up to nothing
        X[:, n + k] = (s == k).astype(float) - (s == seeds - 1)
    y = losses[s, i]
    q, _, rank, _ = np.linalg.lstsq(X, y, rcond=None)
    left = y - X @ q
    return np.asarray(q[:n]), float(left @ left), int(len(y) - rank)


def skew(parabolas: list[Parabola]) -> float:
    """κ that these share, by least squares of what they leave over; 0 where they leave nothing."""
    above = below = 0.0
    for found in parabolas:
        left = found.curvature * found.cubic()[1]
        above, below = above + float(left @ found.residuals), below + float(left @ left)
    return above / below if below > 1e-24 else 0.0


def _parabola(x: Array, y: Array, reach: float, steep: float) -> Parabola | None:
    """The parabola about the least loss, its points chosen anew about each vertex until that stands still."""
    if len(x) < 3:
        return None
    centre = float(x[y.argmin()])
    for _ in range(25):
        found = _fitted(x, y, _about(x, y, centre, reach, steep), centre)
        if math.isnan(found.at):
            return found
        step = float(np.clip(np.clip(found.at, x[0], x[-1]) - centre, -0.35, 0.35))
        centre += step
        if abs(step) < 1e-3:
            break
    return found


def _about(x: Array, y: Array, centre: float, reach: float, steep: float) -> NDArray[np.intp]:
    """Points within `reach` of a place: four where further ones make four, else the three nearest."""
    flat = y <= (1 + steep) * y.min()
    for wider in (1.0, 1.25, 1.6, 2.0, math.inf):
        chosen = flat & (np.abs(x - centre) <= wider * reach + SAME)
        if chosen.sum() >= ENOUGH:
            return np.flatnonzero(chosen)
    return np.sort(np.argsort(np.abs(x - centre), kind="stable")[:3])


def _fitted(x: Array, y: Array, chosen: NDArray[np.intp], centre: float) -> Parabola:
    u, values = x[chosen] - centre, y[chosen]
    X = np.stack([np.ones_like(u), u, u * u], axis=1)
    spread = np.linalg.inv(X.T @ X)
    q = np.asarray(np.linalg.lstsq(X, values, rcond=None)[0], dtype=float)
    return Parabola(centre, q, np.asarray(spread), x[chosen], values - X @ q)
