"""Whether the best learning rate stays put as the width grows: under MiniCPM's parametrisation and the standard one.

MiniCPM's figure 3 shows losses at seven learning rates for four sizes under its own parametrisation; they are read with
the same parabola.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from scalinglab.analysis import Estimate, count_text, number_text
from scalinglab.analysis.lr_transfer import FACTOR, LrTransfer, drift_difference, lr_transfer
from scalinglab.analysis.source import one_eval_set
from scalinglab.errors import InputError
from scalinglab.experiments.report import Beside, Claim, Report
from scalinglab.experiments.wind_tunnel import Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, OTHER = "minicpm", "standard"
NAMES = {OURS: "MiniCPM's", OTHER: "standard"}
_UNDER = {OURS: "MiniCPM's", OTHER: "the standard one"}
READ = 0.01
"""What a loss read off figure 3 may be wrong by (its last digit)."""
LRS = (1e-3, 3e-3, 6e-3, 1e-2, 3e-2, 6e-2, 1e-1)
# figure 3: N -> losses at LRS, None where no point is seen
FIGURE = {
    0.04e9: (4.16, 3.33, 3.15, 3.19, 3.35, 6.62, 6.68),
    0.1e9: (3.21, 2.78, 2.74, 2.70, 2.80, None, 8.03),
    0.3e9: (2.76, 2.49, 2.41, 2.42, 2.49, 5.78, 5.95),
    0.5e9: (2.54, 2.29, 2.24, 2.22, 2.27, 2.41, 6.04),
}
_PAPER = "MiniCPM, figure 3"


def published() -> LrTransfer:
    """Figure 3's losses, read with the same parabola. lr* against N."""
    rows = [
        {"params": n, "size": f"{n / 1e9:g}B", "lr": lr, "loss": loss, "loss_unit": "nats/token"}
        for n, losses in FIGURE.items()
        for lr, loss in zip(LRS, losses, strict=True)
        if loss is not None
    ]
    return lr_transfer(pd.DataFrame(rows), "params", noise=READ)


def sweeps(trained: Trained) -> dict[str, pd.DataFrame]:
    """Parametrisation -> a row a run: width, params, size, lr, seed, loss; NaN where it diverged.

    Of each size the longest horizon. Raises InputError where the study has not both parametrisations.
    """
    ends, _, _ = one_eval_set(trained.table[trained.table["kind"] == "branch"], None, trained.study.title)
    loss = dict(zip(ends["run_id"], ends["loss"], strict=True))
    unit = ends["loss_unit"].iloc[0] if len(ends) else ""
    found: dict[str, list[dict[str, object]]] = {}
    for trunk in trained.trunks:
        if not trunk.branches:
            continue
        branch = max(trunk.branches, key=lambda run: run.end)
        shape = branch.shape
        found.setdefault(branch.parametrisation, []).append(
            {"size": shape.name, "width": shape.width, "params": shape.params, "lr": branch.lr, "seed": branch.seed}
            | {"tokens": branch.batches.tokens_at(branch.end), "loss": loss.get(branch.id, math.nan), "loss_unit": unit}
        )  # fmt: skip
    if set(found) != set(NAMES):
        raise InputError(
            f"the study needs both parametrisations, {' and '.join(NAMES)}; it has {', '.join(found)}"
        )
    return {name: pd.DataFrame(found[name]) for name in NAMES}


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """lr* by width under both parametrisations, its drift, what transfer costs, and figure 3 beside."""
    runs = sweeps(trained)
    found, by_params = {}, {}
    for i, (name, own) in enumerate(runs.items()):
        progress(NAMES[name], i, 3)
        found[name], by_params[name] = lr_transfer(own), lr_transfer(own, "params")
    progress(_PAPER, 2, 3)
    paper = published()
    apart = drift_difference(found[OURS], found[OTHER])
    references = _references(trained, found[OURS])
    costs = {name: _costs(each, references) for name, each in found.items()}
    unit = found[OURS].loss_unit
    named = {NAMES[name]: each for name, each in found.items()}
    return Report(
        title="The best learning rate against the width",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, figure 3; Yang et al. 2022, arXiv 2203.03466",
        question="Does the best learning rate stay put as the model grows, as MiniCPM's parametrisation promises?",
        setup=_setup(trained, runs),
        lines=tuple(_lines(found, by_params, paper, apart, costs)),
        tables={
            "lr* by width (90 % intervals; an open end lies beyond the grid)": _optima(named),
            f"Loss above a size's own least where another size's best learning rate is used ({unit})": pd.concat(
                [own.assign(rules=NAMES[name]) for name, own in costs.items()], ignore_index=True
            ),
            "Drift by the reach of the parabola, and by the least run of each seed, to a step of the grid": _reaches(
                runs
            ),
            f"{_PAPER}, read with the same parabola": _optima({"MiniCPM's": paper}),
        },
        figures={
            "lr-transfer": lambda: _valleys(named),
            "lr-transfer-width": lambda: _beside(named, paper),
            "lr-transfer-published": lambda: _published_valleys(paper),
        },
        claims=tuple(_claims(found, paper, apart, costs)),
        verdict=_verdict(found, apart, costs),
        notes=tuple(_notes(found, paper)),
    )


# ---- what it costs ----------------------------------------------------------------------------------


def _references(trained: Trained, any_of_them: LrTransfer) -> dict[str, str]:
    """Size whose best learning rate is used -> what it is called: the smallest, and the one at the base width."""
    rows, base = any_of_them.rows, trained.study.model.width_base
    smallest = str(rows["size"].iloc[0])
    at_base = rows.loc[rows["width"] == base, "size"]
    found = {smallest: "smallest"}
    if len(at_base) and at_base.iloc[0] != smallest:
        found[str(at_base.iloc[0])] = f"width_base, {base}"
    return found


def _costs(found: LrTransfer, references: Mapping[str, str]) -> pd.DataFrame:
    parts = []
    for size, called in references.items():
        row = found.rows[found.rows["size"] == size].iloc[0]
        if math.isnan(row["lr"]):
            continue
        cost = found.cost(float(row["lr"]))
        own = cost[cost["size"] != size].assign(lr=row["lr"], of=called)
        parts.append(own)
    columns = ["of", "lr", "size", "width", "cost", "cost_lo", "cost_hi"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def _worst(costs: pd.DataFrame, of: str = "smallest") -> Estimate:
    """The largest cost with its interval; NaN where none is known."""
    own = costs[(costs["of"] == of) & costs["cost"].notna()]
    if own.empty:
        return Estimate(math.nan)
    row = own.sort_values("cost").iloc[-1]
    return Estimate(float(row["cost"]), float(row["cost_lo"]), float(row["cost_hi"]))


# ---- what is said of it -----------------------------------------------------------------------------


def _setup(trained: Trained, runs: Mapping[str, pd.DataFrame]) -> str:
    own = runs[OURS]
    widths, lrs, seeds = (sorted(own[name].unique()) for name in ("width", "lr", "seed"))
    ends = dict.fromkeys(count_text(float(each)) for each in (own["tokens"].min(), own["tokens"].max()))
    return (
        f"{len(widths)} widths ({widths[0]} to {widths[-1]}, {count_text(own['params'].min())} to "
        f"{count_text(own['params'].max())} parameters), {len(lrs)} learning rates ({lrs[0]:g} to {lrs[-1]:g}), "
        f"{len(seeds)} seed{'s' * (len(seeds) > 1)} and two parametrisations, D = {' to '.join(ends)}. "
        "A parabola in ln lr through the learning rates within a factor 4 of the least loss gives each size's lr*; its "
        "interval is Fieller's, moved out by what the valleys' skew may shift it. The drift is the slope of ln lr* "
        "against ln width."
    )


def _lines(
    found: Mapping[str, LrTransfer],
    by_params: Mapping[str, LrTransfer],
    paper: LrTransfer,
    apart: Estimate,
    costs: Mapping[str, pd.DataFrame],
) -> list[Beside]:
    fit3 = f"published: {_PAPER}, refitted"
    unit = found[OURS].loss_unit
    lines = [Beside("drift d ln lr*/d ln N, MiniCPM's", paper.drift.text(), by_params[OURS].drift, fit3)]
    lines.append(Beside("drift d ln lr*/d ln N, standard", "", by_params[OTHER].drift))
    for name, theory in ((OURS, "0"), (OTHER, "-1")):
        note = "published: theory, Yang et al."
        lines.append(Beside(f"drift d ln lr*/d ln width, {NAMES[name]}", theory, found[name].drift, note))
    lines.append(Beside("the same, standard less MiniCPM's", "-1", apart, "published: theory"))
    for name in NAMES:
        text = paper.factor.text() if name == OURS else ""
        lines.append(
            Beside(
                f"lr* of the largest over the smallest, {NAMES[name]}",
                text,
                found[name].factor,
                fit3 if text else "",
            )
        )
    first = paper.cost(float(paper.rows["lr"].iloc[0]))
    theirs = first.sort_values("cost", na_position="first").iloc[-1]
    shown = Estimate(theirs["cost"], theirs["cost_lo"], theirs["cost_hi"]).text()
    for name in NAMES:
        lines.append(
            Beside(
                f"largest cost of the smallest size's lr*, {NAMES[name]} ({unit})",
                f"{shown} {paper.loss_unit}" if name == OURS else "",
                _worst(costs[name]),
                fit3 if name == OURS else "",
            )
        )
    for name in NAMES:
        lines.append(
            Beside(f"sd of runs alike but for the seed, {NAMES[name]} ({unit})", "", found[name].run_sd)
        )
    return lines


def _optima(found: Mapping[str, LrTransfer]) -> pd.DataFrame:
    parts = []
    for name, each in found.items():
        kept = ["size", each.by, "runs", "diverged", "lr", "lr_lo", "lr_hi", "edge", "loss", "lrs", "off"]
        parts.append(each.rows[kept].assign(rules=name))
    table = pd.concat(parts, ignore_index=True)
    return table[["rules", *(name for name in table if name != "rules")]].rename(
        columns={"lrs": "learning rates fitted", "off": "rms about the parabola"}
    )


def _reaches(runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    rows = []
    for reach, steep in ((4.0, 0.1), (8.0, 0.1), (8.0, 0.2)):
        for name, own in runs.items():
            drift = lr_transfer(own, reach=reach, steep=steep).drift
            ends = {"drift": drift.value, "drift_lo": drift.lo, "drift_hi": drift.hi}
            how = f"parabola: a factor {reach:g}, losses up to {steep:.0%} above the least"
            rows.append({"read by": how, "rules": NAMES[name]} | ends)
    for name, own in runs.items():
        for seed, slope in zip(sorted(own["seed"].unique()), lr_transfer(own).by_seed(), strict=True):
            rows.append({"read by": f"least runs, seed {seed}", "rules": NAMES[name], "drift": slope})
    return pd.DataFrame(rows)


def _small(found: LrTransfer) -> bool:
    """Whether lr* changes by less than a factor 2 over all sizes, by either end of the interval."""
    return found.factor.lo >= 1 / FACTOR and found.factor.hi <= FACTOR


def _moves(found: LrTransfer) -> str:
    """Whether lr* moves, with the figures."""
    sizes = found.rows[found.by]
    if math.isnan(found.drift.value):
        inside = int((found.rows["edge"] == "").sum())
        return f"only {inside} of {len(sizes)} sizes hold lr* inside the grid, so that no drift is told"
    ends = f"{count_text(sizes.min())} to {count_text(sizes.max())}"
    span = f"{found.by}^{found.drift}, a factor {found.factor} from {ends}"
    said = {
        "moves": f"lr* moves{', by less than a factor ' + format(FACTOR, 'g') if _small(found) else ''}",
        "stays": f"lr* stays put within a factor {FACTOR:g}",
        "open": "whether lr* moves is not told beyond the noise",
    }
    return f"{said[found.stays()]} ({span})"


def _beyond(value: Estimate) -> bool:
    return value.lo > 0 or value.hi < 0


def _verdict(found: Mapping[str, LrTransfer], apart: Estimate, costs: Mapping[str, pd.DataFrame]) -> str:
    if math.isnan(apart.lo):
        differ = "whether the two differ beyond the noise cannot be told"
    else:
        differ = (
            f"the difference of the exponents, {apart}, is {'' if _beyond(apart) else 'not '}beyond the noise"
        )
    worst = {name: _worst(own) for name, own in costs.items()}
    unit = found[OURS].loss_unit
    told = [
        f"{number_text(each.value)} {unit} under {_UNDER[name]} ({_against(each, found[name].run_sd)})"
        for name, each in worst.items()
        if not math.isnan(each.value)
    ]
    paid = (
        f" The smallest size's best learning rate costs another size at most {', and '.join(told)}"
        if told
        else ""
    )
    return (
        f"Under MiniCPM's parametrisation {_moves(found[OURS])}; under the standard one {_moves(found[OTHER])}; "
        f"{differ}.{paid}{'.' * bool(told)}"
    )


def _against(cost: Estimate, noise: float) -> str:
    """A cost beside the noise of a run."""
    if math.isnan(noise) or math.isnan(cost.lo):
        return "noise not known"
    by = f"seeds differ by, {number_text(noise)}"
    if cost.lo > noise:
        return f"more than {by}"
    return f"less than {by}" if cost.hi < noise else f"not told apart from what {by}"


def _claims(
    found: Mapping[str, LrTransfer],
    paper: LrTransfer,
    apart: Estimate,
    costs: Mapping[str, pd.DataFrame],
) -> list[Claim]:
    more = "wider models, and more seeds on a finer grid about lr*"
    ours, other = found[OURS], found[OTHER]
    still = (
        "confirmed" if ours.stays() == "stays" or (ours.stays() == "moves" and _small(ours)) else "undecided"
    )
    if ours.stays() == "moves" and not _small(ours):
        still = "contradicted"
    falls = "confirmed" if other.drift.hi < 0 else "undecided"
    if other.stays() == "stays" or other.drift.lo > 0:
        falls = "contradicted"
    holds = "undecided"
    if _beyond(apart):
        holds = "confirmed" if abs(ours.drift.value) < abs(other.drift.value) else "contradicted"
    cost, noise = _worst(costs[OURS]), ours.run_sd
    cheap = "confirmed" if cost.hi < noise else "contradicted" if cost.lo > noise else "undecided"
    return [
        Claim(
            "Under MiniCPM's parametrisation the best learning rate stays put as the model grows (MiniCPM, figure 3)",
            still,  # type: ignore[arg-type]
            f"{_moves(ours)}; figure 3 refitted: {paper.by}^{paper.drift}",
            more if still == "undecided" else "",
        ),
        Claim(
            "Without rules for the width it falls as the width grows (Yang et al. 2022)",
            falls,  # type: ignore[arg-type]
            _moves(other),
            more if falls == "undecided" else "",
        ),
        Claim(
            "It is the parametrisation that keeps the learning rate in place",
            holds,  # type: ignore[arg-type]
            f"exponents {ours.drift} and {other.drift}, difference {apart}",
            more if holds == "undecided" else "",
        ),
        Claim(
            "A learning rate found on the smallest model serves the others",
            cheap,  # type: ignore[arg-type]
            f"it costs at most {cost} {ours.loss_unit} there under MiniCPM's parametrisation; seeds differ by "
            f"{number_text(noise)} (sd)",
            "more seeds: the cost's interval reaches across what seeds differ by"
            if cheap == "undecided"
            else "",
        ),
    ]


def _notes(found: Mapping[str, LrTransfer], paper: LrTransfer) -> list[str]:
    notes = []
    for name, each in found.items():
        called, spread = "MiniCPM's" if name == OURS else "Standard", each.spread
        notes += [f"{called}: {note}" for note in each.notes]
        notes.append(
            f"{called}: seeds move a valley's shape by {number_text(each.shape_sd)} a run; points of the valleys are "
            f"taken to be known to {number_text(each.rows['point'].min())} to {number_text(each.rows['point'].max())}, "
            f"misfit of the parabolas included. Their skew (κ = {spread.skew:.2f}) may bend the drift by "
            f"{each.bent:+.3f}, which its interval holds."
        )
    if not any(each.rows["diverged"].any() for each in found.values()):
        notes.append("No run diverged.")
    notes.append(
        "Every size has the same tokens: the larger the model, the fewer tokens a parameter, and lr* may move with "
        "that under either parametrisation. In small models embeddings weigh much; MiniCPM's rules give them "
        "one learning rate at every width, the standard ones give all matrices one."
    )
    notes.append(
        f"{_PAPER}: losses are read off the figure to ±{READ:g}; its grid has steps of a factor 1.7 to 3.3, no seeds, "
        f"and no run under standard rules. Sizes are as named there."
    )
    return notes


# ---- figures ----------------------------------------------------------------------------------------


def _valleys(found: Mapping[str, LrTransfer]) -> "Axes":
    from scalinglab import plots
    from scalinglab.experiments.report import wide_axes

    return plots.lr_valleys(found, ax=wide_axes())


def _published_valleys(paper: LrTransfer) -> "Axes":
    from scalinglab import plots
    from scalinglab.experiments.report import wide_axes

    return plots.lr_valleys({"MiniCPM's": paper}, ax=wide_axes(4.2, 3.2))


def _beside(found: Mapping[str, LrTransfer], paper: LrTransfer) -> "Axes":
    """lr* against the width here, and against N in figure 3."""
    from matplotlib.figure import Figure

    from scalinglab import plots

    axes = Figure(figsize=(7.0, 3.0), layout="constrained").subplots(1, 2)
    plots.lr_drift(found, ax=axes[0])
    plots.lr_drift({"figure 3": paper}, ax=axes[1])
    return axes[0]
