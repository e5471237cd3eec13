"""Continual training and equal compute against closed forms, published readings and simulation."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

import scalinglab as sl
from scalinglab import laws
from scalinglab.analysis import (
    ExtrapolationWarning,
    continual,
    equal_compute,
    equivalent_size,
    read_larger,
)
from scalinglab.errors import InputError

TRUTH = {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}
SMALL = 1e4
UNITS = {"flops_6nd": 1e17}
# MiniCPM's printed curves of 0.036B
POWER = sl.Fit.from_constants(
    laws.PowerLaw("flops_6nd", units=UNITS), {"E": 3.274, "A": 0.980, "alpha": 0.543}
)
EXPONENTIAL = sl.Fit.from_constants(
    laws.Exponential("flops_6nd", units=UNITS), {"E": 3.472, "A": 0.880, "k": 0.284}
)


def ladder(constants: dict[str, float] = TRUTH) -> sl.Fit:
    return sl.Fit.from_constants(laws.Chinchilla(), constants)


def own_curve(constants: dict[str, float] = TRUTH, params: float = SMALL) -> sl.Fit:
    """The law's slice at one size, as a power law in compute."""
    c = constants
    own = {"E": c["E"] + c["A"] * params ** -c["alpha"], "alpha": c["beta"]}
    own["A"] = c["B"] * (6 * params) ** c["beta"]
    return sl.Fit.from_constants(laws.PowerLaw("flops_6nd"), own)


def loss_at(n: float, d: float, constants: dict[str, float] = TRUTH) -> float:
    return float(laws.Chinchilla().predict(constants, params=n, tokens=d))


def table(seed: int, noise: float = 0.002) -> pd.DataFrame:
    """Five sizes, the smallest at eight horizons."""
    rng = np.random.default_rng(seed)
    rows = [
        (n, d)
        for n in np.geomspace(SMALL, 3e5, 5)
        for d in np.geomspace(2.5e5, 8e6 if n > SMALL else 3e7, 5 if n > SMALL else 8)
    ]
    runs = pd.DataFrame(rows, columns=["params", "tokens"])
    loss = laws.Chinchilla().predict(TRUTH, params=runs["params"], tokens=runs["tokens"])
    return runs.assign(loss=loss * np.exp(rng.normal(0, noise, len(runs))))


# MiniCPM's numbers ----------------------------------------------------------------------------------


def test_minicpms_comparison_at_equal_compute() -> None:
    """0.17B at 20·N costs 3.47e18 FLOPs; the printed curve gives 3.417 there, the larger model has 3.34."""
    found = equal_compute(POWER, 0.036e9, 3.34, larger=0.17e9)
    assert found.flops == pytest.approx(3.47e18, rel=1e-3)
    assert found.loss.value == pytest.approx(3.417, abs=5e-4)
    assert found.gap.value == pytest.approx(0.077, abs=5e-4)
    assert found.cheaper == pytest.approx(0.17 / 0.036)
    assert found.saved == pytest.approx(2 * (0.17e9 - 0.036e9))
    assert found.past.value == pytest.approx((0.17 / 0.036) ** 2)
    # the paper: about 4 times the compute to match it
    needed = 1e17 * (0.980 / (3.34 - 3.274)) ** (1 / 0.543)
    assert found.multiple.value == pytest.approx(needed / found.flops, rel=1e-9)
    assert round(found.multiple.value) == 4
    assert math.isnan(found.equivalent.value)
    assert "equivalent" not in found.table().index


def test_a_loss_below_the_floor_is_matched_by_no_compute() -> None:
    found = equal_compute(EXPONENTIAL, 0.036e9, 3.34, larger=0.17e9)
    assert found.multiple.value == math.inf
    assert "no compute brings it there, which lies below its floor" in found.headline()


def test_given_curves_are_an_answer_too() -> None:
    found = continual([EXPONENTIAL, POWER], 0.036e9, against=3.34, larger=0.17e9)
    assert found.power is POWER
    assert found.exponential is EXPONENTIAL
    assert found.better is None
    assert found.followed is POWER
    assert found.floor_power.value == 3.274
    assert found.table().loc["multiple", "value"] == pytest.approx(4.15, abs=0.005)
    json.dumps(found.plain(), default=float)
    assert continual(EXPONENTIAL, 0.036e9).better is EXPONENTIAL
    with pytest.raises(InputError, match="no power law was given"):
        _ = continual(EXPONENTIAL, 0.036e9).power


# The ladder's law -----------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("given", [True, False])
def test_training_on_pays_until_the_closed_form(factor: float, given: bool) -> None:
    """On the ladder's own law the gain over the frontier's falls as k^(-β²/(α+β))."""
    curve = own_curve() if given else None
    found = equal_compute(curve, SMALL, ladder(), larger=4e4, factor=factor)
    closed = factor ** ((TRUTH["alpha"] + TRUTH["beta"]) / TRUTH["beta"] ** 2)
    assert found.pays_until.value == pytest.approx(closed, rel=1e-9)
    # by hand: the slopes of both curves where it ends
    c = found.pays_flops.value
    d_opt = (TRUTH["beta"] * TRUTH["B"] / (TRUTH["alpha"] * TRUTH["A"]) * SMALL ** TRUTH["alpha"]) ** (
        1 / TRUTH["beta"]
    )
    assert c / (6 * SMALL * d_opt) == pytest.approx(closed, rel=1e-9)
    h = 1e-4

    def frontier(x: float) -> float:
        n, d = laws.Chinchilla().optimal(TRUTH, x)
        return loss_at(float(n), float(d))

    own = (loss_at(SMALL, c * math.exp(-h) / 6 / SMALL) - loss_at(SMALL, c * math.exp(h) / 6 / SMALL)) / 2 / h
    best = (frontier(c * math.exp(-h)) - frontier(c * math.exp(h))) / 2 / h
    assert best / own == pytest.approx(factor, rel=1e-5)


def test_an_exponential_stops_paying_soon_and_a_slow_power_law_never() -> None:
    slow = sl.Fit.from_constants(laws.PowerLaw("flops_6nd"), {"E": 1.0, "A": 30.0, "alpha": 0.1})
    assert equal_compute(slow, SMALL, ladder(), larger=4e4).pays_until.value == math.inf
    rate = 1e-11
    fast = sl.Fit.from_constants(laws.Exponential("flops_6nd"), {"E": 2.1, "A": 0.5, "k": rate})
    found = equal_compute(fast, SMALL, ladder(), larger=4e4)
    g = TRUTH["alpha"] * TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])

    def excess(u: float) -> float:
        n, d = laws.Chinchilla().optimal(TRUTH, math.exp(u))
        best = g * (loss_at(float(n), float(d)) - TRUTH["E"])
        return 2 * 0.5 * rate * math.exp(u - rate * math.exp(u)) - best

    end = math.exp(brentq(excess, math.log(1 / rate), math.log(1e13)))
    assert found.pays_flops.value == pytest.approx(end, rel=1e-9)


def test_figures_of_the_ladders_law_agree_with_the_law() -> None:
    for curve in (own_curve(), None):
        found = equal_compute(curve, SMALL, ladder(), larger=5e4, tokens_per_param=20)
        c = 6 * 20 * 5e4**2
        assert found.flops == c
        assert found.loss.value == pytest.approx(loss_at(SMALL, c / 6 / SMALL), rel=1e-12)
        assert found.larger_loss.value == pytest.approx(loss_at(5e4, 20 * 5e4), rel=1e-12)
        worth = equivalent_size(ladder(), found.loss.value, SMALL, tokens_per_param=20.0)
        assert found.equivalent.value == pytest.approx(worth.times.value, rel=1e-9)
        reached = found.multiple.value * c
        assert loss_at(SMALL, reached / 6 / SMALL) == pytest.approx(found.larger_loss.value, rel=1e-12)
        # at the largest size it matches, both have the same loss at the same compute; a little larger is better
        n = SMALL * found.matched.value
        assert loss_at(SMALL, 20 * n**2 / SMALL) == pytest.approx(loss_at(n, 20 * n), rel=1e-9)
        n *= 1.1
        assert loss_at(SMALL, 20 * n**2 / SMALL) > loss_at(n, 20 * n)
        assert math.isnan(found.loss.lo)


def test_beside_the_optimal_frontier_a_size_past_its_own_optimum_is_worse() -> None:
    found = equal_compute(None, SMALL, ladder(), larger=5e4, tokens_per_param="optimal")
    assert found.gap.value > 0
    assert found.equivalent.value < 5
    n, _ = laws.Chinchilla().optimal(TRUTH, found.flops)
    assert float(n) == pytest.approx(5e4, rel=1e-9)
    best = equal_compute(None, SMALL, ladder(), larger=1.0001 * SMALL, tokens_per_param="optimal")
    assert best.gap.value == pytest.approx(0.0, abs=1e-8)
    assert best.past.value == pytest.approx(1.0, abs=1e-3)


def test_bytes_count_as_tokens_of_so_many() -> None:
    four = equal_compute(None, SMALL, ladder(), larger=5e4, bytes_per_token=4.0)
    assert four.plain() == equal_compute(None, SMALL, ladder(), larger=5e4, tokens_per_param=80.0).plain()


def test_the_larger_models_own_runs() -> None:
    larger = pd.DataFrame({"params": 5e4, "tokens": [5e5, 1e6, 2e6], "loss": [2.4, 2.2, 2.1]})
    found = equal_compute(own_curve(), SMALL, larger)
    assert found.larger == 5e4
    assert found.larger_loss.value == pytest.approx(2.2)  # its run at 20·N
    between = equal_compute(own_curve(), SMALL, larger, tokens_per_param=math.sqrt(2) * 10)
    assert between.larger_loss.value == pytest.approx(math.sqrt(2.4 * 2.2), rel=1e-9)
    with pytest.raises(InputError, match="compare at a tokens_per_param of 10 to 40"):
        equal_compute(own_curve(), SMALL, larger, tokens_per_param=100)
    # six and more are fitted
    d = np.geomspace(3e5, 4e6, 8)
    exact = pd.DataFrame({"params": 5e4, "tokens": d, "loss": [loss_at(5e4, each) for each in d]})
    fitted = equal_compute(own_curve(), SMALL, exact)
    assert fitted.larger_loss.value == pytest.approx(loss_at(5e4, 1e6), rel=1e-6)


# A table --------------------------------------------------------------------------------------------


def test_a_tables_floor_with_its_interval_and_its_default_comparison() -> None:
    runs = table(3, 5e-4)
    fit = sl.fit(laws.Chinchilla(), runs, loss=sl.Squared())
    fit.bootstrap(300, seed=0)
    found = continual(runs, against=fit)
    floor = TRUTH["E"] + TRUTH["A"] * SMALL ** -TRUTH["alpha"]
    assert found.floor_power.lo < floor < found.floor_power.hi
    assert found.floor_exponential.lo > floor  # an exponential's floor is too high
    assert found.comparison.best == "PowerLaw"
    (beside,) = found.against
    # the model that the small one's longest run would have trained to 20·N
    assert beside.flops == pytest.approx(6 * SMALL * 3e7, rel=1e-9)
    assert beside.larger == pytest.approx(math.sqrt(SMALL * 3e7 / 20), rel=1e-9)
    assert beside.extrapolation == 0
    # so far past its optimum the small model's floor lies above the larger one's loss
    assert floor > loss_at(beside.larger, 20 * beside.larger)
    assert (beside.multiple.value, beside.multiple.lo) == (math.inf, math.inf)
    for key in ("loss", "larger_loss", "gap", "equivalent"):
        each = getattr(beside, key)
        assert each.lo < each.value < each.hi
    assert any("as if independent" in note for note in found.notes)
    text = found.headline()
    assert "favour the power law" in text
    assert "At 1.8e+12 FLOPs" in text


def test_several_comparisons_are_told_apart() -> None:
    found = continual(POWER, 0.036e9, against=[3.34, 3.30], larger=0.17e9)
    assert len(found.against) == 2
    assert found.table().index.is_unique or "multiple, N 170M" in found.table().index


def test_far_beyond_the_runs_it_warns() -> None:
    with pytest.warns(ExtrapolationWarning, match="decades beyond the fitted runs"):
        continual(table(3), against=2.0, larger=1e7)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 60 simulated ladders, nearly nine in ten 90 % intervals of each figure hold the law's own figure."""
    true = equal_compute(None, SMALL, ladder(), larger=4e4)
    keys = ("gap", "multiple", "equivalent", "pays_until")
    held = dict.fromkeys(keys, 0)
    for seed in range(60):
        fit = sl.fit(laws.Chinchilla(), table(1000 + seed), loss=sl.Squared())
        boot = fit.bootstrap(120, seed=seed, method="parametric")
        assert boot is fit.boot()
        found = equal_compute(None, SMALL, fit, larger=4e4)
        for key in keys:
            each = getattr(found, key)
            held[key] += each.lo <= getattr(true, key).value <= each.hi
    for key in keys:
        assert held[key] >= 46, (key, held)  # 0.9 less three binomial deviations is 0.78 of 60


# Bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: equal_compute(POWER, 3.6e7, 3.34), "does not say how large its model is: give larger="),
        (lambda: equal_compute(POWER, 3.6e7, 3.34, larger=3e7), "has to be larger than 36M"),
        (lambda: equal_compute(POWER, 3.6e7, -1.0, larger=1e8), "has to be a positive number"),
        (lambda: equal_compute(None, 3.6e7, 3.34, larger=1e8), "has to be a fit of the ladder"),
        (lambda: equal_compute(POWER, 3.6e7, 3.34, larger=1e8, tokens_per_param="optimal"), "law's own frontier"),
        (lambda: equal_compute(POWER, 3.6e7, 3.34, larger=1e8, factor=1.0), "factor is a number above 1"),
        (lambda: equal_compute(POWER, 3.6e7, 3.34, larger=1e8, tokens_per_param=0), "is a positive number"),
        (lambda: equal_compute(POWER, 3.6e7, 3.34, larger=1e8, level=2), "share between 0 and 1"),
        (lambda: equal_compute(POWER, 3.6e7, ladder()), "name the model beside it, larger="),
        (lambda: equal_compute(ladder(), 3.6e7, 3.34, larger=1e8), "law of the loss in flops_6nd"),
        (lambda: equal_compute(POWER, 3.6e7, "x", larger=1e8), "x has no suffix; a run table ends in"),
        (lambda: continual(POWER), "give params="),
        (lambda: continual(ladder(), 1e4), "a fit of PowerLaw or Exponential"),
        (lambda: continual(table(0), against=table(0).iloc[:2]), "one larger model, or three sizes"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(ask, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ask()


def test_what_lies_at_a_path(tmp_path) -> None:
    runs = table(1)
    runs.to_csv(tmp_path / "ladder.csv", index=False)
    runs[runs["params"] == 3e5].to_csv(tmp_path / "one.csv", index=False)
    fit, _ = read_larger(tmp_path / "ladder.csv")
    assert fit.law.name == "Chinchilla"
    rows, _ = read_larger(tmp_path / "one.csv")
    assert len(rows) == 5
    saved, _ = read_larger(fit.to_json(tmp_path / "fit.json"))
    assert saved.constants == pytest.approx(fit.constants)


def test_answers_are_frozen() -> None:
    found = continual(POWER, 0.036e9)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.params = 1.0


# The tables of both sides ---------------------------------------------------------------------------


def one_size(loss: float = 0.0) -> pd.DataFrame:
    """Ten horizons of the small size, exactly on a power law."""
    d = np.geomspace(2.5e5, 3e7, 10)
    return pd.DataFrame({"params": SMALL, "tokens": d, "loss": [loss_at(SMALL, x) + loss for x in d]})


def test_losses_of_different_units_are_not_compared() -> None:
    runs = one_size()
    beside = pd.DataFrame({"params": 5e4, "tokens": [5e5, 1e6, 2e6], "loss": [2.4, 2.2, 2.1]})
    nats, byte = runs.assign(loss_unit="nats/token"), beside.assign(loss_unit="nats/byte")
    curve = sl.fit(laws.PowerLaw("flops_6nd"), nats.assign(flops_6nd=6 * SMALL * nats["tokens"]))
    curve.bootstrap(20)
    fit = sl.fit(laws.Chinchilla(), table(0).assign(loss_unit="nats/byte"))
    fit.bootstrap(20)
    for other in (byte, fit):
        with pytest.raises(
            InputError, match=r"small model's loss is in nats/token and the larger one's in nats/byte"
        ):
            equal_compute(curve, SMALL, other, larger=5e4)
    with pytest.raises(InputError, match="put both in one unit"):
        continual(nats, against=byte)
    said = (
        "The small model's loss is in nats/token; the larger one's unit is not told and taken to be the same."
    )
    assert said in equal_compute(curve, SMALL, beside).notes
    alike = equal_compute(curve, SMALL, beside.assign(loss_unit="nats/token"))
    assert not any("unit" in note for note in alike.notes)
    with pytest.raises(InputError, match="has losses in nats/byte and nats/token"):
        continual(nats.assign(loss_unit=["nats/byte"] + ["nats/token"] * 9))


def test_of_trunks_equally_long_the_first_by_name_whatever_the_order() -> None:
    runs = pd.concat(
        [one_size().assign(trunk_id="b", seed=1), one_size(0.01).assign(trunk_id="a", seed=0)],
        ignore_index=True,
    )
    found, other = continual(runs), continual(runs[::-1].reset_index(drop=True))
    assert set(found.rows["trunk_id"]) == set(other.rows["trunk_id"]) == {"a"}
    assert found.floor_power.value == other.floor_power.value
    assert found.notes[0] == (
        "The curve follows one trunk of the size, a, the first by name of 2 with 10 horizons; b left out."
    )
    longest = continual(runs.drop(index=19))
    assert set(longest.rows["trunk_id"]) == {"b"}
    assert "with the most horizons; a left out" in longest.notes[0]


def test_a_table_is_checked_before_it_is_followed() -> None:
    runs = one_size()
    with pytest.raises(InputError, match="holds no decayed rows: its 10 rows are undecayed trunks alone"):
        continual(runs.assign(kind="trunk"))
    for column in ("params", "tokens", "loss"):
        with pytest.raises(InputError, match=f'no column "{column}"'):
            continual(runs.drop(columns=column))
        with pytest.raises(InputError, match=f"row 3, column {column}: nan is no positive, finite number"):
            continual(runs.assign(**{column: runs[column].where(runs.index != 3)}))
    trunk = runs.assign(kind="trunk", loss=math.nan)  # rows that are left out may hold anything
    mixed = continual(pd.concat([runs.assign(kind=pd.NA), trunk], ignore_index=True))
    assert len(mixed.rows) == 10
    assert "10 rows of undecayed trunks are left out." in mixed.notes


def test_what_the_table_to_compare_with_lacks_is_said() -> None:
    two = pd.DataFrame({"params": [5e4, 2e5], "tokens": 1e6, "loss": 2.2})
    with pytest.raises(InputError, match="holds no decayed rows"):
        equal_compute(own_curve(), SMALL, two.assign(kind="trunk"))
    with pytest.raises(
        InputError, match=r"two sizes beside the small model's \(50k, 200k\): name one with larger="
    ):
        equal_compute(own_curve(), SMALL, two)
    with pytest.raises(InputError, match=r"no run of larger=70000 parameters.*it holds 50k, 200k"):
        equal_compute(own_curve(), SMALL, two, larger=7e4)


def test_numbers_of_numpy_are_numbers_and_text_is_not() -> None:
    plain = equal_compute(POWER, 36_000_000, 3.34, larger=170_000_000)
    numpys = equal_compute(
        POWER, np.int64(36_000_000), np.float32(3.34), larger=np.int64(170_000_000), tokens_per_param=np.int64(20),
        factor=np.int64(2),
    )  # fmt: skip
    assert numpys.flops == plain.flops
    assert numpys.larger_loss.value == pytest.approx(3.34, rel=1e-7)
    for wrong in (
        {"params": "3.6e7"}, {"larger": "1e9"}, {"larger": True}, {"against": True}, {"against": "3.34"},
        {"tokens_per_param": "20"}, {"factor": "2"}, {"factor": True}, {"bytes_per_token": "4"},
    ):  # fmt: skip
        asked = {"params": 3.6e7, "against": 3.34, "larger": 1.7e8} | wrong
        with pytest.raises(
            InputError, match=r"number|not bool|not str|3.34 has the suffix"
        ):  # text is a path
            equal_compute(POWER, **asked)
        with pytest.raises(InputError, match=r"number|not bool|not str|3.34 has the suffix"):
            continual(POWER, **asked)


# A law of N alone -----------------------------------------------------------------------------------


def test_a_curve_over_n_is_read_as_its_inverse() -> None:
    law, constants = laws.PowerLaw("params"), {"E": 1.7, "A": 40.0, "alpha": 0.3}
    found = equivalent_size(sl.Fit.from_constants(law, constants), 2.41, 2.4e9, tokens_per_param=20.0)
    assert found.params.value == pytest.approx(float(law.inverse(constants, 2.41)), rel=1e-9)
    assert found.ratio.value == 20.0
    n = np.geomspace(1e7, 1e9, 6)
    rows = pd.DataFrame({"params": n, "loss": law.predict(constants, params=n)})
    fit = sl.fit(law, rows, loss=sl.Squared())
    fit.bootstrap(50, seed=0)
    with pytest.warns(ExtrapolationWarning):
        far = equivalent_size(fit, 1.72, tokens_per_param=20.0)
    assert far.extrapolation == pytest.approx(math.log10(far.params.value / 1e9), abs=1e-6)
    with pytest.raises(InputError, match="loss of models at one D/N"):
        equivalent_size(fit, 2.41)
