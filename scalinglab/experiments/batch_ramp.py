"""Does a larger batch stand in for a decay? MiniCPM's blog enlarges the batch in the stable phase, and drops it again.

Its finding: the loss falls by about 0.2 at once, but the later decay gains less; not adopted. All comparisons here are
of runs with one seed at equal tokens; what a larger batch saves is updates.
"""

from collections.abc import Callable

import pandas as pd

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.seed_gaps import Judged, SeedGaps, judged
from scalinglab.experiments import ramp_figures
from scalinglab.experiments.ramps import DECAYED, UNDECAYED, Ramp, Ramps
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.verdicts import Verdict, seeds_needed
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import percent
from scalinglab.experiments.wsd_findings import LEVEL, estimate_text, listed, loss_text

PUBLISHED_DROP = 0.2
"""MiniCPM's blog, nats/token."""


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the runs say. Raises InputError for a study that does not compare ramps (`Ramps`)."""
    runs = Ramps(trained)
    progress("pairs", 0, 1)
    unit = runs.loss_unit
    return Report(
        title=f"Batch ramps against decays at {count_text(runs.params)} parameters",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, and its blog",
        question="Does enlarging the batch on the trunk stand in for a decay, and what is left of it after one?",
        setup=_setup(runs),
        lines=tuple(_lines(runs)),
        tables={
            f"What each gains at equal tokens ({unit}, {LEVEL:.0%} intervals)": _gains(runs),
            f"Loss where decays end ({unit}), and updates to there": _ends(runs),
        },
        figures={
            "batch-ramp": lambda: ramp_figures.curves(runs),
            "batch-ramp-gains": lambda: ramp_figures.gains(runs, LEVEL),
            "batch-ramp-updates": lambda: ramp_figures.against_updates(runs, LEVEL),
        },
        claims=tuple(claims_of(runs)),
        verdict=verdict_of(runs),
        notes=(*_notes(runs), *trained.notes),
    )


def _setup(runs: Ramps) -> str:
    study = runs.trained.study
    spec = study.recipes[0][1]
    ramps = "; ".join(each.label for each in runs.ramps)
    return (
        f"Trunks of {len(study.seeds)} seeds at learning rate {study.training.lr:g}, one with a constant batch of "
        f"{count_text(study.training.batch_tokens)} tokens and others that enlarge it ({ramps} tokens), each decayed "
        f"by {spec.shape} over {percent(spec.share)} at "
        f"{listed([count_text(each) for each in runs.horizons(runs.constant)])} tokens, and measured there undecayed."
    )


def _each(runs: Ramps) -> float:
    """The level at which one ramp is judged, as there are several looks."""
    return 1 - (1 - LEVEL) / len(runs.ramps)


def _told(gaps: SeedGaps, i: float, level: float = LEVEL) -> Estimate:
    return gaps.cell(i, level) if i in gaps.cells else Estimate(float("nan"))


def share_text(found: Estimate) -> str:
    """A share in percent with its interval."""
    if found.lo != found.lo:
        return f"{100 * found.value:.0f} %"
    return f"{100 * found.value:.0f} % [{100 * found.lo:.0f}, {100 * found.hi:.0f}]"


# ---- lines and tables ------------------------------------------------------------------------------------


def _lines(runs: Ramps) -> list[Beside]:
    unit, at = runs.loss_unit, f"at D = {count_text(runs.last)}"
    decay = runs.by_decay()
    lines = [Beside(f"what the decay takes off the trunk of a constant batch {at} ({unit})", "",
                    estimate_text(decay.cell(runs.last, LEVEL)))]  # fmt: skip
    quantities: tuple[tuple[str, str, Callable[[Ramp], SeedGaps]], ...] = (
        (f"what the ramp takes off it ({unit})", f"about {PUBLISHED_DROP:g} nats/token (blog)", runs.by_ramp),
        (f"how much less the decay takes off after the ramp ({unit})", "less (blog)", runs.smaller_decay),
        (f"ramp and decay end above the decay alone ({unit})", "", runs.ends_above),
    )
    for what, published, quantity in quantities:
        found = runs.at_last(quantity)
        lines += [
            Beside(f"{ramp.label}: {what}", published, estimate_text(_told(found, i)))
            for i, ramp in enumerate(runs.ramps)
        ]
    shares, before = runs.at_last(runs.share), runs.updates(runs.constant)[runs.last]
    for i, ramp in enumerate(runs.ramps):
        lines.append(
            Beside(
                f"{ramp.label}: share of the decay's gain that the ramp alone gives",
                "",
                share_text(_told(shares, i)),
            )
        )
    for ramp in runs.ramps:
        after = runs.updates(ramp)[runs.last]
        lines.append(
            Beside(
                f"{ramp.label}: updates saved of {before:,} {at}",
                "",
                f"{before - after:,} ({percent(1 - after / before)})",
            )
        )
    for kind, what in ((UNDECAYED, "undecayed"), (DECAYED, "decayed")):
        lines.append(
            Beside(
                f"seed noise of one run, {what} ({unit})",
                "",
                loss_text(runs.noise(kind)),
                "standard deviation",
            )
        )
    return lines


def _gains(runs: Ramps) -> pd.DataFrame:
    rows = []
    decay = runs.by_decay()
    for horizon in runs.horizons(runs.constant):
        rows.append(
            {"D": count_text(horizon), "": runs.constant.label, "ramp": "", "share of the decay's gain": ""}
            | {"decay": estimate_text(decay.cell(horizon, LEVEL)), "decay, less": ""}
            | {"ramp and decay end above the decay": ""}
        )
        for ramp in runs.ramps:
            if horizon not in runs.horizons(ramp):
                continue
            quantities = (runs.by_ramp, runs.by_decay_after, runs.smaller_decay, runs.ends_above)
            own = [estimate_text(quantity(ramp).cell(horizon, LEVEL)) for quantity in quantities]
            rows.append(
                {"D": count_text(horizon), "": ramp.label, "ramp": own[0]}
                | {"share of the decay's gain": share_text(runs.share(ramp).cell(horizon, LEVEL))}
                | {"decay": own[1], "decay, less": own[2], "ramp and decay end above the decay": own[3]}
            )
    return pd.DataFrame(rows).fillna("")


def _ends(runs: Ramps) -> pd.DataFrame:
    rows = []
    for ramp in (runs.constant, *runs.ramps):
        for horizon in runs.horizons(ramp):
            means = {
                "at the fork": runs.losses(ramp, UNDECAYED, "fork"),
                "undecayed": runs.losses(ramp, UNDECAYED),
                "decayed": runs.losses(ramp, DECAYED),
            }
            rows.append(
                {"": ramp.label, "D": count_text(horizon), "updates": f"{runs.updates(ramp)[horizon]:,}"}
                | {name: loss_text(float(found[horizon].mean())) for name, found in means.items()}
            )
    return pd.DataFrame(rows)


# ---- claims ----------------------------------------------------------------------------------------------


def claims_of(runs: Ramps) -> list[Claim]:
    """The blog's, and what decides whether to adopt a ramp, at the furthest horizon."""
    ended, unit = runs.noise(DECAYED), runs.loss_unit
    lowers = runs.at_last(runs.by_ramp)
    less = runs.at_last(runs.smaller_decay)
    short = runs.at_last(runs.short_of_decay)
    above = runs.at_last(runs.ends_above)
    below = SeedGaps(-above.pairs)
    shares = runs.at_last(runs.share)
    by_share = "; ".join(f"{each.label} {share_text(_told(shares, i))}" for i, each in enumerate(runs.ramps))
    most, saved = _saves(runs, above, ended)
    saving = f"; {most.label} saves {saved} of the updates" if most else ""
    return [
        _of_sign(
            runs,
            f"Enlarging the batch on the trunk lowers its loss (blog: by about {PUBLISHED_DROP:g})",
            lowers,
            f"the ramp takes off the undecayed trunk ({unit})",
        ),
        _of_sign(
            runs, "After a ramp the decay gains less", less, f"less than with a constant batch, by ({unit})"
        ),
        _against_noise(
            runs,
            "A ramp stands in for a decay: one of them gains as much, within the seed noise",
            (short, ended, "confirmed"),
            f"the ramp alone ends above the decay by ({unit})",
            f"; its share: {by_share}",
        ),
        _against_noise(
            runs,
            "What a ramp gains does not outlast the decay: with both, none ends lower than the decay alone",
            (below, ended, "contradicted"),
            f"ramp and decay end below the decay alone by ({unit})",
        ),
        _against_noise(
            runs,
            "Updates are saved for nothing: with a ramp a decay ends no higher than the decay alone",
            (above, ended, "confirmed"),
            f"ramp and decay end above it by ({unit})",
            saving,
        ),
    ]


def _saves(runs: Ramps, above: SeedGaps, noise: float) -> tuple[Ramp | None, str]:
    """Of the ramps that end no higher than the decay alone the one with the fewest updates, and what it saves."""
    level, before = _each(runs), runs.updates(runs.constant)[runs.last]
    level_with = [
        each for i, each in enumerate(runs.ramps) if judged(_told(above, i, level), noise) == "within"
    ]
    if not level_with:
        return None, ""
    most = min(level_with, key=lambda each: runs.updates(each)[runs.last])
    return most, percent(1 - runs.updates(most)[runs.last] / before)


def _by_ramp(runs: Ramps, gaps: SeedGaps) -> str:
    return "; ".join(f"{each.label} {estimate_text(_told(gaps, i))}" for i, each in enumerate(runs.ramps))


def _looks(runs: Ramps) -> str:
    return (
        f"; each judged at {_each(runs):.1%}, as there are {len(runs.ramps)}" if len(runs.ramps) > 1 else ""
    )


def _of_sign(runs: Ramps, claim: str, gaps: SeedGaps, what: str) -> Claim:
    """That a difference is above zero under every ramp; below it under one contradicts."""
    level = _each(runs)
    cells = [_told(gaps, i, level) for i in range(len(runs.ramps))]
    verdict: Verdict = "undecided"
    if any(each.hi < 0 for each in cells):
        verdict = "contradicted"
    elif all(each.lo > 0 for each in cells):
        verdict = "confirmed"
    because = f"{what}: {_by_ramp(runs, gaps)}{_looks(runs)}"
    decide = ""
    if verdict == "undecided":
        unclear = [i for i, each in enumerate(cells) if not each.lo > 0]
        closest = min(unclear, key=lambda i: abs(cells[i].value))
        decide = f"{listed([runs.ramps[i].label for i in unclear])}: "
        decide += seeds_needed(SeedGaps(gaps.pairs[[float(closest)]]), cells[closest], 0.0, level)
    return Claim(claim, verdict, because, decide)


def _against_noise(
    runs: Ramps, claim: str, of: tuple[SeedGaps, float, Verdict], what: str, more: str = ""
) -> Claim:
    """Of gaps, judged against a noise.

    The third of `of`: "confirmed" where one ramp within the noise confirms the claim and all beyond it contradict it;
    "contradicted" where one beyond it contradicts and all within it confirm.
    """
    gaps, noise, if_any = of
    level = _each(runs)
    hows: list[Judged] = [judged(_told(gaps, i, level), noise) for i in range(len(runs.ramps))]
    verdict: Verdict = "undecided"
    if if_any == "confirmed":
        if "within" in hows:
            verdict = "confirmed"
        elif set(hows) == {"beyond"}:
            verdict = "contradicted"
    elif "beyond" in hows:
        verdict = "contradicted"
    elif set(hows) == {"within"}:
        verdict = "confirmed"
    because = f"{what}: {_by_ramp(runs, gaps)}; seed noise {loss_text(noise)}{_looks(runs)}{more}"
    decide = ""
    if verdict == "undecided":
        unclear = [i for i, how in enumerate(hows) if how == "open"]
        closest = min(unclear, key=lambda i: _told(gaps, i).value) if if_any == "confirmed" else unclear[0]
        own = SeedGaps(gaps.pairs[[float(closest)]])
        decide = f"{runs.ramps[closest].label}: {seeds_needed(own, _told(gaps, closest), noise, level)}"
    return Claim(claim, verdict, because, decide)


# ---- words -----------------------------------------------------------------------------------------------


def verdict_of(runs: Ramps) -> str:
    """The share of the decay's gain that ramps give, what they leave of it, where both end, and what they save."""
    decay = runs.by_decay().cell(runs.last, LEVEL)
    shares, less, above = (runs.at_last(each) for each in (runs.share, runs.smaller_decay, runs.ends_above))
    ranked = sorted(range(len(runs.ramps)), key=lambda i: _told(shares, i).value)
    low, high = ranked[0], ranked[-1]
    text = (
        f"At D = {count_text(runs.last)} the decay takes {estimate_text(decay)} {runs.loss_unit} off the trunk. Of "
        f"that ramps alone give {share_text(_told(shares, high))} ({runs.ramps[high].label})"
    )
    if low != high:
        text += f" down to {share_text(_told(shares, low))} ({runs.ramps[low].label})"
    smaller = [ramp.label for i, ramp in enumerate(runs.ramps) if _told(less, i, _each(runs)).lo > 0]
    if len(smaller) == len(runs.ramps):
        text += ", and after each of them the decay gains less"
    elif smaller:
        text += f", and after {len(smaller)} of {len(runs.ramps)} ({'; '.join(smaller)}) the decay is told to gain less"
    else:
        text += ", and after none of them is the decay told to gain less"
    noise = runs.noise(DECAYED)
    found: dict[str, list[str]] = {}
    for i, ramp in enumerate(runs.ramps):
        own = _told(above, i, _each(runs))
        words = {
            "beyond": "higher than the decay alone by more than that",
            "within": "no higher than it by more than that",
            "open": "undecided between the two",
        }[judged(own, noise)]
        if own.hi < -noise:
            words = "lower than the decay alone by more than that"
        found.setdefault(words, []).append(ramp.label)
    hows = [f"{words} for {'; '.join(labels)}" for words, labels in found.items()]
    text += f". With a seed noise of {loss_text(noise)}, ramp and decay together end {', '.join(hows)}"
    most, saved = _saves(runs, above, noise)
    return text + (
        f"; {most.label} saves {saved} of the updates." if most else "; so no update is saved for nothing."
    )


def _notes(runs: Ramps) -> list[str]:
    gaps = runs.at_last(runs.ends_above)
    return [
        (
            "All gains are at equal tokens: the trunk of a constant batch where the decay ends, less what is compared, "
            "of one seed. A ramp's gain and that of the decay after it add up to what both gain."
        ),
        (
            f"Intervals are Student's t on the deviation of a pair pooled over the ramps ({gaps.freedom:.1f} degrees "
            f"of freedom for the decayed ends), as {gaps.seeds} seeds of one ramp hardly tell it. The yardstick is the "
            "seed noise of one decayed run with the constant batch."
        ),
        (
            "The learning rate is not raised with the batch, and a ramp that has only just begun at a horizon is "
            "compared there too. Updates are what a larger batch saves where it fills the machine no worse; FLOPs are "
            "the same."
        ),
        (
            "No trunk has a larger constant batch throughout, nor another learning rate: a ramp that ends lower may "
            "say no more than that the constant batch is small for this learning rate, or that its decay is short."
        ),
        "The blog's figure has no size, no noise and another batch: its drop stands beside ours for its sign.",
    ]
