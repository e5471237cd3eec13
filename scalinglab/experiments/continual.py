"""One small model trained on, in MiniCPM's manner: its curve, a larger model at equal compute, and what it is worth.

The ladder's smallest size goes on far past the others. Its decayed losses along compute are fitted by a power law and
an exponential; the ladder's law tells what a larger model would reach with the same compute.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from scalinglab.analysis import Continual, EquivalentSize, Optimum, count_text, equivalent_size, optimum
from scalinglab.analysis import continual as ask
from scalinglab.errors import InputError
from scalinglab.experiments.ladder_report import LEVEL
from scalinglab.experiments.report import Beside, Claim, Report, wide_axes
from scalinglab.experiments.scaling_law import FIRST, ends_of, fit_ends
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.fitting import Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RULE = 20.0
"""MiniCPM's reading of a Chinchilla-optimal model: 20 tokens a parameter."""
_NAMES = {"PowerLaw": "power law", "Exponential": "exponential"}


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """The smallest size's curve, beside models of the ladder's law."""
    sets = list(trained.table["eval_set"].unique())
    first = FIRST if FIRST in sets else sets[0]
    ends = ends_of(trained, first)
    progress("law", 0, 3)
    law = fit_ends(ends)
    small = float(ends["params"].min())
    own = ends[ends["params"] == small]
    longest = own.sort_values(["tokens", "seed"], ascending=[False, True]).iloc[0]
    ratio = float(longest["tokens"]) / small
    if ratio <= RULE:
        raise InputError(
            f"the smallest size was trained only to {ratio:.0f} tokens a parameter; it has to go on far beyond "
            f"{RULE:.0f} for this question"
        )
    # the size that costs at 20·N what the small one has cost
    spent = 6.0 * small * float(longest["tokens"])
    larger = math.sqrt(spent / 6.0 / RULE)
    best = optimum(law, spent, level=LEVEL, beyond=math.inf)
    progress("curves", 1, 3)
    at_rule = ask(ends, small, against=law, larger=larger, tokens_per_param=RULE, level=LEVEL)
    progress("worth", 2, 3)
    loss = float(longest["loss"])
    worth = {
        "D = 20·N": equivalent_size(law, loss=loss, params=small, tokens_per_param=RULE, level=LEVEL),
        "optimal": equivalent_size(law, loss=loss, params=small, level=LEVEL),
    }
    return Report(
        title=f"{count_text(small)} parameters trained on to {longest['tokens'] / small:.0f} tokens a parameter",
        source="MiniCPM, arXiv 2404.06395, section 4.4, figure 6, and its blog, February 2024",
        question="How far does one small model go when it is trained on, and what larger model is it then worth?",
        setup=_setup(own, longest, larger),
        lines=tuple(_lines(at_rule, worth, longest)),
        tables={"The run ends, and the curves less them": _residuals(at_rule)},
        figures=_figures(at_rule, law, longest, ends),
        claims=tuple(_claims(at_rule, worth)),
        notes=tuple(dict.fromkeys([*at_rule.notes, *worth["D = 20·N"].notes])),
        verdict=_verdict(at_rule, best, worth, longest),
    )


def _setup(own: pd.DataFrame, longest: "pd.Series", larger: float) -> str:
    horizons = own[own["trunk_id"] == longest["trunk_id"]]["tokens"].nunique()
    return (
        f"One trunk of the ladder's smallest size, decayed at {horizons} horizons up to "
        f"{count_text(float(longest['tokens']))} tokens; {LEVEL:.0%} intervals. Beside it, by the law of the whole "
        f"ladder, the model of {count_text(larger)} parameters whose D = 20·N costs as much."
    )


def _lines(found: Continual, worth: dict[str, EquivalentSize], longest: "pd.Series") -> list[Beside]:
    (beside,) = found.against
    lines = [
        Beside("tokens a parameter at the longest horizon", "", float(longest["tokens"] / longest["params"])),
        Beside("floor, power law (nats/byte)", "3.27 (nats/token)", found.floor_power),
        Beside("floor, exponential (nats/byte)", "3.472 (nats/token)", found.floor_exponential),
        Beside(
            f"larger model at equal compute, N {count_text(beside.larger)}: times larger",
            "4.7",
            beside.cheaper,
        ),
        Beside("small above larger there (nats/byte)", "0.03 (nats/token)", beside.gap),
    ]
    for name, each in worth.items():
        published = "about 3.75 (2.4B as 9B)" if name != "optimal" else ""
        lines.append(
            Beside(f"equivalent size, {name}: times its own N", published, each.times, each.params.text(True))
        )
    return lines


def _residuals(found: Continual) -> pd.DataFrame:
    rows = found.rows
    table = pd.DataFrame(
        {
            "tokens": [count_text(each) for each in rows["tokens"]],
            "flops (6ND)": rows["flops_6nd"],
            "loss": rows["loss"].round(4),
        }
    )
    for fit in found.curves:
        off = fit.predict(flops_6nd=rows["flops_6nd"])["loss"].to_numpy() - rows["loss"].to_numpy()
        table[_NAMES[fit.law.name]] = [f"{value:+.4f}".replace("-", "−") for value in off]
    return table.reset_index(drop=True)


def _claims(found: Continual, worth: dict[str, EquivalentSize]) -> list[Claim]:
    comparison = found.comparison.table
    better = found.better
    scores = ", ".join(
        f"{_NAMES[str(name)]} AICc {row['aicc']:.1f}" for name, row in comparison.iterrows() if "aicc" in row
    ).replace("-", "−")
    curve = Claim(
        "The loss of a model trained on follows a power law of compute better than an exponential",
        "undecided" if better is None else "confirmed" if better.law.name == "PowerLaw" else "contradicted",
        scores or found.headline(),
        "more horizons, and longer ones, of several trunks" if better is None else "",
    )
    (beside,) = found.against
    gap = beside.gap
    near = Claim(
        f"Given the compute of a model {beside.cheaper:.1f}× its size at 20·N, the small one comes within 1 % of it",
        "confirmed" if gap.hi < 0.01 * beside.larger_loss.value
        else "contradicted" if gap.lo > 0.01 * beside.larger_loss.value
        else "undecided",
        f"gap {gap.text()} on {beside.larger_loss.value:.3f}",
    )  # fmt: skip
    times = worth["D = 20·N"].times
    bigger = Claim(
        "A small model trained far past 20·N is worth a Chinchilla-optimal model several times its size",
        "confirmed" if times.lo > 2.0 else "contradicted" if times.hi < 2.0 else "undecided",
        f"{times.text()} times at D = 20·N, {worth['optimal'].times.text()} on the ladder's own optimal line",
    )
    return [curve, near, bigger]


def _verdict(
    at_rule: Continual, best: Optimum, worth: dict[str, EquivalentSize], longest: "pd.Series"
) -> str:
    (beside,) = at_rule.against
    better = at_rule.better
    curves = (
        "its run ends do not decide between power law and exponential"
        if better is None
        else f"its run ends favour the {_NAMES[better.law.name]}"
    )
    rule, optimal, unit = worth["D = 20·N"], worth["optimal"], longest["loss_unit"]
    return (
        f"After {longest['tokens'] / longest['params']:.0f} tokens a parameter {curves}. It is worth a model of "
        f"{rule.params.text(True)} at D = 20·N ({rule.times.text()} times its size) and of {optimal.params.text(True)} "
        f"on the ladder's optimal line. Given the same compute, a model {beside.cheaper:.1f}× larger at 20·N ends "
        f"lower by {beside.gap.text()} {unit}, and the best of the ladder's law, N {best.params.text(True)}, at "
        f"{best.loss.text()} where this one stands at {longest['loss']:.3f}."
    )


def _figures(
    found: Continual, law: Fit, longest: "pd.Series", ends: pd.DataFrame
) -> dict[str, Callable[[], "Axes"]]:
    from scalinglab import plots

    return {
        "continual": lambda: plots.continual(found, ends, ax=wide_axes(height=3.6)),
        "continual-equivalent-size": lambda: plots.equivalent_size(
            law, float(longest["loss"]), float(longest["params"]), tokens_per_param=RULE, ax=wide_axes()
        ),
    }
