"""The best batch against the loss, read off a study's runs in several ways: decayed ends, trunks, other rates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate, IsoLoss, iso_loss
from scalinglab.analysis.clustered import clustered
from scalinglab.analysis.estimate import estimate_known
from scalinglab.analysis.shape_noise import shape_noise
from scalinglab.analysis.source import one_eval_set
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Trained

LEVEL = 0.9
_LINES = 7
_FEW_LINES = 5
NEAR, WIDE = 3, 5
"""Batches that carry a line's parabola: five average more noise and are bent more by lines steeper on one side."""
_DRAWS, _FEW_DRAWS = 200, 100
_NEED = ["params", "tokens", "loss", "lr", "batch_tokens", "seed", "trunk_id", "loss_unit", "size"]


@dataclass(frozen=True)
class Readings:
    """decayed, undecayed: of all sizes at the study's own learning rate; undecayed at the same points of the trunks.

    wide: the decayed reading with parabolas over five batches rather than three. by_size: name -> the decayed reading
    of that size alone, whose intervals hold noise and no spread between sizes. by_rate: learning rate -> of the size
    whose rate was varied, at its horizons, on common lines; free: the same with each batch at its best rate.
    noise, undecayed_noise: standard deviation of a run's ln L in the valley's shape; freedom: of the first.
    """

    study_lr: float
    loss_unit: str
    rows: pd.DataFrame = field(repr=False)
    """Decayed run ends of one eval set at the study's own rate."""
    varied: pd.DataFrame = field(repr=False)
    """Decayed run ends of the size, seed and horizons at which the rate was varied, the study's own among them."""
    decayed: IsoLoss
    wide: IsoLoss | None
    undecayed: IsoLoss | None
    by_size: dict[str, IsoLoss]
    by_rate: dict[float, IsoLoss]
    free: IsoLoss | None
    noise: float
    freedom: int
    undecayed_noise: float

    @property
    def sizes(self) -> dict[str, float]:
        """Name -> N, smallest first."""
        own = self.rows.drop_duplicates("params").sort_values("params")
        return dict(zip(own["size"], own["params"].astype(float), strict=True))

    @property
    def inside(self) -> pd.DataFrame:
        """Minima that lie between the batches."""
        return self.decayed.minima[self.decayed.minima["edge"] == ""]

    def p_by_size(self) -> Estimate:
        """p by least squares with the sizes as the units of its interval (`clustered`)."""
        own = self.inside
        if own["params"].nunique() < 2 or len(own) < 3:
            return Estimate(math.nan)
        x = np.log(own["loss"].to_numpy())
        X = np.column_stack([np.ones(len(x)), x - x.mean()])
        found = clustered(
            X, np.log(own["batch_tokens"].to_numpy()), np.unique(own["params"], return_inverse=True)[1]
        )
        slope = found.estimate(1, LEVEL)
        return Estimate(-slope.value, -slope.hi, -slope.lo)

    def rate_slope(self) -> Estimate:
        """d ln bs / d ln lr at one loss: least squares with each line's own level, over lines told at two rates.

        The interval is of runs disturbed by their noise, rates independently. NaN where no line is told at two.
        """
        rates = sorted(self.by_rate)
        if len(rates) < 2:
            return Estimate(math.nan)
        minima = [self.by_rate[lr].minima.reset_index(drop=True) for lr in rates]
        told = np.array([(each["edge"] == "").to_numpy() for each in minima])
        values = np.array([np.log(each["batch_tokens"].to_numpy(dtype=float)) for each in minima])
        drawn = np.array([self.by_rate[lr].places.to_numpy() for lr in rates])  # (rates, draws, lines)
        x = np.log(rates)
        value = _common_slope(x, np.where(told, values, np.nan)[None])
        draws = _common_slope(x, np.where(told[:, None], drawn, np.nan).transpose(1, 0, 2))
        return estimate_known(float(value[0]), draws, LEVEL)

    def rate_losses(self) -> pd.DataFrame:
        """A row a batch, a column a rate: loss at the longest horizon at which rates were varied."""
        own = self.varied[self.varied["tokens"] == self.varied["tokens"].max()]
        return own.pivot_table(index="batch_tokens", columns="lr", values="loss")


def _common_slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(k,) slope over x (rates,) that the columns of y (k, rates, lines) share, each with a level; NaN is left out."""
    known = np.isfinite(y)
    count = known.sum(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        mean_x = (known * x[:, None]).sum(axis=1, keepdims=True) / count
        mean_y = np.where(known, y, 0.0).sum(axis=1, keepdims=True) / count
        dx = np.where(known, x[:, None] - mean_x, 0.0)
        dy = np.where(known, y - mean_y, 0.0)
        return np.asarray((dx * dy).sum(axis=(1, 2)) / (dx * dx).sum(axis=(1, 2)))


def read(trained: Trained) -> Readings:
    """All readings of a study.

    Raises InputError where no line of equal loss can be drawn, or the study has fewer than three batches.
    """
    lr = trained.study.training.lr
    chosen, _, _ = one_eval_set(trained.table, None, trained.study.title)
    ends = chosen.loc[chosen["kind"] == "branch", _NEED].reset_index(drop=True)
    near = np.isclose(ends["lr"].to_numpy(dtype=float), lr)
    rows = ends[near].reset_index(drop=True)
    if rows["batch_tokens"].nunique() < 3:
        raise InputError(
            f"a best batch takes three batches or more, and this study has {rows['batch_tokens'].nunique()}; add "
            "[[variants]] with batch_tokens"
        )
    noise, freedom = shape_noise(rows)
    decayed = iso_loss(rows, lines=_LINES, about=NEAR, noise=_known(noise), level=LEVEL, resamples=_DRAWS)
    trunks = chosen.loc[chosen["kind"] == "trunk", _NEED]
    trunks = trunks[
        np.isclose(trunks["lr"].to_numpy(dtype=float), lr) & trunks["tokens"].isin(rows["tokens"])
    ]
    undecayed_noise = shape_noise(trunks)[0] if len(trunks) else math.nan
    by_size = {}
    for name, n in rows.drop_duplicates("params").sort_values("params")[["size", "params"]].to_numpy():
        alone = _iso(rows[rows["params"] == n], noise)
        if alone is not None:
            by_size[str(name)] = alone
    varied, by_rate, free = _rates(ends, lr, noise)
    return Readings(
        lr, str(rows["loss_unit"].iloc[0]), rows, varied, decayed, _iso(rows, noise, about=WIDE),
        _iso(trunks, undecayed_noise), by_size, by_rate, free, noise, freedom, undecayed_noise,
    )  # fmt: skip


def _known(noise: float) -> float | None:
    return None if math.isnan(noise) else noise


def _iso(
    rows: pd.DataFrame, noise: float, losses: np.ndarray | None = None, seed: int = 0, about: int = NEAR,
    draws: int = _FEW_DRAWS,
) -> IsoLoss | None:  # fmt: skip
    """None where its lines cannot be drawn."""
    if rows.empty:
        return None
    try:
        return iso_loss(
            rows.reset_index(drop=True), losses, lines=_LINES, about=about, noise=_known(noise), level=LEVEL,
            resamples=draws, seed=seed,
        )  # fmt: skip
    except InputError:
        return None


def _rates(
    ends: pd.DataFrame, lr: float, noise: float
) -> tuple[pd.DataFrame, dict[float, IsoLoss], IsoLoss | None]:
    """The rows at which rates were varied, the reading of each rate on common lines, and of the best rate a batch."""
    others = ends[~np.isclose(ends["lr"].to_numpy(dtype=float), lr)]
    if others.empty:
        return others, {}, None
    keys = ["params", "seed", "tokens"]
    varied = ends.merge(others[keys].drop_duplicates(), on=keys).reset_index(drop=True)
    varied = varied[varied["params"] == varied["params"].min()].reset_index(drop=True)
    parts = {float(str(rate)): own for rate, own in varied.groupby("lr")}
    alone = {rate: found for rate, own in parts.items() if (found := _iso(own, noise, draws=1)) is not None}
    free = _iso(varied, noise)
    if len(alone) < 2:
        return varied, {}, free
    spans = [found.lines["loss"].agg(["min", "max"]).to_numpy() for found in alone.values()]
    low, high = max(span[0] for span in spans), min(span[1] for span in spans)
    if not high > low:
        return varied, {}, free
    levels = np.exp(np.linspace(math.log(low), math.log(high), _FEW_LINES))
    common = {rate: _iso(parts[rate], noise, levels, seed) for seed, rate in enumerate(alone, 1)}
    if any(found is None for found in common.values()):
        return varied, {}, free
    return varied, {rate: found for rate, found in common.items() if found is not None}, free
