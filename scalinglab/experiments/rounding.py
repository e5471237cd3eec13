"""What a printed figure may have been before it was rounded."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate


def half_unit(printed: str) -> float:
    """Half a unit of the last digit printed: 0.0005 for "0.217", 0.5 for "192", 0.05e19 for "1.2e19"."""
    mantissa, _, exponent = printed.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** (int(exponent or 0) - decimals)


def box(printed: Mapping[str, str], steps: int = 5) -> pd.DataFrame:
    """Every combination of `steps` evenly spaced values within the rounding of each printed constant, ends included.

    An odd number of steps holds the printed values themselves. One row a combination, one column a constant.
    """
    axes = []
    for text in printed.values():
        value, half = float(text), half_unit(text)
        axes.append(np.linspace(value - half, value + half, steps))
    return pd.DataFrame(list(itertools.product(*axes)), columns=list(printed))


def rounded(printed: Mapping[str, str], of: Callable[[Any], Any], steps: int = 5) -> Estimate:
    """of(constants) at the printed constants, between its least and greatest value over their box.

    of: from numbers, or a frame of columns, to a number, or one a row. A function that is monotone in each constant
    has its extremes at corners, which the box holds.
    """
    value = float(of({name: float(text) for name, text in printed.items()}))
    over = np.asarray(of(box(printed, steps)), float)
    over = np.where(np.isnan(over), math.inf, over)
    return Estimate(value, float(over.min()), float(over.max()))
