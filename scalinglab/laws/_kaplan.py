"""Laws that raise the two terms of N and D to a common power: Kaplan 2020 and Skaling 2026."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglab.laws._chinchilla import ComputeOptimal, Standard
from scalinglab.laws._law import Constant, Constants, Law, power


@dataclass(frozen=True)
class Kaplan(ComputeOptimal, Law):
    """L(N, D) = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D (Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5)."""

    name = "Kaplan"
    formula = "[(N_c/N)^(α_N/α_D) + D_c/D]^α_D"
    source = "Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5"
    variables = ("params", "tokens")
    constants = (
        Constant("N_c", "size at which the size term alone is one nat", "params", search=(1e-3, 1e9)),
        Constant("alpha_N", "exponent of the size term", upper=10.0, search=(0.02, 1.0)),
        Constant("D_c", "tokens at which the data term alone is one nat", "tokens", search=(1e-3, 1e9)),
        Constant("alpha_D", "exponent of the data term", upper=10.0, search=(0.02, 1.0)),
    )

    def value(self, c: Sequence[Any], x: Sequence[Any]) -> Any:
        N_c, alpha_N, D_c, alpha_D = c
        N, D = x
        return power(power(N_c / N, alpha_N / alpha_D) + D_c / D, alpha_D)

    def gradient(self, c: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        # closed, since derivatives by complex step take eight times as long
        N_c, alpha_N, D_c, alpha_D = c
        N, D = x
        log_size = np.log(N_c / N)
        size = np.exp(alpha_N / alpha_D * log_size)
        log_both = np.log(size + D_c / D)
        outer = np.exp((alpha_D - 1.0) * log_both)
        slope = outer * size
        bend = slope * log_size
        return [
            alpha_N / N_c * slope,
            bend,
            alpha_D * outer / D,
            np.exp(alpha_D * log_both) * log_both - alpha_N / alpha_D * bend,
        ]

    def rescale(self, c: Sequence[Any], units: Sequence[Any]) -> list[Any]:
        N_c, alpha_N, D_c, alpha_D = c
        return [N_c / units[0], alpha_N, D_c / units[1], alpha_D]

    def standard(self, constants: Constants) -> Standard:
        N_c, alpha_N, D_c, alpha_D = self.ordered_constants(constants)
        alpha = alpha_N / alpha_D
        with np.errstate(over="ignore"):
            return Standard(0.0 * alpha, N_c**alpha, alpha, D_c, 1.0 + 0.0 * alpha)


@dataclass(frozen=True)
class Skaling(ComputeOptimal, Law):
    """L(N, D) = E + (A·N^−α + B·D^−β)^k; k = 1 is Chinchilla (arXiv 2608.07222)."""

    name = "Skaling"
    formula = "E + (A·N^−α + B·D^−β)^k"
    source = "Skaling 2026, arXiv 2608.07222"
    variables = ("params", "tokens")
    constants = (
        Constant("E", "irreducible loss", "loss", linear=True),
        Constant("A", "coefficient of the size term", "loss^(1/k)·params^alpha", search=(0.01, 10.0)),
        Constant("alpha", "exponent of the size term", upper=10.0, search=(0.02, 2.0)),
        Constant("B", "coefficient of the data term", "loss^(1/k)·tokens^beta", search=(0.01, 10.0)),
        Constant("beta", "exponent of the data term", upper=10.0, search=(0.02, 2.0)),
        Constant("k", "common power of both terms", lower=0.05, upper=20.0, search=(0.2, 5.0)),
    )

    def value(self, c: Sequence[Any], x: Sequence[Any]) -> Any:
        E, A, alpha, B, beta, k = c
        N, D = x
        return E + power(A * power(N, -alpha) + B * power(D, -beta), k)

    def gradient(self, c: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        _, A, alpha, B, beta, k = c
        N, D = x
        log_n, log_d = np.log(N), np.log(D)
        size, data = np.exp(-alpha * log_n), np.exp(-beta * log_d)
        both = A * size + B * data
        log_both = np.log(both)
        outer = k * np.exp((k - 1.0) * log_both)
        return [
            np.ones_like(both),
            outer * size,
            -A * outer * size * log_n,
            outer * data,
            -B * outer * data * log_d,
            np.exp(k * log_both) * log_both,
        ]

    def rescale(self, c: Sequence[Any], units: Sequence[Any]) -> list[Any]:
        E, A, alpha, B, beta, k = c
        return [E, A * units[0] ** -alpha, alpha, B * units[1] ** -beta, beta, k]

    def standard(self, constants: Constants) -> Standard:
        E, A, alpha, B, beta, _ = self.ordered_constants(constants)
        return Standard(E, A, alpha, B, beta)
