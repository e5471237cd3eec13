"""What is said of a search: verdicts by rules on its numbers, in words."""

import math

from scalinglab.analysis import Estimate, count_text, number_text
from scalinglab.analysis.response_surface import FACTOR
from scalinglab.experiments.report import Claim
from scalinglab.experiments.search_findings import Findings, pooled

_MOST_SEEDS = 50


def side(value: Estimate) -> str:
    """found: the found constants are better beyond the interval; own: the study's; "" undecided or unknown."""
    return "found" if value.hi < 0 else "own" if value.lo > 0 else ""


def serves(f: Findings) -> str:
    """Whether the found constants are at most by a run's noise worse than MiniCPM's at every larger size."""
    noise, larger = f.compared.noise, f.larger
    if math.isnan(noise) or not larger:
        return "undecided"
    if all(each.hi < noise for each in larger):
        return "confirmed"
    return "contradicted" if any(each.lo > noise for each in larger) else "undecided"


def claims_of(f: Findings) -> list[Claim]:
    """The claims with their verdicts, by rule."""
    noise, unit = f.compared.noise, f.compared.loss_unit
    sizes = ", ".join(
        f"{count_text(size)}: {each}" for size, each in zip(f.compared.sizes[1:], f.larger, strict=True)
    )
    served = serves(f)
    here = side(f.smallest)
    trend = f.compared.trend()
    holds = "undecided"
    if here == "found":
        lost = f.largest.lo > 0 or trend.lo > 0
        holds = "confirmed" if f.largest.hi < 0 else "contradicted" if lost else "undecided"
    elif here == "own":
        holds = "contradicted"
    near, far = _apart(f)
    at, agrees = f.smallest, "undecided"
    if far or at.lo > noise or at.hi < -noise:
        agrees = "contradicted"
    elif len(near) == len(f.found) and -noise < at.lo <= at.hi < noise:
        agrees = "confirmed"
    d = f.compared.horizon
    return [
        Claim(
            "Constants found by a search on the smallest size serve larger ones (MiniCPM, section 3.1)",
            served,  # type: ignore[arg-type]
            f"found less MiniCPM's at D {count_text(d)}, by N: {sizes} {unit}; seeds differ by "
            f"{number_text(noise)} (sd)",
            _seeds_wanted(f) if served == "undecided" else "",
        ),
        Claim(
            "A search made for this ladder beats MiniCPM's constants on the size that was searched",
            {"found": "confirmed", "own": "contradicted", "": "undecided"}[here],  # type: ignore[arg-type]
            f"found less MiniCPM's at {count_text(f.compared.sizes[0])}: {f.smallest} {unit}",
            _seeds_wanted(f) if not here else "",
        ),
        Claim(
            "What it gains on the smallest size it gains on the largest",
            holds,  # type: ignore[arg-type]
            f"{f.smallest} at {count_text(f.compared.sizes[0])}, {f.largest} at {count_text(f.compared.sizes[-1])}; "
            f"slope over ln N {trend} {unit}",
            _seeds_wanted(f) if holds == "undecided" else "",
        ),
        Claim(
            "The search comes out at MiniCPM's constants",
            agrees,  # type: ignore[arg-type]
            _apart_words(f, near, far),
            "more finished trials near the best ones, and more seeds" if agrees == "undecided" else "",
        ),
    ]


def _apart(f: Findings) -> tuple[list[str], list[str]]:
    """Constants whose MiniCPM value lies among the best trials, and those outside both them and the surface's interval.

    A wide interval of the surface keeps a value from counting as apart; it does not make it count as near.
    """
    near, far = [], []
    for name, value in f.own.items():
        if f.found[name].lo <= value <= f.found[name].hi:
            near.append(name)
        elif f.surface is not None and not f.surface.optimum[name].lo <= value <= f.surface.optimum[name].hi:
            far.append(name)
    return near, far


def _apart_words(f: Findings, near: list[str], far: list[str]) -> str:
    told = []
    for name, value in f.own.items():
        ends = f"best trials {ends_text(f.found[name])}"
        if f.surface is not None:
            ends += f", surface {f.surface.optimum[name]}"
        where = "among the best" if name in near else "apart" if name in far else "beside the best"
        told.append(f"{name} {value:g} is {where} ({ends})")
    return "; ".join(told) + (f"; no surface: {f.no_surface}" if f.surface is None else "")


def _seeds_wanted(f: Findings) -> str:
    """How many seeds a size would tell the smallest of these differences from 0, by its scatter."""
    own = f.compared.pairs[f.compared.pairs["tokens"] == f.compared.horizon]
    spread, _ = pooled(own, ["difference"], ["params"])
    least = min(abs(each.value) for each in (f.smallest, *f.larger))
    if math.isnan(spread) or not least:
        return "more seeds a size"
    seeds = math.ceil((1.645 * spread / least) ** 2) + 1
    if seeds > _MOST_SEEDS:
        return f"more than {_MOST_SEEDS} seeds a size: a difference is about zero"
    return f"about {seeds} seeds a size, at these differences"


def verdict_of(f: Findings) -> str:
    unit, noise = f.compared.loss_unit, f.compared.noise
    said = {"found": "better than", "own": "worse than", "": "not told apart from"}

    def against(each: Estimate) -> str:
        size = (
            ""
            if math.isnan(noise)
            else f", {'more' if abs(each.value) > noise else 'less'} than seeds differ by"
        )
        return f"{said[side(each)]} MiniCPM's ({each} {unit}{size})"

    found = ", ".join(f"{name} {number_text(each.value)}" for name, each in f.found.items())
    served = {
        "confirmed": "they serve the larger sizes",
        "contradicted": "they do not serve every larger size",
        "undecided": "whether they serve the larger sizes is not told",
    }[serves(f)]
    text = (
        f"The search found {found}. These are {against(f.smallest)} on the size that was searched and "
        f"{against(f.largest)} on the largest; {served}."
    )
    if f.surface is not None:
        dear = max(f.found, key=lambda name: f.surface.retuned[name].value)  # type: ignore[union-attr]
        free = [
            name
            for name in f.found
            if f.surface.retuned[name].value < (noise if not math.isnan(noise) else 0.0)
        ]
        text += (
            f" Once the others are set anew, moving {dear} by a factor {FACTOR:g} costs most, "
            f"{f.surface.retuned[dear]} {unit}"
        )
        cheap = [name for name in free if name != dear]
        listed = " and ".join(filter(None, [", ".join(cheap[:-1]), *cheap[-1:]]))
        text += f"; for {listed} that is less than seeds differ by." if cheap else "."
    return text


def notes_of(f: Findings) -> list[str]:
    head = f.search.header
    notes = []
    if f.surface is None:
        notes.append(f"No surface was fitted: {f.no_surface}.")
    else:
        notes.append(
            f"The surface is a quadratic in the logarithms of the constants through {f.surface.trials} finished "
            f"trials, near ones weighing more; its residuals near the bottom are {number_text(f.surface.rms)} (rms). "
            "Its intervals hold the coefficients' error, not what a quadratic gets wrong."
        )
    notes.append(
        "Ends of the best trials say how far constants may move together at no cost that these trials notice; they are "
        "no confidence interval. All trials have one seed, whose luck they share."
    )
    inside = [
        name
        for name, (least, most) in f.search.searched.items()
        if 0.5 < math.sqrt(least * most) / f.own[name] < 2
    ]
    if inside:
        notes.append(
            f"The ranges of {', '.join(inside)} have MiniCPM's value near their middle, which is where a random trial "
            "lies on average: the search was told about where to look."
        )
    if head["rungs"]:
        notes.append(
            "Trials are compared at a constant learning rate, where high ones look worse than they end: those given up "
            f"at {count_text(head['rungs'][0])} tokens may include better ones at high rates."
        )
    if f.compared.lost:
        notes.append(f"{f.compared.lost} pairs are left out: a run of theirs diverged.")
    if float(head["horizon"]) < f.compared.horizon:
        notes.append(
            f"The search trained on {count_text(head['horizon'])} tokens; at {count_text(f.compared.horizon)} D is "
            "larger than what was searched, at every size."
        )
    return notes


def ends_text(value: Estimate) -> str:
    return f"{number_text(value.lo)} to {number_text(value.hi)}"
