"""The figures of `merging`: loss against the window merged over, and the share of a decay's gain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.analysis import Estimate
from scalinglab.experiments.merge_ends import MergeEnds
from scalinglab.experiments.report import wide_axes
from scalinglab.experiments.wsd_ends import percent
from scalinglab.experiments.wsd_findings import LEVEL
from scalinglab.plots._axes import count, key_above, log_axis
from scalinglab.plots._canvas import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION
from scalinglab.plots._panels import panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = ((BLUE, "o"), (VERMILLION, "s"), (GREEN, "D"), (PURPLE, "^"))
_DASHES = ("-", "--", "-.", ":")


def against_window(ends: MergeEnds) -> Axes:
    """Loss above the undecayed trunk against the window's share, a panel a horizon; decays as lines."""
    ax = wide_axes(7.2, 3.5)
    panels = panel_grid(ax, 1, len(ends.horizons), len(ends.horizons))
    shares = sorted({each.share for each in ends.merges})
    fewer = [each for each in ends.counts if each.count != ends.count]
    for panel, horizon in zip(panels, ends.horizons, strict=True):
        trunk = float(ends.losses(None)[horizon].mean())
        if not np.isnan(ends.noise):
            panel.axhspan(
                -ends.noise, ends.noise, color=FAINT, alpha=0.35, lw=0, zorder=0, label="seed noise, ±1 s.d."
            )
        panel.axhline(0, color=INK, lw=1.0, zorder=1, label="undecayed trunk")
        colours = dict(zip(ends.shapes, _LOOKS, strict=False))
        spare = iter((SKY, ORANGE))
        for decay in sorted(ends.decays, key=lambda each: each.share):
            if horizon not in ends.losses(decay):
                continue
            lengths = sorted({each.share for each in ends.decays})
            colour = colours[decay.shape][0] if decay.shape in colours else next(spare, INK)
            found = _above_trunk(ends.gain(decay).cell(horizon, LEVEL))
            panel.axhspan(found.lo, found.hi, color=colour, alpha=0.10, lw=0, zorder=0)
            panel.axhline(
                found.value, color=colour, ls=_DASHES[1:][lengths.index(decay.share) % 3], lw=0.9, zorder=2,
                label=f"decay: {decay.label}",
            )  # fmt: skip
        for i, shape in enumerate(ends.shapes):
            own = [each for each in ends.windows(shape) if horizon in ends.losses(each)]
            colour, marker = colours.get(shape, (INK, "v"))
            shift = 1.04 ** (2 * i - len(ends.shapes) + 1)
            _points(
                panel,
                own,
                ends,
                horizon,
                shift,
                color=colour,
                marker=marker,
                label=f"merge: {shape} weights, {ends.count} states",
            )
        for each, look in zip(fewer, ("v", "^", "<", ">"), strict=False):
            colour = colours.get(each.shape, (INK, "v"))[0]
            own = [each] if horizon in ends.losses(each) else []
            _points(
                panel, own, ends, horizon, 1.0, color=colour, marker=look, mfc="white", ls="none",
                label=f"merge: {each.shape} weights, {each.count} states",
            )  # fmt: skip
        panel.set_title(f"D = {count(horizon)}, trunk {trunk:.3f}", fontsize="medium")
        log_axis(panel.xaxis, "", (100 * shares[0] / 1.4, 100 * shares[-1] * 1.4), "{:g}".format)
        panel.set_xticks([100 * each for each in shares], [f"{100 * each:g}" for each in shares])
        panel.minorticks_off()
        if panel is not ax:
            panel.tick_params(labelleft=False)
    _cut(panels, ends)
    panels[len(panels) // 2].set_xlabel("window merged over (% of D)")
    ax.set_ylabel(f"loss above the undecayed trunk\n({ends.loss_unit})")
    handles, labels = ax.get_legend_handles_labels()
    figure = ax.get_figure()
    assert figure is not None
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize="small")
    return ax


def share_of_gain(ends: MergeEnds) -> Axes:
    """Every merge's share of what the best decay takes off the trunk, at each horizon."""
    ax = wide_axes(5.6, 0.9 + 0.27 * len(ends.merges))
    rows = sorted(ends.merges, key=lambda each: (ends.shapes.index(each.shape), -each.count, each.share))[
        ::-1
    ]
    looks = dict(zip(ends.horizons, _LOOKS * 3, strict=False))
    spread = np.linspace(0.22, -0.22, len(ends.horizons)) if len(ends.horizons) > 1 else [0.0]
    ax.axvline(100, color=INK, lw=0.8, zorder=1)
    for horizon, shift in zip(ends.horizons, spread, strict=True):
        found = [ends.share_of_gain(each, horizon) for each in rows]
        middle = 100 * np.array([each.value for each in found])
        bars = 100 * np.array([[each.lo, each.hi] for each in found]).T
        wide = np.nan_to_num(np.abs(bars - middle), posinf=0.0)
        colour, marker = looks[horizon]
        ax.errorbar(
            middle, np.arange(len(rows)) + shift, xerr=wide, color=colour, marker=marker, ls="none", mec="white",
            mew=0.4, elinewidth=0.8, label=f"D = {count(horizon)}", zorder=3,
        )  # fmt: skip
    left = -40.0
    known = [
        (i, horizon, 100 * ends.share_of_gain(each, horizon).value)
        for i, each in enumerate(rows)
        for horizon in ends.horizons
    ]
    if min(value for *_, value in known) < left:
        ax.set_xlim(left, ax.get_xlim()[1])
        beyond = [each for each in known if each[2] < left]
        for k, (i, horizon, value) in enumerate(beyond):
            at = (left, i + spread[ends.horizons.index(horizon)])
            ax.annotate(
                f"◂ {value:.0f}".replace("-", "−"), at, xytext=(3 + 30 * (k % 2), 0), textcoords="offset points",
                ha="left", va="center", fontsize="small", color=looks[horizon][0],
            )  # fmt: skip
    ax.set_yticks(
        range(len(rows)), [f"{each.shape_text}, {percent(each.share)}, {each.count} states" for each in rows]
    )
    ax.set_ylabel("merge: weights, window, states")
    ax.set_xlabel("share of the best decay's gain on the trunk (%)")
    key_above(ax)
    return ax


def _cut(panels: list[Axes], ends: MergeEnds) -> None:
    """Cut the common axis where merges end far above the trunk, and write there what they end at."""
    ways = (*ends.decays, *ends.merges)
    lows = [
        ends.gain(each).cell(horizon, LEVEL)
        for horizon in ends.horizons
        for each in ways
        if horizon in ends.losses(each)
    ]
    lowest = min(np.nanmin([-each.value, -each.hi]) for each in lows)
    top = max(0.35 * abs(lowest), 1.5 * np.nan_to_num(ends.noise))
    if max(-each.value for each in lows) < top:
        return
    panels[0].set_ylim(1.06 * lowest, top)
    for panel, horizon in zip(panels, ends.horizons, strict=True):
        beyond = [
            (each, -ends.gain(each).cell(horizon).value)
            for each in ends.merges
            if horizon in ends.losses(each)
        ]
        for each, value in beyond:
            if value >= top:
                panel.annotate(
                    f"{value:+.2f}", (66 * each.share, top), xytext=(-3, -2), textcoords="offset points",
                    ha="right", va="top", fontsize="small", color=_colour(ends, each.shape),
                )  # fmt: skip


def _colour(ends: MergeEnds, shape: str) -> str:
    return dict(zip(ends.shapes, _LOOKS, strict=False)).get(shape, (INK, "v"))[0]


def _above_trunk(gain: Estimate) -> Estimate:
    return Estimate(-gain.value, -gain.hi, -gain.lo)


def _points(panel: Axes, own: list, ends: MergeEnds, horizon: float, shift: float, **look: object) -> None:
    """Merges with the intervals of their difference to the trunk."""
    if not own:
        return
    found = [_above_trunk(ends.gain(each).cell(horizon, LEVEL)) for each in own]
    value = np.array([each.value for each in found])
    half = np.nan_to_num(np.array([each.hi for each in found]) - value)
    options: dict[str, object] = {
        "mec": "white",
        "mew": 0.4,
        "lw": 0.9,
        "elinewidth": 0.8,
        "zorder": 3,
    } | look
    if look.get("mfc") == "white":
        options |= {"mec": look["color"], "mew": 0.8, "zorder": 4}
    panel.errorbar([100 * each.share * shift for each in own], value, half, **options)  # type: ignore[arg-type]
