"""The data-limited optimum: how large a model and how many epochs, when only so many unique tokens exist."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scalinglab.analysis.allocation import FAR, elasticities, optimal_params_tokens
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
from scalinglab.analysis.checks import fit_notes, positive_number
from scalinglab.analysis.convention import SIX_ND, Convention, Cost, convention, positive_budget
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.reach import cheapest
from scalinglab.analysis.repetition import (
    R_D,
    R_N,
    Repeating,
    best_repeating,
    counted,
    log_excess_from,
)
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError
from scalinglab.laws import Chinchilla, DataConstrained

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

_CHINCHILLA = Chinchilla()


@dataclass(frozen=True, kw_only=True)
class DataLimited(Answer):
    """The optimum at a budget with U unique tokens, beside the one that unlimited data would allow."""

    source: ClassVar[str] = "Muennighoff et al. 2023, arXiv 2305.16264, eqs. 5 and 6"
    figure: ClassVar[str] = "data_limited"

    flops: float
    cost: str
    unique_tokens: float
    """U."""
    params: Estimate = asked("parameters")
    tokens: Estimate = asked("tokens")
    """D seen in training, repeats counted."""
    epochs: Estimate = asked("epochs")
    """D/U, and 1 where D is less than U."""
    ratio: Estimate = asked("tokens/parameter")
    loss: Estimate = asked("loss")
    worth_tokens: Estimate = asked("tokens")
    """D': the new tokens that would do as well as these epochs."""
    unlimited_params: Estimate = asked("parameters")
    unlimited_tokens: Estimate = asked("tokens")
    unlimited_loss: Estimate = asked("loss")
    penalty: Estimate = asked("loss")
    """What the limit costs: loss − unlimited_loss."""
    worth_compute: Estimate = asked("share of C")
    """The share of the budget that would do with unlimited data."""
    least_loss: Estimate = asked("loss")
    """What U tokens can ever give: N and epochs without end."""
    extrapolation: float = 0.0
    """Decades of N, D or N·D beyond the fitted rows; 0 inside."""

    @property
    def limited(self) -> bool:
        """Whether the data are too few for this budget."""
        return self.unlimited_tokens.value > self.unique_tokens

    def headline(self) -> str:
        span = "" if math.isnan(self.params.lo) else f" ({self.level:.0%} intervals)"
        what = f"C = {self.flops:.3g} FLOPs ({self.cost}) and {count_text(self.unique_tokens)} unique tokens"
        if not self.limited:
            return (
                f"{what}: the data do not limit this budget: N {self.params.text(True)} on D "
                f"{self.tokens.text(True)}, loss {self.loss}{span}"
            )
        return (
            f"{what}: N {self.params.text(True)} for {self.epochs} epochs, loss {self.loss}, "
            f"{number_text(self.penalty.value)} above N {count_text(self.unlimited_params.value)} on D "
            f"{count_text(self.unlimited_tokens.value)} of new tokens; these tokens can never give less than "
            f"{number_text(self.least_loss.value, 4)}{span}"
        )


def data_limited(
    fit: "Fit",
    flops: float,
    unique_tokens: float,
    cost: Cost = "6ND",
    *,
    R_D: float | None = None,
    R_N: float | None = None,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
) -> DataLimited:
    """The best N and number of epochs at a budget of `flops` when there are `unique_tokens` tokens.

    fit: of laws.DataConstrained, or of laws.Chinchilla, to which R_D* and R_N* are then assumed: those given, else the
        published ones, which the notes say.
    Warns ExtrapolationWarning as `optimum` does. Raises InputError for another law, a budget or a number of tokens
    that is not positive, R_D or R_N with a fit that has its own.
    """
    budget, counted_by, boot = positive_budget(flops), convention(cost, fit.rows), own_boot(fit, boot)
    unique = positive_number(unique_tokens, "unique_tokens")
    repeating, notes = repeating_law(fit, R_D, R_N)
    if counted_by is not SIX_ND:
        artefact = (
            "The law counts parameters beyond the 6ND optimum of the tokens as less than their number, so under "
            f"{counted_by.name} a part of the penalty can come from the size, not from the data."
        )
        notes += (artefact,)

    def ask(constants: Any) -> dict[str, Any]:
        return figures_of(repeating(constants), unique, budget, counted_by)

    found = carried(fit, boot, level, ask)
    asked = {"unique_tokens": unique} if "unique_tokens" in fit.law.variables else {}
    far = extrapolation(fit, found["params"].value, found["tokens"].value, **asked)
    notes += fit_notes(fit, boot)
    notes += beyond_note(far, beyond, "the data-limited optimum")
    return DataLimited(
        flops=budget, cost=counted_by.name, unique_tokens=unique, level=level, extrapolation=far,
        loss_unit=loss_unit(fit.rows) or "", notes=notes,
        behind=Behind(fit, {"flops": budget, "unique_tokens": unique, "R_D": R_D, "R_N": R_N, "cost": counted_by,
                            "interval": level, "boot": boot}),
        **found,
    )  # fmt: skip


def data_limited_curve(
    fit: "Fit",
    flops: ArrayLike,
    unique_tokens: float,
    cost: Cost = "6ND",
    *,
    R_D: float | None = None,
    R_N: float | None = None,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
) -> pd.DataFrame:
    """The same at each of several budgets: a row each, for a figure.

    Columns flops and the figures of DataLimited, each with _lo and _hi. Errors as in `data_limited`.
    """
    counted_by, boot = convention(cost, fit.rows), own_boot(fit, boot)
    unique = positive_number(unique_tokens, "unique_tokens")
    repeating, _ = repeating_law(fit, R_D, R_N)
    rows = []
    for each in np.atleast_1d(np.asarray(flops, float)):
        budget = positive_budget(each)

        def ask(constants: Any, budget: float = budget) -> dict[str, Any]:
            return figures_of(repeating(constants), unique, budget, counted_by)

        row = {"flops": budget}
        for key, value in carried(fit, boot, level, ask).items():
            row |= {key: value.value, f"{key}_lo": value.lo, f"{key}_hi": value.hi}
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame.attrs["cost"] = counted_by.name
    return frame


def repeating_law(fit: "Fit", r_d: float | None, r_n: float | None) -> tuple[Any, tuple[str, ...]]:
    """A function from the fit's constants to those of Muennighoff's law, and what it assumes, in sentences."""
    law: Any = fit.law
    if isinstance(law, DataConstrained):
        if r_d is not None or r_n is not None:
            raise InputError("this fit has its own R_D and R_N: leave R_D= and R_N= out")
        if len(fit.rows) and not (fit.rows["tokens"] > 1.01 * fit.rows["unique_tokens"]).any():
            raise InputError(
                "no fitted run repeats its data (tokens are at most unique_tokens in every row), so nothing tells what "
                "a repeat is worth: fit laws.Chinchilla, for which the published R_D and R_N are taken"
            )
        return lambda constants: Repeating(*law.ordered_constants(constants)), ()
    if not isinstance(law, Chinchilla):
        raise InputError(
            f"{law.name} does not say what repeated tokens are worth: fit laws.DataConstrained or laws.Chinchilla"
        )
    stars = (
        R_D if r_d is None else positive_number(r_d, "R_D", "15.39"),
        R_N if r_n is None else positive_number(r_n, "R_N", "5.31"),
    )
    whose = (
        "as published (Muennighoff et al. 2023), fitted to other text and models"
        if r_d is None and r_n is None
        else "as given"
    )
    note = (
        f"The worth of repeats is assumed, not fitted: R_D* = {stars[0]:.4g}, R_N* = {stars[1]:.4g} {whose}; the "
        "intervals know nothing of it."
    )
    return lambda constants: Repeating(*law.standard(constants), *stars), (note,)


def figures_of(c: Repeating, unique: float, flops: float, cost: Convention) -> dict[str, Any]:
    """The answer's figures for one set of constants or a stack."""
    plain = {"E": c.E, "A": c.A, "alpha": c.alpha, "B": c.B, "beta": c.beta}
    with np.errstate(all="ignore"):
        n, d = best_repeating(c, unique, flops, cost, elasticities, FAR)
        n_free, d_free = optimal_params_tokens(_CHINCHILLA, plain, flops, cost)
        seen = np.minimum(d, unique)
        log_un = log_excess_from(c, np.log(seen))
        worth_n = np.exp(log_un + counted(np.log(n) - log_un, c.R_N)[0])
        worth_d = np.exp(np.log(seen) + counted(np.log(d / seen), c.R_D)[0])
        terms = c.A * worth_n**-c.alpha + c.B * worth_d**-c.beta
        free = c.A * n_free**-c.alpha + c.B * d_free**-c.beta
        n_equal, d_equal = cheapest(_CHINCHILLA.standard(plain), terms, cost)
        most_n = np.exp(log_excess_from(c, math.log(unique))) * (1.0 + c.R_N)
        most_d = unique * (1.0 + c.R_D)
        return {
            "params": n,
            "tokens": d,
            "epochs": np.maximum(d / unique, 1.0),
            "ratio": d / n,
            "loss": c.E + terms,
            "worth_tokens": worth_d,
            "unlimited_params": n_free,
            "unlimited_tokens": d_free,
            "unlimited_loss": c.E + free,
            "penalty": np.maximum(terms - free, 0.0),  # below 0 by rounding alone
            "worth_compute": np.minimum(cost(n_equal, d_equal) / flops, 1.0),
            "least_loss": c.E + c.A * most_n**-c.alpha + c.B * most_d**-c.beta,
        }
