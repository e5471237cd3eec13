"""Lines of equal loss over batch and tokens, and the batch law through their minima."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from scalinglab.errors import InputError
from scalinglab.plots._axes import TOKENS, LogTicks, count, key_above, key_beside, log_axis, loss_label
from scalinglab.plots._batch_lr import BATCH
from scalinglab.plots._canvas import GREY, INK, VERMILLION, SizeColours, canvas, marker_size, root_figure
from scalinglab.plots._panels import panel_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis.iso_loss import IsoLoss


def iso_loss(
    found: IsoLoss, params: float | None = None, *, runs: pd.DataFrame | None = None, ax: Axes | None = None
) -> Axes:
    """One size's lines of equal loss over batch and tokens, with the fewest tokens on each and the law.

    found: what `scalinglab.analysis.iso_loss` returns. params: the size nearest to this; by default the one with the
        most minima between batches, of several the largest. Open marks are bounds: the line is lowest at its end.
        The law's batch on each line is the one it gives for that line's loss.
    runs: a table that tells the unit of the loss.
    """
    minima = found.minima[found.minima["tokens"].notna()]
    if minima.empty:
        raise InputError("no line of equal loss to draw")
    inside = minima["edge"].eq("").groupby(minima["params"]).sum()
    if params is None:
        size = float(inside[inside == inside.max()].index.max())
    else:
        sizes = inside.index.to_numpy(dtype=float)
        size = float(sizes[np.abs(np.log(sizes / params)).argmin()])
    minima, lines = minima[minima["params"] == size], found.lines[found.lines["params"] == size]
    with canvas(ax) as ax:
        colour, large = SizeColours(lines["loss"]), 1.1 * marker_size()
        for loss, line in lines.groupby("loss"):
            ax.plot(
                line["batch_tokens"], line["tokens"], ".-", color=colour(float(str(loss))), lw=1.0, zorder=2
            )
        handles = []
        for loss, batch, tokens, edge in reversed(
            list(zip(*(minima[name] for name in ("loss", "batch_tokens", "tokens", "edge")), strict=True))
        ):
            shade = colour(loss)
            ax.plot(
                batch,
                tokens,
                "o",
                color=shade,
                mfc="none" if edge else shade,
                mec=INK,
                ms=large,
                zorder=4,
            )
            handles.append(Line2D([], [], color=shade, marker=".", label=f"{loss:.3f}"))
        batches = lines["batch_tokens"].min() / 1.4, lines["batch_tokens"].max() * 1.4
        handles.append(
            Line2D(
                [], [], marker="o", ls="", color=GREY, mec=INK, ms=large, label="fewest tokens\n(parabola)"
            )
        )
        if (minima["edge"] != "").any():
            handles.append(Line2D([], [], marker="o", ls="", color=INK, mfc="none", ms=large, label="bound"))
        if found.known:
            law = [found.at(loss).value for loss in minima["loss"]]
            ax.plot(law, minima["tokens"], "x--", color=VERMILLION, lw=1.2, zorder=3)
            handles.append(Line2D([], [], color=VERMILLION, marker="x", ls="--", label="law in L, all sizes"))
            batches = min(batches[0], min(law) / 1.4), max(batches[1], max(law) * 1.4)
        log_axis(ax.xaxis, BATCH, batches, count)
        log_axis(ax.yaxis, TOKENS, (lines["tokens"].min() / 1.2, lines["tokens"].max() * 1.2), count)
        key_beside(ax, f"{_loss(runs)},\nN {count(size)}", handles=handles)
    return ax


def iso_loss_sizes(found: IsoLoss, *, runs: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes:
    """Lines of equal loss of every size, a panel each, coloured by the loss; their minima and the law through them.

    As MiniCPM's figure 2: batch against tokens, the minima joined by bs = k / L^p at each line's tokens, with its
    band. Bars are intervals of a minimum; open marks are bounds: the line is lowest at its end. runs: a table that
    tells the unit of the loss.
    """
    minima = found.minima[found.minima["tokens"].notna()]
    if minima.empty:
        raise InputError("no line of equal loss to draw")
    sizes = sorted(minima["params"].unique())
    with canvas(ax) as ax:
        colour, large = SizeColours(found.lines["loss"]), 1.05 * marker_size()
        panels = panel_grid(ax, 1, len(sizes), len(sizes))
        narrow = root_figure(ax).get_size_inches()[0] < 2.4 * len(panels)
        for panel, size in zip(panels, sizes, strict=True):
            for loss, line in found.lines[found.lines["params"] == size].groupby("loss"):
                shade = colour(float(str(loss)))
                panel.plot(line["batch_tokens"], line["tokens"], ".-", color=shade, lw=1.0, zorder=2)
            _fewest(panel, minima[minima["params"] == size], colour, large)
            _law_across(panel, found, minima[minima["params"] == size])
            panel.text(0.97, 0.03, f"N = {count(size)}", transform=panel.transAxes, ha="right", va="bottom")
            batches = found.lines["batch_tokens"].min() / 1.4, found.lines["batch_tokens"].max() * 1.4
            log_axis(panel.xaxis, BATCH, batches, count)
            panel.tick_params(labelleft=panel is ax)
            if narrow:
                ticks = LogTicks().tick_values(*panel.get_xlim())
                panel.xaxis.set_major_locator(FixedLocator(ticks[:: max(len(ticks) - 1, 1)]))
                panel.xaxis.set_minor_locator(FixedLocator(ticks))
                panel.set_xlabel(BATCH if panel is panels[len(panels) // 2] else "")
        log_axis(
            ax.yaxis, TOKENS, (found.lines["tokens"].min() / 1.2, found.lines["tokens"].max() * 1.2), count
        )
        handles = [
            Line2D([], [], marker="o", color=GREY, mec=INK, ls="-", ms=large, label="fewest tokens, interval")
        ]
        if (minima["edge"] != "").any():
            handles.append(Line2D([], [], marker="o", ls="", color=INK, mfc="none", ms=large, label="bound"))
        if found.known:
            law = f"{count(found.k.value)} / L^{found.p.value:.2f}, {found.level:.0%} band"
            handles.append(Line2D([], [], color=VERMILLION, label=law))
        bar = root_figure(ax).colorbar(
            ScalarMappable(colour.norm, colour.map), ax=panels, pad=0.01, aspect=30
        )
        log_axis(bar.ax.yaxis, _loss(runs), colour.limits)
        key_above(ax, handles=handles)
    return ax


def _fewest(ax: Axes, minima: pd.DataFrame, colour: SizeColours, size: float) -> None:
    for row in minima.to_dict("records"):
        shade = colour(row["loss"])
        if not row["edge"] and np.isfinite(row["batch_tokens_lo"]):
            ends = max(row["batch_tokens_lo"], 1e-6), min(row["batch_tokens_hi"], 1e15)
            ax.plot(ends, [row["tokens"]] * 2, color=INK, lw=1.0, zorder=3)
        face = "none" if row["edge"] else shade
        ax.plot(row["batch_tokens"], row["tokens"], "o", color=shade, mfc=face, mec=INK, ms=size, zorder=5)


def _law_across(ax: Axes, found: IsoLoss, minima: pd.DataFrame) -> None:
    """The law's batch at the loss of each line, at the tokens of its minimum."""
    if not found.known:
        return
    own = minima.sort_values("tokens")
    law = [found.at(loss) for loss in own["loss"]]
    value, lo, hi = np.array([(each.value, each.lo, each.hi) for each in law]).T
    ax.fill_betweenx(own["tokens"], lo, hi, color=VERMILLION, alpha=0.15, lw=0, zorder=1)
    ax.plot(value, own["tokens"], color=VERMILLION, lw=1.3, zorder=4)


def iso_loss_law(
    found: IsoLoss,
    *,
    published: tuple[float, float] | None = None,
    runs: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The batch with the fewest tokens against the loss, one colour a size, with bs = k / L^p and its band.

    published: (k, p) of another law, drawn dashed. runs: a table that tells the unit of the loss.
    """
    minima = found.minima[found.minima["batch_tokens"].notna()]
    if minima.empty:
        raise InputError("no line of equal loss to draw")
    reach = np.geomspace(minima["loss"].min() / 1.01, minima["loss"].max() * 1.01, 60)
    with canvas(ax) as ax:
        colour = SizeColours(minima["params"])
        every = [minima["batch_tokens"].to_numpy(dtype=float)]
        handles = []
        for size in np.unique(minima["params"]):
            shade = colour(size)
            _minima(ax, minima[minima["params"] == size], shade)
            handles.append(Line2D([], [], marker="o", ls="", color=shade, mec="white", label=count(size)))
        if (minima["edge"] != "").any():
            handles.append(Line2D([], [], marker="o", ls="", color=INK, mfc="none", label="bound"))
        if found.known:
            law = [found.at(loss) for loss in reach]
            value, lo, hi = np.array([(each.value, each.lo, each.hi) for each in law]).T
            ax.fill_between(reach, lo, hi, color=INK, alpha=0.13, lw=0, zorder=1)
            ax.plot(reach, value, color=INK, zorder=2)
            every.append(value)
            name = f"{count(found.k.value)} / L^{found.p.value:.2f}, {found.level:.0%} band"
            handles.append(Line2D([], [], color=INK, label=name))
        if published is not None:
            line = published[0] * reach ** -published[1]
            ax.plot(reach, line, color=VERMILLION, ls=(0, (4, 2)), zorder=2)
            every.append(line)
            name = f"published: {count(published[0])} / L^{published[1]:g}"
            handles.append(Line2D([], [], color=VERMILLION, ls=(0, (4, 2)), label=name))
        shown = np.concatenate(every)
        log_axis(ax.xaxis, _loss(runs, "loss L"), (reach[0], reach[-1]))
        log_axis(ax.yaxis, BATCH, (shown.min() / 1.4, shown.max() * 1.4), count)
        key_above(ax, handles=handles)
    return ax


def _loss(runs: pd.DataFrame | None, what: str = "loss") -> str:
    return what if runs is None else loss_label(runs, what=what)


def _minima(ax: Axes, own: pd.DataFrame, colour: object) -> None:
    inside = own[own["edge"] == ""]
    ends = np.array(
        [
            inside["batch_tokens"] - inside["batch_tokens_lo"],
            inside["batch_tokens_hi"] - inside["batch_tokens"],
        ]
    )
    ends = np.where(np.isposinf(ends), 1e6 * inside["batch_tokens"].to_numpy(), np.clip(ends, 0, None))
    ax.errorbar(
        inside["loss"], inside["batch_tokens"], yerr=ends, fmt="o", color=colour, mec="white", mew=0.5, elinewidth=1.0,
        zorder=3,
    )  # fmt: skip
    bound = own[own["edge"] != ""]
    ax.plot(bound["loss"], bound["batch_tokens"], "o", color=colour, mfc="none", zorder=3)
