"""The ladder's scaling law in MiniCPM's manner: one fit a held-out set, D_opt/N_opt, the largest size predicted.

Loss per byte of the decayed branch ends, L(N, D) = E + A/N^α + B/D^β, N without embeddings.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import Estimate, Optimum, count_text, ladder_convention, optimum, scaling
from scalinglab.experiments.ladder_report import LEVEL, LOSS, order_notes, trunk_bootstrap
from scalinglab.experiments.minicpm_law import PRINTED, printed_fit
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.scaling_law_figures import figures
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.fitting import Fit, Status, fit
from scalinglab.records.derive import AVERAGE

Progress = Callable[[str, int, int], None]
FIRST = "average"
"""The set that figures and back-test are of, in the papers' manner."""
_HOLDS = 0.8  # share of ends inside their 90 % interval from which it is taken to hold, of six or so
_SAID = 3  # losses out of order that are told one by one
_QUESTION = (
    "How does the loss fall with N and D, how many tokens does a parameter want at the optimum, and do small models "
    "tell a larger one's loss?"
)
PAPER_EXPONENTS = {"alpha": "0.29", "beta": "0.23"}


@dataclass(frozen=True)
class SetLaw:
    """One held-out set: its law, and the compute-optimal model at the ladder's dearest run by two counts of FLOPs."""

    name: str
    fit: Fit
    six_nd: Optimum
    exact: Optimum


@dataclass(frozen=True)
class HeldOut:
    """The largest size as the smaller ones predict it."""

    fit: Fit
    params: float
    rows: pd.DataFrame
    """tokens, loss, predicted, lo, hi (for a new run), error (log of measured over predicted), inside."""


def ends_of(trained: Trained, eval_set: str) -> pd.DataFrame:
    """Decayed branch ends of the study's first recipe under its own settings, one held-out set."""
    own = trained.own
    entry, spec, _ = trained.study.recipes[0]
    recipe = entry.name if entry is not None else f"wsd-{spec.shape}"
    kept = (own["kind"] == "branch") & (own["recipe"] == recipe) & (own["eval_set"] == eval_set)
    return own[kept].reset_index(drop=True)


def fit_ends(ends: pd.DataFrame) -> Fit:
    found = fit(laws.Chinchilla(), ends, loss=LOSS)
    trunk_bootstrap(found)
    return found


def held_out(ends: pd.DataFrame, level: float = LEVEL) -> HeldOut:
    """Fit all sizes but the largest and predict that one; the interval is a new run's."""
    largest = ends["params"].max()
    small = fit_ends(ends[ends["params"] < largest].reset_index(drop=True))
    rows = ends[ends["params"] == largest].sort_values("tokens").reset_index(drop=True)
    told = small.predict(
        params=rows["params"], tokens=rows["tokens"], interval=level, interval_kind="run", boot=small.boot()
    )
    table = pd.DataFrame(
        {
            "tokens": rows["tokens"],
            "loss": rows["loss"],
            "predicted": told["loss"],
            "lo": told["loss_lo"],
            "hi": told["loss_hi"],
            "error": np.log(rows["loss"] / told["loss"]),
        }
    )
    table["inside"] = (table["lo"] <= table["loss"]) & (table["loss"] <= table["hi"])
    return HeldOut(small, float(largest), table)


def rate_fits(trained: Trained, eval_set: str = FIRST) -> pd.DataFrame:
    """What the learning rate of the ladder's ends does: the law with the variants' rows in place of the own ones.

    A row a learning rate: its factor, α, β, D/N with intervals; and one with the lowest loss of each point. All on the
    points that the variants have. Empty where the study has no such variant.
    """
    everything = trained.table
    branches = everything[(everything["kind"] == "branch") & (everything["eval_set"] == eval_set)]
    varied = {
        trunk.run.id
        for trunk in trained.trunks
        if trunk.variant.startswith("lr ") and "," not in trunk.variant
    }
    other = branches[branches["trunk_id"].isin(varied)]
    if other.empty:
        return pd.DataFrame()
    own = ends_of(trained, eval_set)
    own = own[own["tokens"].isin(other["tokens"].unique())]
    place = ["params", "seed", "tokens"]
    base_lr = float(own["lr"].iloc[0])
    budget = _dearest(own)
    chosen = {1.0: own}
    for lr, rows in other.groupby("lr"):
        instead = (
            own.merge(rows[place], on=place, how="left", indicator=True)["_merge"].to_numpy() == "left_only"
        )
        chosen[float(lr) / base_lr] = pd.concat([own[instead], rows], ignore_index=True)  # type: ignore[arg-type]
    both = pd.concat([own, other], ignore_index=True)
    best = both.loc[both.groupby(place)["loss"].idxmin()].reset_index(drop=True)
    rows_out = []
    for name, rows in [
        *((f"{factor:g}", chosen[factor]) for factor in sorted(chosen)),
        ("best of them", best),
    ]:
        found = fit_ends(rows)
        ratio = optimum(found, budget, level=LEVEL, beyond=math.inf).ratio
        rows_out.append(
            {
                "lr ×": name,
                "α": _constant(found, "alpha").text(),
                "β": _constant(found, "beta").text(),
                "D/N": ratio.text(True),
                "mean loss": float(rows.merge(other[place].drop_duplicates(), on=place)["loss"].mean()),
            }
        )
    return pd.DataFrame(rows_out)


def horizon_fits(ends: pd.DataFrame, most: int = 2) -> pd.DataFrame:
    """What hangs on the shortest horizons: the law with none, one, two of them left out.

    A row each: what is left out, α, β, N_opt ∝ C^a and D/N at the dearest run, with intervals.
    """
    horizons = sorted(ends["tokens"].unique())
    rows = []
    for count in range(min(most, len(horizons) - 3) + 1):
        kept = ends[~ends["tokens"].isin(horizons[:count])].reset_index(drop=True)
        found = fit_ends(kept)
        rows.append(
            {
                "left out": ", ".join(count_text(float(each)) for each in horizons[:count]) or "nothing",
                "α": _constant(found, "alpha").text(),
                "β": _constant(found, "beta").text(),
                "a": scaling(found, level=LEVEL).a.text(),
                "D/N": optimum(found, _dearest(ends), level=LEVEL, beyond=math.inf).ratio.text(True),
            }
        )
    return pd.DataFrame(rows)


def report_of(trained: Trained, progress: Progress = lambda *step: None) -> Report:
    """Fits of every held-out set, the largest size predicted, and what the learning rate does to both."""
    # the average last
    names = sorted(trained.table["eval_set"].unique(), key=lambda name: (name == AVERAGE, name))
    first = FIRST if FIRST in names else names[0]
    shapes = list({trunk.plan.shape.params: trunk.plan.shape for trunk in trained.trunks}.values())
    exact = ladder_convention("exact", shapes, "params")
    found = []
    for done, name in enumerate(names):
        progress(name, done, len(names) + 2)
        ends = ends_of(trained, name)
        law = fit_ends(ends)
        budget = _dearest(ends)
        found.append(
            SetLaw(
                name,
                law,
                optimum(law, budget, level=LEVEL, beyond=math.inf),
                optimum(law, float(ends["flops_exact"].max()), exact, level=LEVEL, beyond=math.inf),
            )
        )
    mean = next(each for each in found if each.name == first)
    ends = ends_of(trained, first)
    progress("largest size", len(names), len(names) + 2)
    back = held_out(ends)
    progress("learning rate", len(names) + 1, len(names) + 2)
    rates = rate_fits(trained, first)
    spans = horizon_fits(ends)
    return Report(
        title=f"The scaling law of {trained.study.title or 'this ladder'}",
        source="MiniCPM, arXiv 2404.06395, section 4.5, figures 9, 10 and 17",
        question=_QUESTION,
        setup=_setup(trained, ends),
        lines=tuple(_lines(mean, found, back)),
        tables=_tables(found, back, rates, spans),
        figures=figures(mean, found, back),
        claims=tuple(_claims(mean, found, back)),
        notes=tuple(_notes(trained, mean, first)),
        verdict=_verdict(mean, back, rates),
        fits={each.name: each.fit for each in found},
    )


def _dearest(ends: pd.DataFrame) -> float:
    return float((6.0 * ends["params"] * ends["tokens"]).max())


def _constant(law: Fit, name: str) -> Estimate:
    lo, hi = law.boot().interval(LEVEL).loc[name].to_numpy(float)
    return Estimate(law.constants[name], float(lo), float(hi))


def _setup(trained: Trained, ends: pd.DataFrame) -> str:
    sizes = sorted(ends["params"].unique())
    seeds = ends.groupby("params")["seed"].nunique()
    share = float(ends["decay_share"].median())
    several = ", ".join(count_text(float(n)) for n in seeds[seeds > 1].index)
    horizons = sorted(ends["tokens"].unique())
    span = f"{count_text(float(horizons[0]))} and {count_text(float(horizons[-1]))} tokens"
    return (
        f"{len(sizes)} sizes from {count_text(float(sizes[0]))} to {count_text(float(sizes[-1]))} parameters (without "
        f"embeddings), each trained once at a constant learning rate and decayed over {share:.0%} of "
        f"{len(horizons)} horizons between {span}: "
        f"{len(ends)} models, seeds repeated at {several or 'no size'}. "
        f"Fitted: L = E + A/N^α + B/D^β to the loss in {ends['loss_unit'].iloc[0]} of each held-out set, {LOSS}; "
        f"{LEVEL:.0%} intervals by a bootstrap whose trunks scatter as the repeated seeds do."
    )


def _lines(mean: SetLaw, found: list[SetLaw], back: HeldOut) -> list[Beside]:
    lines = [
        Beside(
            f"D/N at {mean.six_nd.flops:.2g} FLOPs, {mean.name}",
            f"{PRINTED['minicpm'][3]} (at 1e21)",
            mean.six_nd.ratio,
            "6·N·D",
        ),
        Beside(f"D/N at {mean.exact.flops:.2g} FLOPs, {mean.name}", "", mean.exact.ratio, "exact FLOPs"),
        Beside(
            f"D/N at {mean.six_nd.flops:.2g} FLOPs by MiniCPM's law",
            f"{optimum(printed_fit('minicpm'), mean.six_nd.flops, beyond=math.inf).ratio.value:.0f}",
            "",
            "its average set, extrapolated",
        ),
        Beside("N_opt ∝ C^a", "", scaling(mean.fit, level=LEVEL).a, mean.name),
    ]
    lines += [
        Beside(name, PAPER_EXPONENTS[name], _constant(mean.fit, name), mean.name)
        for name in ("alpha", "beta")
    ]
    error, inside = back.rows["error"], int(back.rows["inside"].sum())
    lines += [
        Beside(
            f"N {count_text(back.params)} predicted from the smaller ones: log error",
            "",
            f"mean {error.mean():+.4f}, rms {np.sqrt((error**2).mean()):.4f}".replace("-", "−"),
            f"{inside} of {len(error)} ends inside their {LEVEL:.0%} interval",
        )
    ]
    return lines


def _tables(
    found: list[SetLaw], back: HeldOut, rates: pd.DataFrame, spans: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    by_set, ratios = [], []
    for each in found:
        by_set.append(
            {"set": each.name}
            | {name: _constant(each.fit, name).text() for name in each.fit.law.constant_names}
            | {"fit": "ok" if each.fit.status is Status.OK else each.fit.status.reason}
        )
        ratios.append(
            {
                "set": each.name,
                "D/N, 6ND": each.six_nd.ratio.text(True),
                "D/N, exact": each.exact.ratio.text(True),
                "N_opt, 6ND": each.six_nd.params.text(True),
                "a": scaling(each.fit, level=LEVEL).a.text(),
            }
        )
    budgets = f"{found[-1].six_nd.flops:.2g} FLOPs by 6·N·D, {found[-1].exact.flops:.2g} exact"
    tables = {
        f"D_opt/N_opt by held-out set at the compute of the dearest run, {budgets}; N_opt ∝ C^a": pd.DataFrame(
            ratios
        ),
        "The laws": pd.DataFrame(by_set),
        f"N {count_text(back.params)} as the smaller sizes predict it": back.rows.assign(
            tokens=[count_text(each) for each in back.rows["tokens"]],
            inside=np.where(back.rows["inside"], "yes", "no"),
        ).round({"loss": 4, "predicted": 4, "lo": 4, "hi": 4, "error": 4}),
    }
    if len(spans) > 1:
        tables["The law without the shortest horizons (D/N at the dearest run, by 6·N·D)"] = spans
    if len(rates):
        title = "The smallest and the largest size at other learning rates, on the points they share (D/N by 6·N·D)"
        tables[title] = rates
    return tables


def _claims(mean: SetLaw, found: list[SetLaw], back: HeldOut) -> list[Claim]:
    ratio = mean.six_nd.ratio
    paper = float(PRINTED["minicpm"][3])
    where = f"{ratio.text(True)} at {mean.six_nd.flops:.2g} FLOPs"
    told = "The optimum wants far more tokens a parameter than Chinchilla's 20"
    if ratio.open or ratio.lo <= 20.0 <= ratio.hi:
        why = "the optimum is not identified" if ratio.open else "the interval holds 20"
        against = Claim(told, "undecided", f"{where}: {why}", "more sizes, and longer horizons")
    else:
        against = Claim(told, "confirmed" if ratio.lo > 20.0 else "contradicted", where)
    grows = scaling(mean.fit, level=LEVEL).a
    inside = ratio.lo <= paper <= ratio.hi
    number = Claim(
        f"D_opt/N_opt is about {paper:.0f}",
        "undecided",
        f"{where}, which {'holds' if inside else 'does not hold'} {paper:.0f}; but a ratio here says little of one at "
        f"1e21 FLOPs: N_opt ∝ C^{grows.text()}",
        "the same ladder at 1e18 to 1e21 FLOPs",
    )
    held = float(back.rows["inside"].mean())
    error, off = back.rows["error"], back.rows.loc[~back.rows["inside"], "tokens"]
    scatter = f"log error {error.mean():+.4f} on average".replace("-", "−")
    told = f"{len(error) - len(off)} of {len(error)} ends inside their {LEVEL:.0%} interval; {scatter}"
    if len(off):
        told += f"; outside at D = {', '.join(count_text(float(each)) for each in off)}"
    predicts = Claim(
        "A law fitted to small models tells a larger one's loss",
        "confirmed" if held >= _HOLDS else "contradicted" if held < 0.5 else "undecided",
        told,
        ""
        if held >= _HOLDS or held < 0.5
        else "more sizes between, and another form of law at short horizons",
    )
    per_set = [each for each in found if each.name != AVERAGE]
    apart: list[Claim] = []
    if len(per_set) > 1:
        low = min(per_set, key=lambda each: each.six_nd.ratio.value)
        high = max(per_set, key=lambda each: each.six_nd.ratio.value)
        differ = high.six_nd.ratio.lo > low.six_nd.ratio.hi
        apart = [
            Claim(
                "D_opt/N_opt depends on the text it is measured on",
                "confirmed" if differ else "undecided",
                f"{low.name} {low.six_nd.ratio.text(True)}, {high.name} {high.six_nd.ratio.text(True)}",
                "" if differ else "narrower intervals: more seeds, more sizes",
            )
        ]
    return [against, number, *apart, predicts]


def _verdict(mean: SetLaw, back: HeldOut, rates: pd.DataFrame) -> str:
    ratio, a = mean.six_nd.ratio, scaling(mean.fit, level=LEVEL).a
    error = back.rows["error"]
    inside = int(back.rows["inside"].sum())
    wanted = (
        f"At {mean.six_nd.flops:.2g} FLOPs these runs want {ratio.text(True)} tokens a parameter "
        f"({mean.exact.ratio.text(True)} by exact FLOPs) and N_opt grows as C^{a.text()}"
    )
    told = (
        f"the law of the smaller sizes tells the largest to {abs(error.mean()):.1%} on average, too "
        f"{'high' if error.mean() < 0 else 'low'}, with {inside} of {len(error)} ends inside their interval"
    )
    parts = [wanted, told]
    if len(rates):
        spread = rates.iloc[:-1]
        parts.append(
            "with the learning rate of the ends at "
            + ", ".join(
                f"×{row['lr ×']} α is {str(row['α']).split(' ')[0]} and D/N {str(row['D/N']).split(' ')[0]}"
                for _, row in spread.iterrows()
            )
        )
    return "; ".join(parts) + "."


def _notes(trained: Trained, mean: SetLaw, first: str) -> list[str]:
    notes = [f"{warning.code}: {warning.sentence}." for warning in mean.fit.warnings]
    far = mean.six_nd.extrapolation
    if far > 0:
        notes.append(f"The optimum of the {mean.name} set lies {far:.1f} decades beyond the runs.")
    repeated = trained.own.loc[trained.own["repeated"], "run_id"].nunique()
    notes.append(
        f"{repeated} runs went through one of their sources more than once."
        if repeated
        else f"No run saw a text twice: at most {trained.own['max_epochs'].max():.2f} epochs of any source."
    )
    order = order_notes(trained.own, first)
    notes += order[:_SAID]
    if len(order) > _SAID:
        notes.append(f"{len(order) - _SAID} more losses are out of order likewise.")
    return notes
