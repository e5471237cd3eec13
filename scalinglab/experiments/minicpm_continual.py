"""MiniCPM's continual training of 0.036B: its two printed curves, their end points, and 0.17B at equal compute.

The curves follow the envelope of decayed losses over compute. The points behind them are in no figure; figure 5 shows
final losses of the same model on the same text, decayed by two lengths from 40, 60 and 80 tokens a parameter.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import Continual
from scalinglab.analysis import continual as ask
from scalinglab.experiments.report import Beside, Report, wide_axes
from scalinglab.experiments.rounding import rounded
from scalinglab.fitting import Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNIT = 1e17
SMALL, LARGE = 0.036e9, 0.17e9
RULE = 20.0
POWER = {"E": "3.274", "A": "0.980", "alpha": "0.543"}
EXPONENTIAL = {"E": "3.472", "A": "0.880", "k": "0.284"}
BLOG = {"small": "3.37", "large": "3.34"}
"""Losses at the compute of 0.17B trained to 20·N, as the blog prints them."""
# figure 5: total length and decay in tokens a parameter -> final loss
ENDS = {
    (40, 2): 3.856, (40, 4): 3.820, (60, 2): 3.765, (60, 6): 3.711, (80, 2): 3.704, (80, 8): 3.617,
}  # fmt: skip
ENOUGH = 0.1
"""A decay of a tenth of the total is enough (MiniCPM, section 4.3): the envelope's points."""


def curves() -> tuple[Fit, Fit]:
    """The printed power law and exponential, C in units of 1e17 FLOPs."""
    units = {"flops_6nd": UNIT}
    return (
        Fit.from_constants(laws.PowerLaw("flops_6nd", units=units), {k: float(v) for k, v in POWER.items()}),
        Fit.from_constants(
            laws.Exponential("flops_6nd", units=units), {k: float(v) for k, v in EXPONENTIAL.items()}
        ),
    )


def end_points() -> pd.DataFrame:
    """Figure 5's losses as a run table."""
    rows = [
        {"params": SMALL, "tokens": total * SMALL, "decay_share": decay / total, "loss": loss}
        for (total, decay), loss in ENDS.items()
    ]
    return pd.DataFrame(rows).assign(flops_6nd=lambda t: 6.0 * t["params"] * t["tokens"])


def answer() -> Continual:
    """0.036B beside 0.17B's printed loss at equal compute, along the power law, which the paper found better."""
    return ask(curves(), SMALL, against=float(BLOG["large"]), larger=LARGE, tokens_per_param=RULE)


def report(
    folder: Path | None = None, progress: Callable[[str, int, int], None] = lambda *step: None
) -> Report:
    """Nothing is needed: curves and losses are printed figures."""
    found = answer()
    (beside,) = found.against
    power, exponential = curves()
    budget = beside.flops
    points = end_points()
    full = points["decay_share"] >= ENOUGH - 1e-9
    off, rms = {}, {}
    for one in (power, exponential):
        name = "power law" if one is power else "exponential"
        off[name] = one.predict(flops_6nd=points["flops_6nd"])["loss"].to_numpy() - points["loss"]
        rms[name] = float(np.sqrt((off[name][full] ** 2).mean()))
    table = pd.DataFrame(
        {
            "WSD": [f"({total}N, {decay}N)" for total, decay in ENDS],
            "flops": points["flops_6nd"],
            "figure 5": [f"{loss:.3f}" for loss in ENDS.values()],
            **off,
        }
    )

    def power_at(c: Any, flops: float) -> Any:
        return c["E"] + c["A"] * (flops / UNIT) ** -c["alpha"]

    def needed(c: Any) -> Any:
        with np.errstate(all="ignore"):
            rest = np.asarray(c["large"] - c["E"], float)
            return np.where(rest > 0, (c["A"] / rest) ** (1 / c["alpha"]), math.inf) * UNIT / budget

    progress("rounding", 0, 1)
    at = rounded(POWER, lambda c: power_at(c, budget))
    multiple = rounded({**POWER, "large": BLOG["large"]}, needed)
    exponential_at = float(exponential.predict(flops_6nd=budget)["loss"].iloc[0])
    lines = (
        Beside("compute of 0.17B at D = 20·N (FLOPs)", "3.47e18", f"{budget:.3g}"),
        Beside(
            "0.036B there, power law", BLOG["small"], f"{at.value:.3f} [{at.lo:.3f}, {at.hi:.3f}]", "rounding"
        ),
        Beside("0.036B there, exponential", "", f"{exponential_at:.3f}", "at its floor"),
        Beside("0.17B there", BLOG["large"], BLOG["large"], "printed alone"),
        Beside(
            "above 0.17B", f"{float(BLOG['small']) - float(BLOG['large']):.2f}", f"{beside.gap.value:.3f}"
        ),
        Beside("0.17B over 0.036B in N, and inference", "5", f"{beside.cheaper:.2f}"),
        Beside("compute to match 0.17B's 3.34", "4", multiple, "printed: for 40·N"),
        Beside("floor, power law", "3.27", found.floor_power.value),
    )
    verdict = (
        f"At 3.47e18 FLOPs the printed curve gives {at.value:.3f}, which rounding of its constants does not bring to "
        f"the blog's {BLOG['small']}: the curve lies {at.value - float(BLOG['small']):.3f} above the quoted figure, "
        f"and 0.036B stays {beside.gap.value:.3f} above 0.17B (blog: 0.03). One size trained on comes near a model "
        f"{beside.cheaper:.1f}× its size at equal compute, and by the curve it takes {multiple.value:.1f}× the compute "
        f"to match it. Figure 5's fully decayed ends lie {rms['power law']:.3f} (rms) from the power law and "
        f"{rms['exponential']:.3f} from the exponential: over so short a range these three do not favour the power law."
    )
    return Report(
        title="MiniCPM's continual training of 0.036B",
        source="Hu et al. 2024, arXiv 2404.06395, section 4.4, and the blog of February 2024",
        lines=lines,
        verdict=verdict,
        tables={"Figure 5's losses at the end of WSD(total, decay), and the printed curves less them": table},
        figures={"minicpm-continual": figure},
        notes=(
            "The paper: 0.036B matches 0.17B at 40·N with about 4 times the compute and 5 times cheaper inference.",
            "The loss of 0.17B at 40·N is printed nowhere; the multiple here is for its 3.34 at 20·N.",
            "Beyond 2.7e18 FLOPs, where the paper's points end, both curves are extrapolated, 3.47e18 included.",
        ),
    )


def figure() -> "Axes":
    """Both curves over the range of figure 5 and on to 0.17B's match; its ends, hollow where the decay was short."""
    from scalinglab import plots
    from scalinglab.plots._axes import key_above
    from scalinglab.plots._canvas import INK, ORANGE

    found = answer()
    (beside,) = found.against
    ax = wide_axes()
    plots.continual(found, flops=(1.7e17, 2.5e19), ax=ax)
    points = end_points()
    full = points["decay_share"] >= ENOUGH - 1e-9
    for mine, face, name in ((full, INK, "decayed over 10 %"), (~full, "none", "shorter decay")):
        ax.plot(
            points.loc[mine, "flops_6nd"], points.loc[mine, "loss"], "o", mfc=face, mec=INK, label=f"figure 5, {name}"
        )  # fmt: skip
    ax.plot(beside.flops, float(BLOG["small"]), "D", color=ORANGE, mec="white", label="the blog's 3.37")
    ax.set_ylabel("loss on C4")
    ax.set_ylim(3.22, 3.92)
    key_above(ax)  # anew, with what was added
    return ax
