"""Is good data better in the decay or after it? MiniCPM's A-1 to B-3 (Hu et al. 2024, section 5).

The paper compares by benchmarks; here by the loss on held-out text of the good data, and of what the trunk read, which
is forgotten. Beyond the paper: the same amount of good data in both places, and how much of it the decay should hold.
"""

from collections.abc import Callable

import pandas as pd

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.experiments import data_figures
from scalinglab.experiments.data_mixtures import GOOD, WEB, Mixtures, Way
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.verdicts import Side, Verdict, seeds_needed, side_of
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import percent
from scalinglab.experiments.wsd_findings import LEVEL, estimate_text, listed, loss_text

PAIRS = (("A-2", "A-1"), ("B-3", "B-1"), ("B-3", "B-2"))
"""(ahead, behind) as the paper found them."""
_SAID: dict[Side, Verdict] = {"below": "confirmed", "above": "contradicted", "open": "undecided"}


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the runs say. Raises InputError for a study without what is compared (`Mixtures`)."""
    runs = Mixtures(trained)
    progress("pairs", 0, 1)
    unit = runs.loss_unit
    tables = {
        f"Losses of the paper's five ways ({unit})": _levels(runs),
        f"Differences by size ({unit}, {LEVEL:.0%} intervals)": _differences(runs),
        f"How much good data the decay should hold, against {runs.base.label} ({unit})": _doses(runs),
        f"At equal tokens of good data in all, against {runs.base.label} ({unit})": _equal(runs),
        "Gained on the good sets for each nat lost on the web's": _rates(runs),
    }
    return Report(
        title="Good data in the decay, or after it",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 5",
        question="Is good data better in the decay or after it, and is it the place or the amount that counts?",
        setup=_setup(runs),
        lines=tuple(_lines(runs)),
        tables={title: table for title, table in tables.items() if len(table)},
        figures={
            "data-in-decay": lambda: data_figures.against_good_tokens(runs),
            "data-in-decay-ways": lambda: data_figures.ways_apart(runs, LEVEL),
            "data-in-decay-forgetting": lambda: data_figures.exchange(runs),
        },
        claims=tuple(claims_of(runs)),
        verdict=verdict_of(runs),
        notes=(*_notes(runs), *trained.notes),
    )


def _setup(runs: Mixtures) -> str:
    study, lengths = runs.trained.study, [count_text(each) for each in runs.lengths]
    return (
        f"Trunks of {listed([count_text(each) for each in runs.sizes])} parameters and {len(study.seeds)} seeds on "
        f"{listed(list(runs.web))} (web); at D = {count_text(runs.horizon)} decays over "
        f"{count_text(runs.decay_tokens)} tokens on {listed([each.label for each in runs.mixtures])}, then "
        f"{listed(list(runs.good))} (good) alone at the rate that the decay ended at, measured after {listed(lengths)} "
        "tokens. " + "; ".join(each.label for each in runs.ways.values()) + "."
    )


def shown(gaps: SeedGaps, decimals: int = 4) -> str:
    """The mean over sizes with its interval."""
    return estimate_text(gaps.overall(LEVEL), decimals)


def by_size(runs: Mixtures, gaps: SeedGaps) -> str:
    """Each size's own mean with its interval, where there are several."""
    if len(gaps.cells) < 2:
        return ""
    return "; ".join(f"{count_text(cell)}: {estimate_text(gaps.cell(cell, LEVEL))}" for cell in gaps.cells)


def place_share(runs: Mixtures) -> Estimate | None:
    """Of what B-3 gains over B-1 on the good sets, the share that is left at equal tokens of good data.

    None where the lengths do not reach so far, or where no gain can be told from none.
    """
    ways = runs.ways
    equal, total = runs.at_equal_good(ways["B-3"], GOOD), runs.gap(ways["B-3"], ways["B-1"], GOOD)
    if equal is None or side_of(total, LEVEL) == "open":
        return None
    return SeedGaps(equal.pairs / total.pairs).overall(LEVEL)


# ---- lines and tables ------------------------------------------------------------------------------------


def _lines(runs: Mixtures) -> list[Beside]:
    ways, unit, lines = runs.ways, runs.loss_unit, []
    for ahead, behind in PAIRS:
        for which in (GOOD, WEB):
            gaps = runs.gap(ways[ahead], ways[behind], which)
            theirs = f"{ahead} ahead (benchmarks)" if which == GOOD else ""
            what = f"{ahead} less {behind}: loss on {which} ({unit})"
            lines.append(Beside(what, theirs, shown(gaps), by_size(runs, gaps)))
    for which in (GOOD, WEB):
        equal = runs.at_equal_good(ways["B-3"], which)
        if equal is not None:
            at = count_text(runs.good_tokens(ways["B-3"]))
            what = f"B-3 less a decay on {runs.base.label} after as much good data ({at}): loss on {which} ({unit})"
            lines.append(Beside(what, "", shown(equal), by_size(runs, equal)))
    share = place_share(runs)
    if share is not None:
        what = "share of B-3's gain over B-1 on good that is left at equal tokens of good data"
        lines.append(Beside(what, "", share))
    for mixture in runs.mixtures[1:]:
        worth = SeedGaps(runs.worth(Way(mixture, 0.0)).dropna(how="any"))
        if worth.seeds:
            what = f"tokens of good data after the decay that one in it is worth, {mixture.label}"
            lines.append(Beside(what, "", worth.overall(LEVEL), "by the loss on good at the decay's end"))
    for which in (GOOD, WEB):
        what = f"seed noise of one run, loss on {which} ({unit})"
        lines.append(Beside(what, "", loss_text(runs.noise(which)), "standard deviation"))
    return lines


def _levels(runs: Mixtures) -> pd.DataFrame:
    rows = []
    for way in runs.ways.values():
        row = {"": way.label, "good data in all": count_text(runs.good_tokens(way))}
        for which in (GOOD, WEB):
            for size, losses in runs.losses(way, which).items():
                row[f"{which}, {count_text(size)}"] = loss_text(float(losses.mean()))  # type: ignore[arg-type]
        rows.append(row)
    return pd.DataFrame(rows)


def _differences(runs: Mixtures) -> pd.DataFrame:
    ways, rows = runs.ways, []
    for ahead, behind in (*PAIRS, ("B-2", "B-1")):
        for which in (GOOD, WEB):
            rows.append(
                {"": f"{ahead} less {behind}"} | _row(runs, runs.gap(ways[ahead], ways[behind], which), which)
            )
    return pd.DataFrame(rows)


def _row(runs: Mixtures, gaps: SeedGaps, which: str) -> dict[str, str]:
    cells = {count_text(cell): estimate_text(gaps.cell(cell, LEVEL)) for cell in gaps.cells}
    noise = f"{gaps.overall(LEVEL).value / runs.noise(which):+.1f}".replace("-", "−")
    every = {"all": shown(gaps)} if len(cells) > 1 else {}
    return {"loss on": which} | cells | every | {"in seed noise": noise}


def _doses(runs: Mixtures) -> pd.DataFrame:
    rows = []
    for after in (0.0, *runs.lengths):
        for mixture in runs.mixtures[1:]:
            for which in (GOOD, WEB):
                gaps = runs.gap(Way(mixture, after), Way(runs.base, after), which)
                rows.append({"after": count_text(after), "decay": mixture.label} | _row(runs, gaps, which))
    return pd.DataFrame(rows)


def _equal(runs: Mixtures) -> pd.DataFrame:
    rows = []
    for mixture in runs.mixtures[1:]:
        for after in (0.0, *runs.lengths):
            way = Way(mixture, after)
            for which in (GOOD, WEB):
                gaps = runs.at_equal_good(way, which)
                if gaps is not None:
                    at = {
                        "decay": mixture.label,
                        "after": count_text(after),
                        "good": count_text(runs.good_tokens(way)),
                    }
                    rows.append(at | _row(runs, gaps, which))
    return pd.DataFrame(rows)


def _rates(runs: Mixtures) -> pd.DataFrame:
    rows = []
    for way in runs.ways.values():
        rates = runs.per_forgotten(way)
        row = {"": way.label}
        for size in rates:
            own = SeedGaps(rates[[size]])
            known = rates[size].notna().all()
            row[count_text(size)] = estimate_text(own.overall(LEVEL), 2) if known else "a seed lost nothing"  # type: ignore[arg-type]
        rows.append(row)
    return pd.DataFrame(rows)


# ---- claims ----------------------------------------------------------------------------------------------


def claims_of(runs: Mixtures) -> list[Claim]:
    """The paper's three, by the loss on the good sets, and two of ours, left out where the lengths do not reach."""
    ways, found = runs.ways, []
    words = {
        ("A-2", "A-1"): f"Good data mixed into the decay beats it after the decay alone ({ways['A-2'].label} against "
        f"{ways['A-1'].label})",
        ("B-3", "B-1"): f"The same with a longer training on good data ({ways['B-3'].label} against "
        f"{ways['B-1'].label})",
        ("B-3", "B-2"): f"Twice the training on good data does not make up for it ({ways['B-3'].label} against "
        f"{ways['B-2'].label})",
    }  # fmt: skip
    for (ahead, behind), words_of in words.items():
        gaps = runs.gap(ways[ahead], ways[behind], GOOD)
        web = runs.gap(ways[ahead], ways[behind], WEB)
        found.append(_judged(runs, words_of, gaps, GOOD, f"{ahead} less {behind}", f"; on web {shown(web)}"))
    way = ways["B-3"]
    on_good, on_web = (runs.at_equal_good(way, which) for which in (GOOD, WEB))
    if on_good is None or on_web is None:
        return found
    at = f"{count_text(runs.good_tokens(way))} tokens of good data in all"
    share = place_share(runs)
    left = f"; {share.text()} of B-3's gain over B-1 is left" if share is not None else ""
    found.append(
        _judged(
            runs,
            f"It is the place and not the amount alone: with {at} a decay that held part of them ends lower on good",
            on_good, GOOD, "B-3 less the decay without good data", left,
        )
    )  # fmt: skip
    found.append(
        _judged(
            runs, f"With {at} less of the web is forgotten where the decay held part of them",
            on_web, WEB, "B-3 less the decay without good data",
        )
    )  # fmt: skip
    return found


def _judged(runs: Mixtures, claim: str, gaps: SeedGaps, which: str, what: str, more: str = "") -> Claim:
    """The claim that a difference of runs on one trunk lies below zero."""
    verdict = _SAID[side_of(gaps, LEVEL)]
    mean, noise = gaps.overall(LEVEL), runs.noise(which)
    because = f"{what}, loss on {which}: {estimate_text(mean)} {runs.loss_unit}"
    sizes = by_size(runs, gaps)
    because += f" ({sizes})" if sizes else ""
    because += f", on the same trunks; seed noise {loss_text(noise)}; {gaps.seeds} seeds{more}"
    decide = seeds_needed(gaps, mean, 0.0, LEVEL) if verdict == "undecided" else ""
    return Claim(claim, verdict, because, decide)


# ---- words -----------------------------------------------------------------------------------------------

_HOW: dict[Side, str] = {"below": "lower", "above": "higher", "open": "not told apart"}


def verdict_of(runs: Mixtures) -> str:
    """Where the mixture ends, what twice the training does, the place against the amount, and the dose."""
    ways, unit = runs.ways, runs.loss_unit
    parts = []
    for ahead, behind in PAIRS:
        gaps = runs.gap(ways[ahead], ways[behind], GOOD)
        parts.append(f"{ahead} {_told(gaps)} {'than' if side_of(gaps, LEVEL) != 'open' else 'from'} {behind}")
    text = f"On the good data's held-out text ({unit}), {listed(parts)}."
    text += f" {_place_sentence(runs)}" if runs.at_equal_good(ways["B-3"], GOOD) is not None else ""
    return f"{text} {_dose_sentence(runs)}"


def _told(gaps: SeedGaps) -> str:
    side = side_of(gaps, LEVEL)
    return f"{'ends ' if side != 'open' else 'is '}{_HOW[side]} ({shown(gaps)})"


def _place_sentence(runs: Mixtures) -> str:
    way = runs.ways["B-3"]
    good, web = runs.at_equal_good(way, GOOD), runs.at_equal_good(way, WEB)
    assert good is not None
    assert web is not None
    side, share = side_of(good, LEVEL), place_share(runs)
    at = count_text(runs.good_tokens(way))
    text = f"At equal tokens of good data in all ({at}) the decay that held part of them {_told(good)}"
    if share is not None and share.lo > 0.5:
        text += f": {percent(share.value)} of B-3's gain over B-1 is the place"
    elif share is not None and share.hi < 0.5:
        what = "the rest is the amount" if side == "below" else "so that the gain is the amount"
        left = f"{percent(share.value)} of B-3's gain over B-1 is left, " if side == "below" else ""
        text += f": {left}{what}"
    return f"{text}; on the web's it {_told(web)}."


def _dose_sentence(runs: Mixtures) -> str:
    """The least loss on good by the decay's share of it, at the longest training that all have, and what it costs."""
    after = runs.lengths[-1]
    best, found = runs.base, Estimate(0.0)
    for mixture in runs.mixtures[1:]:
        mean = runs.gap(Way(mixture, after), Way(runs.base, after), GOOD).overall(LEVEL)
        if mean.value < found.value:
            best, found = mixture, mean
    if best is runs.base:
        return (
            f"After {count_text(after)} tokens of good data no share of it in the decay ends lower than none."
        )
    web = runs.gap(Way(best, after), Way(runs.base, after), WEB)
    return (
        f"Of the shares tried, {best.label} in the decay ends lowest on good after {count_text(after)} tokens more "
        f"({estimate_text(found)} against {runs.base.label}) and {shown(web)} on web."
    )


def _notes(runs: Mixtures) -> list[str]:
    gaps = runs.gap(runs.ways["B-3"], runs.ways["B-1"], GOOD)
    return [
        (
            "Pairs share seed, size and trunk, so that a difference is judged against zero; seed noise, the deviation "
            f"of whole runs, tells how large it is. A size's {LEVEL:.0%} interval is Student's t on the deviation of a "
            f"pair pooled over sizes ({gaps.freedom:.1f} degrees of freedom for B-3 less B-1); that of all sizes takes "
            "seeds as its units."
        ),
        (
            "A-2 and B-3 have had more good data than A-1 and B-1, as in the paper. At equal tokens of it the decay "
            "without any is trained on for longer afterwards, hence on more tokens in all; its loss between two "
            "lengths is taken to be straight in their logarithm."
        ),
        (
            "In the decay good data are learnt from at a higher rate than after it, where the rate stays at the "
            "decay's last: the place is both, when they come and at what rate."
        ),
        (
            "The paper compares models of 2.4B (A) and 1.2B (B) parameters by benchmarks after fine-tuning on "
            "instructions; here all five are of each size, the good data are plain text, and the yardstick is a loss."
        ),
    ]
