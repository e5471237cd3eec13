"""What every answer is: figures with intervals and units, the source of its formula, and what it rests on."""

import math
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.checks import check_level
from scalinglab.analysis.column_units import unit_of
from scalinglab.analysis.estimate import Estimate, count_text, estimate, number_text
from scalinglab.errors import InputError, callers_level
from scalinglab.shown import html_list, html_result, html_small, html_table, text_table, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Bootstrap, Fit

BEYOND = 1.0
"""Decades of N, D or N·D outside the fitted rows from which an answer warns, unless the caller says otherwise."""


class ExtrapolationWarning(UserWarning):
    """An answer lies far outside the runs it was drawn from."""


def asked(unit: str) -> Any:
    """A dataclass field that holds an Estimate in `unit`: a row of the answer's table."""
    return field(metadata={"unit": unit})


@dataclass(frozen=True)
class Behind:
    """The fit that an answer was asked of, and the options that its figure is drawn with."""

    fit: "Fit"
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer(ABC):
    """Base of the answers: small frozen objects that print, tabulate, draw and go to JSON by themselves.

    A subclass declares its figures as `name: Estimate = asked(unit)`, says where its formula stands in `source`, and
    writes `headline`. One whose figures are many rows keeps them in a frame `rows`, an interval as columns
    x, x_lo, x_hi; `units` has those of columns whose names do not tell them. `figure` names the function of
    `scalinglab.plots` that draws it: from the fit it was asked of, where it has one `behind` it, else from itself.
    """

    source: ClassVar[str] = ""
    units: ClassVar[Mapping[str, str]] = {}
    figure: ClassVar[str] = ""

    level: float = 0.9
    """Of every interval."""
    loss_unit: str = ""
    """Of every loss, where the rows behind the answer tell it."""
    notes: tuple[str, ...] = ()
    """What the answer rests on and what to beware of, a sentence each."""
    behind: Behind | None = field(default=None, repr=False, compare=False)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # or a dataclass would write one of its own
            cls.__repr__ = Answer.__repr__  # type: ignore[method-assign]

    @abstractmethod
    def headline(self) -> str:
        """The answer in a sentence."""

    def about_intervals(self, found: Estimate, more: str = "") -> str:
        """ " (90% intervals)" for the end of a sentence, where `found` has one; `more` is said either way."""
        said = [] if math.isnan(found.lo) else [f"{self.level:.0%} intervals"]
        said += [more] if more else []
        return f" ({'; '.join(said)})" if said else ""

    # ---- as a table -----------------------------------------------------------------------------

    def table(self) -> pd.DataFrame:
        """What is to be read of the answer: one row a figure, or its own rows. `to_frame` has everything as numbers."""
        own = getattr(self, "rows", None)
        return own if isinstance(own, pd.DataFrame) else self.figures()

    def to_frame(self) -> pd.DataFrame:
        """A tidy frame of its own: `rows` where the answer has them, else one row a figure as `figures` gives it.

        attrs: `units` of every column of numbers, `level` of the intervals (x_lo, x_hi), `answer`, `source`.
        """
        own = getattr(self, "rows", None)
        return self._described(own if isinstance(own, pd.DataFrame) else self.figures())

    def _described(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        numbers = [str(name) for name in frame.columns if frame[name].dtype.kind in "iuf"]
        if "unit" in frame:  # a row a figure, each in its own
            numbers = [name for name in numbers if name not in ("value", "lo", "hi")]
        frame.attrs = {
            "answer": type(self).__name__,
            "units": {name: unit_of(name, self._units(), self.loss_unit) for name in numbers},
            "level": self.level,
            "source": self.source,
        }
        return frame

    def _units(self) -> Mapping[str, str]:
        return self.units

    def figures(self) -> pd.DataFrame:
        """One row a single figure of the answer, such as an exponent: index quantity; value, lo, hi, unit."""
        found = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Estimate):
                unit = each.metadata.get("unit", "")
                unit = self.loss_unit if unit == "loss" and self.loss_unit else unit
                found[each.name] = (value.value, value.lo, value.hi, unit)
        frame = pd.DataFrame.from_dict(found, orient="index", columns=["value", "lo", "hi", "unit"])
        frame.index.name = "quantity"
        return frame

    def plain(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        said = [each.name for each in fields(self) if each.name != "behind"]
        return {name: to_plain(getattr(self, name)) for name in said} | {"source": self.source}

    # ---- as a figure ----------------------------------------------------------------------------

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """The figure that shows this answer, on `ax` or axes of its own; options go to the function that draws it.

        Raises InputError for an answer without a figure.
        """
        from scalinglab import plots

        name, given, chosen = self._drawn()
        if not name:
            raise InputError(f"an answer of the kind {type(self).__name__} has no figure of its own")
        drawn: Axes = getattr(plots, name)(*given, ax=ax, **{**chosen, **options})
        return drawn

    def _drawn(self) -> tuple[str, tuple[Any, ...], Mapping[str, Any]]:
        """The function of `scalinglab.plots`, what it is drawn from, and its options."""
        if self.behind is None:
            return self.figure, (self,), {}
        return self.figure, (self.behind.fit,), self.behind.options

    # ---- as text --------------------------------------------------------------------------------

    def __str__(self) -> str:
        """The answer in a sentence, and its notes; in 80 columns."""
        return "\n".join([wrapped(self.headline()), *(wrapped(note, "  ") for note in self.notes)])

    def __repr__(self) -> str:
        """The same with its table."""
        shown = text_table(readable(known(self.table()), self.level), index=False)
        notes = [wrapped(note, "  ") for note in self.notes]
        return "\n".join([wrapped(self.headline()), shown, *notes])

    def _repr_html_(self) -> str:
        table = known(self.table())
        caption = type(self).__name__
        caption += f", {self.level:.0%} intervals in brackets" * any_interval(table)
        return html_result(
            self.headline(),
            html_table(readable(table, self.level), caption, index=False),
            html_list("Notes", self.notes),
            html_small(f"Formula: {self.source}" if self.source else ""),
        )


class ByBudget:
    """Beside `Answer`: the columns of a frame with a row a budget, as attributes in that frame's order."""

    budget_rows: ClassVar[str] = "rows"
    """Which of the answer's frames it is."""

    def _column(self, name: str) -> pd.Series:
        column: pd.Series = getattr(self, self.budget_rows)[name]
        return column

    @property
    def flops(self) -> pd.Series:
        return self._column("flops")

    @property
    def params(self) -> pd.Series:
        return self._column("params")

    @property
    def tokens(self) -> pd.Series:
        return self._column("tokens")

    @property
    def ratio(self) -> pd.Series:
        return self._column("ratio")

    @property
    def loss(self) -> pd.Series:
        return self._column("loss")


def to_plain(value: Any) -> Any:
    """Estimates, frames, fits and answers as values that JSON has."""
    if isinstance(value, Answer):
        return value.plain()
    if isinstance(value, Estimate):
        return {"value": value.value, "lo": value.lo, "hi": value.hi}
    if isinstance(value, pd.DataFrame):
        return value.to_dict("records")
    if isinstance(value, pd.Series):
        return value.to_dict()
    if hasattr(value, "law") and hasattr(value, "constants"):
        return {"law": value.law.name, "status": value.status.value, "constants": dict(value.constants)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_plain(getattr(value, each.name)) for each in fields(value)}
    return value


# ---- intervals ------------------------------------------------------------------------------------


def own_boot(fit: "Fit", boot: "Bootstrap | None" = None) -> "Bootstrap | None":
    """The bootstrap given, else the fit's own; None for constants that were given, which have no interval."""
    return boot or (fit.boot() if len(fit.rows) else None)


def carried(
    fit: "Fit",
    boot: "Bootstrap | None",
    level: float,
    ask: Callable[[Any], Mapping[str, Any]],
) -> dict[str, Any]:
    """Figures of the constants, with their intervals carried through from the bootstrap.

    ask: from constants (numbers, or a frame of k draws) to named figures (numbers, or arrays (k,)). A draw in which
    a term has vanished may give infinities and NaN; a NaN counts half at each end (see `estimate`). Returns
    name -> Estimate.
    """
    check_level(level)
    with np.errstate(all="ignore"):
        values = ask(fit.constants)
        draws: Mapping[str, Any] = ask(boot.constants) if boot is not None else dict.fromkeys(values)
    return {name: estimate(float(np.squeeze(value)), draws[name], level) for name, value in values.items()}


def extrapolation(fit: "Fit", params: Any, tokens: Any, **fixed: float) -> float:
    """Decades of N, D or N·D beyond the fitted rows, the largest over the points; 0 inside or without rows.

    fixed: further variables of the law, as they were asked for.
    """
    return float(extrapolations(fit, params, tokens, **fixed).max(initial=0.0))


def extrapolations(fit: "Fit", params: Any, tokens: Any, **fixed: float) -> NDArray[np.float64]:
    """Of each point (n,), the decades of N, D or N·D beyond the fitted rows; 0 inside or without rows."""
    if not fit.domain:
        return np.zeros(np.broadcast(params, tokens).size)
    with np.errstate(all="ignore"):
        extra: dict[str, Any] = {
            v: fit.domain[v][1] for v in fit.law.variables if v not in ("params", "tokens")
        }
        asked_at = {"params": params, "tokens": tokens} | extra | fixed
        given = {v: asked_at[v] for v in fit.law.variables}
        return np.nan_to_num(fit.predict(**given)["extrapolation"].to_numpy(), nan=0.0)


def beyond_note(decades: float, beyond: float, what: str = "the answer") -> tuple[str, ...]:
    """Warns, and returns the sentence, where an answer lies more than `beyond` decades outside the runs."""
    if decades <= beyond + 1e-9:
        return ()
    sentence = (
        f"{what} lies {decades:.1f} decades beyond the fitted runs, where its interval only knows how the law goes on: "
        "treat it as a guess, or train a run nearer to it"
    )
    warnings.warn(sentence, ExtrapolationWarning, stacklevel=callers_level())
    return (sentence[0].upper() + sentence[1:] + ".",)


# ---- reading --------------------------------------------------------------------------------------


def known(table: pd.DataFrame) -> pd.DataFrame:
    """A table of single figures without those that are not known; any other as it is."""
    if {"value", "lo", "hi", "unit"} <= set(table.columns) and table["value"].notna().any():
        return table[table["value"].notna()]
    return table


def any_interval(table: pd.DataFrame) -> bool:
    """Whether a table of many rows has an interval in some cell."""
    return any(str(name).endswith("_lo") and table[name].notna().any() for name in table.columns)


_COUNTED = ("parameters", "tokens", "bytes", "device-hours", "money")
_HEADS = {"extrapolation": "decades out"}


def readable(table: pd.DataFrame, level: float = 0.9, joint: str = " ") -> pd.DataFrame:
    """An answer's table as text: counts as k, M, B, T, each value with its interval beside it.

    In a table of many rows value and interval share a cell, with `joint` between them.
    """
    if {"value", "lo", "hi", "unit"} <= set(table.columns):
        rows = []
        for name, row in table.iterrows():
            write = _writer(str(row["unit"]), str(name))
            known = not (math.isnan(row["lo"]) or row["lo"] == row["hi"])
            span = f"{write(row['lo'])} – {write(row['hi'])}" if known else ""
            rows.append((name, write(row["value"]), span, row["unit"]))
        return pd.DataFrame(rows, columns=["", "value", f"{level:.0%} interval", "unit"])
    out = {}
    for name in table.columns:
        text = str(name)
        if text.endswith(("_lo", "_hi")) and text[:-3] in table.columns:
            continue
        write = _writer("", text)
        cells = [write(v) for v in table[name]]
        if f"{text}_lo" in table.columns and table[f"{text}_lo"].notna().any():
            ends = zip(table[f"{text}_lo"], table[f"{text}_hi"], strict=True)
            cells = [
                f"{cell}{joint}({write(lo, 2)}–{write(hi, 2)})" if lo == lo and lo != hi else cell
                for cell, (lo, hi) in zip(cells, ends, strict=True)
            ]
        out[_HEADS.get(text, re.sub(r"(?<=[a-z])_(?=[a-z%])", " ", text))] = cells
    return pd.DataFrame(out)


def _writer(unit: str, name: str) -> Callable[..., str]:
    """How a figure is written, from its unit or its column's name: a function of (value, digits)."""
    if unit == "FLOPs" or "flops" in name:
        write = lambda v, digits: f"{v:.{digits}g}"  # noqa: E731
    elif unit in _COUNTED or any(word in name for word in ("params", "tokens")):
        write = count_text
    else:
        write = number_text

    def text(value: Any, digits: int = 3) -> str:
        digits = 3 if write is number_text else digits
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)
        return write(float(value), digits) if number else str(value)

    return text
