"""How the loss depends on several constants about its least: a quadratic in their logarithms.

    loss = c + Σ b_i x_i + ½ Σ H_ij x_i x_j,    x_i = ln(constant i)

It tells what no single trial does: what moving one constant costs, and how much of that the others win back when they
are set anew, which is little where constants stand for one another. Box & Wilson 1951, "On the experimental attainment
of optimum conditions".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.estimate import Estimate, estimate
from scalinglab.errors import InputError

FACTOR = 2.0
"""The change of a constant whose cost is told."""
_SWEEPS = 100  # of the coordinate descent where the least point is at an end of the box
_SPARE = 3  # trials beyond the number of coefficients that an error can be told from

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """A fitted surface. Intervals are of the coefficients' sampling error alone."""

    optimum: dict[str, Estimate]
    """Constant -> where the loss is least, inside the range of the trials."""
    edge: dict[str, str]
    """Constant -> "low" or "high" where that is an end of the range, "" inside."""
    alone: dict[str, Estimate]
    """Constant -> loss that moving it a factor 2 off costs, the others held."""
    retuned: dict[str, Estimate]
    """The same where the others are set anew: near 0 for a constant that others stand in for."""
    loss: float
    """At the optimum."""
    rms: float
    """Of the residuals, each trial weighted as in the fit."""
    trials: int
    level: float


def response_surface(
    trials: pd.DataFrame, names: Sequence[str], *, level: float = 0.9, draws: int = 1000, seed: int = 0
) -> Surface:
    """Fit the surface to trials (a row each, with their constants and loss, all finite).

    A quadratic describes the bottom of a bowl, so a trial weighs by one over (its loss above the least + the median of
    that). Intervals: draws of the coefficients from Student's t about their least squares, with the covariance that the
    residuals themselves show, each draw with its own least point in the box that the trials span.

    Raises InputError where trials are too few, or do not span every direction.
    """
    k = len(names)
    coefficients = (k + 1) * (k + 2) // 2
    if len(trials) < coefficients + _SPARE:
        raise InputError(
            f"a quadratic in {k} constants has {coefficients} coefficients and takes {coefficients + _SPARE} finished "
            f"trials at least, not {len(trials)}; run more trials"
        )
    logs = np.log(trials[list(names)].to_numpy(dtype=float))
    loss = trials["loss"].to_numpy(dtype=float)
    lo, hi = logs.min(0), logs.max(0)
    centre, unit = (lo + hi) / 2, np.where(hi > lo, (hi - lo) / 2, 1.0)
    x = (logs - centre) / unit
    design = _design(x)
    above = loss - loss.min()
    sigma = above + max(float(np.median(above)), 1e-12)
    q, r = np.linalg.qr(design / sigma[:, None])
    if np.abs(np.diag(r)).min() < 1e-9 * np.abs(np.diag(r)).max():
        raise InputError(
            "the finished trials do not span every direction of their constants; run more trials"
        )
    inverse = np.linalg.inv(r)
    fitted = inverse @ (q.T @ (loss / sigma))
    left = (loss - design @ fitted) / sigma
    freedom = len(loss) - coefficients
    # HC3 (MacKinnon & White 1985): the weights say what a quadratic misses far off, not what seeds scatter near by
    leverage = np.minimum((q**2).sum(1), 1 - 1e-9)
    root = inverse @ (q * (left / (1 - leverage))[:, None]).T
    rng = np.random.default_rng(seed)
    wild = rng.standard_normal((draws, len(loss))) @ root.T
    wild /= np.sqrt(rng.chisquare(freedom, (draws, 1)) / freedom)
    every = np.vstack([fitted, fitted + wild])
    b, h = every[:, 1 : k + 1], _hessians(every, k)
    least = _least(b, h)
    step = math.log(FACTOR) / unit
    alone = 0.5 * np.maximum(np.einsum("nii->ni", h) * step**2, 0.0)
    retuned = _retuned(b, h, least, step)
    at = np.exp(centre + unit * least)
    return Surface(
        optimum={name: estimate(at[0, i], at[1:, i], level) for i, name in enumerate(names)},
        edge={
            name: "low" if least[0, i] <= -1 else "high" if least[0, i] >= 1 else "" for i, name in enumerate(names)
        },
        alone={name: estimate(alone[0, i], alone[1:, i], level) for i, name in enumerate(names)},
        retuned={name: estimate(retuned[0, i], retuned[1:, i], level) for i, name in enumerate(names)},
        loss=float((_design(least[:1]) @ fitted)[0]),
        rms=float(math.sqrt(np.average((loss - design @ fitted) ** 2, weights=sigma**-2))),
        trials=len(loss),
        level=level,
    )  # fmt: skip


def _design(x: Floats) -> Floats:
    """(trials, coefficients): 1, x_i, then ½ x_i² and x_i x_j row by row of the upper triangle."""
    rows, columns = np.triu_indices(x.shape[1])
    squares = x[:, rows] * x[:, columns] * np.where(rows == columns, 0.5, 1.0)
    return np.column_stack([np.ones(len(x)), x, squares])


def _hessians(every: Floats, k: int) -> Floats:
    """(draws, k, k) of coefficients (draws, coefficients)."""
    h = np.zeros((len(every), k, k))
    rows, columns = np.triu_indices(k)
    h[:, rows, columns] = h[:, columns, rows] = every[:, k + 1 :]
    return h


def _least(b: Floats, h: Floats) -> Floats:
    """(draws, k): where b·x + ½ x·H·x is least in the box [-1, 1]^k.

    Of a bowl with its bottom inside, that; else by descent along one axis after another, which along an axis that
    curves down takes the better end of the box.
    """
    x = np.zeros_like(b)
    bowl = np.linalg.eigvalsh(h).min(1) > 0
    x[bowl] = np.clip(-np.linalg.solve(h[bowl], b[bowl][..., None])[..., 0], -1.0, 1.0)
    for _ in range(_SWEEPS):
        for i in range(b.shape[1]):
            curve = h[:, i, i]
            slope = b[:, i] + np.einsum("nj,nj->n", h[:, i], x) - curve * x[:, i]
            with np.errstate(divide="ignore", invalid="ignore"):
                inside = np.clip(-slope / curve, -1.0, 1.0)
            x[:, i] = np.where(curve > 0, inside, np.where(slope > 0, -1.0, 1.0))
    return x


def _value(b: Floats, h: Floats, x: Floats) -> Floats:
    return np.asarray(np.einsum("ni,ni->n", b, x) + 0.5 * np.einsum("ni,nij,nj->n", x, h, x))


def _retuned(b: Floats, h: Floats, least: Floats, step: Floats) -> Floats:
    """(draws, k): what a step of each constant off the least point costs where the others go to their best in the box.

    The mean of both directions, in which a slope at an end of the box falls out.
    """
    k = b.shape[1]
    found = np.zeros_like(b)
    base = _value(b, h, least)
    for i in range(k):
        others = [j for j in range(k) if j != i]
        for sign in (-1.0, 1.0):
            x = least.copy()
            x[:, i] += sign * step[i]
            if others:
                inner = h[:, others][:, :, others]
                x[:, others] = _least(b[:, others] + h[:, others, i] * x[:, i, None], inner)
            found[:, i] += 0.5 * (_value(b, h, x) - base)
    return np.maximum(found, 0.0)
