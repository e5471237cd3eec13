"""Compute-optimal N and D against independent optimisers, under every kind of cost and law; intervals by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

import scalinglab as sl
from scalinglab.analysis import (
    CONVENTIONS,
    SIX_ND,
    Convention,
    ExtrapolationWarning,
    convention,
    frontier,
    ladder_convention,
    optimal_params_tokens,
    optimum,
)
from scalinglab.analysis.allocation import elasticities
from scalinglab.errors import InputError
from scalinglab.ladder import Shape

LADDER = [Shape(str(d), d, 2, 2, 2 * d) for d in (20, 28, 44, 64)]
CHINCHILLA = sl.laws.Chinchilla()


def random_constants(rng: np.random.Generator) -> dict[str, float]:
    return {
        "E": rng.uniform(0.3, 3),
        "A": math.exp(rng.uniform(0, 8)),
        "alpha": rng.uniform(0.15, 0.9),
        "B": math.exp(rng.uniform(0, 8)),
        "beta": rng.uniform(0.15, 0.9),
    }


def independent(k: dict[str, float], flops: float, cost, served: float = 1.0) -> float:
    """ln N where the loss along f(N, D) = C is stationary: D by brentq, the derivative of L written out.

    served: tokens whose cost alone must fit into the budget, which bounds N.
    """

    def log_d(u: float) -> float:
        return brentq(
            lambda v: math.log(cost(math.exp(u), math.exp(v))) - math.log(flops), -100, 100, xtol=1e-14
        )

    def slope(u: float) -> float:
        h = 1e-4
        bend = (-log_d(u + 2 * h) + 8 * log_d(u + h) - 8 * log_d(u - h) + log_d(u - 2 * h)) / (12 * h)
        size = k["alpha"] * k["A"] * math.exp(-k["alpha"] * u)
        return -size - k["beta"] * k["B"] * math.exp(-k["beta"] * log_d(u)) * bend

    return brentq(slope, 2.0, math.log(flops / served) - 1e-3, xtol=1e-12)


def test_the_closed_form_agrees_with_an_independent_optimiser() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        k, c = random_constants(rng), float(10 ** rng.uniform(16, 24))
        n, d = optimal_params_tokens(CHINCHILLA, k, c, SIX_ND)
        assert math.log(float(n)) == pytest.approx(independent(k, c, lambda n, d: 6 * n * d), abs=1e-8)
        assert 6 * float(n) * float(d) == pytest.approx(c, rel=1e-12)


@pytest.mark.parametrize(
    ("cost", "served"),
    [
        (lambda n, d: 6 * n * d + 2 * n * 1e10, 2e10),  # training, and serving 1e10 tokens
        (lambda n, d: 6 * n**0.77 * 1e2 * d, 1e4),
        (lambda n, d: 6 * n * d + 1e-6 * n * d**1.1, 10.0),
    ],
)
def test_any_cost_agrees_with_an_independent_optimiser(cost, served: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(8):
        k, c = random_constants(rng), float(10 ** rng.uniform(20, 24))
        n, d = optimal_params_tokens(CHINCHILLA, k, c, Convention("own", cost))
        assert math.log(float(n)) == pytest.approx(independent(k, c, cost, served), abs=1e-8)
        assert cost(float(n), float(d)) == pytest.approx(c, rel=1e-9)


def test_a_law_without_a_closed_form_is_minimised_along_the_budget() -> None:
    """Chinchilla's form given as a plain function has no closed form: the same optimum, to 1e-8."""
    law = sl.laws.from_function(
        lambda params, tokens, E, A, alpha, B, beta: E + A * params**-alpha + B * tokens**-beta,
        variables=("params", "tokens"),
    )
    assert not hasattr(law, "standard")
    rng = np.random.default_rng(2)
    stack = pd.DataFrame([random_constants(rng) for _ in range(20)])
    for cost in (SIX_ND, ladder_convention("exact", LADDER)):
        c = 1e19
        n, d = optimal_params_tokens(law, stack, c, cost)
        closed, _ = optimal_params_tokens(CHINCHILLA, stack, c, cost)
        assert n.shape == (20,)
        # the interpolated cost has corners at its sizes, where differences across them are coarser
        tolerance = 1e-8 if cost is SIX_ND else 1e-4
        np.testing.assert_allclose(np.log(n), np.log(closed), atol=tolerance)
        np.testing.assert_allclose(cost(n, d), c, rtol=1e-9)


def test_kaplans_law_has_its_own_exponents() -> None:
    """Kaplan 2020 is of Chinchilla's form inside its power: a = 1/(1 + α_N/α_D) with β = 1."""
    k = {"N_c": 6.4e13, "alpha_N": 0.076, "D_c": 1.8e13, "alpha_D": 0.103}
    found = frontier(sl.Fit.from_constants(sl.laws.Kaplan(), k), [1e20, 1e22])
    assert found.a.value == pytest.approx(1 / (1 + 0.076 / 0.103), rel=1e-9)
    assert found.a.value + found.b.value == pytest.approx(1.0, rel=1e-12)


def test_repeated_data_make_the_optimum_depend_on_the_unique_tokens() -> None:
    k = {"E": 1.87, "A": 521.0, "alpha": 0.35, "B": 1488.0, "beta": 0.35, "R_D": 15.4, "R_N": 5.3}
    fit = sl.Fit.from_constants(sl.laws.DataConstrained(), k)
    plenty, scarce = (optimum(fit, 1e22, unique_tokens=u) for u in (1e15, 1e10))
    assert scarce.loss.value > plenty.loss.value
    # repeats are worth less than new tokens, parameters too: the loss is the lowest of a fine grid along the budget
    n = np.exp(np.linspace(math.log(1e8), math.log(1e11), 20001))
    grid = fit.law.predict(k, params=n, tokens=1e22 / 6 / n, unique_tokens=1e10)
    assert scarce.loss.value <= grid.min() + 1e-12
    assert math.log(scarce.params.value) == pytest.approx(math.log(n[grid.argmin()]), abs=5e-4)
    with pytest.raises(InputError, match="needs 'unique_tokens' too"):
        optimum(fit, 1e22)


# ---- conventions ----------------------------------------------------------------------------------


def test_named_conventions_are_the_shapes_own_counts() -> None:
    for shape in LADDER:
        n = shape.params
        per_token = {name: float(ladder_convention(name, LADDER)(n, 1.0)) for name in CONVENTIONS}
        head, attention = 6 * 256 * shape.width, 12 * shape.layers * shape.context * shape.width
        assert per_token["6ND"] == pytest.approx(6 * n, rel=1e-12)
        assert per_token["6ND+head"] == pytest.approx(6 * n + head, rel=1e-12)
        assert per_token["6ND+attention"] == pytest.approx(6 * n + attention, rel=1e-12)
        # as executed, the gains of the norms cost no matrix multiplication
        assert per_token["exact"] == pytest.approx(6 * (n - shape.params_norms) + head + attention, rel=1e-12)


def test_below_a_ladder_no_convention_turns_negative() -> None:
    """N counted with the embedding: below the ladder less of it is computed, but never less than nothing."""
    n = np.geomspace(1.0, 1e9, 200)
    for name in CONVENTIONS:
        for count in ("params", "params_total"):
            spent = ladder_convention(name, LADDER, count)(n, 1.0)
            assert (np.diff(spent) > 0).all()
            assert spent[0] > 0
            for shape in LADDER:
                own = ladder_convention(name, LADDER, "params")(shape.params, 1.0)
                assert ladder_convention(name, LADDER, count)(getattr(shape, count), 1.0) == pytest.approx(
                    own
                )


def test_exact_comes_from_the_rows_where_they_carry_it() -> None:
    rows = [
        {"params": s.params, "tokens": d, "flops_exact": s.flops_exact() * d}
        for s in LADDER
        for d in (1e6, 4e6)
    ]
    ours, theirs = convention("exact", pd.DataFrame(rows)), ladder_convention("exact", LADDER)
    n = np.geomspace(1e3, 1e6, 30)
    np.testing.assert_allclose(ours(n, 2e6), theirs(n, 2e6), rtol=1e-12)


def test_costs_that_cannot_be_known_are_refused() -> None:
    rows = pd.DataFrame({"params": [1e6], "tokens": [1e8]})
    with pytest.raises(InputError, match="did you mean 'exact'"):
        convention("exakt", rows)
    for name in ("exact", "6ND+head"):
        with pytest.raises(InputError, match="depends on the shapes"):
            convention(name, rows)
    assert convention(lambda n, d: n * d, rows).name == "own"


def test_tokens_spend_the_budget_whatever_the_cost() -> None:
    rng = np.random.default_rng(3)
    n, c = 10 ** rng.uniform(6, 10, 50), 10 ** rng.uniform(19, 24, 50)
    for cost in (
        SIX_ND,
        Convention("affine", lambda n, d: 6 * n * d + 2 * n),
        ladder_convention("exact", LADDER),
    ):
        np.testing.assert_allclose(cost(n, cost.tokens_at(n, c)), c, rtol=1e-9)
    s_n, s_d = elasticities(SIX_ND, n, c / n)
    np.testing.assert_allclose([s_n, s_d], 1.0, rtol=1e-9)


# ---- intervals and the edges of what is known -----------------------------------------------------


@pytest.fixture(scope="module")
def truth() -> dict[str, float]:
    return {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}


def table_of(truth: dict[str, float], seed: int) -> pd.DataFrame:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, 6), np.geomspace(2.5e5, 8e6, 6)))
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.002, n.size))
    loss = CHINCHILLA.predict(truth, params=n, tokens=d) * noise
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss})


def test_intervals_agree_with_simulation(truth: dict[str, float]) -> None:
    """The optimum's bootstrap spread is that of fits to tables drawn anew; its interval holds the truth as often."""
    true = optimum(sl.Fit.from_constants(CHINCHILLA, truth), 3e12)
    held, ends, spread = 0, [], []
    for seed in range(60):
        fit = sl.fit(CHINCHILLA, table_of(truth, seed), loss=sl.Huber(1e-2))
        boot = fit.bootstrap(200, seed=seed, method="parametric")
        best = optimum(fit, 3e12, boot=boot)
        held += best.params.lo <= true.params.value <= best.params.hi
        ends.append(math.log(best.params.value))
        draws, _ = optimal_params_tokens(CHINCHILLA, boot.constants, 3e12, SIX_ND)
        spread.append(np.std(np.log(draws)))
    # 90 % of 60 is 54 ± 2.3; the spread of 60 draws is known to 9 %
    assert 47 <= held <= 60
    assert np.median(spread) == pytest.approx(np.std(ends, ddof=1), rel=0.3)


def test_far_from_the_runs_an_answer_warns_at_the_chosen_distance(truth: dict[str, float]) -> None:
    fit = sl.fit(CHINCHILLA, table_of(truth, 0))
    fit.bootstrap(50)
    inside = optimum(fit, 1e12)
    assert (inside.extrapolation, inside.notes) == (0.0, ())
    budget = 6 * 3e5 * 8e6 * 100  # two decades beyond the dearest run in N·D
    with pytest.warns(ExtrapolationWarning, match=r"the optimum lies 2\.0 decades beyond the fitted runs"):
        far = optimum(fit, budget)
    assert far.extrapolation == pytest.approx(2.0, abs=1e-6)
    assert far.notes[0].startswith("The optimum lies 2.0 decades")
    assert optimum(fit, budget, beyond=2.5).notes == ()
    with pytest.warns(ExtrapolationWarning, match="the frontier at"):
        rows = frontier(fit, [1e12, budget])
    assert len(rows.notes) == 1


@pytest.mark.parametrize("budget", [0, -1e20, math.nan, math.inf, "much"])
def test_budgets_that_cannot_be_spent_are_refused(truth: dict[str, float], budget) -> None:
    fit = sl.Fit.from_constants(CHINCHILLA, truth)
    with pytest.raises(InputError, match="compute budget"):
        optimum(fit, budget)
    with pytest.raises(InputError, match="compute budget"):
        frontier(fit, [1e20, budget])


def test_a_frontiers_slopes_are_the_closed_forms_exponents(truth: dict[str, float]) -> None:
    fit = sl.fit(CHINCHILLA, table_of(truth, 0))
    fit.bootstrap(100, seed=1)
    found = frontier(fit, np.geomspace(1e11, 1e13, 5))
    k = fit.constants
    assert found.a.value == pytest.approx(k["beta"] / (k["alpha"] + k["beta"]), rel=1e-9)
    assert found.a.lo < found.a.value < found.a.hi
    assert list(found.flops) == sorted(found.flops)
    assert found.table() is found.rows
    one = frontier(fit, [1e12])
    assert math.isnan(one.a.value)
    assert one.loss.iloc[0] == optimum(fit, 1e12).loss.value
