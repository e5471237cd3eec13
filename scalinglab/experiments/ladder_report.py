"""What a finished ladder says: its fits, its answers and what they are worth. Used by every study."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from scalinglab import laws
from scalinglab.analysis import (
    SIX_ND,
    Continual,
    EquivalentSize,
    Optimum,
    Scaling,
    continual,
    equivalent_size,
    ladder_convention,
    optimum,
    scaling,
)
from scalinglab.errors import InputError
from scalinglab.fitting import Bootstrap, Fit, Huber, fit
from scalinglab.records.derive import AVERAGE
from scalinglab.sweep import Swept

RESAMPLES = 2000
LOSS = Huber(1e-2)
"""δ near the scatter of tiny runs (0.4 % a seed); Hoffmann's 1e-3 would weigh them almost as absolute values."""
LEVEL = 0.9


@dataclass(frozen=True)
class Allocation:
    """The optimum at one budget under one pair of conventions."""

    counted: str
    """`non-embedding` or `total`: what N counts."""
    times: float
    """The budget, in multiples of what the dearest run of the ladder cost by this convention."""
    optimum: Optimum


@dataclass
class LadderReport:
    """Everything the summary and the figures of a ladder are drawn from."""

    eval_set: str
    ends: pd.DataFrame
    """Branch ends of `eval_set`."""
    fit: Fit
    scaling: Scaling
    allocations: list[Allocation]
    continual: Continual | None
    equivalent: dict[str, EquivalentSize]
    """Frontier -> reading, for the longest-trained run of the smallest size."""
    worth: pd.Series
    """That run's row."""
    notes: list[str] = field(default_factory=list)


def ladder_report(
    swept: Swept, progress: Callable[[str, int, int], None] = lambda *step: None
) -> LadderReport:
    """Fit a ladder and ask the fit. Raises InputError when too few runs are finished."""
    table = swept.table
    if not len(table):
        raise InputError(f"{swept.prepared.folder.path}: no run has finished, so there is nothing to fit")
    sets = list(table["eval_set"].unique())
    eval_set = AVERAGE if AVERAGE in sets else sets[0]
    table, notes = _own_recipe(swept)
    ends = table[(table["eval_set"] == eval_set) & (table["kind"] != "trunk")].reset_index(drop=True)
    notes += order_notes(table, eval_set)

    progress("law", 0, 3)
    law = laws.Chinchilla()
    by_params = fit(law, ends, loss=LOSS)
    trunk_bootstrap(by_params)
    progress("law", 1, 3)
    by_total = fit(law, ends.assign(params=ends["params_total"]), loss=LOSS)
    trunk_bootstrap(by_total)
    progress("answers", 2, 3)

    curve = None
    try:
        curve = continual(ends)
    except InputError as error:
        notes.append(f"No continual-training curve: {error}.")

    smallest = ends[ends["params"] == ends["params"].min()]
    worth = smallest.loc[smallest["tokens"].idxmax()]
    equivalent = {}
    rules: dict[str, Any] = {"D = 20·N": 20.0, "optimal": "optimal"}
    for name, rule in rules.items():
        try:
            equivalent[name] = equivalent_size(by_params, loss=float(worth["loss"]), tokens_per_param=rule)
        except InputError as error:
            notes.append(f"No equivalent size at {name}: {error}.")
    progress("answers", 3, 3)
    shapes = [trunk.plan.shape for trunk in swept.prepared.trunks]
    return LadderReport(
        eval_set=eval_set,
        ends=ends,
        fit=by_params,
        scaling=scaling(by_params),
        allocations=_allocations(ends, by_params, by_total, shapes),
        continual=curve,
        equivalent=equivalent,
        worth=worth,
        notes=notes,
    )


def _own_recipe(swept: Swept) -> tuple[pd.DataFrame, list[str]]:
    """Trunks, and the branches of the study's first way of decaying, under its own settings.

    A law describes models trained alike.
    """
    varied = {trunk.run.id for trunk in swept.prepared.trunks if trunk.variant}
    table, notes = swept.table[~swept.table["trunk_id"].isin(varied)], []
    if len(table) < len(swept.table):
        notes.append(
            "The fit takes the study's own settings alone; table.csv also has those of its variants."
        )
    entry, spec, _ = swept.prepared.study.recipes[0]
    recipe = entry.name if entry is not None else f"wsd-{spec.shape}"
    own = table[(table["kind"] == "trunk") | ((table["kind"] == "branch") & (table["recipe"] == recipe))]
    others = sorted(set(table["recipe"]) - set(own["recipe"]))
    if others:
        notes.append(
            f"The fit takes the branches of {recipe} alone; table.csv also has {', '.join(others)} (column recipe)."
        )
    return own, notes


def trunk_bootstrap(fitted: Fit) -> Bootstrap:
    """The bootstrap for few sizes: rows and trunks drawn about the law, the trunks' scatter from replicate seeds.

    Resampling trunks would leave most resamples without some size.
    """
    return fitted.bootstrap(RESAMPLES, by="trunk_id", method="parametric", seed=0)


def _allocations(ends: pd.DataFrame, by_params: Fit, by_total: Fit, shapes: list[Any]) -> list[Allocation]:
    """N_opt and D_opt at once and ten times the dearest run, under four conventions."""
    found = []
    for counted, one, column in (
        ("non-embedding", by_params, "params"),
        ("total", by_total, "params_total"),
    ):
        costs = [(SIX_ND, float((6.0 * ends[column] * ends["tokens"]).max()))]
        if len({shape.params for shape in shapes}) > 1:
            costs.append((ladder_convention("exact", shapes, column), float(ends["flops_exact"].max())))
        for cost, budget in costs:
            for times in (1.0, 10.0):
                found.append(Allocation(counted, times, optimum(one, times * budget, cost, level=LEVEL)))
    return found


def order_notes(table: pd.DataFrame, eval_set: str) -> list[str]:
    """Where losses are not ordered as they should be, said in a sentence each.

    A branch ends below its trunk's loss at the fork, and below the trunk at the same tokens where the
    trunk goes that far; at equal tokens a larger model is lower.
    """
    rows = table[table["eval_set"] == eval_set]
    trunks, branches = rows[rows["kind"] == "trunk"], rows[rows["kind"] == "branch"]
    at = {(row["trunk_id"], row["tokens"]): row["loss"] for row in trunks.to_dict("records")}
    notes = []
    for row in branches.to_dict("records"):
        batch = row["batch_tokens"]
        fork = float(round(row["tokens"] * (1.0 - row["decay_share"]) / batch) * batch)
        for tokens, where in ((fork, "at its fork"), (row["tokens"], "at the same tokens")):
            undecayed = at.get((row["trunk_id"], tokens))
            if undecayed is not None and row["loss"] >= undecayed:
                notes.append(
                    f"{row['run_id']} ends at {row['loss']:.4f}, not below its trunk {where} ({undecayed:.4f}): "
                    "the decay is too short, or the measurement too noisy, to show a gain."
                )
    means = branches.groupby(["tokens", "params"])[["loss", "loss_se"]].mean().reset_index()
    for tokens in means["tokens"].unique():
        group = means[means["tokens"] == tokens].sort_values("params")
        losses = group["loss"].to_numpy()
        for i in range(1, len(losses)):
            if losses[i] >= losses[i - 1]:
                gap, se = losses[i] - losses[i - 1], group["loss_se"].iloc[i]
                notes.append(
                    f"At {tokens:,.0f} tokens the model of {group['params'].iloc[i]:,.0f} parameters is "
                    f"{gap:.4f} above the next smaller one (standard error of a loss {se:.4f}): the larger one "
                    "has not caught up at so few tokens, or the gap is noise."
                )
    return notes
