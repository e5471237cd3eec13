"""Where the loss of one budget is least in ln N: by a parabola, or between interpolated points. For stacks of draws.

The parabola's bias. Along a budget, with u = ln N/N_opt and K = αA·N_opt^-α = βB·D_opt^-β, Chinchilla's loss is

    L = E + K/α·e^(-αu) + K/β·e^(βu) = const + K(α+β)/2·u² + K(β²-α²)/6·u³ + …

Least squares of a parabola on points whose u is symmetric about 0, with moments m2 and m4, takes up the cubic as a
slope K(β²-α²)/6·m4/m2, so that its vertex lies at -(β-α)/6·m4/m2 to leading order (Czech et al. 2026).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FAR = 100.0
"""Of ln N: where a vertex in a draw is cut off."""
_FINE = 25  # points between two sizes when the minimum of an interpolant is looked for
_FLOOR = 0.33  # of the mean distance in ln N: what the deviation of an interpolated minimum is at least


class Vertex(NamedTuple):
    """Each (k,): ln N at the vertex, the loss there, and the curvature c of loss = least + c·(ln N - at)²."""

    at: Array
    least: Array
    curvature: Array


def vertex(u: Array, y: Array, w: Array | None = None) -> Vertex:
    """Least squares parabolas through losses y (k, n) at u = ln N (n,), weights w (k, n); NaN where not determined.

    A parabola that opens downward has a negative curvature, and its vertex is its highest point.
    """
    y = np.atleast_2d(y)
    centre, scale = u.mean(), max(float(np.ptp(u)) / 2, 1e-300)
    t = (u - centre) / scale
    X = np.stack([np.ones_like(t), t, t**2])
    if w is None:
        c = y @ np.linalg.pinv(X)
    else:
        moments = (w @ (t[:, None] ** np.arange(5))) / w.sum(axis=1, keepdims=True)
        H = moments[:, np.arange(3)[:, None] + np.arange(3)]
        right = np.einsum("kn,kn,in->ki", w, np.broadcast_to(y, w.shape), X) / w.sum(axis=1, keepdims=True)
        c = np.full((len(w), 3), np.nan)
        known = np.linalg.det(H) > 1e-12  # fewer than three sizes leave it singular
        c[known] = np.linalg.solve(H[known], right[known][..., None])[..., 0]
    with np.errstate(all="ignore"):
        at = -c[:, 1] / (2 * c[:, 2])
        return Vertex(centre + scale * at, c[:, 0] - c[:, 1] ** 2 / (4 * c[:, 2]), c[:, 2] / scale**2)


def leading_shift(u: Array, alpha: Any, beta: Any) -> Any:
    """-(β-α)/6·m4/m2: the vertex's shift in ln N on points u = ln N/N_opt that lie symmetrically about 0."""
    return -(beta - alpha) / 6.0 * (u**4).mean() / (u**2).mean()


class Interpolated(NamedTuple):
    """at, least (m,): ln N and loss of the draws whose minimum lies inside; deviation: of `at`, never below a third of
    the distance between sizes; NaN where fewer than half of the draws have such a minimum."""

    at: Array
    least: Array
    deviation: float


def interpolated(u: Array, y: Array) -> Interpolated:
    """Minima of Akima's interpolant of ln loss over ln N, from losses y (k, n), u (n,) rising.

    The estimator of Porian et al. 2024: the lowest of 25 points a gap; a draw whose lowest point is the smallest or
    the largest size has no minimum.
    """
    from scipy.interpolate import Akima1DInterpolator

    grid = np.linspace(u[0], u[-1], _FINE * (len(u) - 1))
    values = Akima1DInterpolator(u, np.log(np.maximum(y, 1e-300)).T)(grid)
    lowest = values.argmin(axis=0)
    inside = np.flatnonzero((lowest > 0) & (lowest < len(grid) - 1))
    at, least = grid[lowest[inside]], np.exp(values[lowest[inside], inside])
    if len(inside) < len(y) // 2 or not len(inside):
        return Interpolated(at, least, np.nan)
    floor = _FLOOR * _FINE * (grid[1] - grid[0])
    return Interpolated(at, least, max(float(at.std()), floor) * len(y) / len(inside))


class Found(NamedTuple):
    """Of one budget: ln N and loss at its minimum, curvature, draws (k,) of the first two, weight, what is wrong."""

    at: float
    least: float
    curvature: float
    draws: Array
    draws_least: Array
    weight: float
    note: str


def minimum_of(u: Array, y: Array, drawn: Array | None, weights: Array | None, minimum: str) -> Found:
    none = np.empty(0)
    if minimum == "interpolated":
        if drawn is None:
            drawn = y[None]
        ats, lowest, deviation = interpolated(u, drawn)
        if math.isnan(deviation):
            return Found(np.nan, np.nan, np.nan, none, none, 0.0, "no minimum between the sizes")
        spread = (ats, lowest) if len(drawn) > 1 else (none, none)
        return Found(float(np.median(ats)), float(np.median(lowest)), np.nan, *spread, deviation**-2, "")
    at, least, curvature = (float(v[0]) for v in vertex(u, y))
    note = ""
    if not curvature > 0:
        note = "opens downward"
    elif not u.min() <= at <= u.max():
        note = "vertex outside the sizes"
    if drawn is None and weights is None:
        return Found(at, least, curvature, none, none, float(not note), note)
    draws = vertex(u, y if drawn is None else drawn, weights)
    up = draws.curvature > 0
    ats = np.where(up, np.clip(draws.at, u.min() - FAR, u.max() + FAR), np.nan)
    return Found(at, least, curvature, ats, np.where(up, draws.least, np.nan), float(not note), note)


def line(x: Array, y: Array, w: Array) -> tuple[Array, Array]:
    """(slope, intercept), each (k,), of least squares lines through y (k, n) at x (n,), weights w (k, n).

    NaN where fewer than two points have weight.
    """
    y, w = np.broadcast_arrays(y, w)
    y = np.where(w > 0, y, 0.0)
    with np.errstate(all="ignore"):
        total = w.sum(axis=1)
        mean_x, mean_y = (w * x).sum(axis=1) / total, (w * y).sum(axis=1) / total
        off = x - mean_x[:, None]
        slope = (w * off * y).sum(axis=1) / (w * off**2).sum(axis=1)
        slope = np.where((w > 0).sum(axis=1) >= 2, slope, np.nan)
        return slope, mean_y - slope * mean_x
