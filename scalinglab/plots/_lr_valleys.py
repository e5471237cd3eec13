"""Loss against learning rate for each size, and the best learning rate against the size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from scalinglab.errors import InputError
from scalinglab.plots._axes import PARAMS, LogTicks, count, key_above, log_axis
from scalinglab.plots._canvas import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    SizeColours,
    canvas,
    marker_size,
    root_figure,
)
from scalinglab.plots._panels import panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis.lr_transfer import LrTransfer

LR = "peak learning rate"
_AXIS = {"width": "width d", "params": PARAMS}
_LOOKS = ((BLUE, "o"), (VERMILLION, "s"), (GREEN, "D"), (PURPLE, "^"))


def lr_valleys(found: Mapping[str, LrTransfer], *, headroom: float = 1.25, ax: Axes | None = None) -> Axes:
    """Loss against learning rate, a colour a size and a panel for each parametrisation (name -> answer).

    Dots are means over seeds, lines the parabolas over the learning rates they rest on; the least point is a diamond
    with the interval of lr* as a bar, or a triangle where it is a bound. Crosses at the top are learning rates at which
    every run diverged. Losses beyond `headroom` times the largest size's span below are out of the picture. Returns the
    first panel.
    """
    answers = list(found.values())
    if not answers or not any(len(own.loss) for each in answers for own in each.valleys):
        raise InputError("there is no finite loss to draw against the learning rate")
    by = answers[0].by
    sizes = sorted({float(v) for each in answers for v in each.rows[by]})
    every = np.concatenate([own.log_lr for each in answers for own in each.valleys])
    lost = np.concatenate([own.lost for each in answers for own in each.valleys])
    tried = np.exp(np.concatenate([every, lost]))
    low = min(float(own.loss.min()) for each in answers for own in each.valleys if len(own.loss))
    most = max(float(own.loss.min()) for each in answers for own in each.valleys if len(own.loss))
    top = min(
        max(float(own.loss.max()) for each in answers for own in each.valleys if len(own.loss)),
        headroom * most,
    )
    span = top - low
    with canvas(ax, height=1.25) as ax:
        panels = panel_grid(ax, 1, len(answers), len(answers))
        narrow = root_figure(ax).get_size_inches()[0] < 2.4 * len(answers)
        colour = SizeColours(sizes)
        for panel, each in zip(panels, answers, strict=True):
            for row, own in zip(each.rows.to_dict("records"), each.valleys, strict=True):
                _valley(panel, row, own, colour(row[by]), top + 0.05 * span)
            log_axis(panel.xaxis, LR, (tried.min() / 1.4, tried.max() * 1.4), lambda v: f"{v:g}")
            ticks = LogTicks().tick_values(*panel.get_xlim())
            panel.xaxis.set_major_locator(FixedLocator(ticks[:: 2 if narrow else 1]))
            panel.xaxis.set_minor_locator(FixedLocator(ticks) if narrow else NullLocator())
            panel.set_ylim(low - 0.06 * span, top + 0.1 * span)
            if panel is not ax:
                panel.tick_params(labelleft=False)
        ax.set_ylabel(f"loss ({answers[0].loss_unit})" if answers[0].loss_unit else "loss (unit not given)")
        letter = "width" if by == "width" else "N"
        dot: dict[str, Any] = {"marker": "o", "mec": "white", "mew": 0.5}
        handles = [Line2D([], [], color=colour(v), label=f"{letter} {count(v)}", **dot) for v in sizes]
        if len(panels) == 1:
            key_above(ax, handles=[*handles, *_marks(answers)])
        else:  # each panel's name as the title of a key: sizes above the first, marks above the second
            keys = [handles, _marks(answers)] + [[]] * (len(panels) - 2)
            for panel, name, shown in zip(panels, found, keys, strict=True):
                panel.legend(
                    handles=shown, title=name, loc="lower left", bbox_to_anchor=(-0.02, 1.0), alignment="left",
                    ncols=1 if narrow else 2, borderaxespad=0.2, handlelength=1.4, handletextpad=0.6, columnspacing=1.0,
                )  # fmt: skip
    return ax


def _valley(ax: Axes, row: dict[Any, Any], own: Any, colour: Any, top: float) -> None:
    lr = np.exp(own.log_lr)
    ax.plot(lr, own.loss, "o", color=colour, mec="white", mew=0.5, zorder=3)
    ax.plot(lr, own.loss, color=colour, lw=0.6, alpha=0.35, zorder=1)
    if len(own.lost):
        ax.plot(np.exp(own.lost), np.full(len(own.lost), top), "x", color=colour, zorder=3)
    if own.bottom is not None:
        x = np.linspace(own.bottom.log_lr[0], own.bottom.log_lr[-1], 80)
        ax.plot(np.exp(x), own.bottom.value(x), color=colour, zorder=2)
    if row["edge"] in ("low", "high"):
        marker = "<" if row["edge"] == "low" else ">"
        ax.plot(row["lr"], row["loss"], marker, color=colour, mfc="white", ms=1.5 * marker_size(), zorder=5)
    elif row["edge"] == "":
        lo, hi = _ends(row)
        ax.plot(
            [lo, hi], [row["loss"]] * 2, color=colour, lw=2.6, alpha=0.55, solid_capstyle="butt", zorder=4
        )
        ax.plot(row["lr"], row["loss"], "D", color=colour, mfc="white", ms=1.15 * marker_size(), zorder=5)


def _ends(row: dict[str, Any]) -> tuple[float, float]:
    """An open end runs out of the figure."""
    lo, hi = row["lr_lo"], row["lr_hi"]
    if math.isnan(lo):
        return row["lr"], row["lr"]
    return max(lo, row["lr"] / 1e4), min(hi, row["lr"] * 1e4)


def _marks(answers: list[LrTransfer]) -> list[Line2D]:
    edges = {edge for each in answers for edge in each.rows["edge"]}
    marks = []
    if "" in edges:
        marks.append(
            Line2D(
                [],
                [],
                marker="D",
                ls="-",
                lw=2.6,
                color=GREY,
                mfc="white",
                label=f"lr*, {answers[0].level:.0%}",
            )
        )
    if edges & {"low", "high"}:
        marker = ">" if "high" in edges else "<"
        marks.append(Line2D([], [], marker=marker, ls="", color=GREY, mfc="white", label="lr*: a bound"))
    if any(len(own.lost) for each in answers for own in each.valleys):
        marks.append(Line2D([], [], marker="x", ls="", color=GREY, label="diverged"))
    return marks


def lr_drift(found: Mapping[str, LrTransfer], *, ax: Axes | None = None) -> Axes:
    """lr* against the size, a colour for each parametrisation (name -> answer), with the drift's line in the key.

    Bars are intervals, an open end runs out of the figure; triangles are bounds, which the line leaves out.
    """
    answers = list(found.values())
    rows = [row for each in answers for row in each.rows.to_dict("records") if row["edge"] != "none"]
    if not rows:
        raise InputError("no size has a valley, so there is no best learning rate to draw")
    by = answers[0].by
    sizes = sorted({row[by] for row in rows})
    handles = []
    with canvas(ax) as ax:
        for i, (name, each) in enumerate(found.items()):
            colour, marker = _LOOKS[i % len(_LOOKS)]
            aside = 1.03 ** (i - (len(answers) - 1) / 2)  # bars beside one another
            for row in each.rows.to_dict("records"):
                _optimum(ax, row, row[by] * aside, colour, marker)
            label = name
            if not math.isnan(each.drift.value):
                x = np.array([sizes[0], sizes[-1]])
                ax.plot(x, each.line(x), color=colour, lw=1.1, zorder=1)
                label = f"{name} {_slope(each)}"
            handles.append(Line2D([], [], marker=marker, color=colour, mec="white", mew=0.5, label=label))
        tried = [math.exp(x) for each in answers for own in each.valleys for x in own.log_lr]
        inside = [row["lr"] for row in rows]
        ends = [end for row in rows for end in (row["lr_lo"], row["lr_hi"]) if min(tried) < end < max(tried)]
        limits = min(inside + ends) / 1.3, max(inside + ends) * 1.3
        log_axis(ax.xaxis, _AXIS[by], (sizes[0] / 1.25, sizes[-1] * 1.25), count)
        if by == "width" and len(sizes) <= 6:
            ax.xaxis.set_major_locator(FixedLocator(sizes))
            ax.xaxis.set_minor_locator(NullLocator())
        log_axis(ax.yaxis, f"best {LR}", limits, lambda v: f"{v:g}")
        key_above(ax, handles=handles, title="slope of ln lr*", alignment="left")
    return ax


def _slope(found: LrTransfer) -> str:
    drift = found.drift
    text = f"{drift.value:+.2f}"
    if not math.isnan(drift.lo):
        text += f" [{drift.lo:+.2f}, {drift.hi:+.2f}]"
    return text.replace("-", "−")


def _optimum(ax: Axes, row: dict[Any, Any], x: float, colour: str, marker: str) -> None:
    if row["edge"] == "none":
        return
    lo, hi = _ends(row)
    ax.plot([x, x], [lo, hi], color=colour, lw=1.0, zorder=2)
    if row["edge"] == "":
        ax.plot(x, row["lr"], marker, color=colour, mec="white", mew=0.5, zorder=3)
    else:
        ax.plot(x, row["lr"], "v" if row["edge"] == "low" else "^", color=colour, mfc="white", zorder=3)
