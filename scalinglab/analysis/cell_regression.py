"""Least squares in logs through cells of N and D, with intervals from the cells."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.estimate import Estimate, estimate
from scalinglab.errors import InputError

Array = NDArray[np.float64]
FEW = 8
"""Cells from which they are resampled."""


@dataclass(frozen=True)
class Regression:
    constants: dict[str, float]
    draws: dict[str, Array]
    scatter: float
    residuals: int
    freedom: int

    def predict(self, params: Any, tokens: Any) -> Array:
        c = self.constants
        logs = c["one"] + c["tokens"] * np.log(tokens) + c.get("params", 0.0) * np.log(params)
        return np.asarray(logs)

    def estimate(self, name: str, level: float, read: Callable[[Any], Any] = lambda v: v) -> Estimate:
        return estimate(float(read(self.constants[name])), np.asarray(read(self.draws[name])), level)

    def aicc(self) -> float:
        """Of normal residuals, the noise scale counted among the constants."""
        k, n = len(self.constants) + 1, self.residuals
        if n <= k + 1:
            return math.nan
        rss = self.scatter**2 * self.freedom
        return n * math.log(max(rss / n, 1e-30)) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


class Draws:
    """How constants are drawn: cells resampled, or, with fewer than eight, from Student's t of the least squares."""

    def __init__(self, cells: int, n: int, rng: np.random.Generator) -> None:
        self.n, self.rng = n, rng
        self.counts: Array | None = None
        if cells >= FEW:
            drawn = rng.multinomial(cells, np.full(cells, 1 / cells), size=n)
            self.counts = np.asarray(drawn, dtype=float)

    def of(self, best: Array, gram: Array, slope: Array, scatter: float, freedom: int, floor: float) -> Array:
        """(n, p) draws about `best`; gram (cells, p, p) and slope (cells, p) of each cell's rows.

        floor: the scatter that noise within cells alone would give; cells that happen to lie closer to the law than
        that say nothing of its precision, so draws are widened to it.

        A resample's distance from the fit is stretched by sqrt(n/(n−p))·t/z at the 90 % level: few cells understate
        the scatter and have Student's tails. One that cannot tell the constants apart is left out.
        """
        if self.counts is None:
            rows = gram[:, :1, :1]  # a cell counts once, however many rows it has
            root = np.linalg.cholesky(np.linalg.inv((gram / rows).sum(axis=0)))
            wide = np.sqrt(freedom / self.rng.chisquare(freedom, size=(self.n, 1)))
            return np.asarray(
                best + max(scatter, floor) * wide * (self.rng.normal(size=(self.n, len(best))) @ root.T)
            )
        from scipy.special import ndtri, stdtrit

        G, g = np.tensordot(self.counts, gram, 1), self.counts @ slope
        told = np.linalg.cond(G) < 1e6
        drawn = np.linalg.solve(G[told], g[told][..., None])[..., 0]
        cells = len(gram)
        stretch = math.sqrt(cells / freedom) * stdtrit(freedom, 0.95) / ndtri(0.95)
        stretch *= max(1.0, floor / max(scatter, 1e-12)) if floor else 1.0
        found = np.full((self.n, len(best)), np.nan)
        found[told] = best + stretch * (drawn - best)
        return found


def regression(
    cells: list[Array], target: int, variables: list[str], draws_of: Draws, floor: float = 0.0
) -> Regression:
    """Least squares of ln lr (target 0) or ln batch (1) on the logs of the variables.

    cells: rows (ln lr, ln batch, ln N, ln D) of each. floor: standard deviation of a cell's target from noise alone.
    Raises InputError for cells that cannot tell the variables' exponents.
    """
    columns = [{"params": 2, "tokens": 3}[v] for v in variables]
    centre = np.mean([cell[0, columns] for cell in cells], axis=0)
    names = ["one", *variables]
    grams, slopes = [], []
    for cell in cells:
        X = np.column_stack([np.ones(len(cell)), cell[:, columns] - centre])
        grams.append(X.T @ X)
        slopes.append(X.T @ cell[:, target])
    gram, slope = np.array(grams), np.array(slopes)
    if np.linalg.matrix_rank(gram.sum(axis=0), hermitian=True) < len(names):
        raise InputError(f"these cells do not vary enough in {' and '.join(variables)} to tell an exponent")
    best = np.linalg.solve(gram.sum(axis=0), slope.sum(axis=0))
    freedom = len(cells) - len(names)
    means = np.array([cell.mean(axis=0) for cell in cells])
    left = means[:, target] - best[0] - (means[:, columns] - centre) @ best[1:]
    scatter = math.sqrt(float(left @ left) / freedom)
    spread = draws_of.of(best, gram, slope, scatter, freedom, floor)

    def outward(q: Array) -> Array:
        """The constant term at ln N = ln D = 0 in place of at the centre."""
        moved = q.copy()
        moved[..., 0] -= q[..., 1:] @ centre
        return moved

    found, draws = outward(best), outward(spread)
    return Regression(
        dict(zip(names, map(float, found), strict=True)),
        {name: draws[:, i] for i, name in enumerate(names)},
        scatter,
        len(cells),
        freedom,
    )
