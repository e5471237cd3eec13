"""Schedules as texts: what each means, and what each mistake is answered with."""

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import (
    PRESETS,
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
    parse_schedule,
)
from scalinglab.ladder.schedule_text import TEXTS

MEANT = {
    "wsd:total=10000,decay=1000,shape=linear,warmup=100": WSD(100, Decay("linear", 9000, 1000)),
    "wsd:total=1e4,share=0.1": WSD(0, Decay("1-sqrt", 9000, 1000)),
    " wsd : warmup = 1_00 ": WSD(100),
    "wsd": WSD(0),
    "wsd:total=10_000,decay=0": WSD(0, Decay("1-sqrt", 10_000, 0)),
    "wsd:total=1e+4,decay=2000,shape=exponential,floor=0.05,half_life=500": WSD(
        0, Decay("exponential", 8000, 2000, 0.05, 500.0)
    ),
    "cosine:period=10000,warmup=100,floor=0.2": Cosine(100, 10_000, 0.2),
    "cosine:period=10000": Cosine(0, 10_000, 0.1),
    "cosine-loop:period=2000,warmup=10": CosineLoop(10, 2000, 0.1),
    "linear:total=500,warmup=10": Linear(10, 500),
    "noam:warmup=500": Noam(500),
    "constant:warmup=5": Constant(5),
    "minicpm:total=10000": WSD(0, Decay("exponential", 9000, 1000, 0.1)),
    "default:total=10000,warmup=10": WSD(10, Decay("1-sqrt", 8000, 2000)),
    "wsd-s:ends=2000/4000/8000,share=0.1,warmup=100": WSDS(
        100,
        (
            Decay("inverse-linear", 1800, 200, 0.1),
            Decay("inverse-linear", 3600, 400, 0.1),
            Decay("inverse-linear", 7200, 800, 0.1),
        ),
    ),
    "wsd-s:ends=20/40,decay=5,shape=linear,floor=0": WSDS(0, (Decay("linear", 15, 5), Decay("linear", 35, 5))),
}  # fmt: skip


@pytest.mark.parametrize("text", MEANT)
def test_what_a_text_means(text: str) -> None:
    assert parse_schedule(text) == MEANT[text]
    assert type(parse_schedule(text)) is type(MEANT[text])


def test_every_kind_and_preset_has_a_text_and_its_example_works() -> None:
    assert set(TEXTS) == {*SCHEDULES, *PRESETS}
    for name, kind in TEXTS.items():
        assert kind.example.startswith(f"{name}:")
        found: Schedule = parse_schedule(kind.example)
        assert type(found) is SCHEDULES.get(name, WSD)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cosin:period=10", "schedule 'cosin' is not known; did you mean cosine"),
        ("", "schedule '' is not known; known are wsd, wsd-s"),
        ("triangle", "'triangle' is not known; known are"),
        ("cosine", "period= is missing"),
        ("cosine:perod=10", "key 'perod' is not known, did you mean period"),
        ("noam:total=10", "key 'total' is not known, known are warmup"),
        ("cosine:period", "'period' is not key=value"),
        ("cosine:period=", "'period=' is not key=value"),
        ("cosine:period=10,period=20", "period is given twice"),
        ("cosine:period=1.5", "period=1.5 is not a whole number"),
        ("cosine:period=many", "period=many is not a number"),
        ("cosine:period=inf", "period=inf is not a number"),
        ("cosine:period=10,floor=2", "a floor of 2.0 must lie"),
        ("cosine:period=10,warmup=20", "leaves nothing after the warmup of 20"),
        ("wsd:total=100", "give either decay= .updates. or share="),
        ("wsd:total=100,decay=10,share=0.1", "give either decay="),
        ("wsd:decay=100", "total= is missing"),
        ("wsd:total=100,decay=200", "a decay of 200 updates does not fit before update 100"),
        ("wsd:total=100,decay=10,shape=sqrt", "did you mean '1-sqrt'"),
        ("wsd:total=100,decay=10,shape=exponential", "never reaches a floor of 0"),
        ("wsd:total=100,decay=10,warmup=95", "starts at step 90, inside the warmup of 95"),
        ("wsd-s:ends=20/x,decay=5", "ends=x is not a number"),
        ("wsd-s:ends=20/22,decay=5", "begins before the one to step 20 has ended"),
        ("minicpm:total=1", "leaves no update before its decay"),
        ("noam:warmup=0", "a warmup of 0 steps is not possible"),
    ],
)
def test_a_mistake_gets_one_sentence_with_an_example(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_schedule(text)
    assert "\n" not in str(caught.value)
    example = str(caught.value).partition("for example ")[2]
    assert parse_schedule(example)
