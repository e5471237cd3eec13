"""The fit without each of its runs, ready before anybody asks."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.allocation import optimal_at_each
from scalinglab.analysis.convention import SIX_ND
from scalinglab.fitting import Fit

Array = NDArray[np.float64]
MOST = 300
"""Runs left out one by one; of more, those with the largest residuals."""
_PART = 200  # refits in one batch


@dataclass(frozen=True)
class Without:
    """rows (k,): positions in the fit's rows of the runs left out. constants: a row each, a column a constant.

    params, loss (k, budgets): the compute-optimal N and its loss by each of these fits, over those of all runs.
    """

    rows: NDArray[np.int64]
    constants: pd.DataFrame = field(repr=False)
    params: Array = field(repr=False)
    loss: Array = field(repr=False)


def without_each(fit: Fit, flops: Array) -> Without:
    """Refit without each row, from the full fit; the optima at `flops` (budgets,) under C = 6·N·D."""
    problem = fit.problem()
    start = problem.at(fit.constants)[None]
    residuals = problem.residuals(start)[0][0]
    rows = np.sort(np.argsort(-np.abs(residuals), kind="stable")[:MOST])
    found = []
    for first in range(0, len(rows), _PART):
        part = rows[first : first + _PART]
        kept = problem.w * (np.arange(len(residuals)) != part[:, None])
        found.append(problem.constants(problem.minimise(np.repeat(start, len(part), axis=0), w=kept).t))
    constants = pd.DataFrame(np.concatenate(found), columns=list(fit.law.constant_names))
    everything = pd.DataFrame([fit.constants])
    n, loss = optima(fit.law, constants, flops)[::2]
    n0, loss0 = optima(fit.law, everything, flops)[::2]
    with np.errstate(all="ignore"):
        return Without(rows, constants, n / n0, loss / loss0)


def optima(law: Any, constants: pd.DataFrame, flops: Array) -> tuple[Array, Array, Array]:
    """(N, D, loss), each (k, budgets), of k sets of constants under C = 6·N·D."""
    with np.errstate(all="ignore"):
        n, d = optimal_at_each(law, constants, flops, SIX_ND)
        given = {"params": n, "tokens": d}
        loss = law.value(law.ordered_constants(constants, 1), [given[v] for v in law.variables])
    return n, d, loss
