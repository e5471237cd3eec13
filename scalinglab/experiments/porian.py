"""Porian et al. 2024: from Kaplan's exponent to Hoffmann's, one correction at a time, by Approach 2 on their runs.

Their estimator (github.com/formll/resolving-scaling-law-discrepancies): at each budget Akima's interpolant of ln loss
over ln N is followed for losses redrawn a thousand times; N_opt is the median of the minima, and the power law weighs
each by its deviation. The deviation of a loss is 0.002 on RefinedWeb and 0.01 on OpenWebText2: it was meant to grow
with the loss from 3 nats on, but their code compares those bounds with ln loss, which never reaches them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate, IsoFlop, isoflop
from scalinglab.errors import InputError
from scalinglab.experiments.published_fits import matching_digits, printed_digits
from scalinglab.experiments.report import Beside, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNS, PUBLISHED = "porian_isoflop.csv", "porian_published_fits.csv"
STEPS = ("Kaplan's setup", "last layer counted", "warmup shortened", "cosine decay", "tuned, constant LR")
"""The path, in the order of the first five published rows of each data set."""
OTHERS = (
    "attention counted",
    "attention, short warmup",
    "attention, cosine",
    "attention, tuned",
    "tuned, as Kaplan counts",
)
"""The published rows that are not on the path, all on RefinedWeb."""
NOISE = {"rw": 0.002, "owt2": 0.01}
NAMES = {"rw": "RefinedWeb", "owt2": "OpenWebText2"}
LEVEL, RESAMPLES, PARABOLA_RESAMPLES = 0.95, 1000, 1000
_STARTS = (0, 5, 10, 14)  # published rows at which their random numbers start anew


class TheirDraws:
    """The authors' random numbers: numpy's legacy generator, which they also ask for a draw over tokens each time."""

    def __init__(self, seed: int = 42) -> None:
        self.state = np.random.RandomState(seed)

    def standard_normal(self, shape: tuple[int, int]) -> Any:
        drawn = self.state.standard_normal(shape)
        self.state.standard_normal(shape)
        return drawn


def report(folder: Path | None, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """Every published exponent with our figure for the same rows; the parabola's and the law's beside."""
    if folder is None:
        raise InputError("porian needs the folder of the real runs")
    runs, printed = _read(folder / RUNS), _read(folder / PUBLISHED, dtype=str)
    lines, others, apart, found = [], [], [], {}
    missing: list[int] = []
    draws: Any = None
    for i, row in printed.iterrows():
        progress(f"{NAMES[row['dataset']]}, {row['param_count']}", int(str(i)), len(printed))
        if i in _STARTS:
            draws = TheirDraws()
        mine = _rows(runs, row)
        theirs = isoflop(
            mine,
            minimum="interpolated",
            noise=NOISE[row["dataset"]],
            seed=draws,
            level=LEVEL,
            resamples=RESAMPLES,
        )
        parabola = isoflop(mine, level=LEVEL, resamples=PARABOLA_RESAMPLES)
        digits, all_digits = matching_digits(theirs.a.value, row["n_exp"]), printed_digits(row["n_exp"])
        missing.append(all_digits - digits)
        name = _name(i)
        found[(row["dataset"], name)] = (row, theirs, parabola)
        lines.append(
            Beside(
                f"{NAMES[row['dataset']]}: {name}",
                f"{float(row['n_exp']):.3f} [{float(row['n_exp_lo']):.3f}, {float(row['n_exp_hi']):.3f}]",
                theirs.a,
                f"{digits} of {all_digits} digits",
            )
        )
        others.append(
            {
                "runs": row["dataset"],
                "step": name,
                "parabola": parabola.a.value,
                "parabola_lo": parabola.a.lo,
                "parabola_hi": parabola.a.hi,
                "bias": f"{parabola.a_bias:+.3f}" if parabola.a_bias == parabola.a_bias else "",
                "law": parabola.law_a.value,
                "law_lo": parabola.law_a.lo,
                "law_hi": parabola.law_a.hi,
            }
        )
        apart.append(abs(parabola.a.value - theirs.a.value))
    first, last = (found[("rw", step)] for step in (STEPS[0], STEPS[-1]))
    return Report(
        title="From Kaplan's exponent to Hoffmann's: N_opt ∝ C^a",
        source="Porian et al. 2024, arXiv 2406.19146, figure 1 and their repository's results",
        lines=tuple(lines),
        tables={"The same rows by a parabola, and by Chinchilla's law (Huber)": pd.DataFrame(others)},
        figures={
            "porian": lambda: path_figure(found),
            "porian-optima": lambda: optima_figure(first[1], last[1]),
            "porian-valleys": lambda: valleys_figure(last[1]),
        },
        notes=(
            f"Intervals at {LEVEL:.0%}. Ours come of the authors' own random numbers.",
            "The authors' deviation of a loss was to grow with it, but is constant: they compare bounds with ln loss.",
            "bias: what a parabola adds to a where the losses are those of the fitted law, at the same runs.",
            "law: none where a term of the fitted law plays no part.",
        ),
        verdict=f"{missing.count(0)} of {len(missing)} exponents agree with the published ones in every printed digit"
        + (f", the others in all but {max(missing)}" if any(missing) else "")
        + f". Each step of the path is there: on RefinedWeb a falls from {first[1].a.value:.3f} to "
        f"{last[1].a.value:.3f}. A parabola over all sizes differs from the interpolated minimum by "
        f"{min(apart):.3f} to {max(apart):.3f}: these valleys are wide and lopsided.",
    )


def _read(path: Path, **how: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **how)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, and porian is computed from it") from None


def _rows(runs: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """The runs of one published fit."""
    same = (runs["flop_convention"] == row["param_count"]) & (runs["loss_kind"] == row["val"])
    for name in ("dataset", "hparams", "warmup", "decay"):
        same &= runs[name] == row[name]
    if not same.any():
        raise InputError(f"{RUNS} has no runs of {', '.join(map(str, row.iloc[:6]))}")
    return runs[same].reset_index(drop=True)


def _name(i: Any) -> str:
    return STEPS[int(i) % 5] if i < 10 else OTHERS[int(i) - 10]


# ---- figures --------------------------------------------------------------------------------------


def path_figure(found: dict[Any, tuple[pd.Series, IsoFlop, IsoFlop]], ax: Axes | None = None) -> Axes:
    """The exponent at each step: published (hollow) beside ours (filled), with intervals, and the parabola's."""
    from matplotlib.lines import Line2D

    from scalinglab.plots._axes import key_above
    from scalinglab.plots._canvas import BLUE, GREY, INK, VERMILLION, canvas, root_figure

    looks: dict[str, dict[str, Any]] = {
        "published": {"marker": "o", "ms": 4, "mfc": "white"},
        "ours": {"marker": "o", "ms": 4},
        "by parabolas": {"marker": "^", "ms": 3.5},
    }
    colours = {"rw": BLUE, "owt2": VERMILLION}
    with canvas(ax, height=1.15) as ax:
        for k, (dataset, colour) in enumerate(colours.items()):
            here = [found[(dataset, step)] for step in STEPS]
            series = (
                [_published(row) for row, _, _ in here],
                [ours.a for _, ours, _ in here],
                [parabola.a for _, _, parabola in here],
            )
            for shift, values, look in zip((-0.12, 0.0, 0.12), series, looks.values(), strict=True):
                at = np.arange(len(STEPS)) + 0.21 * (2 * k - 1) + shift
                ax.vlines(at, [v.lo for v in values], [v.hi for v in values], color=colour, lw=1)
                ax.plot(at, [v.value for v in values], ls="none", color=colour, **look)
        ax.axhline(0.5, color=GREY, lw=0.8, ls=(0, (4, 2)), zorder=1)
        names = [
            step.replace(", ", ",\n") if "," in step else "\n".join(step.rsplit(" ", 1)) for step in STEPS
        ]
        ax.set_xticks(np.arange(len(STEPS)), names)
        ax.tick_params(axis="x", labelsize=5.5 if root_figure(ax).get_figwidth() < 5 else None)
        ax.set_xlim(-0.5, len(STEPS) - 0.5)
        ax.set_ylabel("a of $N_{opt} \\propto C^a$")
        handles = [Line2D([], [], color=c, lw=3, label=NAMES[name]) for name, c in colours.items()]
        handles += [
            Line2D([], [], ls="none", color=INK, label=label, **look) for label, look in looks.items()
        ]
        handles.append(Line2D([], [], color=GREY, lw=0.8, ls=(0, (4, 2)), label="a = 0.5"))
        key_above(ax, handles=handles)
    return ax


def _published(row: pd.Series) -> Estimate:
    return Estimate(*(float(row[name]) for name in ("n_exp", "n_exp_lo", "n_exp_hi")))


def valleys_figure(answer: IsoFlop, ax: Axes | None = None) -> Axes:
    """The valleys near their floors: losses far above them are cut off."""
    from scalinglab import plots

    ax = plots.isoflop(answer, pd.DataFrame({"loss_unit": ["nats/token"]}), ax=ax)
    low = float(np.nanmin(answer.rows[["loss", "law_loss"]].to_numpy()))
    high = float(np.nanmax(answer.rows[["loss", "law_loss"]].to_numpy()))
    ax.set_ylim(0.97 * low, 1.08 * high)
    return ax


def optima_figure(first: IsoFlop, last: IsoFlop, ax: Axes | None = None) -> Axes:
    """N_opt against C at the first and the last step."""
    from scalinglab.plots._axes import count, key_above, log_axis, power_of_ten
    from scalinglab.plots._canvas import BLUE, ORANGE, canvas
    from scalinglab.plots._isoflop import draw_power_law

    with canvas(ax) as ax:
        for answer, colour, step in ((first, ORANGE, STEPS[0]), (last, BLUE, STEPS[-1])):
            draw_power_law(ax, answer, colour, step)
        flops = pd.concat([first.flops, last.flops])
        n = pd.concat([first.params, last.params]).dropna()
        log_axis(
            ax.xaxis,
            "training compute C (FLOPs)",
            (flops.min() / 1.5, flops.max() * 1.5),
            power_of_ten,
        )
        log_axis(ax.yaxis, "N with the least loss (parameters)", (n.min() / 2, n.max() * 2), count)
        key_above(ax)
    return ax
