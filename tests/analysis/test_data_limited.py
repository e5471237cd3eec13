"""The data-limited optimum: against Chinchilla's, the law's own derivative, fine grids and the paper's reading."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

import scalinglab as sl
from scalinglab.analysis import (
    Convention,
    data_limited,
    data_limited_curve,
    epoch_worth,
    optimal_params_tokens,
    optimum,
)
from scalinglab.analysis.convention import SIX_ND
from scalinglab.errors import InputError
from scalinglab.laws import Law

LAW = sl.laws.DataConstrained()
# Muennighoff et al. 2023, appendix A: ln E, ln A, ln B as printed
PUBLISHED = {
    "E": math.exp(0.6254804), "A": math.exp(6.255414), "alpha": 0.3526596, "B": math.exp(7.3049974),
    "beta": 0.3526596, "R_D": 15.387756, "R_N": 5.309743,
}  # fmt: skip


def random_law(rng: np.random.Generator) -> dict[str, float]:
    return {
        "E": rng.uniform(0.3, 3), "A": math.exp(rng.uniform(2, 8)), "alpha": rng.uniform(0.15, 0.6),
        "B": math.exp(rng.uniform(2, 8)), "beta": rng.uniform(0.15, 0.6),
        "R_D": rng.uniform(2, 40), "R_N": rng.uniform(1, 20),
    }  # fmt: skip


def plain(constants: dict[str, float]) -> sl.Fit:
    kept = {k: v for k, v in constants.items() if not k.startswith("R_")}
    return sl.Fit.from_constants(sl.laws.Chinchilla(), kept)


def test_enough_data_give_the_compute_optimum() -> None:
    rng = np.random.default_rng(1)
    for _ in range(25):
        k, c = random_law(rng), float(10 ** rng.uniform(17, 24))
        free = optimum(plain(k), c)
        enough = free.tokens.value * float(10 ** rng.uniform(0.001, 4))
        found = data_limited(sl.Fit.from_constants(LAW, k), c, enough)
        assert found.params.value == pytest.approx(free.params.value, rel=1e-8)
        assert found.tokens.value == pytest.approx(free.tokens.value, rel=1e-8)
        assert found.loss.value == pytest.approx(free.loss.value, rel=1e-12)
        assert (found.epochs.value, found.limited) == (1.0, False)
        assert found.penalty.value == pytest.approx(0.0, abs=1e-12)
        assert found.worth_compute.value == pytest.approx(1.0, rel=1e-8)


def test_it_is_where_the_laws_own_derivative_vanishes() -> None:
    """dL/d ln N along D = C/6N by complex step through the law's formula, its root by brentq."""
    rng = np.random.default_rng(2)
    for _ in range(25):
        k, c = random_law(rng), float(10 ** rng.uniform(17, 24))
        free = optimum(plain(k), c)
        unique = free.tokens.value / float(10 ** rng.uniform(0.01, 1.2))
        values = [k[name] for name in LAW.constant_names]

        def slope(u: float, c=c, unique=unique, values=values) -> float:
            n = np.exp(u + 1e-100j)
            return float(np.imag(LAW.value(values, (n, c / 6 / n, unique)))) / 1e-100

        # more than U tokens, and more than the parameters they would want
        low, high = math.log(free.params.value) - 6, math.log(c / 6 / unique)
        u = brentq(slope, low, high - 1e-9, xtol=1e-13)
        found = data_limited(sl.Fit.from_constants(LAW, k), c, unique)
        assert math.log(found.params.value) == pytest.approx(u, abs=1e-8)
        at = {"params": found.params.value, "tokens": found.tokens.value, "unique_tokens": unique}
        assert found.loss.value == pytest.approx(float(LAW.predict(k, **at)), rel=1e-12)
        worth = LAW.effective(k, **at)[1]
        assert found.worth_tokens.value == pytest.approx(float(worth), rel=1e-10)
        assert found.epochs.value == pytest.approx(found.tokens.value / unique)
        assert found.epochs.value > 1
        assert found.limited


@pytest.mark.parametrize("unique", [1e8, 3e9, 1e11])
def test_no_point_of_the_budget_is_better_under_any_cost(unique: float) -> None:
    """Costs that rise faster or slower with N than 6·N push the optimum on or across the corner at D = U."""
    costs = (
        SIX_ND,
        Convention("flat", lambda n, d: 6e4 * n**0.5 * d),
        Convention("steep", lambda n, d: 1e-3 * n**1.4 * d),
        Convention("bent", lambda n, d: (6 * n + 3e5 * n**0.4) * d),
    )
    for cost in costs:
        for c in (1e18, 3e19, 1e21):
            n, d = optimal_params_tokens(LAW, PUBLISHED, c, cost, unique_tokens=unique)
            grid = np.exp(np.linspace(math.log(1e5), math.log(1e13), 40_001))
            tokens = cost.tokens_at(grid, c)
            losses = LAW.predict(PUBLISHED, params=grid, tokens=tokens, unique_tokens=unique)
            ours = float(LAW.predict(PUBLISHED, params=n, tokens=d, unique_tokens=unique))
            assert float(cost(n, d)) == pytest.approx(c, rel=1e-9)
            assert ours <= losses.min() + 1e-13
            assert ours == pytest.approx(losses.min(), abs=1e-7)


def test_the_share_of_compute_buys_the_same_loss_with_new_data() -> None:
    fit = sl.Fit.from_constants(LAW, PUBLISHED)
    for unique in (1e9, 2e10):
        found = data_limited(fit, 1e22, unique)
        same = optimum(plain(PUBLISHED), 1e22 * found.worth_compute.value)
        assert same.loss.value == pytest.approx(found.loss.value, rel=1e-10)
        assert found.penalty.value == pytest.approx(found.loss.value - found.unlimited_loss.value, rel=1e-9)


def test_what_the_tokens_can_ever_give() -> None:
    """Endless N and epochs: the law itself at 1e60, and budgets that come near it from above."""
    fit = sl.Fit.from_constants(LAW, PUBLISHED)
    least = data_limited(fit, 1e21, 1e9).least_loss.value
    at = LAW.predict(PUBLISHED, params=1e60, tokens=1e60, unique_tokens=1e9)
    assert least == pytest.approx(float(at), rel=1e-12)
    losses = [data_limited(fit, c, 1e9).loss.value for c in (1e19, 1e20, 1e21, 1e22)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] > least - 1e-12
    assert losses[-1] == pytest.approx(least, abs=1e-6)


def test_what_an_epoch_is_worth() -> None:
    """Muennighoff et al. 2023: up to 4 epochs nearly as good as new, most of the value gone by 16, nothing by 40."""
    table = epoch_worth([0.5, 1, 4, 16, 40]).set_index("epochs")
    # the law's D' at U = 1, for a size that needs no more
    seen = table.index.to_numpy()
    of_law = LAW.effective(PUBLISHED, params=1e-3, tokens=seen, unique_tokens=1.0)[1]
    np.testing.assert_allclose(table["worth"], of_law, rtol=1e-12)
    np.testing.assert_allclose(table["last"][1:], np.exp(-(seen[1:] - 1) / 15.387756), rtol=1e-12)
    # `last` is the slope of `worth`
    step = epoch_worth(seen + 1e-6)["worth"] - epoch_worth(seen - 1e-6)["worth"]
    np.testing.assert_allclose(step[2:] / 2e-6, table["last"][2:], rtol=1e-6)
    assert table.loc[4, "share"] == pytest.approx(0.93, abs=0.005)
    assert table.loc[16, "last"] == pytest.approx(math.exp(-1), abs=0.02)  # R_D* is the decay's own scale
    assert table.loc[40, "last"] < 0.08
    assert epoch_worth(1e9)["worth"].iloc[0] == pytest.approx(1 + 15.387756)


def test_a_chinchilla_fit_assumes_the_published_worth_and_says_so() -> None:
    found = data_limited(plain(PUBLISHED), 1e22, 1e9)
    own = data_limited(sl.Fit.from_constants(LAW, PUBLISHED), 1e22, 1e9)
    assert found.params.value == own.params.value
    assert own.notes == ()
    assert "assumed, not fitted: R_D* = 15.39, R_N* = 5.31 as published" in found.notes[0]
    other = data_limited(plain(PUBLISHED), 1e22, 1e9, R_D=5.0, R_N=5.0)
    assert "R_D* = 5, R_N* = 5 as given" in other.notes[0]
    assert other.loss.value > own.loss.value
    minicpm = sl.laws.PUBLISHED["minicpm"]
    counted = data_limited(sl.Fit.from_constants(minicpm.law, minicpm.constants), 1e21, 1e15)
    assert counted.params.value == pytest.approx(
        optimum(sl.Fit.from_constants(minicpm.law, minicpm.constants), 1e21).params.value, rel=1e-8
    )
    bent = Convention("bent", lambda n, d: (6 * n + 40 * n**0.7) * d)
    assert "under bent" in data_limited(plain(PUBLISHED), 1e20, 1e9, bent).notes[-1]


def test_intervals_are_those_of_the_draws() -> None:
    rng = np.random.default_rng(0)
    truth = {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, 5), np.geomspace(2.5e5, 8e6, 6)))
    loss = sl.laws.Chinchilla().predict(truth, params=n, tokens=d) * np.exp(rng.normal(0, 0.002, n.size))
    fit = sl.fit(sl.laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    boot = fit.bootstrap(50, seed=0)
    found = fit.data_limited(3e13, 1e6)
    one = [data_limited(plain(row), 3e13, 1e6) for row in boot.constants.to_dict("records")]
    for key in ("params", "epochs", "loss", "penalty", "least_loss"):
        values = [getattr(each, key).value for each in one]
        ends = np.quantile(values, 0.05, method="lower"), np.quantile(values, 0.95, method="higher")
        assert (getattr(found, key).lo, getattr(found, key).hi) == pytest.approx(ends, rel=1e-8)
    rows = data_limited_curve(fit, [1e12, 3e13], 1e6)
    assert rows["epochs_hi"].iloc[1] == found.epochs.hi
    assert "epochs" in found.headline()


def test_bad_input() -> None:
    fit = sl.Fit.from_constants(LAW, PUBLISHED)
    kaplan = sl.Fit.from_constants(
        sl.laws.Kaplan(), {"N_c": 8.8e13, "alpha_N": 0.076, "D_c": 5.4e13, "alpha_D": 0.095}
    )
    for call, message in (
        (lambda: data_limited(fit, -1.0, 1e9), "budget"),
        (lambda: data_limited(fit, 1e20, 0.0), "unique_tokens is a positive number"),
        (lambda: data_limited(fit, 1e20, "all"), "unique_tokens is a positive number"),
        (lambda: data_limited(fit, 1e20, 1e9, R_D=5.0), "has its own R_D and R_N"),
        (lambda: data_limited(plain(PUBLISHED), 1e20, 1e9, R_N=-5.0), "R_N is a positive number"),
        (lambda: data_limited(kaplan, 1e20, 1e9), "does not say what repeated tokens are worth"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_a_law_of_ones_own_is_still_scanned() -> None:
    @dataclass(frozen=True)
    class Capped(Law):  # any other law in three variables
        variables = ("params", "tokens", "unique_tokens")
        constants = LAW.constants

        def value(self, c, x):
            return LAW.value(c, x)

    own, _ = optimal_params_tokens(Capped(), PUBLISHED, 1e20, SIX_ND, unique_tokens=1e9)
    ours, _ = optimal_params_tokens(LAW, PUBLISHED, 1e20, SIX_ND, unique_tokens=1e9)
    assert math.log(own) == pytest.approx(math.log(ours), abs=1e-6)
