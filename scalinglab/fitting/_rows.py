"""From a table to the arrays of one fit, and the checks that a fit itself needs."""

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.errors import InputError
from scalinglab.fitting._status import FitWarning
from scalinglab.laws._law import Array, Law

LEAST, MOST = 1e-50, 1e50  # no loss or count lies beyond, and squares of squares still are numbers


@dataclass(frozen=True)
class Rows:
    """The rows of one fit: x (v, n), y (n,), weights (n,), the table they came from, and what was noticed."""

    table: pd.DataFrame
    x: Array
    y: Array
    w: Array
    warnings: tuple[FitWarning, ...]


def take_rows(law: Law, runs: pd.DataFrame, eval_set: str | None, weights: Any, free: int) -> Rows:
    """Check and take what `law` needs from `runs`. `free` is the number of constants to be fitted.

    Raises InputError naming the column and row that cannot be used.
    """
    if not isinstance(runs, pd.DataFrame):
        raise InputError(
            f"a fit takes a DataFrame (read one with scalinglab.read_runs), not {type(runs).__name__}"
        )
    where = f"{runs.attrs['source']}: " if "source" in runs.attrs else ""
    for column in (*law.variables, law.target):
        if column not in runs.columns:
            near = difflib.get_close_matches(column, [str(c) for c in runs.columns], n=1)
            hint = f"; rename {near[0]!r}?" if near else ""
            raise InputError(
                f"{where}{law.name} needs a column {column!r}; the table has {_listed(runs.columns)}{hint}"
            )
    w = _weights(runs, weights, where)
    if eval_set is not None:
        chosen = _of_eval_set(runs, eval_set, where)
        runs, w = runs[chosen], w[chosen]
    notes = []
    others = _of_kind(runs, "after", "merge")
    if others.any() and not others.all():
        runs, w = runs[~others], w[~others]
        notes.append(
            FitWarning(
                "other-rows",
                f"{others.sum()} rows of branches trained on beyond their decay and of merged checkpoints are left out "
                f"of the fit; {len(runs)} remain",
                'fit runs[runs.kind == "merge"] for the law of merged models',
            )
        )
    undecayed = _of_kind(runs, "trunk")  # where there are decayed rows too: theirs is another, higher law
    if undecayed.any() and not undecayed.all():
        runs, w = runs[~undecayed], w[~undecayed]
        notes.append(
            FitWarning(
                "undecayed-rows",
                f"{undecayed.sum()} rows of undecayed trunks are left out of the fit, because they lie above the "
                f"decayed ones; {len(runs)} remain",
                'fit runs[runs.kind == "trunk"] for the law of undecayed losses',
            )
        )
    for column, pick in (
        ("eval_set", 'eval_set="…" or fit_groups(…, by="eval_set")'),
        ("loss_unit", "rows of one unit"),
    ):
        if column in runs.columns and runs[column].nunique(dropna=False) > 1:
            found = _listed(runs[column].unique())
            raise InputError(f"{where}one fit cannot mix the {column}s {found}: choose with {pick}")
    x = np.stack([_numbers(runs, column, where) for column in law.variables])
    y = _numbers(runs, law.target, where)
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise InputError(f"{where}weights must be finite, none negative and not all zero")
    if len(y) < free:
        raise InputError(
            f"{where}{len(y)} rows cannot determine the {free} constants of {law.name}: give at least {free} rows"
        )
    for column, values in zip(law.variables, x, strict=True):
        distinct = len(np.unique(values))
        if distinct == 1:
            raise InputError(
                f"{where}column {column!r} is {values[0]:g} in every row, and {law.name} needs it to vary: "
                f"add rows with other {column}, or fit a law without it"
            )
        if distinct < 3:
            notes.append(
                FitWarning(
                    "few-values",
                    f"{column} takes only {distinct} distinct values, too few to tell a power from a floor",
                    f"add runs at a third value of {column}",
                )
            )
    keys = [c for c in (*law.variables, law.target) if c in runs.columns]
    doubled = int(runs.duplicated(keys).sum())
    if doubled:
        notes.append(
            FitWarning(
                "duplicate-rows",
                f"{doubled} of {len(runs)} rows repeat another row's {', '.join(keys)}, and count twice",
                "drop them with runs.drop_duplicates() unless they are separate runs",
            )
        )
    return Rows(runs, x, y, w, tuple(notes))


def _of_eval_set(runs: pd.DataFrame, eval_set: str, where: str) -> Any:
    if "eval_set" not in runs.columns:
        raise InputError(f"{where}eval_set={eval_set!r} was asked for, but the table has no column eval_set")
    chosen = (runs["eval_set"] == eval_set).to_numpy(dtype=bool, na_value=False)
    if not chosen.any():
        raise InputError(
            f"{where}no row has eval_set {eval_set!r}; there are {_listed(runs['eval_set'].unique())}"
        )
    return chosen


def _of_kind(runs: pd.DataFrame, *kinds: str) -> Any:
    """(rows,): which rows are of these kinds; a row whose kind is not told is of none."""
    if "kind" not in runs.columns:
        return np.zeros(len(runs), dtype=bool)
    return runs["kind"].isin(kinds).to_numpy(dtype=bool, na_value=False)


def _numbers(runs: pd.DataFrame, column: str, where: str) -> Array:
    try:
        values = runs[column].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        values = pd.to_numeric(runs[column], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~((values >= LEAST) & (values <= MOST)))
    if len(bad):
        row = bad[0]
        wanted = "a positive, finite number" + (
            f" between {LEAST:g} and {MOST:g}" if 0 < values[row] < np.inf else ""
        )
        name = f" ({runs['run_id'].iloc[row]})" if "run_id" in runs.columns else ""
        more = f", and {len(bad) - 1} more rows likewise" if len(bad) > 1 else ""
        raise InputError(
            f"{where}row {runs.index[row]}{name}, column {column!r} is {_shown(runs[column].iloc[row])}{more}: "
            f"it must be {wanted}; correct the row or leave it out"
        )
    return values


def _weights(runs: pd.DataFrame, weights: Any, where: str) -> Array:
    """One number a row of `runs`, as given: checked when the rows of the fit are known."""
    if weights is None:
        weights = runs["weight"] if "weight" in runs.columns else np.ones(len(runs))
    elif isinstance(weights, str):
        if weights not in runs.columns:
            raise InputError(
                f"{where}weights={weights!r} names no column; the table has {_listed(runs.columns)}"
            )
        weights = runs[weights]
    elif isinstance(weights, pd.Series) and weights.index.is_unique:
        weights = weights.reindex(runs.index)
    try:
        w = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{where}weights must be numbers, one a row") from None
    if w.shape != (len(runs),):
        raise InputError(
            f"{where}weights must be one number a row: {len(runs)} rows, weights of shape {w.shape}"
        )
    return w


def _shown(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _listed(values: Any, most: int = 8) -> str:
    words = [str(v) for v in values]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
