"""Equivalent Chinchilla-optimal size: the compute-optimal model that a loss is worth.

MiniCPM's reading (February 2024): train sizes at D = 20·N, follow the loss over N, and read off
which N would reach the loss of a small model that was trained on far longer.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

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
from scalinglab.analysis.estimate import Estimate
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

Array = NDArray[np.float64]
_LOG_N = (math.log(1e-3), math.log(1e30))  # where a size is looked for


@dataclass(frozen=True, kw_only=True)
class EquivalentSize(Answer):
    """The model on a frontier that reaches `loss`."""

    source: ClassVar[str] = "MiniCPM's blog, February 2024; frontier: Hoffmann et al. 2022, eq. 4"
    figure: ClassVar[str] = "equivalent_size"

    loss: float
    frontier: str
    """`D = 20·N`, or `optimal`: the fit's own compute-optimal line under 6·N·D."""
    params: Estimate = asked("parameters")
    tokens: Estimate = asked("tokens")
    ratio: Estimate = asked("tokens/parameter")
    times: Estimate = asked("× the model's own N")
    """N over the N of the model asked about; NaN where that is not given."""
    unreachable: float = 0.0
    """Share of bootstrap draws in which no size reaches the loss."""
    extrapolation: float = 0.0
    """Decades of N, D or N·D beyond the fitted rows; 0 inside."""

    def headline(self) -> str:
        lost = f" ({self.unreachable:.0%} of the draws never reach it)" if self.unreachable else ""
        return (
            f"loss {self.loss:.4g} is worth N {self.params.text(True)} trained on D "
            f"{self.tokens.text(True)} ({self.frontier}){lost}"
        )


def equivalent_size(
    fit: "Fit",
    loss: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    tokens_per_param: float | Literal["optimal"] = "optimal",
    *,
    bytes_per_token: float | None = None,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
) -> EquivalentSize:
    """The size on a frontier that is worth a loss, or worth a model of (params, tokens) by the fit.

    fit: of Chinchilla's form, or a law of N alone, such as PowerLaw("params"), of models that were all trained to
        D = tokens_per_param·N, as MiniCPM reads it.
    loss: measured, in the fit's unit; or params and tokens, whose loss the fit predicts, anew in each draw. With a
        loss, `params` alone says whose it is.
    tokens_per_param: the frontier's D/N, r = 20 in MiniCPM's reading, counted in the study's tokens; or "optimal", the
        fit's own. bytes_per_token: where the study counts bytes, r is given in tokens of so many bytes.
    Warns ExtrapolationWarning as `optimum` does. Raises InputError when neither a loss nor a model is given, and when
    no size reaches the loss, naming the bound that was hit.
    """
    if tokens is not None and (params is None or loss is not None):
        raise InputError("give either loss=, or both params= and tokens=")
    if loss is None and tokens is None:
        raise InputError("give either loss=, or both params= and tokens=")
    rule: float | str = read_rule(tokens_per_param, bytes_per_token)
    curve = tuple(fit.law.variables) == ("params",)
    if not curve and not hasattr(fit.law, "standard"):
        raise InputError(f"{fit.law.name} is not of Chinchilla's form, so it has no equivalent size")
    if curve and (rule == "optimal" or loss is None):
        raise InputError(
            "a law of N alone is the loss of models at one D/N: give that as tokens_per_param= and a loss to read"
        )
    params, tokens, loss = (
        None if given is None else positive_number(given, what, example)
        for given, what, example in (
            (params, "params", "1e9"),
            (tokens, "tokens", "1e12"),
            (loss, "a loss", "2.41"),
        )
    )
    law: Any = fit.law
    boot = own_boot(fit, boot)

    def own(constants: Any) -> Array:
        """The loss asked about: the measured one, or the model's by each draw's own law."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in law.ordered_constants(constants)))
        given = loss if loss is not None else law.predict(constants, params=params or 0, tokens=tokens or 0)
        return np.broadcast_to(np.asarray(given, float), shape)

    value = float(own(fit.constants))
    _check_reached(law, fit.constants, value, rule)

    def ask(constants: Any) -> dict[str, Any]:
        n = frontier_size(law, constants, own(constants), rule)
        d = frontier_tokens(law, constants, n, rule)
        return {"params": n, "tokens": d, "ratio": d / n, "times": n / (params or math.nan)}

    found = carried(fit, boot, level, ask)
    if params is None:
        found["times"] = Estimate(math.nan)
    lost = 0.0
    if boot is not None:
        lost = float(np.mean(~np.isfinite(frontier_size(law, boot.constants, own(boot.constants), rule))))
    far = extrapolation(fit, found["params"].value, found["tokens"].value)
    asked_far = 0.0 if tokens is None else extrapolation(fit, params, tokens)
    name = "optimal" if rule == "optimal" else f"D = {rule:g}·N"
    if bytes_per_token is not None:
        name += f" bytes, {tokens_per_param:g} tokens of {bytes_per_token:g}"
    return EquivalentSize(
        loss=value, frontier=name, level=level, unreachable=lost, extrapolation=far,
        loss_unit=loss_unit(fit.rows) or "",
        behind=Behind(fit, {"loss": loss, "params": params, "tokens": tokens, "tokens_per_param": rule,
                            "interval": level, "boot": boot}),
        notes=(*fit_notes(fit, boot), *beyond_note(asked_far, beyond, "the model asked about"),
               *beyond_note(far, beyond, "the equivalent model")), **found,
    )  # fmt: skip


def read_rule(
    tokens_per_param: float | Literal["optimal"], bytes_per_token: float | None
) -> float | Literal["optimal"]:
    """D/N of a frontier in the study's tokens, or "optimal". Raises InputError for what is neither."""
    rule = tokens_per_param
    if isinstance(rule, str) and rule == "optimal":
        if bytes_per_token is not None:
            raise InputError(
                "bytes_per_token turns tokens_per_param into bytes: give tokens_per_param= as a number"
            )
        return "optimal"
    ratio = positive_number(rule, 'tokens_per_param (if not "optimal")', "20")
    return ratio * (
        1.0 if bytes_per_token is None else positive_number(bytes_per_token, "bytes_per_token", "4")
    )


def _check_reached(law: Any, constants: Any, loss: float, rule: float | str) -> None:
    """Raises InputError where no size on the frontier has this loss, naming the bound."""
    n = frontier_size(law, constants, np.asarray(loss, float), rule)
    if not np.isfinite(n):
        floor = float(frontier_loss(law, constants, np.exp(_LOG_N[1]), rule))
        if math.isnan(floor):
            raise InputError(
                "a term of the law has vanished in this fit, so it has no compute-optimal line: give tokens_per_param= "
                "as a number"
            )
        raise InputError(
            f"no size reaches a loss of {loss:.4g}: on this frontier the fit's loss never falls below "
            f"{floor:.4g}"
        )
    if n == 0.0:
        raise InputError(f"a loss of {loss:.4g} lies above everything the fit predicts for any size")


def frontier_tokens(law: Any, constants: Any, n: Array, rule: float | str) -> Array:
    """D of the frontier at size n: r·n, or where n is compute-optimal under 6·N·D."""
    if rule != "optimal":
        return np.asarray(float(rule) * n)
    # n is optimal where αA·n^-α = βB·D^-β (Hoffmann et al. 2022, from eq. 4)
    c = law.standard(constants)
    with np.errstate(all="ignore"):
        logs = np.log(c.beta) + np.log(c.B) - np.log(c.alpha) - np.log(c.A) + c.alpha * np.log(n)
        return np.exp(logs / c.beta)


def frontier_loss(law: Any, constants: Any, params: Array, rule: float | str) -> Array:
    """Loss of the frontier's model of size `params`: a number, or (k,) for a stack of k constants.

    rule: D/N, or "optimal". A stack takes one size, or one each.
    """
    n = np.asarray(params, float)
    with np.errstate(all="ignore"):
        x = (n,) if tuple(law.variables) == ("params",) else (n, frontier_tokens(law, constants, n, rule))
        return np.asarray(law.value(law.ordered_constants(constants), x), float)


def frontier_size(law: Any, constants: Any, loss: Array, rule: float | str) -> Array:
    """N whose loss on the frontier is `loss`, by bisection on log N.

    inf where no size is that good, 0 where every size is better.
    """
    lo, hi = (np.full(np.shape(loss), end) for end in _LOG_N)
    reached = frontier_loss(law, constants, np.exp(hi), rule) < loss
    passed = frontier_loss(law, constants, np.exp(lo), rule) < loss
    for _ in range(80):
        middle = 0.5 * (lo + hi)
        above = frontier_loss(law, constants, np.exp(middle), rule) > loss
        lo, hi = np.where(above, middle, lo), np.where(above, hi, middle)
    return np.where(passed, 0.0, np.where(reached, np.exp(0.5 * (lo + hi)), np.inf))
