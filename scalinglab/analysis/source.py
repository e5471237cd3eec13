"""From a path to what answers are asked of: the run ends of one eval set, or a fit."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

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
