"""Rows that follow one law, its robust fit, and what scatter about it allows: every threshold comes from here.

The law is fitted by nearly least absolute deviations, which a few bad rows do not move. The rows near it are then
refitted by least squares and the others let in again, the nearest first, while they lie where a new row may lie: the
forward search of Hadi & Simonoff 1993 (J. Am. Stat. Assoc. 88, 1264). What stays outside has a prediction error beyond
Student's t at FALSE/(2n) in each tail, so that one clean table in 1/FALSE has such a row by chance.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from scalinglab.errors import InputError
from scalinglab.fitting import Fit, Huber, Squared, fit
from scalinglab.fitting._constraints import read_constraints
from scalinglab.fitting._model import build_model
from scalinglab.fitting._noise import robust_sd
from scalinglab.fitting._problem import Problem
from scalinglab.fitting._rows import take_rows
from scalinglab.fitting._search import find_optimum
from scalinglab.laws import Law

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
FALSE = 0.01
"""Chance that a clean table raises a given alarm of a test of many rows or groups (Bonferroni over them)."""
SPARE = 4
"""Rows beyond the law's constants from which its scatter is judged: with fewer, one bad row hides among them."""


def critical(tests: int, freedom: float, chance: float = FALSE) -> float:
    """Student's t that the largest of `tests` independent ones passes with this chance, either way."""
    return float(-stdtrit(max(freedom, 1.0), 0.5 * chance / max(tests, 1)))


@dataclass(frozen=True, eq=False)
class Part:
    """rows (n,): positions in the table. x (v, n): the law's variables there. problem: these rows in this order, under
    Huber(1e-3). t: its optimum."""

    law: Law
    rows: NDArray[np.int64]
    x: Array
    problem: Problem
    t: Array

    @classmethod
    def of(cls, law: Law, table: pd.DataFrame, rows: NDArray[np.int64]) -> "Part | None":
        """None where the rows are too few, or do not vary enough to be fitted at all."""
        free = read_constraints(law, None)
        if len(rows) < len(law.constants) + SPARE:
            return None
        frame = table[[*law.variables, law.target]].iloc[rows].reset_index(drop=True)
        try:
            taken = take_rows(law, frame, None, None, len(free.free(law)))
        except InputError:
            return None
        problem = Problem(build_model(law, taken.x, free), taken.y, taken.w, Huber())
        return cls(law, rows, taken.x, problem, find_optimum(problem).t)

    @cached_property
    def fit(self) -> Fit:
        """The same as a fit, with its status: which constants are open takes longer to find than the optimum."""
        frame = pd.DataFrame(
            dict(zip(self.law.variables, self.x, strict=True)) | {self.law.target: self.problem.y}
        )
        return fit(self.law, frame, loss=Huber())

    @cached_property
    def robust(self) -> tuple[Array, float]:
        """(residuals (n,) of ln loss, their robust standard deviation)."""
        r = self.problem.residuals(self.t[None])[0][0]
        return r, max(robust_sd(r, self.problem.free), 1e-12)

    @cached_property
    def searched(self) -> tuple[Array, Array, Mask, float]:
        """(residuals r (n,), leverages h (n,), which rows were let in, their standard deviation).

        h of a row let in is its share of its own fit; of one left out, the variance of the law there over a row's.
        """
        problem, t = self.problem, self.t
        squares = replace(problem, loss=Squared())
        r, sigma = self.robust
        inside = np.abs(r) <= 3.0 * sigma
        p = problem.free
        for _ in range(20):
            t = squares.minimise(t[None], w=inside.astype(float)).t[0]
            r, J = (a[0] for a in squares.residuals(t[None]))
            h = leverage(J, inside)
            freedom = int(inside.sum()) - p
            if freedom < 1:
                break
            s = float(np.sqrt((r[inside] ** 2).sum() / freedom))
            # rounding is no scatter: losses that follow the law to the last digit
            far = np.abs(r) / np.maximum(s, 1e-9) / np.sqrt(np.where(inside, np.maximum(1 - h, 0.02), 1 + h))
            may = ~inside & (far <= critical(len(r), freedom))
            if not may.any():
                return r, h, inside, max(s, 1e-9)
            # half of them, the nearest first: each tells more of the scatter the next is judged by
            nearest = np.flatnonzero(may)[np.argsort(far[may])][: max(1, (may.sum() + 1) // 2)]
            inside = inside.copy()
            inside[nearest] = True
        r, sigma = self.robust
        return r, np.zeros(len(r)), np.ones(len(r), bool), sigma

    @property
    def residual(self) -> Array:
        return self.searched[0]

    @property
    def scatter(self) -> float:
        """Standard deviation of ln loss about the law, of the rows that belong to it."""
        return self.searched[3]

    @property
    def freedom(self) -> int:
        return max(int(self.searched[2].sum()) - self.problem.free, 1)

    @cached_property
    def outside(self) -> Mask:
        """(n,): rows whose prediction error is beyond chance."""
        return ~self.searched[2]

    @cached_property
    def errors(self) -> Array:
        """(n,) residuals in units of what a row there may deviate by."""
        r, h, inside, s = self.searched
        return np.asarray(r / s / np.sqrt(np.where(inside, np.maximum(1 - h, 0.02), 1 + h)))

    def law_at(self, **variables: Array) -> Array:
        """ln L of the robust fit there."""
        given = {v: np.asarray(variables[v], float) for v in self.law.variables}
        constants = dict(zip(self.law.constant_names, self.problem.constants(self.t[None])[0], strict=True))
        with np.errstate(all="ignore"):
            return np.log(np.asarray(self.law.predict(constants, **given), float))

    def shift(self, rows: Mask) -> tuple[float, float]:
        """(δ, its standard error): how far `rows` (n,) lie above a law fitted together with δ, in ln loss.

        Linear in the constants about the robust fit; rows outside count only where they are asked about. NaN where the
        law can take up the shift by itself.
        """
        problem, t = self.problem, self.t
        r, J = (a[0] for a in problem.residuals(t[None]))
        free = (problem.model.lower < t) & (t < problem.model.upper)
        _, _, inside, _ = self.searched
        used = inside | rows
        design = np.vstack([J[free], rows.astype(float)])[:, used].T
        size = np.linalg.norm(design, axis=0)
        if not rows.any() or not (size > 0).all() or used.sum() <= len(size) + 1:
            return np.nan, np.nan
        u, s, vt = np.linalg.svd(design / size, full_matrices=False)
        if s[-1] < 1e-6 * s[0]:
            return np.nan, np.nan
        solved = vt.T @ ((u.T @ r[used]) / s) / size
        left = r[used] - design @ solved
        sigma = float(np.sqrt((left**2).sum() / (used.sum() - len(size))))
        error = sigma * float(np.sqrt(((vt[:, -1] / s) ** 2).sum())) / size[-1]
        return float(solved[-1]), max(error, 1e-12)


def leverage(J: Array, inside: Mask) -> Array:
    """x_i (XᵀX)⁻¹ x_i (n,) of every row, X the derivatives J (p, n) of the rows inside."""
    size = np.linalg.norm(J[:, inside], axis=1)
    X = (J[size > 0] / size[size > 0, None]).T
    _, s, vt = np.linalg.svd(X[inside], full_matrices=False)
    kept = s > 1e-10 * s.max(initial=0.0)
    return np.asarray((((X @ vt[kept].T) / s[kept]) ** 2).sum(axis=1))
