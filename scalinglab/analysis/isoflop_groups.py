"""The runs of each budget: named by a column, told by FLOPs that nearly repeat, or read off a ladder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.convention import SIX_ND, Convention, positive_budget
from scalinglab.analysis.source import as_numbers, refuse_row
from scalinglab.errors import InputError

Array = NDArray[np.float64]
FEWEST = 3
"""Sizes that a parabola takes."""
NAMED = ("isoflop_budget", "budget_in_name")
"""Columns taken to name the budget of a run, in this order."""
_COUNTED = ("flops", "flops_6nd", "flops_exact")
_SAME_SIZE = 0.02  # of N: sizes read off a figure scatter by about a hundredth
_WIDTH = 0.2  # of ln C: runs of one budget, where nothing but their FLOPs says so
_CLUSTERED = 5  # sizes from which runs of about the same FLOPs pass for a budget,
_FULL = 1 / 3  # if they are this share of the runs of the fullest
_ASTRAY = 0.4  # of ln C: a run this far off the median of its named budget is counted in some other way
_SPREAD = 0.02  # of ln C: from which runs of one budget are moved to it
_BUDGETS = 5  # read off a ladder unless they are chosen


@dataclass(frozen=True)
class Points:
    """Points (N, D, loss) at k budgets: runs, or readings between the runs of a ladder.

    flops (k,), rising. budget, params, tokens, loss, of: (n,), sorted by budget, then size; `of` is the row of the
    table that a point is, -1 for a reading. how: where the budgets came from, a sentence. left_out: sentences.
    """

    flops: Array
    budget: NDArray[np.int64]
    params: Array
    tokens: Array
    loss: Array
    of: NDArray[np.int64]
    how: str
    left_out: tuple[str, ...] = ()
    ladder: "Ladder | None" = None

    def frame(self) -> pd.DataFrame:
        """Columns flops (the budget's), params, tokens, loss."""
        return pd.DataFrame(
            {
                "flops": self.flops[self.budget],
                "params": self.params,
                "tokens": self.tokens,
                "loss": self.loss,
            }
        )


@dataclass(frozen=True)
class Ladder:
    """Several horizons of several sizes: ln loss interpolated along ln D, monotone between neighbours (PCHIP).

    Runs of one size and horizon are averaged. sizes: (k,). Nothing is read beyond a size's own horizons.
    """

    sizes: Array
    ends: tuple[tuple[float, float], ...]
    _rows: tuple[tuple[Array, NDArray[np.int64]], ...] = field(repr=False)
    """For each size its ln D, (h,), and which horizon each row of the table is, (rows,), -1 for other sizes."""

    def read(self, size: int, log_tokens: Array, losses: Array) -> Array:
        """Loss of a size at ln D (m,) from losses (…, rows) of the table: (…, m)."""
        from scipy.interpolate import PchipInterpolator

        log_d, horizon = self._rows[size]
        at = np.stack([losses[..., horizon == h].mean(axis=-1) for h in range(len(log_d))])
        found = np.exp(PchipInterpolator(log_d, np.log(at))(log_tokens))
        return np.asarray(np.moveaxis(found, 0, -1))


def own_cost(runs: pd.DataFrame) -> Convention:
    """How the table counts C: by its column `flops` where it has one, else 6·N·D."""
    if "flops" not in runs or runs["flops"].isna().any():
        return SIX_ND
    counted = runs["flops"] / (6.0 * runs["params"] * runs["tokens"])
    if (counted - 1).abs().max() < 0.02:
        return SIX_ND
    by_size = np.log(counted).groupby(np.log(runs["params"])).mean()
    log_n, excess = by_size.index.to_numpy(float), by_size.to_numpy(float)

    def spent(params: Any, tokens: Any) -> Any:
        # between the sizes in logs; beyond them the ratio to 6·N·D is that of the last
        return 6.0 * params * tokens * np.exp(np.interp(np.log(params), log_n, excess))

    return Convention("the table's flops", spent)


def points_at_budgets(
    runs: pd.DataFrame, budgets: Sequence[float] | None, column: str | None, cost: Convention
) -> Points:
    """The points that parabolas go through.

    budgets: read a ladder at these FLOPs. column: takes the budgets from this column, named groups as they are and
    counted FLOPs (flops, flops_6nd, flops_exact) by where they nearly repeat. With neither: a column isoflop_budget
    or budget_in_name, else FLOPs that nearly repeat, else a ladder read at budgets of its own.
    Raises InputError where no budget holds three sizes.
    """
    if budgets is not None:
        if column is not None:
            raise InputError("give budgets to read a ladder at, or a column that names them, not both")
        return _read_ladder(runs, budgets, cost)
    if column is None:
        column = next((name for name in NAMED if name in runs), None)
    if column is None:
        found = _near_repeats(runs, np.asarray(cost(runs["params"], runs["tokens"])))
        if found is not None and 2 * len(found.of) >= len(runs):
            return found
        return _read_ladder(runs, None, cost)
    if column not in runs:
        raise InputError(f"the table has no column {column!r} to take budgets from")
    if column in _COUNTED:
        spent = as_numbers(runs, column)
        refuse_row(runs, column, ~((spent > 0) & np.isfinite(spent)), "the table")
        found = _near_repeats(runs, spent)
        if found is None:
            raise InputError(
                f"the FLOPs in {column!r} do not repeat: no {_CLUSTERED} sizes lie within "
                f"{math.expm1(_WIDTH):.0%} of one budget; for a ladder give budgets to read it at"
            )
        return found
    return _by_column(runs, column, cost)


def distinct_sizes(params: Any) -> NDArray[np.int64]:
    """(n,): which size each row has, from 0; N within 2 % of the smallest of a size is that size."""
    values, index = np.unique(np.asarray(params, float), return_inverse=True)
    group, first = np.zeros(len(values), dtype=np.int64), 0
    for k in range(1, len(values)):
        apart = values[k] > values[first] * (1 + _SAME_SIZE)
        group[k] = group[k - 1] + apart
        first = k if apart else first
    return group[index]


def _by_column(runs: pd.DataFrame, column: str, cost: Convention) -> Points:
    spent = np.asarray(cost(runs["params"], runs["tokens"]))
    groups, left, astray = [], [], 0
    if untold := int(runs[column].isna().sum()):
        left.append(f"{untold} run{'s' * (untold > 1)} without a budget in the column {column!r}")
    for name, rows in runs.groupby(column).indices.items():
        near = np.abs(np.log(spent[rows] / np.median(spent[rows]))) < _ASTRAY
        astray += int((~near).sum())
        index = np.asarray(rows)[near]
        flops = float(np.exp(np.log(spent[index]).mean()))
        # the name itself where it is the FLOPs; some tables name budgets by a count of their own
        if (
            isinstance(name, int | float | np.number)
            and abs(math.log(max(float(name), 1e-300) / flops)) < 0.05
        ):
            flops = float(name)
        sizes = len(np.unique(distinct_sizes(runs["params"].to_numpy()[index])))
        if sizes < FEWEST:
            left.append(f"{flops:.3g} ({_sizes(sizes)})")
        else:
            groups.append((flops, index))
    if astray:
        left.append(
            f"{astray} runs whose C ({cost.name}) lies {math.expm1(_ASTRAY):.0%} or more off their budget's"
        )
    if not groups:
        raise InputError(
            f"no budget of {column!r} holds {FEWEST} sizes, which a parabola takes: " + ", ".join(left)
        )
    return _collected(runs, spent, groups, f"Budgets as the column {column!r} names them.", left)


def _near_repeats(runs: pd.DataFrame, spent: Array) -> Points | None:
    """Groups of runs within 20 % of one C, the fullest first; None where there is none."""
    log_c, sizes = np.log(spent), distinct_sizes(runs["params"])
    free = np.ones(len(runs), bool)
    groups: list[tuple[float, Any]] = []
    while free.any():
        windows = (log_c >= log_c[free][:, None] - 1e-9) & (log_c <= log_c[free][:, None] + _WIDTH) & free
        fullest = windows[windows.sum(axis=1).argmax()]
        if len(np.unique(sizes[fullest])) < _CLUSTERED:
            break
        if groups and fullest.sum() < _FULL * len(groups[0][1]):
            break
        groups.append((float(np.exp(log_c[fullest].mean())), np.flatnonzero(fullest)))
        free &= ~fullest
    if not groups:
        return None
    widest = max(float(np.ptp(log_c[index])) for _, index in groups)
    how = (
        f"Budgets where the FLOPs nearly repeat: {len(groups)} groups of at least {_CLUSTERED} sizes within "
        f"{math.expm1(widest):.0%} of each other; a budget is the mean ln C of its group."
    )
    left = [f"{int(free.sum())} runs between the budgets"] if free.any() else []
    return _collected(runs, spent, groups, how, left)


def _collected(
    runs: pd.DataFrame, spent: Array, groups: list[tuple[float, Any]], how: str, left: list[str]
) -> Points:
    groups = sorted(groups, key=lambda group: group[0])
    n = runs["params"].to_numpy(float)
    rows = [index[np.argsort(n[index], kind="stable")] for _, index in groups]
    of = np.concatenate(rows)
    budget = np.repeat(np.arange(len(groups)), [len(index) for index in rows])
    flops = np.array([c for c, _ in groups])
    tokens, loss = runs["tokens"].to_numpy(float)[of], runs["loss"].to_numpy(float)[of]
    off = np.log(spent[of] / flops[budget])
    moved = _slope(budget, np.log(n[of]), np.log(loss), off) if np.abs(off).max() > _SPREAD else math.nan
    if not math.isnan(moved):
        tokens, loss = tokens * np.exp(-off), loss * np.exp(-moved * off)
        how += (
            f" Their C differs by up to {np.expm1(np.abs(off).max()):.0%} from it, so D and loss are moved to it, the "
            f"loss by C^{moved:.2g}, which these runs show along with the parabolas."
        )
    return Points(
        flops=flops,
        budget=budget,
        params=n[of],
        tokens=tokens,
        loss=loss,
        of=of,
        how=how,
        left_out=(f"Left out: {', '.join(left)}.",) if left else (),
    )


def _slope(budget: NDArray[np.int64], log_n: Array, log_loss: Array, off: Array) -> float:
    """d ln loss / d ln C at one size: common to all budgets, beside a parabola in ln N for each; NaN if not seen."""
    within = []
    for k in range(budget.max() + 1):
        mine = np.flatnonzero(budget == k)
        u = log_n[mine] - log_n[mine].mean()
        # what the parabola leaves of both
        basis = np.linalg.qr(np.stack([np.ones_like(u), u, u**2], axis=1))[0]
        both = np.stack([off[mine], log_loss[mine]])
        within.append(both - (both @ basis) @ basis.T)
    x, y = np.concatenate(within, axis=1)
    freedom = len(x) - 3 * (budget.max() + 1)
    return float(x @ y / (x @ x)) if freedom >= 3 and x @ x > 1e-4 * (off @ off) else math.nan


# ---- a ladder -------------------------------------------------------------------------------------


def _read_ladder(runs: pd.DataFrame, budgets: Sequence[float] | None, cost: Convention) -> Points:
    ladder = _ladder(runs)
    ends = np.array([cost(n, np.asarray(span)) for n, span in zip(ladder.sizes, ladder.ends, strict=True)])
    chosen = budgets is not None
    if budgets is None:
        scan = np.geomspace(ends[:, 0].min(), ends[:, 1].max(), 400)
        held = _covered(ends, scan).sum(axis=0) >= FEWEST
        if not held.any():
            raise InputError(
                f"no budget is spent within the horizons of {FEWEST} sizes, which a parabola takes: train the sizes "
                "to horizons whose N·D overlap"
            )
        # evenly spaced among those that can be read, a little inside the ends
        at = np.linspace(0, held.sum() - 1, _BUDGETS + 2)[1:-1].round().astype(int)
        budgets = [float(f"{c:.3g}") for c in scan[held][at]]
    flops = np.unique([positive_budget(c) for c in budgets])
    held = _covered(ends, flops)
    few = held.sum(axis=0) < FEWEST
    left = [f"{c:.3g} ({_sizes(int(k))})" for c, k in zip(flops[few], held.sum(axis=0)[few], strict=True)]
    if few.all():
        low, high = ends[:, 0].min(), ends[:, 1].max()
        raise InputError(
            f"no budget given is spent within the horizons of {FEWEST} sizes, which a parabola takes: "
            f"{', '.join(left)}; the runs span {low:.2g} to {high:.2g} FLOPs ({cost.name})"
        )
    flops, held = flops[~few], held[:, ~few]
    size, budget = np.nonzero(held)
    order = np.lexsort((size, budget))
    size, budget = size[order], budget[order]
    params = ladder.sizes[size]
    tokens = np.asarray(cost.tokens_at(params, flops[budget]), float)
    points = Points(
        flops=flops,
        budget=budget,
        params=params,
        tokens=tokens,
        loss=np.empty(len(size)),
        of=np.full(len(size), -1),
        how=f"Budgets {'as given' if chosen else 'chosen'} ({cost.name}): each size's loss is read between its own "
        "horizons, interpolated in ln loss and ln D, and nothing beyond them.",
        left_out=(f"Left out, for want of {FEWEST} sizes: {', '.join(left)}.",) if left else (),
        ladder=ladder,
    )
    points.loss[:] = read_points(points, runs["loss"].to_numpy(float))
    return points


def read_points(points: Points, losses: Array) -> Array:
    """Losses (…, rows) of the table as losses (…, n) of the points."""
    if points.ladder is None:
        return losses[..., points.of]
    out = np.empty((*losses.shape[:-1], len(points.params)))
    for k, n in enumerate(points.ladder.sizes):
        mine = points.params == n
        out[..., mine] = points.ladder.read(k, np.log(points.tokens[mine]), losses)
    return out


def _ladder(runs: pd.DataFrame) -> Ladder:
    """Sizes with two horizons or more. Raises InputError for fewer than three of them."""
    of_size = distinct_sizes(runs["params"])
    n, log_d = runs["params"].to_numpy(float), np.log(runs["tokens"].to_numpy(float))
    sizes, ends, rows = [], [], []
    for k in np.unique(of_size):
        mine = np.flatnonzero(of_size == k)
        rounded, horizon = np.unique(np.round(log_d[mine], 6), return_inverse=True)
        if len(rounded) < 2:
            continue
        distinct = np.array([log_d[mine[horizon == h]].mean() for h in range(len(rounded))])
        which = np.full(len(runs), -1)
        which[mine] = horizon
        sizes.append(float(np.exp(np.log(n[mine]).mean())))
        ends.append((float(np.exp(distinct[0])), float(np.exp(distinct[-1]))))
        rows.append((distinct, which))
    if len(sizes) < FEWEST:
        raise InputError(
            f"the table is neither runs of shared budgets nor a ladder: {_sizes(len(sizes))} with more than one "
            f"horizon, and a parabola takes {FEWEST}; name the column of the budgets if it has one"
        )
    return Ladder(np.array(sizes), tuple(ends), tuple(rows))


def _covered(ends: Array, flops: Array) -> Any:
    """(sizes, budgets): whether a size's own horizons spend that much."""
    return (flops >= ends[:, :1] * (1 - 1e-9)) & (flops <= ends[:, 1:] * (1 + 1e-9))


def _sizes(count: int) -> str:
    return f"{count} size" if count == 1 else f"{count} sizes"
