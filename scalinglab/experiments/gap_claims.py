"""Claims about gaps between ways of training, judged seed by seed: that one is no worse, or that one is better."""

import math

import numpy as np

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.seed_gaps import Judged, SeedGaps, judged
from scalinglab.experiments.report import Claim
from scalinglab.experiments.verdicts import Verdict, seeds_needed
from scalinglab.experiments.wsd_findings import LEVEL, estimate_text, loss_text, signed

_VERDICT: dict[Judged, Verdict] = {"beyond": "contradicted", "within": "confirmed", "open": "undecided"}


def matched(claim: str, gaps: SeedGaps, noise: float, because: str, everywhere: bool = True) -> Claim:
    """The claim that a gap is no more than the seed noise; `because` has a place for the gap.

    everywhere: one horizon at which the gap is larger contradicts it as well, its interval widened for as many
    looks as there are horizons.
    """
    mean = gaps.overall(LEVEL)
    how = judged(mean, noise)
    each = _level_of_each(gaps)
    beyond = [cell for cell in gaps.cells if judged(gaps.cell(cell, each), noise) == "beyond"]
    text = because.format(estimate_text(mean)) + f"; seed noise {loss_text(noise)}"
    text += f"; {len(gaps.cells)} horizons, {gaps.seeds} seeds"
    if beyond:
        text += f"; above the noise at {_where(beyond, gaps)}"
    trend, last = gaps.trend(LEVEL), max(gaps.cells)
    text += _trend_text(gaps, trend)
    decide = seeds_to_tell(gaps, mean, noise) if how == "open" else ""
    if everywhere and beyond:
        how, decide = "beyond", ""
    elif everywhere and how == "within" and trend.lo > 0 and judged(gaps.cell(last, each), noise) == "open":
        how, decide = "open", _longer(gaps, trend, noise)
    if how == "within" and mean.lo > 0:
        text += "; above zero, but by less than another seed changes"
    if how == "within" and mean.hi < 0:
        text += "; below zero"
    return Claim(claim, _VERDICT[how], text, decide)


def worse(claim: str, gaps: SeedGaps, noise: float, because: str) -> Claim:
    """The claim that a gap is above zero, at every horizon; `because` has a place for it.

    Pairs share a seed, so zero is the yardstick: confirmed where the mean's interval lies above it, and contradicted
    where it lies below, or where one horizon's does, widened for as many looks as there are horizons.
    """
    mean, each = gaps.overall(LEVEL), _level_of_each(gaps)
    below = [cell for cell in gaps.cells if gaps.cell(cell, each).hi < 0]
    verdict: Verdict = "confirmed" if mean.lo > 0 else "undecided"
    if mean.hi < 0 or below:
        verdict = "contradicted"
    text = because.format(estimate_text(mean))
    size = {"beyond": "above", "within": "no more than", "open": "not told from"}[judged(_size(mean), noise)]
    text += f", {size} the seed noise of {loss_text(noise)}" if not math.isnan(noise) else ""
    text += f"; {len(gaps.cells)} horizons, {gaps.seeds} seeds"
    if below:
        text += f"; below zero at {_where(below, gaps)}"
    text += _trend_text(gaps, gaps.trend(LEVEL))
    return Claim(claim, verdict, text, seeds_to_tell(gaps, mean, 0.0) if verdict == "undecided" else "")


def _size(found: Estimate) -> Estimate:
    """A difference whichever its sign."""
    return found if not found.value < 0 else Estimate(-found.value, -found.hi, -found.lo)


def _level_of_each(gaps: SeedGaps) -> float:
    """Of a horizon's interval, where all of them are looked at."""
    return 1 - (1 - LEVEL) / max(len(gaps.cells), 1)


def _where(cells: list[float], gaps: SeedGaps) -> str:
    return "every horizon" if len(cells) == len(gaps.cells) else f"D = {', '.join(map(count_text, cells))}"


def _trend_text(gaps: SeedGaps, trend: Estimate) -> str:
    """The gap's ends over the horizons, where it changes with them beyond chance."""
    if not (trend.lo > 0 or trend.hi < 0):
        return ""
    first, last = min(gaps.cells), max(gaps.cells)
    text = f"; {signed(gaps.cell(first).value)} at D = {count_text(first)}, "
    return text + f"{signed(gaps.cell(last).value)} at {count_text(last)}: {estimate_text(trend)} a doubling"


def _longer(gaps: SeedGaps, trend: Estimate, noise: float) -> str:
    """Where a gap that grows with D is larger than the noise, by its trend."""
    middle = float(np.mean(np.log2(gaps.cells)))
    at = 2.0 ** (middle + (noise - float(gaps.pairs.mean().mean())) / trend.value)
    reached = f"by its trend it passes the seed noise near D = {count_text(at)}"
    return f"longer horizons or more seeds: the gap grows with D, and {reached}"


def seeds_to_tell(gaps: SeedGaps, mean: Estimate, margin: float) -> str:
    """`seeds_needed` at the level of all intervals here."""
    return seeds_needed(gaps, mean, margin, LEVEL)
