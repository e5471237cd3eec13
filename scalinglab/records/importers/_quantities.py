"""Numbers as people write them: 1.3B, 20 tokens/param, 1,024, 6.9 × 10^9; and the units of counts and losses."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.errors import InputError
from scalinglab.records.table import MISSING

COUNT_UNITS = {
    "1": 1.0,
    "k": 1e3,
    "M": 1e6,
    "B": 1e9,
    "T": 1e12,
    "tokens/param": 1.0,
    "flops": 1.0,
    "chinchilla": 20.0,
}
"""Of a count: its power of ten; or, of tokens, a multiple of N, FLOPs that are 6·N·D, or multiples of 20·N."""

LOSS_UNITS = ("nats/token", "nats/byte", "bits/token", "bits/byte", "perplexity")

_SCALES = {
    "": 1.0,
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "mm": 1e6,
    "mn": 1e6,
    "mio": 1e6,
    "million": 1e6,
    "millions": 1e6,
}
_SCALES |= {
    "b": 1e9,
    "bn": 1e9,
    "g": 1e9,
    "billion": 1e9,
    "billions": 1e9,
    "t": 1e12,
    "tn": 1e12,
    "trillion": 1e12,
}
_WORDS = r"params?|parameters?|tokens?|toks?|steps?|flops?|nats?(?:/token)?|seqs?|sequences?"
_RATIO = r"(?:tokens?|toks?)\s*(?:/|per)\s*(?:params?|parameters?)|tpp"
_NUMBER = re.compile(
    r"[~≈]?\s*(?P<sign>[-+]?)(?:10\s*\^\s*(?P<bare>[-+]?\d+)|(?P<mantissa>\d[\d_,\u00a0\u202f ]*(?:\.\d+)?|\.\d+)"
    r"(?P<exponent>e[-+]?\d+)?"
    r"(?:\s*(?:×|x|\*)\s*10\s*\^?\s*(?P<power>[-+]?\d+))?)"
    r"\s*(?P<rest>.*)",
    re.I | re.S,
)
_REST = re.compile(
    rf"(?:(?P<ratio>{_RATIO})|(?P<chinchilla>x\s*c(?:hinchilla)?)|(?P<scale>[a-z]*?)[\s_-]*(?:{_WORDS})?)",
    re.I,
)
_GROUPS = re.compile(r"\d{1,3}(?:[,_\u00a0\u202f ]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+|\d+(?:_\d+)*")


class NoQuantity(ValueError):
    """A cell is no number."""


def quantity(cell: Any, decimal: str = ".") -> tuple[float, str]:
    """A cell as (number, unit), the unit "" or one of COUNT_UNITS that the cell itself names; NaN for an empty one.

    Raises NoQuantity for anything else.
    """
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return math.nan, ""
    if isinstance(cell, bool):
        raise NoQuantity
    if isinstance(cell, numbers.Real):
        return float(cell), ""
    text = str(cell).strip()
    if text in MISSING:
        return math.nan, ""
    if decimal == ",":
        text = text.replace(".", "").replace(",", ".")
    try:
        return float(text), ""
    except ValueError:
        pass
    found = _NUMBER.fullmatch(text)
    rest = _REST.fullmatch(found["rest"].strip()) if found else None
    if found is None or rest is None:
        raise NoQuantity
    if found["bare"] is not None:
        value = 10.0 ** int(found["bare"])
    else:
        mantissa = found["mantissa"].strip()
        if not _GROUPS.fullmatch(mantissa):
            raise NoQuantity
        value = float(re.sub(r"[,_\u00a0\u202f ]", "", mantissa) + (found["exponent"] or ""))
        value *= 10.0 ** int(found["power"] or 0)
    value = -value if found["sign"] == "-" else value
    if rest["ratio"]:
        return value, "tokens/param"
    if rest["chinchilla"]:
        return value, "chinchilla"
    scale = _SCALES.get((rest["scale"] or "").lower())
    if scale is None:
        raise NoQuantity
    return scaled(value, scale), ""


def quantities(cells: Iterable[Any], decimal: str = ".") -> tuple[NDArray[np.float64], dict[int, str]]:
    """(cells,) as numbers, and for those whose cell names a unit of COUNT_UNITS, that unit by position.

    Raises NoQuantity with the position of the first cell that is no number.
    """
    values: list[float] = []
    units: dict[int, str] = {}
    plain = decimal == "."
    for i, cell in enumerate(cells):
        if type(cell) is float:
            values.append(cell)
            continue
        if plain and type(cell) is str:
            try:  # nearly every cell: what follows costs thirty times as much
                values.append(float(cell))
                continue
            except ValueError:
                pass
        try:
            value, unit = quantity(cell, decimal)
        except NoQuantity:
            raise NoQuantity(i) from None
        values.append(value)
        if unit:
            units[i] = unit
    return np.array(values, dtype=float), units


def scaled(value: float, scale: float) -> float:
    """value × scale, as if it were written with that exponent: 1.3 × 1e9 is 1300000000, not a digit off."""
    written = repr(float(value))
    if not math.isfinite(value) or "e" in written:
        return value * scale
    return float(f"{written}e{round(math.log10(scale))}")


def nats(value: float, unit: str) -> tuple[float, str]:
    """A loss in LOSS_UNITS as (nats, "nats/token" or "nats/byte"). Raises InputError for a perplexity that has none."""
    if unit == "perplexity":
        if value == math.inf or math.isnan(value):
            return value, "nats/token"
        if value <= 1:
            raise InputError(f"the perplexity is {value:g}; it has to be above 1.")
        return math.log(value), "nats/token"
    measure, _, per = unit.partition("/")
    return (value * math.log(2) if measure == "bits" else value), f"nats/{per}"
