"""The compute-optimal model: which N and D make the loss smallest at a budget C, and how they grow with it."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scalinglab.analysis.allocation import optimal_at_each, optimal_params_tokens
from scalinglab.analysis.answer import (
    BEYOND,
    Answer,
    Behind,
    ByBudget,
    asked,
    beyond_note,
    carried,
    extrapolation,
    extrapolations,
    own_boot,
)
from scalinglab.analysis.checks import check_level, fit_notes
from scalinglab.analysis.convention import SIX_ND, Convention, Cost, convention, positive_budget
from scalinglab.analysis.estimate import Estimate, estimate
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

_FIGURES = ("params", "tokens", "ratio", "loss")
_PART = 64  # budgets asked together


@dataclass(frozen=True, kw_only=True)
class Optimum(Answer):
    """The compute-optimal model at one budget; every figure with its interval at `level`."""

    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv 2203.15556, eq. 4; other costs: docs/answers.md"
    figure: ClassVar[str] = "contours"

    flops: float
    cost: str
    """The convention C is counted in: `6ND`, `exact`, or the name of a cost of your own."""
    params: Estimate = asked("parameters")
    tokens: Estimate = asked("tokens")
    ratio: Estimate = asked("tokens/parameter")
    """D/N."""
    loss: Estimate = asked("loss")
    extrapolation: float = 0.0
    """Decades of N, D or N·D beyond the fitted rows; 0 inside."""

    def headline(self) -> str:
        far = f"{self.extrapolation:.1f} decades beyond the data" if self.extrapolation > 0.05 else ""
        unit = f" {self.loss_unit}" if self.loss_unit else ""
        return (
            f"C = {self.flops:.3g} FLOPs ({self.cost}): N {self.params.text(True)} parameters, D "
            f"{self.tokens.text(True)} tokens, D/N {self.ratio.text(True)}, loss {self.loss}{unit}"
            f"{self.about_intervals(self.params, far)}"
        )


def optimum(
    fit: "Fit",
    flops: float,
    cost: Cost = "6ND",
    *,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
    **fixed: float,
) -> Optimum:
    """The compute-optimal (N, D) of a fit at a budget of `flops`.

    cost: how C counts: "6ND"; "exact" where the fitted rows carry `flops_exact`; a Convention; a function of (params,
        tokens). fixed: further variables of the law, such as unique_tokens.
    Intervals come from `boot`, from a bootstrap of the fit's own where none is given, and are NaN for constants that
    were given, not fitted. Warns ExtrapolationWarning where the optimum lies more than `beyond` decades of N, D or
    N·D outside the fitted rows. Raises InputError for a budget that is not positive, or a law without params and
    tokens.
    """
    flops, counted = positive_budget(flops), convention(cost, fit.rows)
    boot = own_boot(fit, boot)
    law = fit.law

    def ask(constants: Any) -> dict[str, Any]:
        n, d = optimal_params_tokens(law, constants, flops, counted, **fixed)
        given = {"params": n, "tokens": d, **fixed}
        loss = law.value(law.ordered_constants(constants), [given[v] for v in law.variables])
        return {"params": n, "tokens": d, "ratio": d / n, "loss": loss}

    found = carried(fit, boot, level, ask)
    n, d = found["params"].value, found["tokens"].value
    far = extrapolation(fit, n, d, **fixed)
    notes = (*fit_notes(fit, boot), *vanished_note(n, d), *beyond_note(far, beyond, "the optimum"))
    return Optimum(
        flops=flops,
        cost=counted.name,
        level=level,
        loss_unit=loss_unit(fit.rows) or "",
        extrapolation=far,
        notes=notes,
        behind=Behind(fit, {"flops": flops, "cost": cost, "interval": level, "boot": boot}),
        **found,
    )


def vanished_note(params: float, tokens: float) -> tuple[str, ...]:
    """What an optimum at zero or infinity means."""
    if 0 < params < math.inf and 0 < tokens < math.inf:
        return ()
    return ("A term of the law has vanished in this fit, so no size is the best: N and D go to an edge.",)


# ---- how it grows ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Scaling(Answer):
    """How the optimum grows under C = 6·N·D: exponents, and the constants of both papers' notations."""

    source: ClassVar[str] = (
        "Hoffmann et al. 2022, arXiv 2203.15556, eq. 4; MiniCPM, arXiv 2404.06395, section 4.5"
    )
    figure: ClassVar[str] = "frontier"

    a: Estimate = asked("1")
    """N_opt ∝ C^a, a = β/(α+β) (Hoffmann et al. 2022)."""
    b: Estimate = asked("1")
    """D_opt ∝ C^b, b = α/(α+β)."""
    G: Estimate = asked("N = G·(C/6)^a")
    """N_opt = G·(C/6)^a, D_opt = (C/6)^b / G, counts one by one."""
    K2: Estimate = asked("N, D in 1e9, C in 1e18")
    """MiniCPM's K²: N_opt/D_opt = K²·(C/6)^η with N, D in 1e9 and C in 1e18."""
    eta: Estimate = asked("1")
    """η = (β−α)/(α+β)."""

    def headline(self) -> str:
        return f"N_opt grows as C^{self.a}, D_opt as C^{self.b}{self.about_intervals(self.a, 'C = 6ND')}"


def scaling(fit: "Fit", level: float = 0.9, boot: "Bootstrap | None" = None) -> Scaling:
    """Exponents and coefficients of the optimum under C = 6·N·D.

    Raises InputError for a law that is not of Chinchilla's form.
    """
    if not hasattr(fit.law, "standard"):
        raise InputError(f"{fit.law.name} is not of Chinchilla's form, so it has no a, b, G, K² and η")
    law: Any = fit.law
    boot = own_boot(fit, boot)
    found = carried(fit, boot, level, lambda constants: _scaling(law.standard(constants)))
    behind = Behind(fit, {"interval": level, "boot": boot})
    return Scaling(**found, level=level, notes=fit_notes(fit, boot), behind=behind)


def _scaling(c: Any) -> dict[str, Any]:
    """From E, A, alpha, B, beta with N and D in plain counts."""
    both = c.alpha + c.beta
    # a draw in which a term has vanished has no finite G
    log_g = (np.log(c.alpha) + np.log(c.A) - np.log(c.beta) - np.log(c.B)) / both
    a, b = c.beta / both, c.alpha / both
    eta = a - b
    # N/D = G²·(C/6)^η in plain counts; with C = 1e18·c the factor 1e18^η moves into K²
    return {"a": a, "b": b, "G": np.exp(log_g), "K2": np.exp(2 * log_g + eta * math.log(1e18)), "eta": eta}


@dataclass(frozen=True, kw_only=True)
class Frontier(ByBudget, Answer):
    """The optimum at each of several budgets, and the exponents between the first and the last."""

    source: ClassVar[str] = Optimum.source
    figure: ClassVar[str] = "frontier"

    cost: str
    rows: pd.DataFrame
    """Columns flops; params, tokens, ratio, loss, each with _lo and _hi; extrapolation (decades)."""
    a: Estimate = asked("1")
    """N_opt ∝ C^a between the first and the last budget; NaN for one budget."""
    b: Estimate = asked("1")
    """D_opt ∝ C^b likewise. Under a cost other than 6ND, a + b need not be 1."""
    scaling: Scaling | None = None
    """Under 6ND, for a law of Chinchilla's form: its closed form in Hoffmann's and in MiniCPM's notation."""

    def headline(self) -> str:
        first, last = self.flops.iloc[0], self.flops.iloc[-1]
        grown = "" if math.isnan(self.a.value) else f": N_opt grows as C^{self.a}, D_opt as C^{self.b}"
        if len(self.rows) == 1:
            return f"One budget, {first:.3g} FLOPs ({self.cost})"
        return f"{len(self.rows)} budgets from {first:.2g} to {last:.2g} FLOPs ({self.cost}){grown}"


def frontier(
    fit: "Fit",
    flops: ArrayLike,
    cost: Cost = "6ND",
    *,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
    **fixed: float,
) -> Frontier:
    """The compute-optimal frontier: the optimum at each of the budgets `flops`, in rising order.

    Options, warnings and errors as in `optimum`; one warning for all budgets.
    """
    budgets = sorted(positive_budget(each) for each in np.atleast_1d(np.asarray(flops, dtype=object)))
    if not budgets:
        raise InputError("a frontier needs at least one budget in FLOPs")
    check_level(level)
    counted, boot = convention(cost, fit.rows), own_boot(fit, boot)
    law: Any = fit.law
    parts = [np.array(budgets[i : i + _PART]) for i in range(0, len(budgets), _PART)]
    frame = pd.concat([_rows(fit, part, counted, level, boot, fixed) for part in parts], ignore_index=True)
    slopes: dict[str, Any] = {"a": Estimate(math.nan), "b": Estimate(math.nan)}
    if budgets[-1] > budgets[0]:
        span = math.log(budgets[-1] / budgets[0])

        def grown(constants: Any) -> dict[str, Any]:
            if counted is SIX_ND and hasattr(law, "exponents"):  # also where a term has vanished
                return dict(zip("ab", law.exponents(constants), strict=True))
            (n0, d0), (n1, d1) = (
                optimal_params_tokens(fit.law, constants, c, counted, **fixed)
                for c in (budgets[0], budgets[-1])
            )
            return {"a": np.log(n1 / n0) / span, "b": np.log(d1 / d0) / span}

        slopes = carried(fit, boot, level, grown)
    far = frame["extrapolation"].max()
    last = frame.iloc[-1]
    notes = (
        *fit_notes(fit, boot),
        *vanished_note(last["params"], last["tokens"]),
        *beyond_note(float(far), beyond, f"the frontier at {budgets[-1]:.2g} FLOPs"),
    )
    closed = counted is SIX_ND and hasattr(fit.law, "standard")
    return Frontier(
        cost=counted.name,
        rows=frame,
        scaling=scaling(fit, level, boot) if closed else None,
        level=level,
        loss_unit=loss_unit(fit.rows) or "",
        notes=notes,
        behind=Behind(
            fit, {"flops": (budgets[0], budgets[-1]), "cost": counted, "interval": level, "boot": boot}
        ),
        **slopes,
    )


def _rows(
    fit: "Fit", budgets: NDArray[np.float64], cost: Convention, level: float, boot: Any, fixed: Any
) -> pd.DataFrame:
    """A row a budget: flops, the figures with their intervals, extrapolation."""
    law = fit.law

    def ask(constants: Any) -> dict[str, NDArray[np.float64]]:
        n, d = optimal_at_each(law, constants, budgets, cost, **fixed)
        given = {"params": n, "tokens": d, **fixed}
        loss = law.value(law.ordered_constants(constants, 1), [given[v] for v in law.variables])
        return {"params": n, "tokens": d, "ratio": d / n, "loss": np.broadcast_to(loss, n.shape)}

    with np.errstate(all="ignore"):  # a draw in which a term has vanished
        values, draws = ask(fit.constants), None if boot is None else ask(boot.constants)
    out: dict[str, Any] = {"flops": budgets}
    for key in _FIGURES:
        found = [
            estimate(float(value), None if draws is None else draws[key][:, j], level)
            for j, value in enumerate(values[key])
        ]
        out |= {key: values[key], f"{key}_lo": [e.lo for e in found], f"{key}_hi": [e.hi for e in found]}
    out["extrapolation"] = extrapolations(fit, values["params"], values["tokens"], **fixed)
    return pd.DataFrame(out)
