"""Iso-loss contours over N and D with the compute-optimal line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from scalinglab.errors import InputError
from scalinglab.plots._axes import PARAMS, TOKENS, count, key_above, log_axis, loss_label, power_of_ten
from scalinglab.plots._canvas import FAINT, GREY, INK, VERMILLION, SizeColours, canvas, marker_size
from scalinglab.plots._fits import optimum_to_draw, runs_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from scalinglab.analysis import Optimum
    from scalinglab.analysis.convention import Cost
    from scalinglab.analysis.source import Runs
    from scalinglab.fitting import Bootstrap, Fit

_LEVELS = 8


def contours(
    fit: Fit,
    runs: Runs | None = None,
    *,
    boot: Bootstrap | None = None,
    flops: float | None = None,
    cost: Cost = "6ND",
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Lines of equal loss over model size N and tokens D, the compute-optimal line across them, and the runs.

    runs: points to draw, by default the rows fitted, coloured by their own loss on the contours' map.
    flops: a budget whose optimum is marked. cost: how all compute in this figure is counted, as in `optimum`.
    boot: draws the optimal line's band, the `interval` of N and D at each budget; by default the fit's own
        bootstrap, none for constants that were given. The line is dashed where it leaves the fitted domain.
    Where a term of the law has vanished there is no such line. Raises InputError for a law not in params and tokens,
    where neither rows nor a budget say what to draw, or where the budget has no optimum to mark.
    """
    from scalinglab.analysis import convention, frontier, optimum

    rows = runs_of(fit, runs) if runs is not None or len(fit.rows) else None
    if rows is None and flops is None:
        raise InputError("contours of given constants need runs= or flops= to know which range to draw.")
    counted = convention(cost, fit.rows)
    best = None if flops is None else optimum(fit, flops, counted, level=interval, boot=boot, beyond=math.inf)
    if best is not None:
        optimum_to_draw(fit, best.params.value)
    (n_lo, n_hi), (d_lo, d_hi) = _shown(rows, best)
    with canvas(ax, height=1.15) as ax:
        n, d = np.geomspace(n_lo, n_hi, 200), np.geomspace(d_lo, d_hi, 200)
        loss = fit.law.predict(fit.constants, params=n[None, :], tokens=d[:, None])
        budgets = np.geomspace(float(counted(n_lo, d_lo)), float(counted(n_hi, d_hi)), 60)
        line = frontier(fit, budgets, counted, level=interval, boot=boot, beyond=math.inf).rows
        line = line[np.isfinite(line["params"]) & (line["params"] > 0)]  # none where a term has vanished
        budgets = line["flops"].to_numpy()
        colour = SizeColours([loss.min(), loss.max()])
        in_view = line["params"].between(n_lo, n_hi) & line["tokens"].between(d_lo, d_hi)
        along = (line[in_view] if in_view.sum() > 1 else line)["loss"].to_numpy()
        levels, decimals = _round_levels(along if len(along) else loss.diagonal())
        lines = ax.contour(
            n, d, loss, levels=levels, cmap=colour.map, norm=colour.norm, linewidths=1.2, zorder=2
        )  # fmt: skip
        compute = counted(n[None, :], d[:, None])
        exponents = np.arange(math.ceil(math.log10(compute.min())), math.log10(compute.max()))
        tens = 10.0 ** exponents[:: math.ceil(len(exponents) / 8)]
        equal = ax.contour(n, d, compute, levels=tens, colors=FAINT, linewidths=0.8, zorder=1)
        name = f"compute-optimal ({counted.name})"
        if len(line) and line["params_lo"].notna().all():
            name += f", {interval:.0%} interval"
            # at each budget the interval lies along the line of that budget: tokens follow from params
            few, most = (np.clip(line[end], n_lo / 1e6, n_hi * 1e6) for end in ("params_lo", "params_hi"))
            ax.fill(
                np.concatenate([few, most[::-1]]),
                np.concatenate([counted.tokens_at(few, budgets), counted.tokens_at(most, budgets)[::-1]]),
                color=VERMILLION, alpha=0.2, lw=0, zorder=1.5,
            )  # fmt: skip
        if len(line):
            seen = line["params"].where(~(line["extrapolation"] > 0))
            ax.plot(seen, line["tokens"], color=VERMILLION, zorder=4, label=name)
            beyond = "beyond the runs" if (line["extrapolation"] > 0).any() else None
            ax.plot(line["params"], line["tokens"], color=VERMILLION, ls=(0, (3, 2)), zorder=4, label=beyond)
        if rows is not None:
            ax.scatter(
                rows["params"], rows["tokens"], c=rows["loss"], cmap=colour.map, norm=colour.norm,
                edgecolors="white", linewidths=0.6, s=(0.95 * marker_size()) ** 2, zorder=5, label="runs",
            )  # fmt: skip
        if best is not None:
            ax.plot(n, counted.tokens_at(n, best.flops), color=INK, lw=1.0, ls=":", zorder=3)
            where = f"N = {count(best.params.value)}, D = {count(best.tokens.value)}"
            ax.plot(
                best.params.value, best.tokens.value, "*", color=VERMILLION, mec=INK, ms=2.2 * marker_size(), zorder=6,
                label=f"{power_of_ten(best.flops)} FLOPs: {where}",
            )  # fmt: skip
        log_axis(ax.xaxis, PARAMS, (n_lo, n_hi), count)
        log_axis(ax.yaxis, TOKENS, (d_lo, d_hi), count)
        points = np.empty((0, 2)) if rows is None else rows[["params", "tokens"]].to_numpy(dtype=float)
        if best is not None:
            points = np.vstack([points, (best.params.value, best.tokens.value)])
        at = _label_places(n, d, loss, levels, points, (0.9, 0.84, 0.77, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2))
        ax.clabel(lines, fmt=f"%.{decimals}f", fontsize="small", manual=at)
        at = _label_places(n, d, compute, tens, np.vstack([points, *at]), (0.07, 0.14, 0.22, 0.3, 0.4, 0.5))
        ax.clabel(equal, fmt=power_of_ten, fontsize="x-small", colors=GREY, manual=at)
        ax.grid(False)
        ax.plot([], [], color=colour.map(0.4), lw=1.2, label=f"equal {loss_label(rows, fit.rows)}")
        ax.plot([], [], color=FAINT, lw=0.8, label="equal compute (FLOPs)")
        key_above(ax)
    return ax


Range = tuple[float, float]


def _shown(rows: pd.DataFrame | None, best: Optimum | None) -> tuple[Range, Range]:
    """What of N and D to draw: all runs and the marked optimum, or two decades around that alone."""
    n = [] if rows is None else list(rows["params"])
    d = [] if rows is None else list(rows["tokens"])
    if best is not None:
        n.append(best.params.value)
        d.append(best.tokens.value)
    if rows is None:
        return (n[0] / 10, n[0] * 10), (d[0] / 10, d[0] * 10)
    return _widened(n), _widened(d)


def _widened(values: list[float]) -> Range:
    """The span of the values with a margin of a tenth in logs, and at least a factor 1.3."""
    lo, hi = min(values), max(values)
    margin = max((hi / lo) ** 0.1, 1.3)
    return lo / margin, hi * margin


def _round_levels(along: np.ndarray) -> tuple[np.ndarray, int]:
    """Eight losses at even steps of log C along the optimal line, so that no corner is crowded, and decimals.

    They are rounded to the fewest decimals that keep them apart.
    """
    wanted = np.interp(np.linspace(0, 1, _LEVELS + 2)[1:-1], np.linspace(0, 1, len(along)), along)
    decimals = next((k for k in range(1, 6) if len(np.unique(np.round(wanted, k))) == len(wanted)), 6)
    return np.unique(np.round(wanted, decimals)), decimals


def _label_places(
    n: np.ndarray,
    d: np.ndarray,
    values: np.ndarray,
    levels: np.ndarray,
    taken: np.ndarray,
    shares: tuple[float, ...],
) -> list[tuple[float, float]]:
    """Where on each level's line to write its value: at the first of the `shares` of the width that is free.

    values: (len(d), len(n)), monotonic along d. taken: (k, 2) places (N, D) to keep clear of.
    """

    def share_of(place: np.ndarray) -> np.ndarray:
        start, end = np.log([n[0], d[0]]), np.log([n[-1], d[-1]])
        return np.asarray((np.log(place) - start) / (end - start))

    places = []
    for level in levels:
        in_view = []
        for column in (round(share * (len(n) - 1)) for share in shares):
            up = 1 if values[-1, column] > values[0, column] else -1
            at = np.exp(np.interp(level, values[::up, column], np.log(d)[::up]))
            place = np.array([n[column], at])
            if not 0.04 < share_of(place)[1] < 0.96:
                continue
            in_view.append((float(place[0]), float(place[1])))
            if not len(taken) or np.abs(share_of(taken) - share_of(place)).max(axis=1).min() > 0.035:
                places.append(in_view[-1])
                break
        else:
            places += in_view[:1]
    return places
