"""Approach 2: a parabola in ln N through the losses of each budget, and power laws through the vertices.

Beside it stands what Chinchilla's law, fitted to the same rows, makes of the same budgets (Approach 3), and by how
much a parabola through that law's own losses would miss its optimum: the bias of Approach 2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.answer import Answer, ByBudget, asked, own_boot
from scalinglab.analysis.convention import Convention, Cost, convention
from scalinglab.analysis.estimate import Estimate, estimate_known
from scalinglab.analysis.isoflop_bias import fitted_law, law_beside, law_notes
from scalinglab.analysis.isoflop_draws import drawn_losses
from scalinglab.analysis.isoflop_groups import Points, distinct_sizes, own_cost, points_at_budgets
from scalinglab.analysis.isoflop_minimum import FAR, Found, line, minimum_of
from scalinglab.analysis.source import Runs, run_ends
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Fit

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class IsoFlop(ByBudget, Answer):
    """The vertex of each budget's parabola, the power laws through them, and the fitted law's optimum beside."""

    source: ClassVar[str] = (
        "Hoffmann et al. 2022, arXiv 2203.15556, section 3.2; bias: Czech et al. 2026, arXiv 2603.22339; "
        "interpolated minimum: Porian et al. 2024, arXiv 2406.19146"
    )
    units: ClassVar[Mapping[str, str]] = {"curvature": "loss per squared ln N", "bias_leading": "ln N"}
    figure: ClassVar[str] = "isoflop"

    cost: str
    minimum: str
    """`parabola` or `interpolated`."""
    rows: pd.DataFrame
    """A row a budget. flops, runs, sizes; params, tokens, ratio, loss at the vertex, each with _lo and _hi; curvature c
    of loss = least + c·(ln N/N_opt)²; law_params (with _lo, _hi), law_tokens, law_loss: the fitted law's optimum;
    bias: ln of the vertex over the law's optimum for noise-free losses of that law at these runs; bias_leading: the
    same by -(β-α)/6·m4/m2; note: why a vertex is left out of the power laws, else empty."""
    points: pd.DataFrame
    """Columns flops (of the budget), params, tokens, loss: what the parabolas go through."""
    line: pd.DataFrame
    """The power law along the budgets: flops, params (with _lo, _hi), tokens."""
    a: Estimate = asked("1")
    """N_opt ∝ C^a through the vertices that count; NaN where fewer than two do."""
    b: Estimate = asked("1")
    """D_opt ∝ C^b likewise."""
    law_a: Estimate = asked("1")
    """N_opt ∝ C^a of the law fitted to the same rows (Approach 3)."""
    law_b: Estimate = asked("1")
    a_bias: float = math.nan
    """What the fitted law predicts Approach 2 to add to its a on these runs."""
    fit: "Fit | None" = None
    """Chinchilla's law fitted to the same rows, where that succeeds."""

    def table(self) -> pd.DataFrame:
        """What is read of `rows`: vertices, the law's optimum beside, the bias predicted in percent of N."""
        shown = self.rows[
            ["flops", "runs", "params", "params_lo", "params_hi", "tokens", "loss", "law_params", "law_params_lo",
             "law_params_hi"]
        ].copy()  # fmt: skip
        shown["bias_%"] = [f"{100 * math.expm1(v):+.2g}" if v == v else "" for v in self.rows["bias"]]
        if (self.rows["note"] != "").any():
            shown["note"] = self.rows["note"]
        return shown.drop(columns=[] if self.fit is not None else ["law_params", "law_params_lo", "law_params_hi",
                                                                   "bias_%"])  # fmt: skip

    def headline(self) -> str:
        kept = int((self.rows["note"] == "").sum())
        budgets = f"{len(self.rows)} budgets from {self.flops.iloc[0]:.2g} to {self.flops.iloc[-1]:.2g} FLOPs"
        name = "parabola's vertex" if self.minimum == "parabola" else "interpolated minimum"
        if math.isnan(self.a.value):
            return f"{budgets} ({self.cost}): {kept} with a {name} inside the sizes, so no power law"
        ends = "no interval" if math.isnan(self.a.lo) else f"{self.level:.0%} intervals"
        return (
            f"{budgets} ({self.cost}): N_opt grows as C^{self.a}, D_opt as C^{self.b}, through the {name} of "
            f"{kept} ({ends})"
        )


def isoflop(
    runs: Runs,
    budgets: float | Sequence[float] | None = None,
    *,
    column: str | None = None,
    minimum: Literal["parabola", "interpolated"] = "parabola",
    cost: Cost | None = None,
    noise: float | None = None,
    fit: "Fit | None" = None,
    level: float = 0.9,
    resamples: int = 2000,
    seed: Any = 0,
) -> IsoFlop:
    """The compute-optimal N and D of each budget from its runs alone, and how they grow.

    runs: a run table of one eval set; rows of undecayed trunks (kind "trunk") are left out.
    budgets: FLOPs, one or several, at which a ladder's sizes are read between their horizons. column: names the
        budgets; a column of counted FLOPs is grouped where they nearly repeat. By default isoflop_budget or
        budget_in_name where the table has it, else near repeats where they hold half of the rows, else a ladder read
        at budgets of its own.
    minimum: the vertex of a parabola in ln N (Hoffmann et al. 2022); or where Akima's interpolant is least, the median
        over draws, with the power law weighted by the deviation of each (Porian et al. 2024).
    cost: how C counts; default the table's own `flops`, else 6ND. fit: the law to set beside, else Chinchilla's.
    noise: standard deviation of a run's loss, in its unit, to redraw the losses with. Without it, the runs of each
        budget are resampled where they hold six sizes, and redrawn with what the parabolas leave over elsewhere; a
        ladder's runs are redrawn with the deviations, of rows and trunks, that the fitted law leaves.
    seed: of numpy's generator, or a generator; None draws anew each time.
    Raises InputError where no budget has three sizes, naming what there is, and for a row without a positive, finite
    params, tokens or loss, or flops where C is counted by them.
    """
    if minimum not in ("parabola", "interpolated"):
        raise InputError(f'minimum is "parabola" or "interpolated", not {minimum!r}')
    if noise is not None and not (noise > 0 and math.isfinite(noise)):
        raise InputError(f"noise is the standard deviation of a loss, a positive number, not {noise!r}")
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    runs, passed = run_ends(runs)
    runs = runs.reset_index(drop=True)
    if cost is None and "flops" in runs:
        if untold := int(runs["flops"].isna().sum()):
            passed += (
                f"{untold} of {len(runs)} rows do not tell their flops, so C is counted as 6·N·D in all.",
            )
        else:
            runs, _ = run_ends(runs, ("flops",))
    if budgets is not None:
        budgets = list(np.atleast_1d(np.asarray(budgets, dtype=object)))
    counted = own_cost(runs) if cost is None else convention(cost, runs)
    points = points_at_budgets(runs, budgets, column, counted)
    if minimum == "interpolated":
        points = _best_of_each_size(points)
    law, why_not = (fit, "") if fit is not None else fitted_law(runs)
    boot = None if law is None else own_boot(law) if fit is not None else law.bootstrap(resamples)
    groups = [np.flatnonzero(points.budget == k) for k in range(len(points.flops))]
    rng = seed if hasattr(seed, "standard_normal") else _generator(seed)
    drawn, how_drawn = drawn_losses(runs, points, groups, minimum, noise, boot, resamples, rng)
    log_n = np.log(points.params)
    found = [
        minimum_of(log_n[g], points.loss[g], *draw, minimum) for g, draw in zip(groups, drawn, strict=True)
    ]

    rows = _rows(points, groups, found, counted, level)
    beside, slopes, a_bias = law_beside(law, boot, points, groups, found, counted, minimum, level)
    a, b, along, lost = _power_laws(points.flops, found, groups, log_n, counted, minimum, level)
    rows = rows.join(beside)
    rows["note"] = [each.note for each in found]
    notes = (
        points.how,
        *passed,
        *points.left_out,
        *_flagged(rows),
        how_drawn,
        _bottomless(points.flops, found, level),
        _lost_note(lost, level),
        *law_notes(law, why_not, rows, a_bias, minimum),
    )
    return IsoFlop(
        cost=counted.name, minimum=minimum, rows=rows, points=points.frame(), line=along, a=a, b=b, a_bias=a_bias,
        fit=law, level=level, notes=tuple(note for note in notes if note), **slopes,
    )  # fmt: skip


def _generator(seed: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise InputError(f"seed is a whole number, None, or a generator of numpy's, not {seed!r}") from None


def _best_of_each_size(points: Points) -> Points:
    order = np.lexsort((points.loss, points.params, points.budget))
    keys = np.stack([points.budget[order], points.params[order]])
    best = order[np.concatenate([[True], (np.diff(keys, axis=1) != 0).any(axis=0)])]
    columns = {name: getattr(points, name)[best] for name in ("budget", "params", "tokens", "loss", "of")}
    return Points(points.flops, **columns, how=points.how, left_out=points.left_out, ladder=points.ladder)


# ---- rows and power laws --------------------------------------------------------------------------


def _rows(
    points: Points, groups: list[Any], found: list[Found], cost: Convention, level: float
) -> pd.DataFrame:
    out = []
    for flops, g, each in zip(points.flops, groups, found, strict=True):
        row: dict[str, Any] = {
            "flops": flops, "runs": len(g), "sizes": int(distinct_sizes(points.params[g]).max()) + 1,
        }  # fmt: skip
        known = each.note != "opens downward" and math.isfinite(each.at) and abs(each.at) < FAR
        n = math.exp(each.at) if known else math.nan
        d = float(cost.tokens_at(n, flops)) if known else math.nan
        draws = np.exp(each.draws) if len(each.draws) and known else None
        # a draw without a minimum has a NaN, which would send a cost of its own through a search
        tokens = None if draws is None else np.asarray(cost.tokens_at(np.where(draws > 0, draws, n), flops))
        if draws is not None and tokens is not None:
            tokens = np.where(draws > 0, tokens, np.nan)
        figures: dict[str, tuple[float, Array | None]] = {
            "params": (n, draws),
            "tokens": (d, tokens),
            "ratio": (d / n, None if draws is None or tokens is None else tokens / draws),
            "loss": (each.least if known else math.nan, each.draws_least if draws is not None else None),
        }
        for name, (value, drawn) in figures.items():
            asked_for = Estimate(value) if drawn is None else estimate_known(value, drawn, level)
            row |= {name: asked_for.value, f"{name}_lo": asked_for.lo, f"{name}_hi": asked_for.hi}
        out.append(row | {"curvature": each.curvature})
    return pd.DataFrame(out)


def _bottomless(flops: Array, found: list[Found], level: float) -> str:
    """How many draws have no minimum: they speak for neither side of a budget's N, nor of its D."""
    shares = np.array([np.isnan(f.draws).mean() if len(f.draws) and not f.note else 0.0 for f in found])
    if not shares.any():
        return ""
    lost = shares >= 1 - level
    none = f"; no interval at {', '.join(f'{c:.3g}' for c in flops[lost])}" if lost.any() else ""
    return (
        f"Up to {100 * shares.max():.2g}% of a budget's draws have no minimum; half of them count against each end "
        f"of its figures{none}."
    )


def _power_laws(
    flops: Array,
    found: list[Found],
    groups: list[Any],
    log_n: Array,
    cost: Convention,
    minimum: str,
    level: float,
) -> tuple[Estimate, Estimate, pd.DataFrame, float]:
    """a, b, the line through the vertices that count, and the share of draws that leave no line.

    In a draw those vertices count that lie inside the sizes. As a + b is 1 where C = 6·N·D, a draw with fewer than two
    of them speaks for neither end of either.
    """
    kept = [k for k, each in enumerate(found) if not each.note]
    empty = pd.DataFrame(columns=["flops", "params", "params_lo", "params_hi", "tokens"], dtype=float)
    if len(kept) < 2:
        return Estimate(math.nan), Estimate(math.nan), empty, 0.0
    x, c = np.log(flops[kept]), flops[kept]
    weight = np.array([[found[k].weight for k in kept]])
    at = np.array([[found[k].at for k in kept]])
    drawn = min(len(found[k].draws) for k in kept)
    draws = np.stack([found[k].draws[:drawn] for k in kept], axis=1)
    inside = np.stack([(draws[:, i] >= log_n[groups[k]].min()) & (draws[:, i] <= log_n[groups[k]].max())
                       for i, k in enumerate(kept)], axis=1)  # fmt: skip
    if minimum == "interpolated":
        inside[:] = True
    safe = np.where(inside, draws, at)

    def log_d(log_n: Array) -> Array:
        return np.asarray(np.log(cost.tokens_at(np.exp(log_n), c)))

    (a, b), (a_draws, b_draws) = ([], []), ([], [])  # type: tuple[list[Array], list[Array]], tuple[list[Array], list[Array]]
    for values, out, out_draws in ((lambda v: v, a, a_draws), (log_d, b, b_draws)):
        out += line(x, values(at), weight)
        out_draws += line(x, values(safe), weight * inside)

    def interval(value: float, draws: Array | None) -> Estimate:
        return Estimate(value) if draws is None else estimate_known(value, draws, level)

    grid = np.linspace(x[0], x[-1], 30)
    bands = None if not drawn else a_draws[0][:, None] * grid + a_draws[1][:, None]
    estimates = [
        interval(float(a[0][0] * g + a[1][0]), None if bands is None else bands[:, i])
        for i, g in enumerate(grid)
    ]
    along = pd.DataFrame(
        {
            "flops": np.exp(grid),
            "params": np.exp([e.value for e in estimates]),
            "params_lo": np.exp([e.lo for e in estimates]),
            "params_hi": np.exp([e.hi for e in estimates]),
            "tokens": np.exp(b[0][0] * grid + b[1][0]),
        }
    )
    return (
        interval(float(a[0][0]), a_draws[0] if drawn else None),
        interval(float(b[0][0]), b_draws[0] if drawn else None),
        along,
        float(np.isnan(a_draws[0]).mean()) if drawn else 0.0,
    )


def _lost_note(lost: float, level: float) -> str:
    if not lost:
        return ""
    what = f"{100 * lost:.2g}% of the draws leave fewer than two vertices inside the sizes, so no power law"
    if 0.5 * lost >= 0.5 * (1 - level):
        return f"No interval of a and b: {what}; more runs a budget, or sizes further from the optimum, steady them."
    return f"{what}; half of them count against each end of a and b."


def _flagged(rows: pd.DataFrame) -> tuple[str, ...]:
    said = []
    for note, some in rows[rows["note"] != ""].groupby("note"):
        said.append(f"{note}: {', '.join(f'{c:.3g}' for c in some['flops'])}")
    return (f"Left out of the power laws: {'; '.join(said)}.",) if said else ()
