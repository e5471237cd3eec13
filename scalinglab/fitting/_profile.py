"""Profile likelihood: hold a quantity at a value, refit all else, and see how much worse the fit becomes.

The quantity may be a constant or anything computed from the constants. One solver coordinate is traded for it:
t_j is whatever makes g(t) = v, so that holding g is holding a coordinate, and a whole curve is one batch. With
g_k = ∂g/∂t_k the derivatives become

    ∂L/∂t_k − (g_k/g_j)·∂L/∂t_j  for k ≠ j,   and   (∂L/∂t_j)/g_j  for v.

A value lies in the interval while 2·(F(v) − F̂)/u is below the quantile of F with 1 and n − p degrees of
freedom, u = Σ ρ′²/(n − p) / mean ρ″ (the likelihood ratio of an M-estimate: Huber & Ronchetti 2009, 6.3).
For squared error that is the F-test of nested models. It takes rows to be independent and alike. Otherwise u is
multiplied by how much larger the quantity's sandwich variance is than its plain one, so that near the optimum
the curve has the sandwich's width and further out the likelihood's shape; over g clusters F has g − 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab.errors import InputError
from scalinglab.fitting._covariance import clusters, covariance, kind_of, slopes
from scalinglab.fitting._problem import Problem
from scalinglab.laws._law import Array

if TYPE_CHECKING:
    from scalinglab.fitting._fit import Fit

REACH = np.array([0.3, 0.7, 1.1, 1.5, 1.9, 2.4, 3.0, 4.0])  # standard errors either way, first look
WIDER = np.array([6.0, 9.0, 14.0, 22.0, 35.0])  # where the limit is not met by then

ITERATIONS = 30  # derivatives by differences end near rounding, not at it

Quantity = str | Callable[[pd.DataFrame], Any]


@dataclass(frozen=True, eq=False)
class Profile:
    """A quantity's profile: where it may lie, and the curve that says so.

    lo, hi: ends of the interval at `level`; -inf or inf, or the edge of what was tried, where open.
    curve: columns value, objective, z (signed root of the likelihood ratio; |z| ≤ limit is inside), the constants.
    """

    name: str
    value: float
    lo: float
    hi: float
    level: float
    limit: float
    open_lo: bool
    open_hi: bool
    curve: pd.DataFrame = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """`curve` as a copy; attrs: name, value, lo, hi, level."""
        frame = self.curve.copy()
        frame.attrs = {name: getattr(self, name) for name in ("name", "value", "lo", "hi", "level")}
        return frame

    def __str__(self) -> str:
        lo, hi = ("open" if o else f"{v:.4g}" for o, v in ((self.open_lo, self.lo), (self.open_hi, self.hi)))
        return f"{self.name} = {self.value:.4g} [{lo}, {hi}] ({self.level:.0%} profile)"


class Traded:
    """A model in which coordinate j is g(t) in place of t_j. The solver sees a model like any other."""

    curvature_from = ITERATIONS + 1  # never: the residuals are small, and differences of differences dear

    def __init__(self, problem: Problem, g: Callable[[Array], Array], j: int, at: Array) -> None:
        self.inner, self.g, self.j, self.at = problem.model, g, j, at
        self.p, self.n, self.reach = problem.model.p, problem.model.n, problem.model.reach
        self.lower, self.upper = problem.model.lower.copy(), problem.model.upper.copy()
        self.lower[j], self.upper[j] = -np.inf, np.inf

    def slope(self, t: Array) -> Array:
        """∂g/∂t, (b, p), by central differences."""
        h = 1e-6 * np.maximum(np.abs(t), 1e-3)
        steps = np.eye(self.p)[:, None, :] * h  # (p, b, p)
        both = self.g(np.concatenate([t + steps, t - steps]).reshape(-1, self.p)).reshape(2, self.p, -1)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.nan_to_num((both[0] - both[1]).T / (2 * h))

    def solve(self, s: Array) -> tuple[Array, Any]:
        """t with g(t) = s_j and the other coordinates as in s; and where there is one. Newton in t_j."""
        j, v = self.j, s[:, self.j]
        t = s.copy()
        t[:, j] = self.at[j]
        low, high = self.inner.lower[j], self.inner.upper[j]
        close = 1e-12 * np.maximum(np.abs(v), 1e-3)
        miss = self.g(t) - v
        for _ in range(25):
            h = 1e-6 * np.maximum(np.abs(t[:, j]), 1e-3)
            near = t.copy()
            near[:, j] += h
            rise = (self.g(near) - v - miss) / h
            with np.errstate(all="ignore"):
                step = np.nan_to_num(-miss / rise, nan=0.0, posinf=0.0, neginf=0.0)
            share = np.ones(len(t))
            for _ in range(3):  # halve a step that leads further away or out of bounds
                trial = t.copy()
                trial[:, j] = np.clip(t[:, j] + share * step, low, high)
                after = self.g(trial) - v
                worse = ~(np.abs(after) <= np.abs(miss))
                if not worse.any():
                    break
                share[worse] *= 0.2
            better, before = np.abs(after) < np.abs(miss), np.abs(miss)
            t[better], miss = trial[better], np.where(better, after, miss)
            # a value that is not to be had is given up once steps no longer bring it nearer by a tenth
            if not (better & (np.abs(miss) < 0.9 * before)).any() or np.all(np.abs(miss) <= close):
                break
        return t, np.abs(miss) <= 1e-8 * np.maximum(np.abs(v), 1e-3)

    def evaluate(self, s: Array, out: Array | None = None) -> tuple[Array, Array]:
        """As the model's own; `out` (b, p, n) takes the derivatives where given."""
        t, solved = self.solve(s)
        L, J = self.inner.evaluate(t)
        slope = self.slope(t)
        own = slope[:, self.j]
        solved = solved & (np.abs(own) > 1e-12 * np.abs(slope).max(axis=1))
        own = np.where(solved, own, 1.0)
        share = np.where(solved[:, None], slope / own[:, None], 0.0)
        share[:, self.j] = 0.0
        pivot = J[:, self.j].copy()
        J -= share[:, :, None] * pivot[:, None, :]
        J[:, self.j] = pivot / own[:, None]
        J[~solved] = 0.0
        if out is not None:
            out[:] = J
            J = out
        return np.where(solved[:, None], L, 1e-100), J


def profile(
    fit: "Fit", what: Quantity, level: float, name: str | None, kind: str | None, by: str | None
) -> Profile:
    from scipy.special import fdtri  # quantile of F; scipy.stats would take a second to import

    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    problem, law = fit.problem(), fit.law
    if isinstance(what, str):
        if what not in law.constant_names:
            raise InputError(f"{law.name} has no constant {what!r} (it has {', '.join(law.constant_names)})")
        column = law.constant_names.index(what)
        quantity: Callable[[Array], Any] = lambda c: c[:, column]  # noqa: E731
    else:
        function = what

        def quantity(c: Array) -> Any:
            return function(pd.DataFrame(c, columns=list(law.constant_names)))

    t0 = problem.at(fit.constants)
    value = float(_one(quantity(problem.constants(t0[None]))))
    log = value > 0  # a positive quantity is walked in its logarithm

    def g(t: Array) -> Array:
        with np.errstate(all="ignore"):
            found = np.asarray(quantity(problem.constants(t)), dtype=float)
            return np.nan_to_num(np.log(found) if log else found, nan=1e300, posinf=1e300, neginf=-1e300)

    centre = float(g(t0[None])[0])
    cluster = clusters(fit, by)
    kind = kind_of(problem, kind, by)
    cov, moved = covariance(problem, t0, "plain")
    slope = Traded(problem, g, 0, t0).slope(t0[None])[0] * moved
    variance = np.where(moved, cov.diagonal(), 0.0)
    if not np.isfinite(cov).all() or not (slope @ cov @ slope > 0):
        raise InputError(
            f"{name or _name(what)} cannot be profiled: the rows leave a direction of the constants open, or the "
            "quantity does not depend on the fitted constants; hold a constant first"
        )
    j = int(np.argmax(slope**2 * variance))
    se = float(np.sqrt(slope @ cov @ slope))
    toward = cov @ slope / se**2  # how all coordinates move, to first order, for a unit of g

    s = slopes(problem, t0)
    w, free = problem.w, int(moved.sum())
    spare = max(problem.model.n - free, 1)
    bend = float(np.sum(w * s.bend) / w.sum())
    plain = unit = float(np.sum(w * s.slope**2)) / spare / bend
    if kind == "sandwich":
        robust = covariance(problem, t0, "sandwich", cluster)[0]
        unit *= float(slope @ robust @ slope) / se**2
    freedom = spare if cluster is None else int(cluster.max())
    limit = float(np.sqrt(fdtri(1, freedom, level)))
    step = se * float(np.sqrt(unit / plain))

    traded = replace(problem, model=Traded(problem, g, j, t0))
    least = float(problem.minimise(t0[None]).objective[0])
    values, objectives, ends = np.array([centre]), np.array([least]), t0[None]
    for side in (-1.0, 1.0):
        for reach in (REACH, WIDER):
            v = centre + side * step * reach
            v = v[np.abs(v) < 600] if log else v
            known = values[np.argmax(side * values)], ends[np.argmax(side * values)]
            # first guess: along the tangent from the last point known
            start = known[1] + (v - known[0])[:, None] * toward
            cost, end = _hold(traded, j, v, start)
            values, objectives = np.append(values, v), np.append(objectives, cost)
            ends = np.concatenate([ends, end])
            if len(v) == 0 or _root(cost, least, unit).max() > limit:
                break
    values, objectives, ends = _sorted(values, objectives, ends)
    # a second look from each neighbour's end: Huber's kinks leave now and then one point too high
    for neighbour in (np.roll(ends, 1, axis=0), np.roll(ends, -1, axis=0)):
        cost, end = _hold(traded, j, values, neighbour)
        better = cost < objectives
        objectives[better], ends[better] = cost[better], end[better]
    for refine in (True, True, False):  # refits where the limit is thought to be, so that the ends are exact
        z = np.sign(values - centre) * _root(objectives, least, unit)
        (lo, from_lo, open_lo), (hi, from_hi, open_hi) = (
            _crossing(values[::-1], -z[::-1], centre, limit),
            _crossing(values, z, centre, limit),
        )
        found = [(v, i) for v, i, is_open in ((lo, from_lo, open_lo), (hi, from_hi, open_hi)) if not is_open]
        if refine and found:
            v = np.array([one for one, _ in found])
            near = np.array([np.argmin(np.abs(values - inside)) for _, inside in found])
            cost, end = _hold(traded, j, v, ends[near])
            values, objectives, ends = _sorted(
                np.append(values, v), np.append(objectives, cost), np.concatenate([ends, end])
            )
    back = np.exp if log else np.asarray
    curve = pd.DataFrame({"value": back(values), "objective": objectives, "z": z})
    constants = pd.DataFrame(problem.constants(ends), columns=list(law.constant_names))
    curve = pd.concat([curve, constants], axis=1)
    curve = curve[objectives < 1e100 * max(least, 1.0)].reset_index(drop=True)
    return Profile(
        name or _name(what),
        value,
        float(back(lo)),
        float(back(hi)),
        level,
        limit,
        open_lo,
        open_hi,
        curve,
    )


def _hold(traded: Problem, j: int, v: Array, start: Array) -> tuple[Array, Array]:
    """Objective (b,) and coordinates t (b, p) of the refits with g held at v."""
    if not len(v):
        return np.empty(0), start
    model = traded.model
    s = np.clip(start, model.inner.lower, model.inner.upper)
    s[:, j] = v
    lower, upper = np.tile(model.lower, (len(v), 1)), np.tile(model.upper, (len(v), 1))
    lower[:, j] = upper[:, j] = v
    ends = traded.minimise(s, lower=lower, upper=upper, iterations=ITERATIONS)
    return ends.objective, model.solve(ends.t)[0]


def _root(cost: Array, least: float, unit: float) -> Array:
    return np.sqrt(np.maximum(2.0 * (cost - least) / unit, 0.0))


def _sorted(values: Array, objectives: Array, ends: Array) -> tuple[Array, Array, Array]:
    order = np.argsort(values)
    return values[order], objectives[order], ends[order]


def _crossing(values: Array, z: Array, centre: float, limit: float) -> tuple[float, float, bool]:
    """Where z, rising outward from the centre, first passes the limit; the last value before; whether it never does."""
    v, up = np.append(centre, values[z > 0]), np.append(0.0, z[z > 0])
    over = np.flatnonzero(up > limit)
    if not len(over):
        return float(v[-1]), float(v[-1]), True
    i = int(over[0])
    share = (limit - up[i - 1]) / (up[i] - up[i - 1])
    return float(v[i - 1] + share * (v[i] - v[i - 1])), float(v[i - 1]), False


def _name(what: Quantity) -> str:
    return what if isinstance(what, str) else getattr(what, "__name__", "quantity").strip("<>")


def _one(values: Any) -> float:
    found = np.asarray(values, dtype=float)
    if found.shape != (1,) or not np.isfinite(found).all():
        raise InputError(f"the quantity must give one finite number a set of constants, it gave {found}")
    return float(found[0])
