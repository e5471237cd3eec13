"""What every check looks at: the table, which rows are still in, and the laws that they follow."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.laws import Law
from scalinglab.review.finding import Finding, Severity
from scalinglab.review.part import Part

Rows = NDArray[np.int64]
SAME = 0.02
"""N or D closer than this share are one size or one horizon: they differ by rounding to whole layers or batches."""


class Context:
    """A run table under review. Checks read it and return findings; rows set aside by one are out for the next.

    runs: as `read_runs` gives it, so that a row's position is its index. law: in params and tokens.
    """

    def __init__(self, runs: pd.DataFrame, law: Law) -> None:
        self.runs, self.law = runs, law
        self.taken = np.ones(len(runs), dtype=bool)
        self.split: tuple[str, ...] = ()
        """Columns whose values follow laws of their own: every check of a law goes value by value."""
        self.told: set[int] = set()
        """Rows whose fit's status has been told by a finding about its cause."""
        self._parts: dict[bytes, Part | None] = {}

    # ---- columns --------------------------------------------------------------------------------

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(rows,) a column's values, NaN where there is none."""
        if column not in self.runs:
            return np.full(len(self.runs), np.nan)
        values = pd.to_numeric(self.runs[column], errors="coerce")
        return np.asarray(values.to_numpy(dtype=float, na_value=np.nan))

    def labels(self, column: str) -> NDArray[np.int64]:
        """(rows,) a column's values as integers, −1 where there is none."""
        if column not in self.runs:
            return np.full(len(self.runs), -1)
        return np.asarray(pd.factorize(self.runs[column].astype(object))[0])

    def words(self, column: str) -> NDArray[Any]:
        """(rows,) a column's values as text, "" where there is none."""
        if column not in self.runs:
            return np.full(len(self.runs), "", dtype=object)
        return np.array(["" if pd.isna(v) else str(v) for v in self.runs[column]], dtype=object)

    def clusters(self, column: str) -> NDArray[np.int64]:
        """(rows,) values within SAME of each other as one integer, in order of size."""
        logs = np.log(self.numbers(column))
        order = np.argsort(logs, kind="stable")
        steps = np.concatenate([[0], np.cumsum(np.diff(logs[order]) > SAME)])
        out = np.empty(len(logs), dtype=np.int64)
        out[order] = steps
        return out

    # ---- rows -----------------------------------------------------------------------------------

    @property
    def rows(self) -> Rows:
        """Positions of the rows still in."""
        return np.flatnonzero(self.taken)

    def set_aside(self, rows: Iterable[int]) -> None:
        self.taken[np.fromiter(rows, dtype=np.int64)] = False

    def recount(self, tokens: NDArray[np.float64]) -> None:
        """Go on with other tokens (rows,) than the table's."""
        self.runs = self.runs.assign(tokens=tokens)
        self._parts.clear()

    def part(self, rows: Rows) -> Part | None:
        """The law of some rows; None where they cannot bear one."""
        key = np.asarray(rows, dtype=np.int64).tobytes()
        if key not in self._parts:
            self._parts[key] = Part.of(self.law, self.runs, np.asarray(rows, dtype=np.int64))
        return self._parts[key]

    def groups(self) -> list[Rows]:
        """The rows still in, those of each law apart."""
        rows = self.rows
        if not self.split:
            return [rows]
        keys = pd.MultiIndex.from_arrays([self.words(column)[rows] for column in self.split])
        code = pd.factorize(keys)[0]
        return [rows[code == g] for g in range(code.max() + 1)]

    def parts(self) -> list[Part]:
        """The laws of the groups that can bear one."""
        return [part for rows in self.groups() if (part := self.part(rows)) is not None]

    # ---- findings -------------------------------------------------------------------------------

    def finding(self, code: str, severity: Severity, rows: Iterable[int] = (), **said: Any) -> Finding:
        """A finding about these rows, their run_ids added."""
        where = tuple(sorted(int(i) for i in rows))
        ids = list(self.words("run_id")[list(where)]) if where and "run_id" in self.runs else []
        aside = tuple(int(i) for i in said.pop("aside", ()))
        named = tuple(dict.fromkeys(str(i) for i in ids if i))
        return Finding(code=code, severity=severity, rows=where, runs=named, aside=aside, **said)

    def among(self, rows: Rows) -> str:
        """ " (dataset c4)" where the table is split into laws and these are the rows of one; else ""."""
        if not self.split:
            return ""
        told = [f"{column} {self.words(column)[rows[0]] or 'not told'}" for column in self.split]
        return f" ({', '.join(told)})"
