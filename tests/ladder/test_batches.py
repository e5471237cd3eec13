"""Batches against a cumulative sum, update by update."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglab.errors import InputError
from scalinglab.ladder import Batches
from scalinglab.ladder.identity import plain

batches = st.integers(1, 40)
ramps = st.dictionaries(st.integers(1, 60), batches, max_size=5).map(
    lambda found: tuple(sorted(found.items()))
)


@given(batches, ramps, st.integers(1, 70))
@settings(max_examples=150, deadline=None)
def test_random_ramps(first: int, ramp: tuple[tuple[int, int], ...], fork: int) -> None:
    context = 8
    found = Batches(first * context, tuple((step, batch * context) for step, batch in ramp))
    named, sizes, batch = dict(found.ramp), [], found.tokens
    for step in range(80):
        batch = named.get(step, batch)
        sizes.append(batch)
    seen = [0, *itertools.accumulate(sizes)]
    assert [found.at(step) for step in range(80)] == sizes
    assert [found.tokens_at(step) for step in range(81)] == seen
    assert [found.samples_before(step, context) for step in range(81)] == [t // context for t in seen]
    reached = {tokens: step for step, tokens in enumerate(seen)}
    for tokens in range(seen[-1] // 3 - 50, seen[-1] // 3 + 50):
        assert found.step_at(tokens) == reached.get(tokens)
    assert [found.step_at(tokens) for tokens in seen] == list(range(81))
    branch = found.forked(fork, 3 * context)
    assert [branch.at(step) for step in range(80)] == [*sizes[:fork], *[3 * context] * (80 - fork)]


def test_a_constant_batch_and_a_fork_at_the_start() -> None:
    assert Batches(512).tokens_at(1000) == 512_000
    assert Batches(512).step_at(512_001) is None
    assert Batches(512).step_at(-512) is None
    assert Batches(512, ((5, 1024),)).forked(0, 256) == Batches(256)
    assert plain(Batches(512, ((5, 1024),))) == {"tokens": 512, "ramp": [[5, 1024]]}


@pytest.mark.parametrize(
    ("tokens", "ramp", "said"),
    [
        (0, (), "a batch of 0 tokens is not possible; it must be positive"),
        (512, ((5, -1),), "a batch of -1 tokens"),
        (512, ((0, 1024),), "names step 0; the first batch is `tokens`"),
        (512, ((5, 1024), (5, 2048)), "names step 5 twice"),
        (512, ((5, 1024), (4, 2048)), "names step 4 after step 5; sort it by step"),
    ],
)
def test_bad_ramps_are_refused(tokens: int, ramp: tuple[tuple[int, int], ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Batches(tokens, ramp)


def test_samples_need_whole_sequences() -> None:
    found = Batches(512, ((5, 500),))
    assert found.samples_before(5, 128) == 20
    with pytest.raises(
        InputError, match=r"500 tokens is not a whole number of sequences of 128 .* 384 and 512"
    ):
        found.samples_before(6, 128)
