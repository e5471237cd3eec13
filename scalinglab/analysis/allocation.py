"""Where a budget is best spent: the N and D = D(N, C) that make a law's loss smallest, for stacks of constants.

Under C = 6·N·D a law of Chinchilla's form has a closed form (Hoffmann et al. 2022, eq. 4). Under another cost f(N, D)
the loss along the line f = C is stationary where

    αA·N^-α / s_N = βB·D^-β / s_D,   s_N = ∂ln f/∂ln N,  s_D = ∂ln f/∂ln D,

which is solved by bisection on log N. Muennighoff's law of repeated data has a condition of its own (`repetition`). Any
other law is scanned along the line and its slope bisected.
"""

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.convention import SIX_ND, Convention
from scalinglab.analysis.repetition import Repeating, best_repeating
from scalinglab.errors import InputError
from scalinglab.laws import DataConstrained

Array = NDArray[np.float64]
FAR = 150.0
"""|log N| within which an optimum is looked for."""
_STEP = 1e-2  # of log N in differences: fourth order, so good to 1e-11
_HALVINGS = 80


def optimal_params_tokens(
    law: Any, constants: Any, flops: float, cost: Convention, **fixed: float
) -> tuple[Array, Array]:
    """(N, D) at a budget for one set of constants, or arrays (k,) for a stack of k.

    fixed: further variables of the law, such as unique_tokens. Where a term has vanished N is 0 or infinite. Raises
    InputError for a law without params and tokens, or with further variables that are not given.
    """
    variables = tuple(law.variables)
    if not {"params", "tokens"} <= set(variables):
        raise InputError(f"{law.name} is not a law in params and tokens, so it has no optimum of them")
    for name in fixed:
        if name not in variables:
            near = difflib.get_close_matches(name, [*variables, "cost", "level", "boot", "beyond"], n=1)
            hint = f"did you mean {near[0]}=?" if near else f"its variables are {', '.join(variables)}"
            raise InputError(f"{law.name} has no variable {name!r}; {hint}")
    missing = [v for v in variables if v not in ("params", "tokens", *fixed)]
    if missing:
        raise InputError(f"{law.name} needs {missing[0]!r} too: its optimum depends on it")
    if hasattr(law, "standard") and len(variables) == 2:
        if cost is SIX_ND:
            n, d = law.optimal(constants, flops)
            return np.squeeze(n), np.squeeze(d)
        return _chinchilla(law.standard(constants), flops, cost)
    c = law.ordered_constants(constants)
    if isinstance(law, DataConstrained):
        return best_repeating(Repeating(*c), fixed["unique_tokens"], flops, cost, elasticities, FAR)
    size = np.broadcast_shapes(*(np.shape(v) for v in c))

    def loss(n: Array, d: Array) -> Array:
        given = {"params": n, "tokens": d, **fixed}
        return np.asarray(law.value(c, [given[v] for v in variables]), float)

    domain = (np.log(1.0), np.log(1e16))
    return least_on_line(loss, lambda n: cost.tokens_at(n, flops), size, domain)


def optimal_at_each(
    law: Any, constants: Any, budgets: Array, cost: Convention, **fixed: float
) -> tuple[Array, Array]:
    """`optimal_params_tokens` at several budgets: (N, D), each (budgets,), or (k, budgets) for a stack of k."""
    if cost is SIX_ND and hasattr(law, "standard") and len(law.variables) == 2 and not fixed:
        n, d = law.optimal(constants, budgets)  # the closed form takes all of them at once
        return n, d
    size = np.broadcast_shapes(*(np.shape(v) for v in law.ordered_constants(constants)))
    found = [optimal_params_tokens(law, constants, float(each), cost, **fixed) for each in budgets]
    n, d = (np.stack([np.broadcast_to(v, size) for v in some], axis=-1) for some in zip(*found, strict=True))
    return n, d


def _chinchilla(c: Any, flops: float, cost: Convention) -> tuple[Array, Array]:
    """By the condition above, in logs; c: E, A, alpha, B, beta."""
    size = np.broadcast_shapes(*(np.shape(v) for v in c))
    lo, hi = np.full(size, -FAR), np.full(size, FAR)
    for _ in range(_HALVINGS):
        u = 0.5 * (lo + hi)
        n, d = np.exp(u), cost.tokens_at(np.exp(u), flops)
        with np.errstate(all="ignore"):  # a vanished term is -inf, and the bisection ends at an edge
            s_n, s_d = elasticities(cost, n, d)
            size_term = np.log(c.alpha) + np.log(c.A) - c.alpha * u + np.log(s_d)
            data_term = np.log(c.beta) + np.log(c.B) - c.beta * np.log(d) + np.log(np.maximum(s_n, 0.0))
            larger = size_term > data_term
        lo, hi = np.where(larger, u, lo), np.where(larger, hi, u)
    # at an edge a term has vanished, and the optimum with it
    n = np.where(lo == -FAR, 0.0, np.where(hi == FAR, np.inf, np.exp(0.5 * (lo + hi))))
    with np.errstate(all="ignore"):
        inside = np.where((n > 0) & np.isfinite(n), n, 1.0)
        d = np.where(n == 0.0, np.inf, np.where(np.isinf(n), 0.0, cost.tokens_at(inside, flops)))
    return n, d


def elasticities(cost: Convention, params: Any, tokens: Any) -> tuple[Array, Array]:
    """(∂ln f/∂ln N, ∂ln f/∂ln D) of a convention, by differences."""
    h = 1e-5
    up, down = np.exp(h), np.exp(-h)
    with np.errstate(all="ignore"):
        s_n = (np.log(cost(params * up, tokens)) - np.log(cost(params * down, tokens))) / (2 * h)
        s_d = (np.log(cost(params, tokens * up)) - np.log(cost(params, tokens * down))) / (2 * h)
    return s_n, s_d


def least_on_line(
    loss: Callable[[Array, Array], Array],
    tokens_at: Callable[[Array], Array],
    size: tuple[int, ...],
    domain: tuple[float, float],
    scan: int = 300,
) -> tuple[Array, Array]:
    """(N, D) of the least loss(N, tokens_at(N)) over log N in `domain`, each of shape `size`.

    loss broadcasts N and D of shape `size`. A scan brackets the lowest point, and the slope there is bisected; where
    the lowest point is an edge of the domain, N is 0 or infinite.
    """
    grid = np.linspace(*domain, scan)

    def at(u: Any) -> Array:
        n = np.exp(u)
        with np.errstate(all="ignore"):
            found = np.broadcast_to(loss(n, tokens_at(n)), size)
        return np.where(np.isnan(found), np.inf, found)

    values = np.stack([at(np.full(size, u)) for u in grid])
    best = values.argmin(axis=0)
    lo, hi = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, scan - 1)]
    for _ in range(_HALVINGS):
        u = 0.5 * (lo + hi)
        with np.errstate(all="ignore"):
            slope = 8 * (at(u + _STEP) - at(u - _STEP)) - (at(u + 2 * _STEP) - at(u - 2 * _STEP))
        lo, hi = np.where(slope < 0, u, lo), np.where(slope < 0, hi, u)
    n = np.exp(0.5 * (lo + hi))
    n = np.where(best == 0, 0.0, np.where(best == scan - 1, np.inf, n))
    inside = np.where((n > 0) & np.isfinite(n), n, 1.0)
    d = np.where(n == 0.0, np.inf, np.where(np.isinf(n), 0.0, tokens_at(inside)))
    return n, d
