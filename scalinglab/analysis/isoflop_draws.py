"""Losses of the runs of each budget drawn anew, behind the intervals of Approach 2."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.isoflop_groups import FEWEST, Points, distinct_sizes, read_points
from scalinglab.analysis.isoflop_minimum import vertex

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap

Array = NDArray[np.float64]
ENOUGH_SIZES = 6
"""Sizes of a budget from which its runs are resampled. Of five runs, a resample holds fewer than three sizes one time
in ten, and of three nearly always."""


def drawn_losses(
    runs: pd.DataFrame, points: Points, groups: list[Any], minimum: str, noise: float | None,
    boot: "Bootstrap | None", n: int, rng: Any,
) -> tuple[list[tuple[Array | None, Array | None]], str]:  # fmt: skip
    """(losses (n, m), weights (n, m) or None) of each budget's points, and how they were drawn, a sentence."""
    if points.ladder is not None:
        losses = runs["loss"].to_numpy(float)
        if noise is not None:
            redrawn = losses + noise * rng.standard_normal((n, len(losses)))
            how = f"Intervals: the losses of the runs redrawn with a deviation of {noise:g}."
        elif boot is not None:
            redrawn, how = _redrawn_by_law(runs, losses, boot, n, rng)
        else:
            return [(None, None)] * len(
                groups
            ), "No intervals: without a fitted law the noise of a run is unknown; give noise=."
        read = read_points(points, redrawn)
        return [(read[:, g], None) for g in groups], how
    if noise is not None:
        how = f"Intervals: losses redrawn with a deviation of {noise:g}."
        return [(points.loss[g] + noise * rng.standard_normal((n, len(g))), None) for g in groups], how
    sizes = [distinct_sizes(points.params[g]) for g in groups]
    few = [minimum == "interpolated" or size.max() + 1 < ENOUGH_SIZES for size in sizes]
    left, freedom = 0.0, 0
    for g in groups:
        u, y = np.log(points.params[g]), points.loss[g]
        at, least, curvature = (v[0] for v in vertex(u, y))
        left += float(((y - least - curvature * (u - at) ** 2) ** 2).sum())
        freedom += max(len(g) - 3, 0)
    sd = math.sqrt(left / freedom) if freedom else math.nan
    # as uncertain as its degrees of freedom leave it, so that intervals from few runs are not too short
    redrawn = any(few) and freedom > 0
    spread = sd / np.sqrt(rng.chisquare(freedom, (n, 1)) / freedom) if redrawn else math.nan
    out: list[tuple[Array | None, Array | None]] = []
    for g, size, redraw in zip(groups, sizes, few, strict=True):
        if not redraw:
            out.append((None, _resampled(size, n, rng)))
        else:
            out.append(
                (points.loss[g] + spread * rng.standard_normal((n, len(g))), None)
                if freedom
                else (None, None)
            )
    texts = []
    if not all(few):
        texts.append(
            "the runs of each budget resampled"
            if not any(few)
            else f"runs resampled where a budget has {ENOUGH_SIZES} sizes"
        )
    if any(few):
        texts.append(
            f"losses redrawn with what the parabolas leave over, {sd:.2g}{' elsewhere' if not all(few) else ''}"
            if freedom
            else "none where three points determine the parabola, for they tell nothing of the noise: give noise="
        )
    return out, f"Intervals: {'; '.join(texts)}."


def _redrawn_by_law(
    runs: pd.DataFrame, losses: Array, boot: "Bootstrap", n: int, rng: Any
) -> tuple[Array, str]:
    row, trunk = boot.noise.scales(rng, n)
    draw = row * rng.standard_normal((n, len(losses)))
    how = (
        "Intervals: the losses of the runs redrawn with the deviations that the fitted law leaves, "
        f"{boot.noise.row:.2g} a run"
    )
    if boot.by is not None and boot.by in runs:
        of, names = pd.factorize(runs[boot.by], use_na_sentinel=False)
        draw += (trunk * rng.standard_normal((n, len(names))))[:, of]
        how += f" and {boot.noise.trunk:.2g} a {boot.by} ({boot.on})"
    return losses * np.exp(draw) if boot.on == "log" else losses + draw, how + "."


def _resampled(size: Any, n: int, rng: Any) -> Array:
    """(n, runs): how often each run is drawn; draws of fewer than three sizes are drawn again."""
    counts = np.empty((n, len(size)))
    left = np.arange(n)
    while len(left):
        drawn = rng.integers(len(size), size=(len(left), len(size)))
        counts[left] = (drawn[:, :, None] == np.arange(len(size))).sum(axis=1)
        seen = np.stack([(counts[left][:, size == k] > 0).any(axis=1) for k in range(size.max() + 1)])
        left = left[seen.sum(axis=0) < FEWEST]
    return counts
