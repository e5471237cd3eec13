"""Several fits at once, and one fit against another."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.errors import InputError
from scalinglab.fitting._fit import Fit, fit
from scalinglab.fitting._problem import Problem
from scalinglab.fitting._rows import as_table
from scalinglab.fitting._search import guesses
from scalinglab.laws._law import Array, Law
from scalinglab.shown import html_result, html_table, text_table, wrapped


def fit_groups(
    law: Law, runs: "pd.DataFrame | str | os.PathLike[str]", by: str = "eval_set", **how: Any
) -> dict[Any, Fit]:
    """One fit for each value of a column: {value: fit}. runs and `how` as `fit` takes them."""
    runs = as_table(runs)
    if by not in runs.columns:
        raise InputError(f"the table has no column {by!r} to group by")
    return {value: fit(law, group, **how) for value, group in runs.groupby(by, sort=False)}


@dataclass(frozen=True)
class Comparison:
    """Fits of the same rows side by side.

    table: one row a fit (index its law's name): constants (their number), objective, aicc, loo. `aicc` is Akaike's
    criterion with the small-sample term on the squared residuals; `loo` the root mean square of each row's
    residual when it is left out and the law refitted. best: the law's name, or "undecided"; evidence: why.
    """

    table: pd.DataFrame
    best: str
    evidence: str

    def to_frame(self) -> pd.DataFrame:
        """`table`, a fit each, as a copy; attrs: best, evidence."""
        frame = self.table.copy()
        frame.attrs = {"best": self.best, "evidence": self.evidence}
        return frame

    def __str__(self) -> str:
        return "\n".join([wrapped(f"{self.best}: {self.evidence}"), text_table(self.table)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        caption = "Lower is better: AICc, and the error of rows left out (loo)"
        return html_result(f"{self.best}: {self.evidence}", html_table(self.table, caption))


def compare(fits: Sequence[Fit]) -> Comparison:
    """Which of several fits of the same rows, under the same loss, describes them best.

    Decided where the lowest AICc leads by at least 4 and the leave-one-out error agrees; "undecided" otherwise.
    """
    if len(fits) < 2:
        raise InputError("compare at least two fits")
    first = fits[0]
    for other in fits[1:]:
        if other.loss != first.loss:
            raise InputError(f"fits under different losses cannot be compared: {first.loss} and {other.loss}")
        if len(other.rows) != len(first.rows) or not np.array_equal(
            other.rows[other.law.target], first.rows[first.law.target]
        ):
            raise InputError("only fits of the same rows can be compared")
    table = pd.DataFrame([_scores(f) for f in fits], index=pd.Index(_labels(fits), name="law"))
    order = table["aicc"].sort_values()
    lead = order.iloc[1] - order.iloc[0]
    best, second = order.index[0], order.index[1]
    agrees = table["loo"].idxmin() == best
    decided = bool(lead >= 4 and agrees)
    evidence = (
        f"AICc {order.iloc[0]:.1f} for {best} against {order.iloc[1]:.1f} for {second}; leave-one-out error "
        f"{table.loc[best, 'loo']:.2g} against {table.loc[second, 'loo']:.2g}"
    )
    return Comparison(table, best if decided else "undecided", evidence + ("" if decided else ": undecided"))


def _labels(fits: Sequence[Fit]) -> list[str]:
    """The laws' names; where one comes again, "name (2)"."""
    names = [f.law.name for f in fits]
    return [n if names[:i].count(n) == 0 else f"{n} ({names[:i].count(n) + 1})" for i, n in enumerate(names)]


def _scores(f: Fit) -> dict[str, float]:
    problem = f.problem()
    t = problem.at(f.constants)
    n, p = problem.model.n, problem.free
    r = problem.residuals(t[None])[0][0]
    k = p + 1  # the noise is estimated too
    small = 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf
    # residuals of rounding alone tell nothing between laws
    rounding = 1e-14 * (1.0 if f.loss.on == "log" else float(np.mean(problem.y)))
    aicc = n * np.log(np.mean(r**2) + rounding**2) + 2 * k + small
    return {"constants": p, "objective": f.objective, "aicc": float(aicc), "loo": _left_out(problem, t)}


def _left_out(problem: Problem, t: Array) -> float:
    """Root mean square residual of rows left out of the fit that predicts them: one by one, or 100 groups of them.

    Each refit goes from the full fit and from four other guesses, because a few rows less can move the optimum.
    """
    n = problem.model.n
    group = np.arange(n) % min(n, 100)
    folds = group.max() + 1
    starts = np.concatenate([t[None], guesses(problem, 4)])
    without = np.repeat(problem.w * (group != np.arange(folds)[:, None]), len(starts), axis=0)
    ends = problem.minimise(np.tile(starts, (folds, 1)), w=without)
    best = np.argmin(ends.objective.reshape(folds, -1), axis=1) + np.arange(folds) * len(starts)
    r = problem.residuals(ends.t[best])[0]
    return float(np.sqrt(np.mean(r[group, np.arange(n)] ** 2)))
