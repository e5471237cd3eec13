"""A law on given rows, in coordinates a solver likes, for a whole batch of constants at once.

Shapes: b sets of constants, p solver coordinates, n rows. A model offers
  names, lower, upper, reach     of the p coordinates: constant, bounds (equal: held), longest step
  evaluate(t, J)                 t (b, p) -> L (b, n), ∂L/∂t (b, p, n), written into J where that is given
  curvature(t, J, s)             Σ_i s_i ∇²L_i, (b, p, p), for row factors s (b, n)
  curvature_from                 the step from which on it is worth its price
  logs, floor                    which coordinates are logarithms; the one that is a floor, or None
  linear, lowest_linear          the coordinates that enter linearly, and the lowest value of each
  place(t, k)                    t with the values of those set to k
  search                         for each other one (low, high, on a log scale?) to look in for a first guess
  watched, value(i, t)           positive constants that mean the same in any units; a coordinate's own value
  rivals(i), log_values(t)       coordinates that may trade off with i; logarithms of all values (p,)
  to_public(t), from_public(c)   (b, p) coordinates <-> (b, constants of the law)
  take(rows)                     the same model on some of the rows
"""

import copy
from typing import Any

import numpy as np

from scalinglab.fitting._constraints import Constraints
from scalinglab.laws._law import Array, Constant, Law
from scalinglab.laws._power_sum import PowerSum

Model = Any  # one of the two below


def build_model(law: Law, x: Array, constraints: Constraints) -> Model:
    """The fast model where the law is a sum of power terms and the constraints leave it one."""
    if isinstance(law, PowerSum):
        exponents = {e for term in law.terms for _, e in term.exponents}
        boxes = {*constraints.held, *constraints.bounds} <= exponents | {law.floor}
        if boxes and all({name, other} <= exponents for name, other in constraints.tied.items()):
            return PowerSumModel(law, x, constraints)
    return GeneralModel(law, x, constraints)


class PowerSumModel:
    """A floor plus power terms, on centred features.

    Centring φ makes a coefficient its term's value at the middle of the data, which takes the conditioning of
    the Chinchilla form on Hoffmann's rows from 4e6 to 1e3 and leaves floor and coefficients linear.
    """

    reach = np.inf
    curvature_from = 0

    def __init__(self, law: PowerSum, x: Array, constraints: Constraints) -> None:
        self.law = law
        self.names = list(law.constant_names)
        self.p, self.n = len(self.names), x.shape[1]
        phi = np.stack([law.feature(v, values) for v, values in zip(law.variables, x, strict=True)])
        self.middle = phi.mean(axis=1)
        self.scale = 1.0 if law.logarithmic else max(float(np.ptp(phi)), 1e-300)
        self.phi = (phi - self.middle[:, None]) / self.scale
        self.signed_phi = law.sign * self.phi

        column = {name: i for i, name in enumerate(self.names)}
        row = {v: i for i, v in enumerate(law.variables)}
        for name, other in constraints.tied.items():  # a tied exponent reads the other's column
            while other in constraints.tied:
                other = constraints.tied[other]
            column[name] = self.names.index(other)
        self.column = [column[name] for name in self.names]
        self.floor = None if law.floor is None else column[law.floor]
        # each term: column of its coefficient, [(row of the feature, column of its exponent)]
        self.terms = [
            (column[t.coefficient], [(row[v], column[e]) for v, e in t.exponents]) for t in law.terms
        ]
        self.exponents = sorted({e for _, pairs in self.terms for _, e in pairs})
        self.dead = [i for i in range(self.p) if i not in self.column]  # tied to another's column

        free = {c.name: c for c in constraints.free(law)}
        self.lower, self.upper = np.zeros(self.p), np.zeros(self.p)
        for i, name in enumerate(self.names):
            unit = self.scale if i in self.exponents else 1.0
            if name in free:
                self.lower[i], self.upper[i] = free[name].lower * unit, free[name].upper * unit
            elif name in constraints.held:
                self.lower[i] = self.upper[i] = constraints.held[name] * unit
        # a power this steep is a step between two rows; beyond it exp overflows
        steepest = 200.0 / (np.abs(self.phi).sum(axis=0).max() + 1e-300)
        self.lower[self.exponents] = np.maximum(self.lower[self.exponents], -steepest)
        self.upper[self.exponents] = np.minimum(self.upper[self.exponents], steepest)
        # a coefficient is its term in the middle times exp(±exponent·middle), which has to stay a number
        for _, pairs in self.terms:
            for v, e in pairs:
                most = 600.0 * self.scale / max(abs(float(self.middle[v])), 1e-300)
                if self.lower[e] < min(self.upper[e], most):
                    self.lower[e], self.upper[e] = max(self.lower[e], -most), min(self.upper[e], most)
        free_columns = np.flatnonzero(self.lower < self.upper)
        self.linear = [int(i) for i in free_columns if i not in self.exponents]
        self.logs = np.zeros(self.p, dtype=bool)
        self.lowest_linear = self.lower[self.linear]
        self.search = {
            e: (*law.constants[e].search, law.constants[e].search[0] > 0)
            for e in self.exponents
            if e in free_columns
        }

    @property
    def watched(self) -> list[int]:
        candidates = [*self.exponents, *([] if self.floor is None else [self.floor])]
        return [i for i in candidates if 0 <= self.lower[i] < self.upper[i]]

    def value(self, i: int, t: Any) -> Any:
        return t / self.scale if i in self.exponents else t

    def rivals(self, i: int) -> list[int]:
        own = {k for k, pairs in self.terms for _, e in pairs if e == i}  # its coefficient moving is no news
        return [j for j in range(self.p) if j != i and j not in own and self.lower[j] < self.upper[j]]

    def log_values(self, t: Array) -> Array:
        return np.log(np.maximum(t, 1e-6))

    def take(self, rows: Any) -> "PowerSumModel":
        out = copy.copy(self)
        out.phi = np.ascontiguousarray(self.phi[:, rows])
        out.signed_phi = self.law.sign * out.phi
        out.n = out.phi.shape[1]
        return out

    def evaluate(self, t: Array, J: Array | None = None) -> tuple[Array, Array]:
        # Written into place, pass by pass: this is where a bootstrap spends its time.
        J = np.empty((len(t), self.p, self.n)) if J is None else J
        J[:, self.dead] = 0.0
        if self.floor is not None:
            J[:, self.floor] = 1.0
        L = np.empty((len(t), self.n))
        L[:] = 0.0 if self.floor is None else t[:, self.floor, None]
        written: set[int] = set()
        for k, pairs in self.terms:
            u = J[:, k]
            for i, (v, e) in enumerate(pairs):
                if i == 0:
                    np.multiply(t[:, e, None], self.signed_phi[v], out=u)
                else:
                    u += t[:, e, None] * self.signed_phi[v]
            np.exp(u, out=u)
            term = u * t[:, k, None]
            L += term
            for v, e in pairs:
                if e in written:
                    J[:, e] += term * self.signed_phi[v]
                else:
                    np.multiply(term, self.signed_phi[v], out=J[:, e])
                    written.add(e)
        return np.maximum(L, 1e-100, out=L), J

    def curvature(self, t: Array, J: Array, s: Array) -> Array:
        out = np.zeros((len(t), self.p, self.p))
        for k, pairs in self.terms:
            su = s * J[:, k]
            for v, e in pairs:
                cross = self.law.sign * (su @ self.phi[v])
                out[:, k, e] += cross
                out[:, e, k] += cross
                for v2, e2 in pairs:
                    out[:, e, e2] += t[:, k] * (su @ (self.phi[v] * self.phi[v2]))
        return out

    def place(self, t: Array, k: Array) -> Array:
        t = t.copy()
        t[:, self.linear] = k
        return t

    def _shifts(self, c: Array) -> list[tuple[int, Any]]:
        """Column of each coefficient, and the log of what centring divides it by."""
        return [
            (k, self.law.sign * sum(c[:, e] * self.middle[v] for v, e in pairs)) for k, pairs in self.terms
        ]

    def to_public(self, t: Array) -> Array:
        c = t.copy()
        c[:, self.exponents] /= self.scale
        for k, shift in self._shifts(c):
            with np.errstate(over="ignore"):
                c[:, k] *= np.exp(-shift)
        return c[:, self.column]

    def from_public(self, c: Array) -> Array:
        t = c.copy()
        for k, shift in self._shifts(c):
            t[:, k] *= np.exp(shift)
        t[:, self.exponents] *= self.scale
        return t


class GeneralModel:
    """Any law, under any constraints: positive constants as their logarithms, derivatives by the law's own closed form
    where it has one and no constant is tied, else by complex step.

    Where the law can change units each variable is counted in its geometric mean, unless a constraint names a
    constant that would change with them.
    """

    curvature_from = 20

    def __init__(self, law: Law, x: Array, constraints: Constraints) -> None:
        self.law, self.constraints = law, constraints
        free = constraints.free(law)
        self.names = [c.name for c in free]
        self.p, self.n = len(free), x.shape[1]
        self.units = self._units(x)
        self.x = [values / unit for values, unit in zip(x, self.units, strict=True)]
        depended = set().union(*(constraints.names_in(e) for e in constraints.tied.values()))
        self.linear = [i for i, c in enumerate(free) if c.linear and c.name not in depended]
        self.floor = self._floor(free)
        lower, upper = np.array([c.lower for c in free]), np.array([c.upper for c in free])
        # A coefficient in raw units goes with the exponential of its exponent: straight in (log A, α). A scale
        # that may lie anywhere is a logarithm too. What is left (floor, exponents) is as it is.
        raw = bool((self.units == 1.0).all())
        wide = [
            raw and i != self.floor if i in self.linear else c.search[1] > 300 * c.search[0]
            for i, c in enumerate(free)
        ]
        self.logs = (lower >= 0) & np.array(wide)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.lower = np.where(self.logs, np.maximum(np.log(lower), -200.0), lower)
            self.upper = np.where(self.logs, np.minimum(np.log(upper), 200.0), upper)
        self.reach = np.where(self.logs, 3.0, np.inf)
        self.lowest_linear = lower[self.linear]
        self.search = {}
        for i, c in enumerate(free):
            if i not in self.linear:
                lo, hi = np.clip(c.search, c.lower, c.upper)
                if lo == hi:  # the usual range lies outside the bounds
                    lo, hi = (c.lower, c.upper) if c.upper < np.inf else (c.lower, 10 * c.lower + 1.0)
                lo, hi = np.log(np.maximum([lo, hi], 1e-12)) if self.logs[i] else (lo, hi)
                self.search[i] = (float(lo), float(hi), bool(lo > 0 and not self.logs[i]))
        unit_free = self._unit_free()
        self.watched = [i for i in self.search if lower[i] >= 0 and self.names[i] in unit_free]
        self.watched += [] if self.floor is None or lower[self.floor] < 0 else [self.floor]
        self.closed = type(law).gradient is not Law.gradient and not constraints.tied
        self.place_in_law = [law.constant_names.index(name) for name in self.names]

    def _floor(self, free: tuple[Constant, ...]) -> int | None:
        """The linear constant that adds the same to every row, if there is one."""
        middle = [float(np.clip(np.sqrt(np.prod(np.abs(c.search))), c.lower, c.upper)) for c in free]
        for i in self.linear:
            values = []
            for factor in (1.0, 2.0):
                c = dict(zip(self.names, middle, strict=True))
                c[self.names[i]] *= factor
                values.append(self.law.value(self.constraints.expand(self.law, c), self.x))
            change = np.broadcast_to(values[1] - values[0], self.n)
            if np.ptp(change) <= 1e-9 * np.abs(change).max():
                return i
        return None

    def _unit_free(self) -> set[str]:
        """Constants whose value does not depend on the units of the variables."""
        probe = list(np.linspace(0.5, 0.9, len(self.law.constants)))
        rescaled = self.law.rescale(probe, [2.0] * len(self.law.variables)) or probe
        return {n for n, a, b in zip(self.law.constant_names, probe, rescaled, strict=True) if a == b}

    def _units(self, x: Array) -> Array:
        """Geometric means, where every constrained constant keeps its value under the change of units."""
        units: Array = np.exp(np.log(x).mean(axis=1))
        same = [self.law.variables.index(self.law.unit_of.get(v, v)) for v in self.law.variables]
        rule = self.law.rescale([1.0] * len(self.law.constants), list(units)) is not None
        return units[same] if rule and self.constraints.touched <= self._unit_free() else np.ones(len(x))

    def value(self, i: int, t: Any) -> Any:
        return np.exp(t) if self.logs[i] else t

    def rivals(self, i: int) -> list[int]:
        return [j for j in range(self.p) if j != i and self.names[j] in self._unit_free()]

    def log_values(self, t: Array) -> Array:
        return np.where(self.logs, t, np.log(np.maximum(np.abs(t), 1e-6)))

    def take(self, rows: Any) -> "GeneralModel":
        out = copy.copy(self)
        out.x = [values[rows] for values in self.x]
        out.n = len(out.x[0])
        return out

    def _constants(self, t: list[Any]) -> list[Any]:
        c = [np.exp(v) if log else v for v, log in zip(t, self.logs, strict=True)]
        return self.constraints.expand(self.law, dict(zip(self.names, c, strict=True)))

    def _value(self, t: list[Any]) -> Any:
        return self.law.value(self._constants(t), self.x)

    def evaluate(self, t: Array, J: Array | None = None) -> tuple[Array, Array]:
        columns = [t[:, i, None] for i in range(self.p)]
        shape = len(t), self.n
        J = np.empty((len(t), self.p, self.n)) if J is None else J
        with np.errstate(all="ignore"):
            c = self._constants(columns)
            L = np.broadcast_to(self.law.value(c, self.x), shape)
            own = self.law.gradient(c, self.x) if self.closed else []
            for i in range(self.p):
                if own:
                    k = self.place_in_law[i]
                    J[:, i] = own[k] * c[k] if self.logs[i] else own[k]
                    continue
                moved: list[Any] = list(columns)
                if self.law.analytic:
                    moved[i] = columns[i] + 1e-100j
                    J[:, i] = np.imag(self._value(moved)) * 1e100
                else:
                    h = 1e-6 * np.maximum(1.0, np.abs(columns[i]))
                    moved[i] = columns[i] + h
                    above = self._value(moved)
                    moved[i] = columns[i] - h
                    J[:, i] = (above - self._value(moved)) / (2 * h)
        # far outside, a law may overflow or turn negative: make it a very bad fit, with no slope
        bad = ~((L > 1e-100) & (L < 1e50) & (np.abs(J) < 1e50).all(axis=1))
        if bad.any():
            J[np.broadcast_to(bad[:, None], J.shape)] = 0.0
        return np.where(bad, 1e-100, L), J

    def curvature(self, t: Array, J: Array, s: Array) -> Array:
        """By differences of the exact derivatives: p evaluations, so asked for only where a fit is slow."""
        out = np.empty((len(t), self.p, self.p))
        here = np.einsum("bpn,bn->bp", J, s)
        for i in range(self.p):
            moved = t.copy()
            moved[:, i] += 1e-6
            out[:, i] = (np.einsum("bpn,bn->bp", self.evaluate(moved)[1], s) - here) / 1e-6
        return 0.5 * (out + out.transpose(0, 2, 1))

    def place(self, t: Array, k: Array) -> Array:
        t = t.copy()
        logs = self.logs[self.linear]
        t[:, self.linear] = np.where(logs, np.log(np.maximum(k, 1e-80)), k)
        return t

    def to_public(self, t: Array) -> Array:
        c = np.where(self.logs, np.exp(np.where(self.logs, t, 0.0)), t)
        full = self.constraints.expand(self.law, dict(zip(self.names, c.T, strict=True)))
        if (self.units != 1.0).any():
            full = self.law.rescale(full, list(1.0 / self.units)) or full
        return np.stack([np.broadcast_to(v, len(t)) for v in full], axis=1).astype(float)

    def from_public(self, c: Array) -> Array:
        columns = list(c.T)
        if (self.units != 1.0).any():
            columns = self.law.rescale(columns, list(self.units)) or columns
        named = dict(zip(self.law.constant_names, columns, strict=True))
        t = np.stack([np.broadcast_to(named[name], len(c)) for name in self.names], axis=1).astype(float)
        return np.where(self.logs, np.log(np.maximum(np.where(self.logs, t, 1.0), 1e-80)), t)
