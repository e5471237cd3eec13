"""What over-training costs: a model k times smaller than the compute-optimal one, at equal compute or equal loss."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.answer import (
    BEYOND,
    Answer,
    Behind,
    asked,
    beyond_note,
    carried,
    extrapolation,
    own_boot,
)
from scalinglab.analysis.checks import fit_notes
from scalinglab.analysis.convention import Convention, Cost, convention, positive_budget
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.optimum import vanished_note
from scalinglab.analysis.reach import loss_of, measure_of, smallest_params, tokens_for
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

TIMES = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""How many times smaller, where nothing is asked for."""
_PAYABLE = 4.0  # times the compute: what the headline quotes


@dataclass(frozen=True, kw_only=True)
class Overtraining(Answer):
    """Smaller models beside the optimum at one budget.

    Under 6ND and a law of Chinchilla's form, k times fewer parameters need x times the tokens, with
    (β·k^α + α·x^-β)/(α+β) = 1, whatever the budget: x/k times the compute.
    """

    source: ClassVar[str] = (
        "from Hoffmann et al. 2022, arXiv 2203.15556, eqs. 2 and 4; the trade-off as in de Vries 2023, "
        '"Go smol or go home"'
    )
    figure: ClassVar[str] = "overtraining"

    flops: float
    cost: str
    params: Estimate = asked("parameters")
    """The optimum's, as tokens, ratio and loss are."""
    tokens: Estimate = asked("tokens")
    ratio: Estimate = asked("tokens/parameter")
    loss: Estimate = asked("loss")
    times_max: Estimate = asked("× smaller")
    """Beyond this no amount of data reaches the optimum's loss; ((α+β)/β)^(1/α) under 6ND."""
    rows: pd.DataFrame
    """One row a size: `times` (how many times smaller than the optimum, which is also what a served token gets
    cheaper); params; tokens, ratio, loss, penalty of spending the same compute (loss over the optimum's);
    match_tokens, compute_multiple: D and C/C* with which it reaches the optimum's loss, infinite where it cannot.
    Each with _lo and _hi. And extrapolation (decades) of the equal-compute model."""

    def table(self) -> pd.DataFrame:
        """What fits a screen of the rows: intervals only where they say more than the optimum's own do."""
        kept = ["times", "params", "tokens", "loss", "penalty", "compute_multiple"]
        ends = [f"{c}_{end}" for c in ("times", "penalty", "compute_multiple") for end in ("lo", "hi")]
        return self.rows[[c for c in (*kept, *ends) if c in self.rows]]

    def headline(self) -> str:
        row = self._quoted()
        more = row["compute_multiple"]
        match = (
            f"takes {number_text(more)}× the compute to match it"
            if math.isfinite(more)
            else "never matches it"
        )
        span = "" if math.isnan(self.times_max.lo) else f" ({self.level:.0%} interval)"
        return (
            f"C = {self.flops:.3g} FLOPs ({self.cost}): the optimum is N {count_text(self.params.value)} on D "
            f"{count_text(self.tokens.value)}, loss {number_text(self.loss.value)}. A model "
            f"{number_text(row['times'])}× smaller loses {number_text(row['penalty'])} at equal compute and {match}; "
            f"one more than {self.times_max}× smaller never does, on any amount of data{span}"
        )

    def _quoted(self) -> pd.Series:
        """The smallest model that matches at a price somebody might pay, else the first."""
        payable = self.rows[self.rows["compute_multiple"] <= _PAYABLE]
        return payable.iloc[-1] if len(payable) else self.rows.iloc[0]


def overtraining(
    fit: "Fit",
    flops: float,
    times: ArrayLike | None = None,
    params: ArrayLike | None = None,
    cost: Cost = "6ND",
    *,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
    **fixed: float,
) -> Overtraining:
    """What models smaller than the compute-optimal one of `flops` lose, or cost more.

    times: how many times smaller, relative to the optimum of each bootstrap draw; below 1 for larger models. Or params:
        sizes that stay as they are, whose distance from the optimum is then uncertain too.
    cost: as in `optimum`. fixed: further variables of the law, such as unique_tokens.
    Warns ExtrapolationWarning as `optimum` does, once for all sizes. Raises InputError for a budget, times or params
    that are not positive, or both of the last.
    """
    if times is not None and params is not None:
        raise InputError("give either times= or params=, not both")
    budget, counted, boot = positive_budget(flops), convention(cost, fit.rows), own_boot(fit, boot)
    relative = params is None
    sizes = np.sort(_positive(TIMES if times is None else times, "times"))
    if params is not None:
        sizes = np.sort(_positive(params, "params"))[::-1]  # from the optimum to the smallest model

    best = carried(fit, boot, level, lambda c: _best(fit.law, c, budget, counted, fixed))
    rows = []
    for size in sizes:

        def ask(constants: Any, size: float = size) -> dict[str, Any]:
            return _ask(fit.law, constants, budget, counted, size, relative, fixed)

        found = carried(fit, boot, level, ask)
        row: dict[str, float] = {}
        for name, value in found.items():
            exact = name == ("times" if relative else "params")
            row[name] = value.value
            if not exact:
                row |= {f"{name}_lo": value.lo, f"{name}_hi": value.hi}
        far = extrapolation(fit, found["params"].value, found["tokens"].value, **fixed)
        rows.append(row | {"extrapolation": far})
    frame = pd.DataFrame(rows)
    notes = (
        *fit_notes(fit, boot),
        *vanished_note(best["params"].value, best["tokens"].value),
        *beyond_note(float(frame["extrapolation"].max()), beyond, "the furthest of these models"),
    )
    return Overtraining(
        flops=budget,
        cost=counted.name,
        rows=frame,
        level=level,
        loss_unit=loss_unit(fit.rows) or "",
        notes=notes,
        behind=Behind(fit, {"flops": budget, "cost": counted, "interval": level, "boot": boot}),
        **best,
    )


def _best(law: Any, constants: Any, flops: float, cost: Convention, fixed: Any) -> dict[str, Any]:
    loss, measure = loss_of(law, constants, fixed), measure_of(law, constants, fixed)
    n, d = optimal_params_tokens(law, constants, flops, cost, **fixed)
    with np.errstate(all="ignore"):
        furthest = n / smallest_params(measure, measure(n, d))
        ratio = d / n
    return {
        "params": n,
        "tokens": d,
        "ratio": ratio,
        "loss": loss(n, d),
        "times_max": furthest,
    }


def _ask(
    law: Any, constants: Any, flops: float, cost: Convention, size: float, relative: bool, fixed: Any
) -> dict[str, Any]:
    loss, measure = loss_of(law, constants, fixed), measure_of(law, constants, fixed)
    n_best, d_best = optimal_params_tokens(law, constants, flops, cost, **fixed)
    with np.errstate(all="ignore"):
        n = n_best / size if relative else np.full(np.shape(n_best), size)
        d = cost.tokens_at(n, flops)
        equal = loss(n, d)
        match = tokens_for(measure, n, measure(n_best, d_best))
        return {
            "times": n_best / n,
            "params": n,
            "tokens": d,
            "ratio": d / n,
            "loss": equal,
            "penalty": equal - loss(n_best, d_best),
            "match_tokens": match,
            "compute_multiple": cost(n, match) / flops,
        }


def _positive(values: ArrayLike, name: str) -> Any:
    try:
        found = np.atleast_1d(np.asarray(values, float)).ravel()
    except (TypeError, ValueError):
        raise InputError(f"{name} are numbers such as 2, 4, 8, not {values!r}") from None
    if not len(found) or not np.all((found > 0) & np.isfinite(found)):
        raise InputError(f"{name} are positive numbers, one or several, not {values!r}")
    return found
