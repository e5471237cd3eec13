"""From a path or a table to what answers are asked of: the run ends of one eval set, checked, or a fit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.errors import InputError
from scalinglab.records import read_runs
from scalinglab.records.derive import AVERAGE

if TYPE_CHECKING:
    from scalinglab.fitting import Fit, Loss
    from scalinglab.laws import Law


def read_ends(
    source: str | Path, eval_set: str | None = None
) -> tuple[pd.DataFrame, str | None, tuple[str, ...]]:
    """The rows of one eval set of a table or study folder, its name, and what was chosen, in sentences.

    The eval set named, else the average over sets where the table has it, else the only one. Raises InputError where
    it is not there, or one has to be chosen.
    """
    return one_eval_set(read_runs(source), eval_set, str(source))


def one_eval_set(
    runs: pd.DataFrame, eval_set: str | None, source: str
) -> tuple[pd.DataFrame, str | None, tuple[str, ...]]:
    """`read_ends` of a table that is read already; `source` is what messages call it."""
    sets = [str(name) for name in runs["eval_set"].dropna().unique()] if "eval_set" in runs else []
    if not sets:
        if eval_set is not None:
            raise InputError(f"{source} has no column eval_set, so there is no set {eval_set!r} to choose")
        return runs, None, ()
    chosen = eval_set or (AVERAGE if AVERAGE in sets else sets[0] if len(sets) == 1 else None)
    if chosen not in sets:
        listed = [f'"{name}"' for name in sets]
        if chosen:
            raise InputError(f'{source} has no eval set "{chosen}"; it has {", ".join(listed)}')
        choice = " or ".join([", ".join(listed[:-1]), listed[-1]])
        raise InputError(
            f"{source} has several eval sets; choose {choice} with --eval-set (in Python eval_set=)"
        )
    others = [name for name in sets if name != chosen]
    notes = () if eval_set or not others else (f"Eval set {chosen!r}; the others are {', '.join(others)}.",)
    taken = runs[runs["eval_set"] == chosen]
    taken.attrs["source"] = runs.attrs.get("source", source)
    return taken, chosen, notes


def run_ends(
    runs: pd.DataFrame,
    needs: Sequence[str] = ("params", "tokens", "loss"),
    *,
    also: Sequence[str] = (),
    trunks_alone: bool = False,
    one_set: bool = True,
    name: str = "the table",
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The decayed rows of a run table, checked, and what was left out, in sentences.

    needs: columns that every row must hold a positive, finite number in; they are float64 afterwards. also: columns
        that have to be there, whose values the caller judges.
    trunks_alone: take a table that holds nothing but undecayed trunks, which is refused otherwise.
    one_set: refuse several eval sets, and losses in several units. name: what messages call the table.
    The index and all other columns stay as they are. Raises InputError naming the column, and the row where it is one.
    """
    if not isinstance(runs, pd.DataFrame):
        raise InputError(
            f"{name} has to be a DataFrame (read one with scalinglab.read_runs), not {type(runs).__name__}"
        )
    for column in (*needs, *also):
        if column not in runs:
            raise InputError(
                f'{name} has no column "{column}"; it needs {", ".join((*needs, *also))} (rename what it is called)'
            )
    if runs.empty:
        raise InputError(f"{name} has no row")
    undecayed = of_trunks(runs)
    if undecayed.all() and not trunks_alone:
        raise InputError(
            f"{name} holds no decayed rows: its {len(runs)} rows are undecayed trunks alone (kind trunk); add the ends "
            "of decayed runs, or, if they are decayed, correct the column kind"
        )
    notes: tuple[str, ...] = ()
    if undecayed.any() and not undecayed.all():
        runs = runs[~undecayed]
        count = int(undecayed.sum())
        what = "row of an undecayed trunk is" if count == 1 else "rows of undecayed trunks are"
        notes = (f"{count} {what} left out.",)
    if one_set:
        if "eval_set" in runs and runs["eval_set"].nunique(dropna=False) > 1:
            sets = ", ".join(map(str, runs["eval_set"].unique()))
            raise InputError(f"{name} holds several eval sets ({sets}): choose one first")
        loss_unit(runs, name)
    notes += pooled_note(runs)
    return runs.assign(**{column: _positive(runs, column, name) for column in needs}), notes


KINDS_OF_RUN = (
    "dataset",
    "corpus",
    "hparams",
    "recipe",
    "warmup",
    "decay",
    "flop_convention",
    "arch",
    "tokenizer",
)


def pooled_note(runs: pd.DataFrame) -> tuple[str, ...]:
    """A sentence where rows of different corpora or recipes, told apart by a column, are taken together."""
    found = []
    for column in KINDS_OF_RUN:
        values = list(runs[column].dropna().unique()) if column in runs else []
        if len(values) > 1:
            found.append(f"{column} ({', '.join(map(str, values[:4]))}{', …' * (len(values) > 4)})")
    if not found:
        return ()
    return (
        f"Rows that differ in {'; '.join(found)} are taken together: choose one kind first, if one is meant.",
    )


def of_trunks(runs: pd.DataFrame) -> NDArray[np.bool_]:
    """(rows,): which rows are no decayed model of their N and D: points of undecayed trunks (kind trunk), of branches
    trained on beyond their decay (after), of merged checkpoints (merge). A row whose kind is not told is none.
    """
    if "kind" not in runs:
        return np.zeros(len(runs), dtype=bool)
    return np.asarray(runs["kind"].isin(("trunk", "after", "merge")).to_numpy(dtype=bool, na_value=False))


def as_numbers(runs: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """(rows,): a column as floats, NaN where it holds none."""
    return np.asarray(pd.to_numeric(runs[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan))


def refuse_row(runs: pd.DataFrame, column: str, bad: NDArray[np.bool_], name: str) -> None:
    """Raises InputError naming the first row that is `bad` (rows,) in a column, if one is."""
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    first = rows[0]
    run = f" ({runs['run_id'].iloc[first]})" if "run_id" in runs else ""
    more = f", as in {len(rows) - 1} more" if len(rows) > 1 else ""
    raise InputError(
        f"{name}, row {runs.index[first]}{run}, column {column}: {runs[column].iloc[first]} is no positive, finite "
        f"number{more}; correct it or leave the row out"
    )


def _positive(runs: pd.DataFrame, column: str, name: str) -> NDArray[np.float64]:
    values = as_numbers(runs, column)
    refuse_row(runs, column, ~((values > 0) & np.isfinite(values)), name)
    return values


def loss_unit(runs: pd.DataFrame, name: str = "the table") -> str | None:
    """The unit of a table's losses; None where it does not tell. Raises InputError where it mixes units."""
    if "loss_unit" not in runs:
        return None
    units = [None if pd.isna(unit) or not unit else str(unit) for unit in runs["loss_unit"].unique()]
    if len(set(units)) > 1:
        listed = " and ".join(sorted(unit or "a unit that is not told" for unit in set(units)))
        raise InputError(f"{name} has losses in {listed}: put them in one unit first")
    return units[0] if units else None


def same_unit(a: str | None, b: str | None, first: str, second: str) -> tuple[str, ...]:
    """Raises InputError where two losses differ in unit; a sentence where only one of them tells its own.

    first, second: whose loss it is, such as "A's".
    """
    if a and b and a != b:
        raise InputError(f"{first} loss is in {a} and {second} in {b}: put both in one unit first")
    if a == b:
        return ()
    told, other = (first, second) if a else (second, first)
    return (
        f"{told[0].upper()}{told[1:]} loss is in {a or b}; {other} unit is not told and taken to be the same.",
    )


def read_fit(
    source: str | Path,
    law: "Law | None" = None,
    loss: "Loss | None" = None,
    eval_set: str | None = None,
    *,
    resamples: int = 2000,
    by: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple["Fit", tuple[str, ...]]:
    """A fit with its bootstrap, from a saved fit, a study folder or a table; and what was chosen, in sentences.

    A folder's own fit.json is taken where nothing else is asked for; otherwise `law` (Chinchilla) is fitted under
    `loss` (Huber(1e-3)). Raises InputError for what cannot be read or fitted.
    """
    from scalinglab import laws
    from scalinglab.fitting import Fit, fit

    path, notes = Path(source), []
    own = path / "fit.json"
    asked: list[Any] = [law, loss, eval_set]
    if path.is_dir() and own.is_file() and not any(asked):
        path = own
        notes.append(f"The fit of the study, {own}.")
    if path.suffix.lower() == ".json":
        if any(asked):
            raise InputError(f"{path} is a fit already: --law, --loss and --eval-set go with a table")
        found = Fit.from_json(path)
    else:
        runs, _, chosen = read_ends(path, eval_set)
        notes += chosen
        found = fit(law or laws.Chinchilla(), runs, loss=loss)
    if len(found.rows):
        found.bootstrap(resamples, by=by, progress=progress)
    return found, tuple(notes)
