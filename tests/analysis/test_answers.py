"""Answers against closed forms, against each other and against published readings."""

import math

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import (
    SIX_ND,
    Convention,
    Estimate,
    ExtrapolationWarning,
    continual,
    count_text,
    equivalent_size,
    frontier,
    ladder_convention,
    optimum,
    scaling,
)
from scalinglab.analysis.estimate import estimate
from scalinglab.errors import InputError
from scalinglab.ladder import Shape

HOFFMANN = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
LADDER = [Shape(str(d), d, 2, 2, 2 * d) for d in (20, 28, 44, 64)]


@pytest.fixture(scope="module")
def published() -> sl.Fit:
    return sl.Fit.from_constants(sl.laws.Chinchilla(), HOFFMANN)


@pytest.fixture(scope="module")
def grid_fit() -> sl.Fit:
    """A fit to a noisy grid of a known law, four trunks of five horizons."""
    rng = np.random.default_rng(0)
    truth = {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, 5), np.geomspace(2.5e5, 8e6, 6)))
    loss = sl.laws.Chinchilla().predict(truth, params=n, tokens=d) * np.exp(rng.normal(0, 0.002, n.size))
    fit = sl.fit(sl.laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    fit.bootstrap(400, seed=0)
    return fit


def random_law(rng: np.random.Generator) -> sl.Fit:
    constants = {
        "E": rng.uniform(0.3, 3),
        "A": math.exp(rng.uniform(0, 8)),
        "alpha": rng.uniform(0.15, 0.9),
        "B": math.exp(rng.uniform(0, 8)),
        "beta": rng.uniform(0.15, 0.9),
    }
    return sl.Fit.from_constants(sl.laws.Chinchilla(), constants)


def test_the_closed_form_is_the_minimum() -> None:
    """Where dL/d ln N along D = C/6N vanishes: αA·N^-α = βB·D^-β, to 1e-8 over random laws."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        fit, c = random_law(rng), float(10 ** rng.uniform(15, 24))
        best, k = optimum(fit, c), fit.constants
        n, d = best.params.value, best.tokens.value
        assert 6 * n * d == pytest.approx(c, rel=1e-9)
        assert k["alpha"] * k["A"] * n ** -k["alpha"] == pytest.approx(
            k["beta"] * k["B"] * d ** -k["beta"], rel=1e-8
        )


def test_the_search_under_any_cost_finds_the_closed_form() -> None:
    """A cost of c·N is 6·N in disguise: its optimum at C is the closed form's at 6·C/c."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        fit, c = random_law(rng), float(10 ** rng.uniform(15, 24))
        ours = optimum(fit, 2 * c, Convention("12ND", lambda n, d: 12.0 * n * d))
        assert ours.params.value == pytest.approx(optimum(fit, c).params.value, rel=1e-8)
        assert ours.loss.value == pytest.approx(optimum(fit, c).loss.value, rel=1e-12)


def test_exact_flops_are_the_shapes_own_and_tend_to_6n() -> None:
    for count in ("params", "params_total"):
        cost = ladder_convention("exact", LADDER, count)
        for shape in LADDER:
            assert float(cost(getattr(shape, count), 1.0)) == pytest.approx(shape.flops_exact(), rel=1e-12)
        assert float(cost(1e12, 1.0)) / 6e12 == pytest.approx(1.0, abs=1e-3)
    # beyond the ladder it follows shapes that only grow wider
    wide = Shape("wide", 256, 2, 2, 512)
    assert float(ladder_convention("exact", LADDER)(wide.params, 1.0)) == pytest.approx(
        wide.flops_exact(), rel=0.03
    )
    with pytest.raises(InputError, match="two sizes"):
        ladder_convention("exact", LADDER[:1])


def test_exponents_of_the_published_law(published: sl.Fit) -> None:
    s = scaling(published)
    # Hoffmann et al. 2022, table A3, approach 3: a = 0.46, b = 0.54 (from unrounded constants; these give 0.45)
    assert s.a.value == pytest.approx(0.28 / 0.62)
    assert s.b.value == pytest.approx(1 - s.a.value)
    assert s.eta.value == pytest.approx((0.28 - 0.34) / 0.62)
    c = 5.76e23
    best = optimum(published, c)
    assert best.params.value == pytest.approx(s.G.value * (c / 6) ** s.a.value, rel=1e-9)
    assert best.tokens.value == pytest.approx((c / 6) ** s.b.value / s.G.value, rel=1e-9)
    # MiniCPM's notation: N/D = K²·(C/6)^η with N, D in 1e9 and C in 1e18
    assert 1 / best.ratio.value == pytest.approx(s.K2.value * (c / 1e18 / 6) ** s.eta.value, rel=1e-9)
    assert math.isnan(best.params.lo)


@pytest.mark.parametrize(
    ("constants", "ratio"),  # MiniCPM's table: D/N at 1e21 FLOPs, and what rounding of the constants allows
    [
        ({"C_N": 0.0332, "alpha": 0.37, "C_D": 0.217, "beta": 0.34, "L0": 0.17}, (179, 210)),
        ({"C_N": 0.0715, "alpha": 0.29, "C_D": 0.300, "beta": 0.23, "L0": 0.31}, (168, 202)),
    ],
)
def test_minicpms_ratio(constants: dict[str, float], ratio: tuple[int, int]) -> None:
    fit = sl.Fit.from_constants(sl.laws.MiniCPM(), constants)
    assert ratio[0] <= optimum(fit, 1e21).ratio.value <= ratio[1]


def test_intervals_hold_the_truth_of_a_known_law(grid_fit: sl.Fit) -> None:
    truth = sl.Fit.from_constants(
        sl.laws.Chinchilla(), {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}
    )
    for cost in (SIX_ND, ladder_convention("exact", LADDER)):
        asked, true = optimum(grid_fit, 3e12, cost), optimum(truth, 3e12, cost)
        for key in ("params", "tokens", "ratio", "loss"):
            found, real = getattr(asked, key), getattr(true, key).value
            assert found.lo <= found.value <= found.hi
            assert found.lo < real < found.hi
    assert optimum(grid_fit, 3e12).extrapolation == 0.0
    with pytest.warns(ExtrapolationWarning, match="decades beyond the fitted runs"):
        assert optimum(grid_fit, 3e15).extrapolation > 2


def test_a_frontier_is_its_optima(grid_fit: sl.Fit) -> None:
    rows = frontier(grid_fit, [1e12, 1e13]).rows
    for row in rows.to_dict("records"):
        best = optimum(grid_fit, row["flops"])
        assert row["params"] == best.params.value
        assert (row["ratio_lo"], row["ratio_hi"]) == (best.ratio.lo, best.ratio.hi)


@pytest.mark.parametrize("rule", [20.0, "optimal"])
def test_a_model_on_the_frontier_is_worth_itself(published: sl.Fit, rule) -> None:
    if rule == "optimal":
        best = optimum(published, 1e22)
        n, d = best.params.value, best.tokens.value
    else:
        n, d = 1e9, 20e9
    found = equivalent_size(published, params=n, tokens=d, tokens_per_param=rule)
    assert found.params.value == pytest.approx(n, rel=1e-6)
    assert found.tokens.value == pytest.approx(d, rel=1e-6)


def test_a_worse_loss_is_worth_a_smaller_model(grid_fit: sl.Fit) -> None:
    better, worse = (equivalent_size(grid_fit, loss=loss, tokens_per_param=20) for loss in (2.0, 2.1))
    assert better.params.value > worse.params.value
    assert better.params.lo <= better.params.value <= better.params.hi


def test_losses_no_size_reaches_are_refused(published: sl.Fit) -> None:
    with pytest.raises(InputError, match=r"no size reaches a loss of 1.6: .* never falls below 1.69"):
        equivalent_size(published, loss=1.6)
    with pytest.raises(InputError, match="positive number"):
        equivalent_size(published, loss=-1.0)
    with pytest.raises(InputError, match="either loss="):
        equivalent_size(published, loss=2.0, params=1e9, tokens=1e9)
    with pytest.raises(InputError, match="above everything"):
        equivalent_size(published, loss=1e6)
    for budget in (0.0, -1.0, math.inf):
        with pytest.raises(InputError, match="budget"):
            optimum(published, budget)


def test_continual_training_tells_the_curves_apart() -> None:
    """Rows drawn from a power law are called a power law, rows from an exponential an exponential."""
    c = np.geomspace(1e17, 3e18, 10)
    noise = np.exp(np.random.default_rng(0).normal(0, 1e-4, c.size))
    minicpm = {
        "PowerLaw": 0.980 * (c / 1e17) ** -0.543 + 3.274,
        "Exponential": 0.880 * np.exp(-0.284 * c / 1e17) + 3.472,
    }
    for name, loss in minicpm.items():
        runs = pd.DataFrame({"params": 3.6e7, "tokens": c / 6 / 3.6e7, "flops_6nd": c, "loss": loss * noise})
        found = continual(runs.sort_values("loss"))
        assert found.comparison.best == name
        assert found.better is not None
    with pytest.raises(InputError, match="at least six"):
        continual(runs.iloc[:3])


def test_continual_takes_one_trunk_and_its_lower_envelope() -> None:
    tokens = np.array([1.0, 2, 3, 4, 5, 6, 7]) * 1e6
    loss = np.array([3.0, 2.5, 2.6, 2.2, 2.1, 2.05, 2.02])
    one = pd.DataFrame({"trunk_id": "a", "params": 1e4, "tokens": tokens, "loss": loss, "kind": "branch"})
    other = pd.DataFrame(
        {"trunk_id": "b", "params": 1e4, "tokens": tokens[:2], "loss": [1.0, 1.0], "kind": "branch"}
    )
    found = continual(pd.concat([other, one]))
    assert list(found.rows["loss"]) == [3.0, 2.5, 2.2, 2.1, 2.05, 2.02]


def test_estimates_read_well() -> None:
    assert [count_text(v) for v in (12_345, 1.5e6, 2.05e9, 3e12, 0.5, 999_600, math.inf)] == [
        "12.3k", "1.5M", "2.05B", "3T", "0.5", "1M", "unbounded",
    ]  # fmt: skip
    draws = np.array([1.0, 2.0, 3.0, np.nan])
    assert estimate(2.0, draws, 0.5).hi == math.inf
    assert estimate(2.0, draws[:3], 0.9).lo == 1.0
    assert Estimate(1.0, 0.01, 100.0).open
    assert not Estimate(1.0, 0.5, 2.0).open
