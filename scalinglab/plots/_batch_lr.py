"""A sweep over learning rate and batch: the best of each cell with its law, and one cell's valley."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.lines import Line2D

from scalinglab.errors import InputError
from scalinglab.plots._axes import TOKENS, count, key_above, key_beside, log_axis
from scalinglab.plots._canvas import BLUE, GREY, INK, VERMILLION, SizeColours, canvas, marker_size

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis.hyperparameters import BatchLr

BATCH = "batch size (tokens)"
LR = "peak learning rate"
_TARGET = {"lr": ("lr", "lr_law", f"best {LR}"), "batch": ("batch_tokens", "batch_law", f"best {BATCH}")}
_SHARES = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05)


def batch_lr(
    found: BatchLr,
    what: Literal["lr", "batch"] = "lr",
    *,
    published: tuple[float, float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The best learning rate (or batch) of each cell against tokens, one colour a size, with the fitted law.

    found: what `scalinglab.analysis.batch_lr` returns. Bars are the intervals of each cell's optimum, bands those of
        the law's mean. Open triangles are bounds: the optimum lies on or beyond that edge of the grid. Open circles
        are cells whose other setting (the batch, or the learning rate) lies at the grid's edge.
    published: (c, a, b) of another law c·N^a·D^b, drawn dashed.
    """
    if what not in _TARGET:
        raise InputError(f"a sweep shows lr or batch, not {what!r}")
    name, _, label = _TARGET[what]
    cells = found.cells[found.cells[name].notna()]
    sizes = sorted(cells["params"].unique())
    if not sizes:
        raise InputError("no cell of this sweep holds an optimum to draw")
    reach = np.geomspace(cells["tokens"].min() / 1.3, cells["tokens"].max() * 1.3, 60)
    by_size = found.known and (what == "lr" or found.params_in_batch)
    with canvas(ax) as ax:
        colour = SizeColours(sizes)
        drawn: list[Any] = [cells[name]]
        handles = []
        if found.known and not by_size:
            drawn.append(_law_line(ax, found, what, sizes[0], reach, INK))
        for size in sizes:
            own, shade = cells[cells["params"] == size], colour(size)
            if by_size:
                drawn.append(_law_line(ax, found, what, size, reach, shade))
            if published is not None and (published[1] or size == sizes[0]):
                c, a, b = published
                line = c * size**a * reach**b
                ax.plot(reach, line, color=shade if published[1] else GREY, ls=(0, (4, 2)), lw=1.1, zorder=2)
                drawn.append(line)
            _cells(ax, own, name, shade)
            handles.append(Line2D([], [], marker="o", ls="", color=shade, mec="white", label=count(size)))
        handles = [*handles[::-1], *_marks_in_key(cells, name, found.level)]
        if found.known:
            handles.append(
                Line2D([], [], color=GREY if by_size else INK, label=f"law, {found.level:.0%} band")
            )
        if published is not None:
            handles.append(Line2D([], [], color=GREY, ls=(0, (4, 2)), label="published"))
        every = np.concatenate([np.asarray(each, dtype=float) for each in drawn])
        log_axis(ax.xaxis, TOKENS, (reach[0], reach[-1]), count)
        log_axis(
            ax.yaxis,
            label,
            (every.min() / 1.3, every.max() * 1.3),
            count if what == "batch" else _plain_number,
        )
        key_beside(ax, "model size N", handles=handles)
    return ax


def _marks_in_key(cells: pd.DataFrame, name: str, level: float) -> list[Line2D]:
    """What each mark of `_cells` says, for those that are drawn."""
    own, other = ("lr", "batch") if name == "lr" else ("batch", "lr")
    edge, marks = cells["edge"], []
    bound = edge.str.contains("low|high")
    if cells.loc[~bound, f"{name}_lo"].notna().any():
        marks.append(
            Line2D([], [], marker="|", ls="", color=GREY, ms=9, mew=1.0, label=f"{level:.0%} interval")
        )
    for side, marker, words in (("low", "v", "at or below"), ("high", "^", "at or above")):
        if edge.str.contains(f"{own} {side}").any():
            label = f"bound: {words}\nthe grid's edge"
            marks.append(Line2D([], [], marker=marker, ls="", color=GREY, mfc="none", label=label))
    elsewhere = bound & ~edge.str.contains(own)
    if elsewhere.any():
        label = f"{other} at the\ngrid's edge" + ("" if cells.loc[elsewhere, "used"].any() else ",\nleft out")
        marks.append(Line2D([], [], marker="o", ls="", color=GREY, mfc="none", label=label))
    return marks


def _plain_number(value: float) -> str:
    return f"{value:.3g}"


def _law_line(ax: Axes, found: BatchLr, what: str, size: float, reach: Any, colour: Any) -> Any:
    line = [found.predict(size, tokens)[0 if what == "lr" else 1] for tokens in reach]
    values = np.array([(each.value, each.lo, each.hi) for each in line]).T
    ax.fill_between(reach, values[1], values[2], color=colour, alpha=0.13, lw=0, zorder=1)
    ax.plot(reach, values[0], color=colour, lw=1.5, zorder=2)
    return values[0]


def _cells(ax: Axes, own: pd.DataFrame, name: str, colour: Any) -> None:
    """Optima with their intervals; bounds as triangles that point beyond the grid."""
    word = "lr" if name == "lr" else "batch"
    bound = own["edge"].str.contains("low|high")
    inside = own[~bound]
    ends = None
    if len(inside) and inside[f"{name}_lo"].notna().any():
        sides = np.array([inside[name] - inside[f"{name}_lo"], inside[f"{name}_hi"] - inside[name]])
        # an unbounded end runs out of the figure
        ends = np.where(np.isposinf(sides), 1e6 * inside[name].to_numpy(), np.clip(sides, 0, None))
    ax.errorbar(
        inside["tokens"], inside[name], yerr=ends, fmt="o", color=colour, mec="white", mew=0.5, elinewidth=1.0, zorder=3
    )  # fmt: skip
    for edge, marker in (("low", "v"), ("high", "^")):
        chosen = own[bound & own["edge"].str.contains(f"{word} {edge}")]
        ax.plot(chosen["tokens"], chosen[name], marker, color=colour, mfc="none", zorder=3)
    other = own[bound & ~own["edge"].str.contains(word)]  # at the edge in the other of the two
    ax.plot(other["tokens"], other[name], "o", color=colour, mfc="none", zorder=3)


def batch_lr_valley(
    found: BatchLr, params: float | None = None, tokens: float | None = None, *, ax: Axes | None = None
) -> Axes:
    """One cell's loss over learning rate and batch: its runs, its least run, its smooth minimum, and the law.

    params, tokens: the cell nearest to these; by default the one with the most compute. Lines are of equal loss of the
    surface, in percent above its least; the grey dots are runs, larger the nearer to the least.
    """
    from matplotlib.ticker import NullLocator

    cells = found.cells
    wanted = np.log([params or cells["params"].max(), tokens or cells["tokens"].max()])
    if params is None and tokens is None:
        at = int((cells["params"] * cells["tokens"]).to_numpy().argmax())
    else:
        at = int(
            np.abs(np.log(cells[["params", "tokens"]].to_numpy(dtype=float)) - wanted).sum(axis=1).argmin()
        )
    row, cell = cells.iloc[at], found.sweep.cells[at]
    above = np.expm1(cell.log_loss - cell.log_loss.min())
    lr, batch = np.exp(cell.log_lr), np.exp(cell.log_batch)
    pad = 1.25
    limits = [np.exp(cell.limits[0]) / pad, np.exp(cell.limits[1]) * pad]
    sides = [np.exp(cell.limits[2]) / pad, np.exp(cell.limits[3]) * pad]
    with canvas(ax, 1.2) as ax:
        handles = []
        if cell.surface is not None and cell.surface.minimum() is not None:
            u, v = (np.linspace(math.log(low), math.log(high), 120) for low, high in (limits, sides))
            least = cell.surface.value(*map(np.asarray, cell.surface.minimum() or (0.0, 0.0)))
            field = 100 * np.expm1(cell.surface.value(*np.meshgrid(u, v)) - least)
            shown = [100 * share for share in _SHARES if 100 * share < field.max()]
            lines = ax.contour(
                np.exp(u), np.exp(v), field, levels=shown, colors=[BLUE], linewidths=0.9, alpha=0.8
            )
            ax.clabel(lines, fmt=lambda value: f"{value:g} %", fontsize="x-small")
            handles.append(Line2D([], [], color=BLUE, label="surface, above its least"))
        ax.scatter(
            lr,
            batch,
            s=marker_size() ** 2 * (0.15 + np.exp(-above / 0.005)),
            color=GREY,
            alpha=0.7,
            lw=0,
            zorder=2,
        )
        handles.append(Line2D([], [], marker="o", ls="", color=GREY, label="runs"))
        x, y = cell.least
        ax.plot(np.exp(x), np.exp(y), "s", color=INK, mfc="none", ms=1.7 * marker_size(), zorder=4)
        handles.append(Line2D([], [], marker="s", ls="", color=INK, mfc="none", label="least run"))
        if found.where == "smooth" and not math.isnan(row["lr"]):
            ends = _ends(row, "lr"), _ends(row, "batch_tokens")
            ax.errorbar(
                row["lr"], row["batch_tokens"], xerr=ends[0], yerr=ends[1], fmt="o", color=BLUE, mec="white", zorder=5
            )  # fmt: skip
            word = f"bound ({row['edge']})" if row["edge"] else f"minimum, {found.level:.0%}"
            handles.append(Line2D([], [], marker="o", ls="", color=BLUE, label=word))
        if found.known:
            ax.plot(
                row["lr_law"],
                row["batch_law"],
                "*",
                color=VERMILLION,
                ms=2 * marker_size(),
                mec="white",
                zorder=6,
            )
            handles.append(
                Line2D([], [], marker="*", ls="", color=VERMILLION, ms=1.7 * marker_size(), label="law")
            )
        log_axis(ax.xaxis, LR, (limits[0], limits[1]), _plain_number)
        log_axis(ax.yaxis, BATCH, (sides[0], sides[1]), count)
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_locator(NullLocator())
        key_above(ax, title=f"N {count(row['params'])}, D {count(row['tokens'])}", handles=handles)
    return ax


def _ends(row: Any, name: str) -> Any:
    lo, hi = row[f"{name}_lo"], row[f"{name}_hi"]
    if not (math.isfinite(lo) and math.isfinite(hi)):
        return None
    return np.clip([[row[name] - lo], [hi - row[name]]], 0, None)
