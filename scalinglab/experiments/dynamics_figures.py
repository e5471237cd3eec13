"""The figures of `decay_dynamics`: the trunk, its decays and what single updates do there, means over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab.experiments.dynamics_records import Dynamics, Stretch
from scalinglab.experiments.report import wide_axes
from scalinglab.experiments.wsd_ends import Recipe
from scalinglab.plots._axes import TOKENS, count, key_above, log_axis
from scalinglab.plots._canvas import BLUE, GREEN, GREY, INK, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMOOTHED = 5
"""Records in a running mean, fewer for a decay of few records."""
_COLOURS = (BLUE, VERMILLION, GREEN)
_SHOWN_FROM = 0.3
"""Of the first fork: what lies before, the warmup and the fall after it, would leave no room for the rest."""

Column = Callable[[pd.DataFrame], pd.Series]


def updates_and_loss(found: Dynamics) -> Axes:
    """MiniCPM's figure 7 with the loss beside it: learning rate, loss, largest update and distance of an update."""
    ax = wide_axes(5.4, 6.2)
    rate, loss, largest, moved = _stacked(ax, (1.0, 1.5, 1.0, 1.0))
    _rates(found, rate)
    _draw(found, loss, _of("loss"))
    _draw(found, largest, _of("update_max"))
    _draw(found, moved, _of("update_norm"))
    _held_out(found, loss)
    for axes, label in (
        (rate, "learning rate"),
        (loss, "loss (nats/token)\nmarks: held out"),
        (largest, "largest update\nof one weight"),
        (moved, "distance moved\nby an update |v|"),
    ):
        axes.set_ylabel(label)
        if axes is not loss:
            axes.set_ylim(bottom=0.0)
    ax.get_figure().align_ylabels()  # type: ignore[union-attr]
    _finish(found, [rate, loss, largest, moved], [moved])
    key_above(rate)
    return ax


def gradients(found: Dynamics) -> Axes:
    """MiniCPM's figure 8, and what tells its noise apart: gradients, slopes and curvature along the updates."""
    ax = wide_axes(7.2, 4.6)
    figure: Any = ax.get_figure()
    place: Any = ax.get_subplotspec()
    grid = place.subgridspec(2, 3)
    ax.set_subplotspec(grid[0, 0])
    others = [figure.add_subplot(grid[divmod(i, 3)], sharex=ax) for i in range(1, 6)]
    norm, cosine, slope, curvature, consecutive, change = panels = [ax, *others]
    _draw(found, norm, _of("grad_norm_mean"))
    _draw(found, norm, _true_norm, ls="--")
    _draw(found, cosine, _of("cosine"))
    _draw(found, slope, _of("slope_next"))
    _draw(found, slope, _of("slope"), ls="--")
    _draw(found, curvature, _of("curvature"))
    _draw(found, consecutive, _of("curvature_consecutive"))
    _draw(found, change, lambda frame: 1000 * frame["loss_change"])
    for axes, label in (
        (norm, "gradient norm (nats/token)\nsolid: of a batch, dashed: without its noise"),
        (cosine, "cosine of consecutive gradients"),
        (slope, "slope along the update (nats/token)\nsolid: at its end, dashed: at its start"),
        (curvature, "curvature along it (nats/token)\none batch at both ends"),
        (consecutive, "curvature along it (nats/token)\nconsecutive batches"),
        (change, "change of an unseen batch's loss\nby an update (10⁻³ nats/token)"),
    ):
        axes.set_title(label, fontsize="small")
        if axes not in (norm, curvature, consecutive):
            axes.axhline(0, color=GREY, lw=0.6, zorder=0)
    _finish(found, panels, [curvature, consecutive, change])
    for axes in (norm, curvature):
        axes.set_ylim(bottom=0.0)
    low = min(float(line.get_ydata().min()) for line in consecutive.lines)
    high = max(float(line.get_ydata().max()) for line in consecutive.lines)
    if low > 0 and high > 20 * low:
        consecutive.set_yscale("log")
    handles, labels = norm.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return ax


def curvature_against_rate(found: Dynamics) -> Axes:
    """Both readings of the curvature against the learning rate, in the main decays: means and their spread of seeds."""
    ax = wide_axes(5.2, 3.4)
    readings = (("curvature_consecutive", VERMILLION, "s"), ("curvature", BLUE, "o"))
    names = {
        "curvature": "one batch at both ends",
        "curvature_consecutive": "gradients of consecutive updates",
    }
    seen: list[float] = []
    rates: list[float] = []
    for key, colour, marker in readings:
        rows = [
            pd.DataFrame(
                {"seed": each.seed, "bin": _bins(each), "rate": each.decay["rate"], key: each.decay[key]}
            )
            for each in found.of(found.main)
        ]
        binned = pd.concat(rows).groupby(["bin", "seed"])[["rate", key]].mean()
        middle = binned.groupby("bin").mean()
        spread = binned[key].groupby("bin").std().fillna(0.0)
        up = middle[key] > 0
        low = np.minimum(spread[up], 0.9 * middle[key][up])  # a bar to below zero has no end on this axis
        ax.errorbar(
            middle["rate"][up], middle[key][up], [low, spread[up]], color=colour, marker=marker, mec="white", mew=0.4,
            lw=0.9, elinewidth=0.8, label=names[key],
        )  # fmt: skip
        seen += [*(middle[key][up] + spread[up]), *(middle[key][up] - low)]
        rates += list(middle["rate"])
    if seen:
        log_axis(
            ax.yaxis,
            "second derivative along the update (nats/token)",
            (min(seen) / 1.3, max(seen) * 1.3),
            "{:.2g}".format,
        )
    log_axis(ax.xaxis, "learning rate", (min(rates) / 1.2, max(rates) * 1.2), "{:.2g}".format)
    key_above(ax)
    return ax


def _bins(stretch: Stretch, count: int = 8) -> np.ndarray:
    """Of the decay's records, by time, each with as many."""
    return np.arange(len(stretch.decay)) * count // max(len(stretch.decay), 1)


def _of(column: str) -> Column:
    return lambda frame: frame[column]


def _true_norm(frame: pd.DataFrame) -> pd.Series:
    """Two batches' gradients multiply to |∇L|² in the mean; smoothed before the root, as noise may be negative."""
    return np.sqrt(_smoothed(frame["grad_inner"]).clip(lower=0.0))


def _smoothed(values: pd.Series) -> pd.Series:
    window = max(1, min(SMOOTHED, len(values) // 4))
    return values.rolling(window, center=True, min_periods=1).mean()


def _draw(found: Dynamics, ax: Axes, column: Column, ls: str = "-") -> None:
    """The trunk, and every decay, as running means: the mean over seeds, and where their range lies."""
    stretches = found.stretches
    start = _SHOWN_FROM * min(each.fork for each in stretches)
    trunks = [frame[frame["step"] >= start] for frame in found.trunks.values()]
    _line(ax, trunks, column, INK, "trunk" if ls == "-" else None, ls, 2)
    for recipe, colour in _coloured(found.recipes):
        label: str | None = recipe.label if ls == "-" else None
        for horizon in found.horizons:
            frames = [each.decay for each in stretches if (each.recipe, each.horizon) == (recipe, horizon)]
            if frames:
                _line(ax, frames, column, colour, label, ls, 3)
                label = None


def _rates(found: Dynamics, ax: Axes) -> None:
    """The learning rate of the last update of each record, the same for all seeds; a decay begins at the fork."""
    trunk = next(iter(found.trunks.values()))
    ax.plot(trunk["tokens"], trunk["lr"], color=INK, lw=0.9, label="trunk", zorder=2)
    for recipe, colour in _coloured(found.recipes):
        label: str | None = recipe.label
        for each in found.of(recipe):
            if each.seed == found.seeds[0]:
                ax.plot(
                    [each.forked, *each.decay["tokens"]], [each.peak, *each.decay["lr"]], color=colour, lw=0.9,
                    label=label, zorder=3,
                )  # fmt: skip
                label = None


def _coloured(recipes: Sequence[Recipe]) -> list[tuple[Recipe, str]]:
    return [(recipe, _COLOURS[i % len(_COLOURS)]) for i, recipe in enumerate(recipes)]


def _line(
    ax: Axes, frames: Sequence[pd.DataFrame], column: Column, colour: str, label: str | None, ls: str,
    zorder: int,
) -> None:  # fmt: skip
    every = pd.DataFrame(
        {
            i: pd.Series(
                _smoothed(column(frame)).to_numpy(float),
                index=frame["tokens"].to_numpy(float),
            )
            for i, frame in enumerate(frames)
        }
    )
    ax.plot(every.index, every.mean(axis=1), color=colour, lw=0.9, ls=ls, label=label, zorder=zorder)
    if every.shape[1] > 1:
        ax.fill_between(
            every.index, every.min(axis=1), every.max(axis=1), color=colour, alpha=0.2, lw=0, zorder=1
        )


def _held_out(found: Dynamics, ax: Axes) -> None:
    """Means over seeds of the held-out losses that are nats a token as the training loss is."""
    if found.loss_unit not in ("nats/token", "nats/byte") or "bytes_per_token" in found.trained.table:
        return
    for recipe, colour in _coloured(found.recipes):
        for horizon in found.horizons:
            own = [each for each in found.of(recipe) if each.horizon == horizon]
            if own:
                _mark(ax, horizon, [each.loss_decay for each in own], colour, "o")
                _mark(ax, horizon, [each.loss_trunk for each in own], INK, "o")


def _mark(ax: Axes, x: float, losses: Sequence[float], colour: str, marker: str) -> None:
    middle = float(np.mean(losses))
    ax.errorbar(
        [x], [middle], [[middle - min(losses)], [max(losses) - middle]], color=colour, marker=marker, ms=3.4,
        mec="white", mew=0.4, elinewidth=0.8, ls="none", zorder=5,
    )  # fmt: skip


def _stacked(ax: Axes, heights: Sequence[float]) -> list[Axes]:
    """The place of `ax` divided into panels under one another with one x axis; `ax` is the first."""
    figure: Any = ax.get_figure()
    place: Any = ax.get_subplotspec()
    grid = place.subgridspec(len(heights), 1, height_ratios=heights)
    ax.set_subplotspec(grid[0])
    return [ax, *(figure.add_subplot(grid[i], sharex=ax) for i in range(1, len(heights)))]


def _finish(found: Dynamics, panels: Sequence[Axes], lowest: Sequence[Axes]) -> None:
    start = _SHOWN_FROM * min(each.forked for each in found.stretches)
    panels[0].set_xlim(start, 1.02 * max(found.horizons))
    for axes in panels:
        axes.tick_params(labelbottom=axes in lowest)
        axes.xaxis.set_major_formatter(lambda value, _: count(value))
    for axes in lowest:
        axes.set_xlabel(TOKENS)
