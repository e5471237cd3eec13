"""Approach 1: the envelope of training curves, and the power laws of the sizes that lie on it.

At each compute C the run with the lowest loss gives N_opt and D_opt (Hoffmann et al. 2022, section 3.1); straight
lines through their logarithms give N_opt ∝ C^a and D_opt ∝ C^b.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scalinglab.analysis.answer import Answer, ByBudget, asked, to_plain
from scalinglab.analysis.convention import Cost, positive_budget
from scalinglab.analysis.curves import WINDOW, Curves, Source, as_curves
from scalinglab.analysis.estimate import Estimate, estimate_known
from scalinglab.errors import InputError

Array = NDArray[np.float64]
_COEFFICIENTS = ("a", "log_n", "b", "log_d")


@dataclass(frozen=True, kw_only=True)
class Envelope(ByBudget, Answer):
    """The lowest loss at each compute, whose it is, and how N and D of the winner grow."""

    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv 2203.15556, section 3.1 (Approach 1)"
    budget_rows: ClassVar[str] = "points"
    figure: ClassVar[str] = "envelope"

    cost: str
    schedule: str
    """decayed, undecayed, partly decayed or unknown."""
    a: Estimate = asked("1")
    """N_opt ∝ C^a; NaN where fewer than two sizes are an optimum."""
    b: Estimate = asked("1")
    """D_opt ∝ C^b."""
    rows: pd.DataFrame
    """A size that is lowest somewhere: params, flops_from, flops_to; tokens, ratio, loss in the middle of that stretch
    (in ln C); edge: why it is no optimum, "" where it is one."""
    points: pd.DataFrame = field(repr=False)
    """A budget a row: flops, params, tokens, ratio, loss, curve (its run_id), edge."""
    curves: Curves = field(repr=False)
    """What it was read from, smoothed."""
    draws: pd.DataFrame = field(repr=False)
    """A resample of sizes a row: a, log_n, b, log_d of ln N = log_n + a·ln C, ln D = log_d + b·ln C; NaN where the
    sizes drawn leave no power law."""
    coefficients: dict[str, float] = field(repr=False)
    """The same of all sizes."""

    @property
    def optima(self) -> pd.DataFrame:
        """The points that are optima: the next smaller and the next larger size are seen to lose there."""
        return self.points[self.points["edge"] == ""]

    def at(self, flops: ArrayLike) -> pd.DataFrame:
        """N_opt, D_opt and D/N by the power laws at budgets: flops; params, tokens, ratio, each with _lo and _hi.

        extrapolation: decades of C outside the optima they were drawn through. All NaN where there is no power law.
        """
        budgets = np.array([positive_budget(c) for c in np.atleast_1d(np.asarray(flops, dtype=object))])
        log_c, k, many = np.log(budgets), self.coefficients, self.draws
        n, d = k["log_n"] + k["a"] * log_c, k["log_d"] + k["b"] * log_c
        drawn_n, drawn_d = (
            many[level].to_numpy()[:, None] + many[slope].to_numpy()[:, None] * log_c
            for level, slope in (("log_n", "a"), ("log_d", "b"))
        )
        out: dict[str, Any] = {"flops": budgets}
        for name, value, drawn in (
            ("params", n, drawn_n),
            ("tokens", d, drawn_d),
            ("ratio", d - n, drawn_d - drawn_n),
        ):
            ends = [estimate_known(float(v), drawn[:, i], self.level) for i, v in enumerate(value)]
            out |= {
                name: np.exp(value),
                f"{name}_lo": np.exp([each.lo for each in ends]),
                f"{name}_hi": np.exp([each.hi for each in ends]),
            }
        span = self.optima["flops"]
        beyond = np.full(len(budgets), np.nan)
        if len(span):
            beyond = np.maximum(np.log10(budgets / span.max()), np.log10(span.min() / budgets))
        out["extrapolation"] = np.maximum(beyond, 0.0)
        return pd.DataFrame(out)

    def headline(self) -> str:
        won = self.rows[self.rows["edge"] == ""]
        label = "" if self.schedule == "decayed" else f", {_LABELS[self.schedule]}"
        if math.isnan(self.a.value):
            return (
                f"no power law: {len(won)} size{'s' * (len(won) != 1)} of the envelope is an optimum{label}"
            )
        ends = "no interval" if math.isnan(self.a.lo) else f"{self.level:.0%} intervals"
        return (
            f"N_opt grows as C^{self.a}, D_opt as C^{self.b} along the envelope of {len(self.curves.sizes)} sizes, "
            f"{len(won)} of them optima ({ends}, {self.cost}{label})"
        )

    def plain(self) -> dict[str, Any]:
        return {
            "cost": self.cost, "schedule": self.schedule, "a": to_plain(self.a), "b": to_plain(self.b),
            "coefficients": self.coefficients, "rows": to_plain(self.rows), "points": to_plain(self.points),
            "level": self.level, "notes": list(self.notes), "source": self.source,
        }  # fmt: skip


_LABELS = {
    "undecayed": "undecayed curves",
    "partly decayed": "curves decayed at their ends only",
    "unknown": "undecayed or unknown schedule",
}
_LEAN = {
    "undecayed": "Undecayed curves: a decay lowers the loss of every size, but not all alike, so the decayed optimum "
    "may lie at other sizes.",
    "partly decayed": "Points before the end of a run are not fully decayed yet: its optimum leans to the sizes whose "
    "runs end near each budget. Hoffmann et al. trained each size under several schedule lengths.",
    "unknown": "Undecayed or unknown schedule: no column (schedule, kind, lr) says that these losses are decayed, and "
    "an undecayed curve's optimum leans to other sizes.",
}


def envelope(
    curves: Source,
    cost: Cost = "6ND",
    *,
    budgets: int | ArrayLike = 300,
    through: Literal["middles", "budgets"] = "middles",
    smooth: float = WINDOW,
    smoothing: Literal["mean", "median"] = "mean",
    eval_set: str | None = None,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
) -> Envelope:
    """The envelope of training curves and the power laws of its optima.

    curves: a frame or file with run_id, params, tokens, loss, a measured point a row; or a study folder, whose trunks
        are read. `as_curves` says which of its rows are taken, and what smooth and smoothing do.
    budgets: how many, log-spaced over all the compute the curves span, or the budgets themselves in FLOPs.
    through: the points of the power law: one a size, in the middle of the stretch of ln C over which it is lowest
        ("middles"); or every budget's winner ("budgets"), as Hoffmann et al. did, whose stairs are flatter than the
        power law behind them.
    The interval resamples sizes with replacement. A budget is an edge of the grid and stays out of the power law unless
    the next smaller and the next larger size are both seen to lose to its winner.
    Raises InputError for curves it cannot use, or of fewer than three sizes, and for budgets that none reaches.
    """
    if through not in ("middles", "budgets"):
        raise InputError(f'through is "middles" or "budgets", not {through!r}')
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    read = as_curves(curves, cost, eval_set=eval_set, smooth=smooth, smoothing=smoothing, least_sizes=3)
    flops = _budgets(budgets, read)
    race, which = _race(read, flops)
    sizes = read.sizes
    logs = _Logs(np.log(flops), np.log(sizes), np.log(read.cost.tokens_at(sizes[:, None], flops[None, :])))
    winner, edge = race.winners(np.arange(len(sizes)))
    m = np.flatnonzero(winner >= 0)
    if not len(m):
        raise InputError(
            f"none of the budgets, {flops[0]:.3g} to {flops[-1]:.3g} FLOPs, is reached by a curve: they cover "
            f"{read.rows['flops'].min():.3g} to {read.rows['flops'].max():.3g} FLOPs ({read.cost.name})"
        )
    fitted = _power_laws(winner, edge, logs, through)
    rng = np.random.default_rng(seed)
    drawn = np.full((resamples, 4), np.nan)
    for i in range(resamples):
        kept = np.unique(rng.integers(0, len(sizes), len(sizes)))
        drawn[i] = _power_laws(*race.winners(kept), logs, through)
    draws = pd.DataFrame(drawn, columns=list(_COEFFICIENTS))

    missed = len(flops) - len(m)
    beyond = (f"{missed} of {len(flops)} budgets lie where no curve reaches: left out.",) if missed else ()
    k = winner[m]
    points = pd.DataFrame(
        {
            "flops": flops[m], "params": sizes[k], "tokens": np.exp(logs.d[k, m]),
            "ratio": np.exp(logs.d[k, m] - logs.n[k]), "loss": race.loss[k, m], "curve": which[k, m], "edge": edge[m],
        }
    )  # fmt: skip
    rows = _stretches(points, read)
    lost = float(np.isnan(drawn[:, 0]).mean()) if resamples else 0.0
    coefficients = dict(zip(_COEFFICIENTS, map(float, fitted), strict=True))
    return Envelope(
        cost=read.cost.name, schedule=read.schedule, level=level, rows=rows, points=points, curves=read, draws=draws,
        coefficients=coefficients,
        a=estimate_known(coefficients["a"], draws["a"].to_numpy(), level),
        b=estimate_known(coefficients["b"], draws["b"].to_numpy(), level),
        notes=(*read.notes, *beyond, *_notes(read, points, rows, lost, level, through)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Logs:
    """c (m,): ln C of the budgets; n (k,): ln N of the sizes; d (k, m): ln D of a size at a budget."""

    c: Array
    n: Array
    d: Array


def _budgets(budgets: int | ArrayLike, read: Curves) -> Array:
    if isinstance(budgets, int | np.integer):
        if budgets < 2:
            raise InputError(f"an envelope needs at least two budgets, not {budgets}")
        return np.geomspace(read.rows["flops"].min(), read.rows["flops"].max(), int(budgets))
    found = np.unique([positive_budget(c) for c in np.atleast_1d(np.asarray(budgets, dtype=object))])
    if len(found) < 2:
        raise InputError("an envelope needs at least two budgets")
    return found


@dataclass(frozen=True)
class _Race:
    """loss (k, m) of each size at each budget; lost (k, k, m): whether size i is known to lose to size j there."""

    loss: Array
    lost: NDArray[np.bool_]

    def winners(self, kept: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
        """(m,) the lowest of the sizes `kept` (rising) at each budget, -1 where none reaches it; its edge, or "".

        It is an optimum where the next smaller and the next larger size are both known to lose to it.
        """
        held = np.where(np.isnan(self.loss[kept]), np.inf, self.loss[kept])
        at = held.argmin(axis=0)
        columns = np.arange(held.shape[1])
        below, above = np.maximum(at - 1, 0), np.minimum(at + 1, len(kept) - 1)
        edge = np.full(len(at), "", dtype=object)
        edge[~self.lost[kept[above], kept[at], columns]] = "larger not seen"
        edge[~self.lost[kept[below], kept[at], columns]] = "smaller not seen"
        edge[at == len(kept) - 1] = "largest"
        edge[at == 0] = "smallest"
        return np.where(np.isfinite(held[at, columns]), kept[at], -1), edge


def _race(read: Curves, flops: Array) -> tuple[_Race, NDArray[np.object_]]:
    """The losses at each budget with who loses to whom, and the curve each loss was read from.

    A larger size that has fallen below a smaller one stays below it. So a smaller size whose curve has ended loses if
    it was the higher one at its end, and a larger one whose curve has yet to begin loses if it begins higher.
    """
    loss, which = read.at(flops)
    ends = read.rows.groupby("params")["flops"].agg(["min", "max"]).to_numpy(float)
    order = np.arange(len(loss))
    with np.errstate(invalid="ignore"):
        lost = loss[:, None] > loss[None]
        for end, larger in ((1, False), (0, True)):
            then = read.at(ends[:, end])[0]  # (j, i): loss of size j where size i ends, or begins
            higher = then[order, order][:, None] > then.T  # (i, j)
            further = (order[:, None] > order) if larger else (order[:, None] < order)
            outside = (flops < ends[:, :1]) if larger else (flops > ends[:, 1:])
            lost |= (higher & further)[:, :, None] & outside[:, None]
    return _Race(loss, lost), which


def _power_laws(winner: NDArray[np.intp], edge: NDArray[np.object_], logs: _Logs, through: str) -> Array:
    """(a, log_n, b, log_d) by least squares in logs; NaN where fewer than two sizes are optima."""
    inside = np.flatnonzero((winner >= 0) & (edge == ""))
    k = winner[inside]
    count = np.bincount(k, minlength=len(logs.n))
    won = count > 0
    if won.sum() < 2:
        return np.full(4, np.nan)
    c, n, d = logs.c[inside], logs.n[k], logs.d[k, inside]
    if through == "middles":
        c, n, d = (np.bincount(k, values, minlength=len(count))[won] / count[won] for values in (c, n, d))
    x = c - c.mean()
    a, b = (float(x @ y / (x @ x)) for y in (n, d))
    return np.array([a, n.mean() - a * c.mean(), b, d.mean() - b * c.mean()])


def _stretches(points: pd.DataFrame, read: Curves) -> pd.DataFrame:
    """A row for each size that wins somewhere, split where part of its stretch is an edge."""
    rows = []
    for _, own in points.groupby(["params", "edge"], sort=False):
        n, edge = float(own["params"].iloc[0]), str(own["edge"].iloc[0])
        middle = float(np.exp(np.log(own["flops"]).mean()))
        tokens = float(read.cost.tokens_at(n, middle))
        loss = float(np.interp(np.log(middle), np.log(own["flops"]), own["loss"]))
        rows.append(
            {
                "params": n, "flops_from": own["flops"].min(), "flops_to": own["flops"].max(),
                "tokens": tokens, "ratio": tokens / n, "loss": loss, "edge": edge,
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.sort_values(["params", "flops_from"], ignore_index=True)


def _notes(
    read: Curves, points: pd.DataFrame, rows: pd.DataFrame, lost: float, level: float, through: str
) -> tuple[str, ...]:
    notes = [] if read.schedule == "decayed" else [_LEAN[read.schedule]]
    edges = points[points["edge"] != ""]
    optima = rows[rows["edge"] == ""]
    if len(edges):
        notes.append(
            f"{len(edges) / len(points):.0%} of the budgets are edges of the grid (the next smaller or the next larger "
            "size is not seen to lose there) and stay out of the power law."
        )
    n = len(optima)
    if n < 2:
        notes.append(
            "A power law needs two sizes that are lowest between a smaller and a larger one: add sizes, or train the "
            "smaller ones further, until a larger one overtakes them."
        )
        return tuple(notes)
    if through == "budgets" and n < 10:
        notes.append(
            f"Sizes are steps: a line through the stairs of {n} optima is flatter than the power law behind them, by "
            f'about 1/{n}² = {1 / n**2:.0%}; through="middles" or more sizes take that out.'
        )
    inner = points[points["edge"] == ""]["params"].to_numpy()
    changes = int(np.count_nonzero(np.diff(inner)))
    if changes > 2 * (n - 1):
        notes.append(
            f"The lowest size changes {changes} times where {n - 1} would do: the curves are noisy, and the lowest of "
            "noisy losses leans low; more smoothing (smooth=, --smooth) steadies it."
        )
    if 0.5 * lost >= 0.5 * (1 - level):
        notes.append(
            f"No interval: {lost:.0%} of the resamples of {len(read.sizes)} sizes leave fewer than two optima; more "
            "sizes are needed."
        )
    elif lost:
        notes.append(f"{lost:.0%} of the resamples leave no power law; half of them count against each end.")
    return tuple(notes)
