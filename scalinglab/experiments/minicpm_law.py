"""MiniCPM's scaling law: D/N from the printed constants, and a refit of the losses that its figure shows.

The paper fits L(N, D) to six sizes with six decayed checkpoints each, on five held-out sets and their average, and
prints the constants to two or three digits. Its figure 17 shows the losses; the first and the last of each size can be
read off it, to about a unit of the third decimal.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import Estimate, optimum
from scalinglab.experiments.report import Beside, Report
from scalinglab.experiments.rounding import half_unit, rounded
from scalinglab.fitting import Fit, Huber, Squared, fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGET = 1e21
RESAMPLES = 2000
# published law -> (name, K², η, D/N at 1e21 FLOPs), as printed
PRINTED = {
    "minicpm-code": ("Code", "0.01", "-0.05", "194.93"),
    "minicpm-english": ("English Wikihow", "0.02", "-0.18", "166.04"),
    "minicpm-chinese": ("Chinese Wikihow", "0.01", "-0.33", "833.95"),
    "minicpm-ultratext": ("Ultratext", "0.01", "-0.00", "95.60"),
    "minicpm-yayi": ("Chinese Yayi", "0.01", "-0.05", "112.79"),
    "minicpm": ("Average", "0.01", "-0.10", "191.87"),
}
# read off figure 17: N in 1e9; compute of the first and the last checkpoint in 1e18 FLOPs
SIZES = (0.031, 0.11, 0.25, 0.49, 0.85, 2.0)
COMPUTE = ((0.068, 0.41), (0.76, 4.7), (4.5, 26), (16, 98), (54, 333), (283, 1682))
LOSSES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "minicpm-code": (
        (0.602, 0.456), (0.451, 0.362), (0.372, 0.311), (0.337, 0.284), (0.307, 0.257), (0.277, 0.231),
    ),
    "minicpm-english": (
        (0.832, 0.729), (0.710, 0.632), (0.626, 0.568), (0.585, 0.524), (0.551, 0.491), (0.510, 0.458),
    ),
    "minicpm-chinese": (
        (1.048, 0.917), (0.902, 0.799), (0.806, 0.726), (0.758, 0.681), (0.716, 0.641), (0.673, 0.606),
    ),
}  # fmt: skip


def points(key: str) -> pd.DataFrame:
    """The twelve end points of one set as a run table: D = C/(6·N)."""
    rows = [
        {"params": n * 1e9, "tokens": c * 1e18 / (6 * n * 1e9), "loss": loss, "loss_unit": "nats/byte"}
        for n, ends, losses in zip(SIZES, COMPUTE, LOSSES[key], strict=True)
        for c, loss in zip(ends, losses, strict=True)
    ]
    return pd.DataFrame(rows)


def printed_fit(key: str) -> Fit:
    law = laws.PUBLISHED[key]
    return Fit.from_constants(law.law, law.constants)


def ratio_interval(key: str) -> Estimate:
    """D/N at 1e21 FLOPs by the printed constants, and the interval that their rounding allows."""

    def ratio(law: laws.MiniCPM, constants: Any) -> Any:
        n, d = law.optimal(constants, BUDGET)
        return np.squeeze(d / n)

    return _rounded(key, ratio)


def k2_eta_intervals(key: str) -> tuple[Estimate, Estimate]:
    """K² and η likewise."""
    return (
        _rounded(key, lambda law, c: law.k2_eta(c)[0]),
        _rounded(key, lambda law, c: law.k2_eta(c)[1]),
    )


def _rounded(key: str, of: Callable[[Any, Any], Any]) -> Estimate:
    published = laws.PUBLISHED[key]
    needed = {name: text for name, text in published.printed.items() if name != "L0"}

    def value(constants: Any) -> Any:
        floor = np.zeros_like(np.asarray(constants["alpha"], float))  # moves no optimum
        given = {name: np.asarray(constants[name], float) for name in needed} | {"L0": floor}
        return of(published.law, given)

    return rounded(needed, value, steps=7)


def report(
    folder: Path | None = None, progress: Callable[[str, int, int], None] = lambda *step: None
) -> Report:
    """Nothing is needed: constants and losses are printed figures."""
    done = len(PRINTED) + len(LOSSES)
    lines, laws_table = [], []
    inside = k2_inside = True
    for i, (key, (name, k2, eta, ratio)) in enumerate(PRINTED.items()):
        progress(name, i, done)
        found = ratio_interval(key)
        inside &= found.lo <= float(ratio) <= found.hi
        lines.append(Beside(f"D/N, {name}", ratio, found))
        our_k2, our_eta = k2_eta_intervals(key)
        for which, text, ours in (("K²", k2, our_k2), ("η", eta, our_eta)):
            laws_table.append(
                {"set": name, "": which, "printed": text, "ours": ours.value, "ours_lo": ours.lo, "ours_hi": ours.hi}
            )  # fmt: skip
        agree = all(
            each.lo - half_unit(text) <= float(text) <= each.hi + half_unit(text)
            for each, text in ((our_k2, k2), (our_eta, eta))
        )
        k2_inside &= agree
    refits, constants, distance = {}, [], []
    for i, key in enumerate(LOSSES):
        name = PRINTED[key][0]
        progress(f"refit {name}", len(PRINTED) + i, done)
        rows = points(key)
        # scipy's curve_fit, which the paper used, minimises the squared error of the loss itself
        refit = fit(laws.MiniCPM(), rows, loss=Squared(on="loss"))
        refit.bootstrap(RESAMPLES, seed=0)
        huber = fit(laws.MiniCPM(), rows, loss=Huber(1e-3))
        refits[key] = refit
        best = optimum(refit, BUDGET, beyond=np.inf)
        by_huber = optimum(huber, BUDGET, beyond=np.inf).ratio.value
        lines.append(
            Beside(f"D/N, {name}, 12 points refitted", PRINTED[key][3], best.ratio, f"Huber {by_huber:.0f}")
        )
        for who, one in (("printed", printed_fit(key)), ("refitted", refit), ("Huber 1e-3", huber)):
            constants.append({"set": name, "constants": who, **one.constants})
            distance.append({"set": name, "law": who, **_distance(one, rows)})
    far = pd.DataFrame(distance).pivot(index="set", columns="law", values="rms")
    worst = (far["printed"] / far["refitted"]).max()
    tables = {
        "K² and η of the printed constants (N, D in 1e9, C in 1e18)": pd.DataFrame(laws_table).sort_values(
            "", ascending=True, kind="stable"
        ),
        "Constants: printed, and fitted to the 12 points": pd.DataFrame(constants),
        "Distance from the 12 points (rms and largest, nats per byte)": pd.DataFrame(distance),
    }
    notes = (
        "Losses are read off a figure to about ±0.001; compute is 6·N·D, so D is compute over 6·N.",
        "Intervals of printed constants are what their rounding allows.",
        f"Intervals of refits are the middle 90 % of {RESAMPLES} bootstrap draws of the twelve rows.",
    )
    verdict = (
        f"{'All six' if inside else 'Not all'} printed D/N lie within the rounding of the printed constants"
        f"{', and so do K² and η. ' if k2_inside else '; not all K² and η do. '}"
        f"The twelve points lie up to {worst:.1f} times further from the printed laws than from their own fits, and "
        "leave D/N wide open; the paper's other 24 checkpoints cannot be read off its figure."
    )
    return Report(
        title="MiniCPM's scaling law",
        source="Hu et al. 2024, arXiv 2404.06395, section 4.5, figures 10 and 17",
        lines=tuple(lines),
        verdict=verdict,
        tables=tables,
        figures={
            "minicpm-law": lambda: contour_facets(refits),
            "minicpm-law-loss": lambda: loss_facets(refits),
        },
        notes=notes,
    )


def _distance(one: Fit, rows: pd.DataFrame) -> dict[str, float]:
    """rms and largest difference between the points' losses and the law."""
    off = rows["loss"] - one.predict(params=rows["params"], tokens=rows["tokens"])["loss"].to_numpy()
    return {"rms": float(np.sqrt((off**2).mean())), "largest": float(off.abs().max())}


# ---- figures --------------------------------------------------------------------------------------


def contour_facets(refits: Mapping[str, Fit]) -> "Axes":
    """Contours over N and D: a column a set, the printed laws above, those fitted to the twelve points below."""
    from scalinglab import plots

    figure, axes = _grid(2, len(refits), (7.6, 6.2))
    for column, (key, refit) in enumerate(refits.items()):
        rows = points(key)
        for row, one in enumerate((printed_fit(key), refit)):
            ax = axes[row][column]
            plots.contours(one, rows, ax=ax, flops=None)
            _, labels = handles = ax.get_legend_handles_labels()
            ax.get_legend().remove()
            ax.set_title(f"{PRINTED[key][0]}, {'refitted' if row else 'printed'}", fontsize="medium")
            if column:
                ax.set_ylabel("")
            if not row:
                ax.set_xlabel("")
            if column == 0 and row:
                figure.legend(*handles, loc="outside upper center", ncols=len(labels) // 2 or 1)
    return axes[0][0]


def loss_facets(refits: Mapping[str, Fit]) -> "Axes":
    """Loss against tokens for each size: the points, the law fitted to them, and the printed one (dotted)."""
    from scalinglab import plots
    from scalinglab.plots._axes import count
    from scalinglab.plots._canvas import INK, SizeColours

    figure, axes = _grid(1, len(refits), (7.6, 3.3))
    for column, (key, refit) in enumerate(refits.items()):
        ax = axes[0][column]
        rows = points(key)
        plots.loss_vs_tokens(refit, rows, ax=ax)
        theirs = printed_fit(key)
        lo, hi = (float(end) for end in ax.get_xlim())
        tokens = np.geomspace(lo, hi, 100)
        for n in SIZES:
            loss = theirs.predict(params=n * 1e9, tokens=tokens)["loss"]
            ax.plot(tokens, loss, color=INK, lw=0.9, ls=":", zorder=4)
        ax.get_legend().remove()
        ax.set_title(PRINTED[key][0], fontsize="medium")
        if column:
            ax.set_ylabel("")
    colour = SizeColours(SIZES)
    handles = [axes[0][0].plot([], [], "o-", color=colour(n), mec="white", mew=0.5)[0] for n in SIZES[::-1]]
    (dots,) = axes[0][0].plot([], [], color=INK, lw=0.9, ls=":")
    names = [f"N {count(n * 1e9)}" for n in SIZES[::-1]]
    figure.legend(
        [*handles, dots], [*names, "printed law"], loc="outside upper center", ncols=len(names) + 1,
        columnspacing=1.0, handletextpad=0.4,
    )  # fmt: skip
    return axes[0][0]


def _grid(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
