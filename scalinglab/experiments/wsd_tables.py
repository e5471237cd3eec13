"""The tables of `wsd_vs_cosine`: by horizon, length and shape, the trunk, the compute, other learning rates, sets."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.experiments.wsd_ends import Ends, Recipe, difference, percent
from scalinglab.experiments.wsd_findings import LEVEL, Findings, estimate_text, share_text, signed
from scalinglab.ladder import Trunk, trunk_cost


def tables_of(said: Findings) -> dict[str, pd.DataFrame]:
    """Title -> table, those left out that the study has nothing for."""
    ends = said.ends
    tables = {
        f"Loss above {ends.reference.label} by horizon ({ends.loss_unit}, {LEVEL:.0%} intervals)": _by_horizon(
            said
        ),
    }
    if len(ends.lengths) > 1:
        tables[f"Length of the decay, {ends.main.shape_text}"] = _by_length(said)
        tables[f"Share of the run at which {ends.main.shape_text} meets {ends.reference.label}"] = _meeting(
            said
        )
    if len(ends.shapes) > 1:
        tables[f"Shapes at {percent(ends.main.share)}, the lowest first"] = _shape_table(said)
    tables[f"The trunk before the decay, and without one ({ends.loss_unit})"] = _trunk_table(said)
    tables[f"Compute of one trunk with decays of {percent(ends.main.share)}, and of a cosine a horizon"] = (
        ledger(ends).assign(ratio=lambda t: [f"{each:.2f}" for each in t["ratio"]])
    )
    cell = said.varied_cell
    if cell is not None:
        where = f"D = {count_text(cell[1])}, seed {cell[0]}"
        tables[f"Other learning rates: {where} ({ends.loss_unit}; intervals of a single pair)"] = _rates(said)
    if len(ends.eval_sets) > 1:
        tables[f"By held-out set, over all horizons ({ends.loss_unit})"] = _sets(said)
    return tables


def _by_horizon(said: Findings) -> pd.DataFrame:
    ends, rows = said.ends, []
    for recipe in ends.recipes:
        gaps = said.gap(recipe)
        row = {"": recipe.label}
        for horizon in ends.horizons:
            known = horizon in gaps.cells
            row[f"D = {count_text(horizon)}"] = estimate_text(gaps.cell(horizon, LEVEL)) if known else ""
        row["all"] = estimate_text(said.mean(recipe))
        row["all, %"] = estimate_text(said.mean(recipe, relative=True), 2)
        row["a doubling of D"] = estimate_text(gaps.trend(LEVEL))
        rows.append(row)
    return pd.DataFrame(rows)


def _by_length(said: Findings) -> pd.DataFrame:
    ends, rows = said.ends, []
    for i, recipe in enumerate(ends.lengths):
        own = ends.planned[(ends.planned["recipe"] == recipe.name) & (ends.planned["variant"] == "")]
        longer = ends.lengths[i + 1] if i + 1 < len(ends.lengths) else None
        rows.append(
            {
                "share": percent(recipe.share),
                "updates": f"{own['steps'].min():.0f} to {own['steps'].max():.0f}",
                f"above {ends.reference.label}": estimate_text(said.mean(recipe)),
                "in seed noise": f"{said.mean(recipe).value / said.noise:+.1f}".replace("-", "−"),
                "above the next length": estimate_text(said.mean(recipe, longer)) if longer else "",
            }
        )
    return pd.DataFrame(rows)


def _shape_table(said: Findings) -> pd.DataFrame:
    ends, rows = said.ends, []
    ranked = said.by_shape()
    for recipe, _ in ranked:
        best = ranked[0][0]
        above = said.mean(recipe, best) if recipe != best else Estimate(0.0)
        gaps = said.gap(recipe, best)
        rows.append(
            {
                "shape": recipe.shape_text,
                f"above {ends.reference.label}": estimate_text(said.mean(recipe)),
                "above the lowest": "" if recipe == best else estimate_text(above),
                "higher in": ""
                if recipe == best
                else f"{int((gaps.pairs > 0).sum().sum())} of {gaps.pairs.size} pairs",
                "in seed noise": f"{above.value / said.noise:.2f}",
            }
        )
    return pd.DataFrame(rows)


def _trunk_table(said: Findings) -> pd.DataFrame:
    ends = said.ends
    drop = difference(ends.trunk_losses("fork"), ends.losses(ends.main))
    level = difference(ends.trunk_losses("tokens"), ends.losses(ends.reference))
    rows = []
    for horizon in ends.horizons:
        rows.append(
            {
                "D": count_text(horizon),
                f"trunk at the fork above its decay's end ({percent(ends.main.share)})": _cell(drop, horizon),
                f"undecayed trunk above {ends.reference.label} at the same D": _cell(level, horizon),
            }
        )
    return pd.DataFrame(rows)


def _cell(gaps: SeedGaps, horizon: float) -> str:
    return estimate_text(gaps.cell(horizon, LEVEL)) if horizon in gaps.cells else "trunk ends before"


def ledger(ends: Ends) -> pd.DataFrame:
    """A row for the first m horizons: FLOPs of one trunk to the last with its main decays, and of m cosines."""
    trunks = [each for each in ends.trained.trunks if not each.variant and isinstance(each.plan, Trunk)]
    plan: Trunk = trunks[0].plan  # type: ignore[assignment]
    own = sorted((each for each in plan.branches if each.recipe == ends.main.name), key=lambda each: each.end)
    rows = []
    for m in range(1, len(own) + 1):
        cost = trunk_cost(replace(plan, branches=tuple(own[:m]), checkpoints=()))
        rows.append(
            {
                "horizons": m,
                "up to D": count_text(plan.horizon(own[m - 1])),
                "WSD (6ND)": f"{cost.ladder.flops:.3g}",
                "cosines (6ND)": f"{cost.scratch.flops:.3g}",
                "WSD (exact)": f"{cost.ladder.flops_exact:.3g}",
                "cosines (exact)": f"{cost.scratch.flops_exact:.3g}",
                "ratio": cost.ratio,
            }
        )
    return pd.DataFrame(rows)


def _rates(said: Findings) -> pd.DataFrame:
    """Each recipe's gap to the reference at each learning rate tried, and with both at their best of them."""
    ends = said.ends
    losses = said.by_rate(ends.reference)
    first = {"": ends.reference.label} | {f"lr {lr:g}": f"loss {loss:.4f}" for lr, loss in losses.items()}
    rows = [first | {"each at its best": f"loss {min(losses.values()):.4f}"}] if losses else []
    for recipe in ends.recipes if losses else []:
        gaps, best = said.gap_by_rate(recipe), said.at_best_rates(recipe)
        row = {"": recipe.label} | {
            f"lr {lr:g}": estimate_text(gaps[lr]) if lr in gaps else "" for lr in losses
        }
        rows.append(row | {"each at its best": f"{estimate_text(best.gap)} (lr {best.lr:g})" if best else ""})
    return pd.DataFrame(rows)


def _comparisons(said: Findings) -> dict[str, tuple[Recipe, Recipe]]:
    """What is judged of each held-out set: heading -> (one, other)."""
    ends = said.ends
    found = {f"{ends.main.label} above {ends.reference.label}": (ends.main, ends.reference)}
    for one, other in zip(ends.lengths, ends.lengths[1:], strict=False):
        found[f"{percent(one.share)} above {percent(other.share)}"] = (one, other)
    return found


def _sets(said: Findings) -> pd.DataFrame:
    rows = []
    for name in said.ends.eval_sets:
        row = {"set": name}
        for what, (one, other) in _comparisons(said).items():
            row[what] = estimate_text(said.ends.gap(one, other, eval_set=name).overall(LEVEL))
        rows.append(row)
    return pd.DataFrame(rows)


def sets_that_disagree(said: Findings) -> Iterator[str]:
    """Comparisons in which a single set's interval lies wholly on the other side of zero than the average."""
    ends = said.ends
    for what, (one, other) in _comparisons(said).items():
        whole = said.mean(one, other).value
        for name in ends.eval_sets:
            own = ends.gap(one, other, eval_set=name).overall(LEVEL)
            if name != ends.eval_set and ((own.lo > 0 and whole < 0) or (own.hi < 0 and whole > 0)):
                yield f"{what}: {name} {estimate_text(own)} against {signed(whole)}"


def _meeting(said: Findings) -> pd.DataFrame:
    ends = said.ends
    size = ends.trained.study.shape(ends.trained.study.ladder.sizes[0]).params
    rows = [
        {"D": count_text(each), "D/N": f"{each / size:.0f}", "share": share_text(said.meets_at(each))}
        for each in ends.horizons
    ]
    return pd.DataFrame([*rows, {"D": "all", "D/N": "", "share": share_text(said.meets)}])
