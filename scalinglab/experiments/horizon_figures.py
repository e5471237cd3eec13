"""The figures of `cosine_horizon`: gaps to Cosine(T = S) by horizon, and the curves of one seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from scalinglab.errors import InputError
from scalinglab.experiments.horizon_ends import HorizonEnds, Way
from scalinglab.experiments.report import wide_axes
from scalinglab.experiments.wsd_figures import SEED_NOISE
from scalinglab.plots._axes import TOKENS, count, key_above, log_axis
from scalinglab.plots._canvas import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION
from scalinglab.plots._panels import panel_below, panel_grid
from scalinglab.plots._training import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = {
    "cosine-loop": (PURPLE, "^"), "linear": (VERMILLION, "s"), "noam": (INK, "v"), "constant": (GREY, "X"),
}  # fmt: skip
_WSD = ((BLUE, "o"), (SKY, "P"), (PURPLE, "*"))
_SHORTER, _LONGER = (ORANGE, "v"), (GREEN, "D")
_START = 0.06
"""Of the longest run: the loss before is out of the picture, for it falls too far."""


def _looks(ends: HorizonEnds) -> dict[Way, tuple[str, str]]:
    decays = dict(zip(ends.decays, _WSD * 3, strict=False))
    found = {ends.reference: (VERMILLION, "s")}
    for way in ends.ways:
        if way.kind == "cosine":
            found.setdefault(way, _SHORTER if way.ratio < 1 else _LONGER)
        else:
            found[way] = decays.get(way) or _LOOKS.get(way.kind, (INK, "o"))
    return found


def gaps(ends: HorizonEnds, level: float) -> Axes:
    """Loss above Cosine(T = S) at each horizon: other periods on the left, other schedules on the right."""
    ax = wide_axes(7.2, 3.4)
    left, right = panel_grid(ax, 1, 2, 2)
    looks, noise = _looks(ends), ends.noise().sd
    lowest, highest = [0.0], [0.0]
    periods = [way for way in ends.others if way.kind in ("cosine", "cosine-loop")]
    rest = [way for way in ends.others if way not in periods]
    for axes, shown in ((left, periods), (right, rest)):
        if not np.isnan(noise):
            label = SEED_NOISE if axes is left else None
            axes.axhspan(-noise, noise, color=FAINT, alpha=0.35, lw=0, zorder=0, label=label)
            lowest.append(-noise)
        axes.axhline(0, color=INK, lw=0.8, zorder=1)
        spread = np.linspace(-0.12, 0.12, len(shown)) if len(shown) > 1 else [0.0] * len(shown)
        for way, shift in zip(shown, spread, strict=True):
            colour, marker = looks[way]
            own = ends.gap(way)
            found = [own.cell(cell, level) for cell in own.cells]
            value = np.array([each.value for each in found])
            half = np.nan_to_num(np.array([each.hi for each in found]) - value)
            axes.errorbar(
                np.asarray(own.cells) * 2.0**shift, value, half, color=colour, marker=marker, mec="white", mew=0.4,
                lw=0.8, elinewidth=0.8, label=way.label, zorder=3,
            )  # fmt: skip
            lowest.append(float((value - half).min()))
            highest.append(float((value + half).max()))
        log_axis(axes.xaxis, TOKENS, (min(ends.horizons) / 1.35, max(ends.horizons) * 1.35), count)
        axes.set_xticks(ends.horizons, [count(each) for each in ends.horizons])
        axes.minorticks_off()
        if shown:
            key_above(axes)
    room = 0.06 * (max(highest) - min(lowest))
    left.set_ylim(min(lowest) - room, max(highest) + room)
    left.set_ylabel(f"loss above {ends.reference.label}\n({ends.loss_unit})")
    right.tick_params(labelleft=False)
    return ax


def curves(ends: HorizonEnds) -> Axes:
    """One seed's runs to the longest horizon in the manner of MiniCPM's figure 4, the learning rate below.

    Lines: training loss, a running mean; marks: held-out loss where runs were measured. Of the cosines those whose T
    is half, all and twice that horizon; the trunk with its first decay at every horizon.
    """
    ax = wide_axes(7.2, 4.4)
    rate = panel_below(ax, 0.3)
    seed, longest, looks = ends.seeds[0], max(ends.horizons), _looks(ends)
    own = ends.planned[ends.planned["seed"] == seed]
    seen: list[float] = []
    handles: dict[str, Line2D] = {}
    shown = [
        ends.of_kind("constant"),
        ends.of_kind("cosine-loop"),
        ends.at_ratio(2.0),
        ends.at_ratio(0.5),
        ends.reference,
    ]
    main = ends.decays[0] if ends.decays else None
    for z, way in enumerate([*(way for way in shown if way is not None), main], 2):
        if way is None:
            continue
        rows = own[(own["way"] == way) & ((own["tokens"] == longest) | way.forked)]
        for row in rows.to_dict("records"):
            _draw(ax, rate, ends, row, looks[way], z, seen)
        label = f"{way.label}, S = {count(longest)}" if way == ends.reference else way.label
        colour, marker = looks[way]
        if len(rows):
            dash = (0, (2, 1)) if way.forked else "-"
            handles[label] = Line2D(
                [], [], color=colour, marker=marker, mec="white", mew=0.4, ls=dash, label=label
            )
    if not seen:
        raise InputError("the study's folder holds no curves to draw; its run table alone has none")
    room = 0.05 * (max(seen) - min(seen))
    ax.set_ylim(min(seen) - room, max(seen) + room)
    ax.set_xlim(0, 1.03 * longest)
    rate.xaxis.set_major_formatter(lambda value, _: count(value))
    rate.set_xlabel(TOKENS)
    rate.set_ylabel("learning rate")
    ax.set_ylabel("loss (nats/token)\nlines: training, marks: held out")
    key_above(ax, handles=list(handles.values()))
    return ax


def _draw(
    ax: Axes, rate: Axes, ends: HorizonEnds, row: dict[Any, Any], look: tuple[str, str], z: int, seen: list[float]
) -> None:  # fmt: skip
    """One run. Of a decay the line joins the trunk's held-out loss at its fork with its own at its end."""
    run = ends.trained.folder.run(row["run_id"])
    if not run.metrics_path.exists():
        return
    curve = read_run(run)
    curve = curve[curve["tokens"] <= row["tokens"]]
    held, curve = curve[curve["eval_loss"].notna()], curve[curve["loss"].notna()]
    held = held[held["tokens"].isin(ends.horizons) & (held["tokens"] >= _START * max(ends.horizons))]
    colour, marker = look
    tokens, lr = curve["tokens"].to_list(), curve["lr"].to_list()
    if row["way"].forked:
        trunk = read_run(ends.trained.folder.run(row["trunk_id"]))
        fork = row["tokens"] * (1 - row["way"].share)
        at = trunk[trunk["eval_loss"].notna()]
        nearest = at.iloc[(at["tokens"] - fork).abs().argmin()]
        joined = [nearest["tokens"], row["tokens"]], [nearest["eval_loss"], held["eval_loss"].iloc[-1]]
        ax.plot(*joined, color=colour, lw=1.1, ls=(0, (2, 1)), zorder=z + 9)
        tokens, lr = [nearest["tokens"], *tokens], [ends.trained.study.training.lr, *lr]
    else:
        window = 1 + 2 * (min(len(curve) // 16, 11) // 2)
        smooth = curve["loss"].rolling(window, center=True, min_periods=1).mean()
        ax.plot(curve["tokens"], smooth, color=colour, lw=0.9, alpha=0.75, zorder=z)
        seen += smooth[curve["tokens"] >= _START * max(ends.horizons)].to_list()
    rate.plot(tokens, lr, color=colour, lw=1.0, zorder=z)
    ax.plot(
        held["tokens"], held["eval_loss"], marker, ms=4.5, color=colour, mec="white", mew=0.4, zorder=z + 10
    )
    seen += held["eval_loss"].to_list()
