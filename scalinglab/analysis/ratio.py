"""A ratio of two means of the same units, such as what one way gains of another's gain, seed by seed."""

import math

import numpy as np
from numpy.typing import ArrayLike

from scalinglab.analysis.checks import check_level
from scalinglab.analysis.estimate import Estimate


def ratio_of_means(top: ArrayLike, bottom: ArrayLike, level: float = 0.9) -> Estimate:
    """mean(top)/mean(bottom) of paired values (n,), with Fieller's interval (1954): every θ for which the mean of
    top − θ·bottom cannot be told from zero, by Student's t with n − 1 degrees of freedom.

    Infinite ends where the mean of `bottom` cannot be told from zero itself; NaN ends with one pair. Pairs that are
    not finite are left out; without any the value is NaN.
    """
    check_level(level)
    from scipy.stats import t

    y, x = np.asarray(top, float), np.asarray(bottom, float)
    known = np.isfinite(x) & np.isfinite(y)
    y, x = y[known], x[known]
    if not len(x) or x.mean() == 0.0:
        return Estimate(math.nan)
    value = float(y.mean() / x.mean())
    if len(x) < 2:
        return Estimate(value)
    (s_yy, s_xy), (_, s_xx) = np.cov(y, x)
    far = float(t.ppf(0.5 + level / 2, len(x) - 1)) ** 2 / len(x)
    # a·θ² − 2b·θ + c ≤ 0
    a, b, c = x.mean() ** 2 - far * s_xx, x.mean() * y.mean() - far * s_xy, y.mean() ** 2 - far * s_yy
    if a <= 0:
        return Estimate(value, -math.inf, math.inf)
    half = math.sqrt(max(float(b * b - a * c), 0.0))
    return Estimate(value, float((b - half) / a), float((b + half) / a))
