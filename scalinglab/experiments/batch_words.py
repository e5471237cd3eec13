"""What `batch_size` found, in tables and in sentences made of its figures."""

import math

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate, IsoLoss, count_text, number_text
from scalinglab.experiments.batch_readings import LEVEL, NEAR, WIDE, Readings
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_findings import listed

PUBLISHED_K, PUBLISHED_P = 1.21e9, 6.24
"""MiniCPM, section 3.2: bs = 1.21e9 / L^6.24 tokens, L in nats per token of C4."""
N_FACTOR = 2.0
"""In the best batch, over all sizes or a doubling of the rate, that counts as none: the usual grid's step."""
_EDGES = {
    "": "",
    "low": "at or below the smallest batch",
    "high": "at or above the largest batch",
    "none": "no minimum",
    "not reached": "not reached by three batches",
    "reached early": "reached before the first horizon",
}


def beyond(found: Estimate) -> bool:
    """Whether the interval leaves out zero."""
    return found.lo > 0 or found.hi < 0


def factor_over_sizes(found: Readings) -> Estimate:
    """bs of the largest size over that of the smallest at one loss, by the exponent of N."""
    sizes, n = list(found.sizes.values()), found.decayed.params_exponent
    span = math.log(sizes[-1] / sizes[0])
    return Estimate(*(math.exp(span * each) for each in (n.value, n.lo, n.hi)))


def shares(found: Readings) -> Estimate:
    """The trunks' best batch over the decayed ends', at equal N and D: the mean over points both tell, straight in ln D
    between minima; NaN where none are. Its ends are of the points' scatter."""
    if found.undecayed is None:
        return Estimate(math.nan)
    ratios: list[float] = []
    for n in found.sizes.values():
        ends, trunks = (_inside(each, n) for each in (found.decayed, found.undecayed))
        if len(ends) < 2 or trunks.empty:
            continue
        x = np.log(ends["tokens"].to_numpy())
        at = np.log(trunks["tokens"].to_numpy())
        both = (at >= x[0]) & (at <= x[-1])
        beside = np.interp(at[both], x, np.log(ends["batch_tokens"].to_numpy()))
        ratios += list(np.log(trunks["batch_tokens"].to_numpy())[both] - beside)
    if not ratios:
        return Estimate(math.nan)
    return Estimate(math.exp(float(np.mean(ratios))), math.exp(min(ratios)), math.exp(max(ratios)))


def _inside(found: IsoLoss, params: float) -> pd.DataFrame:
    own = found.minima[(found.minima["edge"] == "") & (found.minima["params"] == params)]
    return own.sort_values("tokens")


# ---- tables ----------------------------------------------------------------------------------------------


def tables_of(found: Readings) -> dict[str, pd.DataFrame]:
    """Title -> table, those left out that the study has nothing for."""
    unit = found.loss_unit
    tables = {
        f"Lines of equal loss and their minima (L in {unit}, {LEVEL:.0%} intervals)": _minima(
            found, found.decayed
        ),
        "The law by what it is read off": _laws(found),
        f"Decayed loss by batch at the shortest and the longest horizon ({unit})": _losses(found),
    }
    if found.undecayed is not None:
        tables[f"The same lines on the undecayed trunks (L in {unit})"] = _minima(found, found.undecayed)
    if found.by_rate:
        tables[f"Best batch on common lines at other learning rates, smallest size (L in {unit})"] = _by_rate(
            found
        )
        losses = found.rate_losses()
        best = losses.idxmin(axis=1)
        shown = losses.rename(columns=lambda lr: f"lr {lr:g}").map(lambda v: f"{v:.4f}")
        shown.insert(0, "batch", [count_text(each) for each in losses.index])
        longest = count_text(float(found.varied["tokens"].max()))
        tables[f"Loss by batch and learning rate, smallest size at D = {longest} ({unit})"] = shown.assign(
            lowest=[f"{lr:g}" for lr in best]
        ).reset_index(drop=True)
    return tables


def _minima(found: Readings, law: IsoLoss) -> pd.DataFrame:
    names = {n: name for name, n in found.sizes.items()}
    rows = []
    for row in law.minima.to_dict("records"):
        at = Estimate(row["batch_tokens"], row["batch_tokens_lo"], row["batch_tokens_hi"])
        inside = row["edge"] == ""
        rows.append(
            {
                "N": names.get(row["params"], count_text(row["params"])),
                "L": f"{row['loss']:.4f}",
                "best batch": at.text(True) if inside else "",
                "outside": _EDGES[row["edge"]],
                "tokens": count_text(row["tokens"]) if inside else "",
                "D/N": f"{row['tokens'] / row['params']:.0f}" if inside else "",
                "updates": f"{row['tokens'] / row['batch_tokens']:.0f}" if inside else "",
                "half or twice costs": f"{100 * row['twice']:+.0f} % tokens" if inside else "",
                "batches": str(row["batches"]),
            }
        )
    return pd.DataFrame(rows)


def _laws(found: Readings) -> pd.DataFrame:
    readings: dict[str, IsoLoss | None] = {"decayed ends, all sizes": found.decayed}
    readings |= {f"decayed ends, parabolas over {WIDE} batches": found.wide}
    readings |= {f"decayed ends, N = {name}": own for name, own in found.by_size.items()}
    readings |= {"undecayed trunks, all sizes": found.undecayed}
    readings |= {f"smallest size, lr {lr:g}": own for lr, own in found.by_rate.items()}
    readings |= {"smallest size, each batch at its best rate": found.free}
    rows = []
    for name, own in readings.items():
        if own is None:
            continue
        inside = own.minima[own.minima["edge"] == ""]
        span = f"{inside['loss'].min():.3f} to {inside['loss'].max():.3f}" if len(inside) else ""
        at = inside["batch_tokens"]
        rows.append(
            {
                "read off": name,
                "p": own.p.text() if own.known else "no law",
                "k (tokens)": own.k.text(True) if own.known else "",
                "minima inside": f"{len(inside)} of {len(own.minima)}",
                "L": span,
                "best batch": f"{count_text(at.min())} to {count_text(at.max())}" if len(inside) else "",
            }
        )
    return pd.DataFrame(rows)


def _losses(found: Readings) -> pd.DataFrame:
    rows, own = [], found.rows
    for (n, name), size in own.groupby(["params", "size"]):
        for tokens in sorted({size["tokens"].min(), size["tokens"].max()}):
            at = size[size["tokens"] == tokens].groupby("batch_tokens")["loss"].mean()
            row = {"N": str(name), "D": count_text(float(tokens)), "D/N": f"{tokens / float(str(n)):.0f}"}
            rows.append(row | {count_text(float(str(batch))): f"{loss:.4f}" for batch, loss in at.items()})
    return pd.DataFrame(rows).fillna("")


def _by_rate(found: Readings) -> pd.DataFrame:
    first = next(iter(found.by_rate.values())).minima
    table = pd.DataFrame({"L": [f"{each:.4f}" for each in first["loss"]]})
    for lr, own in found.by_rate.items():
        cells = []
        for row in own.minima.to_dict("records"):
            at = Estimate(row["batch_tokens"], row["batch_tokens_lo"], row["batch_tokens_hi"])
            cells.append(at.text(True) if row["edge"] == "" else _EDGES[row["edge"]])
        table[f"lr {lr:g}"] = cells
    return table


# ---- sentences -------------------------------------------------------------------------------------------


def verdict_of(found: Readings) -> str:
    """The law, one line or several, the rate, the trunks, and what batch to take."""
    law = found.decayed
    told = f"{len(found.inside)} of {len(law.minima)} lines of equal loss over {len(found.sizes)} sizes"
    if not law.known:
        return f"No law: {told} have their minimum between the batches tried."
    grows = (
        "The best batch grows as the loss falls"
        if law.p.lo > 0
        else "The best batch shrinks as the loss falls"
        if law.p.hi < 0
        else "Whether the best batch grows as the loss falls is left open"
    )
    holds = "which holds" if law.p.lo <= PUBLISHED_P <= law.p.hi else "which leaves out"
    text = (
        f"{grows}: bs = k / L^p with p = {law.p}, {holds} MiniCPM's {PUBLISHED_P:g} ({told} have a minimum)."
    )
    text += f" {_sizes(found)}{_rates(found)}{_trunks(found)} {_answer(found)}"
    return text


def _sizes(found: Readings) -> str:
    n, factor = found.decayed.params_exponent, factor_over_sizes(found)
    if math.isnan(factor.lo):
        return "Whether one line serves all sizes cannot be told, for no loss is reached by several of them."
    alike = factor.lo >= 1 / N_FACTOR and factor.hi <= N_FACTOR
    if beyond(n) and not alike:
        span = f"a factor {factor} from the smallest size to the largest"
        return f"L alone does not decide: at one loss bs goes as N^{n}, {span}."
    how = f"within a factor {N_FACTOR:g}" if alike else "as far as these minima tell"
    return (
        f"One line serves all sizes {how}: at one loss the largest wants {factor} times the smallest's batch."
    )


def _rates(found: Readings) -> str:
    if not found.by_rate:
        return ""
    slope = found.rate_slope()
    if math.isnan(slope.value):
        return " What another learning rate does to it is not told: the minima then lie outside the batches."
    depends = "It depends on" if beyond(slope) else "It is not told to depend on"
    return f" {depends} the learning rate: bs goes as lr^{slope} at one loss at the smallest size."


def _trunks(found: Readings) -> str:
    if found.undecayed is None or not found.undecayed.known:
        return ""
    ratio, p = shares(found), found.undecayed.p
    text = f" Read off undecayed trunks p is {p}"
    if math.isnan(ratio.value):
        return f"{text}."
    return (
        f"{text} and the best batch {number_text(ratio.value)} times as large at one N and D "
        f"({number_text(ratio.lo)} to {number_text(ratio.hi)} over the points)."
    )


def _answer(found: Readings) -> str:
    own = found.inside
    losses = float(own["loss"].max()), float(own["loss"].min())
    parts = [f"{found.decayed.at(loss).text(True)} tokens at L = {loss:.3f}" for loss in losses]
    twice = own["twice"].median()
    return (
        f"By the law a batch of {' and '.join(parts)} {found.loss_unit} needs the fewest tokens; half or twice of it "
        f"takes {100 * twice:.0f} % more (median)."
    )


def setup_of(trained: Trained, found: Readings) -> str:
    """What was run and how it is read."""
    batches = [count_text(float(each)) for each in sorted(found.rows["batch_tokens"].unique())]
    sizes = [f"{name} ({count_text(n)} parameters)" for name, n in found.sizes.items()]
    horizons = sorted(found.rows["tokens"].unique())
    text = (
        f"{listed(sizes)} at batches of {listed(batches)} tokens and one learning rate, {found.study_lr:g}: a trunk "
        f"each with decays of {100 * trained.study.schedule.spec().share:g} % at {len(horizons)} horizons from "
        f"{count_text(float(horizons[0]))} to {count_text(float(horizons[-1]))} tokens. Of each batch ln L goes along "
        "ln D as a monotone cubic (PCHIP) through its ends, which gives the tokens to each loss; a parabola in ln "
        f"batch for ln tokens through the {NEAR} batches about the lowest gives the best batch, and least squares "
        "through these minima of all sizes ln bs = ln k − p·ln L."
    )
    if found.by_rate:
        rates = [f"{lr:g}" for lr in found.by_rate if not math.isclose(lr, found.study_lr)]
        text += f" The smallest size was trained at learning rates {listed(rates)} as well."
    return text


def notes_of(found: Readings) -> list[str]:
    """What the figures rest on."""
    notes = [f"Decayed ends: {note}" for note in found.decayed.notes]
    if not math.isnan(found.noise):
        notes.append(
            f"Noise of a run is what is left between seeds of the size that repeats, {100 * found.noise:.2g} % of the "
            f"loss ({found.freedom} degrees of freedom, horizons of a trunk not independent), with what a seed moves "
            "at all batches taken out; a trunk's ends share it in the intervals."
        )
    notes += [
        (
            f"A line of equal loss is steeper towards small batches where the best batch grows along it, which bends a "
            f"parabola over more batches: {NEAR} carry it here, and the table tells what {WIDE} would say."
        ),
        (
            "The paper's L is in nats per token of C4 and its runs have cosine schedules, read off along their curves; "
            f"here L is in {found.loss_unit} of another text. A unit changes k and not p; a floor of the loss that "
            "differs changes both, so p compares roughly and k not."
        ),
        (
            "Warmup is the same number of tokens for every batch, hence fewer updates for a larger one; AdamW's betas "
            "and weight decay are the same for all."
        ),
    ]
    return notes
