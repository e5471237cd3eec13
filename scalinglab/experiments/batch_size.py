"""How the best batch grows as the loss falls: lines of equal loss over batch and tokens, their minima, bs = k / L^p.

MiniCPM's figure 2 (Hu et al. 2024, section 3.2): three sizes, six batches, one learning rate.
"""

import math
from collections.abc import Callable

from scalinglab.analysis import Estimate, number_text
from scalinglab.experiments import batch_figures
from scalinglab.experiments.batch_readings import NEAR, WIDE, Readings, read
from scalinglab.experiments.batch_words import (
    N_FACTOR,
    PUBLISHED_K,
    PUBLISHED_P,
    beyond,
    factor_over_sizes,
    notes_of,
    setup_of,
    shares,
    tables_of,
    verdict_of,
)
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.verdicts import Verdict
from scalinglab.experiments.wind_tunnel import Trained


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the runs say.

    Raises InputError where no line of equal loss can be drawn, or the study has fewer than three batches.
    """
    progress("lines of equal loss", 0, 1)
    found = read(trained)
    figures = {
        "batch-size": lambda: batch_figures.lines(found),
        "batch-size-law": lambda: batch_figures.law(found),
    }
    if found.by_rate:
        figures["batch-size-rate"] = lambda: batch_figures.rates(found)
    return Report(
        title="The best batch against the loss",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 3.2, figure 2",
        question=(
            "How does the batch that needs the fewest tokens to a loss grow as the loss falls, and is it the loss "
            "that decides?"
        ),
        setup=setup_of(trained, found),
        lines=tuple(_lines(found)),
        tables=tables_of(found),
        figures=figures,
        claims=tuple(claims_of(found)),
        verdict=verdict_of(found),
        notes=(*notes_of(found), *trained.notes),
    )


def _lines(found: Readings) -> list[Beside]:
    """Published beside ours."""
    law, unit = found.decayed, found.loss_unit
    lines = [
        Beside("p in bs = k / L^p", f"{PUBLISHED_P:g}", law.p, "noise of runs, and sizes drawn anew"),
        Beside("the same, least squares with sizes as units", "", found.p_by_size()),
    ]
    if found.wide is not None:
        lines.append(Beside(f"the same, parabolas over {WIDE} batches rather than {NEAR}", "", found.wide.p))
    for name, own in found.by_size.items():
        lines.append(Beside(f"the same, N = {name} alone", "", own.p, "noise of runs alone"))
    lines += [
        Beside(
            f"k, tokens for L in {unit}",
            f"{PUBLISHED_K:.3g} for L in nats/token of C4",
            law.k.text(True),
            "not comparable: k goes with the unit of L to the power p",
        ),
        Beside("exponent of N in bs at one loss", "0", law.params_exponent, "0 where L alone decides"),
        Beside("bs of the largest size over that of the smallest at one loss", "1", factor_over_sizes(found)),
    ]
    if found.undecayed is not None:
        what = "p read off the undecayed trunks"
        lines.append(Beside(what, "", found.undecayed.p, "the paper read it off training curves"))
    if found.by_rate:
        slope = "d ln bs / d ln lr at one loss"
        lines.append(Beside(slope, "", found.rate_slope(), "the paper held the learning rate at 0.01"))
        lines += [
            Beside(f"p at learning rate {lr:g}, smallest size", "", own.p)
            for lr, own in found.by_rate.items()
        ]
    if found.free is not None:
        lines.append(Beside("p with each batch at its best rate, smallest size", "", found.free.p))
    if law.known:
        for loss in _asked(found):
            lines.append(Beside(f"best batch at L = {loss:.3f} {unit} (tokens)", "", law.at(loss).text(True)))
    noise = f"{100 * found.noise:.2g} %" if not math.isnan(found.noise) else "not known"
    lines.append(
        Beside(
            "noise of a run's loss, in the shape of the valley",
            "",
            noise,
            f"{found.freedom} degrees of freedom",
        )
    )
    return lines


def _asked(found: Readings) -> list[float]:
    """The ends of the losses at which minima were told, and the middle."""
    own = found.inside["loss"]
    return [float(own.max()), math.sqrt(own.max() * own.min()), float(own.min())]


# ---- claims ----------------------------------------------------------------------------------------------


def claims_of(found: Readings) -> list[Claim]:
    """The paper's claims, those left out that the study has no runs for."""
    claims = [_grows(found), _exponent(found), _one_line(found)]
    if found.undecayed is not None:
        claims.append(_curves(found))
    if found.by_rate:
        claims.append(_rate(found))
    return claims


def _told(found: Readings) -> str:
    law = found.decayed
    return f"{len(found.inside)} of {len(law.minima)} lines have their minimum between batches"


_MORE = "more batches about the minima, more seeds, and sizes and horizons that span more of the loss"


def _grows(found: Readings) -> Claim:
    p = found.decayed.p
    verdict: Verdict = "confirmed" if p.lo > 0 else "contradicted" if p.hi < 0 else "undecided"
    return Claim(
        "The best batch grows as the loss falls",
        verdict,
        f"bs goes as 1/L^{p} ({_told(found)})" if found.decayed.known else _told(found),
        _MORE if verdict == "undecided" else "",
    )


def _exponent(found: Readings) -> Claim:
    """Confirmed where the interval holds the paper's p and is narrow enough to leave out half and twice of it."""
    p = found.decayed.p
    holds = p.lo <= PUBLISHED_P <= p.hi
    narrow = _within_factor_two(p, PUBLISHED_P)
    verdict: Verdict = "undecided"
    if not math.isnan(p.lo) and not holds:
        verdict = "contradicted"
    elif holds and narrow:
        verdict = "confirmed"
    because = f"p is {p}, its interval {'holds' if holds else 'does not hold'} {PUBLISHED_P:g}"
    if holds and not narrow:
        because += ", and with it its half or its double"
    return Claim(
        f"bs goes as 1/L^{PUBLISHED_P:g}",
        verdict,
        because if found.decayed.known else _told(found),
        _MORE if verdict == "undecided" else "",
    )


def _one_line(found: Readings) -> Claim:
    """Confirmed where by either end of the interval the sizes differ by less than N_FACTOR at one loss."""
    n, factor = found.decayed.params_exponent, factor_over_sizes(found)
    verdict: Verdict = "undecided"
    if not math.isnan(factor.lo):
        small = factor.lo >= 1 / N_FACTOR and factor.hi <= N_FACTOR
        verdict = "confirmed" if small else "contradicted" if beyond(n) else "undecided"
    because = (
        f"at one loss bs goes as N^{n}, a factor {factor} over the sizes"
        if not math.isnan(n.value)
        else "the minima cannot tell N from L: each loss is reached by one size alone"
    )
    decide = (
        "" if verdict != "undecided" else "losses that several sizes reach with minima between their batches"
    )
    return Claim(
        "One line in L serves all sizes: N does not matter beyond the loss", verdict, because, decide
    )


def _within_factor_two(found: Estimate, value: float) -> bool:
    """Whether an interval leaves out half and twice of a value: one that does not tells too little to confirm it."""
    return found.lo > value / 2 and found.hi < 2 * value


def _curves(found: Readings) -> Claim:
    """Whether the undecayed reading has the same exponent, to a factor of two."""
    assert found.undecayed is not None
    mine, theirs = found.decayed.p, found.undecayed.p
    apart = theirs.lo > mine.hi or theirs.hi < mine.lo
    open_ = math.isnan(mine.lo) or math.isnan(theirs.lo)
    within = mine.lo <= theirs.value <= mine.hi and theirs.lo <= mine.value <= theirs.hi
    within = within and _within_factor_two(mine, mine.value) and _within_factor_two(theirs, mine.value)
    verdict: Verdict = (
        "undecided" if open_ else "contradicted" if apart else "confirmed" if within else "undecided"
    )
    ratio = shares(found)
    because = f"p is {theirs} on the trunks and {mine} on decayed ends"
    if not math.isnan(ratio.value):
        because += f"; at one N and D the trunks' best batch is {ratio} times that of the ends"
    return Claim(
        "Losses read while the learning rate is still high tell the same exponent as decayed ones",
        verdict,
        because,
        _MORE if verdict == "undecided" else "",
    )


def _rate(found: Readings) -> Claim:
    slope, lrs = found.rate_slope(), sorted(found.by_rate)
    factor = Estimate(*(2.0**each for each in (slope.value, slope.lo, slope.hi)))
    verdict: Verdict = "undecided"
    if not math.isnan(slope.lo):
        small = factor.lo >= 1 / N_FACTOR and factor.hi <= N_FACTOR
        verdict = "contradicted" if beyond(slope) else "confirmed" if small else "undecided"
    because = (
        f"bs goes as lr^{slope} at one loss between {lrs[0]:g} and {lrs[-1]:g}: twice the rate, "
        f"{number_text(factor.value)} times the batch"
        if not math.isnan(slope.value)
        else f"no line has its minimum between batches at two of the rates {', '.join(f'{lr:g}' for lr in lrs)}"
    )
    return Claim(
        "The learning rate may be held: the best batch does not depend on it",
        verdict,
        because,
        "more rates and batches about the minima, and seeds" if verdict == "undecided" else "",
    )
