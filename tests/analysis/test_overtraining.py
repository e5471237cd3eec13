"""Smaller models than the optimum: against the closed form, a published table, Gadre's form and an invariant."""

import math

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import Convention, ExtrapolationWarning, optimum, overtraining
from scalinglab.errors import InputError

# de Vries 2023 ("Go smol or go home") took these for Hoffmann's constants before rounding
DE_VRIES = {"E": 1.62, "A": 406.4, "alpha": 0.336, "B": 410.7, "beta": 0.283}


def given(**constants: float) -> sl.Fit:
    return sl.Fit.from_constants(sl.laws.Chinchilla(), constants)


def random_law(rng: np.random.Generator) -> sl.Fit:
    return given(
        E=rng.uniform(0.3, 3), A=math.exp(rng.uniform(2, 8)), alpha=rng.uniform(0.15, 0.6),
        B=math.exp(rng.uniform(2, 8)), beta=rng.uniform(0.15, 0.6),
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> sl.Fit:
    rng = np.random.default_rng(0)
    truth = {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, 5), np.geomspace(2.5e5, 8e6, 6)))
    loss = sl.laws.Chinchilla().predict(truth, params=n, tokens=d) * np.exp(rng.normal(0, 0.002, n.size))
    fit = sl.fit(sl.laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    fit.bootstrap(100, seed=0)
    return fit


def test_the_compute_multiple_is_the_closed_form_at_any_budget() -> None:
    """From L(N*/k, x·D*) = L(N*, D*) with the terms as β to α: (β·k^α + α·x^-β)/(α+β) = 1; it ends at x = ∞."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        fit = random_law(rng)
        a, b = fit.constants["alpha"], fit.constants["beta"]
        most = ((a + b) / b) ** (1 / a)
        k = np.sort(np.exp(rng.uniform(0, 0.9, 3) * math.log(most)))
        x = (((a + b) - b * k**a) / a) ** (-1 / b)
        for c in 10.0 ** rng.uniform(15, 25, 2):
            found = overtraining(fit, c, k)
            assert found.times_max.value == pytest.approx(most, rel=1e-8)
            np.testing.assert_allclose(found.rows["compute_multiple"], x / k, rtol=1e-8)
            np.testing.assert_allclose(found.rows["match_tokens"], x * found.tokens.value, rtol=1e-8)
        beyond = overtraining(fit, c, [most * 1.001]).rows.iloc[0]
        assert beyond["compute_multiple"] == math.inf
        assert beyond["penalty"] > 0


@pytest.mark.parametrize(
    ("flops", "n", "d", "n_half", "d_half", "n_third", "d_third"),  # of k_N = 1, 0.5 and 0.3, in 1e9
    [
        (2.46e22, 9.87, 415.53, 4.93, 1003.77, 2.96, 2847.27),
        (1e23, 18.73, 889.63, 9.37, 2149.02, 5.62, 6095.86),
        (1.71e24, 68.60, 4154.24, 34.30, 10035.16, 20.58, 28465.50),
    ],
)
def test_de_vries_table(flops, n, d, n_half, d_half, n_third, d_third) -> None:
    found = overtraining(given(**DE_VRIES), flops, [2.0, 1 / 0.3])
    assert (found.params.value / 1e9, found.tokens.value / 1e9) == (
        pytest.approx(n, abs=0.0051),
        pytest.approx(d, abs=0.0051),
    )
    half, third = (row for _, row in found.rows.iterrows())
    assert half["params"] / 1e9 == pytest.approx(n_half, abs=0.0051)
    assert half["match_tokens"] / 1e9 == pytest.approx(d_half, abs=0.0051)
    assert third["params"] / 1e9 == pytest.approx(n_third, abs=0.0051)
    assert third["match_tokens"] / 1e9 == pytest.approx(d_third, abs=0.0051)


def test_de_vries_overheads() -> None:
    """2.8 % at three quarters of the optimum's size, 20 % at half, 188 % at a quarter (cut off, not rounded)."""
    rows = overtraining(given(**DE_VRIES), 1e23, [4 / 3, 2.0, 4.0]).rows
    over = 100 * (rows["compute_multiple"] - 1)
    assert over[0] == pytest.approx(2.8, abs=0.05)
    assert [math.floor(value) for value in over[1:]] == [20, 188]


def test_equal_exponents_are_gadres_form() -> None:
    """L = E + (a·M^η + b·M^-η)·C^-η, M = D/N (Gadre et al. 2024, eq. 4), with η = α/2, a = A·6^η, b = B·6^η."""
    fit = given(E=1.8, A=500.0, alpha=0.34, B=800.0, beta=0.34)
    eta, c = 0.17, 3e21
    found = overtraining(fit, c, [1.0, 3.0, 10.0, 30.0]).rows
    m = found["ratio"].to_numpy()
    np.testing.assert_allclose(
        m, m[0] * np.array([1, 9, 100, 900]), rtol=1e-9
    )  # k times smaller: M is k² times
    loss = 1.8 + (500 * 6**eta * m**eta + 800 * 6**eta * m**-eta) * c**-eta
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-12)


def test_equal_compute_is_equal_and_equal_loss_is_equal() -> None:
    """Under a cost and laws without a closed form too."""
    cost = Convention("bent", lambda n, d: (6 * n + 40 * n**0.7) * d)
    kaplan = {"N_c": 8.8e13, "alpha_N": 0.076, "D_c": 5.4e13, "alpha_D": 0.095}
    skaling = {"E": 1.7, "A": 40.0, "alpha": 0.3, "B": 90.0, "beta": 0.32, "k": 1.3}
    repeats = {"E": 1.8, "A": 500.0, "alpha": 0.35, "B": 1500.0, "beta": 0.36, "R_D": 15.0, "R_N": 5.0}
    cases = (
        (sl.laws.Kaplan(), kaplan, {}),
        (sl.laws.Skaling(), skaling, {}),
        (sl.laws.DataConstrained(), repeats, {"unique_tokens": 1e9}),
    )
    for law, constants, fixed in cases:
        fit = sl.Fit.from_constants(law, constants)
        found = overtraining(fit, 1e20, [1.2, 1.5, 1e6], cost=cost, **fixed)
        best = optimum(fit, 1e20, cost, **fixed)
        rows = found.rows
        np.testing.assert_allclose(cost(rows["params"], rows["tokens"]), 1e20, rtol=1e-9)
        assert (rows["penalty"] > 0).all()
        for _, row in rows.iloc[:2].iterrows():
            reached = law.predict(constants, params=row["params"], tokens=row["match_tokens"], **fixed)
            assert reached == pytest.approx(best.loss.value, rel=1e-10)
            assert row["compute_multiple"] > 1
        assert rows["compute_multiple"].iloc[2] == math.inf
        least = best.params.value / found.times_max.value
        endless = law.predict(constants, params=least, tokens=np.inf, **fixed)
        assert endless == pytest.approx(best.loss.value, rel=1e-9)


def test_intervals_are_those_of_the_draws(fitted: sl.Fit) -> None:
    """The closed form of each draw's α and β has the quantiles that are given."""
    found = overtraining(fitted, 3e12, [1.0, 2.0, 3.0], level=0.8)
    draws = fitted.boot().constants
    a, b = draws["alpha"].to_numpy(), draws["beta"].to_numpy()
    for _, row in found.rows.iterrows():
        k = row["times"]
        with np.errstate(invalid="ignore"):
            multiple = np.nan_to_num((((a + b) - b * k**a) / a) ** (-1 / b) / k, nan=np.inf)
        ends = np.quantile(multiple, 0.1, method="lower"), np.quantile(multiple, 0.9, method="higher")
        assert (row["compute_multiple_lo"], row["compute_multiple_hi"]) == pytest.approx(ends, rel=1e-7)
    assert found.rows["penalty_hi"].iloc[0] == pytest.approx(0.0, abs=1e-12)
    assert "times_lo" not in found.rows


def test_sizes_that_stay_have_an_uncertain_distance(fitted: sl.Fit) -> None:
    best = optimum(fitted, 3e12)
    row = overtraining(fitted, 3e12, params=[1e5]).rows.iloc[0]
    assert (row["times_lo"], row["times_hi"]) == pytest.approx((best.params.lo / 1e5, best.params.hi / 1e5))
    assert row["params"] == 1e5
    assert row["tokens"] == pytest.approx(3e12 / 6e5)


def test_it_prints_tabulates_and_warns(fitted: sl.Fit) -> None:
    with pytest.warns(ExtrapolationWarning, match="furthest of these models"):
        found = fitted.overtraining(3e12, [2.0, 4.0, 200.0])
    assert "× smaller loses" in " ".join(str(found).split())
    assert list(found.table()["times"]) == [2.0, 4.0, 200.0]
    plain = found.plain()
    assert plain["rows"][0]["ratio"] == found.rows["ratio"].iloc[0]
    assert set(plain["times_max"]) == {"value", "lo", "hi"}


def test_bad_input(fitted: sl.Fit) -> None:
    for call, message in (
        (lambda: overtraining(fitted, 0.0), "budget"),
        (lambda: overtraining(fitted, 1e12, [2.0], [1e4]), "either times= or params="),
        (lambda: overtraining(fitted, 1e12, [-2.0]), "times are positive"),
        (lambda: overtraining(fitted, 1e12, params=[math.inf]), "params are positive"),
        (lambda: overtraining(fitted, 1e12, "two"), "times are numbers"),
        (lambda: overtraining(fitted, 1e12, []), "one or several"),
    ):
        with pytest.raises(InputError, match=message):
            call()
