"""What a search of constants found: where its best trials lie, and how far apart.

The single best trial owes part of its place to luck. Found is the mean, on logarithmic axes, of the best tenth of the
trials that were finished, which lies inside a bowl wherever they surround its bottom; their spread says how far each
constant could be moved at no cost that these trials notice.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scalinglab.analysis.estimate import Estimate
from scalinglab.errors import InputError

BEST_SHARE, BEST_LEAST = 0.1, 5
"""Of the finished trials, the share that counts as the best, and of how many it is at least."""
DIGITS = 3
"""Of a constant, as it is used afterwards."""


def complete(trials: pd.DataFrame) -> pd.DataFrame:
    """The finished trials of a search's frame, best first."""
    own = trials[(trials["state"] == "complete") & trials["loss"].notna()]
    return own.sort_values(["loss", "trial"], kind="stable").reset_index(drop=True)


def best_count(finished: int) -> int:
    """How many of so many finished trials are the best."""
    return max(BEST_LEAST, round(BEST_SHARE * finished))


def best(trials: pd.DataFrame) -> pd.DataFrame:
    """The best tenth of the finished trials, five at least.

    trials: a row a trial, with columns state, loss and a constant each. Raises InputError where fewer are finished.
    """
    ranked = complete(trials)
    count = best_count(len(ranked))
    if len(ranked) < count:
        raise InputError(
            f"the search finished {len(ranked)} trials, and constants are told from {count} at least; run more of them"
        )
    return ranked.head(count)


def found_constants(trials: pd.DataFrame, names: Sequence[str]) -> dict[str, Estimate]:
    """Constant -> its mean on a logarithmic axis over the best trials, lo and hi the least and largest among them.

    Raises InputError as `best`.
    """
    chosen = best(trials)
    logs = {name: np.log(chosen[name].to_numpy(dtype=float)) for name in names}
    return {
        name: Estimate(math.exp(each.mean()), math.exp(each.min()), math.exp(each.max()))
        for name, each in logs.items()
    }


def rounded(found: Mapping[str, Estimate]) -> dict[str, float]:
    """The constants as they are trained with."""
    return {name: float(f"{each.value:.{DIGITS}g}") for name, each in found.items()}
