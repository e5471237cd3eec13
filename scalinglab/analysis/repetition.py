"""Muennighoff's law along a budget: where repeated tokens and excess parameters are best spent, exactly.

With n = N/U_N and d = D/U beyond 1, f(x; R) = 1 + R·(1 - e^(-(x-1)/R)) of them counts (Muennighoff et al. 2023,
arXiv 2305.16264, eqs. 5 and 6). Along C(N, D) the loss falls towards more parameters as long as

    αA·N'^-α·ε_N / s_N  >  βB·D'^-β·ε_D / s_D,      ε = ∂ln f/∂ln x = x·e^(-(x-1)/R)/f,

s the cost's elasticities. The two sides cross once, also where the law has a corner (D = U with more than U_N
parameters), so the sign alone is bisected.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.convention import SIX_ND, Convention

Array = NDArray[np.float64]
R_D = 15.387756
"""R_D* as published: Muennighoff et al. 2023, appendix A, on C4."""
R_N = 5.309743
"""R_N* likewise."""
_HALVINGS = 64  # of 300 in log N: to the last digit


class Repeating(NamedTuple):
    """The law's constants in plain counts, numbers or (k,) each."""

    E: Any
    A: Any
    alpha: Any
    B: Any
    beta: Any
    R_D: Any
    R_N: Any


def counted(log_x: Any, star: Any) -> tuple[Array, Array]:
    """(ln f, ln ε) of x = e^log_x: what x times the unique amount is worth in it, and the elasticity of that."""
    x = np.exp(np.maximum(log_x, 0.0))
    log_f = np.log1p(-star * np.expm1(-(x - 1.0) / star))
    once = log_x <= 0
    return (
        np.where(once, log_x, log_f),
        np.where(once, 0.0, np.log(x) - (x - 1.0) / star - log_f),
    )


def log_excess_from(c: Repeating, log_unique: Any) -> Any:
    """ln U_N: the compute-optimal size for U tokens under 6·N·D, beyond which parameters count less."""
    log_a, log_b = (np.log(x) + np.log(y) for x, y in ((c.alpha, c.A), (c.beta, c.B)))
    return (log_a - log_b + c.beta * log_unique) / c.alpha


def best_repeating(
    c: Repeating, unique: float, flops: float, cost: Convention, elasticities: Any, far: float
) -> tuple[Array, Array]:
    """(N, D) of the least loss at a budget with `unique` tokens; NaN where a term has vanished."""
    size = np.broadcast_shapes(*(np.shape(v) for v in c))
    lo, hi = np.full(size, -far), np.full(size, far)
    log_unique = np.log(unique)
    with np.errstate(all="ignore"):
        log_a, log_b = (np.log(x) + np.log(y) for x, y in ((c.alpha, c.A), (c.beta, c.B)))
        for _ in range(_HALVINGS):
            u = 0.5 * (lo + hi)
            log_d = np.log(cost.tokens_at(np.exp(u), flops))
            s_n, s_d = (1.0, 1.0) if cost is SIX_ND else elasticities(cost, np.exp(u), np.exp(log_d))
            seen = np.minimum(log_d, log_unique)
            log_un = (log_a - log_b + c.beta * seen) / c.alpha
            log_f, log_en = counted(u - log_un, c.R_N)
            log_g, log_ed = counted(log_d - seen, c.R_D)
            # fewer tokens than there are: U_N moves with D, and N' with U_N, by 1 - ε_N of ln U_N
            moved = np.where(log_d < log_unique, -np.expm1(log_en) * c.beta / c.alpha * s_n / s_d, 0.0)
            gain = np.where(moved > 0, np.log(np.maximum(np.exp(log_en) - moved, 0.0)), log_en)
            size_term = log_a - c.alpha * (log_un + log_f) + gain + np.log(s_d)
            data_term = log_b - c.beta * (seen + log_g) + log_ed + np.log(s_n)
            larger = size_term > data_term
            lo, hi = np.where(larger, u, lo), np.where(larger, hi, u)
        n = np.exp(0.5 * (lo + hi))
        known = np.isfinite(log_a) & np.isfinite(log_b)
        return np.where(known, n, np.nan), np.where(known, cost.tokens_at(n, flops), np.nan)


def epoch_worth(epochs: Any, R_D: float = R_D) -> pd.DataFrame:
    """What epochs over the same tokens are worth: a row each.

    Columns epochs; worth: unique tokens that would do as well, in units of U, 1 + R_D*·(1 - e^(-(epochs-1)/R_D*));
    share: that over the tokens seen; last: what one more token is then worth against a new one, e^(-(epochs-1)/R_D*).
    """
    seen = np.atleast_1d(np.asarray(epochs, float))
    last = np.exp(-np.maximum(seen - 1.0, 0.0) / R_D)
    worth = np.where(seen <= 1.0, seen, 1.0 + R_D * (1.0 - last))
    return pd.DataFrame({"epochs": seen, "worth": worth, "share": worth / seen, "last": last})
