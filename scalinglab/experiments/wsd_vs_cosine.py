"""WSD against Cosine(T = S): do decays forked from one trunk match cosines made for each horizon, and how long are they?

MiniCPM's figures 5 and 16 (Hu et al. 2024, section 4.3) at one size. All comparisons are of runs with the same seed,
hence the same weights at the start and the same data order.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate, count_text
from scalinglab.analysis.seed_gaps import Judged, SeedGaps, judged, level_where
from scalinglab.experiments import wsd_figures
from scalinglab.experiments.minicpm_continual import ENDS as FIGURE_5
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import Ends, Recipe, difference, percent
from scalinglab.ladder import Scratch, Trunk, trunk_cost

LEVEL = 0.9
COSINE_80 = 3.648
"""Figure 5's Cosine(80N) of 0.036B on C4, read off it as FIGURE_5's losses."""
ENOUGH, SHORT = 0.1, 0.025
_VERDICT: dict[Judged, str] = {"beyond": "contradicted", "within": "confirmed", "open": "undecided"}
_MOST_SEEDS = 50


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the runs say. Raises InputError for a study that lacks decays, or cosines for its own horizons."""
    ends = Ends(trained)
    said = Findings(ends)
    progress("gaps", 0, 1)
    main, size = ends.main, trained.study.ladder.sizes[0]
    noise = said.noise
    lines = tuple(_lines(said))
    claims = tuple(_claims(said))
    return Report(
        title=f"WSD against cosine at {count_text(trained.study.shape(size).params)} parameters",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4.3, figures 5 and 16",
        question="Does a decay forked from one trunk match a cosine made for that horizon, and how long must it be?",
        setup=_setup(ends),
        lines=lines,
        tables=_tables(said),
        figures={
            "wsd-vs-cosine": lambda: wsd_figures.against_horizon(ends, LEVEL),
            "wsd-vs-cosine-share": lambda: wsd_figures.against_share(ends, LEVEL, published_gaps()),
            "wsd-vs-cosine-curves": lambda: wsd_figures.curves(ends),
        },
        claims=claims,
        verdict=_verdict(said),
        notes=(
            f"Every gap pairs runs of one seed. A horizon's {LEVEL:.0%} interval is Student's t on the deviation of a "
            f"pair pooled over horizons ({said.gap(main).freedom:.1f} degrees of freedom for {main.label}: fewer than "
            "independent pairs would give, as horizons of a seed share a trunk); a mean over horizons takes seeds "
            f"as units ({len(ends.seeds) - 1} degrees of freedom), which assumes nothing of how they are related.",
            f"The yardstick is the seed noise of one Cosine(S), a standard deviation of {loss_text(noise)} "
            f"{ends.loss_unit}: an interval wholly above it counts as a difference, one wholly below it as none. Pairs "
            f"of one seed deviate by {loss_text(said.gap(main).sd)}, which is why smaller differences can be seen.",
            _by_sets(said),
            "The paper's losses are nats/token on C4 at 0.036B, read off a figure, one seed each: its gaps are set beside "
            "ours in percent of the loss.",
            *_floors(ends),
            *trained.notes,
        ),
    )


class Findings:
    """The gaps and their yardstick, computed once."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.noise = ends.noise().sd
        self._gaps: dict[tuple[str, str, bool], SeedGaps] = {}

    def gap(self, recipe: Recipe, against: Recipe | None = None, relative: bool = False) -> SeedGaps:
        other = against or self.ends.reference
        key = (recipe.name, other.name, relative)
        if key not in self._gaps:
            self._gaps[key] = self.ends.gap(recipe, other, relative=relative)
        return self._gaps[key]

    def mean(self, recipe: Recipe, against: Recipe | None = None, relative: bool = False) -> Estimate:
        return self.gap(recipe, against, relative).overall(LEVEL)

    def of_share(self, share: float) -> Recipe | None:
        """The main shape at this length, where it was tried."""
        return next((each for each in self.ends.lengths if math.isclose(each.share, share)), None)

    @property
    def meets(self) -> Estimate:
        """The share at which the main shape comes down to Cosine(S), horizons together."""
        shares = np.array([each.share for each in self.ends.lengths])
        return level_where(shares, [self.mean(each) for each in self.ends.lengths])

    def by_shape(self) -> list[tuple[Recipe, float]]:
        """Shapes of the main length, the lowest loss first, with their mean less the main one's."""
        found = [
            (each, 0.0 if each == self.ends.main else self.mean(each, self.ends.main).value)
            for each in self.ends.shapes
        ]
        return sorted(found, key=lambda each: each[1])


def published_gaps() -> dict[float, float]:
    """Figure 5: the decay's share of 80N -> loss above Cosine(80N), in percent as 100·ln of the ratio."""
    return {
        decay / total: 100 * math.log(loss / COSINE_80)
        for (total, decay), loss in sorted(FIGURE_5.items(), key=lambda each: each[0][1] / each[0][0])
        if total == 80
    }


def published_share() -> float:
    """Where the line between figure 5's two decays of 80N meets Cosine(80N), straight in the logarithm of the share."""
    gaps = published_gaps()
    return level_where(np.array(list(gaps)), [Estimate(each) for each in gaps.values()]).value


# ---- published beside ours -----------------------------------------------------------------------------


def _lines(said: Findings) -> list[Beside]:
    ends, main = said.ends, said.ends.main
    unit, printed = ends.loss_unit, published_gaps()
    lines = []
    for recipe in [*ends.lengths, *(each for each in ends.recipes if each not in ends.lengths)]:
        theirs = next((v for share, v in printed.items() if math.isclose(share, recipe.share)), None)
        beside = theirs is not None and recipe in ends.lengths
        lines.append(
            Beside(
                f"{recipe.label}: loss above {ends.reference.label} (%)",
                f"{signed(theirs, 2)} (80N)" if beside and theirs is not None else "",
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
    trend = said.gap(main).trend(LEVEL)
    if len(ends.horizons) > 1:
        lines.append(
            Beside(f"{main.label}: what its gap gains with each doubling of D ({unit})", "", estimate_text(trend))
        )
    drop = difference(ends.trunk_losses("fork"), ends.losses(main)).overall(LEVEL)
    lines.append(Beside(f"what the decay of {percent(main.share)} takes off the trunk ({unit})", "", estimate_text(drop)))
    lines.append(
        Beside(f"seed noise of one {ends.reference.label} ({unit})", "", loss_text(said.noise), "standard deviation")
    )
    ledger = _ledger(ends)
    if len(ledger):
        last = ledger.iloc[-1]
        lines.append(
            Beside(
                f"compute of {len(ledger)} cosines, in units of one trunk with its decays of {percent(main.share)}",
                "",
                f"{last['ratio']:.2f}",
            )
        )
    best = _at_best_rates(ends)
    if best is not None:
        gap, mine, theirs, horizon = best
        lines.append(
            Beside(
                f"{main.label} less {ends.reference.label} at D = {count_text(horizon)}, each at its best of the "
                f"learning rates tried ({unit})",
                "",
                estimate_text(gap),
                f"{mine:g} and {theirs:g}; one seed",
            )
        )
    return lines


def _at_best_rates(ends: Ends) -> tuple[Estimate, float, float, float] | None:
    """(gap, rate of the decay, rate of the cosine, horizon) with each schedule at its own best rate; None without
    variants."""
    rows = ends.frame[ends.frame["eval_set"] == ends.eval_set]
    varied = rows[rows["variant"] != ""]
    if varied.empty:
        return None
    seed, horizon = varied["seed"].min(), varied["tokens"].max()
    here = rows[(rows["seed"] == seed) & (rows["tokens"] == horizon)]
    best = {}
    for recipe in (ends.main, ends.reference):
        own = here[here["recipe"] == recipe.name]
        if own.empty:
            return None
        best[recipe] = own.loc[own["loss"].idxmin()]
    mine, theirs = best[ends.main], best[ends.reference]
    gap = _single(ends.gap(ends.main), float(mine["loss"] - theirs["loss"]))
    return gap, float(mine["lr"]), float(theirs["lr"]), float(horizon)


def _single(gaps: SeedGaps, value: float) -> Estimate:
    """One pair's difference with the interval that a single pair has."""
    from scipy.stats import t

    if not gaps.freedom:
        return Estimate(value)
    half = float(t.ppf(0.5 + LEVEL / 2, gaps.freedom)) * gaps.sd
    return Estimate(value, value - half, value + half)


# ---- claims and verdict --------------------------------------------------------------------------------


def _claims(said: Findings) -> list[Claim]:
    ends = said.ends
    claims = [
        _matched(
            said,
            f"WSD with a decay of {percent(ends.main.share)} matches or beats Cosine(T = S)",
            said.gap(ends.main),
            f"{ends.main.label} ends {{}} {ends.loss_unit} from {ends.reference.label}",
        )
    ]
    enough, short = said.of_share(ENOUGH), said.of_share(SHORT)
    longer = [each for each in ends.lengths if enough is not None and each.share > enough.share]
    if enough is not None and longer:
        best = min(longer, key=lambda each: said.mean(each, enough).value)
        claims.append(
            _matched(
                said,
                f"a decay of {percent(ENOUGH)} of the total is enough, at every length of training",
                said.gap(enough, best),
                f"{percent(ENOUGH)} ends {{}} {ends.loss_unit} from {percent(best.share)} on the same trunks",
            )
        )
    if enough is not None and short is not None:
        found = _matched(
            said,
            f"a decay of {percent(SHORT)} is not enough",
            said.gap(short, enough),
            f"{percent(SHORT)} ends {{}} {ends.loss_unit} from {percent(ENOUGH)} on the same trunks",
            everywhere=False,
        )
        turned = {"confirmed": "contradicted", "contradicted": "confirmed"}
        claims.append(replace(found, verdict=turned.get(found.verdict, found.verdict)))
    if len(ends.shapes) > 1:
        claims.append(_shape_claim(said))
    return claims


def _matched(said: Findings, claim: str, gaps: SeedGaps, because: str, everywhere: bool = True) -> Claim:
    """The claim that a gap is no more than the seed noise; `because` has a place for the gap.

    everywhere: one horizon at which the gap is larger contradicts it as well, its interval widened for as many
    looks as there are horizons.
    """
    mean = gaps.overall(LEVEL)
    how = judged(mean, said.noise)
    each = 1 - (1 - LEVEL) / max(len(gaps.cells), 1)
    beyond = [cell for cell in gaps.cells if judged(gaps.cell(cell, each), said.noise) == "beyond"]
    text = because.format(estimate_text(mean)) + f"; seed noise {loss_text(said.noise)}"
    text += f"; {len(gaps.cells)} horizons, {gaps.seeds} seeds"
    if beyond:
        where = "every horizon" if len(beyond) == len(gaps.cells) else f"D = {', '.join(map(count_text, beyond))}"
        text += f"; above the noise at {where}"
    if everywhere and beyond:
        how = "beyond"
    if how == "within" and mean.lo > 0:
        text += "; above zero, but by less than another seed changes"
    if how == "within" and mean.hi < 0:
        text += "; below zero"
    return Claim(claim, _VERDICT[how], text, _decide(gaps, mean, said.noise) if how == "open" else "")  # type: ignore[arg-type]


def _decide(gaps: SeedGaps, mean: Estimate, margin: float) -> str:
    """How many seeds would bring the interval to one side of the margin, were the mean to stay."""
    if math.isnan(mean.lo) or math.isnan(margin):
        return "more seeds: one alone has no interval"
    apart = abs(mean.value - margin)
    by_seed = float(gaps.pairs.mean(axis=1).std(ddof=1))
    needed = next((n for n in range(2, _MOST_SEEDS + 1) if _half(n) * by_seed < apart), None)
    if needed is None:
        return f"more than {_MOST_SEEDS} seeds: the gap is about as large as the seed noise"
    return f"about {max(needed, gaps.seeds + 1)} seeds, if the mean stays"


def _half(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + LEVEL / 2, n - 1)) / math.sqrt(n)


def _shape_claim(said: Findings) -> Claim:
    """Whether the main shape is the best of those of its length. Paired on the same trunks, so zero is the yardstick."""
    ends = said.ends
    others = [each for each in ends.shapes if each != ends.main]
    each = 1 - (1 - LEVEL) / len(others)
    found = {other: said.gap(other, ends.main).overall(each) for other in others}
    above = [other for other, gap in found.items() if gap.lo > 0]
    below = [other for other, gap in found.items() if gap.hi < 0]
    verdict = "contradicted" if below else "confirmed" if len(above) == len(others) else "undecided"
    parts = [f"{other.shape_text} {estimate_text(said.mean(other, ends.main))}" for other in others]
    because = (
        f"above {ends.main.shape_text} at {percent(ends.main.share)}, on the same trunks ({ends.loss_unit}): "
        + ", ".join(parts)
    )
    if verdict == "undecided":
        unclear = [other for other in others if other not in above]
        because += f"; {_listed([other.shape_text for other in unclear])} cannot be told from it"
    decide = ""
    if verdict == "undecided":
        closest = min((other for other in others if other not in above), key=lambda one: abs(found[one].value))
        decide = _decide(said.gap(closest, ends.main), found[closest], 0.0)
    return Claim(
        f"{ends.main.shape_text} is the best shape of a decay (Hägele et al. 2024)",
        verdict,  # type: ignore[arg-type]
        because + f"; each judged at {each:.1%}, as there are {len(others)}",
        decide,
    )


def _verdict(said: Findings) -> str:
    ends, main = said.ends, said.ends.main
    gap, relative = said.mean(main), said.mean(main, relative=True)
    how = {
        "beyond": "above it by more than the seed noise",
        "within": "no more than the seed noise above it" if gap.hi > 0 else "below it",
        "open": "which leaves open whether it matches",
    }[judged(gap, said.noise)]
    text = (
        f"{main.label} of the run ends {estimate_text(gap)} {ends.loss_unit} ({estimate_text(relative, 2)} %) from "
        f"{ends.reference.label}, {how} (seed noise {loss_text(said.noise)}). "
    )
    if len(ends.lengths) > 1:
        text += _length_sentence(said)
    if len(ends.shapes) > 1:
        (best, low), (second, next_low), *_ = said.by_shape()
        lead = said.mean(second, best)
        sure = "beyond its interval" if lead.lo > 0 else "which its interval does not tell from none"
        text += (
            f" Of the shapes at {percent(main.share)} {best.shape_text} is lowest, {loss_text(next_low - low)} below "
            f"{second.shape_text} ({sure}); the worst lies {loss_text(said.by_shape()[-1][1] - low)} above it"
            f"{_in_noise(said.by_shape()[-1][1] - low, said.noise)}."
        )
    return text


def _in_noise(value: float, noise: float) -> str:
    return "" if math.isnan(noise) or noise == 0 else f", {value / noise:.1f} of the seed noise"


def _length_sentence(said: Findings) -> str:
    ends, meets = said.ends, said.meets
    shortest, longest = ends.lengths[0], ends.lengths[-1]
    if math.isinf(meets.value):
        text = f"No length up to {percent(longest.share)} brings {ends.main.shape_text} down to it"
    elif meets.value == 0.0:
        text = f"Already {percent(shortest.share)} bring {ends.main.shape_text} down to it"
    else:
        text = f"{ends.main.shape_text} comes down to it at {share_text(meets)} of the run"
    steps = []
    for one, other in zip(ends.lengths, ends.lengths[1:], strict=False):
        gain = said.mean(one, other)
        steps.append(
            f"{percent(one.share)} to {percent(other.share)} gains {estimate_text(gain)}"
            + (" (beyond the noise)" if judged(gain, said.noise) == "beyond" else "")
        )
    return f"{text}; {'; '.join(steps)}."


# ---- tables ----------------------------------------------------------------------------------------------


def _tables(said: Findings) -> dict[str, pd.DataFrame]:
    ends = said.ends
    tables = {
        f"Loss above {ends.reference.label} by horizon ({ends.loss_unit}, {LEVEL:.0%} intervals)": _by_horizon(said),
    }
    if len(ends.lengths) > 1:
        tables[f"Length of the decay, {ends.main.shape_text}"] = _by_length(said)
    if len(ends.shapes) > 1:
        tables[f"Shapes at {percent(ends.main.share)}, the lowest first"] = _shape_table(said)
    tables[f"The trunk before the decay, and without one ({ends.loss_unit})"] = _trunk_table(said)
    tables[f"Compute of one trunk with decays of {percent(ends.main.share)}, and of a cosine a horizon"] = _ledger(
        ends
    ).assign(ratio=lambda t: [f"{each:.2f}" for each in t["ratio"]])
    rates = _rates(ends)
    if len(rates):
        tables[f"Other learning rates, one seed ({ends.loss_unit}; intervals of a single pair)"] = rates
    if len(ends.eval_sets) > 1:
        tables[f"By held-out set, over all horizons ({ends.loss_unit})"] = _sets(said)
    return tables


def _by_horizon(said: Findings) -> pd.DataFrame:
    ends, rows = said.ends, []
    for recipe in ends.recipes:
        gaps = said.gap(recipe)
        row = {"": recipe.label}
        for horizon in ends.horizons:
            known = horizon in gaps.cells
            row[f"D = {count_text(horizon)}"] = estimate_text(gaps.cell(horizon, LEVEL)) if known else ""
        row["all"] = estimate_text(said.mean(recipe))
        row["all, %"] = estimate_text(said.mean(recipe, relative=True), 2)
        rows.append(row)
    return pd.DataFrame(rows)


def _by_length(said: Findings) -> pd.DataFrame:
    ends, rows = said.ends, []
    for i, recipe in enumerate(ends.lengths):
        own = ends.planned[(ends.planned["recipe"] == recipe.name) & (ends.planned["variant"] == "")]
        longer = ends.lengths[i + 1] if i + 1 < len(ends.lengths) else None
        rows.append(
            {
                "share": percent(recipe.share),
                "updates": f"{own['steps'].min():.0f} to {own['steps'].max():.0f}",
                f"above {ends.reference.label}": estimate_text(said.mean(recipe)),
                "in seed noise": f"{said.mean(recipe).value / said.noise:+.1f}".replace("-", "−"),
                "above the next length": estimate_text(said.mean(recipe, longer)) if longer else "",
            }
        )
    return pd.DataFrame(rows)


def _shape_table(said: Findings) -> pd.DataFrame:
    ends, rows = said.ends, []
    ranked = said.by_shape()
    for recipe, _ in ranked:
        best = ranked[0][0]
        above = said.mean(recipe, best) if recipe != best else Estimate(0.0)
        gaps = said.gap(recipe, best)
        rows.append(
            {
                "shape": recipe.shape_text,
                f"above {ends.reference.label}": estimate_text(said.mean(recipe)),
                "above the lowest": "" if recipe == best else estimate_text(above),
                "higher in": "" if recipe == best else f"{int((gaps.pairs > 0).sum().sum())} of {gaps.pairs.size} pairs",
                "in seed noise": f"{above.value / said.noise:.2f}",
            }
        )
    return pd.DataFrame(rows)


def _trunk_table(said: Findings) -> pd.DataFrame:
    ends = said.ends
    drop = difference(ends.trunk_losses("fork"), ends.losses(ends.main))
    level = difference(ends.trunk_losses("tokens"), ends.losses(ends.reference))
    rows = []
    for horizon in ends.horizons:
        rows.append(
            {
                "D": count_text(horizon),
                f"trunk at the fork above its decay's end ({percent(ends.main.share)})": _cell(drop, horizon),
                f"undecayed trunk above {ends.reference.label} at the same D": _cell(level, horizon),
            }
        )
    return pd.DataFrame(rows)


def _cell(gaps: SeedGaps, horizon: float) -> str:
    return estimate_text(gaps.cell(horizon, LEVEL)) if horizon in gaps.cells else "trunk ends before"


def _ledger(ends: Ends) -> pd.DataFrame:
    """A row for the first m horizons: FLOPs of one trunk to the last with its main decays, and of m cosines."""
    trunks = [each for each in ends.trained.trunks if not each.variant and isinstance(each.plan, Trunk)]
    plan: Trunk = trunks[0].plan  # type: ignore[assignment]
    own = sorted((each for each in plan.branches if each.recipe == ends.main.name), key=lambda each: each.end)
    rows = []
    for m in range(1, len(own) + 1):
        cost = trunk_cost(replace(plan, branches=tuple(own[:m]), checkpoints=()))
        rows.append(
            {
                "horizons": m,
                "up to D": count_text(plan.horizon(own[m - 1])),
                "WSD (6ND)": f"{cost.ladder.flops:.3g}",
                "cosines (6ND)": f"{cost.scratch.flops:.3g}",
                "WSD (exact)": f"{cost.ladder.flops_exact:.3g}",
                "cosines (exact)": f"{cost.scratch.flops_exact:.3g}",
                "ratio": cost.ratio,
            }
        )
    return pd.DataFrame(rows)


def _rates(ends: Ends) -> pd.DataFrame:
    """Each recipe's gap to the reference at the variants' learning rates, and at the study's own, one seed and horizon."""
    rows = ends.frame[ends.frame["eval_set"] == ends.eval_set]
    varied = rows[(rows["variant"] != "") & (rows["recipe"] == ends.reference.name)]
    found = []
    for cell in varied[["seed", "tokens"]].drop_duplicates().itertuples(index=False):
        here = rows[(rows["seed"] == cell.seed) & (rows["tokens"] == cell.tokens)]
        rates = sorted(here.loc[here["recipe"] == ends.reference.name, "lr"].unique())
        for recipe in [ends.reference, *ends.recipes]:
            row = {"": recipe.label, "D": count_text(float(cell.tokens))}
            for lr in rates:
                at = here[here["lr"] == lr].drop_duplicates("recipe").set_index("recipe")["loss"]
                if recipe.name not in at or ends.reference.name not in at:
                    text = ""
                elif recipe == ends.reference:
                    text = f"loss {at[recipe.name]:.4f}"
                else:
                    gap = float(at[recipe.name] - at[ends.reference.name])
                    text = estimate_text(_single(ends.gap(recipe), gap))
                row[f"lr {lr:g}"] = text
            found.append(row)
    return pd.DataFrame(found)


def _comparisons(said: Findings) -> dict[str, tuple[Recipe, Recipe]]:
    """What is judged of each held-out set: heading -> (one, other)."""
    ends = said.ends
    found = {f"{ends.main.label} above {ends.reference.label}": (ends.main, ends.reference)}
    for one, other in zip(ends.lengths, ends.lengths[1:], strict=False):
        found[f"{percent(one.share)} above {percent(other.share)}"] = (one, other)
    return found


def _sets(said: Findings) -> pd.DataFrame:
    rows = []
    for name in said.ends.eval_sets:
        row = {"set": name}
        for what, (one, other) in _comparisons(said).items():
            row[what] = estimate_text(said.ends.gap(one, other, eval_set=name).overall(LEVEL))
        rows.append(row)
    return pd.DataFrame(rows)


def _by_sets(said: Findings) -> str:
    """Whether single held-out sets tell otherwise than their average."""
    ends = said.ends
    if len(ends.eval_sets) < 2:
        return f"One held-out set: {ends.eval_set}."
    off = []
    for what, (one, other) in _comparisons(said).items():
        whole = said.mean(one, other)
        for name in ends.eval_sets:
            if name == ends.eval_set:
                continue
            own = ends.gap(one, other, eval_set=name).overall(LEVEL)
            if own.hi < whole.lo or own.lo > whole.hi or (own.value > 0) != (whole.value > 0):
                off.append(f"{what}: {name} {estimate_text(own)} against {estimate_text(whole)}")
    head = "Losses are the average over held-out sets"
    return f"{head}; single sets that tell otherwise: {'; '.join(off)}." if off else f"{head}; no single set disagrees."


# ---- words -----------------------------------------------------------------------------------------------


def _setup(ends: Ends) -> str:
    shares = _listed([percent(each.share) for each in ends.lengths])
    shapes = _listed([each.shape_text for each in ends.shapes])
    whole = _listed([each.label for each in (ends.reference, *ends.others)])
    study = ends.trained.study
    return (
        f"One trunk for each of {len(ends.seeds)} seeds at learning rate {study.training.lr:g}, decays of "
        f"{ends.main.shape_text} over {shares} and of {shapes} over {percent(ends.main.share)} forked from it at "
        f"{len(ends.horizons)} horizons ({_listed([count_text(each) for each in ends.horizons])} tokens), against {whole} "
        "trained from scratch for each horizon."
    )


def _floors(ends: Ends) -> tuple[str, ...]:
    shapes = {each.floor for each in ends.shapes}
    if len(shapes) < 2:
        return ()
    return ("Shapes differ in where they end as well (their floor): what is told of them is of both together.",)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def signed(value: float, decimals: int = 4) -> str:
    """+0.0123, −0.0040."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def loss_text(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.4f}"


def estimate_text(found: Estimate, decimals: int = 4) -> str:
    """Signed, with its interval where there is one."""
    if math.isnan(found.value):
        return "not known"
    if math.isnan(found.lo):
        return signed(found.value, decimals)
    return f"{signed(found.value, decimals)} [{signed(found.lo, decimals)}, {signed(found.hi, decimals)}]"


def share_text(found: Estimate) -> str:
    """A share with its interval, ends outside what was tried in words."""

    def one(value: float) -> str:
        return "below the shortest tried" if value == 0 else "beyond the longest" if math.isinf(value) else percent(value)

    if math.isnan(found.lo) or math.isnan(found.hi):
        return one(found.value)
    return f"{one(found.value)} [{one(found.lo)}, {one(found.hi)}]"
