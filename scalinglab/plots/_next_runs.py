"""Which runs to train next, on the plane of N and D."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm, Normalize

from scalinglab.errors import InputError
from scalinglab.plots._axes import PARAMS, TOKENS, count, key_above, log_axis, power_of_ten
from scalinglab.plots._canvas import GREY, INK, VERMILLION, canvas, marker_size, root_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis.convention import Cost
    from scalinglab.analysis.next_runs import NextRuns
    from scalinglab.fitting import Bootstrap, Fit

Range = tuple[float, float]
_CLOSE = 0.05  # of the axis: nearer than this, marks overlap
_LABELS = {
    "width": "share of the interval left",
    "gain_per_flop": "fall of ln(width) per FLOP",
}
# pale where a run tells nothing, so that marks stand out; the darkest end would hide them
_MAP = matplotlib.colors.ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.25, 1.0, 256)))


def next_runs(
    fit: Fit,
    answer: NextRuns | None = None,
    *,
    budget: float | None = None,
    colour: Literal["width", "gain_per_flop"] = "width",
    cost: Cost = "6ND",
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """What one more run at each N and D would tell, the runs there are, and those suggested, numbered.

    answer: of `scalinglab.analysis.next_runs`; without it the runs for D/N within `budget` are asked for, by default
        the compute of the dearest row. colour: "width", the share of the interval that is left after one run there, or
        "gain_per_flop". cost: that of the answer, for the compute-optimal line.
    Beyond the dotted line a run alone costs more than the budget. A suggested run that goes on from a trunk is joined
    to the row it goes on from.
    """
    from scalinglab import analysis
    from scalinglab.analysis.next_runs import next_runs as ask

    if colour not in _LABELS:
        raise InputError(f"the map shows {' or '.join(_LABELS)}, not {colour!r}")
    counted = analysis.convention(cost, fit.rows)
    dearest = answer is None and budget is None and len(fit.rows) > 0
    if answer is None:
        if budget is None and len(fit.rows):
            budget = float(counted(fit.rows["params"], fit.rows["tokens"]).max())
        answer = ask(fit, budget or 1.0, cost=counted, boot=boot, level=interval, beyond=math.inf)
    rows, every = answer.rows, answer.candidates
    with canvas(ax, height=1.2) as ax:
        drawn = _field(ax, every, colour, answer.budget)
        bar = root_figure(ax).colorbar(drawn, ax=ax, pad=0.02)
        bar.set_label(_LABELS[colour])
        n_range, d_range = (
            _range(every["params"], fit.rows["params"]),
            _range(every["tokens"], fit.rows["tokens"]),
        )
        budgets = np.geomspace(
            float(counted(n_range[0], d_range[0])), float(counted(n_range[1], d_range[1])), 80
        )
        with np.errstate(all="ignore"):
            best = np.array(
                [analysis.optimal_params_tokens(fit.law, fit.constants, c, counted) for c in budgets]
            )
        if np.isfinite(best).all():
            ax.plot(
                best[:, 0], best[:, 1], color=INK, lw=1.4, ls=(0, (4, 2)), zorder=3,
                label=f"compute-optimal ({counted.name})",
            )  # fmt: skip
        ax.plot(
            fit.rows["params"], fit.rows["tokens"], "o", color="white", mec=INK, mew=0.8, ms=0.75 * marker_size(),
            zorder=4, label="runs there are",
        )  # fmt: skip
        _suggested(ax, rows, fit.rows, n_range, d_range)
        limit = f"a run of {power_of_ten(answer.budget)} FLOPs"
        ax.plot([], [], color=INK, lw=1.2, ls=":", label=limit)
        log_axis(ax.xaxis, PARAMS, n_range, count)
        log_axis(ax.yaxis, TOKENS, d_range, count)
        ax.grid(False)
        title = f"to know {answer.about}" + (",\nbudget: what the dearest run cost" if dearest else "")
        key_above(ax, title=title, alignment="left")
    return ax


def _field(ax: Axes, every: pd.DataFrame, colour: str, budget: float) -> Any:
    """The candidates' values: a mesh where new runs fill a grid, squares for single ones; and the budget's line."""
    fresh = every[every["trunk"].isin(["", "new"])]
    others = every[~every["trunk"].isin(["", "new"])]
    grid = fresh.drop_duplicates(["params", "tokens"]).pivot(index="tokens", columns="params", values=colour)
    values = every[colour][every[colour] > 0]
    lo, hi = float(values.min()), float(values.max())
    if colour == "width":
        norm: Any = Normalize(min(lo, 0.95), 1.0)
        shades = _MAP
    else:
        norm = LogNorm(max(lo, hi / 1e4), hi)
        shades = _MAP.reversed()
    if min(grid.shape) > 1 and grid.notna().to_numpy().all():
        drawn: Any = ax.pcolormesh(
            grid.columns,
            grid.index,
            grid,
            cmap=shades,
            norm=norm,
            shading="nearest",
            zorder=1,
            rasterized=True,
        )
        cost = fresh.drop_duplicates(["params", "tokens"]).pivot(
            index="tokens", columns="params", values="flops"
        )
        if cost.to_numpy().min() < budget < cost.to_numpy().max():
            ax.contour(
                cost.columns, cost.index, np.log(cost), levels=[math.log(budget)], colors=INK, linestyles=":",
                linewidths=1.2, zorder=2,
            )  # fmt: skip
    else:
        others = every
        drawn = None
    if len(others):
        points = ax.scatter(
            others["params"], others["tokens"], c=others[colour], cmap=shades, norm=norm, marker="s", edgecolors=GREY,
            linewidths=0.4, s=(0.8 * marker_size()) ** 2, zorder=2.5, label="further horizons of a trunk"
            if drawn is not None else "candidates",
        )  # fmt: skip
        drawn = points if drawn is None else drawn
    return drawn


def _suggested(ax: Axes, rows: pd.DataFrame, existing: pd.DataFrame, n_range: Range, d_range: Range) -> None:
    for row in rows.to_dict("records"):
        n, d = row["params"], row["tokens"]
        if row["trunk"] not in ("", "new", "same"):
            own = existing[existing["trunk_id"] == row["trunk"]]
            ax.plot([n, n], [own["tokens"].max(), d], color=VERMILLION, lw=1.2, zorder=4.5)
        ax.plot(n, d, "o", color=VERMILLION, mec="white", mew=0.9, ms=1.9 * marker_size(), zorder=5)
    # runs at one place, or too close for two marks, share their numbers
    place = np.log(rows[["params", "tokens"]].to_numpy(dtype=float))
    width = np.log([n_range[1] / n_range[0], d_range[1] / d_range[0]])
    left = list(range(len(rows)))
    while left:
        near = [i for i in left if (np.abs(place[i] - place[left[0]]) < _CLOSE * width).all()]
        left = [i for i in left if i not in near]
        at = np.exp(place[near].mean(axis=0))
        frame = {"boxstyle": "round,pad=0.25", "fc": VERMILLION, "ec": "white", "lw": 0.9}
        ax.annotate(
            ", ".join(str(rows["rank"].iloc[i]) for i in near), (at[0], at[1]), color="white", ha="center", va="center",
            zorder=6, fontsize="small", fontweight="bold", bbox=frame if len(near) > 1 else None,
        )  # fmt: skip
    ax.plot(
        [],
        [],
        "o",
        color=VERMILLION,
        mec="white",
        ms=1.5 * marker_size(),
        label="to train next, in this order",
    )


def _range(*values: Any) -> Range:
    """With room for a whole mark at the edge."""
    every = np.concatenate([np.asarray(each, float) for each in values])
    lo, hi = float(every.min()), float(every.max())
    room = max(1.25, (hi / lo) ** 0.05)
    return lo / room, hi * room
