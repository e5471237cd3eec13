"""The ladder's report, on losses from a known law: what it finds, and verdicts that follow the numbers."""

import hashlib

import numpy as np
import pytest

from scalinglab import laws
from scalinglab.experiments import continual, scaling_law
from scalinglab.ladder.definition import Run
from tests.experiments.conftest import MakeTrained

LAW = laws.Chinchilla()
MANY = {"E": 1.2, "A": 38.0, "alpha": 0.42, "B": 263.0, "beta": 0.42}
FEW = {"E": 1.2, "A": 38.0, "alpha": 0.42, "B": 75.0, "beta": 0.42}
"""Laws whose optima lie at (B/A)^(1/0.42) = 100 and 5 tokens a parameter."""


def chance(*parts: object) -> float:
    """A deviation in standard deviations that depends on nothing but the parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return float(np.random.default_rng(int.from_bytes(digest[:8], "big")).normal())


def law_loss(constants: dict[str, float], noise: float = 0.002, rate: float = 0.0):
    def loss(run: Run, tokens: float, name: str) -> float:
        clean = float(LAW.predict(constants, params=run.shape.params, tokens=tokens))
        off = noise * (chance(run.shape.params, run.seed, run.lr) + chance(run.id, name)) / np.sqrt(2)
        return clean * float(np.exp(off + rate * np.log(run.lr / 0.005) ** 2))

    return loss


@pytest.fixture
def report_of(made_up: MakeTrained):
    def make(constants: dict[str, float], **how: float):
        return scaling_law.report_of(
            made_up("scaling-law", "small", law_loss(constants, **how), ("average",))
        )

    return make


@pytest.mark.parametrize(("constants", "says"), [(MANY, "confirmed"), (FEW, "contradicted")])
def test_the_optimum_of_the_law_is_found_and_judged(report_of, constants, says: str) -> None:
    report = report_of(constants)
    found = report.lines[0].ours
    assert found.lo < (constants["B"] / constants["A"]) ** (1 / 0.42) < found.hi
    assert report.claims[0].verdict == says
    assert report.claims[0].claim.startswith("The optimum wants far more")


def test_the_largest_size_is_predicted_from_the_others(made_up: MakeTrained) -> None:
    ends = scaling_law.ends_of(made_up("scaling-law", "small", law_loss(MANY, noise=0.001)), "average")
    back = scaling_law.held_out(ends)
    assert back.params == ends["params"].max()
    assert back.fit.rows["params"].max() < back.params
    assert len(back.rows) == 6
    assert back.rows["inside"].mean() >= 0.5
    assert np.abs(back.rows["error"]).max() < 0.01
    # a largest size that the others do not tell of is found out
    broken = ends.assign(loss=ends["loss"].where(ends["params"] < back.params, 1.1 * ends["loss"]))
    worse = scaling_law.held_out(broken)
    assert not worse.rows["inside"].any()
    assert worse.rows["error"].mean() == pytest.approx(back.rows["error"].mean() + np.log(1.1), abs=1e-9)


def test_other_learning_rates_stand_in_for_the_ends_of_the_ladder(made_up: MakeTrained) -> None:
    trained = made_up("scaling-law", "small", law_loss(MANY, noise=0.001, rate=0.02))
    rates = scaling_law.rate_fits(trained)
    assert list(rates["lr ×"]) == ["0.5", "1", "2", "best of them"]
    losses = rates["mean loss"].to_numpy()
    # the made-up optimum is the study's own rate: both others are worse by 0.02·ln(2)², and the best is the own
    assert losses[0] / losses[1] == pytest.approx(np.exp(0.02 * np.log(2) ** 2), rel=5e-3)
    assert losses[2] / losses[1] == pytest.approx(np.exp(0.02 * np.log(2) ** 2), rel=5e-3)
    assert losses[3] == pytest.approx(losses[1], rel=1e-3)


def test_only_the_studys_own_settings_are_fitted(made_up: MakeTrained) -> None:
    trained = made_up("scaling-law", "small", law_loss(MANY))
    ends = scaling_law.ends_of(trained, "average")
    assert set(ends["lr"]) == {0.005}
    assert len(ends) == 9 + 2 * 6 + 3 * 6 + 4 * 6


def test_one_size_trained_on_is_read_off_the_same_ladder(made_up: MakeTrained) -> None:
    report = continual.report_of(made_up("scaling-law", "small", law_loss(MANY, noise=0.0005)))
    assert report.lines[0].ours == pytest.approx(16_384_000 / 53_232, rel=0.01)
    power = next(line.ours for line in report.lines if line.what.startswith("floor, power law"))
    # along one size the law is a power law of compute with the floor E + A/N^alpha
    assert power.lo < MANY["E"] + MANY["A"] / 53_232 ** MANY["alpha"] < power.hi
    worth = next(line.ours for line in report.lines if line.what.startswith("equivalent size, D = 20·N"))
    assert worth.lo > 1
    assert report.claims[0].verdict == "confirmed"
