"""What `merging` found, in sentences made of its figures."""

import numpy as np

from scalinglab.analysis import Estimate, count_text, number_text
from scalinglab.analysis.seed_gaps import SeedGaps, judged
from scalinglab.experiments.merge_ends import MergeEnds, Window
from scalinglab.experiments.wsd_ends import Recipe, percent
from scalinglab.experiments.wsd_findings import LEVEL, estimate_text, listed, loss_text

NUMBER, WINDOW, WEIGHTS = "number", "window", "weights"
NEAR, NEAR_WEIGHTS = "near windows", "near weights"
"""The same over windows that span no more than the numbers of states do."""
FACTORS = {
    WINDOW: "length of the window",
    NEAR: "length of the near windows",
    WEIGHTS: "shape of the weights",
    NEAR_WEIGHTS: "shape of the weights, near windows",
    NUMBER: "number of states",
}


def setup_of(ends: MergeEnds) -> str:
    shares = sorted({each.share for each in ends.merges})
    counts = sorted({each.count for each in ends.merges})
    horizons, numbers = (
        listed([count_text(each) for each in ends.horizons]),
        listed([str(each) for each in counts]),
    )
    return (
        f"{len(ends.seeds)} seed{'s' * (len(ends.seeds) > 1)}, horizons D = {horizons}. At each, {len(ends.merges)} "
        f"merges of {numbers} states of the trunk, evenly spread over its last {percent(shares[0])} to "
        f"{percent(shares[-1])}, weighed as {listed(ends.shapes)} decays over that window would weigh its updates; "
        f"the decays themselves ({'; '.join(each.label for each in ends.decays)}); and the trunk as it is. A merge "
        "averages weights alone and trains nothing."
    )


def percent_text(found: Estimate) -> str:
    if np.isnan(found.value):
        return "not known"
    ends = "" if np.isnan(found.lo) else f" [{100 * found.lo:.0f}, {100 * found.hi:.0f}]"
    return f"{100 * found.value:.0f}{ends} %".replace("-", "−")


def window_text(found: Window) -> str:
    if found.edge == "flat":
        return "not told"
    if found.edge:
        return f"{percent(found.share.value)} or {'less' if found.edge == 'low' else 'more'}"
    text = percent(found.share.value)
    return (
        text if np.isnan(found.share.lo) else f"{text} [{percent(found.share.lo)}, {percent(found.share.hi)}]"
    )


def growth_of(inside: SeedGaps) -> Estimate:
    """The factor by which the best share grows with each doubling of D."""
    found = inside.trend(LEVEL)
    return Estimate(*(float(np.exp(each)) for each in (found.value, found.lo, found.hi)))


def growth_text(inside: SeedGaps) -> str:
    found = growth_of(inside)
    return "" if np.isnan(found.value) else f"share × {found} with each doubling of D"


def levels_text(ends: MergeEnds, factor: str) -> str:
    if factor == NUMBER:
        one = ends.counts[0]
        numbers = listed([str(each.count) for each in ends.counts])
        return f"{numbers}, {one.shape_text} weights over {percent(one.share)}"
    shares = listed(
        [percent(each) for each in (ends.near if factor in (NEAR, NEAR_WEIGHTS) else ends.shared)]
    )
    return (
        f"{shares}, mean over weights"
        if factor in (WINDOW, NEAR)
        else f"{listed(ends.shapes)}, mean over {shares}"
    )


def verdict_of(ends: MergeEnds) -> str:
    """Best merge against best decay, equal compute, the window, what else matters, few states: a sentence each."""
    gap, noise = ends.best_gap(), ends.noise
    mean, trend = gap.overall(LEVEL), gap.trend(LEVEL)
    how = {
        "beyond": "above it by more than the seed noise",
        "within": "no more than the seed noise above it" if mean.hi > 0 else "below it",
        "open": "which leaves open whether it matches",
    }[judged(mean, noise)]
    text = (
        f"The best merge of each horizon ends {estimate_text(mean)} {ends.loss_unit} from the best decay, {how} (seed "
        f"noise {loss_text(noise)}): it takes off the trunk {percent_text(ends.share_of_gain(None))} of what the "
        "decay does"
    )
    if trend.lo > 0 or trend.hi < 0:
        first, last = ends.horizons[0], ends.horizons[-1]
        text += (
            f"; the gap {'grows' if trend.value > 0 else 'falls'} with the horizon, from "
            f"{estimate_text(gap.cell(first, LEVEL))} at D = {count_text(first)} to "
            f"{estimate_text(gap.cell(last, LEVEL))} at {count_text(last)}"
        )
    text += "."
    decay = ends.best_for_compute
    equal = ends.at_equal_compute(decay)
    if equal.seeds:
        there = equal.overall(LEVEL)
        side = "above" if there.lo > 0 else "below" if there.hi < 0 else "not told from"
        text += (
            f" Where the trunk goes on for what a decay takes beside it, the merge is {side} the decay that does best "
            f"so ({decay.label}: {estimate_text(there)}{_to(equal)})."
        )
    text += _window_sentence(ends)
    if WINDOW in ends.effects:
        parts = [
            f"{FACTORS[each]} {number_text(ends.spread(each).overall(LEVEL).value)}"
            + (f" ({percent(ends.near[0])} to {percent(ends.near[-1])})" if each == NEAR else "")
            for each in (WINDOW, NEAR, WEIGHTS, NUMBER)
            if each in ends.effects
        ]
        text += f" The loss varies with (s.d., {ends.loss_unit}): {', '.join(parts)}."
    return text + _few_sentence(ends)


def _to(gaps: SeedGaps) -> str:
    """A gap's way with the horizon, where it changes beyond chance."""
    trend = gaps.trend(LEVEL)
    if not (trend.lo > 0 or trend.hi < 0):
        return ""
    first, last = min(gaps.cells), max(gaps.cells)
    return (
        f", from {estimate_text(gaps.cell(first, LEVEL))} at D = {count_text(first)} to "
        f"{estimate_text(gaps.cell(last, LEVEL))} at {count_text(last)}"
    )


def _window_sentence(ends: MergeEnds) -> str:
    told = []
    for shape in ends.shapes:
        windows, inside = ends.best_windows(shape)
        if not windows:
            continue
        first, last = windows[0], windows[-1]
        part = f"with {shape} weights {window_text(first)} of D at {count_text(first.horizon)}"
        if last is not first:
            part += f" and {window_text(last)} at {count_text(last.horizon)}"
        growth = growth_of(inside)
        if growth.lo > 1 or growth.hi < 1:
            part += f" (a share that {'grows' if growth.lo > 1 else 'shrinks'} with D)"
        elif not np.isnan(growth.lo):
            part += " (a share that cannot be told to change with D"
            part += ": the window grows with it)" if 2 * growth.lo > 1 else ")"  # in tokens, share × D
        told.append(part)
    return f" The best window is {', '.join(told)}." if told else ""


def _few_sentence(ends: MergeEnds) -> str:
    """The fewest states that do within the seed noise, and what they cost on the same trunk."""
    if len(ends.counts) < 2:
        return ""
    *fewer, most = ends.counts
    for each in fewer:
        gap = ends.gap(each, most).overall(LEVEL)
        if judged(gap, ends.noise) == "within":
            told = (
                "within the seed noise, though above zero on the same trunks"
                if gap.lo > 0
                else "within the seed noise"
            )
            return f" {each.count} states end {estimate_text(gap)} from {most.count}, {told}."
    gap = ends.gap(fewer[-1], most).overall(LEVEL)
    return f" Not even {fewer[-1].count} states can be said to do for {most.count} ({estimate_text(gap)})."


def notes_of(ends: MergeEnds) -> list[str]:
    best: list[Recipe] = [ends.best_at(ends.merges, each) for each in ends.horizons]
    decays: list[Recipe] = [ends.best_at(ends.decays, each) for each in ends.horizons]
    at = ", ".join(
        f"{merge.label} and {decay.label} at D = {count_text(horizon)}"
        for horizon, merge, decay in zip(ends.horizons, best, decays, strict=True)
    )
    span = "No two windows were merged with weights of every shape"
    if len(ends.shared) > 1:
        span = f"The windows tried span a factor {ends.shared[-1] / ends.shared[0]:.3g}"
    if ends.counts:
        span += f", the numbers of states one of {ends.counts[-1].count / ends.counts[0].count:.2g}"
    notes = [
        (
            f"Best of each horizon by the mean over seeds: {at}. The best of {len(ends.merges)} merges is chosen among "
            f"more than the best of {len(ends.decays)} decays, which favours merges."
        ),
        (
            f"Differences pair one seed's ends on one trunk. A horizon's {LEVEL:.0%} interval is Student's t on the "
            "deviation of a pair, pooled over horizons; means over horizons take seeds as their units "
            f"({len(ends.seeds) - 1} degrees of freedom). Ratios have Fieller's interval. A best window is the vertex "
            "of the parabola in ln share through the least of the windows tried (by the mean over seeds) and its two "
            "neighbours, seed by seed; where the least is at an end of what was tried, it is a bound."
        ),
        (
            "For one model at D, merge and decay cost the same tokens. A decay's are lost to a trunk that goes on, a "
            "merge's are the trunk's own; what a merge takes instead is states kept along the trunk."
        ),
        f"How much a factor matters hangs on the levels tried. {span}.",
        (
            "WSM compares benchmarks after annealing on chosen data; here every way reads the trunk's own mixture, and "
            "the measure is the held-out loss."
        ),
    ]  # fmt: skip
    if len(ends.eval_sets) > 1:
        mean = ends.best_gap().overall(LEVEL).value
        own = {name: ends.best_gap(name).overall(LEVEL) for name in ends.eval_sets if name != ends.eval_set}
        off = [name for name, each in own.items() if (each.lo > 0 and mean < 0) or (each.hi < 0 and mean > 0)]
        told = f"{listed(off)} tell otherwise" if off else "none has the other sign beyond its interval"
        notes.append(f"Losses are the average over held-out sets; of the best merge on single sets, {told}.")
    return notes
