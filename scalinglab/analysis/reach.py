"""What reaches a loss: the tokens at a size, the smallest size, and the cheapest model under any cost.

Laws of Chinchilla's kind fall with the sum S = A·N^-α + B·D^-β alone. A share s of it in the size term gives
N = (A/(s·S))^(1/α) and D = (B/((1-s)·S))^(1/β); with v = ln(s/(1-s)), serving included, the cheapest model has

    s_N + s_N'·(serving/training) = s_D·(α/β)·e^v,      s_N = ∂ln cost/∂ln N,  s_D = ∂ln cost/∂ln D,

whose sides cross once (under 6·N·D without serving at s = β/(α+β): Hoffmann et al. 2022, eq. 4).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.allocation import FAR, elasticities
from scalinglab.analysis.convention import SIX_ND, Convention
from scalinglab.analysis.equivalent import frontier_loss

Array = NDArray[np.float64]
_HALVINGS = 64  # of 300 to 600 in logarithms: to the last digit
FORWARD = 1.0 / 3.0
"""Serving a token costs its forward pass, a third of training on it: 2·N of 6·N (Kaplan et al. 2020)."""


def loss_of(law: Any, constants: Any, fixed: Mapping[str, float]) -> Callable[[Any, Any], Array]:
    """L(N, D) of these constants, a number or a stack (k,), further variables held."""
    c = law.ordered_constants(constants)

    def loss(n: Any, d: Any) -> Array:
        given = {"params": n, "tokens": d, **fixed}
        with np.errstate(all="ignore"):
            return np.asarray(law.value(c, [given[v] for v in law.variables]), float)

    return loss


def measure_of(law: Any, constants: Any, fixed: Mapping[str, float]) -> Callable[[Any, Any], Array]:
    """What orders models as their loss does, and loses no digits to the floor: S where a law has it, else the loss."""
    if not hasattr(law, "standard") or fixed or len(law.variables) > 2:
        return loss_of(law, constants, fixed)
    c = law.standard(constants)

    def terms(n: Any, d: Any) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(c.A * n**-c.alpha + c.B * d**-c.beta, float)

    return terms


def falling_root(
    function: Callable[[Array], Any], target: Any, lo: float = -FAR, hi: float = FAR
) -> NDArray[np.float64]:
    """e^u at which function(u), falling in u, comes down to `target`, whose shape the result has.

    inf where it stays above up to `hi`, 0 where it lies below from `lo` on.
    """
    target = np.asarray(target, float)
    low, high = np.full(target.shape, lo), np.full(target.shape, hi)
    with np.errstate(all="ignore"):
        below = function(low) < target
        reached = function(high) <= target
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            above = function(middle) > target
            low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(below, 0.0, np.where(reached, np.exp(0.5 * (low + high)), np.inf))


def tokens_for(measure: Callable[[Any, Any], Array], params: Any, target: Any) -> Array:
    """D with which a size comes down to `target` of `measure_of`; inf where no amount of data does."""
    return falling_root(lambda u: measure(params, np.exp(u)), target)


def smallest_params(measure: Callable[[Any, Any], Array], target: Any) -> Array:
    """The size that would come down to `target` on endless data: every smaller one never does."""
    return falling_root(lambda u: measure(np.exp(u), np.inf), target)


def reducible(law: Any, constants: Any, loss: Any) -> Array:
    """S = A·N^-α + B·D^-β of every model that has this loss; 0 where the loss lies below the floor."""
    c = law.standard(constants)
    target = np.broadcast_to(np.asarray(loss, float), np.shape(c.alpha))
    n = falling_root(lambda u: frontier_loss(law, constants, np.exp(u), "optimal"), target)
    with np.errstate(all="ignore"):  # on the frontier the terms stand as β to α
        return np.asarray(c.A * n**-c.alpha * (1.0 + c.alpha / c.beta))


def reducible_of_size(c: Any, params: float, cost: Convention) -> Array:
    """S of the compute-optimal model of size `params`: αA·N^-α·s_D = βB·D^-β·s_N."""

    def data_term(u: Array) -> Array:
        d = np.exp(u)
        s_n, s_d = _slopes(cost, params, d)
        return np.asarray(np.log(c.beta) + np.log(c.B) - c.beta * u + np.log(s_n) - np.log(s_d))

    with np.errstate(all="ignore"):
        size_term = np.log(c.alpha) + np.log(c.A) - c.alpha * np.log(params)
        d = falling_root(data_term, size_term)
        return np.asarray(c.A * params**-c.alpha + c.B * d**-c.beta)


def cheapest(
    c: Any, terms: Array, cost: Convention, served: float = 0.0, serving: float = 1.0
) -> tuple[Array, Array]:
    """(N, D) of the least training plus serving cost among the models whose terms sum to `terms`.

    c: E, A, alpha, B, beta. served: tokens served, each a forward pass; serving: price of a FLOP there over one in
    training. inf where the sum is 0.
    """
    size = np.broadcast_shapes(*(np.shape(v) for v in (*c, terms)))
    lo, hi = np.full(size, -2 * FAR), np.full(size, 2 * FAR)
    with np.errstate(all="ignore"):
        log_a, log_b, log_s = np.log(c.A), np.log(c.B), np.log(terms)

        def model(v: Array) -> tuple[Array, Array]:
            n = np.exp((log_a - log_s + np.logaddexp(0.0, -v)) / c.alpha)
            d = np.exp((log_b - log_s + np.logaddexp(0.0, v)) / c.beta)
            return n, d

        for _ in range(_HALVINGS):
            v = 0.5 * (lo + hi)
            n, d = model(v)
            s_n, s_d = _slopes(cost, n, d)
            larger = s_n + _serving(cost, n, d, served, serving) > s_d * c.alpha / c.beta * np.exp(v)
            lo, hi = np.where(larger, v, lo), np.where(larger, hi, v)
        return model(0.5 * (lo + hi))


def best_within(
    c: Any, total: float, cost: Convention, served: float, train_price: float, serve_price: float
) -> tuple[Array, Array]:
    """(N, D) of the least loss whose training and serving together cost `total`, prices of a FLOP given."""
    size = np.broadcast_shapes(*(np.shape(v) for v in c))
    lo, hi = np.full(size, -FAR), np.full(size, FAR)
    with np.errstate(all="ignore"):
        for _ in range(_HALVINGS):
            u = 0.5 * (lo + hi)
            n = np.exp(u)
            left = total - serve_price * serving_flops(cost, n, served)
            d = cost.tokens_at(n, np.maximum(left, 0.0) / train_price)
            s_n, s_d = _slopes(cost, n, d)
            size_term = np.log(c.alpha) + np.log(c.A) - c.alpha * u + np.log(s_d)
            data_term = np.log(c.beta) + np.log(c.B) - c.beta * np.log(d)
            data_term += np.log(s_n + _serving(cost, n, d, served, serve_price / train_price))
            larger = (left > 0) & (size_term > data_term)
            lo, hi = np.where(larger, u, lo), np.where(larger, hi, u)
        n = np.exp(0.5 * (lo + hi))
        left = total - serve_price * serving_flops(cost, n, served)
        return n, cost.tokens_at(n, np.maximum(left, 0.0) / train_price)


def serving_flops(cost: Convention, params: Any, served: float) -> Array:
    """FLOPs of serving: a forward pass a token, 2·N under 6ND."""
    return FORWARD * cost(params, served) if served else np.zeros(np.shape(params))


def _serving(cost: Convention, n: Array, d: Array, served: float, price: float) -> Any:
    """∂ln/∂ln N of the serving cost times its size relative to training."""
    if not served:
        return 0.0
    if cost is SIX_ND:
        return price * FORWARD * served / d
    return price * serving_flops(cost, n, served) / cost(n, d) * elasticities(cost, n, served)[0]


def _slopes(cost: Convention, n: Any, d: Any) -> tuple[Any, Any]:
    return (1.0, 1.0) if cost is SIX_ND else elasticities(cost, n, d)
