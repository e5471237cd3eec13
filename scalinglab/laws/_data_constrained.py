"""Loss when data repeat: what an epoch beyond the first is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scalinglab.laws._law import Array, Constant, Constants, Law, power


@dataclass(frozen=True)
class DataConstrained(Law):
    """L = E + A·N'^−α + B·D'^−β with D' = U + U·R_D*·(1 − e^(−R_D/R_D*)), N' likewise.

    U are the unique tokens seen, R_D = D/U − 1 their repeats; the size has its own U_N, the compute-optimal N
    for U tokens, and R_N = N/U_N − 1 (Muennighoff et al. 2023, arXiv 2305.16264, eqs. 5 and 6).
    """

    name = "DataConstrained"
    formula = "E + A·N'^−α + B·D'^−β, D' = U + U·R*·(1 − e^(−R/R*)), N' likewise"
    source = "Muennighoff et al. 2023, arXiv 2305.16264, eqs. 5 and 6"
    variables = ("params", "tokens", "unique_tokens")
    unit_of = MappingProxyType({"unique_tokens": "tokens"})
    constants = (
        Constant("E", "irreducible loss", "loss", linear=True),
        Constant("A", "coefficient of the size term", "loss·params^alpha", search=(0.02, 5.0)),
        Constant("alpha", "exponent of the size term", upper=10.0, search=(0.05, 1.5)),
        Constant("B", "coefficient of the data term", "loss·tokens^beta", search=(0.02, 5.0)),
        Constant("beta", "exponent of the data term", upper=10.0, search=(0.05, 1.5)),
        Constant(
            "R_D", "repeats after which an epoch is worth 1/e of new tokens", "1", 1e-3, 1e4, search=(1, 100)
        ),
        Constant("R_N", "the same for parameters in excess of U_N", "1", 1e-3, 1e4, search=(1, 100)),
    )

    def value(self, c: Sequence[Any], x: Sequence[Any]) -> Any:
        E, A, alpha, B, beta, _, _ = c
        N, D = self._effective(c, x)
        return E + A * power(N, -alpha) + B * power(D, -beta)

    def _effective(self, c: Sequence[Any], x: Sequence[Any]) -> tuple[Any, Any]:
        _, A, alpha, B, beta, R_D, R_N = c
        N, D, unique = x
        U_D = np.minimum(D, unique)
        # compute-optimal N for U_D tokens: αA·N^−α = βB·D^−β
        U_N = _lesser(power(alpha * A / (beta * B) * power(U_D, beta), 1 / alpha), N)
        return _saturating(N, U_N, R_N), _saturating(D, U_D, R_D)

    def gradient(self, c: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        _, A, alpha, B, beta, R_D, R_N = c
        N, D, unique = x
        U_D = np.minimum(D, unique)
        log_best = (np.log(alpha * A) - np.log(beta * B) + beta * np.log(U_D)) / alpha
        below = log_best < np.log(N)  # else U_N is N itself, which no constant moves
        U_N = np.where(below, np.exp(np.where(below, log_best, 0.0)), N)
        N_, N_by_unique, N_by_star = _saturating_slopes(N, U_N, R_N)
        D_, _, D_by_star = _saturating_slopes(D, U_D, R_D)
        log_n, log_d = np.log(N_), np.log(D_)
        size, data = np.exp(-alpha * log_n), np.exp(-beta * log_d)
        by_n, by_d = -alpha * A * size / N_, -beta * B * data / D_
        by_log_best = by_n * N_by_unique * U_N / alpha

        def through(slope: Any) -> Any:  # of alpha·log_best
            return np.where(below, by_log_best * slope, 0.0)

        return [
            np.ones_like(by_n),
            size + through(1 / A),
            -A * size * log_n + through(1 / alpha - log_best),
            data - through(1 / B),
            -B * data * log_d + through(np.log(U_D) - 1 / beta),
            by_d * D_by_star,
            by_n * N_by_star,
        ]

    def effective(
        self, constants: Constants, params: ArrayLike, tokens: ArrayLike, unique_tokens: ArrayLike
    ) -> tuple[Array, Array]:
        """(N', D'): the size and the new tokens that would be worth as much without repetition."""
        x = self.ordered_variables({"params": params, "tokens": tokens, "unique_tokens": unique_tokens})
        return self._effective(self.ordered_constants(constants, x[0].ndim), x)

    def rescale(self, c: Sequence[Any], units: Sequence[Any]) -> list[Any]:
        E, A, alpha, B, beta, R_D, R_N = c
        return [E, A * units[0] ** -alpha, alpha, B * units[1] ** -beta, beta, R_D, R_N]


def _lesser(a: Any, b: Any) -> Any:
    """The smaller by real part, so that a complex step keeps its imaginary part."""
    return np.where(np.real(a) < np.real(b), a, b)


def _saturating(total: Any, unique: Any, star: Any) -> Any:
    return unique + unique * star * (1 - np.exp(-(total / unique - 1) / star))


def _saturating_slopes(total: Any, unique: Any, star: Any) -> tuple[Any, Any, Any]:
    """`_saturating`, and its derivatives by `unique` and by `star`."""
    repeats = total / unique - 1
    fresh = np.exp(-repeats / star)
    gain = 1 - fresh
    return (
        unique + unique * star * gain,
        1 + star * gain - fresh * total / unique,
        unique * (gain - fresh * repeats / star),
    )
