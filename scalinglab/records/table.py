"""The run table's checks: from any frame to one whose numbers a fit can take without looking again."""

from __future__ import annotations

import decimal
import math
import numbers
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglab.errors import InputError, callers_level
from scalinglab.records._schema import BY_NAME, COLUMNS, DEMANDED, Column, near_column

if TYPE_CHECKING:
    import pandas as pd

# spellings of "no value" in a column of numbers; in a column of text only the empty cell is one
MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "None", "<NA>", "NaT")
)
_NOT_A_NUMBER = object()


class TableWarning(UserWarning):
    """The run table can be used, but something in it should be known first."""


def check_table(
    frame: pd.DataFrame, name: str = "the DataFrame", row_name: Callable[[int], str] | None = None
) -> pd.DataFrame:
    """A new, tidy run table out of `frame`: schema columns first, typed and in order; the others unchanged.

    frame: one row a run end × eval set, with at least `params`, `tokens` and `loss`; it is not modified.
        Named index levels become columns.
    name, row_name: how messages call the table and its i-th row (0-based), e.g. "runs.csv" and "line 7".

    Raises InputError: a demanded column missing, a column twice, no rows, text where a number belongs, a
    missing value in a demanded column, a value out of its bounds. Warns TableWarning where rows are repeated.
    """
    import pandas as pd

    labels = frame.index.tolist()  # plain numbers, where they are numbers
    if row_name is None:
        row_name = lambda i: f"row {labels[i]!r}"  # noqa: E731
    if isinstance(frame.columns, pd.MultiIndex):
        raise InputError(f"{name} has columns of several levels; flatten them to plain names first.")
    kept = [level for level in frame.index.names if level is not None and level not in frame.columns]
    frame = frame.reset_index(level=kept).reset_index(drop=True) if kept else frame.reset_index(drop=True)
    check_columns([str(column) for column in frame.columns], name)
    frame.columns = pd.Index([str(column) for column in frame.columns])
    if frame.empty:
        raise InputError(f"{name} has no rows; a run table needs one row for each run end.")

    columns: dict[str, Any] = {}
    for column in COLUMNS:
        if column.name not in frame.columns:
            continue
        values = frame[column.name]
        where = _Where(name, row_name, column)
        if column.kind == "number":
            columns[column.name] = _numbers(values, where)
        elif column.kind == "integer":
            columns[column.name] = _integers(values, where)
        else:
            columns[column.name] = _texts(values, where)
    others = [column for column in frame.columns if column not in BY_NAME]
    table = pd.concat([pd.DataFrame(columns), frame[others]], axis=1) if others else pd.DataFrame(columns)
    _warn_of_repeats(table, name, row_name)
    return table


def check_columns(present: list[str], name: str) -> None:
    """Raises InputError where a name stands twice or a demanded one is missing (and says the near one)."""
    seen: set[str] = set()
    for each in present:
        if each in seen:
            raise InputError(f'{name} has the column "{each}" twice; keep one or rename one.')
        seen.add(each)
    missing = [BY_NAME[column] for column in DEMANDED if column not in seen]
    if not missing:
        return
    wanted = " and ".join(f'"{column.name}" ({column.meaning})' for column in missing)
    hints, taken = [], set(seen)
    for column in missing:
        near = near_column(column, [other for other in present if other in taken])
        if near is not None:
            taken.discard(near)
            hints.append(f'"{near}" to "{column.name}"')
    if hints:
        mend = f"if that is what they hold, rename {' and '.join(hints)}."
    else:
        mend = f"it has {_listed(present)}." if present else "it has no columns at all."
    if present:
        mend = f"{mend.rstrip('.')}; or let scalinglab import make a run table of it."
    raise InputError(f"{name} lacks the column{'s' if len(missing) > 1 else ''} {wanted}; {mend}")


def _listed(names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


class _Where:
    """Composes the sentence for a bad value: table, row, column, what is there, the mend."""

    def __init__(self, name: str, row_name: Callable[[int], str], column: Column) -> None:
        self.name, self.row_name, self.column = name, row_name, column

    def error(self, bad: np.ndarray, what: Callable[[int], str], mend: str) -> InputError:
        """bad: (rows,) bool, some True; `what` describes the value in row i."""
        first, more = int(np.argmax(bad)), int(np.count_nonzero(bad)) - 1
        others = f" (and in {more} more row{'s' if more > 1 else ''})" if more else ""
        return InputError(
            f'{self.name}, {self.row_name(first)}, column "{self.column.name}": {what(first)}{others}; {mend}'
        )


def _numbers(values: pd.Series, where: _Where) -> np.ndarray:
    """(rows,) float64 within the column's bounds; NaN only where the column is not demanded."""
    column = where.column
    floats = _as_floats(values, where)
    missing, infinite = np.isnan(floats), np.isinf(floats)
    if column.demanded and missing.any():
        raise where.error(missing, lambda i: "there is no value", "fill it in or delete the row.")
    if infinite.any():
        cause = "a diverged run is no data point: delete the row." if column.name == "loss" else "mend it."
        raise where.error(infinite, lambda i: f"the value is infinite ({floats[i]})", cause)
    low = floats <= column.low if column.above else floats < column.low
    outside = low | (floats > column.high)
    if outside.any():
        mend = f"{column.name} must be {column.bounds}: mend it or delete the row."
        raise where.error(outside, lambda i: f"the value is {floats[i]:g}", mend)
    return floats


def _as_floats(values: pd.Series, where: _Where) -> np.ndarray:
    import pandas as pd

    dtype = values.dtype
    if pd.api.types.is_float_dtype(dtype) or pd.api.types.is_integer_dtype(dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    cells = list(values.astype(object))
    parsed = [_as_float(cell) for cell in cells]
    bad = np.fromiter((number is _NOT_A_NUMBER for number in parsed), dtype=bool, count=len(parsed))
    if bad.any():
        first = int(np.argmax(bad))
        raise where.error(bad, lambda i: f"{_shown(cells[i])} is not a number", _number_mend(cells[first]))
    return np.array(parsed, dtype=np.float64)


def _as_float(cell: Any) -> Any:
    """The cell as a float, NaN where it means "no value", or _NOT_A_NUMBER."""
    if _is_nothing(cell):
        return math.nan
    if isinstance(cell, bool | np.bool_ | complex):
        return _NOT_A_NUMBER
    if isinstance(cell, str):
        if cell.strip() in MISSING:
            return math.nan
    elif not isinstance(cell, numbers.Real | decimal.Decimal):
        return _NOT_A_NUMBER
    try:
        return float(cell)
    except OverflowError:  # an integer beyond 1e308
        return math.inf if cell > 0 else -math.inf
    except ValueError:
        return _NOT_A_NUMBER


def _is_nothing(cell: Any) -> bool:
    """None, pd.NA or pd.NaT (told by name: pandas is imported only where a table is)."""
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def _shown(cell: Any) -> str:
    text = cell if isinstance(cell, str) else repr(cell)
    text = text if len(text) <= 40 else text[:37] + "..."
    return f'"{text}"' if isinstance(cell, str) else text


_SCALES = {"k": "e3", "m": "e6", "b": "e9", "g": "e9", "t": "e12"}


def _number_mend(cell: Any) -> str:
    """How to write what `cell` probably means: 1.2B is 1.2e9, 1,000 is 1000, 3,14 is 3.14."""
    text = cell.strip() if isinstance(cell, str) else ""
    if scaled := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMbBgGtT])", text):
        return f"write {scaled[1]}{_SCALES[scaled[2].lower()]}."
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text):
        return f"write {text.replace(',', '')}."
    if re.fullmatch(r"\d+,\d+", text):
        return f"write {text.replace(',', '.')}."
    return "write a plain number such as 1.2e9."


def _integers(values: pd.Series, where: _Where) -> pd.Series:
    """(rows,) Int64; missing where nothing is given."""
    import pandas as pd

    if values.dtype == "Int64" or (pd.api.types.is_signed_integer_dtype(values.dtype)):
        return values.astype("Int64")
    cells = list(values.astype(object))
    whole = [_as_integer(cell) for cell in cells]
    bad = np.fromiter((number is _NOT_A_NUMBER for number in whole), dtype=bool, count=len(whole))
    if bad.any():
        mend = "write a whole number or leave it empty."
        raise where.error(bad, lambda i: f"{_shown(cells[i])} is no whole number of 64 bits", mend)
    return pd.Series(whole, dtype="Int64")


def _as_integer(cell: Any) -> Any:
    """The cell as an int, None where it means "no value", or _NOT_A_NUMBER."""
    is_whole = isinstance(cell, int | np.integer) and not isinstance(cell, bool)
    if is_whole or (isinstance(cell, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", cell)):
        number = int(cell)  # exact beyond 2^53, where a float is not
    else:
        value = _as_float(cell)
        if value is _NOT_A_NUMBER or math.isinf(value):
            return _NOT_A_NUMBER
        if math.isnan(value):
            return None
        if not value.is_integer():
            return _NOT_A_NUMBER
        number = int(value)
    return number if -(2**63) <= number < 2**63 else _NOT_A_NUMBER


def _texts(values: pd.Series, where: _Where) -> pd.Series:
    """(rows,) strings, missing where nothing is given; numbers used as names become their digits."""
    import pandas as pd

    column = where.column
    if not isinstance(values.dtype, pd.StringDtype):
        values = pd.Series([_as_text(cell) for cell in values.astype(object)], dtype="str")
    if column.choices:
        bad = ~(values.isin(column.choices) | values.isna()).to_numpy()
        if bad.any():
            choices = f"{', '.join(column.choices[:-1])} or {column.choices[-1]}"
            mend = f"write {choices}, or rename the column if it holds something else."
            raise where.error(bad, lambda i: f"{_shown(values.iloc[i])} is unknown", mend)
    return values


def _as_text(cell: Any) -> str | None:
    if _is_nothing(cell) or (isinstance(cell, float) and math.isnan(cell)):
        return None
    # a column of whole-number ids with a gap in it arrives as floats: 7.0 was 7
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _warn_of_repeats(table: pd.DataFrame, name: str, row_name: Callable[[int], str]) -> None:
    """Warns where rows are equal in every column: each would count twice in a fit."""
    # Rows that differ in N, D or L cannot be equal: a wrapping sum of scrambled bits sorts those out at one
    # tenth of the cost of comparing all columns; what collides is compared in full.
    bits = table[list(DEMANDED)].to_numpy().view(np.uint64)
    key = (bits * np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)).sum(
        axis=1
    )
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    if not same.any():
        return
    suspects = np.unique(np.concatenate([order[1:][same], order[:-1][same]]))
    rows = table.iloc[suspects]
    loose = [column for column in rows.columns if rows[column].dtype.kind == "O"]
    rows = rows.astype(dict.fromkeys(loose, "str"))  # cells such as lists have no hash
    repeated = rows.duplicated().to_numpy()
    count = int(np.count_nonzero(repeated))
    if count == 0:
        return
    again = int(suspects[np.argmax(repeated)])
    warnings.warn(
        f"{name}: {count} row{'s repeat' if count > 1 else ' repeats'} an earlier one in every column "
        f"(first: {row_name(again)}); a fit counts each. `runs.drop_duplicates()` drops them.",
        TableWarning,
        stacklevel=callers_level(),
    )
