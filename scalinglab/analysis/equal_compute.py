"""One size trained on, beside a larger model at equal compute.

A model of N₂ parameters trained to its frontier, D = r·N₂, costs C = 6·r·N₂². Given the same C, a smaller model N₁ is
trained (N₂/N₁)² times past its own r·N₁ (MiniCPM's comparison, r = 20). Its loss there is read off its own curve
L₁(C); the larger one's off a law of the ladder, off its own runs, or it is a measured number.

How long training on pays: until its gain a decade of compute, −dL₁/dln C, is the `factor`-th part of what the
compute-optimal frontier gains there, −dL*/dln C = g·(L* − E), g = αβ/(α+β). At its own optimum N₁ gains what the
frontier gains. On the ladder's own law the ratio falls as k^(−β²/(α+β)), k times past the optimum, so that it pays
until k = factor^((α+β)/β²).
"""

import math
import numbers
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from scalinglab.analysis.answer import BEYOND, Answer, asked, beyond_note, own_boot
from scalinglab.analysis.checks import positive
from scalinglab.analysis.equivalent import frontier_loss, frontier_size, frontier_tokens, read_rule
from scalinglab.analysis.estimate import Estimate, count_text, estimate, number_text
from scalinglab.analysis.source import Runs, loss_unit, run_ends, same_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

FACTOR = 2.0
"""Training on pays until it gains half of what the frontier does."""
ENOUGH = 6
"""Run ends of a larger model from which a power law is fitted to them; fewer are interpolated."""
_COMPUTE = ("flops_6nd", "flops")
_NONE = Estimate(math.nan)


@dataclass(frozen=True, kw_only=True)
class EqualCompute(Answer):
    """A small model given the compute of a larger one that was trained to its frontier."""

    source: ClassVar[str] = "MiniCPM, arXiv 2404.06395, section 4.4, and its blog, February 2024"

    params: float
    """N of the model trained on."""
    larger: float
    """N of the model beside it."""
    frontier: str
    """How far the larger one is trained: `D = 20·N`, or `optimal`."""
    flops: float
    """C = 6·N·D of the larger one."""
    loss: Estimate = asked("loss")
    """Of the small model at C."""
    larger_loss: Estimate = asked("loss")
    gap: Estimate = asked("loss")
    """loss − larger_loss: below zero where the small model is better."""
    past: Estimate = asked("× its own frontier's tokens")
    """How far past its own frontier the small model is at C."""
    equivalent: Estimate = asked("× its own N")
    """N of the frontier's model that has the small one's loss at C, over its own; NaN without a law of the ladder."""
    matched: Estimate = asked("× its own N")
    """The largest size it still equals at that size's compute, over its own N; NaN without a law of the ladder."""
    multiple: Estimate = asked("× the larger one's compute")
    """What the small model needs to reach larger_loss; infinite where that lies below its floor."""
    cheaper: float = math.nan
    """Inference FLOPs a token of the larger over the small one's, N over N (2·N FLOPs a token)."""
    saved: float = math.nan
    """Inference FLOPs a token that the small one saves, 2·(N₂ − N₁)."""
    factor: float = FACTOR
    pays_flops: Estimate = asked("FLOPs")
    """Compute until which training on pays (see the module); NaN without a law of the ladder."""
    pays_until: Estimate = asked("× its compute-optimal tokens")
    """The same over the compute at which N is optimal by the ladder's law."""
    extrapolation: float = 0.0
    """Decades of C beyond the small model's runs."""

    def headline(self) -> str:
        text = (
            f"at {self.flops:.3g} FLOPs, which train N {count_text(self.larger)} to {self.frontier}, N "
            f"{count_text(self.params)} reaches {_loss(self.loss)} where the larger one has {_loss(self.larger_loss)}; "
            f"{_needed(self.multiple)}, and it is {self.cheaper:.3g}× cheaper to run"
        )
        if not math.isnan(self.pays_until.value):
            text += f"; training on pays {_until(self.pays_until)}"
        return text

    def table(self) -> pd.DataFrame:
        known = super().table()
        fixed = pd.DataFrame(
            {
                "value": [self.cheaper, self.saved],
                "unit": ["× fewer inference FLOPs", "inference FLOPs/token"],
            },
            index=pd.Index(["cheaper", "saved"], name="quantity"),
        )
        return pd.concat([known[known["value"].notna()], fixed])


def equal_compute(
    curve: "Fit | None",
    params: float,
    against: "Fit | Runs | float",
    larger: float | None = None,
    *,
    tokens_per_param: float | Literal["optimal"] = 20.0,
    bytes_per_token: float | None = None,
    factor: float = FACTOR,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
) -> EqualCompute:
    """A model of `params`, trained on along `curve`, beside a larger one at equal compute (6·N·D).

    curve: a fit of a law in flops_6nd, or published constants of one (`Fit.from_constants`); None takes it from the
        ladder's law in `against`, which gives the narrower intervals of one bootstrap.
    against: a fit of a ladder (Chinchilla's form); run ends of the larger model; a fit of its curve in flops_6nd; or
        its measured loss.
    larger: its N; by default the size of its runs, or the one whose frontier costs what the small model's longest run
        did. tokens_per_param: how far it is trained, or "optimal" by the ladder's law. bytes_per_token: where tokens
        are bytes, of how many bytes those of tokens_per_param are.
    factor: training on pays until it gains a factor-th of what the frontier gains.
    Curve and ladder are drawn as if independent, which makes the interval of the gap too wide where they share runs.
    Raises InputError where nothing says how large the larger model is, or it is not larger, its loss at C is nowhere
    in its runs, or the two losses have different units.
    """
    rule = read_rule(tokens_per_param, bytes_per_token)
    if not (positive(factor) and factor > 1):
        raise InputError(
            f"factor is a number above 1, such as 2: a gain of half the frontier's; not {factor!r}"
        )
    for name, value, what in (
        ("params", params, "the model that is trained on"),
        ("larger", larger, "the model beside it"),
    ):
        if not (positive(value) or (name == "larger" and value is None)):
            raise InputError(f"{name} is the size of {what}, a positive number such as 1e9, not {value!r}")
    params, larger, factor = float(params), None if larger is None else float(larger), float(factor)
    other = _read(against, params, larger)
    if curve is None and other.kind != "ladder":
        raise InputError("without a curve of the small model, against= has to be a fit of the ladder")
    if curve is not None and (
        len(curve.law.variables) != 1 or curve.law.variables[0] not in _COMPUTE or curve.law.target != "loss"
    ):
        raise InputError(
            f"equal compute is counted as 6·N·D, so the curve has to be a law of the loss in flops_6nd, not "
            f"{curve.law.name} in {', '.join(curve.law.variables)}"
        )
    if rule == "optimal" and other.kind != "ladder":
        raise InputError(
            'tokens_per_param="optimal" is a law\'s own frontier: give a fit of the ladder as against='
        )
    units: tuple[str, ...] = ()
    if curve is not None:
        mine = loss_unit(curve.rows, "the small model's curve")
        units = same_unit(mine, other.unit, "the small model's", "the larger one's")
    own = boot if boot is not None or curve is None else own_boot(curve)
    ladder: Any = other.fit if other.kind == "ladder" else None
    larger = other.larger or larger or _default_larger(curve, params, ladder, rule)
    if not larger > params:
        raise InputError(
            f"the model beside it has to be larger than {count_text(params)} parameters, not {count_text(larger)}"
        )
    tokens = (
        float(rule) * larger
        if ladder is None
        else float(frontier_tokens(ladder.law, ladder.constants, np.asarray(larger, float), rule))
    )
    flops = 6.0 * larger * tokens

    def ask(mine: Any, theirs: Any) -> dict[str, Any]:
        small = _Curve(curve.law, mine) if curve is not None else _slice(ladder, theirs, params)
        loss, other_loss = small(flops), other.loss(theirs, larger, tokens, flops)
        reached = small.inverse(other_loss)
        found = {
            "loss": loss, "larger_loss": other_loss, "gap": loss - other_loss, "multiple": reached / flops,
            "past": np.asarray(flops / 6.0 / params / float(rule) / params if rule != "optimal" else np.nan),
        }  # fmt: skip
        if ladder is None:
            return found
        law = ladder.law
        at = law.ordered_constants(theirs)
        size = np.broadcast_shapes(np.shape(loss), *(np.shape(v) for v in at))
        best = 6.0 * params * frontier_tokens(law, theirs, np.asarray(params, float), "optimal")
        until = _pays_until(small, law.standard(theirs), np.broadcast_to(best, size), factor)
        found |= {
            "equivalent": frontier_size(law, theirs, np.broadcast_to(loss, size), rule) / params,
            "pays_flops": until,
            "pays_until": until / best,
        }
        if rule == "optimal":
            found["past"] = flops / best
        else:
            found["matched"] = _matched(small, law, theirs, params, float(rule), size)
        return found

    figures = _carried_together((curve, own), (other.fit, other.boot), ask, level)
    far = 0.0
    if curve is not None and curve.domain:
        lo, hi = curve.domain[curve.law.variables[0]]
        far = max(math.log10(flops / hi), math.log10(lo / flops), 0.0)
        far = far if far > 1e-12 else 0.0
    notes = [*beyond_note(far, beyond, f"the small model's loss at {flops:.2g} FLOPs"), *other.notes, *units]
    if curve is not None and own is not None and other.boot is not None:
        notes.append(
            "The small model's curve and the larger one's loss are drawn as if independent; where they share runs, "
            "the interval of the gap is too wide."
        )
    until = figures.get("pays_until", _NONE)
    if until.open and math.isfinite(until.value):
        notes.append(
            f"Where training on stops paying is not identified: anywhere from {number_text(until.lo)}× its "
            "compute-optimal tokens on; the exponents of the two laws, whose difference decides it, are too uncertain."
        )
    blank = dict.fromkeys(("past", "equivalent", "matched", "pays_flops", "pays_until"), _NONE)
    name = "optimal" if rule == "optimal" else f"D = {rule:g}·N"
    return EqualCompute(
        params=params, larger=larger, frontier=name, flops=flops, cheaper=larger / params,
        saved=2.0 * (larger - params), factor=factor, level=level, extrapolation=far, notes=tuple(notes),
        **(blank | figures),
    )  # fmt: skip


# ---- the larger model -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Other:
    """The larger model's side: what its loss is asked of, its bootstrap, its N where that is known."""

    kind: Literal["ladder", "curve", "rows", "number"]
    fit: "Fit | None" = None
    boot: "Bootstrap | None" = None
    larger: float | None = None
    rows: pd.DataFrame | None = None
    number: float = math.nan
    unit: str | None = None
    """Of its loss, None where that is not told."""
    notes: tuple[str, ...] = ()

    def loss(self, constants: Any, larger: float, tokens: float, flops: float) -> Any:
        if self.kind == "number":
            return np.asarray(self.number)
        if self.kind == "rows":
            assert self.rows is not None
            return _between(self.rows, flops)
        assert self.fit is not None
        law = self.fit.law
        x = (larger, tokens) if self.kind == "ladder" else (flops,)
        return np.asarray(law.value(law.ordered_constants(constants), [np.asarray(v) for v in x]), float)


def _read(against: Any, params: float, larger: float | None) -> _Other:
    """What `against` is. Raises InputError where it does not tell the larger model's loss."""
    if isinstance(against, str | os.PathLike | pd.DataFrame):
        return _read_rows(against, params, larger)
    if isinstance(against, numbers.Real) and not isinstance(against, bool):
        if not positive(against):
            raise InputError(f"the larger model's loss has to be a positive number, not {against}")
        _need_larger(larger, "a measured loss")
        return _Other("number", number=float(against))
    law = getattr(against, "law", None)
    if law is None:
        raise InputError(
            f"against= is a fit, the larger model's runs, or its loss, not {type(against).__name__}"
        )
    if hasattr(law, "standard") and len(law.variables) == 2:
        return _Other("ladder", against, own_boot(against), unit=loss_unit(against.rows, "the ladder's fit"))
    if len(law.variables) == 1 and law.variables[0] in _COMPUTE and law.target == "loss":
        _need_larger(larger, f"a curve in {law.variables[0]}")
        unit = loss_unit(against.rows, "the larger model's curve")
        return _Other("curve", against, own_boot(against), unit=unit)
    raise InputError(f"a fit of {law.name} in {', '.join(law.variables)} does not tell a larger model's loss")


def read_larger(source: "str | Path", eval_set: str | None = None) -> tuple[Any, tuple[str, ...]]:
    """What `against` may be, from a path: a ladder's fit, or the run ends of a table of one or two sizes.

    Returns it and what was chosen, in sentences. Raises InputError for what cannot be read or fitted.
    """
    from scalinglab.analysis.source import read_ends, read_fit

    path = Path(source)
    if path.suffix.lower() == ".json":
        return read_fit(path)
    runs, _, notes = read_ends(path, eval_set)
    if runs["params"].nunique() < 3:
        return runs, notes
    return read_fit(path, eval_set=eval_set)


def _need_larger(larger: float | None, what: str) -> None:
    if larger is None:
        raise InputError(f"{what} does not say how large its model is: give larger=")


def _read_rows(runs: Runs, params: float, larger: float | None) -> _Other:
    from scalinglab import laws
    from scalinglab.fitting import Squared, fit

    every, notes = run_ends(runs, name="the table to compare with")
    unit = loss_unit(every)
    ends = every[every["params"] != params]
    sizes = sorted(map(float, ends["params"].unique()))
    if len(sizes) >= 3:
        found = _read(fit(laws.Chinchilla(), every), params, larger)
        return replace(found, notes=(*notes, *found.notes))
    listed = ", ".join(count_text(n) for n in sizes)
    demand = "three sizes and more, to which a law is fitted"
    if not sizes:
        raise InputError(
            f"the table to compare with holds runs of {count_text(params)} parameters alone, the small model's own: "
            f"give runs of one larger model, or {demand}"
        )
    if larger is None and len(sizes) == 2:
        raise InputError(
            f"the table to compare with holds two sizes beside the small model's ({listed}): name one with larger=, or "
            f"give {demand}"
        )
    if larger is not None:
        ends = ends[ends["params"] == larger]
        if ends.empty:
            raise InputError(
                f"the table to compare with has no run of larger={larger:g} parameters: beside the small model's own "
                f"it holds {listed}"
            )
    size = float(ends["params"].iloc[0])
    rows = ends.assign(flops_6nd=6.0 * ends["params"] * ends["tokens"]).sort_values("flops_6nd")
    if rows["flops_6nd"].nunique() >= ENOUGH:
        curve = fit(laws.PowerLaw("flops_6nd"), rows, loss=Squared())
        return _Other("curve", curve, own_boot(curve), size, unit=unit, notes=notes)
    note = f"The larger model's loss lies on a line between its {len(rows)} run ends, without an interval."
    return _Other("rows", larger=size, rows=rows, unit=unit, notes=(*notes, note))


def _between(rows: pd.DataFrame, flops: float) -> Any:
    """The loss at `flops` on lines between run ends in log C and log loss. Raises InputError outside them."""
    means = rows.groupby("flops_6nd")["loss"].mean()
    spent = means.index.to_numpy(dtype=float)
    if not spent[0] * 0.99 <= flops <= spent[-1] * 1.01:
        n = float(rows["params"].iloc[0])
        raise InputError(
            f"the larger model's runs cost {spent[0]:.3g} to {spent[-1]:.3g} FLOPs, not {flops:.3g}: compare at a "
            f"tokens_per_param of {number_text(spent[0] / 6 / n**2)} to {number_text(spent[-1] / 6 / n**2)}, or give "
            f"{ENOUGH} run ends and more, to which a curve is fitted"
        )
    return np.exp(np.interp(math.log(flops), np.log(spent), np.log(means.to_numpy())))


def _default_larger(curve: Any, params: float, ladder: Any, rule: float | str) -> float:
    """The size whose frontier costs what the small model's longest run cost."""
    if curve is not None and curve.domain:
        spent = float(curve.domain[curve.law.variables[0]][1])
    elif curve is None and len(ladder.rows):
        own = ladder.rows[ladder.rows["params"] == params]
        spent = 6.0 * params * float(own["tokens"].max()) if len(own) else math.nan
    else:
        spent = math.nan
    if math.isnan(spent):
        raise InputError("no run says how far the small model was trained: name the model beside it, larger=")
    if rule == "optimal":
        size = float(ladder.law.optimal(ladder.constants, spent)[0])
    else:
        size = math.sqrt(spent / 6.0 / float(rule))
    if not size > params:
        raise InputError(
            f"the longest run of {count_text(params)} parameters has not passed its own frontier "
            f"({'optimal' if rule == 'optimal' else f'D = {rule:g}·N'}), so no larger model costs as much: name one, "
            "larger="
        )
    return size


# ---- the small model's curve ----------------------------------------------------------------------


class _Curve:
    """L(C) of one size for one set of constants, or a stack of k."""

    def __init__(self, law: Any, constants: Any) -> None:
        self.law, self.constants = law, constants
        self.at = law.ordered_constants(constants)
        self.size = np.broadcast_shapes(*(np.shape(v) for v in self.at))

    def __call__(self, flops: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(self.law.value(self.at, [np.asarray(flops, float)]), float)

    def inverse(self, loss: Any) -> Any:
        """C at which the loss is reached, inf at or below the floor; a stack takes one loss, or one each."""
        with np.errstate(all="ignore"):
            size = np.broadcast_shapes(self.size, np.shape(loss))
            lo, hi = np.full(size, -50.0), np.full(size, 250.0)
            reached = self(np.exp(hi)) < loss
            for _ in range(70):
                middle = 0.5 * (lo + hi)
                above = self(np.exp(middle)) > loss
                lo, hi = np.where(above, middle, lo), np.where(above, hi, middle)
        return np.where(reached, np.exp(0.5 * (lo + hi)), np.inf)

    def gain(self, flops: Any) -> Any:
        """−dL/dln C by a complex step, which keeps its digits where L is flat."""
        with np.errstate(all="ignore"):
            x = np.asarray(flops, float) * (1 + 1e-100j)
            return -np.imag(self.law.value(self.at, [x])) / 1e-100


def _slice(ladder: Any, constants: Any, params: float) -> _Curve:
    """The ladder's law at one size: E + A·N^−α + B·(6N)^β·C^−β."""
    from scalinglab.laws import PowerLaw

    c = ladder.law.standard(constants)
    own = {
        "E": c.E + c.A * params**-c.alpha,
        "A": np.exp(np.log(c.B) + c.beta * math.log(6.0 * params)),
        "alpha": c.beta,
    }
    return _Curve(PowerLaw("flops_6nd"), own)


def _pays_until(small: _Curve, c: Any, best: Any, factor: float) -> Any:
    """The last C at which `small` gains at least a factor-th of what the frontier gains. 0: never, inf: always."""
    from scalinglab.laws import Chinchilla

    law = Chinchilla()
    own = {"E": c.E, "A": c.A, "alpha": c.alpha, "B": c.B, "beta": c.beta}
    with np.errstate(all="ignore"):
        g = c.alpha * c.beta / (c.alpha + c.beta)
        n, d = (np.squeeze(v, -1) if np.ndim(v) > 1 else np.squeeze(v) for v in law.optimal(own, [1e18]))
        # both terms of the frontier fall as C^-g
        level = np.log(g) + np.log(c.A * n**-c.alpha + c.B * d**-c.beta) + g * math.log(1e18)

        def worth(u: Any) -> Any:
            return np.log(small.gain(np.exp(u))) - (level - g * u) + math.log(factor) >= 0

        size = np.shape(best)
        start = np.log(np.where((best > 0) & np.isfinite(best), best, 1.0))
        steps = np.linspace(math.log(1e-6), math.log(1e30), 400)
        pays = np.broadcast_to(worth(start + _leading(steps, size)), (len(steps), *size))
        last = len(steps) - 1 - pays[::-1].argmax(axis=0)
        lo, hi = start + steps[last], start + steps[np.minimum(last + 1, len(steps) - 1)]
        for _ in range(50):
            middle = 0.5 * (lo + hi)
            yes = worth(middle)
            lo, hi = np.where(yes, middle, lo), np.where(yes, hi, middle)
    found = np.where(pays.any(axis=0), np.where(pays[-1], np.inf, np.exp(0.5 * (lo + hi))), 0.0)
    return np.where((best > 0) & np.isfinite(best), found, np.nan)


def _leading(steps: Any, size: tuple[int, ...]) -> Any:
    """Steps (m,) along an axis before those of a stack."""
    return steps.reshape((-1,) + (1,) * len(size))


def _matched(small: _Curve, law: Any, constants: Any, params: float, rule: float, size: Any) -> Any:
    """The largest N on D = rule·N that the small model equals at its compute, over the small N; 1 where none is."""
    steps = np.linspace(0.0, math.log(1e6), 500)[1:]

    def short(u: Any) -> Any:
        """How far the small model stays above the larger one of e^u its size."""
        n = params * np.exp(u)
        return small(6.0 * rule * n**2) - frontier_loss(law, constants, n, rule)

    with np.errstate(all="ignore"):
        equal = np.broadcast_to(short(_leading(steps, size)) <= 0, (len(steps), *size))
        last = len(steps) - 1 - equal[::-1].argmax(axis=0)
        lo, hi = steps[last], steps[np.minimum(last + 1, len(steps) - 1)]
        for _ in range(50):
            middle = 0.5 * (lo + hi)
            yes = short(middle) <= 0
            lo, hi = np.where(yes, middle, lo), np.where(yes, hi, middle)
    return np.where(equal.any(axis=0), np.where(equal[-1], np.inf, np.exp(0.5 * (lo + hi))), 1.0)


# ---- intervals ------------------------------------------------------------------------------------


def _carried_together(mine: Any, theirs: Any, ask: Any, level: float) -> dict[str, Any]:
    """Figures of two fits' constants; draw i of one goes with draw i of the other, as if independent.

    mine, theirs: (fit, bootstrap), either None.
    """
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    constants = [None if fit is None else fit.constants for fit, _ in (mine, theirs)]
    values = ask(*constants)
    boots = [boot for _, boot in (mine, theirs)]
    known = [len(boot.constants) for boot in boots if boot is not None]
    if not known:
        return {name: Estimate(float(np.squeeze(value))) for name, value in values.items()}
    k = min(known)
    stacks = [None if b is None else {c: b.constants[c].to_numpy()[:k] for c in b.constants} for b in boots]
    draws = ask(*(c if stack is None else stack for c, stack in zip(constants, stacks, strict=True)))
    return {
        name: estimate(float(np.squeeze(value)), np.broadcast_to(draws[name], (k,)), level)
        if np.ndim(draws[name])
        else Estimate(float(np.squeeze(value)))
        for name, value in values.items()
    }


def _loss(found: Estimate) -> str:
    ends = "" if math.isnan(found.lo) else f" [{found.lo:.4g}, {found.hi:.4g}]"
    return f"{found.value:.4g}{ends}"


def _needed(multiple: Estimate) -> str:
    if math.isinf(multiple.value):
        at_least = "" if math.isnan(multiple.lo) else f" ({number_text(multiple.lo)}× at the least)"
        return f"no compute brings it there, which lies below its floor{at_least}"
    return f"to match that it needs {multiple}× the compute"


def _until(found: Estimate) -> str:
    if math.isinf(found.value):
        at_least = "" if math.isnan(found.lo) else f" (until {number_text(found.lo)}× at the least)"
        return f"however far past its compute-optimal tokens{at_least}"
    if found.open:
        return f"until {number_text(found.lo)}× its compute-optimal tokens at the least; the end is open"
    if found.value == 0:
        return "nowhere: its curve gains less than the frontier throughout"
    return f"until {found}× its compute-optimal tokens"
