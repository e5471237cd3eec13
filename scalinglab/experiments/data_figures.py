"""The figures of `data_in_decay`: losses against good data seen, the paper's five ways, and what is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.analysis import count_text
from scalinglab.experiments.data_mixtures import GOOD, WEB, Mixtures, Way
from scalinglab.plots._axes import count
from scalinglab.plots._canvas import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = ((BLUE, "o"), (ORANGE, "v"), (GREEN, "D"), (VERMILLION, "s"), (PURPLE, "^"), (SKY, "P"))
_SETS = {GOOD: "the good data", WEB: "the web (forgotten)"}


def _grid(rows: int, columns: int, height: float, share: bool = True) -> list[list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(2.2 + 2.5 * columns, 7.2), height), layout="constrained")
    return figure.subplots(rows, columns, squeeze=False, sharex=share).tolist()


def _key(axes: Axes, columns: int) -> None:
    """One legend for all panels, above them."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def _path(runs: Mixtures, mixture: object, which: str, size: float) -> np.ndarray:
    """Losses of a decay at its end and after it: a row a seed, a column a length, NaN where a run is missing."""
    found = [runs.losses(Way(mixture, after), which) for after in (0.0, *runs.lengths)]  # type: ignore[arg-type]
    seeds = sorted(set().union(*(each.index for each in found)))
    return np.column_stack([each.reindex(index=seeds, columns=runs.sizes)[size].to_numpy() for each in found])


def against_good_tokens(runs: Mixtures) -> Axes:
    """Loss on the good sets (above) and the web's (below) against tokens of good data seen, a line a decay mixture.

    Lines: means over seeds; shades: from the lowest to the highest seed. A decay's end is an open marker; what the
    paper's ways are called stands at their points.
    """
    axes = _grid(2, len(runs.sizes), 4.6)
    names: dict[tuple[str, float], str] = {}
    for name, way in runs.ways.items():
        key = (way.mixture.name, way.after)
        names[key] = f"{names[key]}, {name}" if key in names else name
    for row, which in zip(axes, (GOOD, WEB), strict=True):
        for ax, size in zip(row, runs.sizes, strict=True):
            for mixture, (colour, marker) in zip(runs.mixtures, _LOOKS * 3, strict=False):
                afters = (0.0, *runs.lengths)
                x = np.array([runs.good_tokens(Way(mixture, after)) for after in afters])
                y = _path(runs, mixture, which, size)
                mean = y.mean(axis=0)
                ax.fill_between(x, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.15, lw=0)
                ax.plot(
                    x,
                    mean,
                    color=colour,
                    marker=marker,
                    mec="white",
                    mew=0.4,
                    label=f"decay on {mixture.label}",
                )
                ax.plot(x[:1], mean[:1], color=colour, marker=marker, mfc="white", ls="none", zorder=3)
                for i, after in enumerate(afters):
                    if which == GOOD and (mixture.name, after) in names:
                        above = mixture == runs.base
                        ax.annotate(
                            names[mixture.name, after], (x[i], mean[i]), (3, 3) if above else (-2, -3),
                            textcoords="offset points", ha="left" if above else "right",
                            va="bottom" if above else "top", color=colour, fontsize="x-small",
                        )  # fmt: skip
            ax.margins(y=0.08)
            if which == GOOD:
                ax.set_title(f"N = {count_text(size)}", loc="left")
            else:
                ax.set_xlabel("good data in all, in the decay and after it (tokens)")
            ax.xaxis.set_major_formatter(lambda value, _: count(value))
        row[0].set_ylabel(f"loss on {_SETS[which]}\n({runs.loss_unit})")
    _key(axes[0][0], len(runs.mixtures))
    return axes[0][0]


def ways_apart(runs: Mixtures, level: float) -> Axes:
    """Loss of the paper's ways, and of one with as much good data as B-3, less that of B-1, with intervals."""
    axes = _grid(1, 2, 2.9, share=False)[0]
    start = runs.ways["B-1"]
    shown = [(way.label, way) for way in runs.ways.values()]
    at = runs.good_tokens(runs.ways["B-3"])
    if at in runs.lengths:
        shown.append((f"as B-3 in all: {Way(runs.base, at).label}", Way(runs.base, at)))
    spread = np.linspace(-0.14, 0.14, len(runs.sizes)) if len(runs.sizes) > 1 else [0.0]
    for ax, which in zip(axes, (GOOD, WEB), strict=True):
        ax.axvline(0, color=INK, lw=0.8, zorder=1)
        for shift, size, (colour, marker) in zip(spread, runs.sizes, _LOOKS * 3, strict=False):
            for i, (_, way) in enumerate(shown):
                if way == start:
                    ax.plot(0, i, color=INK, marker="|", ms=9, zorder=2)
                    continue
                found = runs.gap(way, start, which).cell(size, level)
                half = np.nan_to_num(found.hi - found.value)
                ax.errorbar(
                    found.value, i + shift, xerr=half, color=colour, marker=marker, mec="white", mew=0.4, ls="none",
                    elinewidth=1.0, capsize=2, label=f"N = {count_text(size)}" if i == len(shown) - 1 else None,
                )  # fmt: skip
        ax.set_xlabel(f"loss on {_SETS[which]}\nless B-1's ({runs.loss_unit})")
        ax.set_yticks(range(len(shown)), [label for label, _ in shown] if which == GOOD else [])
        ax.set_ylim(len(shown) - 0.5, -0.5)
        ax.locator_params(axis="x", nbins=5)
    _key(axes[0], len(runs.sizes))
    return axes[0]


def exchange(runs: Mixtures) -> Axes:
    """Loss on the good sets against that on the web's, along each decay's training on good data; down and left is best.

    Means over seeds, of differences to the end of the decay without good data; crosses: ±1 standard error.
    """
    axes = _grid(1, len(runs.sizes), 3.0, share=False)[0]
    starts = {which: Way(runs.base, 0.0) for which in (GOOD, WEB)}
    for ax, size in zip(axes, runs.sizes, strict=True):
        for mixture, (colour, marker) in zip(runs.mixtures, _LOOKS * 3, strict=False):
            moved = {}
            for which in (GOOD, WEB):
                y = _path(runs, mixture, which, size)
                origin = runs.losses(starts[which], which)[size].to_numpy()[:, None]
                moved[which] = y - origin
            x, y = (moved[which].mean(axis=0) for which in (WEB, GOOD))
            ex, ey = (moved[which].std(axis=0, ddof=1) / np.sqrt(len(moved[which])) for which in (WEB, GOOD))
            ax.errorbar(x, y, ey, ex, color=colour, lw=1.0, elinewidth=0.6, label=f"decay on {mixture.label}",
                        marker=marker, mec="white", mew=0.4)  # fmt: skip
            ax.plot(x[:1], y[:1], color=colour, marker=marker, mfc="white", ls="none", zorder=4)
        ax.set_title(f"N = {count_text(size)}", loc="left")
        ax.set_xlabel(f"lost on the web ({runs.loss_unit})")
    axes[0].set_ylabel(f"loss on the good data\nless that of {runs.base.label} ({runs.loss_unit})")
    _key(axes[0], len(runs.mixtures))
    return axes[0]
