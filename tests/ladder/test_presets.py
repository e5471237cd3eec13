"""Decays in shares of a horizon, and what a ladder of them costs."""

import math

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import PRESETS, WSD, Decay, DecaySpec


# f = 0.1. Equally spaced horizons 1..n: 2.80x at n = 6, 5.38x at n = 20; MiniCPM's six: 2.45x.
@pytest.mark.parametrize(
    ("units", "published"), [(range(1, 7), 2.80), (range(1, 21), 5.38), ((10, 15, 20, 30, 40, 60), 2.45)]
)
def test_the_saving_of_a_ladder_is_the_published_one(units, published: float) -> None:
    decays = [PRESETS["minicpm"].decay(1000 * unit) for unit in units]
    trunk, branches = max(decay.start for decay in decays), sum(decay.steps for decay in decays)
    assert 1000 * sum(units) / (trunk + branches) == pytest.approx(published, abs=0.005)


def test_presets_are_what_they_say() -> None:
    default, minicpm = (WSD(0, PRESETS[name].decay(1000)) for name in ("default", "minicpm"))
    assert [default.factor(s) for s in (799, 800, 850, 1000)] == pytest.approx([1, 1, 0.5, 0])
    assert [minicpm.factor(s) for s in (900, 950, 1000)] == pytest.approx([1, math.sqrt(0.1), 0.1])
    # the half-life that follows from its floor, in updates
    halved = WSD(0, Decay("exponential", 900, 100, 0.1, half_life=100 * math.log(2) / math.log(10)))
    for step in range(890, 1001):
        assert minicpm.factor(step) == pytest.approx(halved.factor(step), rel=1e-13)


def test_steps_are_rounded_and_one_at_least() -> None:
    assert DecaySpec("linear", 0.25).decay(17) == Decay("linear", 13, 4)
    assert DecaySpec("linear", 0.01, 0.2).decay(20) == Decay("linear", 19, 1, 0.2)
    for end, share in ((1, 0.1), (4, 0.9)):
        with pytest.raises(
            InputError, match=f"a horizon of {end} updates? leaves no update before its decay"
        ):
            DecaySpec("linear", share).decay(end)


@pytest.mark.parametrize(
    ("shape", "share", "said"),
    [
        ("linear", 1.0, "share of 1.0 must lie"),
        ("linea", 0.1, "did you mean 'linear'"),
        ("exponential", 0.1, "floor"),
    ],
)
def test_bad_specs_are_refused_before_there_is_a_horizon(shape: str, share: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        DecaySpec(shape, share)
