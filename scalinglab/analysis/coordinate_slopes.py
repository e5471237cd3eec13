"""With which power of the width activations grow: a coordinate check's slopes, and when they count as flat.

What is flat under a right parametrisation, as the width grows (Yang et al. 2022, "Tensor Programs V", table 8):
the size of the hidden activations, and what a few updates change about them and about the logits. The logits
themselves are not: with the readout multiplied by d_base/d they start as a random sum that shrinks as d^-1/2, and
only what is learnt stays. So logits are judged by their change alone.
"""

import math

import numpy as np
import pandas as pd

from scalinglab.errors import InputError

BOUND = 0.25
"""A slope counts as flat when |slope| + 2 standard errors stays below this. A rule that is wrong is wrong by a power
of the width that is a multiple of 1/2, and 1/4 is half way there: nearer to 0 than to the smallest mistake. At finite
widths a right one is not exactly flat, since what vanishes as d^-1/2 is still there."""

COLUMNS = ("parametrisation", "width", "seed", "step", "module", "activation", "change")


def slopes(frame: pd.DataFrame, bound: float = BOUND) -> pd.DataFrame:
    """Log-log slopes against width of a coordinate check's rows (`scalinglab.training.coordinates`).

    Returns a row for each parametrisation, step, module and quantity (activation or change): slope and se (least
    squares over all widths and seeds), judged (False for the logits' own size, see above) and flat. The change at step
    0 is nothing and left out. Raises InputError for a table that lacks a column, or has fewer than three widths.
    """
    lacking = [column for column in COLUMNS if column not in frame]
    if lacking:
        raise InputError(f"a coordinate check's table lacks the column {lacking[0]}")
    if frame["width"].nunique() < 3:
        raise InputError("a slope with a standard error needs at least three widths")
    rows = []
    for (name, step, module), group in frame.groupby(["parametrisation", "step", "module"], sort=False):
        for quantity in ("activation", "change"):
            if quantity == "change" and step == 0:
                continue
            slope, se = _line(group["width"].to_numpy(float), group[quantity].to_numpy(float))
            rows.append(
                {
                    "parametrisation": name,
                    "step": step,
                    "module": module,
                    "quantity": quantity,
                    "slope": slope,
                    "se": se,
                    "judged": quantity == "change" or module != "logits",
                    "flat": abs(slope) + 2 * se < bound,
                }
            )
    return pd.DataFrame(rows)


def judged(found: pd.DataFrame) -> pd.DataFrame:
    """The slopes that decide: those of the last step that are judged, the least flat of each parametrisation first."""
    last = found[(found["step"] == found["step"].max()) & found["judged"]]
    far = last.assign(far=last["slope"].abs() + 2 * last["se"]).fillna({"far": math.inf})
    order = far.sort_values("far", ascending=False, kind="stable")
    return order.sort_values(
        "parametrisation", key=lambda names: names.map({n: i for i, n in enumerate(names_of(found))}), kind="stable"
    )  # fmt: skip


def is_flat(found: pd.DataFrame) -> dict[str, bool]:
    """Parametrisation -> whether every slope that is judged is flat."""
    return {
        name: bool(judged(found[found["parametrisation"] == name])["flat"].all()) for name in names_of(found)
    }


def names_of(frame: pd.DataFrame) -> list[str]:
    """Parametrisations in the order in which they come."""
    return [str(name) for name in frame["parametrisation"].unique()]


def _line(width: np.ndarray, size: np.ndarray) -> tuple[float, float]:
    """Least-squares slope of ln size on ln width, with its standard error; nan where a size is no positive number."""
    if not (np.isfinite(size).all() and (size > 0).all()):
        return math.nan, math.nan
    x, y = np.log(width) - np.log(width).mean(), np.log(size) - np.log(size).mean()
    slope = float(x @ y / (x @ x))
    left = y - slope * x
    return slope, float(math.sqrt(left @ left / (len(x) - 2) / (x @ x)))
