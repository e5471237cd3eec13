"""One size's lines of equal loss over batch and tokens, and the least point of each."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scalinglab.analysis.sweep_cells import SAME

Array = NDArray[np.float64]
ABOUT = 5
"""Batches about the lowest one that carry the parabola."""
FEWEST = 3
MISSED, EARLY = "not reached", "reached early"
_FINE = 400  # points along D between which a curve is straight
Curves = tuple[float, Array, Array]
"""ln batch, ln D rising (m,), ln L there in each sweep (k, m)."""
Minimum = tuple[float, float, float, float, int, str, float, float]
"""N, ln L, ln batch, ln D, batches on the line, edge, share of tokens more at half or twice, ln batch unclipped."""


class OneSize:
    """The runs of one size: for each batch its horizons, at each its learning rates, of each the rows of its seeds."""

    def __init__(self, params: float, own: pd.DataFrame, about: int = ABOUT) -> None:
        self.params, self.about = params, about
        self.batches: list[tuple[float, list[tuple[float, list[tuple[float, NDArray[np.intp]]]]]]] = []
        for _, runs in own.groupby("batch_tokens", sort=True):
            horizons = []
            for _, rows in runs.groupby("tokens", sort=True):
                alike = [
                    (float(np.log(seeds["lr"].iloc[0])), seeds.index.to_numpy())
                    for _, seeds in rows.groupby("lr")
                ]
                horizons.append((float(np.log(rows["tokens"].iloc[0])), alike))
            if len(horizons) >= 2:
                self.batches.append((float(np.log(runs["batch_tokens"].iloc[0])), horizons))

    def curves(self, log_loss: Array) -> list[Curves]:
        """Each batch's loss along D, for each of k sweeps log_loss (k, rows): monotone cubics (PCHIP) in logs.

        A horizon no better than one before it is held at that one's loss.
        """
        from scipy.interpolate import PchipInterpolator

        found = []
        for batch, horizons in self.batches:
            tokens = np.array([tokens for tokens, _ in horizons])
            losses = np.stack([_best(alike, log_loss) for _, alike in horizons])
            fine = np.linspace(tokens[0], tokens[-1], _FINE)
            along = PchipInterpolator(tokens, np.minimum.accumulate(losses, axis=0))(fine)
            found.append((batch, fine, np.ascontiguousarray(along.T)))
        return found

    def levels(self, curves: list[Curves], losses: ArrayLike | None, lines: int) -> Array:
        """ln L of the lines: those given, else evenly spaced where the lines hold their lowest points."""
        if losses is not None:
            return np.log(np.atleast_1d(np.asarray(losses, dtype=float)))
        if len(curves) < FEWEST:
            return np.array([])
        # above: some batch is there before its first horizon; below: too few batches get there
        low, high = sorted(loss[0, -1] for *_, loss in curves), min(loss[0, 0] for *_, loss in curves)
        least = low[max(FEWEST, min(ABOUT, len(curves) - 1)) - 1]
        return np.linspace(least, high, lines + 2)[1:-1] if high > least else np.array([])


def _best(alike: list[tuple[float, NDArray[np.intp]]], log_loss: Array) -> Array:
    """(k,) ln L at the best learning rate, each the mean of its seeds."""
    means = np.stack([log_loss[:, rows].mean(axis=1) for _, rows in alike], axis=1)
    return _least(np.array([log_lr for log_lr, _ in alike]), means)


def _least(log_lr: Array, log_loss: Array) -> Array:
    """(k,) least ln L over learning rates (k, m): vertex of a parabola through the lowest and its neighbours."""
    k, m = log_loss.shape
    at = log_loss.argmin(axis=1)
    best = log_loss[np.arange(k), at]
    if m < 3:
        return np.asarray(best)
    inner = np.clip(at, 1, m - 2)
    (u0, u2), (z0, z2) = (
        (log_lr[inner - 1] - log_lr[inner], log_lr[inner + 1] - log_lr[inner]),
        (log_loss[np.arange(k), inner + step] - log_loss[np.arange(k), inner] for step in (-1, 1)),
    )
    a = (z0 / u0 - z2 / u2) / (u0 - u2)
    b = z0 / u0 - a * u0
    with np.errstate(all="ignore"):
        deeper = np.where((at == inner) & (a > 0), b * b / (4 * a), 0.0)
    return np.asarray(best - deeper)


def trace(
    size: OneSize, curves: list[Curves], levels: Array, draw: int
) -> tuple[list[Minimum], list[tuple[float, ...]]]:
    """The minima and the points (N, ln L, ln batch, ln D) of one size's lines of equal loss, in one of the sweeps."""
    read = []
    for batch, tokens, losses in curves:
        loss = losses[draw]
        read.append((batch, loss[-1] - 1e-12, loss[0] + 1e-12, np.interp(levels, loss[::-1], tokens[::-1])))
    minima: list[Minimum] = []
    points: list[tuple[float, ...]] = []
    for i, at in enumerate(levels):
        line = [(batch, tokens[i]) for batch, low, high, tokens in read if low <= at <= high]
        early = any(at > high for _, _, high, _ in read)
        if early or len(line) < FEWEST:
            minima.append(
                (
                    size.params,
                    at,
                    math.nan,
                    math.nan,
                    len(line),
                    EARLY if early else MISSED,
                    math.nan,
                    math.nan,
                )
            )
            continue
        batch, tokens = np.array(line).T
        points += [(size.params, at, b, d) for b, d in line]
        ends = size.batches[0][0], size.batches[-1][0]
        minima.append((size.params, at, *_fewest(batch, tokens, ends, size.about)))
    return minima, points


def _fewest(
    batch: Array, tokens: Array, ends: tuple[float, float], about: int
) -> tuple[float, float, int, str, float, float]:
    """A line's minimum, from ln batch on (see Minimum), by a parabola about its lowest point.

    ends: of the batches tried; one that never gets to the loss is no end of the valley. about: batches that carry it.
    """
    lowest = int(tokens.argmin())
    start = min(max(lowest - about // 2, 0), max(len(batch) - about, 0))
    near = slice(start, start + about)
    middle = batch[near].mean()
    u = batch[near] - middle
    c, b, a = np.linalg.lstsq(np.stack([np.ones_like(u), u, u * u], axis=1), tokens[near], rcond=None)[0]
    if a <= 0:
        edge = (
            "low"
            if batch[lowest] <= ends[0] + SAME
            else "high"
            if batch[lowest] >= ends[1] - SAME
            else "none"
        )
        return batch[lowest], tokens[lowest], len(batch), edge, math.nan, math.nan
    place = middle - b / (2 * a)
    edge = "low" if place <= ends[0] + SAME else "high" if place >= ends[1] - SAME else ""
    if edge:
        end = 0 if edge == "low" else -1
        return batch[end], tokens[end], len(batch), edge, math.nan, place
    return place, c - b * b / (4 * a), len(batch), edge, math.expm1(a * math.log(2) ** 2), place
