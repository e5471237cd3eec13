"""Which rows a fit hangs on: the leverage of each, and how far the answer moves when it is left out.

The leverage of row i is h_i = w_i·J_iᵀ(J W Jᵀ)⁻¹J_i, J the derivatives of the prediction by the constants: the share of
its own deviation that the fit follows. It lies between 0 and 1 and sums to the number of constants fitted, whatever the
losses are (Cook & Weisberg 1982, section 2.1). A residual is small where the leverage is large, so the two are read
together; what a row does to an answer is found by refitting without it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.answer import Answer, Behind, asked
from scalinglab.analysis.convention import positive_budget
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Fit

Array = NDArray[np.float64]
_PART = 400  # refits in one batch


@dataclass(frozen=True, kw_only=True)
class Influence(Answer):
    """Leverage and influence of each row, or group of rows, of a fit."""

    source: ClassVar[str] = (
        "leverage: Cook & Weisberg 1982, Residuals and Influence in Regression, section 2.1"
    )
    units: ClassVar[Mapping[str, str]] = {
        "leverage": "1",
        "residual": "ln(measured/fitted), or loss",
        "without": "1",
        "shift": "share",
    }

    quantity: str
    """What the influence is on."""
    rows: pd.DataFrame
    """One row a run, in the fit's order: the law's variables and target, leverage, residual (ln of measured over
    fitted, or their difference, as the fit's loss takes it), without (the quantity refitted without the row), shift
    (without over the quantity with it, less one)."""
    value: Estimate = asked("1")
    """The quantity with all rows; from its lowest to its highest with one left out."""
    left_out: str = "row"
    """What is left out at a time: a row, or the rows that share a value of this column."""

    def _drawn(self) -> tuple[str, tuple[Any, ...], Mapping[str, Any]]:
        return ("leverage", (self.behind.fit,), {"found": self}) if self.behind else super()._drawn()

    def headline(self) -> str:
        if not np.isfinite(self.value.value):
            return f"this fit has no finite {self.quantity}, so its rows' influence on it cannot be told"
        far = self.rows["shift"].abs()
        if not far.notna().any():
            return f"{self.quantity} is {number_text(self.value.value)}; no refit without a {self.left_out} has one"
        most = self.rows.iloc[int(far.fillna(np.inf).to_numpy().argmax())]
        where = ", ".join(
            f"{name} {count_text(float(most[short]))}"
            for name, short in (("N", "params"), ("D", "tokens"))
            if short in most
        )
        if self.left_out != "row":
            where = f"{self.left_out} {most[self.left_out]}"
        return (
            f"{self.quantity} is {number_text(self.value.value)}; with one {self.left_out} left out it lies between "
            f"{number_text(self.value.lo)} and {number_text(self.value.hi)}, moved most by {where} "
            f"(to {number_text(float(most['without']))})"
        )


def influence(
    fit: "Fit",
    flops: float | None = None,
    *,
    of: Callable[[pd.DataFrame], Any] | None = None,
    name: str | None = None,
    by: str | None = None,
) -> Influence:
    """How much each row, or all rows that share a value of the column `by`, moves an answer of a fit.

    flops: the budget at which the compute-optimal D/N (6·N·D) is asked; by default the dearest row's.
    of: another quantity, a function of a frame of constants (as for `fit.profile`); name: what to call it.
    Each row is left out and the law refitted from the full fit, all in a few batches. Raises InputError for a fit
    without rows, a law without a compute-optimal D/N where no `of` is given, or an unknown column.
    """
    problem, law = fit.problem(), fit.law
    if by is not None and by not in fit.rows:
        raise InputError(f"the fitted rows have no column {by!r} to leave out by")
    quantity, called = _quantity(fit, flops, of, name)
    t = problem.at(fit.constants)
    residual, J = (a[0] for a in problem.residuals(t[None]))
    n = problem.model.n
    group = np.arange(n) if by is None else pd.factorize(fit.rows[by], use_na_sentinel=False)[0]
    groups = int(group.max()) + 1
    if by is not None and groups < 2:
        raise InputError(f"all rows share one {by}: leaving it out leaves none")
    without = np.empty(groups)
    for first in range(0, groups, _PART):
        part = np.arange(first, min(first + _PART, groups))
        without[part] = _finite(quantity(refits_without(fit, group == part[:, None])))
    here = float(_finite(quantity(_frame(law, problem.constants(t[None]))))[0])
    known = without[np.isfinite(without)]
    ends = (float(known.min()), float(known.max())) if len(known) else (math.nan, math.nan)
    table = fit.rows.reset_index(drop=True)
    kept = [*law.variables, law.target, *([by] if by is not None and by not in law.variables else [])]
    table = table[kept].assign(
        leverage=_leverage(problem, t, J),
        residual=residual,
        without=without[group],
        shift=without[group] / here - 1.0,
    )
    notes = []
    if len(known) < groups:
        notes.append(f"Without {groups - len(known)} of them the refit has no finite {called}.")
    lost = int((table["leverage"] > 0.5).sum())
    if lost:
        notes.append(
            f"{lost} rows have a leverage above a half: the fit follows them more than it follows all others, so "
            "their residuals say little."
        )
    return Influence(
        quantity=called,
        rows=table,
        value=Estimate(here, *ends),
        left_out=by or "row",
        notes=tuple(notes),
        loss_unit=loss_unit(fit.rows) or "",
        behind=Behind(fit, {}),
    )


def refits_without(fit: "Fit", left_out: NDArray[np.bool_]) -> pd.DataFrame:
    """Constants (b, constants) of the law refitted from the full fit without the rows left_out (b, n), in one batch."""
    problem = fit.problem()
    start = np.repeat(problem.at(fit.constants)[None], len(left_out), axis=0)
    end = problem.minimise(start, w=problem.w * ~left_out)
    return _frame(fit.law, problem.constants(end.t))


def _quantity(
    fit: "Fit", flops: float | None, of: Callable[[pd.DataFrame], Any] | None, name: str | None
) -> tuple[Callable[[pd.DataFrame], Any], str]:
    if of is not None:
        return of, name or getattr(of, "__name__", "quantity").strip("<>").replace("lambda", "quantity")
    law: Any = fit.law
    if not hasattr(law, "standard") or tuple(law.variables) != ("params", "tokens"):
        raise InputError(
            f"{law.name} has no compute-optimal D/N in closed form: name a quantity, of=lambda constants: …"
        )
    budget = (
        positive_budget(flops)
        if flops is not None
        else float((6.0 * fit.rows["params"] * fit.rows["tokens"]).max())
    )

    def ratio(constants: pd.DataFrame) -> Any:
        n, d = law.optimal(constants, [budget])
        return np.squeeze(d / n, -1)

    return ratio, name or f"D/N at {budget:.3g} FLOPs"


def _frame(law: Any, constants: Array) -> pd.DataFrame:
    return pd.DataFrame(constants, columns=list(law.constant_names))


def _finite(values: Any) -> Array:
    """NaN where there is no finite value."""
    found = np.atleast_1d(np.asarray(values, float))
    return np.where(np.isfinite(found) & (np.abs(found) < 1e30), found, np.nan)


def _leverage(problem: Any, t: Array, J: Array) -> Array:
    """h (n,) of the constants that are fitted and not at a bound. J (p, n)."""
    model = problem.model
    moved = (model.lower < t) & (t < model.upper)
    # an orthonormal basis of the rows' pull: h is its squared length at each row, without inverting J W Jᵀ
    weighted = (J[moved] * np.sqrt(problem.w)).T
    size = np.linalg.norm(weighted, axis=0)
    basis, s, _ = np.linalg.svd(weighted[:, size > 0] / size[size > 0], full_matrices=False)
    return np.asarray((basis[:, s > 1e-12 * s.max(initial=0.0)] ** 2).sum(axis=1))
