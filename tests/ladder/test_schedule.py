"""Schedules against their formulas."""

import itertools
import math
import pickle
import random

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import (
    DECAYS,
    SCHEDULES,
    WSD,
    WSDS,
    Constant,
    Cosine,
    CosineLoop,
    Decay,
    Linear,
    Noam,
    Schedule,
    schedule_of,
)
from scalinglab.ladder.identity import digest, plain

ENDLESS = ("exponential", "inverse-linear")
FLOORS = {shape: 0.1 if shape in ENDLESS else 0.0 for shape in DECAYS}
EVERY: list[Schedule] = [
    WSD(10),
    *(WSD(10, Decay(shape, 80, 20, floor)) for shape, floor in FLOORS.items()),
    WSD(0, Decay("exponential", 80, 20, 0.25, half_life=5)),
    WSDS(10, (Decay("inverse-linear", 30, 10, 0.1), Decay("linear", 40, 5), Decay("1-sqrt", 80, 20))),
    Cosine(10, 90),
    CosineLoop(10, 50),
    Linear(10, 90, 0.05),
    Noam(10),
    Constant(10),
]


def test_warmup_hold_and_decay() -> None:
    schedule = WSD(10, Decay("linear", start=100, steps=20))
    assert [schedule.factor(s) for s in (0, 4, 9, 10, 99, 100)] == [0.1, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert schedule.factor(110) == 0.5
    assert schedule.factor(119) == pytest.approx(0.05)
    assert schedule.factor(120) == 0.0


def test_one_minus_sqrt_is_hageles() -> None:
    schedule = WSD(0, Decay("1-sqrt", start=80, steps=20, floor=0.1))
    for step in range(80, 100):
        assert schedule.factor(step) == pytest.approx(0.1 + 0.9 * (1 - math.sqrt((step - 80) / 20)))


@pytest.mark.parametrize(
    ("shape", "floor", "quarter", "half"),
    [
        ("linear", 0.2, 0.8, 0.6),
        ("1-sqrt", 0.2, 0.6, 0.2 + 0.8 * (1 - math.sqrt(0.5))),
        ("cosine", 0.2, 0.6 + 0.4 / math.sqrt(2), 0.6),
        ("exponential", 0.0625, 0.5, 0.25),
        ("inverse-linear", 0.1, 1 / (0.25 / 0.1 + 0.75), 1 / (0.5 / 0.1 + 0.5)),
    ],
)
def test_each_shape_at_marked_steps(shape: str, floor: float, quarter: float, half: float) -> None:
    schedule = WSD(0, Decay(shape, 80, 20, floor))
    found = [schedule.factor(s) for s in (80, 85, 90, 100, 101, 10_000)]
    assert found == pytest.approx([1.0, quarter, half, floor, floor, floor], rel=1e-14)


@pytest.mark.parametrize("shape", DECAYS)
def test_decays_start_at_one_and_fall_to_the_floor(shape: str) -> None:
    factors = [WSD(0, Decay(shape, 0, 50, FLOORS[shape])).factor(s) for s in range(51)]
    assert factors[0] == 1.0
    assert factors[-1] == FLOORS[shape]
    assert all(b < a for a, b in itertools.pairwise(factors))


@pytest.mark.parametrize("shape", DECAYS)
def test_a_decay_of_no_steps_is_the_trunk(shape: str) -> None:
    branch, trunk = WSD(5, Decay(shape, 40, 0, FLOORS[shape])), WSD(5)
    assert [branch.factor(s) for s in range(60)] == [trunk.factor(s) for s in range(60)]


def test_a_half_life_halves_until_the_floor() -> None:
    """MiniCPM: 0.5^((s − S)/T)."""
    schedule = WSD(0, Decay("exponential", 100, 40, 0.05, half_life=8))
    assert [schedule.factor(100 + 8 * k) for k in range(5)] == [1.0, 0.5, 0.25, 0.125, 0.0625]
    assert schedule.factor(132 + 6) == 0.05  # 0.5^(38/8) = 0.037 would be below it
    assert schedule.factor(500) == 0.05
    # where the floor is not reached, the rate stays where the decay came to
    assert WSD(0, Decay("exponential", 100, 16, 0.05, half_life=8)).factor(10**6) == 0.25


def test_wsd_s_goes_on_at_the_full_rate() -> None:
    schedule = WSDS(4, (Decay("inverse-linear", 30, 10, 0.1), Decay("linear", 80, 20, 0.5)))
    assert schedule.factor(1) == 0.5
    for step in range(30, 40):
        p = (step - 30) / 10
        assert schedule.factor(step) == pytest.approx(1 / (p / 0.1 + (1 - p) / 1.0))
    assert [schedule.factor(s) for s in (29, 40, 79, 80, 90, 100, 101)] == [1, 1, 1, 1, 0.75, 1, 1]
    # up to each end it is the branch of that horizon, had the trunk never decayed before
    branch = WSD(4, Decay("linear", 80, 20, 0.5))
    assert [schedule.factor(s) for s in range(40, 100)] == [branch.factor(s) for s in range(40, 100)]


def test_cosine_falls_for_its_period_and_stays() -> None:
    schedule = Cosine(20, 120, floor=0.1)
    assert [schedule.factor(s) for s in (0, 19, 20)] == [0.05, 1.0, 1.0]
    found = [schedule.factor(s) for s in (45, 70, 95, 120, 10**6)]
    assert found == pytest.approx(
        [0.55 + 0.45 * math.sqrt(0.5), 0.55, 0.55 - 0.45 * math.sqrt(0.5), 0.1, 0.1]
    )


def test_a_cosine_loop_rises_as_it_fell() -> None:
    loop, once = CosineLoop(20, 120, floor=0.1), Cosine(20, 120, floor=0.1)
    falling = [once.factor(s) for s in range(20, 121)]
    assert [loop.factor(s) for s in range(20, 121)] == falling
    assert [loop.factor(s) for s in range(120, 221)] == falling[::-1]
    assert [loop.factor(s) for s in range(220, 321)] == falling


def test_linear_noam_and_constant() -> None:
    linear = Linear(10, 110, floor=0.2)
    assert [linear.factor(s) for s in (4, 10, 60, 110, 999)] == pytest.approx([0.5, 1.0, 0.6, 0.2, 0.2])
    noam = Noam(100)
    assert [noam.factor(s) for s in (49, 99, 100, 400, 10_000)] == [0.5, 1.0, 1.0, 0.5, 0.1]
    assert [Constant(2).factor(s) for s in (0, 1, 2, 10**9)] == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
class TestEverySchedule:
    def test_it_is_continuous_where_phases_meet(self, schedule: Schedule) -> None:
        """No jump larger than a phase's own steps, but WSD-S's return to the full rate."""
        for before, after in itertools.pairwise(schedule.phases(200)):
            if isinstance(schedule, WSDS) and before.name == "decay":
                assert schedule.factor(after.start) == 1.0
                continue
            at = before.end
            own = [abs(schedule.factor(s) - schedule.factor(s - 1)) for s in range(before.start + 1, at)]
            assert abs(schedule.factor(at) - schedule.factor(at - 1)) <= max(own, default=0.0) + 1e-12

    def test_phases_cover_the_run_and_say_what_the_rate_does(self, schedule: Schedule) -> None:
        for end in (1, 7, 35, 90, 200):
            phases = schedule.phases(end)
            assert [phases[0].start, *(phase.end for phase in phases)] == [
                *(phase.start for phase in phases), end,
            ]  # fmt: skip
            assert phases[0].start == 0
            for name, start, stop in phases:
                steps = [schedule.factor(s) - schedule.factor(s - 1) for s in range(start + 1, stop)]
                if name in ("warmup", "rise"):
                    assert all(step > 0 for step in steps)
                elif name == "decay":
                    assert all(step < 0 or schedule.factor(stop - 1) == 0.25 for step in steps)
                else:
                    assert not any(steps)

    def test_it_is_a_pure_function_of_the_step(self, schedule: Schedule) -> None:
        steps = list(range(150))
        forward = [schedule.factor(s) for s in steps]
        random.Random(0).shuffle(steps)
        found = {s: schedule.factor(s) for s in steps}
        assert [found[s] for s in range(150)] == forward
        copy = pickle.loads(pickle.dumps(schedule))
        assert copy == schedule
        assert [copy.factor(s) for s in range(150)] == forward
        assert all(0.0 <= factor <= 1.0 for factor in forward)

    def test_it_comes_back_from_its_definition(self, schedule: Schedule) -> None:
        again = schedule_of(plain(schedule))
        assert again == schedule
        assert type(again) is type(schedule)


def test_kinds_with_equal_numbers_differ_and_wsd_is_as_it_was() -> None:
    assert len({digest(plain(schedule)) for schedule in EVERY}) == len(EVERY)
    assert len({type(schedule) for schedule in EVERY}) == len(SCHEDULES)
    assert digest(plain(Cosine(10, 90, 0.1))) != digest(plain(CosineLoop(10, 90, 0.1)))
    assert digest(plain(WSD(10))) != digest(plain(Constant(10)))
    assert plain(WSD(10)) == {"warmup": 10, "decay": None}
    assert plain(WSD(10, Decay("linear", 80, 20))) == {
        "warmup": 10,
        "decay": {"shape": "linear", "start": 80, "steps": 20, "floor": 0.0},
    }


@pytest.mark.parametrize(
    ("schedule", "end", "share"),
    [
        (WSD(10), 100, 0.0),
        (WSD(10, Decay("linear", 80, 20)), 100, 0.2),
        (WSD(10, Decay("linear", 80, 20)), 90, 1 / 9),
        (WSD(10, Decay("linear", 80, 20)), 200, 0.1),
        (WSD(10, Decay("linear", 80, 0)), 100, 0.0),
        (EVERY[7], 40, 0.25),
        (EVERY[7], 60, 0.0),
        (EVERY[7], 100, 0.2),
        (Cosine(10, 100), 100, 0.9),
        (Cosine(10, 100), 200, 0.45),
        (CosineLoop(10, 50), 50, 0.8),
        (CosineLoop(10, 50), 80, 0.0),
        (Linear(25, 100), 100, 0.75),
        (Noam(10), 100, 0.9),
        (Constant(10), 100, 0.0),
    ],
    ids=repr,
)
def test_decay_shares(schedule: Schedule, end: int, share: float) -> None:
    assert schedule.decay_share(end) == pytest.approx(share, rel=1e-12)


def test_names_are_those_of_the_run_table() -> None:
    assert [schedule.name for schedule in (*EVERY[:3], *EVERY[7:])] == [
        "constant", "wsd-1-sqrt", "wsd-linear", "wsd-s-inverse-linear/linear/1-sqrt", "cosine", "cosine-loop",
        "linear", "noam", "constant",
    ]  # fmt: skip


REFUSED = [
    (lambda: WSD(50, Decay("linear", 49, 10)), "starts at step 49, inside the warmup of 50 steps; use a longer"),
    (lambda: WSD(-1), "a warmup of -1 steps is not possible"),
    (lambda: Decay("sqrt", 10, 10), "decay shape 'sqrt' is not known; did you mean '1-sqrt'"),
    (lambda: Decay("wavy", 10, 10), "'wavy' is not known; choose one of 1-sqrt, linear, cosine, exponential"),
    (lambda: Decay("linear", 10, 10, floor=1.0), r"floor 1.0 must lie in \[0, 1\)"),
    (lambda: Decay("linear", 10, -1), "a decay of -1 steps from step 10 is not possible"),
    (lambda: Decay("linear", -1, 10), "a decay of 10 steps from step -1 is not possible"),
    (lambda: Decay("exponential", 10, 10), "exponential never reaches a floor of 0; give a floor above it"),
    (lambda: Decay("inverse-linear", 10, 10), "inverse-linear never reaches a floor of 0"),
    (lambda: Decay("exponential", 10, 10, half_life=3.0), "never reaches a floor of 0"),
    (lambda: Decay("linear", 10, 10, half_life=3.0), "a half-life of 3.0 goes with an exponential decay, not"),
    (lambda: Decay("exponential", 10, 10, 0.1, half_life=0.0), "a half-life of 0.0 steps is not possible"),
    (lambda: WSDS(0, ()), "needs a decay for each horizon"),
    (lambda: WSDS(50, (Decay("linear", 49, 10),)), "inside the warmup of 50 steps"),
    (
        lambda: WSDS(0, (Decay("linear", 10, 10), Decay("linear", 19, 10))),
        "the decay from step 19 on begins before the one to step 20 has ended; give decays in order",
    ),
    (lambda: WSDS(0, (Decay("linear", 40, 5), Decay("linear", 20, 5))), "begins before the one to step 45"),
    (lambda: Cosine(100, 100), "a period of 100 steps leaves nothing after the warmup of 100; use a longer"),
    (lambda: CosineLoop(100, 50), "a period of 50 steps leaves nothing after the warmup of 100"),
    (lambda: Linear(100, 50), "a total of 50 steps leaves nothing after the warmup of 100"),
    (lambda: Cosine(-1, 50), "a warmup of -1 steps"),
    (lambda: Linear(0, 50, floor=-0.1), r"a floor of -0.1 must lie in \[0, 1\)"),
    (lambda: Noam(0), "a warmup of 0 steps is not possible; it must be 1 or more"),
    (lambda: Constant(-3), "a warmup of -3 steps"),
    (lambda: schedule_of({"kind": "cosin", "warmup": 0}), "kind 'cosin' is not known; known: wsd, wsd-s"),
    (lambda: schedule_of({"kind": "noam", "warmup": 1, "total": 5}), "noam schedule has total, which is not"),
    (lambda: schedule_of({"kind": "cosine", "warmup": 1}), "needs the numbers warmup, period, floor"),
    (lambda: schedule_of({"warmup": 1, "decay": 5}), "the definition of the decay is 5; it needs shape, start"),
    (lambda: schedule_of({"kind": "wsd-s", "warmup": 1, "decays": 5}), "the definition of a decay is 5"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_what_cannot_be_is_refused_with_one_sentence(make, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
