"""A search of constants: its trials by constant, the best loss against what was spent, and its gain by size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from scalinglab.analysis.found_constants import best_count
from scalinglab.errors import InputError
from scalinglab.plots._axes import FLOPS, PARAMS, count, key_above, log_axis, power_of_ten
from scalinglab.plots._canvas import BLUE, GREEN, GREY, INK, ORANGE, VERMILLION, SizeColours, canvas
from scalinglab.plots._panels import panel_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis import Estimate

NAMES = {
    "lr": "peak learning rate",
    "scale_emb": "scale_emb",
    "scale_depth": "scale_depth",
    "init_std": "init std",
}
_HEADROOM = 0.75  # quantile of the finished losses up to which the picture reaches


def search_trials(
    trials: pd.DataFrame,
    found: Mapping[str, Estimate],
    ranges: Mapping[str, tuple[float, float]],
    published: Mapping[str, float] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Loss of every finished trial against each constant, a panel each, and where pruned and diverged ones lay.

    trials: a row a trial, with columns state (complete, pruned, diverged), loss, loss_unit and the constants. found:
    their value with the ends between which the best trials lie (a line and a band). published: values to mark beside.
    Pruned trials have no loss at the end and stand in a strip at the top, as do those above the picture (triangles).
    Returns the first panel.
    """
    done = trials[trials["state"] == "complete"]
    if done.empty:
        raise InputError("no trial was finished, so there is no loss to draw")
    names = list(found)
    columns = 2 if len(names) > 1 else 1
    rows = -(-len(names) // columns)
    losses = done["loss"].to_numpy(dtype=float)
    low, top = float(losses.min()), float(np.quantile(losses, _HEADROOM))
    span = (top - low) or 0.01 * abs(low) or 1.0
    strip = {"complete": top + 0.08 * span, "pruned": top + 0.17 * span, "diverged": top + 0.26 * span}
    best = done.nsmallest(best_count(len(done)), "loss")
    unit = trials["loss_unit"].iloc[0]
    with canvas(ax, height=0.55 + 0.6 * rows) as ax:
        panels = panel_grid(ax, rows, columns, len(names), share_x=False)
        for i, (panel, name) in enumerate(zip(panels, names, strict=True)):
            value = found[name]
            if not math.isnan(value.lo):
                panel.axvspan(value.lo, value.hi, color=BLUE, alpha=0.13, lw=0, zorder=0)
            panel.axvline(value.value, color=BLUE, lw=1.2, zorder=1)
            if published and name in published:
                panel.axvline(published[name], color=VERMILLION, lw=1.2, ls=(0, (4, 2)), zorder=1)
            inside = done[done["loss"] <= top]
            panel.plot(inside[name], inside["loss"], "o", color=GREY, mec="white", mew=0.5, zorder=2)
            panel.plot(best[name], best["loss"], "o", color=BLUE, mec="white", mew=0.5, zorder=3)
            above = done[done["loss"] > top]
            panel.plot(
                above[name], np.full(len(above), strip["complete"]), "^", color=GREY, mec="white", mew=0.3
            )
            for state, marker, colour in (("pruned", "|", INK), ("diverged", "x", ORANGE)):
                own = trials[trials["state"] == state]
                panel.plot(own[name], np.full(len(own), strip[state]), marker, color=colour, alpha=0.8)
            least, most = ranges[name]
            log_axis(panel.xaxis, NAMES.get(name, name), (least / 1.15, most * 1.15), lambda v: f"{v:g}")
            decades = 10.0 ** np.arange(math.ceil(math.log10(least) - 1e-9), math.log10(most) + 1e-9)
            if len(decades) > 1:
                panel.xaxis.set_major_locator(FixedLocator(list(decades)))
                panel.xaxis.set_minor_locator(NullLocator())
            if i % columns:
                panel.tick_params(labelleft=False)
            else:
                panel.set_ylabel(f"loss ({unit})" if unit else "loss")
        ax.set_ylim(low - 0.06 * span, top + 0.34 * span)
        keys = _keys(trials, bool(published), bool((done["loss"] > top).any()))
        shown = np.array_split(np.array(keys, dtype=object), min(columns, len(panels)))
        for panel, own_keys in zip(panels, shown, strict=False):
            panel.legend(
                handles=list(own_keys), loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.2
            )
    return ax


def _keys(trials: pd.DataFrame, published: bool, above: bool) -> list[Line2D]:
    states = set(trials["state"])
    dot: dict[str, Any] = {"ls": "", "mec": "white", "mew": 0.5}
    keys = [
        Line2D([], [], marker="o", color=BLUE, label="the best trials", **dot),
        Line2D([], [], marker="o", color=GREY, label="other finished trials", **dot),
    ]
    if above:
        keys.append(Line2D([], [], marker="^", color=GREY, label="finished, above the picture", **dot))
    if "pruned" in states:
        keys.append(Line2D([], [], marker="|", ls="", color=INK, label="given up early"))
    if "diverged" in states:
        keys.append(Line2D([], [], marker="x", ls="", color=ORANGE, label="diverged"))
    keys.append(Line2D([], [], color=BLUE, lw=1.2, label="found"))
    if published:
        keys.append(Line2D([], [], color=VERMILLION, lw=1.2, ls=(0, (4, 2)), label="MiniCPM's"))
    return keys


def search_progress(
    trials: pd.DataFrame, params: float, reference: Estimate | None = None, *, ax: Axes | None = None
) -> Axes:
    """The best loss so far against the compute of all trials up to there, pruned ones included, C = 6·N·D.

    trials: in the order in which they were begun, with columns state, tokens, loss, loss_unit. reference: a loss to
    compare with, such as that of known constants, with its interval.
    """
    done = trials["state"] == "complete"
    if not done.any():
        raise InputError("no trial was finished, so there is no loss to draw")
    flops = 6.0 * params * trials["tokens"].to_numpy(dtype=float).cumsum()
    loss = trials["loss"].to_numpy(dtype=float)
    best = np.fmin.accumulate(loss)
    known = ~np.isnan(best)
    low, top = float(np.nanmin(loss)), float(np.nanquantile(loss, _HEADROOM))
    if reference is not None:
        shown = [each for each in (reference.value, reference.lo, reference.hi) if not math.isnan(each)]
        low, top = min([low, *shown]), max([top, *shown])
    span = (top - low) or 0.01 * abs(low) or 1.0
    with canvas(ax) as ax:
        if reference is not None and not math.isnan(reference.value):
            ax.axhline(
                reference.value,
                color=VERMILLION,
                lw=1.2,
                ls=(0, (4, 2)),
                label="MiniCPM's constants",
                zorder=1,
            )
            if not math.isnan(reference.lo):
                ax.axhspan(reference.lo, reference.hi, color=VERMILLION, alpha=0.13, lw=0, zorder=0)
        inside = done.to_numpy() & (loss <= top)
        ax.plot(flops[inside], loss[inside], "o", color=GREY, mec="white", mew=0.5, label="a trial", zorder=2)
        above = done.to_numpy() & (loss > top)
        if above.any():
            ax.plot(
                flops[above], np.full(above.sum(), top + 0.06 * span), "^", color=GREY, mec="white", mew=0.3,
                label="above the picture",
            )  # fmt: skip
        ax.plot(flops[known], best[known], drawstyle="steps-post", color=BLUE, label="best so far", zorder=3)
        log_axis(ax.xaxis, FLOPS, (flops[0] / 1.3, flops[-1] * 1.3), power_of_ten)
        ax.set_ylim(low - 0.08 * span, top + 0.13 * span)
        unit = trials["loss_unit"].iloc[0]
        ax.set_ylabel(f"loss ({unit})" if unit else "loss")
        key_above(ax)
    return ax


def search_gains(cells: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """What found constants lose or gain by model size, a colour a horizon: bars are intervals, dots single seeds.

    cells: a row a size and horizon, with columns params, tokens, difference, lo, hi (below zero the found ones are
    better), seeds (a sequence of single differences) and loss_unit.
    """
    horizons = sorted(cells["tokens"].unique())
    sizes = sorted(cells["params"].unique())
    with canvas(ax) as ax:
        colour = SizeColours(horizons) if len(horizons) > 1 else lambda value: GREEN
        ax.axhline(0, color=INK, lw=0.9, zorder=1)
        handles = []
        for i, horizon in enumerate(horizons):
            aside = 1.05 ** (i - (len(horizons) - 1) / 2)
            own = cells[cells["tokens"] == horizon].sort_values("params")
            x = own["params"].to_numpy(dtype=float) * aside
            for at, row in zip(x, own.to_dict("records"), strict=True):
                if not math.isnan(row["lo"]):
                    ax.plot(
                        [at, at], [row["lo"], row["hi"]], color=colour(horizon), lw=2.2, alpha=0.5, zorder=2
                    )
                single = list(row["seeds"])
                ax.plot([at] * len(single), single, "_", color=colour(horizon), zorder=3)
            ax.plot(x, own["difference"], "o-", color=colour(horizon), lw=0.9, mec="white", mew=0.5, zorder=4)
            handles.append(
                Line2D(
                    [],
                    [],
                    marker="o",
                    color=colour(horizon),
                    mec="white",
                    mew=0.5,
                    label=f"D {count(horizon)}",
                )
            )
        handles.append(Line2D([], [], marker="_", ls="", color=GREY, label="single seeds"))
        log_axis(ax.xaxis, PARAMS, (sizes[0] / 1.35, sizes[-1] * 1.35), count)
        ax.xaxis.set_major_locator(FixedLocator(sizes))
        ax.xaxis.set_minor_locator(NullLocator())
        unit = cells["loss_unit"].iloc[0]
        ax.set_ylabel(f"loss, found − MiniCPM's\n({unit})" if unit else "loss, found − MiniCPM's")
        key_above(ax, handles=handles)
    return ax
