"""Laws against published values, closed forms, and each other."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglab import laws
from scalinglab.errors import InputError
from scalinglab.laws import Law

HOFFMANN = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
# a point of each law at which no term has vanished: (law, constants, variables)
POINTS = [
    (laws.Chinchilla(), HOFFMANN, {"params": 7e9, "tokens": 2e11}),
    (
        laws.Chinchilla(units={"params": 1e6, "tokens": 1e9}),
        {**HOFFMANN, "A": 4, "B": 1.1},
        {"params": 7e9, "tokens": 2e11},
    ),
    (
        laws.MiniCPM(),
        {"C_N": 0.07, "alpha": 0.29, "C_D": 0.3, "beta": 0.23, "L0": 0.31},
        {"params": 2e8, "tokens": 9e9},
    ),
    (
        laws.Kaplan(),
        {"N_c": 8.8e13, "alpha_N": 0.076, "D_c": 5.4e13, "alpha_D": 0.095},
        {"params": 1e9, "tokens": 3e10},
    ),
    (laws.Skaling(), {**HOFFMANN, "k": 0.7}, {"params": 7e9, "tokens": 2e11}),
    (
        laws.DataConstrained(),
        {**HOFFMANN, "R_D": 15.4, "R_N": 5.3},
        {"params": 9e9, "tokens": 4e10, "unique_tokens": 5e9},
    ),
    (  # a size below the best one for its unique tokens
        laws.DataConstrained(),
        {**HOFFMANN, "R_D": 15.4, "R_N": 5.3},
        {"params": 3e7, "tokens": 4e10, "unique_tokens": 5e9},
    ),
    (laws.PowerLaw("flops", units={"flops": 1e17}), {"E": 3.27, "A": 0.98, "alpha": 0.543}, {"flops": 3e18}),
    (laws.Exponential("flops"), {"E": 3.4, "A": 0.9, "k": 3e-18}, {"flops": 3e17}),
    (
        laws.BrokenPowerLaw("tokens"),
        {"E": 1.7, "A": 3e3, "alpha": 0.2, "change": -0.1, "x_break": 3e9, "width": 0.3},
        {"tokens": 5e9},
    ),
    (
        laws.BrokenPowerLaw("tokens"),
        {"E": 1.7, "A": 3e3, "alpha": 0.2, "change": -0.1, "x_break": 3e9, "width": 0.3},
        {"tokens": 2e9},
    ),
    (
        laws.PowerProduct(),
        {"K": 1.79, "e_params": -0.713, "e_tokens": 0.307},
        {"params": 1e9, "tokens": 2e10},
    ),
]
IDS = [type(law).__name__ + ("-units" if getattr(law, "units", None) else "") for law, _, _ in POINTS]


@pytest.mark.parametrize(("law", "constants", "at"), POINTS, ids=IDS)
def test_derivatives_are_those_of_the_prediction(law: Law, constants: dict, at: dict) -> None:
    found = law.derivatives(constants, **at)
    for i, name in enumerate(law.constant_names):
        step = 1e-5 * constants[name]
        above = law.predict({**constants, name: constants[name] + step}, **at)
        below = law.predict({**constants, name: constants[name] - step}, **at)
        assert found[i] == pytest.approx((above - below) / (2 * step), rel=2e-6)


@pytest.mark.parametrize(("law", "constants", "at"), POINTS, ids=IDS)
def test_analytic_derivatives_equal_the_complex_step(law: Law, constants: dict, at: dict) -> None:
    c, x = law.ordered_constants(constants), law.ordered_variables(at)
    np.testing.assert_allclose(law.gradient(c, x), Law.gradient(law, c, x), rtol=1e-12)


@pytest.mark.parametrize(("law", "constants", "at"), POINTS, ids=IDS)
def test_prediction_broadcasts_rows_and_stacks(law: Law, constants: dict, at: dict) -> None:
    rows = {name: value * np.array([1.0, 1.5, 2.0]) for name, value in at.items()}
    frame = pd.DataFrame([constants, {k: 1.01 * v for k, v in constants.items()}])
    stacked = law.predict(frame, **rows)
    assert stacked.shape == (2, 3)
    for i in range(2):
        np.testing.assert_allclose(stacked[i], law.predict(frame.iloc[i].to_dict(), **rows), rtol=1e-14)
    assert law.predict(constants, **at).shape == ()
    assert law.predict(frame, **at).shape == (2,)
    assert law.derivatives(frame, **rows).shape == (2, 3, len(constants))


@pytest.mark.parametrize(("law", "constants", "at"), POINTS, ids=IDS)
@given(scale=st.floats(1e-6, 1e6))
@settings(max_examples=20)
def test_a_change_of_units_changes_no_prediction(law: Law, constants: dict, at: dict, scale: float) -> None:
    units = dict.fromkeys(at, scale)
    moved = law.in_units(constants, **units)
    counted = {name: value / scale for name, value in at.items()}
    assert law.predict(moved, **counted) == pytest.approx(float(law.predict(constants, **at)), rel=1e-9)


def test_chinchilla_at_its_own_size() -> None:
    """Hoffmann et al. 2022 (section D.3): the fitted law at Chinchilla's 70B and 1.4T, term by term."""
    by_hand = 1.69 + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28
    assert laws.Chinchilla().predict(HOFFMANN, params=70e9, tokens=1.4e12) == pytest.approx(
        by_hand, rel=1e-14
    )


@given(
    st.floats(0.15, 0.9), st.floats(0.15, 0.9), st.floats(0.01, 100), st.floats(0.01, 100), st.floats(17, 26)
)
@settings(max_examples=50)
def test_closed_form_optimum_is_stationary(
    alpha: float, beta: float, A: float, B: float, log_c: float
) -> None:
    """At N_opt, D_opt the marginal losses αA·N^−α and βB·D^−β are equal (from eq. 4) and 6ND = C."""
    law = laws.Chinchilla()
    n, d = law.optimal({"E": 1, "A": A, "alpha": alpha, "B": B, "beta": beta}, 10**log_c)
    assert 6 * n * d == pytest.approx(10**log_c, rel=1e-10)
    assert alpha * A * n**-alpha == pytest.approx(beta * B * d**-beta, rel=1e-9)


def test_optimum_is_the_same_in_any_units_and_names() -> None:
    law, cpm = laws.Chinchilla(), laws.MiniCPM()
    c = law.in_units(HOFFMANN, params=1e9, tokens=1e9)
    same = {"C_N": c["A"], "alpha": 0.34, "C_D": c["B"], "beta": 0.28, "L0": 1.69}
    np.testing.assert_allclose(
        cpm.optimal(same, [1e21, 1e24]), law.optimal(HOFFMANN, [1e21, 1e24]), rtol=1e-12
    )
    np.testing.assert_allclose(
        cpm.standard(same), [HOFFMANN[k] for k in ("E", "A", "alpha", "B", "beta")], rtol=1e-12
    )
    skaling = laws.Skaling().optimal({**HOFFMANN, "k": 0.6}, 1e23)
    np.testing.assert_allclose(skaling, law.optimal(HOFFMANN, 1e23), rtol=1e-12)


# MiniCPM, section 4.5, table of five held-out sets: the constants as printed, the ratio D/N at 1e21 FLOPs that
# rounding of those constants allows, and the ratio printed.
MINICPM = {
    "Code": (0.0332, 0.37, 0.217, 0.34, 0.17, 179, 210, 194.93),
    "English Wikihow": (0.0808, 0.26, 0.297, 0.18, 0.27, 159, 197, 166.04),
    "Chinese Wikihow": (0.0514, 0.35, 0.390, 0.18, 0.40, 807, 958, 833.95),
    "Ultratext": (0.0754, 0.30, 0.292, 0.30, 0.25, 84, 99, 95.60),
    "Chinese Yayi": (0.153, 0.19, 0.376, 0.17, 0.35, 87, 128, 112.79),
    "Average": (0.0715, 0.29, 0.300, 0.23, 0.31, 168, 202, 191.87),
}


@pytest.mark.parametrize("name", MINICPM)
def test_minicpm_table(name: str) -> None:
    C_N, alpha, C_D, beta, L0, low, high, printed = MINICPM[name]
    law, c = laws.MiniCPM(), {"C_N": C_N, "alpha": alpha, "C_D": C_D, "beta": beta, "L0": L0}
    n, d = law.optimal(c, 1e21)
    assert low <= d / n <= high
    assert low <= printed <= high
    k2, eta = law.k2_eta(c)
    assert k2 * (1e21 / 1e18 / 6) ** eta == pytest.approx(n / d, rel=1e-12)


def test_inverses_undo_the_law() -> None:
    law = laws.Chinchilla()
    loss = law.predict(HOFFMANN, params=3e9, tokens=8e10)
    assert law.params_at(HOFFMANN, loss, 8e10) == pytest.approx(3e9, rel=1e-10)
    assert law.tokens_at(HOFFMANN, loss, 3e9) == pytest.approx(8e10, rel=1e-10)
    assert law.tokens_at(HOFFMANN, 1.7, 3e9) == np.inf
    unit = {"flops": 1e17}
    for curve, c in (
        (laws.PowerLaw("flops", units=unit), {"E": 3.274, "A": 0.98, "alpha": 0.543}),
        (laws.Exponential("flops", units=unit), {"E": 3.472, "A": 0.88, "k": 0.284}),
    ):
        assert curve.inverse(c, curve.predict(c, flops=7e17)) == pytest.approx(7e17, rel=1e-10)
        assert curve.inverse(c, 3.2) == np.inf


def test_minicpm_continual_training_curve() -> None:
    """MiniCPM's printed power law, 0.980·(C/1e17)^−0.543 + 3.274, gives 3.417 at 3.47e18 FLOPs."""
    law = laws.PowerLaw("flops", units={"flops": 1e17})
    assert law.predict({"E": 3.274, "A": 0.980, "alpha": 0.543}, flops=3.47e18) == pytest.approx(
        3.417, abs=5e-4
    )


def test_kaplan_limits() -> None:
    """With data without end, L = (N_c/N)^α_N; with a size without end, (D_c/D)^α_D (Kaplan 2020, eqs. 1.1, 1.2)."""
    law, c = laws.Kaplan(), {"N_c": 8.8e13, "alpha_N": 0.076, "D_c": 5.4e13, "alpha_D": 0.095}
    assert law.predict(c, params=1e9, tokens=1e60) == pytest.approx((8.8e13 / 1e9) ** 0.076, rel=1e-12)
    assert law.predict(c, params=1e60, tokens=1e10) == pytest.approx((5.4e13 / 1e10) ** 0.095, rel=1e-9)
    n, d = law.optimal(c, 1e21)
    around = law.predict(c, params=n * np.array([0.99, 1, 1.01]), tokens=d / np.array([0.99, 1, 1.01]))
    assert around.argmin() == 1


def test_skaling_at_one_is_chinchilla() -> None:
    x = {"params": np.array([1e8, 1e9]), "tokens": np.array([3e9, 5e11])}
    np.testing.assert_allclose(
        laws.Skaling().predict({**HOFFMANN, "k": 1.0}, **x),
        laws.Chinchilla().predict(HOFFMANN, **x),
        rtol=1e-14,
    )


def test_data_constrained_against_the_paper_written_out() -> None:
    """Muennighoff et al. 2023, eqs. 5, 6 and 10 in plain Python, and both its limits."""
    law, c = laws.DataConstrained(), {**HOFFMANN, "R_D": 15.387756, "R_N": 5.309743}
    E, A, a, B, b, R_D, R_N = (c[name] for name in law.constant_names)
    for N, D, U in ((2.8e9, 55e9, 4e9), (8.7e9, 178e9, 0.1e9), (1e8, 3e9, 12e9)):
        unique = min(U, D)
        G = (a * A / (b * B)) ** (1 / (a + b))
        best = G * (unique * G) ** (b / a)  # N_opt of a budget whose D_opt is `unique`
        sized = min(best, N)
        D1 = unique + unique * R_D * (1 - math.exp(-(D / unique - 1) / R_D))
        N1 = sized + sized * R_N * (1 - math.exp(-(N / sized - 1) / R_N))
        loss = law.predict(c, params=N, tokens=D, unique_tokens=U)
        assert loss == pytest.approx(E + A / N1**a + B / D1**b, rel=1e-12)
    new = law.predict(c, params=1e8, tokens=1e12, unique_tokens=1e12)
    assert new == pytest.approx(
        float(laws.Chinchilla().predict(HOFFMANN, params=1e8, tokens=1e12)), rel=1e-12
    )
    _, d = law.effective(c, 1e8, 1e18, 1e9)
    assert d == pytest.approx(1e9 * (1 + R_D), rel=1e-12)


def test_broken_power_law_changes_exponent_at_its_break() -> None:
    law = laws.BrokenPowerLaw("tokens")
    c = {"E": 0.0, "A": 3e3, "alpha": 0.2, "change": 0.3, "x_break": 1e10, "width": 0.1}
    for x, exponent in ((1e6, 0.2), (1e14, 0.5)):
        here, there = law.predict(c, tokens=np.array([x, 1.001 * x]))
        assert -np.log(there / here) / np.log(1.001) == pytest.approx(exponent, rel=1e-6)
    assert law.predict({**c, "change": 0.0}, tokens=1e9) == pytest.approx(3e3 * 1e9**-0.2, rel=1e-12)


def test_step_law() -> None:
    """Step Law 2025: lr* = 1.79·N^−0.713·D^0.307, batch* = 0.58·D^0.571."""
    lr = laws.PowerProduct(("params", "tokens"), target="lr")
    got = lr.predict({"K": 1.79, "e_params": -0.713, "e_tokens": 0.307}, params=1e9, tokens=1e11)
    assert got == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307, rel=1e-12)
    batch = laws.PowerProduct(("loss",), target="batch_tokens")
    assert batch.predict({"K": 1.21e9, "e_loss": -6.24}, loss=2.5) == pytest.approx(
        4e6, rel=0.02
    )  # "about 4M"


def test_a_law_from_a_function_knows_its_linear_constants() -> None:
    law = laws.from_function(
        lambda params, tokens, E, A, alpha, B, beta: E + A * params**-alpha + B * tokens**-beta
    )
    assert [c.name for c in law.constants if c.linear] == ["E", "A", "B"]
    x = {"params": [1e8, 1e9], "tokens": 1e10}
    np.testing.assert_allclose(
        law.predict(HOFFMANN, **x), laws.Chinchilla().predict(HOFFMANN, **x), rtol=1e-13
    )

    def product(tokens, a, b):
        return a * b / tokens

    assert [c.name for c in laws.from_function(product, ("tokens",)).constants if c.linear] == ["a"]
    with pytest.raises(InputError, match="no argument 'flops'"):
        laws.from_function(product, ("flops",))


def test_unknown_names_are_named_with_the_near_one() -> None:
    law = laws.Chinchilla()
    with pytest.raises(InputError, match=r"no constant 'apha'.*did you mean 'alpha'"):
        law.predict({**HOFFMANN, "apha": 1}, params=1e9, tokens=1e10)
    with pytest.raises(InputError, match=r"no variable 'token'.*did you mean 'tokens'"):
        law.predict(HOFFMANN, params=1e9, token=1e10)
    with pytest.raises(InputError, match="needs the constant 'beta'"):
        law.predict({k: v for k, v in HOFFMANN.items() if k != "beta"}, params=1e9, tokens=1e10)
    with pytest.raises(InputError, match="no rule for a change of units"):
        laws.from_function(lambda tokens, a: a / tokens, ("tokens",)).in_units({"a": 1}, tokens=1e9)
