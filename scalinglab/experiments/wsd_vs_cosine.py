"""WSD against Cosine(T = S): do decays forked from one trunk match cosines made for each horizon, and how long?

MiniCPM's figures 5 and 16 (Hu et al. 2024, section 4.3) at one size. All comparisons are of runs with the same seed,
hence the same weights at the start and the same data order.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from scalinglab.analysis import count_text
from scalinglab.experiments import wsd_figures
from scalinglab.experiments.gap_claims import matched, seeds_to_tell
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.verdicts import Verdict
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import Ends, difference, percent
from scalinglab.experiments.wsd_findings import (
    LEVEL,
    Findings,
    estimate_text,
    listed,
    loss_text,
    published_gaps,
    published_share,
    share_text,
    signed,
)
from scalinglab.experiments.wsd_tables import ledger, tables_of
from scalinglab.experiments.wsd_words import notes_of, setup_of, verdict_of

ENOUGH, SHORT = 0.1, 0.025
"""The shares that MiniCPM speaks of."""
_OPPOSITE: dict[Verdict, Verdict] = {
    "confirmed": "contradicted",
    "contradicted": "confirmed",
    "undecided": "undecided",
}


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the runs say.

    Raises InputError for a study of several sizes, or one without cosines for its own horizons.
    """
    ends = Ends(trained)
    said = Findings(ends)
    progress("gaps", 0, 1)
    size = trained.study.shape(trained.study.ladder.sizes[0])
    return Report(
        title=f"WSD against cosine at {count_text(size.params)} parameters",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4.3, figures 5 and 16",
        question="Does a decay forked from one trunk match a cosine made for that horizon, and how long must it be?",
        setup=setup_of(ends),
        lines=tuple(_lines(said)),
        tables=tables_of(said),
        figures={
            "wsd-vs-cosine": lambda: wsd_figures.against_horizon(ends, LEVEL),
            "wsd-vs-cosine-share": lambda: wsd_figures.against_share(ends, LEVEL, published_gaps()),
            "wsd-vs-cosine-curves": lambda: wsd_figures.curves(ends),
        },
        claims=tuple(claims_of(said)),
        verdict=verdict_of(said),
        notes=(*notes_of(said), *trained.notes),
    )


def _lines(said: Findings) -> list[Beside]:
    """Published beside ours."""
    ends, main, unit = said.ends, said.ends.main, said.ends.loss_unit
    printed = published_gaps()
    lines = []
    for recipe in ends.recipes:
        theirs = next((gap for share, gap in printed.items() if math.isclose(share, recipe.share)), None)
        lines.append(
            Beside(
                f"{recipe.label}: loss above {ends.reference.label} (%)",
                f"{signed(theirs, 2)} (80N)" if theirs is not None and recipe in ends.lengths else "",
                estimate_text(said.mean(recipe, relative=True), 2),
                f"{estimate_text(said.mean(recipe))} {unit}",
            )
        )
    lines.append(
        Beside(
            f"share of the run at which {main.shape_text} meets {ends.reference.label}",
            f"{percent(published_share())} (80N)",
            share_text(said.meets),
            "straight in the logarithm between the shares tried",
        )
    )
    if len(ends.horizons) > 1:
        trend = said.gap(main).trend(LEVEL)
        lines.append(
            Beside(
                f"{main.label}: change of its gap with each doubling of D ({unit})", "", estimate_text(trend)
            )
        )
    horizon, whole, gap = said.against_best_whole()
    if whole != ends.reference:
        what = f"{main.label} above {whole.label}, the best whole run at D = {count_text(horizon)} ({unit})"
        lines.append(Beside(what, "", estimate_text(gap)))
    drop = difference(ends.trunk_losses("fork"), ends.losses(main)).overall(LEVEL)
    lines.append(
        Beside(
            f"what the decay of {percent(main.share)} takes off the trunk ({unit})", "", estimate_text(drop)
        )
    )
    lines.append(
        Beside(
            f"seed noise of one {ends.reference.label} ({unit})",
            "",
            loss_text(said.noise),
            "standard deviation",
        )
    )
    costs = ledger(ends)
    lines.append(
        Beside(
            f"compute of {len(costs)} cosines over that of one trunk with its decays of {percent(main.share)}",
            "",
            f"{costs['ratio'].iloc[-1]:.2f}",
        )
    )
    best = said.at_best_rates(main)
    if best is not None:
        what = f"{main.label} above {ends.reference.label} at D = {count_text(best.horizon)}, each at its best rate"
        note = f"lr {best.lr:g} and {best.reference_lr:g}; one seed" + (
            ", at the end of the rates" if best.edge else ""
        )
        lines.append(Beside(f"{what} ({unit})", "", estimate_text(best.gap), note))
    return lines


# ---- claims ----------------------------------------------------------------------------------------------


def claims_of(said: Findings) -> list[Claim]:
    """The paper's claims, those left out that the study has no decays for."""
    ends = said.ends
    claims = [
        matched(
            f"WSD with a decay of {percent(ends.main.share)} matches or beats Cosine(T = S)",
            said.gap(ends.main),
            said.noise,
            f"{ends.main.label} ends {{}} {ends.loss_unit} from {ends.reference.label}",
        )
    ]
    enough, short = said.of_share(ENOUGH), said.of_share(SHORT)
    longer = [each for each in ends.lengths if enough is not None and each.share > enough.share]
    if enough is not None and longer:
        best = min(longer, key=lambda each: said.mean(each, enough).value)
        claims.append(
            matched(
                f"a decay of {percent(ENOUGH)} of the total is enough at every horizon: a longer one gains nothing",
                said.gap(enough, best),
                said.noise,
                f"{percent(ENOUGH)} ends {{}} {ends.loss_unit} from {percent(best.share)} on the same trunks",
            )
        )
    if enough is not None and short is not None:
        found = matched(
            f"a decay of {percent(SHORT)} is not enough",
            said.gap(short, enough),
            said.noise,
            f"{percent(SHORT)} ends {{}} {ends.loss_unit} from {percent(ENOUGH)} on the same trunks",
            everywhere=False,
        )
        claims.append(replace(found, verdict=_OPPOSITE[found.verdict]))
    if len(ends.shapes) > 1:
        claims.append(_shape_claim(said))
    return claims


def _shape_claim(said: Findings) -> Claim:
    """Whether the main shape is the best of those of its length. On the same trunks, so zero is the yardstick."""
    ends = said.ends
    others = [each for each in ends.shapes if each != ends.main]
    each = 1 - (1 - LEVEL) / len(others)
    found = {other: said.gap(other, ends.main).overall(each) for other in others}
    above = [other for other, gap in found.items() if gap.lo > 0]
    below = [other for other, gap in found.items() if gap.hi < 0]
    verdict: Verdict = "contradicted" if below else "confirmed" if len(above) == len(others) else "undecided"
    parts = [f"{other.shape_text} {estimate_text(said.mean(other, ends.main))}" for other in others]
    because = (
        f"above {ends.main.shape_text} at {percent(ends.main.share)}, on the same trunks ({ends.loss_unit}): "
        + ", ".join(parts)
    )
    if verdict == "undecided":
        unclear = [other for other in others if other not in above]
        because += f"; {listed([other.shape_text for other in unclear])} cannot be told from it"
    decide = ""
    if verdict == "undecided":
        closest = min(
            (other for other in others if other not in above), key=lambda one: abs(found[one].value)
        )
        decide = seeds_to_tell(said.gap(closest, ends.main), found[closest], 0.0)
    return Claim(
        f"{ends.main.shape_text} is the best shape of a decay (Hägele et al. 2024)",
        verdict,
        because + f"; each judged at {each:.1%}, as there are {len(others)}",
        decide,
    )
