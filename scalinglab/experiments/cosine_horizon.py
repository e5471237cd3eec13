"""Is T = S best? Cosine with T of half, all and twice the run, and the other schedules, at each horizon.

MiniCPM's figure 4 (Hu et al. 2024, section 4.1) at one size. All comparisons are of runs with the same seed, hence the
same weights at the start and the same batches.
"""

from collections.abc import Callable

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.experiments import horizon_figures
from scalinglab.experiments.gap_claims import matched, seeds_to_tell, worse
from scalinglab.experiments.horizon_ends import HorizonEnds, Way
from scalinglab.experiments.horizon_words import (
    STALLED,
    doubling_share,
    notes_of,
    ranked,
    setup_of,
    tables_of,
    verdict_of,
)
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.verdicts import Verdict
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_findings import LEVEL, estimate_text, listed, loss_text


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the runs say.

    Raises InputError for a study of several sizes, or one without cosines for its own horizons.
    """
    ends = HorizonEnds(trained)
    progress("gaps", 0, 1)
    size = trained.study.shape(trained.study.ladder.sizes[0])
    return Report(
        title=f"Cosine's period against the run's length at {count_text(size.params)} parameters",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4.1, figure 4",
        question=(
            "Is a cosine best when its period T is the run's length S, against a shorter and a longer one, against "
            "schedules that know no S, and against WSD?"
        ),
        setup=setup_of(ends),
        lines=tuple(_lines(ends)),
        tables=tables_of(ends),
        figures={
            "cosine-horizon": lambda: horizon_figures.gaps(ends, LEVEL),
            "cosine-horizon-curves": lambda: horizon_figures.curves(ends),
        },
        claims=tuple(claims_of(ends)),
        verdict=verdict_of(ends),
        notes=(*notes_of(ends), *trained.notes),
    )


def _lines(ends: HorizonEnds) -> list[Beside]:
    """Published beside ours; the paper prints no figure of these, but says which is lower."""
    unit = ends.loss_unit
    said = {0.5: "above", 2.0: "above"}
    lines = []
    for way in ends.others:
        published = "equal or below" if way.forked else said.get(way.ratio, "")
        lines.append(
            Beside(
                f"{way.label}: loss above {ends.reference.label} ({unit})",
                published,
                estimate_text(ends.gap(way).overall(LEVEL)),
                f"{estimate_text(ends.gap(way, relative=True).overall(LEVEL), 2)} %",
            )
        )
    stayed, made = ends.doubling()
    if stayed.seeds:
        what = "a doubling of tokens takes off the loss"
        lines += [
            Beside(
                f"{what} at the floor after T ({unit})", "stalls", estimate_text(stayed.overall(LEVEL))
            ),
            Beside(
                f"{what} with a cosine made for it ({unit})", "", estimate_text(made.overall(LEVEL))
            ),
            Beside("the first as a share of the second", "", doubling_share(ends)),
        ]  # fmt: skip
    if ends.loops:
        lines += [
            Beside(
                "CosineLoop: training loss at the peak above the floor before it (nats/token)",
                "a long rise",
                estimate_text(ends.loop_gaps("rise").overall(LEVEL)),
            ),
            Beside(
                "CosineLoop: what it loses of its lead on the trunk meanwhile (nats/token)",
                "",
                estimate_text(ends.loop_gaps("lost").overall(LEVEL)),
            ),
        ]
    noise = ends.noise().sd
    lines.append(
        Beside(
            f"seed noise of one {ends.reference.label} ({unit})", "", loss_text(noise), "standard deviation"
        )
    )
    return lines


# ---- claims ----------------------------------------------------------------------------------------------


def claims_of(ends: HorizonEnds) -> list[Claim]:
    """The paper's claims, those left out that the study has no runs for."""
    noise, unit = ends.noise().sd, ends.loss_unit
    claims = []
    for ratio, words in ((0.5, "shorter"), (2.0, "longer")):
        way = ends.at_ratio(ratio)
        if way is not None:
            claims.append(
                worse(
                    f"{ends.reference.label} ends below a {words} period, {way.label}",
                    ends.gap(way),
                    noise,
                    f"{way.label} ends {{}} {unit} from it",
                )
            )
    if ends.doubling()[0].seeds:
        claims.append(_stall_claim(ends, noise))
    if ends.loops:
        claims.append(_loop_claim(ends))
    claims += [
        matched(
            f"{way.label}, matches or beats {ends.reference.label} at its decay's end",
            ends.gap(way),
            noise,
            f"it ends {{}} {unit} from {ends.reference.label}",
        )
        for way in ends.decays
        if way in ends.others
    ]
    whole = [way for way in ends.others if not way.forked and way.kind not in ("cosine", "cosine-loop")]
    if whole:
        claims.append(_best_claim(ends, whole))
    return claims


def _stall_claim(ends: HorizonEnds, noise: float) -> Claim:
    """Going on at the floor is worth less than a share STALLED of what a cosine made for the longer run gets."""
    stayed, made = ends.doubling()
    short = SeedGaps(stayed.pairs - STALLED * made.pairs)
    mean = short.overall(LEVEL)
    verdict: Verdict = "confirmed" if mean.hi < 0 else "contradicted" if mean.lo > 0 else "undecided"
    because = (
        f"from T to 2·T at the floor the loss falls {_fall(stayed.overall(LEVEL))}, under a cosine made for 2·T "
        f"{_fall(made.overall(LEVEL))} {ends.loss_unit}: {doubling_share(ends)} of it, where it counts as stalling "
        f"below {STALLED:g}; seed noise {loss_text(noise)}; T = {listed([count_text(each) for each in stayed.cells])}, "
        f"{stayed.seeds} seeds"
    )
    decide = seeds_to_tell(short, mean, 0.0) if verdict == "undecided" else ""
    if len(stayed.cells) > 1:
        shares = [
            stayed.cell(each).value / made.cell(each).value for each in (stayed.cells[0], stayed.cells[-1])
        ]
        because += f"; the share is {shares[0]:.2f} at the shortest T and {shares[1]:.2f} at the longest"
    return Claim("Trained on after T at the least learning rate, the loss stalls", verdict, because, decide)


def _fall(found: Estimate) -> str:
    return estimate_text(found).replace("+", "")


def _loop_claim(ends: HorizonEnds) -> Claim:
    rise, lost = (ends.loop_gaps(what).overall(LEVEL) for what in ("rise", "lost"))
    verdict: Verdict = "confirmed" if rise.lo > 0 else "contradicted" if rise.hi < 0 else "undecided"
    longest = max(ends.loops, key=lambda loop: loop.tokens)
    because = (
        f"as the rate comes back to its peak, the training loss changes {estimate_text(rise)} nats/token over "
        f"{longest.rise_tokens / longest.tokens:.0%} of the run, and of its lead on the trunk it loses "
        f"{estimate_text(lost)}"
    )
    decide = seeds_to_tell(ends.loop_gaps("rise"), rise, 0.0) if verdict == "undecided" else ""
    return Claim("CosineLoop, which restarts, has long rises of the loss", verdict, because, decide)


def _best_claim(ends: HorizonEnds, whole: list[Way]) -> Claim:
    """Whether none of the schedules that do not fork ends below the cosine, each judged for as many looks."""
    each = 1 - (1 - LEVEL) / len(whole)
    found = {way: ends.gap(way).overall(each) for way in whole}
    below = [way for way, gap in found.items() if gap.hi < 0]
    above = [way for way, gap in found.items() if gap.lo > 0]
    verdict: Verdict = "contradicted" if below else "confirmed" if len(above) == len(whole) else "undecided"
    parts = [f"{way.label} {estimate_text(ends.gap(way).overall(LEVEL))}" for way, _ in ranked(ends, whole)]
    because = f"loss above it ({ends.loss_unit}): {', '.join(parts)}; each judged at {each:.1%}"
    decide = ""
    if verdict == "undecided":
        closest = min((way for way in whole if way not in above), key=lambda way: abs(found[way].value))
        decide = f"{closest.label}: {seeds_to_tell(ends.gap(closest), found[closest], 0.0)}"
    names = listed([way.label for way in whole])
    return Claim(
        f"{ends.reference.label} is the best of schedules without a fork: {names} end above it",
        verdict,
        because,
        decide,
    )
