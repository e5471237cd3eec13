"""Hoffmann et al. 2022: their three approaches, on the runs there are.

Approaches 2 and 3 on 240 runs read off their figure 4 (by Epoch); Approach 1 on Gemstones' undecayed trunks, since
no training curves of Hoffmann's are public.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import Envelope, IsoFlop, envelope, frontier, isoflop, optimum, scaling
from scalinglab.errors import InputError
from scalinglab.experiments.report import Beside, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Fit

RUNS, TRUNKS = "hoffmann_epoch_fig4.csv", "curves/gemstones_trunk.csv"
BUDGETS = (6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21)
"""The nine budgets of Hoffmann's Approach 2."""
GOPHER = 5.76e23
"""Gopher's budget, which Chinchilla was trained with."""
LEVEL = 0.8
"""Of Hoffmann's intervals: 10th to 90th percentile."""
_RESAMPLES = 2000
_NAMED = 0.16  # of ln C: how far a run may lie from one of the nine budgets, since those read off lie a few % below


def report(folder: Path | None, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """The exponents by each approach, published beside ours, and the optimum at Chinchilla's budget."""
    if folder is None:
        raise InputError("chinchilla needs the folder of the real runs")
    runs = _read(folder / RUNS)
    runs = runs[runs["dropped_by_besiroglu"] == 0].reset_index(drop=True)
    progress("Approaches 2 and 3", 0, 3)
    valleys = isoflop(runs, level=LEVEL, resamples=_RESAMPLES)
    fit = valleys.fit
    if fit is None:
        raise InputError(f"{folder / RUNS} is not the table of Hoffmann's runs: its law cannot be fitted")
    grown = scaling(fit, LEVEL)
    progress("Approach 2 otherwise binned", 1, 3)
    others = _binned(runs, valleys)
    progress("Approach 1", 2, 3)
    trunks = _trunks(folder)
    printed, refitted = (_scaled(name) for name in ("hoffmann", "besiroglu"))
    beyond = f"{math.log10(GOPHER / valleys.flops.max()):.1f} decades beyond the largest budget"
    best = optimum(fit, GOPHER, level=LEVEL, beyond=np.inf)

    lines = [
        Beside("Approach 3: a", "0.46 [0.454, 0.455]", grown.a, f"printed α and β give {printed:.3f}"),
        Beside("Approach 3: b", "0.54 [0.542, 0.543]", grown.b),
        Beside("Approach 3, re-fitted: a", f"{refitted:.3f}", grown.a, "of Besiroglu's printed α and β"),
        Beside("Approach 2: a", "0.49 [0.462, 0.534]", valleys.a, f"{len(valleys.rows)} budgets"),
        Beside("Approach 2: b", "0.51 [0.483, 0.529]", valleys.b),
    ]
    lines += [
        Beside("Approach 1: a", "0.50 [0.488, 0.502]", trunks.a, "Gemstones' trunks, undecayed"),
        Beside("Approach 1: b", "0.50 [0.501, 0.512]", trunks.b),
        Beside("Approach 3: N at 5.76e23", "40B", best.params.text(True), beyond),
        Beside("Approach 2: N at 5.76e23", "63B", _beyond(valleys)),
    ]
    return Report(
        title="Hoffmann's three approaches",
        source="Hoffmann et al. 2022, arXiv 2203.15556, table 2 and section 3; Besiroglu et al. 2024, arXiv 2404.10102",
        lines=tuple(lines),
        tables={"Approach 2 by how the runs are binned": others, "Each budget": valleys.table()},
        figures={
            "chinchilla": lambda: approaches_figure(valleys, fit, trunks),
            "chinchilla-valleys": lambda: _plots().isoflop(valleys, runs.assign(loss_unit="nats/token")),
        },
        notes=(
            f"Intervals at {LEVEL:.0%}, as Hoffmann's, who drew four fifths of their runs a hundred times.",
            *valleys.notes,
            "Approach 1 is on other data (Dolma), counts all parameters, and its curves are undecayed.",
        ),
        verdict=_verdict(valleys, grown, others, trunks),
    )


def _verdict(valleys: IsoFlop, grown: Any, others: pd.DataFrame, trunks: Envelope) -> str:
    parabolas, between = others["a"].iloc[:-1], others.iloc[-1]
    said = (
        f"Approach 2 gives a = {parabolas.min():.2f} to {parabolas.max():.2f} by parabolas, as published. The minimum "
        f"between single runs, {between['a']:.2f} ({between['a_lo']:.2f} to {between['a_hi']:.2f}), asks more of "
        f"digitised losses than they hold. Approach 3 at its minimum gives {grown.a.value:.2f}, not 0.46: the printed "
        "constants are not the minimum of their own objective, and at the minimum Approaches 2 and 3 agree within "
        f"their intervals. The predicted bias of Approach 2 is small here ({valleys.a_bias:+.4f} in a), because α and "
        "β are nearly equal."
    )
    return f"{said} Approach 1 on Gemstones' undecayed trunks gives {trunks.a.text()}."


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, and chinchilla is computed from it") from None


def _scaled(name: str) -> float:
    """a of a published law's printed constants."""
    from scalinglab.fitting import Fit

    known = laws.PUBLISHED[name]
    return scaling(Fit.from_constants(known.law, known.constants)).a.value


def _binned(runs: pd.DataFrame, near: IsoFlop) -> pd.DataFrame:
    """a by other choices: the paper's nine budgets, and the interpolated minimum."""
    off = np.log(runs["flops"].to_numpy()[:, None] / np.array(BUDGETS))
    nearest = np.abs(off).argmin(axis=1)
    named = np.where(np.abs(off).min(axis=1) < _NAMED, np.array(BUDGETS)[nearest], np.nan)
    nine = runs.assign(budget=named)
    rows = []
    for how, answer in (
        (f"near repeats, {len(near.rows)} groups", near),
        (
            "the nine of the paper",
            isoflop(nine, column="budget", level=LEVEL, resamples=_RESAMPLES, fit=near.fit),
        ),
        (
            "near repeats, interpolated minimum",
            isoflop(runs, minimum="interpolated", level=LEVEL, resamples=_RESAMPLES, fit=near.fit),
        ),
    ):
        rows.append(
            {
                "budgets": how, "runs": int(answer.rows["runs"].sum()), "a": answer.a.value, "a_lo": answer.a.lo,
                "a_hi": answer.a.hi, "b": answer.b.value, "b_lo": answer.b.lo, "b_hi": answer.b.hi,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _beyond(answer: IsoFlop) -> str:
    """N of the power law through the vertices at Gopher's budget."""
    from scalinglab.analysis import count_text

    last = answer.line.iloc[-1]
    return f"{count_text(float(last['params'] * (GOPHER / last['flops']) ** answer.a.value))} (power law)"


def _trunks(folder: Path) -> Envelope:
    """Approach 1 on Gemstones' constant-rate trunks, at each budget as Hoffmann did."""
    curves = _read(folder / TRUNKS)
    curves = curves[curves["lr_setting"] == "base"].assign(kind="trunk")
    curves["params"] = curves["params_total"]
    return envelope(curves[["run_id", "params", "tokens", "loss", "kind"]], through="budgets", level=LEVEL)


# ---- figures --------------------------------------------------------------------------------------


def _plots() -> Any:
    from scalinglab import plots

    return plots


def approaches_figure(valleys: IsoFlop, fit: Fit, trunks: Any = None, ax: Axes | None = None) -> Axes:
    """N_opt against C by each approach with its band, beside the published laws; the star is Chinchilla."""
    from scalinglab.fitting import Fit as Given
    from scalinglab.plots._axes import PARAMS, count, key_above, log_axis, power_of_ten
    from scalinglab.plots._canvas import BLUE, GREEN, GREY, INK, VERMILLION, canvas
    from scalinglab.plots._isoflop import draw_power_law

    ends = 3e18, 1.5e24
    budgets = np.geomspace(*ends, 40)
    with canvas(ax, height=1.2) as ax:
        ours = frontier(fit, budgets, level=LEVEL, beyond=np.inf).rows
        ax.fill_between(budgets, ours["params_lo"], ours["params_hi"], color=VERMILLION, alpha=0.18, lw=0)
        ax.plot(
            budgets,
            ours["params"],
            color=VERMILLION,
            label=f"Approach 3, $N\\propto C^{{{valleys.law_a.value:.3f}}}$",
        )
        draw_power_law(ax, valleys, BLUE, "Approach 2")
        last = valleys.line.iloc[-1]
        further = np.array([last["flops"], ends[1]])
        carried_on = last["params"] * (further / last["flops"]) ** valleys.a.value
        ax.plot(further, carried_on, color=BLUE, ls=(0, (3, 2)), lw=1)
        own = trunks.optima
        along = np.geomspace(own["flops"].min(), own["flops"].max(), 30)
        band = trunks.at(along)
        if band["params_lo"].notna().all():
            ax.fill_between(along, band["params_lo"], band["params_hi"], color=GREEN, alpha=0.18, lw=0)
        label = f"Approach 1, Gemstones, undecayed, $N\\propto C^{{{trunks.a.value:.3f}}}$"
        ax.plot(along, band["params"], color=GREEN, label=label)
        for name, shade, dashes, label in (
            ("hoffmann", GREY, (0, (6, 2)), "Hoffmann's printed law"),
            ("besiroglu", INK, (0, (1.5, 1.2)), "its re-fit of 2024"),
        ):
            known = laws.PUBLISHED[name]
            theirs = frontier(Given.from_constants(known.law, known.constants), budgets, beyond=np.inf).rows
            ax.plot(budgets, theirs["params"], color=shade, ls=dashes, lw=1.3, label=label)
        ax.plot(GOPHER, 70e9, "*", color=INK, ms=10, label="Chinchilla, 70B")
        log_axis(ax.xaxis, "training compute C = 6ND (FLOPs)", ends, power_of_ten)
        log_axis(ax.yaxis, PARAMS, (5e7, 3e11), count)
        key_above(ax)
    return ax
