"""Continual training of one size: does its decayed loss fall as a power law or as an exponential, and to what floor?

MiniCPM (February 2024) fits both to the lower envelope of one size's decayed losses over compute, and sets the size
beside a larger one at equal compute (`equal_compute`).
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from scalinglab.analysis.answer import Answer, asked, carried, own_boot, to_plain
from scalinglab.analysis.checks import positive
from scalinglab.analysis.equal_compute import FACTOR, EqualCompute, equal_compute
from scalinglab.analysis.estimate import Estimate, count_text
from scalinglab.analysis.source import Runs, run_ends
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Comparison, Fit

RESAMPLES = 2000
_NAMES = {"PowerLaw": "power law", "Exponential": "exponential"}


@dataclass(frozen=True, kw_only=True)
class Continual(Answer):
    """The curves L(C) of one size with the evidence between them, and larger models beside it."""

    source: ClassVar[str] = "MiniCPM, arXiv 2404.06395, section 4.4, and its blog, February 2024"
    figure: ClassVar[str] = "continual"

    params: float
    rows: pd.DataFrame
    """The lower envelope: run ends in order of compute, each better than all before it. Empty for given curves."""
    curves: tuple["Fit", ...]
    comparison: "Comparison"
    floor_power: Estimate = asked("loss")
    """The loss that no amount of compute goes below, by the power law; NaN where it was not given."""
    floor_exponential: Estimate = asked("loss")
    against: tuple[EqualCompute, ...] = ()

    @property
    def power(self) -> "Fit":
        return self._curve("PowerLaw")

    @property
    def exponential(self) -> "Fit":
        return self._curve("Exponential")

    def _curve(self, name: str) -> "Fit":
        for fit in self.curves:
            if fit.law.name == name:
                return fit
        raise InputError(f"no {_NAMES[name]} was given for this size")

    @property
    def better(self) -> "Fit | None":
        """The curve the evidence favours; None when it is undecided."""
        named = {fit.law.name: fit for fit in self.curves}
        return named.get(self.comparison.best)

    @property
    def followed(self) -> "Fit":
        """The curve that comparisons read: the better one; the first, the power law, when it is undecided."""
        return self.better or self.curves[0]

    def headline(self) -> str:
        floors = {"PowerLaw": self.floor_power, "Exponential": self.floor_exponential}
        article = {"PowerLaw": "a", "Exponential": "an"}
        said = [
            f"{_floor(floors[fit.law.name])} as {article[fit.law.name]} {_NAMES[fit.law.name]}"
            for fit in self.curves
        ]
        text = f"N {count_text(self.params)} trained on: its loss falls to {' or '.join(said)} in compute"
        if len(self.rows):
            text += f" ({self.level:.0%} intervals); "
            text += (
                f"the {len(self.rows)} run ends do not decide between them"
                if self.better is None
                else f"the {len(self.rows)} run ends favour the {_NAMES[self.comparison.best]}"
            )
        return ". ".join([text, *(_first_upper(each.headline()) for each in self.against)])

    def table(self) -> pd.DataFrame:
        """The floors, and the figures of each comparison; with several, the larger N is in their names."""
        parts = [_floors(self)]
        for each in self.against:
            part = each.table()
            if len(self.against) > 1:
                part.index = pd.Index([f"{name}, N {count_text(each.larger)}" for name in part.index])
            parts.append(part)
        table = pd.concat(parts)
        table.index.name = "quantity"
        return table

    def to_frame(self) -> pd.DataFrame:
        """One row a figure: the floors, and those of each comparison. `rows` are the run ends they come from."""
        return self._described(self.table())

    def plain(self) -> dict[str, Any]:
        own: dict[str, Any] = super().plain()
        curves = {fit.law.name: to_plain(fit) for fit in self.curves}
        return own | {"better": self.comparison.best, "curves": curves}


def _floors(answer: Continual) -> pd.DataFrame:
    """The floors as rows of the answer's table."""
    known = {
        f"floor ({_NAMES[fit.law.name]})": getattr(
            answer, "floor_power" if fit.law.name == "PowerLaw" else "floor_exponential"
        )
        for fit in answer.curves
    }
    return pd.DataFrame.from_dict(
        {name: (e.value, e.lo, e.hi, "loss") for name, e in known.items()},
        orient="index",
        columns=["value", "lo", "hi", "unit"],
    )


def continual(
    runs: "Runs | Fit | Sequence[Fit]",
    params: float | None = None,
    flops: str = "flops_6nd",
    *,
    against: Any = None,
    larger: float | None = None,
    tokens_per_param: float | Literal["optimal"] = 20.0,
    bytes_per_token: float | None = None,
    factor: float = FACTOR,
    level: float = 0.9,
) -> Continual:
    """Both curves of one size's decayed run ends of one eval set, their floors, and larger models at equal compute.

    runs: a run table; or a curve of the size that is known already, a fit of PowerLaw or Exponential in flops_6nd
        (published constants: `Fit.from_constants`), or both of them.
    params: which size; by default the one with the most horizons. Of several trunks the one with most, the first by
        name where several have as many. Demanded with given curves.
    against: what to compare with, one or a list: a fit of a ladder, run ends of a larger model, its curve or its
        loss; larger, tokens_per_param, bytes_per_token, factor as in `equal_compute`. The comparison follows the
        better curve, and the power law where the rows do not decide.
    Raises InputError for fewer than six points on the envelope, a row without a positive, finite params, tokens or
    loss, losses in different units, or what `equal_compute` refuses.
    """
    if params is not None and not positive(params):
        raise InputError(
            f"params is the size that is trained on, a positive number such as 1e9, not {params!r}"
        )
    if isinstance(runs, str | os.PathLike | pd.DataFrame):
        found = _fitted(runs, params, flops, level)
    else:
        found = _given(runs, params, level)
    if against is None:
        return found
    others = against if isinstance(against, list | tuple) else [against]
    beside = tuple(
        equal_compute(
            found.followed, found.params, other, larger, tokens_per_param=tokens_per_param,
            bytes_per_token=bytes_per_token, factor=factor, level=level,
        )
        for other in others
    )  # fmt: skip
    notes = list(found.notes)
    if found.better is None:
        notes.append(
            f"The comparison follows the {_NAMES[found.followed.law.name]}; the exponential, with its higher floor, "
            "is less hopeful for the small model."
        )
    notes += [note for each in beside for note in each.notes]
    return replace(found, against=beside, notes=tuple(dict.fromkeys(notes)))


def _fitted(runs: Runs, params: float | None, flops: str, level: float) -> Continual:
    from scalinglab import laws
    from scalinglab.fitting import Squared, compare, fit

    ends, notes = run_ends(runs)
    if flops == "flops_6nd" and flops not in ends:
        ends = ends.assign(**{flops: 6.0 * ends["params"] * ends["tokens"]})
    if flops not in ends:
        raise InputError(f"the table has no column {flops!r} to follow the loss along")
    ends, _ = run_ends(ends, (flops,))
    if params is None:
        horizons = ends.groupby("params")["tokens"].nunique()
        params = float(horizons[horizons == horizons.max()].index.min())
    params = float(params)
    rows = ends[ends["params"] == params].sort_values(flops, kind="stable")
    if rows.empty:
        sizes = ", ".join(f"{n:g}" for n in sorted(ends["params"].unique()))
        raise InputError(f"no run has {params:g} parameters; the table's sizes are {sizes}")
    rows, left_out = _one_trunk(rows)
    notes += left_out
    rows = rows[rows["loss"] < rows["loss"].cummin().shift(fill_value=math.inf)]
    if len(rows) < 6:
        raise InputError(
            f"the size of {params:g} parameters has {len(rows)} horizons on its envelope; telling two "
            "curves of three constants apart needs at least six"
        )
    power = fit(laws.PowerLaw(flops), rows, loss=Squared())
    exponential = fit(laws.Exponential(flops), rows, loss=Squared())
    for one in (power, exponential):
        one.bootstrap(RESAMPLES, seed=0)
    return _answer(params, rows, (power, exponential), compare([power, exponential]), level, notes)


def _one_trunk(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One size's rows of the trunk with most horizons, the first by name of several such; and which are left out.

    One trunk, for the lowest of several seeds would be a selected one.
    """
    if "trunk_id" not in rows or rows["trunk_id"].nunique(dropna=False) < 2:
        return rows, ()
    name = rows["trunk_id"].astype(object).where(rows["trunk_id"].notna(), "no trunk_id").astype(str)
    horizons = rows["tokens"].groupby(name).nunique().sort_index().sort_values(ascending=False, kind="stable")
    chosen, *others = horizons.index
    tied = int((horizons == horizons.max()).sum())
    why = (
        f"the first by name of {tied} with {horizons.max()} horizons"
        if tied > 1
        else "with the most horizons"
    )
    listed = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
    note = f"The curve follows one trunk of the size, {chosen}, {why}; {listed} left out."
    return rows[name == chosen], (note,)


def _given(curves: "Fit | Sequence[Fit]", params: float | None, level: float) -> Continual:
    """Curves that are known already."""
    from scalinglab.fitting import Comparison

    fits = tuple(curves) if isinstance(curves, list | tuple) else (curves,)
    names = [getattr(getattr(fit, "law", None), "name", type(fit).__name__) for fit in fits]
    if not fits or len(set(names)) < len(names) or not set(names) <= set(_NAMES):
        raise InputError(
            "continual training is asked of a run table, or of a fit of PowerLaw or Exponential in flops_6nd, one "
            f"each, not of {', '.join(names) or 'nothing'}"
        )
    if params is None:
        raise InputError("a curve does not say of what size it is: give params=")
    fits = tuple(sorted(fits, key=lambda fit: list(_NAMES).index(fit.law.name)))
    given = Comparison(
        pd.DataFrame(), names[0] if len(fits) == 1 else "undecided", "the curves were given, not fitted"
    )
    return _answer(float(params), pd.DataFrame(), fits, given, level)


def _answer(
    params: float,
    rows: pd.DataFrame,
    curves: tuple["Fit", ...],
    comparison: "Comparison",
    level: float,
    said: tuple[str, ...] = (),
) -> Continual:
    floors = {"PowerLaw": Estimate(math.nan), "Exponential": Estimate(math.nan)}
    for fit in curves:
        floors[fit.law.name] = carried(fit, own_boot(fit), level, lambda c: {"floor": c["E"]})["floor"]
    notes = list(said)
    if len(rows):
        notes.append(f"Evidence: {comparison.evidence}.")
        if "seed" in rows and rows["seed"].nunique() <= 1:
            notes.append(
                "One trunk: what the size's own seed adds to all its run ends alike is not in the intervals."
            )
    return Continual(
        params=params, rows=rows, curves=curves, comparison=comparison, level=level, notes=tuple(notes),
        floor_power=floors["PowerLaw"], floor_exponential=floors["Exponential"],
    )  # fmt: skip


def _floor(found: Estimate) -> str:
    """A floor with its interval, or that the rows leave it open."""
    if not math.isnan(found.lo) and found.lo < 0.05 * found.value:
        return f"{found.value:.4g} (at most {found.hi:.4g})"
    ends = "" if math.isnan(found.lo) else f" [{found.lo:.4g}, {found.hi:.4g}]"
    return f"{found.value:.4g}{ends}"


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
