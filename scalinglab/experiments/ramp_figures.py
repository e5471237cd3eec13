"""The figures of `batch_ramp`: curves with the batch below, what ramp and decay gain, and losses against updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.analysis import count_text
from scalinglab.experiments.ramps import DECAYED, Ramp, Ramps
from scalinglab.experiments.report import wide_axes
from scalinglab.plots._axes import TOKENS, count, key_above
from scalinglab.plots._canvas import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION
from scalinglab.plots._panels import panel_below
from scalinglab.plots._training import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.sweep import PlannedTrunk

_LOOKS = ((ORANGE, "v"), (GREEN, "D"), (VERMILLION, "s"), (PURPLE, "^"), (BLUE, "P"), (SKY, "X"))


def _looks(runs: Ramps) -> list[tuple[Ramp, str, str]]:
    ramps = zip(runs.ramps, _LOOKS * 3, strict=False)
    return [(runs.constant, INK, "o"), *((ramp, *look) for ramp, look in ramps)]


def curves(runs: Ramps) -> Axes:
    """One seed's trunks: loss above, batch below.

    Lines: training, a running mean. Held out: filled marks undecayed, open ones where a decay ends.
    """
    ax = wide_axes(5.6, 4.4)
    below = panel_below(ax, 0.28)
    seed = runs.trained.study.seeds[0]
    trunks = {each.variant: each for each in runs.trained.trunks if each.run.seed == seed}
    seen: list[float] = []
    first = runs.horizons(runs.constant)[0]
    for ramp, colour, marker in _looks(runs):
        trunk = trunks[ramp.variant]
        begins = ramp.begins if ramp.steps else 0.0
        _draw(ax, runs, trunk, colour, marker, ramp.label, begins, seen)
        steps = [(0.0, 1.0), *ramp.steps]
        at = [*(tokens for tokens, _ in steps), runs.last]
        batch = [factor * runs.trained.study.training.batch_tokens for _, factor in steps]
        below.step(at, [*batch, batch[-1]], where="post", color=colour, lw=1.2)
    ax.set_ylim(min(seen) - 0.06 * np.ptp(seen), max(seen) + 0.04 * np.ptp(seen))
    ax.set_xlim(0.45 * first, 1.03 * runs.last)
    below.set_yscale("log", base=2)
    below.yaxis.set_major_formatter(lambda value, _: count(value))
    below.xaxis.set_major_formatter(lambda value, _: count(value))
    below.set_xlabel(TOKENS)
    below.set_ylabel("batch\n(tokens)")
    ax.set_ylabel("loss (nats/token)\nlines: training, marks: held out")
    ax.plot([], [], "o", color=GREY, mfc="white", ls="none", label="where a decay ends")
    key_above(ax)
    return ax


def _draw(
    ax: Axes, runs: Ramps, trunk: PlannedTrunk, colour: str, marker: str, label: str, begins: float, seen: list[float]
) -> None:  # fmt: skip
    """From where it is a trunk of its own."""
    folder, first = runs.trained.folder, runs.horizons(runs.constant)[0]
    curve = read_run(folder.run(trunk.run.id))
    held = curve[curve["eval_loss"].notna() & (curve["tokens"] > begins)]
    curve = curve[curve["loss"].notna()]
    smooth = curve["loss"].rolling(7, center=True, min_periods=1).mean()
    own = curve["tokens"] >= begins
    ax.plot(curve["tokens"][own], smooth[own], color=colour, alpha=0.6, lw=0.9, zorder=2)
    ax.plot(held["tokens"], held["eval_loss"], marker=marker, ls="none", color=colour, mec="white", mew=0.4,
            label=label, zorder=4)  # fmt: skip
    for plan, run in zip(trunk.plan.branches, trunk.branches, strict=True):
        if plan.batches.tokens_at(plan.end) <= begins:
            continue
        end = read_run(folder.run(run.id)).dropna(subset="eval_loss").iloc[-1]
        ax.plot(
            end["tokens"], end["eval_loss"], marker=marker, color=colour, mfc="white", ls="none", zorder=5
        )
        seen.append(float(end["eval_loss"]))
    seen += [*held["eval_loss"], *smooth[(curve["tokens"] >= 0.5 * first) & own]]


def gains(runs: Ramps, level: float) -> Axes:
    """What a ramp takes off the undecayed trunk of a constant batch at the furthest horizon, alone and with its decay.

    Where the decay after a ramp gains nothing, the second bar is the shorter. Band: the decay alone, ± seed noise.
    """
    ax = wide_axes(6.2, 0.9 + 0.5 * (1 + len(runs.ramps)))
    decay, noise = runs.by_decay().cell(runs.last, level), runs.noise(DECAYED)
    if not np.isnan(noise):
        ax.axvspan(decay.value - noise, decay.value + noise, color=FAINT, alpha=0.35, lw=0, zorder=0,
                   label="decay alone ± seed noise")  # fmt: skip
    by_ramp, both = runs.at_last(runs.by_ramp), runs.at_last(runs.by_both)
    before = runs.updates(runs.constant)[runs.last]
    names = [f"{runs.constant.label}\n{before:,} updates"]
    ax.barh(0, decay.value, 0.36, color=BLUE, label="with the decay")
    _interval(ax, decay.value, decay.hi - decay.value, 0.0)
    for i, ramp in enumerate(runs.ramps):
        names.append(f"{ramp.label}\n{runs.updates(ramp)[runs.last]:,} updates")
        for found, colour, shift, label in (
            (by_ramp, ORANGE, -0.18, "the ramp alone"),
            (both, BLUE, 0.18, None),
        ):
            if i in found.cells:
                own, y = found.cell(i, level), i + 1 + shift
                ax.barh(y, own.value, 0.36, color=colour, label=label if i == 0 else None)
                _interval(ax, own.value, own.hi - own.value, y)
    ax.axvline(0, color=INK, lw=0.8)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set_xlabel(
        f"loss below the undecayed trunk of a constant batch at D = {count_text(runs.last)} ({runs.loss_unit})"
    )
    key_above(ax)
    return ax


def _interval(ax: Axes, value: float, half: float, y: float) -> None:
    ax.errorbar(value, y, xerr=np.nan_to_num(half), color=INK, ls="none", capsize=2, elinewidth=0.9, zorder=4)


def against_updates(runs: Ramps, level: float) -> Axes:
    """Loss above the decay alone at the furthest horizon against updates: of ramp and decay, and of the ramp alone."""
    ax = wide_axes(5.2, 3.3)
    noise = runs.noise(DECAYED)
    if not np.isnan(noise):
        ax.axhspan(-noise, noise, color=FAINT, alpha=0.35, lw=0, zorder=0, label="seed noise, ±1 s.d.")
    ax.axhline(0, color=INK, lw=0.8, zorder=1)
    above, short = runs.at_last(runs.ends_above), runs.at_last(runs.short_of_decay)
    decay = runs.by_decay().cell(runs.last, level)
    for i, (ramp, colour, marker) in enumerate(_looks(runs)):
        x = runs.updates(ramp)[runs.last]
        if not ramp.steps:
            ax.plot(x, 0, color=colour, marker=marker, ls="none", label=ramp.label, zorder=3)
            found = [(decay.value, decay.hi - decay.value, "white")]
        else:
            cells = ((each.cell(i - 1, level), fill) for each, fill in ((above, colour), (short, "white"))
                     if i - 1 in each.cells)  # fmt: skip
            found = [(each.value, each.hi - each.value, fill) for each, fill in cells]
        for value, half, fill in found:
            ax.errorbar(
                x, value, np.nan_to_num(half), color=colour, marker=marker, mfc=fill, ls="none", capsize=2,
                elinewidth=0.9, label=ramp.label if fill == colour else None, zorder=3,
            )  # fmt: skip
    ax.plot([], [], "o", color=GREY, mfc="white", ls="none", label="without the decay")
    ax.set_xlim(0, None)
    ax.set_xlabel(f"updates to D = {count_text(runs.last)}")
    ax.set_ylabel(f"loss above the decay alone\n({runs.loss_unit})")
    key_above(ax)
    return ax
