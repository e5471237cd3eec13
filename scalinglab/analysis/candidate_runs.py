"""Runs that could be trained next, and what any set of them costs.

From scratch a run costs f(N, D). On a WSD ladder it is a branch: a decay over the last share s of its horizon D, forked
from its trunk at (1 − s)·D. A trunk of an existing size goes on from where it stands, so that a further horizon costs
its extension and the decay; a new size costs its whole trunk, and its branches share it.
"""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.convention import Convention
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Fit

Array = NDArray[np.float64]
Mode = Literal["scratch", "trunk"]
A_DECADE = 8
"""Sizes and horizons tried in each decade."""
_MOST = 40  # of each
_FURTHER = 1.2  # times the furthest horizon, from where another one is worth a branch
DECAY_SHARE = 0.1
"""MiniCPM's, where neither the caller nor the rows tell it."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """m runs. params, tokens (m,): of each. trunk (m,): which trunk it branches from, −1 for one from scratch.

    For each of t trunks: `stable`, the tokens of stable training it already has, and `label`, its trunk_id, None for a
    trunk that is yet to be started.
    """

    params: Array
    tokens: Array
    trunk: NDArray[np.int64]
    stable: Array
    label: tuple[Any, ...]
    decay_share: float
    cost: Convention

    @property
    def repeatable(self) -> NDArray[np.bool_]:
        """Which may be trained more than once, with another seed, (m,)."""
        return self.trunk < 0

    def marginal(self, chosen: Sequence[int]) -> Array:
        """FLOPs that each run costs once the chosen ones are trained, (m,)."""
        whole = self.cost(self.params, self.tokens)
        if not len(self.label):
            return whole
        reached = self.stable.copy()
        for i in chosen:
            t = self.trunk[i]
            reached[t] = max(reached[t], self._fork(i))
        fork = (1 - self.decay_share) * self.tokens
        had = np.minimum(reached[self.trunk], fork)  # of its trunk, what need not be trained
        before = np.where(had > 0, self.cost(self.params, np.where(had > 0, had, 1.0)), 0.0)
        return np.where(self.trunk < 0, whole, whole - before)

    def cost_of(self, chosen: Sequence[int]) -> float:
        """FLOPs of a set of runs, trained in any order."""
        total = 0.0
        for done, i in enumerate(chosen):
            total += float(self.marginal(chosen[:done])[i])
        return total

    def _fork(self, i: int) -> float:
        return float((1 - self.decay_share) * self.tokens[i])


def default_mode(rows: pd.DataFrame) -> Mode:
    """Branches where rows share trunks, from scratch otherwise."""
    shared = "trunk_id" in rows.columns and rows["trunk_id"].nunique() < len(rows)
    return "trunk" if shared else "scratch"


def find_candidates(
    fit: "Fit",
    cost: Convention,
    mode: Mode,
    decay_share: float | None,
    reach: float,
    given: pd.DataFrame | None = None,
    density: int = A_DECADE,
) -> Candidates:
    """The log grid of N and D over the fitted rows and `reach` decades above them, or the (params, tokens) given.

    Below the smallest rows nothing is tried: runs are cheap there, but laws bend. Raises InputError for an unknown
    mode, a decay that is no share, or given runs without both columns.
    """
    if mode not in ("scratch", "trunk"):
        raise InputError(
            f'mode is "scratch" (every run from its start) or "trunk" (WSD branches), not {mode!r}'
        )
    rows = fit.rows
    share = decay_share_of(rows, decay_share)
    if given is None:
        n_axis, d_axis = (_axis(fit.domain[v], reach, density) for v in ("params", "tokens"))
        n, d = (a.ravel() for a in np.meshgrid(n_axis, d_axis, indexing="ij"))
    else:
        n, d = _given(given)
        d_axis = np.unique(d)
    if mode == "scratch":
        return Candidates(n, d, np.full(n.size, -1), np.empty(0), (), share, cost)
    sizes, of_size = np.unique(n, return_inverse=True)
    label: list[Any] = [None] * len(sizes)
    stable = [0.0] * len(sizes)
    params, tokens, trunk = [n], [d], [of_size]
    if "trunk_id" in rows.columns:
        for name, own in rows.groupby("trunk_id", sort=False):
            furthest = float(own["tokens"].max())
            further = d_axis[d_axis > furthest * _FURTHER]
            size = float(own["params"].iloc[0])
            if given is not None:  # of a given list only the sizes it names
                further = further[np.isin(further, d[np.isclose(n, size, rtol=1e-3)])]
            params.append(np.full(further.size, size))
            tokens.append(further)
            trunk.append(np.full(further.size, len(label)))
            label.append(name)
            stable.append((1 - share) * furthest)
    return Candidates(
        np.concatenate(params), np.concatenate(tokens), np.concatenate(trunk),
        np.array(stable), tuple(label), share, cost,
    )  # fmt: skip


def _axis(domain: tuple[float, float], reach: float, density: int) -> Array:
    lo, hi = domain[0], domain[1] * 10.0**reach
    points = min(int(np.ceil(density * np.log10(hi / lo))) + 1, _MOST)
    return np.geomspace(lo, hi, points)


def decay_share_of(rows: pd.DataFrame, given: float | None) -> float:
    """The share of its tokens that a branch decays over: given, else the rows' own, else MiniCPM's tenth."""
    if given is None:
        known: Any = rows["decay_share"].dropna() if "decay_share" in rows.columns else []
        return float(np.median(known)) if len(known) else DECAY_SHARE
    if not (isinstance(given, numbers.Real) and 0 < given < 1):
        raise InputError(
            f"decay_share is a share of a run's tokens between 0 and 1, such as 0.1, not {given!r}"
        )
    return float(given)


def _given(runs: pd.DataFrame) -> tuple[Array, Array]:
    missing = [v for v in ("params", "tokens") if v not in runs]
    if missing:
        raise InputError(f"candidates need columns params and tokens; {missing[0]} is missing")
    n, d = (runs[v].to_numpy(dtype=float) for v in ("params", "tokens"))
    if not (len(n) and (n > 0).all() and (d > 0).all() and np.isfinite(n * d).all()):
        raise InputError("candidates are runs of positive, finite params and tokens, at least one")
    return n, d
