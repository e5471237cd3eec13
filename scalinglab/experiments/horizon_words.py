"""What `cosine_horizon` found, in tables and in sentences made of its figures."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.clustered import clustered
from scalinglab.analysis.seed_gaps import judged
from scalinglab.experiments.horizon_ends import HorizonEnds, Way
from scalinglab.experiments.wsd_findings import LEVEL, estimate_text, listed, loss_text, signed

STALLED = 0.5
"""Below this share of what a cosine made for the doubled run gets of the doubling, going on at the floor stalls."""


def doubling_share(ends: HorizonEnds) -> str:
    return _share_text(share_of_doubling(ends))


def share_of_doubling(ends: HorizonEnds) -> Estimate:
    """What a doubling at the floor gets of what a cosine made for it does: a ratio of sums a seed, seeds as units."""
    stayed, made = ends.doubling()
    both = stayed.pairs.notna() & made.pairs.notna()
    top, bottom = (each.pairs.where(both).sum(axis=1, min_count=1).dropna() for each in (stayed, made))
    if top.empty:
        return Estimate(math.nan)
    ratios = (top / bottom).to_numpy(float)
    return clustered(np.ones((len(ratios), 1)), ratios, np.arange(len(ratios))).estimate(0, LEVEL)


def _share_text(found: Estimate) -> str:
    if math.isnan(found.lo):
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.lo:.2f}, {found.hi:.2f}]"


def ranked(ends: HorizonEnds, ways: Sequence[Way], horizon: float | None = None) -> list[tuple[Way, float]]:
    """Ways with their mean gap to the reference, over their horizons or at one, the lowest first."""
    found = []
    for way in ways:
        gaps = ends.gap(way)
        if horizon is None:
            found.append((way, gaps.overall(LEVEL).value))
        elif horizon in gaps.cells:
            found.append((way, gaps.cell(horizon).value))
    return sorted(found, key=lambda each: each[1])


# ---- tables ----------------------------------------------------------------------------------------------


def tables_of(ends: HorizonEnds) -> dict[str, pd.DataFrame]:
    """Title -> table, those left out that the study has nothing for."""
    unit = ends.loss_unit
    tables = {
        f"Loss above {ends.reference.label} by horizon ({unit}, {LEVEL:.0%} intervals)": _by_horizon(ends),
        "Schedules from the lowest loss up, by horizon": _ranks(ends),
    }
    if ends.doubling()[0].seeds:
        tables[f"What a doubling of tokens takes off the loss after T ({unit})"] = _doublings(ends)
    if ends.loops:
        tables["CosineLoop: its first floor and the peak after it (training loss, nats/token)"] = _loops(ends)
    if len(ends.eval_sets) > 1:
        tables[f"By held-out set, over all horizons ({unit})"] = _sets(ends)
    return tables


def _by_horizon(ends: HorizonEnds) -> pd.DataFrame:
    rows = []
    losses = ends.losses(ends.reference)
    row = {"": f"{ends.reference.label}, its loss"}
    rows.append(row | {f"D = {count_text(each)}": f"{losses[each].mean():.4f}" for each in ends.horizons})
    for way in ends.others:
        gaps = ends.gap(way)
        row = {"": way.label}
        for horizon in ends.horizons:
            known = horizon in gaps.cells
            row[f"D = {count_text(horizon)}"] = estimate_text(gaps.cell(horizon, LEVEL)) if known else ""
        row["all"] = estimate_text(gaps.overall(LEVEL))
        row["a doubling of D"] = estimate_text(gaps.trend(LEVEL)) if len(gaps.cells) > 1 else ""
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _ranks(ends: HorizonEnds) -> pd.DataFrame:
    columns = {}
    for horizon in ends.horizons:
        order = sorted([*ranked(ends, ends.others, horizon), (ends.reference, 0.0)], key=lambda each: each[1])
        columns[f"D = {count_text(horizon)}"] = [f"{way.label} {signed(value)}" for way, value in order]
    longest = max(len(each) for each in columns.values())
    filled = {name: [*each, *[""] * (longest - len(each))] for name, each in columns.items()}
    return pd.DataFrame({"": [str(i + 1) for i in range(longest)], **filled})


def _doublings(ends: HorizonEnds) -> pd.DataFrame:
    stayed, made = ends.doubling()
    rows = [
        {
            "T": count_text(cell),
            "on at the floor to 2·T": estimate_text(stayed.cell(cell, LEVEL)),
            "with a cosine made for 2·T": estimate_text(made.cell(cell, LEVEL)),
            "share": f"{stayed.cell(cell).value / made.cell(cell).value:.2f}",
        }
        for cell in stayed.cells
    ]
    whole = {
        "T": "all",
        "on at the floor to 2·T": estimate_text(stayed.overall(LEVEL)),
        "with a cosine made for 2·T": estimate_text(made.overall(LEVEL)),
        "share": doubling_share(ends),
    }
    return pd.DataFrame([*rows, whole])


def _loops(ends: HorizonEnds) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "seed": str(loop.seed),
            "run of": count_text(loop.tokens),
            "floor": f"{loop.floor:.4f}",
            "peak": f"{loop.peak:.4f}",
            "rise": signed(loop.peak - loop.floor),
            "over tokens": count_text(loop.rise_tokens),
            "lead on the trunk lost": signed(loop.lost),
        }
        for loop in ends.loops
    )


def _sets(ends: HorizonEnds) -> pd.DataFrame:
    rows = []
    for name in ends.eval_sets:
        row = {"set": name}
        for way in ends.others:
            row[way.label] = estimate_text(ends.gap(way, eval_set=name).overall(LEVEL))
        rows.append(row)
    return pd.DataFrame(rows)


# ---- sentences -------------------------------------------------------------------------------------------


def verdict_of(ends: HorizonEnds) -> str:
    """T against S, the floor, the loop, WSD and the ranking: a sentence each, as far as there are runs."""
    noise = ends.noise().sd
    sentences = [_periods(ends, noise)] if any(ends.at_ratio(r) for r in (0.5, 2.0)) else []
    if ends.doubling()[0].seeds:
        share = share_of_doubling(ends)
        text = f"Going on at the floor after T gets {_share_text(share)} of what a cosine made for the longer run does"
        told = share.hi < STALLED or share.lo > STALLED
        how = "it stalls" if share.value < STALLED else "it does not stall"
        sentences.append(f"{text}: {how if told else 'whether it stalls is left open'} (below {STALLED:g}).")
    if ends.loops:
        rise = ends.loop_gaps("rise").overall(LEVEL)
        sentences.append(
            f"CosineLoop's training loss {_moves(rise)} from its first floor to the peak after it "
            f"({estimate_text(rise)} nats/token){_loop_end(ends)}."
        )
    for way in ends.decays:
        if way in ends.others:
            sentences.append(f"{way.label}, ends {_against(ends, way, noise)}.")
    longest = max(ends.horizons)
    order = sorted([*ranked(ends, ends.others, longest), (ends.reference, 0.0)], key=lambda each: each[1])
    sentences.append(
        f"At D = {count_text(longest)} the order is {'; '.join(way.label for way, _ in order)}, the lowest loss first."
    )
    return " ".join(sentences)


def _periods(ends: HorizonEnds, noise: float) -> str:
    gaps = {way: ends.gap(way).overall(LEVEL) for r in (0.5, 2.0) if (way := ends.at_ratio(r))}
    best = all(gap.lo > 0 for gap in gaps.values())
    lower = [way for way, gap in gaps.items() if gap.hi < 0]
    names = listed([f"T = {way.label[11:-1]}" for way in gaps])
    head = (
        f"T = S is best of the periods tried, lower than {names} by"
        if best
        else f"T = S is not the best of the periods tried: {listed([way.label for way in lower])} ends lower; gaps are"
        if lower
        else f"Whether T = S is best is left open against {names}: gaps are"
    )
    parts = [f"{estimate_text(gap)} ({_size(gap, noise)})" for gap in gaps.values()]
    return f"{head} {listed(parts)} {ends.loss_unit}; seed noise {loss_text(noise)}."


def _size(gap: Estimate, noise: float) -> str:
    size = gap if not gap.value < 0 else Estimate(-gap.value, -gap.hi, -gap.lo)
    return {"beyond": "more than seed noise", "within": "no more than seed noise", "open": "not told from seed noise"}[
        judged(size, noise)
    ]  # fmt: skip


def _moves(rise: Estimate) -> str:
    return "rises" if rise.lo > 0 else "falls" if rise.hi < 0 else "is not told to rise or fall"


def _loop_end(ends: HorizonEnds) -> str:
    way = ends.of_kind("cosine-loop")
    if way is None:
        return ""
    return (
        f", and at a floor it ends {estimate_text(ends.gap(way).overall(LEVEL))} from {ends.reference.label}"
    )


def _against(ends: HorizonEnds, way: Way, noise: float) -> str:
    gaps = ends.gap(way)
    mean, trend = gaps.overall(LEVEL), gaps.trend(LEVEL)
    how = {
        "beyond": "above by more than the seed noise",
        "within": "below it" if mean.hi < 0 else "no more than the seed noise above it",
        "open": "which leaves open whether it matches",
    }[judged(mean, noise)]
    text = f"{estimate_text(mean)} from {ends.reference.label}, {how}"
    if trend.lo > 0 or trend.hi < 0:
        last = max(gaps.cells)
        text += f" ({estimate_text(gaps.cell(last, LEVEL))} at D = {count_text(last)}, "
        text += f"{signed(trend.value)} a doubling)"
    return text


def setup_of(ends: HorizonEnds) -> str:
    """What was run."""
    study = ends.trained.study
    whole = [way.label for way in [ends.reference, *ends.others] if not way.forked and way.kind != "constant"]
    forked = [way.label for way in ends.decays]
    text = (
        f"{len(ends.seeds)} seeds at peak learning rate {study.training.lr:g}, to "
        f"{listed([count_text(each) for each in ends.horizons])} tokens: {listed(whole)} from scratch"
    )
    if forked:
        text += f", and a trunk a seed, measured where it passes each horizon (constant), with decays: {listed(forked)}"
    return text + (
        ". A run under one schedule counts at each end it was measured at: Cosine(T) at T/2 has T = 2·S, at 2·T it has "
        "T = S/2 and has been at its floor since T."
    )


def notes_of(ends: HorizonEnds) -> list[str]:
    """What the figures rest on."""
    notes = [
        (
            "Every gap pairs runs of one seed, which see the same batches; a mean over horizons takes seeds as its "
            f"units ({len(ends.seeds) - 1} degrees of freedom), a horizon's {LEVEL:.0%} interval pools the deviation "
            "of a pair over horizons."
        ),
        (
            f"The seed noise of one {ends.reference.label} is a standard deviation of {loss_text(ends.noise().sd)} "
            f"{ends.loss_unit}; gaps of pairs can be told well below it."
        ),
        (
            "All schedules share one peak learning rate, which need be no schedule's own best: one that spends longer "
            "at the peak may want a lower one, and the order may turn with it."
        ),
    ]
    if len({way.floor for way in [ends.reference, *ends.others] if way.kind != "constant"}) > 1:
        notes.append(
            "Schedules differ in the floor they end at as well as in shape; what is told of them is of both together."
        )
    if ends.loops:
        notes.append(
            "The rise of CosineLoop is told from training losses, for it is measured on held-out text at its end "
            "alone; the trunk of its seed sees the same batches."
        )
    notes.append(
        "The paper shows these schedules in a figure without printed losses: which is lower is what can be set beside."
    )
    return notes
