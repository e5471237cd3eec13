"""Loss along one variable: compute, tokens or size. Power law against exponential, both with a floor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scalinglab.laws._chinchilla import inverse_power
from scalinglab.laws._law import Array, Constant, Constants, Law
from scalinglab.laws._power_sum import PowerSum, Term


@dataclass(frozen=True)
class PowerLaw(PowerSum):
    """L(x) = E + A·x^−α in one variable: L(C) of continual training, L(N), L(D)."""

    variable: str = "flops"

    name = "PowerLaw"
    formula = "E + A·x^−α"
    source = "Kaplan et al. 2020, arXiv 2001.08361; floor as in Henighan et al. 2020, arXiv 2010.14701"
    floor = "E"
    constants = (
        Constant("E", "loss no amount of x goes below", "loss", linear=True),
        Constant("A", "coefficient", "loss·x^alpha", linear=True),
        Constant("alpha", "exponent", upper=10.0),
    )

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    @property
    def terms(self) -> tuple[Term, ...]:
        return (Term("A", ((self.variable, "alpha"),)),)

    def inverse(self, constants: Constants, loss: ArrayLike) -> Array:
        """The x at which the law reaches `loss`; infinite at or below the floor."""
        E, A, alpha = self.ordered_constants(constants, np.ndim(loss))
        return inverse_power(A, np.asarray(loss, dtype=float) - E, alpha) * self.units.get(self.variable, 1.0)


@dataclass(frozen=True)
class Exponential(PowerSum):
    """L(x) = E + A·exp(−k·x) in one variable: the rival of the power law in continual training."""

    variable: str = "flops"

    name = "Exponential"
    formula = "E + A·exp(−k·x)"
    source = "Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4.4"
    logarithmic = False
    floor = "E"
    constants = (
        Constant("E", "loss no amount of x goes below", "loss", linear=True),
        Constant("A", "height above the floor at x = 0", "loss", linear=True),
        Constant("k", "rate", "1/x", search=(0.1, 100.0)),
    )

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    @property
    def terms(self) -> tuple[Term, ...]:
        return (Term("A", ((self.variable, "k"),)),)

    def inverse(self, constants: Constants, loss: ArrayLike) -> Array:
        """The x at which the law reaches `loss`; infinite at or below the floor."""
        E, A, k = self.ordered_constants(constants, np.ndim(loss))
        rest = np.asarray(loss, dtype=float) - E
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rest > 0, np.log(A / rest) / k, np.inf) * self.units.get(self.variable, 1.0)


@dataclass(frozen=True)
class BrokenPowerLaw(Law):
    """L(x) = E + A·x^−α·(1 + (x/x_b)^(1/s))^(−s·Δ): exponent α before the break x_b, α + Δ after it.

    The smoothly broken law with one break; s is its width in units of log x (Caballero et al. 2023, eq. 1).
    """

    variable: str = "flops"

    name = "BrokenPowerLaw"
    formula = "E + A·x^−α·(1 + (x/x_b)^(1/s))^(−s·Δ)"
    source = "Caballero et al. 2023, arXiv 2210.14891, eq. 1 with one break"
    constants = (
        Constant("E", "loss no amount of x goes below", "loss", linear=True),
        Constant("A", "coefficient", "loss·x^alpha", linear=True),
        Constant("alpha", "exponent before the break", upper=10.0),
        Constant(
            "change",
            "exponent after the break less the one before",
            lower=-10.0,
            upper=10.0,
            search=(-1.0, 1.0),
        ),
        Constant("x_break", "where the exponent changes", "x", search=(1e-2, 1e2)),
        Constant(
            "width", "how gradually it changes, in units of log x", lower=0.01, upper=10.0, search=(0.1, 1.0)
        ),
    )

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def value(self, c: Sequence[Any], x: Sequence[Any]) -> Any:
        E, A, alpha, change, x_break, width = c
        z = np.log(x[0]) - np.log(x_break)
        # log(1 + e^u) without overflow, u = z/width
        bend = width * change * _softplus(z / width)
        return E + A * np.exp(-alpha * np.log(x[0]) - bend)

    def gradient(self, c: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        _, A, alpha, change, x_break, width = c
        log_x = np.log(x[0])
        u = (log_x - np.log(x_break)) / width
        soft, small = _softplus(u), np.exp(-np.abs(u))
        passed = np.where(u > 0, 1.0, small) / (1 + small)  # d soft / d u
        term = np.exp(-alpha * log_x - width * change * soft)
        above = A * term
        return [
            np.ones_like(above),
            term,
            -above * log_x,
            -above * width * soft,
            above * change * passed / x_break,
            -above * change * (soft - u * passed),
        ]

    def rescale(self, c: Sequence[Any], units: Sequence[Any]) -> list[Any]:
        E, A, alpha, change, x_break, width = c
        return [E, A * units[0] ** -alpha, alpha, change, x_break / units[0], width]


def _softplus(u: Any) -> Any:
    """log(1 + e^u) for real or complex u, without overflow."""
    high = np.real(u) > 0
    small = np.exp(np.where(high, -u, u))
    return np.where(high, u, 0.0) + np.log1p(small)
