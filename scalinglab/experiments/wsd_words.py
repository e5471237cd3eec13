"""What `wsd_vs_cosine` found, in sentences made of its figures."""

import math

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.seed_gaps import judged
from scalinglab.experiments.wsd_ends import Ends, percent
from scalinglab.experiments.wsd_findings import LEVEL, Findings, estimate_text, listed, loss_text, share_text
from scalinglab.experiments.wsd_tables import sets_that_disagree

_ALIKE = 0.25
"""Of the seed noise: shapes that lie no further apart are told in one breath."""


def verdict_of(said: Findings) -> str:
    """The gap and its trend, the length, the learning rate, the shape: a sentence each."""
    ends, main = said.ends, said.ends.main
    gap, relative = said.mean(main), said.mean(main, relative=True)
    how = {
        "beyond": "above it by more than the seed noise",
        "within": "no more than the seed noise above it" if gap.hi > 0 else "below it",
        "open": "which leaves open whether it matches",
    }[judged(gap, said.noise)]
    text = (
        f"{main.label} of the run, ends {estimate_text(gap)} {ends.loss_unit} ({estimate_text(relative, 2)} %) from "
        f"{ends.reference.label} on average, {how} (seed noise {loss_text(said.noise)})"
    )
    gaps = said.gap(main)
    trend = gaps.trend(LEVEL)
    if trend.lo > 0 or trend.hi < 0:
        last = max(gaps.cells)
        text += (
            f"; with each doubling of D the gap {'grows' if trend.value > 0 else 'falls'} by "
            f"{estimate_text(trend)}, to {estimate_text(gaps.cell(last, LEVEL))} at D = {count_text(last)}"
        )
    text += "."
    if len(ends.lengths) > 1:
        text += f" {_length_sentence(said)}"
    best = said.at_best_rates(main)
    if best is not None:
        rates = said.gap_by_rate(main)
        low, high = min(rates), max(rates)
        apart = rates[low].hi < rates[high].lo or rates[low].lo > rates[high].hi
        text += (
            f" The gap {'depends on' if apart else 'cannot be told to depend on'} the learning rate: at "
            f"D = {count_text(best.horizon)} it is {estimate_text(rates[low])} at {low:g} and "
            f"{estimate_text(rates[high])} at {high:g}"
        )
        text += f", and {estimate_text(best.gap)} with each at its best rate of those tried."
    if len(ends.shapes) > 1:
        text += f" {_shape_sentence(said)}"
    return text


def _length_sentence(said: Findings) -> str:
    ends, meets = said.ends, said.meets
    shortest, longest = ends.lengths[0], ends.lengths[-1]
    if math.isinf(meets.value):
        text = f"No length up to {percent(longest.share)} brings {ends.main.shape_text} down to the cosine"
    elif meets.value == 0.0:
        text = f"{percent(shortest.share)} already bring {ends.main.shape_text} down to the cosine"
    else:
        text = f"{ends.main.shape_text} comes down to the cosine at {share_text(meets)} of the run"
    first, last = min(ends.horizons), max(ends.horizons)
    at = [said.meets_at(each) for each in (first, last)]
    if at[0].value != at[1].value:
        text += (
            f" ({share_text(at[0])} at D = {count_text(first)}, {share_text(at[1])} at {count_text(last)})"
        )
    gain = said.mean(ends.lengths[-2], longest)
    text += (
        f"; {percent(longest.share)} ends {estimate_text(Estimate(-gain.value, -gain.hi, -gain.lo))} from "
    )
    text += percent(ends.lengths[-2].share)
    told = judged(gain, said.noise)
    if told == "beyond":
        return text + ", more than the seed noise."
    return text + (", less than the seed noise." if told == "within" else ".")


def _shape_sentence(said: Findings) -> str:
    """The shapes that end about as low as the lowest, and how far above it the others are."""
    ranked = said.by_shape()
    best, low = ranked[0]
    near = [each for each, value in ranked if value - low <= _ALIKE * said.noise]
    far = [each for each, _ in ranked if each not in near]
    if len(near) > 1:
        text = f"Of the shapes at {percent(said.ends.main.share)}, {listed([each.shape_text for each in near])} end "
        text += f"within {_ALIKE:g} of the seed noise of each other"
    else:
        text = f"Of the shapes at {percent(said.ends.main.share)}, {best.shape_text} is the lowest"
    parts = [f"{each.shape_text} {estimate_text(said.mean(each, best))}" for each in far]
    return text + (f", with {listed(parts)} above the lowest." if parts else ".")


def notes_of(said: Findings) -> list[str]:
    """What the figures rest on."""
    ends, main = said.ends, said.ends.main
    gaps = said.gap(main)
    notes = [
        (
            f"Every gap pairs runs of one seed. A horizon's {LEVEL:.0%} interval is Student's t on the deviation of a "
            f"pair, pooled over horizons ({gaps.freedom:.1f} degrees of freedom for {main.label}: horizons of a seed "
            "share a trunk, so they count for less than as many pairs); a mean over horizons takes seeds as its units "
            f"({gaps.seeds - 1} degrees of freedom), which assumes nothing of how the horizons of a seed are related."
        ),
        (
            f"The yardstick is the seed noise of one {ends.reference.label}, a standard deviation of "
            f"{loss_text(said.noise)} {ends.loss_unit}: an interval wholly above it is a difference, one wholly below "
            f"it none. Pairs of one seed deviate by {loss_text(gaps.sd)}."
        ),
        (
            "The paper's losses are nats/token on C4 at 0.036B, read off a figure and of one seed each: its gaps stand "
            "beside ours in percent of the loss. Its figure has no decay longer than 10 %."
        ),
    ]
    if len(ends.eval_sets) > 1:
        off = list(sets_that_disagree(said))
        told = (
            f"those that tell otherwise: {'; '.join(off)}"
            if off
            else "none has the other sign beyond its interval"
        )
        notes.append(f"Losses are the average over held-out sets; of single sets, {told}.")
    best = said.at_best_rates(main)
    if best is not None:
        edge = (
            " One of them does best at the end of the rates tried, and may do better beyond."
            if best.edge
            else ""
        )
        notes.append(f"Other learning rates were tried at one horizon with one seed.{edge}")
    if len({each.floor for each in ends.shapes}) > 1:
        notes.append("Shapes differ in their floor as well: what is told of them is of both together.")
    return notes


def setup_of(ends: Ends) -> str:
    """What was run."""
    shares = listed([percent(each.share) for each in ends.lengths])
    shapes = listed([each.shape_text for each in ends.shapes])
    whole = listed([each.label for each in (ends.reference, *ends.others)])
    study = ends.trained.study
    return (
        f"One trunk for each of {len(ends.seeds)} seeds at learning rate {study.training.lr:g}, decays of "
        f"{ends.main.shape_text} over {shares} and of {shapes} over {percent(ends.main.share)} forked from it at "
        f"{len(ends.horizons)} horizons ({listed([count_text(each) for each in ends.horizons])} tokens), against "
        f"{whole} trained from scratch for each horizon."
    )


def _floors(ends: Ends) -> tuple[str, ...]:
    shapes = {each.floor for each in ends.shapes}
    if len(shapes) < 2:
        return ()
    return (
        "Shapes differ in where they end as well (their floor): what is told of them is of both together.",
    )
