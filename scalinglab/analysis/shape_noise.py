"""How far chance moves the shape of loss against batch, from runs that repeat under other seeds."""

import math

import numpy as np
import pandas as pd

from scalinglab.analysis.lr_valley import additive


def shape_noise(runs: pd.DataFrame) -> tuple[float, int]:
    """Standard deviation of a run's ln L, and its degrees of freedom, from runs alike but for the seed.

    runs: params, tokens, lr, batch_tokens, seed, loss. What a seed moves at all batches of a horizon is taken out, as
    it moves a line of equal loss and not its minimum: least squares of ln L = batch + seed in each horizon of a size.
    (NaN, 0) where no seed repeats at two batches.
    """
    squares, freedom = 0.0, 0
    for _, own in runs.groupby(["params", "tokens", "lr"]):
        grid = own.pivot_table(index="seed", columns="batch_tokens", values="loss")
        _, left, spare = additive(np.log(grid.to_numpy(dtype=float)))
        squares, freedom = squares + left, freedom + spare
    return (math.sqrt(squares / freedom), freedom) if freedom > 0 else (math.nan, 0)
