"""The figures of `batch_size`: lines of equal loss by size, the law, and other learning rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from scalinglab import plots
from scalinglab.analysis import IsoLoss
from scalinglab.experiments.batch_readings import Readings
from scalinglab.experiments.batch_words import PUBLISHED_P
from scalinglab.experiments.report import wide_axes
from scalinglab.plots._axes import count, key_above, log_axis
from scalinglab.plots._batch_lr import BATCH
from scalinglab.plots._canvas import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILLION
from scalinglab.plots._panels import panel_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (PURPLE, "^"))


def lines(found: Readings) -> Axes:
    """MiniCPM's figure 2: batch against tokens, a panel a size, lines of equal loss."""
    return plots.iso_loss_sizes(found.decayed, runs=found.rows, ax=wide_axes(7.2, 3.3))


def law(found: Readings) -> Axes:
    """Best batch against loss with the fitted law, and the paper's exponent through the middle of the minima."""
    ax = plots.iso_loss_law(found.decayed, runs=found.rows, ax=wide_axes(5.2, 3.5))
    own = found.inside
    if len(own):
        x, y = np.log(own["loss"].to_numpy()), np.log(own["batch_tokens"].to_numpy())
        reach = np.array(ax.get_xlim())
        line = np.exp(y.mean() - PUBLISHED_P * (np.log(reach) - x.mean()))
        limits, key = ax.get_ylim(), ax.get_legend()
        ax.plot(reach, line, color=VERMILLION, ls=(0, (4, 2)), zorder=2)
        ax.set_ylim(limits)
        handles = [] if key is None else list(key.legend_handles)
        slope = Line2D(
            [], [], color=VERMILLION, ls=(0, (4, 2)), label=f"MiniCPM's slope, 1/L^{PUBLISHED_P:g}"
        )
        labels = [] if key is None else [text.get_text() for text in key.get_texts()]
        for handle, label in zip(handles, labels, strict=True):
            if handle is not None:
                handle.set_label(label)
        key_above(ax, handles=[*handles, slope])
    return ax


def rates(found: Readings) -> Axes:
    """Best batch against loss: at each learning rate on the smallest size, and on decayed ends beside trunks."""
    ax = wide_axes(7.2, 3.3)
    panels = panel_grid(ax, 1, 2, 2) if found.undecayed is not None else [ax]
    groups: list[dict[str, IsoLoss]] = [{f"lr {lr:g}": own for lr, own in sorted(found.by_rate.items())}]
    if found.undecayed is not None:
        groups.append({"decayed ends": found.decayed, "undecayed trunks": found.undecayed})
    losses, batches = [], []
    for axes, group in zip(panels, groups, strict=True):
        for (name, own), (colour, marker) in zip(group.items(), _LOOKS, strict=False):
            minima = own.minima[own.minima["batch_tokens"].notna()]
            _minima(axes, minima, colour, marker, name)
            losses += list(minima["loss"])
            batches += list(minima["batch_tokens"])
            if own.known:
                reach = np.geomspace(minima["loss"].min(), minima["loss"].max(), 40)
                value, lo, hi = np.array([(e.value, e.lo, e.hi) for e in map(own.at, reach)]).T
                axes.plot(reach, value, color=colour, lw=1.1, zorder=2)
                axes.fill_between(reach, lo, hi, color=colour, alpha=0.12, lw=0, zorder=1)
        bound = any((own.minima["edge"].isin(["low", "high"])).any() for own in group.values())
        handles = axes.get_legend_handles_labels()[0]
        if bound:
            handles.append(Line2D([], [], marker="o", ls="", color=INK, mfc="none", label="bound"))
        key_above(axes, handles=handles)
    unit = f"loss L ({found.loss_unit})"
    for axes in panels:
        log_axis(axes.xaxis, unit, (min(losses) / 1.01, max(losses) * 1.01))
    log_axis(ax.yaxis, f"best {BATCH}", (min(batches) / 1.6, max(batches) * 1.6), count)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
    return ax


def _minima(ax: Axes, minima: pd.DataFrame, colour: str, marker: str, name: str) -> None:
    inside, bound = minima[minima["edge"] == ""], minima[minima["edge"].isin(["low", "high"])]
    ends = np.array(
        [
            inside["batch_tokens"] - inside["batch_tokens_lo"],
            inside["batch_tokens_hi"] - inside["batch_tokens"],
        ]
    )
    ends = np.clip(np.nan_to_num(ends, posinf=1e12), 0, None)
    ax.errorbar(
        inside["loss"], inside["batch_tokens"], yerr=ends, fmt=marker, color=colour, mec="white", mew=0.4,
        elinewidth=0.8, label=name, zorder=3,
    )  # fmt: skip
    ax.plot(bound["loss"], bound["batch_tokens"], marker, color=colour, mfc="none", zorder=3)
