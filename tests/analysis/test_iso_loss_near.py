"""Lines of equal loss near their minima: seeds averaged, few batches unbent, the cost of half or twice, the noise."""

import math

import numpy as np
import pandas as pd
import pytest

from scalinglab.analysis import iso_loss
from scalinglab.analysis.shape_noise import shape_noise
from scalinglab.errors import InputError

BATCHES = 2.0 ** np.arange(7, 13)


def runs(best, curvature: float = 0.1, rise: float = 0.0, seeds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    """L = D_eff^-0.1, D_eff = D·exp(−c·ln²(b / best(L at the best batch))); `rise`: ln L of seed s is 2·s·rise up."""
    rows = []
    for d in np.geomspace(1e5, 1e7, 15):
        for b in BATCHES:
            lost = curvature * math.log(b / best(d**-0.1)) ** 2
            for seed in seeds:
                loss = (d * math.exp(-lost)) ** -0.1 * math.exp(rise * (2 * seed - 1) * (len(seeds) > 1))
                rows.append((1e5, d, loss, 0.01, b, seed))
    return pd.DataFrame(rows, columns=["params", "tokens", "loss", "lr", "batch_tokens", "seed"])


@pytest.mark.parametrize("about", [3, 5])
def test_a_parabola_in_logs_is_met(about: int) -> None:
    """With one best batch for every loss, ln D = const + c·ln²(b/best): its vertex, and 2^(c·ln 2) − 1 at twice."""
    minima = iso_loss(runs(lambda loss: 700.0), about=about, noise=0.0, resamples=1).minima
    inside = minima[minima["edge"] == ""]
    assert len(inside) == 7
    np.testing.assert_allclose(inside["batch_tokens"], 700.0, rtol=2e-3)
    np.testing.assert_allclose(inside["twice"], 2.0 ** (0.1 * math.log(2)) - 1, rtol=0.02)


def test_few_batches_are_bent_less() -> None:
    """Where the best batch grows along a line, that line is no parabola: bs = 0.8 / L^5 is met better by three."""
    skewed = runs(lambda loss: 0.8 * loss**-5.0)
    off = []
    for about in (3, 5):
        found = iso_loss(skewed, about=about, noise=0.0, resamples=1)
        inside = found.minima[found.minima["edge"] == ""]
        off.append(np.abs(np.log(inside["batch_tokens"] * inside["loss"] ** 5 / 0.8)).max())
    assert off[0] < 0.05
    assert off[0] < off[1]
    with pytest.raises(InputError, match="about is how many batches"):
        iso_loss(skewed, about=2)


def test_seeds_are_averaged() -> None:
    """Two seeds at equal distance from a run, up and down in ln L, are that run."""
    one = iso_loss(runs(lambda loss: 700.0), noise=0.0, resamples=1).minima
    two = iso_loss(runs(lambda loss: 700.0, rise=0.01, seeds=(0, 1)), noise=0.0, resamples=1).minima
    pd.testing.assert_frame_equal(one, two)


def test_noise_of_a_shape_is_what_a_seed_does_not_move_throughout() -> None:
    """Two seeds apart by a + d_b at batch b leave Σ(d_b − mean)²/2 over n − 1."""
    table = runs(lambda loss: 700.0, rise=0.01, seeds=(0, 1))
    assert shape_noise(table)[0] == pytest.approx(0.0, abs=1e-12)
    d = np.array([0.01, -0.02, 0.0, 0.03, -0.01, 0.02])
    table["loss"] *= np.exp(
        np.where(table["seed"] == 1, d[np.searchsorted(BATCHES, table["batch_tokens"])], 0.0)
    )
    noise, freedom = shape_noise(table)
    assert noise == pytest.approx(math.sqrt(((d - d.mean()) ** 2).sum() / 2 / 5))
    assert freedom == 15 * 5
    alone = shape_noise(table[table["seed"] == 0])
    assert math.isnan(alone[0])
    assert alone[1] == 0
