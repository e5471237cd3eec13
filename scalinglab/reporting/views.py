"""What a report looks at: an eval set under a law, its fit, its frontier over budgets, and the fit without a run."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis import Optimum, frontier, optimum
from scalinglab.analysis.estimate import Estimate, estimate
from scalinglab.errors import InputError
from scalinglab.fitting import Bootstrap, Fit, Loss, fit
from scalinglab.laws import Law
from scalinglab.reporting.without import Without, optima, without_each

Array = NDArray[np.float64]
PER_DECADE = 8
"""Budgets of the grid: straight lines in log between them miss a loss by less than 1e-4 of it."""
AHEAD = 2
"""Decades of compute beyond the dearest run."""
COARSE = 4
"""Every how many-th budget the fits without a run are asked at; they are kept as ratios, which hardly bend."""


@dataclass(frozen=True)
class View:
    """One eval set under one law.

    grid: a row a budget: flops; params, tokens, ratio, loss and reach, each with _lo and _hi at `level`; extrapolation.
    reach is the compute at which the optimum reaches this loss: the budget itself, with what the draws say.
    now, tenfold: the optimum at the dearest run's compute and at ten times that.
    """

    eval_set: str | None
    fit: Fit
    boot: Bootstrap = field(repr=False)
    level: float
    grid: pd.DataFrame = field(repr=False)
    without: Without = field(repr=False)
    now: Optimum
    tenfold: Optimum

    @property
    def law(self) -> Law:
        return self.fit.law

    @property
    def name(self) -> str:
        """ "Chinchilla on code", or the law alone where the table has no eval sets."""
        return self.law.name + (f" on {self.eval_set}" if self.eval_set else "")

    @property
    def compute(self) -> pd.Series:
        """6·N·D of each fitted row."""
        return 6.0 * self.fit.rows["params"] * self.fit.rows["tokens"]

    def interval(self) -> pd.DataFrame:
        """Of each constant: lo and hi at `level`."""
        return self.boot.interval(self.level)


def budget_grid(runs: pd.DataFrame) -> Array:
    """Budgets (n,) from the cheapest run to AHEAD decades beyond the dearest, evenly spaced in log."""
    spent = 6.0 * runs["params"] * runs["tokens"]
    lo, hi = math.log10(spent.min()), math.log10(spent.max()) + AHEAD
    return np.logspace(lo, hi, math.ceil((hi - lo) * PER_DECADE) + 1)


def coarse(n: int) -> NDArray[np.int64]:
    """Which of n budgets the fits without a run are asked at; first and last among them."""
    return np.unique([*range(0, n, COARSE), n - 1])


def view(
    law: Law,
    runs: pd.DataFrame,
    eval_set: str | None,
    budgets: Array,
    *,
    loss: Loss | None,
    by: str | None,
    resamples: int,
    level: float,
) -> View:
    """Fit, bootstrap and ask. Raises InputError where these rows cannot bear the law."""
    if tuple(law.variables) != ("params", "tokens") or law.target != "loss":
        raise InputError(
            f"a report takes laws of loss in params and tokens, such as laws.Chinchilla(), not {law.name}"
        )
    found = fit(law, runs, loss=loss)
    boot = found.bootstrap(resamples, by=by)
    dearest = float((6.0 * found.rows["params"] * found.rows["tokens"]).max())
    asked: dict[str, Any] = {"level": level, "boot": boot, "beyond": math.inf}
    grid = frontier(found, budgets, **asked).rows
    reached = reach(found, boot, budgets, level)
    grid = grid.assign(
        reach=budgets, reach_lo=[each.lo for each in reached], reach_hi=[each.hi for each in reached]
    )
    return View(
        eval_set=eval_set,
        fit=found,
        boot=boot,
        level=level,
        grid=grid,
        without=without_each(found, budgets[coarse(len(budgets))]),
        now=optimum(found, dearest, **asked),
        tenfold=optimum(found, 10 * dearest, **asked),
    )


def reach(fit: Fit, boot: Bootstrap, budgets: Array, level: float) -> list[Estimate]:
    """The compute at which the optimum reaches the loss it has at each budget, with its interval.

    In every draw the loss of the optimum falls with compute; where it meets the loss asked for is read off between
    budgets, three decades below the grid to six above. A draw that gets there nowhere counts as zero or unbounded.
    """
    span = np.logspace(math.log10(budgets[0]) - 3, math.log10(budgets[-1]) + 6, 9 * PER_DECADE + len(budgets))
    asked = optima(fit.law, pd.DataFrame([fit.constants]), budgets)[2][0]
    at = np.log(span)
    draws = np.full((len(boot.constants), len(budgets)), np.nan)
    for i, falling in enumerate(optima(fit.law, boot.constants, span)[2]):
        if np.isfinite(falling).all():
            draws[i] = np.interp(-asked, -falling, at, left=-np.inf, right=np.inf)
    with np.errstate(over="ignore"):
        spent = np.exp(draws)
    return [estimate(budget, spent[:, j], level) for j, budget in enumerate(budgets)]
