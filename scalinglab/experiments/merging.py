"""Whether averages of trunk checkpoints stand in for a decay (WSM: Warmup-Stable and Merge, Tian et al. 2025).

Weights c_j = f_j − f_{j+1} of the states give every update of the trunk the factor f that a decay would have given it
(`ladder.merge`); a decay's own updates differ in direction as well, being computed where it stands. So a merge equals
its decay to first order alone. All comparisons are made on one trunk: merge, decay and undecayed state of a seed.
"""

from collections.abc import Callable

import pandas as pd

from scalinglab.analysis import count_text
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.experiments import merging_figures
from scalinglab.experiments.gap_claims import matched, seeds_to_tell
from scalinglab.experiments.merge_ends import MergeEnds, mean_gaps
from scalinglab.experiments.merging_words import (
    FACTORS,
    NEAR,
    NEAR_WEIGHTS,
    NUMBER,
    WEIGHTS,
    WINDOW,
    growth_text,
    levels_text,
    notes_of,
    percent_text,
    setup_of,
    verdict_of,
    window_text,
)
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.verdicts import Verdict
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import percent
from scalinglab.experiments.wsd_findings import LEVEL, estimate_text, listed, loss_text


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the runs say.

    Raises InputError for a study of several sizes, or without merges, decays or the undecayed trunk at a horizon.
    """
    ends = MergeEnds(trained)
    progress("merges", 0, 1)
    size = trained.study.shape(trained.study.ladder.sizes[0])
    return Report(
        title=f"Merged checkpoints against decays at {count_text(size.params)} parameters",
        source="Tian et al. 2025 (WSM), arXiv 2507.17634",
        question="Can a weighted average of the trunk's checkpoints stand in for a decay, and what does it hang on?",
        setup=setup_of(ends),
        lines=tuple(_lines(ends)),
        tables=_tables(ends),
        figures={
            "merge": lambda: merging_figures.against_window(ends),
            "merge-share": lambda: merging_figures.share_of_gain(ends),
        },
        claims=tuple(claims_of(ends)),
        verdict=verdict_of(ends),
        notes=(*notes_of(ends), *trained.notes),
    )


# ---- published beside ours -------------------------------------------------------------------------------


def _lines(ends: MergeEnds) -> list[Beside]:
    unit, gap = ends.loss_unit, ends.best_gap()
    decay_gain = SeedGaps(ends.losses(None)[ends.horizons] - ends.best_of(ends.decays))
    lines = [
        Beside(
            f"best merge above the best decay ({unit})",
            "below 0: MMLU-Pro +5.5 %, HumanEval +2.9 %, MATH +3.5 %",
            estimate_text(gap.overall(LEVEL)),
            "published: benchmarks, with chosen data at the end",
        ),
        Beside(
            f"what the best decay takes off the undecayed trunk ({unit})",
            "",
            estimate_text(decay_gain.overall(LEVEL)),
        ),
        Beside("share of that which the best merge takes off", "", percent_text(ends.share_of_gain(None))),
    ]  # fmt: skip
    for merge, decay in ends.twins:
        lines.append(
            Beside(
                f"{merge.label}, above its decay ({unit})",
                "0 to first order",
                estimate_text(ends.gap(merge, decay).overall(LEVEL)),
                f"gains {percent_text(ends.share_of_gain(merge))} of what the best decay does",
            )
        )
    for shape in ends.shapes:
        windows, inside = ends.best_windows(shape)
        if windows:
            text = "; ".join(f"{window_text(each)} at D = {count_text(each.horizon)}" for each in windows)
            lines.append(Beside(f"best window, {shape} weights (share of D)", "", text, growth_text(inside)))
    for factor in FACTORS:
        if factor in ends.effects:
            lines.append(
                Beside(
                    f"s.d. of the loss over the {FACTORS[factor]} ({unit})",
                    "the largest" if factor == WINDOW else "",
                    ends.spread(factor).overall(LEVEL).text(),
                    levels_text(ends, factor),
                )
            )
    best = ends.best_for_compute
    equal = ends.at_equal_compute(best)
    if equal.seeds:
        lines.append(
            Beside(
                f"best merge above the decay {best.label} at equal compute: the trunk goes on meanwhile ({unit})",
                "",
                estimate_text(equal.overall(LEVEL)),
                f"D = {listed([count_text(each) for each in equal.cells])}; the decay that does best so",
            )
        )
    alone, beside = ends.tokens(ends.merges), ends.tokens([best])
    lines.append(
        Beside(
            f"tokens of one trunk with {best.label} at every horizon, over those of a trunk with merges",
            "",
            f"{beside / alone:.3f}",
            f"{count_text(beside)} and {count_text(alone)}",
        )
    )
    lines.append(
        Beside(f"seed noise of one decayed run ({unit})", "", loss_text(ends.noise), "standard deviation")
    )
    return lines


# ---- tables ----------------------------------------------------------------------------------------------


def _tables(ends: MergeEnds) -> dict[str, pd.DataFrame]:
    unit = ends.loss_unit
    tables = {
        f"Loss below the undecayed trunk at the same tokens ({unit}, {LEVEL:.0%} intervals)": _by_horizon(
            ends
        ),
        "Share of the best decay's gain": _shares(ends),
    }
    if ends.twins:
        tables[f"Merges above the decay that their weights stand for ({unit})"] = pd.DataFrame(
            [_cells(merge.label, ends.gap(merge, decay), ends.horizons) for merge, decay in ends.twins]
        )
    if len(ends.horizons) > 1:
        tables[
            f"Best merge at equal compute, above each decay: the trunk goes on for what the decay took ({unit})"
        ] = pd.DataFrame(
            [_cells(each.label, ends.at_equal_compute(each), ends.horizons[:-1]) for each in ends.decays]
        )
    if len(ends.counts) > 1:
        *fewer, most = ends.counts
        what = f"{most.shape_text} weights over {percent(most.share)} ({unit})"
        tables[f"Fewer states, above {most.count} of them, {what}"] = pd.DataFrame(
            [_cells(f"{each.count} states", ends.gap(each, most), ends.horizons) for each in fewer]
        )  # fmt: skip
    if WINDOW in ends.effects:
        tables["What the loss varies with"] = _variance(ends)
    if len(ends.eval_sets) > 1:
        tables[f"Best merge above best decay by held-out set ({unit})"] = pd.DataFrame(
            [_cells(name, ends.best_gap(name), ends.horizons) for name in ends.eval_sets]
        )
    return tables


def _cells(name: str, gaps: SeedGaps, horizons: list[float]) -> dict[str, str]:
    row = {"": name}
    for horizon in horizons:
        known = horizon in gaps.cells
        row[f"D = {count_text(horizon)}"] = estimate_text(gaps.cell(horizon, LEVEL)) if known else ""
    return row | {
        "all": estimate_text(gaps.overall(LEVEL)),
        "a doubling of D": estimate_text(gaps.trend(LEVEL)),
    }


def _by_horizon(ends: MergeEnds) -> pd.DataFrame:
    return pd.DataFrame(
        [_cells(each.label, ends.gain(each), ends.horizons) for each in (*ends.decays, *ends.merges)]
    )


def _shares(ends: MergeEnds) -> pd.DataFrame:
    rows = []
    for merge in (None, *ends.merges):
        row = {"": "best of each horizon" if merge is None else merge.label}
        for horizon in ends.horizons:
            row[f"D = {count_text(horizon)}"] = percent_text(ends.share_of_gain(merge, horizon))
        rows.append(row | {"all": percent_text(ends.share_of_gain(merge))})
    return pd.DataFrame(rows)


def _variance(ends: MergeEnds) -> pd.DataFrame:
    """Shares of the grid's variance, and the standard deviation of each factor with the number of states beside."""
    apart = (NUMBER, NEAR, NEAR_WEIGHTS)
    whole = sum(float(each.mean()) for name, each in ends.effects.items() if name not in apart)
    rows = []
    for name, each in ends.effects.items():
        rows.append(
            {
                "": FACTORS.get(name, name),
                "levels": levels_text(ends, name) if name in FACTORS else "",
                f"s.d. ({ends.loss_unit})": ends.spread(name).overall(LEVEL).text(),
                "of the variance over windows and weights": ""
                if name in apart or not whole
                else f"{float(each.mean()) / whole:.0%}",
            }
        )
    return pd.DataFrame(rows)


# ---- claims ----------------------------------------------------------------------------------------------


def claims_of(ends: MergeEnds) -> list[Claim]:
    """The paper's claims, those left out that the study has nothing for."""
    claims = [
        matched(
            "A merge of trunk checkpoints does as well as a decay, or better (WSM)",
            ends.best_gap(),
            ends.noise,
            f"the best merge of each horizon ends {{}} {ends.loss_unit} from its best decay",
        )
    ]
    if ends.twins:
        claims.append(_first_order(ends))
    if WINDOW in ends.effects and len(ends.effects) > 1:
        claims.append(_duration(ends))
    shape = _shape_claim(ends)
    return [*claims, shape] if shape else claims


def _first_order(ends: MergeEnds) -> Claim:
    gaps = mean_gaps([ends.gap(merge, decay) for merge, decay in ends.twins])
    claim = "A merge equals the decay that its weights stand for (equal to first order, WSM)"
    pairs = f"over {len(ends.twins)} pair{'s' * (len(ends.twins) > 1)} of one shape and length, "
    if gaps.overall(LEVEL).value >= 0:
        return matched(claim, gaps, ends.noise, f"{pairs}merges end {{}} {ends.loss_unit} from their decays")
    turned = SeedGaps(-gaps.pairs)
    return matched(claim, turned, ends.noise, f"{pairs}decays end {{}} {ends.loss_unit} from their merges")


def _duration(ends: MergeEnds) -> Claim:
    """Whether the window's standard deviation is above the others', seed by seed.

    Over all windows, and over those that span no more than the numbers of states do: what holds for the one and not for
    the other hangs on what was tried.
    """
    verdict, because, decide = _mattering(ends, WINDOW)
    tried = f"; windows {percent(ends.shared[0])} to {percent(ends.shared[-1])}"
    if ends.counts:
        tried += f", {ends.counts[0].count} to {ends.counts[-1].count} states"
    because += tried
    if ends.near:
        near, told, _ = _mattering(ends, NEAR)
        because += f". Windows that span about the factor of those numbers alone, {percent(ends.near[0])} to "
        because += f"{percent(ends.near[-1])}: {told}"
        if near != verdict:
            verdict = "undecided"
            decide = "what windows are meant: it hangs on those beyond "
            decide += f"{percent(ends.near[0])} to {percent(ends.near[-1])}"
    return Claim(
        "The length of the window matters most, more than how many states it holds (WSM)",
        verdict,
        because,
        decide,
    )


def _mattering(ends: MergeEnds, windows: str) -> tuple[Verdict, str, str]:
    """(whether the window matters more than each other factor, the figures, what would decide it)."""
    weights = WEIGHTS if windows == WINDOW else NEAR_WEIGHTS
    window, others = ends.spread(windows), [each for each in (NUMBER, weights) if each in ends.effects]
    apart = {each: SeedGaps(window.pairs - ends.spread(each).pairs) for each in others}
    level = 1 - (1 - LEVEL) / len(others)
    found = {each: gaps.overall(level) for each, gaps in apart.items()}
    verdict: Verdict = "confirmed" if all(each.lo > 0 for each in found.values()) else "undecided"
    if any(each.hi < 0 for each in found.values()):
        verdict = "contradicted"
    because = (
        f"s.d. of the loss over the {FACTORS[windows]} {window.overall(LEVEL)} {ends.loss_unit}, "
        + ", ".join(
            f"over the {FACTORS[each]} {ends.spread(each).overall(LEVEL)} (difference {estimate_text(found[each])})"
            for each in others
        )
    )
    decide = ""
    if verdict == "undecided":
        closest = min((each for each in others if not found[each].lo > 0), key=lambda each: found[each].value)
        decide = seeds_to_tell(apart[closest], found[closest], 0.0)
    return verdict, because, decide


def _shape_claim(ends: MergeEnds) -> Claim | None:
    """Whether the better shape of a decay is the better shape of weights. On the same trunks: zero is the yardstick."""
    if len(ends.shapes) < 2:
        return None
    one, other = ends.shapes[:2]
    mine, theirs = (
        ends.shape_gaps(ways, one, other)
        for ways in ([each for each in ends.merges if each.count == ends.count], ends.decays)
    )
    both = sorted({*mine} & {*theirs})
    if not both:
        return None
    merges, decays = (mean_gaps([gaps[share] for share in both]) for gaps in (mine, theirs))
    found = [each.overall(LEVEL) for each in (merges, decays)]
    signs = [1 if each.lo > 0 else -1 if each.hi < 0 else 0 for each in found]
    verdict: Verdict = "undecided" if 0 in signs else "confirmed" if signs[0] == signs[1] else "contradicted"
    text = (
        f"over {listed([percent(each) for each in both])}, {one} less {other}: merges {estimate_text(found[0])}, "
        f"decays {estimate_text(found[1])} {ends.loss_unit}, on the same trunks"
    )
    beyond = sorted({*mine} - {*both})
    if beyond:
        rest = mean_gaps([mine[share] for share in beyond]).overall(LEVEL)
        text += f"; merges over {listed([percent(each) for each in beyond])}: {estimate_text(rest)}"
    unclear = [gaps for gaps, sign in zip((merges, decays), signs, strict=True) if not sign]
    decide = seeds_to_tell(unclear[0], unclear[0].overall(LEVEL), 0.0) if unclear else ""
    return Claim(
        "The shape that is best for a decay is best for the weights of a merge", verdict, text, decide
    )
