"""Constants found by trials: a bowl of known bottom and curvatures is recovered."""

import math

import numpy as np
import pandas as pd
import pytest

from scalinglab.analysis.found_constants import found_constants, rounded
from scalinglab.analysis.response_surface import response_surface
from scalinglab.errors import InputError

BOTTOM = {"lr": 0.01, "scale_emb": 10.0, "init_std": 0.1}
CURVES = np.array([[0.30, 0.10, 0.00], [0.10, 0.30, 0.19], [0.00, 0.19, 0.20]])
HALF = 0.5 * math.log(2) ** 2


def bowl(count: int = 40, noise: float = 0.0, curves: np.ndarray = CURVES, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    off = rng.uniform(-1.5, 1.5, (count, 3))
    loss = 2.0 + 0.5 * np.einsum("ni,ij,nj->n", off, curves, off) + noise * rng.standard_normal(count)
    constants = np.exp(np.log(list(BOTTOM.values())) + off)
    return pd.DataFrame(constants, columns=list(BOTTOM)).assign(
        loss=loss, trial=range(count), state="complete"
    )


def test_a_bowl_is_recovered_and_what_others_win_back() -> None:
    found = response_surface(bowl(), list(BOTTOM))
    inverse = np.linalg.inv(CURVES)
    for i, (name, value) in enumerate(BOTTOM.items()):
        assert found.optimum[name].value == pytest.approx(value, rel=1e-8)
        assert found.alone[name].value == pytest.approx(HALF * CURVES[i, i], rel=1e-8)
        assert found.retuned[name].value == pytest.approx(HALF / inverse[i, i], rel=1e-8)
        assert found.edge[name] == ""
    assert found.loss == pytest.approx(2.0)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inverse = np.linalg.inv(CURVES)
    held, widths = [], []
    for seed in range(24):
        found = response_surface(bowl(50, noise=0.01, seed=seed), list(BOTTOM), draws=200)
        for i, (name, value) in enumerate(BOTTOM.items()):
            near, cost = found.optimum[name], found.retuned[name]
            held += [near.lo < value < near.hi, cost.lo < HALF / inverse[i, i] < cost.hi]
            widths.append(near.hi / near.lo)
    assert 0.85 < np.mean(held) < 0.97
    assert np.median(widths) < 1.5


def test_constants_that_stand_for_one_another_cost_nothing_once_set_anew() -> None:
    flat = np.array([[0.3, 0.0, 0.0], [0.0, 0.2, 0.2], [0.0, 0.2, 0.2]])  # only scale_emb · init_std counts
    found = response_surface(bowl(40, noise=1e-3, curves=flat), list(BOTTOM))
    assert found.alone["scale_emb"].lo > 0.9 * HALF * 0.2
    assert found.retuned["scale_emb"].value < 0.05 * HALF * 0.2
    assert found.retuned["lr"].lo > 0.9 * HALF * 0.3
    widths = {name: math.log(each.hi / each.lo) for name, each in found.optimum.items()}
    assert min(widths["scale_emb"], widths["init_std"]) > 20 * widths["lr"]


def test_a_bottom_outside_the_trials_is_at_an_edge() -> None:
    trials = bowl()
    above = trials[trials["lr"] > 0.014]
    found = response_surface(above, list(BOTTOM))
    assert found.edge["lr"] == "low"
    assert found.optimum["lr"].value == pytest.approx(above["lr"].min())


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(InputError, match="10 coefficients and takes 13 finished trials at least, not 12"):
        response_surface(bowl(12), list(BOTTOM))
    with pytest.raises(InputError, match="do not span"):
        response_surface(bowl().assign(lr=0.01), list(BOTTOM))


def test_found_is_the_logarithmic_mean_of_the_best_finished_trials() -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0, 100.0]
    trials = pd.DataFrame(
        {"trial": range(7), "lr": [*values, 5.0], "loss": [1, 2, 3, 4, 5, 6, math.nan]}
    ).assign(state=["complete"] * 6 + ["pruned"])
    found = found_constants(trials, ["lr"])["lr"]
    assert (found.value, found.lo, found.hi) == pytest.approx((4.0, 1.0, 16.0))
    assert rounded({"lr": found}) == {"lr": 4.0}
    with pytest.raises(InputError, match="finished 4 trials, and constants are told from 5"):
        found_constants(trials.head(4), ["lr"])
