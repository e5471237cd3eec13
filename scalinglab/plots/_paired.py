"""Recipe B against recipe A: the difference of each pair of runs against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.plots._axes import FLOPS, count, key_beside, log_axis, power_of_ten
from scalinglab.plots._canvas import BLUE, GREY, INK, SizeColours, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis import Paired

_CURVES = 8  # more sizes than this: a colour bar


def paired(found: Paired, *, ax: Axes | None = None) -> Axes:
    """ln(loss B / loss A) of each pair in percent against compute, a colour a size, pairs of a trunk joined.

    found: what `scalinglab.analysis.paired` returns. Below the zero line B is better. The band is the mean with its
    interval, by trunk; the crosses are what one data multiplier for all pairs explains, where A's law was fitted.
    """
    from scalinglab.plots._fits import size_bar

    pairs = found.pairs
    sizes = np.unique(pairs["params"])
    left = 100 * pairs["difference"]
    mean = found.difference
    with canvas(ax) as ax:
        colour = SizeColours(sizes)
        if not np.isnan(mean.lo):
            ax.axhspan(100 * mean.lo, 100 * mean.hi, color=BLUE, alpha=0.15, lw=0, zorder=0)
        ax.axhline(100 * mean.value, color=BLUE, lw=1.4, ls=(0, (4, 2)), zorder=1)
        ax.axhline(0, color=INK, lw=0.9, zorder=1)
        handles = {}
        for _, own in pairs.groupby("trunk", sort=False):
            n = float(own["params"].iloc[0])
            own = own.sort_values("flops_6nd")
            (line,) = ax.plot(
                own["flops_6nd"], 100 * own["difference"], "o-", color=colour(n), lw=0.8, mec="white", mew=0.5,
                label=count(n), zorder=3,
            )  # fmt: skip
            handles[n] = line
        explained = _explained(found)
        keys = [handles[n] for n in sorted(handles, reverse=True)] if len(sizes) <= _CURVES else []
        if explained is not None:
            keys += ax.plot(
                pairs["flops_6nd"], explained, "x", color=GREY, zorder=2,
                label=_would(found.data_multiplier.value),
            )  # fmt: skip
        flops = pairs["flops_6nd"]
        log_axis(ax.xaxis, FLOPS, (flops.min() / 1.4, flops.max() * 1.4), power_of_ten)
        span = [
            *left,
            0.0,
            *([] if explained is None else explained),
            *([] if np.isnan(mean.lo) else [100 * mean.lo, 100 * mean.hi]),
        ]
        margin = 0.08 * (max(span) - min(span)) or 0.1
        ax.set_ylim(min(span) - margin, max(span) + margin)
        ax.set_ylabel("loss of B over A, ln(B/A) (%)")
        band = (
            ""
            if np.isnan(mean.lo)
            else f", {found.level:.0%} interval {100 * mean.lo:.2g} to {100 * mean.hi:.2g} %"
        )
        ax.set_title(f"mean {100 * mean.value:.2g} %{band}", loc="left", color=BLUE, fontsize="small")
        if len(sizes) > _CURVES:
            size_bar(ax, colour)
            if keys:
                ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(0.0, 1.06))
        else:
            key_beside(ax, "model size N\n(lines join the\nruns of one trunk)", handles=keys)
    return ax


def _would(m: float) -> str:
    return f"what A would {'gain' if m >= 1 else 'lose'}\nwith {m:.3g}× the data"


def _explained(found: Paired) -> np.ndarray | None:
    """ln L(N, m·D)/L(N, D) of A's law in percent, (pairs,); None without a finite multiplier."""
    m = found.data_multiplier.value
    if found.fit is None or not (0 < m < np.inf):
        return None
    law, constants = found.fit.law, found.fit.constants
    n, d = found.pairs["params"], found.pairs["tokens"]
    return 100 * np.log(
        law.predict(constants, params=n, tokens=m * d) / law.predict(constants, params=n, tokens=d)
    )
