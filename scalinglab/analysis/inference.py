"""The inference-aware optimum: the model that is cheapest to train and then to serve, or best for both together.

Sardana et al. 2024 (arXiv 2401.00448) minimise 6·N·D + 2·N·D_inf over models of one loss. Hours and money weigh the
two terms by what a FLOP costs where it is spent.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
from scalinglab.analysis.convention import SIX_ND, Convention, Cost, convention, positive_budget
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.hardware import Hardware, hardware
from scalinglab.analysis.reach import (
    best_within,
    cheapest,
    loss_of,
    reducible,
    reducible_of_size,
    serving_flops,
)
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

Unit = Literal["FLOPs", "device-hours", "money"]
UNITS: tuple[Unit, ...] = ("FLOPs", "device-hours", "money")
_SPENT = ("training", "inference", "total", "chinchilla_total")


@dataclass(frozen=True, kw_only=True)
class InferenceOptimum(Answer):
    """The model whose training and serving together cost least, beside the compute-optimal one of the same loss."""

    source: ClassVar[str] = "Sardana et al. 2024, arXiv 2401.00448, eq. 2"
    figure: ClassVar[str] = "inference_optimum"

    served: float
    """D_inf: tokens served over the model's life, prompts and answers alike."""
    unit: Unit
    """What training, inference and totals are counted in."""
    cost: str
    params: Estimate = asked("parameters")
    tokens: Estimate = asked("tokens")
    ratio: Estimate = asked("tokens/parameter")
    loss: Estimate = asked("loss")
    training: Estimate = asked("")
    inference: Estimate = asked("")
    total: Estimate = asked("")
    chinchilla_params: Estimate = asked("parameters")
    """The model of the same loss that is cheapest to train, whatever serving costs."""
    chinchilla_tokens: Estimate = asked("tokens")
    chinchilla_total: Estimate = asked("")
    """What training and serving that one cost."""
    smaller: Estimate = asked("×")
    """How many times smaller the optimum is than it."""
    saving: Estimate = asked("share of the total")
    """1 − total/chinchilla_total."""
    unreachable: float = 0.0
    """Share of bootstrap draws in which no model has the loss."""
    extrapolation: float = 0.0
    """Decades of N, D or N·D beyond the fitted rows; 0 inside."""

    def figures(self) -> pd.DataFrame:
        frame = super().figures()
        frame.loc[list(_SPENT), "unit"] = self.unit
        return frame

    def plain(self) -> dict[str, Any]:
        return {**super().plain(), "unit": self.unit}

    def headline(self) -> str:
        lost = f"; {self.unreachable:.0%} of the draws never reach it" if self.unreachable else ""
        saved = f"{100 * self.saving.value:.3g} %"
        span = "" if math.isnan(self.params.lo) else f" ({self.level:.0%} intervals{lost})"
        return (
            f"{count_text(self.served)} tokens served at loss {number_text(self.loss.value, 4)}: N "
            f"{self.params.text(True)} on D {self.tokens.text(True)} costs {_amount(self.total.value, self.unit)} in "
            f"all, {saved} less than the compute-optimal N {count_text(self.chinchilla_params.value)} on D "
            f"{count_text(self.chinchilla_tokens.value)}{span}"
        )


@dataclass(frozen=True)
class Prices:
    """What a FLOP costs in training and in serving, in `unit`."""

    unit: Unit
    train: float
    serve: float
    notes: tuple[str, ...] = ()


def inference_optimum(
    fit: "Fit",
    served: float,
    *,
    loss: float | None = None,
    params: float | None = None,
    flops: float | None = None,
    budget: float | None = None,
    cost: Cost = "6ND",
    train_on: str | float | Hardware | None = None,
    serve_on: str | float | Hardware | None = None,
    unit: Unit | None = None,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
) -> InferenceOptimum:
    """The model of a loss that is cheapest to train and to serve `served` tokens with; or the best for a budget.

    One of: loss, in the fit's unit; params or flops, of a compute-optimal model whose loss is meant, anew in each
        bootstrap draw; budget, of training and serving together, in `unit`, for which the loss is made smallest.
    cost: as in `optimum`; a served token costs a third of it, the forward pass (2·N under 6·N·D).
    train_on, serve_on: Hardware or its name; serving takes the training's where it is not given. unit: "FLOPs" without
        hardware; with it "money" where both have a price, else "device-hours", or as asked.
    Warns ExtrapolationWarning as `optimum` does. Raises InputError for a law that is not of Chinchilla's form, a loss
    that no model has, not exactly one target, hardware without the price that money needs.
    """
    law: Any = fit.law
    name, target = _target(law, {"loss": loss, "params": params, "flops": flops, "budget": budget})
    counted, boot = convention(cost, fit.rows), own_boot(fit, boot)
    tokens_served, prices = _served(served), prices_of(train_on, serve_on, unit)
    if name == "loss":
        _check_reached(law, fit.constants, target)

    def ask(constants: Any) -> dict[str, Any]:
        terms = _terms(law, constants, counted, name, target)
        return _figures(law, constants, counted, tokens_served, prices, terms, target)

    found = carried(fit, boot, level, ask)
    if found["params"].value < 1 and name == "budget":
        raise InputError(
            f"a budget of {target:.3g} does not pay for serving {count_text(tokens_served)} tokens with any model: "
            "give a larger budget, or fewer tokens"
        )
    if not (math.isfinite(found["total"].value) and 0 < found["params"].value < math.inf):
        raise InputError(
            "a term of the law has vanished in this fit, or the target lies beyond it: no model is the cheapest"
        )
    lost = 0.0
    if boot is not None and name == "loss":
        lost = float(np.mean(reducible(law, boot.constants, target) == 0.0))
    far = extrapolation(fit, found["params"].value, found["tokens"].value)
    notes = (*prices.notes, *fit_notes(fit, boot), *beyond_note(far, beyond, "the inference-aware optimum"))
    return InferenceOptimum(
        served=tokens_served, unit=prices.unit, cost=counted.name, level=level, unreachable=lost,
        extrapolation=far, notes=notes, loss_unit=loss_unit(fit.rows) or "",
        behind=Behind(fit, {"served": tokens_served, **({"loss": found["loss"].value} if name == "budget" else
                            {name: target}), "cost": counted, "train_on": train_on, "serve_on": serve_on, "unit": unit,
                            "interval": level, "boot": boot}),
        **found,
    )  # fmt: skip


def inference_curve(
    fit: "Fit",
    served: ArrayLike,
    *,
    loss: float | None = None,
    params: float | None = None,
    flops: float | None = None,
    cost: Cost = "6ND",
    train_on: str | float | Hardware | None = None,
    serve_on: str | float | Hardware | None = None,
    unit: Unit | None = None,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
) -> pd.DataFrame:
    """The optimum at each of several numbers of tokens served: a row each, for a figure.

    Columns served; params, tokens, saving and the other figures of InferenceOptimum; `size` and `data`, which are N and
    D over those of the compute-optimal model of the same loss; each with _lo and _hi. Errors as in
    `inference_optimum`, of whose targets budget is left out.
    """
    law: Any = fit.law
    name, target = _target(law, {"loss": loss, "params": params, "flops": flops})
    counted, prices = convention(cost, fit.rows), prices_of(train_on, serve_on, unit)
    if name == "loss":
        _check_reached(law, fit.constants, target)
    values = [_served(each) for each in np.atleast_1d(np.asarray(served, float))]

    def ask(constants: Any) -> dict[str, Any]:
        terms = _terms(law, constants, counted, name, target)
        out: dict[str, Any] = {}
        for i, each in enumerate(values):
            found = _figures(law, constants, counted, each, prices, terms, target)
            with np.errstate(all="ignore"):
                found["size"] = found["params"] / found["chinchilla_params"]
                found["data"] = found["tokens"] / found["chinchilla_tokens"]
            out |= {f"{key} {i}": value for key, value in found.items()}
        return out

    estimates = carried(fit, own_boot(fit, boot), level, ask)
    rows: list[dict[str, float]] = [{"served": each} for each in values]
    for key, value in estimates.items():
        column, _, i = key.partition(" ")
        rows[int(i)] |= {column: value.value, f"{column}_lo": value.lo, f"{column}_hi": value.hi}
    return pd.DataFrame(rows)


def _terms(law: Any, constants: Any, cost: Convention, name: str, target: float) -> Any:
    """A·N^-α + B·D^-β of the models asked for; None where a budget is to be spent."""
    c = law.standard(constants)
    if name == "budget":
        return None
    if name == "loss":
        return reducible(law, constants, target)
    if name == "params":
        return reducible_of_size(c, target, cost)
    with np.errstate(all="ignore"):
        n, d = optimal_params_tokens(law, constants, target, cost)
        return c.A * n**-c.alpha + c.B * d**-c.beta


def _figures(
    law: Any, constants: Any, cost: Convention, served: float, prices: Prices, terms: Any, budget: float
) -> dict[str, Any]:
    """For one set of constants or a stack; `budget` counts only where there are no terms to be met."""
    c = law.standard(constants)
    with np.errstate(all="ignore"):
        if terms is None:
            n, d = best_within(c, budget, cost, served, prices.train, prices.serve)
            terms = c.A * n**-c.alpha + c.B * d**-c.beta
        else:
            n, d = cheapest(c, terms, cost, served, prices.serve / prices.train)
        n_usual, d_usual = cheapest(c, terms, cost)

        def spent(params: Any, tokens: Any) -> tuple[Any, Any]:
            return prices.train * cost(params, tokens), prices.serve * serving_flops(cost, params, served)

        train, serve = spent(n, d)
        usual = sum(spent(n_usual, d_usual))
        saving = 1.0 - (train + serve) / usual
        return {
            "params": n,
            "tokens": d,
            "ratio": d / n,
            "loss": loss_of(law, constants, {})(n, d),
            "training": train,
            "inference": serve,
            "total": train + serve,
            "chinchilla_params": n_usual,
            "chinchilla_tokens": d_usual,
            "chinchilla_total": usual,
            "smaller": n_usual / n,
            # a draw in which no model has the loss says nothing of the saving: counted at the end of the scale
            "saving": np.where(np.isnan(saving), 1.0, saving),
        }


def _target(law: Any, given: dict[str, float | None]) -> tuple[str, float]:
    """Which target was given, and its value. Raises InputError for none, several, or one that is not positive."""
    if not hasattr(law, "standard"):
        raise InputError(f"{law.name} is not of Chinchilla's form, so it has no inference-aware optimum here")
    chosen = [(name, value) for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        options = [f"{name}=" for name in given]
        raise InputError(
            f"say what is to be reached by exactly one of {', '.join(options[:-1])} or {options[-1]}"
        )
    name, value = chosen[0]
    if name in ("flops", "budget"):
        return name, positive_budget(value)
    if not (value > 0 and math.isfinite(value)):
        raise InputError(f"{name} must be a positive number, not {value!r}")
    return name, float(value)


def prices_of(
    train_on: str | float | Hardware | None, serve_on: str | float | Hardware | None, unit: Unit | None
) -> Prices:
    """What a FLOP costs in each place. Raises InputError where the unit needs hardware or a price not given."""
    if unit is not None and unit not in UNITS:
        raise InputError(f"a cost is counted in {', '.join(UNITS)}, not {unit!r}")
    if train_on is None:
        if serve_on is not None:
            raise InputError("serve_on= needs train_on= too: hours are of one device or of another")
        if unit not in (None, "FLOPs"):
            raise InputError(f"{unit} need hardware: give train_on=, for example 'h100'")
        return Prices("FLOPs", 1.0, 1.0)
    train = hardware(train_on)
    serve = train if serve_on is None else hardware(serve_on)
    chosen: Unit = unit or ("device-hours" if None in (train.price, serve.price) else "money")
    notes = [f"Training on {train}; serving on {serve}."]
    if serve_on is None:
        notes.append(
            "Serving is taken to reach the training's MFU; generation token by token reaches less: give serve_on."
        )
    if chosen == "FLOPs":
        return Prices(chosen, 1.0, 1.0)
    if chosen == "money":
        return Prices(chosen, train.money(1.0), serve.money(1.0), tuple(notes))
    if train.name != serve.name:
        notes.append("An hour of one device counts as much as an hour of the other: money would weigh them.")
    return Prices(chosen, train.hours(1.0), serve.hours(1.0), tuple(notes))


def _check_reached(law: Any, constants: Any, loss: float) -> None:
    terms = reducible(law, constants, loss)
    if float(terms) == 0.0:
        floor = float(loss_of(law, constants, {})(np.inf, np.inf))
        raise InputError(
            f"no model reaches a loss of {loss:.4g}: the fit's loss never falls below {floor:.4g}"
        )
    if not float(cheapest(law.standard(constants), terms, SIX_ND)[0]) >= 1.0:
        raise InputError(
            f"a loss of {loss:.4g} lies above what a model of a single parameter has by this fit"
        )


def _served(tokens: float) -> float:
    try:
        value = float(tokens)
    except (TypeError, ValueError):
        raise InputError(f"tokens served are a number such as 1e12, not {tokens!r}") from None
    if not (value >= 0 and math.isfinite(value)):
        raise InputError(f"tokens served are a number from 0 up, not {value:g}")
    return value


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g} FLOPs" if unit == "FLOPs" else f"{count_text(value)} {unit}"
