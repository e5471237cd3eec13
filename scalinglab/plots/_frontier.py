"""The compute-optimal frontier of a fit beside published laws."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from scalinglab.errors import InputError
from scalinglab.plots._axes import PARAMS, TOKENS, count, key_above, log_axis, power_of_ten
from scalinglab.plots._canvas import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.analysis.convention import Cost
    from scalinglab.fitting import Bootstrap, Fit

_SHOWN = ("hoffmann", "besiroglu", "minicpm", "llama3")
_LOOK = (  # told apart by dashes too, in print
    (GREEN, (0, (6, 2))),
    (ORANGE, (0, (4, 1.5, 1, 1.5))),
    (PURPLE, (0, (1.5, 1.2))),
    (SKY, (0, (8, 2, 1, 2, 1, 2))),
    (VERMILLION, (0, (2, 3))),
)
_LABELS = {"params": PARAMS, "tokens": TOKENS, "ratio": "tokens per parameter D/N"}


def frontier(
    fit: Fit,
    flops: tuple[float, float] | None = None,
    *,
    what: Literal["params", "tokens", "ratio"] = "params",
    published: Iterable[str] = _SHOWN,
    cost: Cost = "6ND",
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Compute-optimal N (or D, or D/N) against compute: the fit with its band, and published laws.

    flops: lowest and highest budget drawn; by default the rows' span of 6·N·D and a decade more.
    published: keys of `scalinglab.laws.PUBLISHED`; they are drawn under 6·N·D, and their tokens are their own.
    The fit's line is dashed where it leaves the fitted domain; points are the rows, at their own compute.
    Raises InputError for an unknown key, or where neither rows nor `flops` say what to draw.
    """
    from scalinglab import laws
    from scalinglab.analysis import convention
    from scalinglab.analysis import frontier as ask
    from scalinglab.fitting import Fit as Given

    if what not in _LABELS:
        raise InputError(f"a frontier shows {', '.join(_LABELS)}, not {what!r}")
    unknown = [key for key in published if key not in laws.PUBLISHED]
    if unknown:
        raise InputError(f"no published law is called {unknown[0]!r}; there are {', '.join(laws.PUBLISHED)}")
    counted = convention(cost, fit.rows)
    rows = fit.rows
    spent = counted(rows["params"], rows["tokens"]) if len(rows) else np.array([])
    if flops is None:
        if not len(rows):
            raise InputError(
                "a frontier of given constants needs flops=(lowest, highest) to know what to draw."
            )
        flops = float(spent.min()), 10 * float(spent.max())
    if flops[0] == flops[1]:  # one budget: a decade around it
        flops = flops[0] / 10**0.5, flops[1] * 10**0.5
    budgets = np.geomspace(*flops, 60)
    line = ask(fit, budgets, counted, level=interval, boot=boot, beyond=np.inf).rows
    with canvas(ax) as ax:
        colour = BLUE
        if line[f"{what}_lo"].notna().all():
            low, high = (np.clip(line[f"{what}_{end}"], 1e-3, 1e30) for end in ("lo", "hi"))
            ax.fill_between(budgets, low, high, color=colour, alpha=0.2, lw=0, zorder=2)
        inside = line[what].where(~(line["extrapolation"] > 0))
        name = (
            f"this fit ({counted.name}), {interval:.0%} interval"
            if len(rows)
            else f"this fit ({counted.name})"
        )
        ax.plot(budgets, inside, color=colour, lw=2.2, zorder=4, label=name)
        beyond = "beyond the runs" if (line["extrapolation"] > 0).any() else None
        ax.plot(budgets, line[what], color=colour, lw=2.2, ls=(0, (3, 2)), zorder=4, label=beyond)
        lines = [line[what].to_numpy()]
        for key, (shade, dashes) in zip(published, _LOOK * 3, strict=False):
            law = laws.PUBLISHED[key]
            theirs = ask(Given.from_constants(law.law, law.constants), budgets, beyond=np.inf).rows[what]
            ax.plot(budgets, theirs, color=shade, ls=dashes, lw=1.5, zorder=3, label=law.title)
            lines.append(theirs.to_numpy())
        if len(rows):
            values = rows["tokens"] / rows["params"] if what == "ratio" else rows[what]
            ax.plot(spent, values, ".", color=INK, alpha=0.35, ms=4, zorder=1, label="runs fitted")
            seen = (spent >= flops[0]) & (spent <= flops[1])
            lines.append(np.asarray(values)[seen])
        drawn = np.concatenate(lines)
        drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
        log_axis(ax.xaxis, f"training compute C ({counted.name}, FLOPs)", flops, power_of_ten)
        log_axis(ax.yaxis, _LABELS[what], (drawn.min() / 1.5, drawn.max() * 1.5), count)
        key_above(ax)
    return ax
