"""How much more data or compute recipe A needs for B's losses: one multiplier for a whole ladder.

A's law L(N, D) = E + A·N^−α + B·D^−β says by how much each of A's losses would fall with m times the data at the same
N, or with k times the compute along its own compute-optimal frontier:

    ln L(N, mD)/L(N, D)          = ln (P + Q·m^−β)/(P + Q),   P = E + A·N^−α,  Q = B·D^−β
    ln F(kC)/F(C), F(C) = L(N,D) = ln (P + Q·k^−γ)/(P + Q),   P = E,  Q = L(N, D) − E,  γ = αβ/(α+β)

F is the frontier's loss, E + K·C^−γ (from Hoffmann et al. 2022, eq. 4). Both have one form, so one solver finds the
m or k whose falls come nearest, by least squares over pairs, to the measured ln(L_B/L_A), from which A's own
residual in the cell has cancelled. A recipe with L_B(N, D) = L(N, mD) everywhere has m as its multiplier both ways
for a compute-optimal model: its frontier at C is A's at mC.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REACH = float(np.log(1e6))
"""|ln m| within which a multiplier is looked for; at the edge it counts as unbounded."""


class Falls(NamedTuple):
    """How log loss falls with x = ln m: ln (P + Q·e^(−s·x))/(P + Q). P, Q (k, n), s (k, 1)."""

    P: Array
    Q: Array
    s: Array

    def __call__(self, x: Array) -> Array:
        """x (k,) -> (k, n)."""
        return np.log(self.P + self.Q * np.exp(-self.s * x[:, None])) - np.log(self.P + self.Q)

    def slope(self, x: Array) -> Array:
        left = self.Q * np.exp(-self.s * x[:, None])
        return -self.s * left / (self.P + left)

    def own(self, d: Array) -> Array:
        """The ln m of each pair by itself, (k, n): inf where its loss lies below P, which no m reaches."""
        left = ((self.P + self.Q) * np.exp(d) - self.P) / self.Q
        with np.errstate(all="ignore"):
            return np.where(left > 0, -np.log(np.where(left > 0, left, 1.0)) / self.s, np.inf)


def data_falls(standard: Any, params: Array, tokens: Array) -> Falls:
    """Along D at fixed N. standard: E, A, alpha, B, beta as numbers or (k,); params, tokens (n,)."""
    E, A, alpha, B, beta = (np.atleast_1d(np.asarray(v, float))[:, None] for v in standard)
    with np.errstate(all="ignore"):
        return Falls(E + A * params**-alpha, B * tokens**-beta, beta)


def compute_falls(standard: Any, params: Array, tokens: Array) -> Falls:
    """Along the compute-optimal frontier, from the place on it that each loss is worth."""
    E, A, alpha, B, beta = (np.atleast_1d(np.asarray(v, float))[:, None] for v in standard)
    with np.errstate(all="ignore"):
        excess = A * params**-alpha + B * tokens**-beta
        return Falls(np.broadcast_to(E, excess.shape), excess, alpha * beta / (alpha + beta))


def common(falls: Falls, d: Array) -> Array:
    """ln m (k,) of the least Σ (d − falls(ln m))² over n pairs, d (k, n); ±inf beyond REACH, NaN where nothing falls.

    The slope of the sum is bisected around the best of a grid.
    """
    k = len(d)

    def slope(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return -((d - falls(x)) * falls.slope(x)).sum(axis=1)

    def misfit(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return ((d - falls(x)) ** 2).sum(axis=1)

    grid = np.linspace(-REACH, REACH, 57)  # 0 is one of them: equal losses give a multiplier of exactly 1
    values = np.stack([misfit(np.full(k, x)) for x in grid])
    lost = ~np.isfinite(values).all(axis=0) | (np.ptp(values, axis=0) == 0)
    values[:, lost] = 0.0
    best = values.argmin(axis=0)
    here = grid[best]
    at_zero = slope(here) == 0
    lo, hi = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    for _ in range(60):
        middle = 0.5 * (lo + hi)
        below = slope(middle) < 0
        lo, hi = np.where(below, middle, lo), np.where(below, hi, middle)
    x = np.where(at_zero, here, 0.5 * (lo + hi))
    x = np.where(best == 0, -np.inf, np.where(best == len(grid) - 1, np.inf, x))
    return np.where(lost, np.nan, x)
