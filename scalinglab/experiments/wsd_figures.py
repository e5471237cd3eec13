"""The figures of `wsd_vs_cosine`: gaps to Cosine(T = S) against horizon and decay share, and one seed's curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.experiments.report import wide_axes
from scalinglab.experiments.wsd_ends import Ends, Recipe, percent
from scalinglab.ladder import Scratch
from scalinglab.plots._axes import TOKENS, count, key_above, log_axis
from scalinglab.plots._canvas import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    SizeColours,
)
from scalinglab.plots._panels import panel_above, panel_grid
from scalinglab.plots._training import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = (
    (BLUE, "o"), (VERMILLION, "s"), (GREEN, "D"), (PURPLE, "^"), (ORANGE, "v"), (SKY, "P"), (INK, "X"), (GREY, "*"),
)  # fmt: skip
PUBLISHED_AT = "MiniCPM, 0.036B at 80N"
SEED_NOISE = "seed noise, ±1 s.d."


def against_horizon(ends: Ends, level: float) -> Axes:
    """Gap to Cosine(T = S) of each recipe at each horizon: the main shape's lengths, and the main length's shapes."""
    ax = wide_axes(7.2, 3.3)
    left, right = panel_grid(ax, 1, 2, 2)
    whole = [each for each in ends.recipes if each.whole]
    noise = ends.noise().sd
    lowest, highest = [], []
    for axes, shown, what in (
        (left, ends.lengths, ends.main.shape_text),
        (right, [*ends.shapes, *whole], percent(ends.main.share)),
    ):
        if not np.isnan(noise):
            label = SEED_NOISE if axes is left else None
            axes.axhspan(-noise, noise, color=FAINT, alpha=0.35, lw=0, zorder=0, label=label)
        axes.axhline(0, color=INK, lw=0.8, zorder=1)
        spread = np.linspace(-0.16, 0.16, len(shown)) if len(shown) > 1 else [0.0]
        # the main recipe, in both panels, looks the same
        ordered = sorted(shown, key=lambda each: each != ends.main)
        looks = dict(zip(ordered, _LOOKS * 3, strict=False))
        for recipe, shift in zip(shown, spread, strict=True):
            colour, marker = looks[recipe]
            gaps = ends.gap(recipe)
            found = [gaps.cell(cell, level) for cell in gaps.cells]
            value = np.array([each.value for each in found])
            x = np.asarray(gaps.cells, float) * 2.0**shift
            half = np.nan_to_num(np.array([each.hi for each in found]) - value)
            name = (
                recipe.label if recipe.whole else percent(recipe.share) if axes is left else recipe.shape_text
            )
            axes.errorbar(
                x, value, half, color=colour, marker=marker, mec="white", mew=0.4, lw=0.8, elinewidth=0.8,
                ls=":" if recipe.whole else "-", label=name, zorder=3,
            )  # fmt: skip
            lowest.append(float((value - half).min()))
            highest.append(float((value + half).max()))
        log_axis(axes.xaxis, TOKENS, (min(ends.horizons) / 1.35, max(ends.horizons) * 1.35), count)
        axes.set_xticks(ends.horizons, [count(each) for each in ends.horizons])
        axes.minorticks_off()
        title = "length, " if axes is left else "shape, "
        axes.set_title(title + what, loc="right", fontsize="medium", y=0.92)
        key_above(axes)
    room = 0.05 * (max(highest) - min(lowest))
    left.set_ylim(min(*lowest, -noise if noise == noise else 0) - room, max(*highest, 0) + 4 * room)
    left.set_ylabel(f"loss above {ends.reference.label}\n({ends.loss_unit})")
    right.tick_params(labelleft=False)
    return ax


def against_share(ends: Ends, level: float, published: dict[float, float]) -> Axes:
    """Gap to Cosine(T = S) in percent of the loss against the decay's share, a colour a horizon, beside the paper's.

    published: share -> percent, of the paper's longest horizon.
    """
    ax = wide_axes(5.4, 3.3)
    lengths = ends.lengths
    noise = ends.noise(relative=True).sd
    if not np.isnan(noise):
        ax.axhspan(-noise, noise, color=FAINT, alpha=0.35, lw=0, zorder=0, label=SEED_NOISE)
    ax.axhline(0, color=INK, lw=0.8, zorder=1)
    colour = SizeColours(ends.horizons)
    spread = np.linspace(-0.09, 0.09, len(ends.horizons)) if len(ends.horizons) > 1 else [0.0]
    shares = np.array([each.share for each in lengths])
    gaps = [ends.gap(each, relative=True) for each in lengths]
    for horizon, shift, marker in zip(ends.horizons, spread, "osD^vPX*" * 4, strict=False):
        found = [each.cell(horizon, level) if horizon in each.cells else None for each in gaps]
        at = np.array([each is not None for each in found])
        value = np.array([each.value for each in found if each is not None])
        half = np.nan_to_num(np.array([each.hi for each in found if each is not None]) - value)
        ax.errorbar(
            100 * shares[at] * 2.0**shift, value, half, color=colour(horizon), marker=marker, mec="white", mew=0.4,
            lw=0.8, elinewidth=0.8, label=f"D = {count(horizon)}", zorder=3,
        )  # fmt: skip
    if published:
        ax.plot(
            [100 * share for share in published], list(published.values()), "d--", color=VERMILLION, mfc="white",
            lw=0.8, label=PUBLISHED_AT, zorder=4,
        )  # fmt: skip
    span = [100 * each for each in (*shares, *published)]
    log_axis(ax.xaxis, "decay's share of the run (%)", (min(span) / 1.3, max(span) * 1.3), "{:g}".format)
    ax.set_xticks(
        sorted({100 * each for each in shares}), [f"{100 * each:g}" for each in sorted(set(shares))]
    )
    ax.minorticks_off()
    ax.set_ylabel(f"loss above {ends.reference.label} (%)")
    key_above(ax)
    return ax


def curves(ends: Ends) -> Axes:
    """One seed's trunk, its main decays, and the cosines made for each horizon: learning rate above, loss below.

    Training loss as a running mean, and what the ends have on held-out text.
    """
    trained = ends.trained
    ax = wide_axes(5.4, 4.0)
    rate = panel_above(ax)
    own = [each for each in trained.trunks if not each.variant and each.run.seed == ends.seeds[0]]
    seen: list[float] = []
    for trunk in own:
        if isinstance(trunk.plan, Scratch):
            if trunk.plan.recipe != ends.reference.name:
                continue
            _draw(ax, rate, ends, trunk.run.id, ends.reference, 0.0, seen)
            continue
        furthest = max(p.fork for p in trunk.plan.branches if p.recipe == ends.main.name)
        _draw(ax, rate, ends, trunk.run.id, None, 0.0, seen, float(trunk.plan.batches.tokens_at(furthest)))
        for plan, run in zip(trunk.plan.branches, trunk.branches, strict=True):
            if plan.recipe == ends.main.name:
                _draw(ax, rate, ends, run.id, ends.main, float(plan.batches.tokens_at(plan.fork)), seen)
    ax.set_ylim(min(seen) - 0.06 * np.ptp(seen), max(seen) + 0.04 * np.ptp(seen))
    ax.set_xlim(0, 1.03 * max(ends.horizons))
    for axes in (ax, rate):
        axes.xaxis.set_major_formatter(lambda value, _: count(value))
    rate.tick_params(labelbottom=False)
    rate.set_ylabel("learning rate")
    ax.set_xlabel(TOKENS)
    ax.set_ylabel("loss (nats/token)\nlines: training, marks: held out")
    handles, labels = ax.get_legend_handles_labels()
    first = dict(zip(labels, handles, strict=True))
    key_above(rate, handles=list(first.values()))
    return ax


def _draw(
    ax: Axes, rate: Axes, ends: Ends, run_id: str, recipe: Recipe | None, fork: float, seen: list[float],
    until: float = np.inf,
) -> None:  # fmt: skip
    """One run's curve. A trunk (no recipe) is drawn as far as it is forked from, and measured all along."""
    curve = read_run(ends.trained.folder.run(run_id))
    curve = curve[curve["tokens"] <= until]
    held = curve[curve["eval_loss"].notna()]
    curve = curve[curve["loss"].notna()]  # packed records are thin, and need not stand where it was measured
    window = 1 + 2 * (min(len(curve) // 12, 7) // 2)
    smooth = curve["loss"].rolling(window, center=True, min_periods=1).mean()
    if recipe is None:
        colour, label, z = INK, "trunk", 2
    elif recipe.whole:
        colour, label, z = VERMILLION, recipe.label, 3
    else:
        colour, label, z = BLUE, f"decay: {recipe.label}", 4
    ax.plot(curve["tokens"], smooth, color=colour, alpha=0.45, lw=0.9, zorder=z)
    # a decay's first record comes some updates after the fork, where it has the trunk's rate still
    start, peak = ([fork], [ends.trained.study.training.lr]) if fork else ([], [])
    rate.plot([*start, *curve["tokens"]], [*peak, *curve["lr"]], color=colour, lw=1.0, zorder=z)
    at, losses = held["tokens"].to_list(), held["eval_loss"].to_list()
    if recipe is not None:
        at, losses = at[-1:], losses[-1:]
    # a cosine's end is the larger: a decay's may lie on it
    marker, size = (".", 4.0) if recipe is None else ("s", 5.5) if recipe.whole else ("o", 3.4)
    ax.plot(
        at, losses, marker=marker, ms=size, ls="none", color=colour, mec="white", mew=0.4,
        label=label, zorder=z + 3,
    )  # fmt: skip
    seen += [*losses, *smooth[curve["tokens"] >= 0.08 * max(ends.horizons)]]
