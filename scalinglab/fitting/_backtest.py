"""Back-testing: fit the smaller runs, predict the largest, and see whether the intervals hold."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from scalinglab.errors import InputError
from scalinglab.fitting._constraints import read_constraints
from scalinglab.fitting._fit import Fit, fit
from scalinglab.fitting._rows import as_table, take_rows
from scalinglab.fitting._status import FitWarning
from scalinglab.laws._law import Array, Law
from scalinglab.shown import html_list, html_result, html_table, text_table, wrapped

if TYPE_CHECKING:
    from scalinglab.fitting._bootstrap import Bootstrap

Split = Literal["compute", "params", "tokens"]


@dataclass(frozen=True, eq=False)
class Backtest:
    """Held-out rows beside what the smaller ones predict.

    table: one row a held-out row, smallest first: the law's variables, its target, `predicted`, `lo`, `hi` (for a
    new run, at `level`), `error` (log of measured over predicted), `inside`, and `extrapolation` (decades beyond
    the fitted rows). fit: of the smaller rows. boundary: rows at or above it in `split` are held out.
    """

    table: pd.DataFrame = field(repr=False)
    fit: Fit = field(repr=False)
    boot: "Bootstrap" = field(repr=False)
    split: str
    boundary: float
    level: float
    warnings: tuple[FitWarning, ...] = ()

    @property
    def mean_error(self) -> float:
        """Mean log error: above zero where the law was too hopeful."""
        return float(self.table["error"].mean())

    @property
    def rms_error(self) -> float:
        """Root mean square log error."""
        return float(np.sqrt((self.table["error"] ** 2).mean()))

    @property
    def coverage(self) -> float:
        """Share of held-out rows inside their interval."""
        return float(self.table["inside"].mean())

    def summary(self) -> pd.Series:
        """Rows fitted and held out, mean and RMS log error, and coverage."""
        return pd.Series(
            {
                "fitted": len(self.fit.rows),
                "held_out": len(self.table),
                "mean_error": self.mean_error,
                "rms_error": self.rms_error,
                "coverage": self.coverage,
            },
            name="backtest",
        )

    def to_frame(self) -> pd.DataFrame:
        """`table`, a held-out row each, as a copy; attrs: law, split, boundary, level."""
        frame = self.table.copy()
        frame.attrs = {
            "law": self.fit.law.name, "split": self.split, "boundary": self.boundary, "level": self.level,
        }  # fmt: skip
        return frame

    def headline(self) -> str:
        """The outcome in a sentence."""
        s = self.summary()
        return (
            f"{s['fitted']:.0f} rows fitted, {s['held_out']:.0f} held out by {self.split}: mean log error "
            f"{s['mean_error']:+.4f}, RMS {s['rms_error']:.4f}, {s['coverage']:.0%} inside their "
            f"{self.level:.0%} interval"
        )

    def __str__(self) -> str:
        return "\n".join(
            [
                wrapped(self.headline()),
                text_table(self.table),
                *(wrapped(str(warning), "  ") for warning in self.warnings),
            ]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_result(
            self.headline(),
            html_list("Warnings", map(str, self.warnings)),
            html_table(self.table, f"Held-out rows, with {self.level:.0%} intervals of a new run"),
        )


def backtest(
    law: Law,
    runs: "pd.DataFrame | str | os.PathLike[str]",
    split: Split = "compute",
    frac: float = 0.1,
    *,
    level: float = 0.9,
    resamples: int = 1000,
    by: str | None = None,
    seed: int = 0,
    eval_set: str | None = None,
    weights: Any = None,
    progress: Any = None,
    **how: Any,
) -> Backtest:
    """Fit all but the largest `frac` of the rows and predict those.

    runs: as `fit` takes them. split: what "largest" means: compute (N·D, or the table's flops), params or tokens. Rows
    as large as the smallest held-out one are held out with it, so that a size is never on both sides.
    level, resamples, by, seed: of the interval for a new run; see `Fit.bootstrap`. how: to `fit` (loss,
    constraints). Raises InputError where a side is left with too few rows.
    """
    if split not in get_args(Split):
        raise InputError(f"a backtest splits by {', '.join(get_args(Split))}, not by {split!r}")
    if not 0 < frac < 1:
        raise InputError(f"frac is the share of rows to predict, between 0 and 1, not {frac}")
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    free = len(read_constraints(law, how.get("constraints")).free(law))
    taken = take_rows(law, as_table(runs), eval_set, weights, free)
    rows = taken.table.assign(weight=taken.w)
    size = _size(rows, split)
    boundary = float(np.sort(size)[-max(1, round(frac * len(size)))])
    held = size >= boundary
    if (~held).sum() < free:
        raise InputError(
            f"holding out the rows from {split} {boundary:.3g} on leaves {(~held).sum()} of {len(rows)}, too few "
            f"for the {free} constants of {law.name}: hold out less, or split by something else"
        )
    small = fit(law, rows[~held], weights="weight", **how)
    boot = small.bootstrap(resamples, by=by, seed=seed, progress=progress)
    large = rows[held].iloc[np.argsort(size[held], kind="stable")].reset_index(drop=True)
    points = {v: large[v].to_numpy(dtype=float) for v in law.variables}
    predicted = small.predict(**points, interval=level, boot=boot, interval_kind="run")
    target = law.target
    measured = large[target].to_numpy(dtype=float)
    lo, hi = predicted[f"{target}_lo"], predicted[f"{target}_hi"]
    named = large[[c for c in ("run_id",) if c in large.columns]]
    table = named.assign(
        **points,
        **{target: measured},
        predicted=predicted[target],
        lo=lo,
        hi=hi,
        error=np.log(measured / predicted[target]),
        inside=(lo <= measured) & (measured <= hi),
        extrapolation=predicted["extrapolation"],
    )
    left_out = tuple(w for w in taken.warnings if w.code == "undecayed-rows")
    return Backtest(table, small, boot, split, boundary, level, (*left_out, *small.warnings, *boot.warnings))


def _size(rows: pd.DataFrame, split: Split) -> Array:
    """What orders the rows, (n,)."""
    if split == "compute":
        if {"params", "tokens"} <= set(rows.columns):
            names = ["params", "tokens"]
        else:
            names = [c for c in ("flops", "flops_6nd", "flops_exact") if c in rows.columns][:1]
    else:
        names = [split] if split in rows.columns else []
    if not names:
        wanted = "params and tokens, or flops," if split == "compute" else split
        raise InputError(f"to split by {split} the table needs {wanted} as a column")
    size: Array = rows[names].to_numpy(dtype=float).prod(axis=1)
    if not np.isfinite(size).all():
        raise InputError(f"to split by {split}, {' and '.join(names)} must be there in every row")
    return size
