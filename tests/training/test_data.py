"""Batches as a pure function of (seed, sample): every window once an epoch, sources by weight."""

import numpy as np
import pytest

from scalinglab.errors import InputError
from scalinglab.training import Mixture, evaluation_windows

STREAMS = [np.arange(2_001, dtype=np.uint32).astype(np.uint8), np.full(1_001, 7, np.uint8)]


def test_every_window_is_seen_once_an_epoch() -> None:
    mixture = Mixture(STREAMS[:1], [1.0], context=10, seed=5)
    for epoch in range(3):
        starts = [mixture.locate(epoch * 200 + i)[1] for i in range(200)]
        assert sorted(starts) == list(range(0, 2_000, 10))
    assert [mixture.locate(i) for i in range(200)] != [mixture.locate(200 + i) for i in range(200)]


def test_targets_are_inputs_moved_by_one() -> None:
    mixture = Mixture(STREAMS[:1], [1.0], context=10, seed=0)
    inputs, targets = mixture.batch(3, 4)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    _, start = mixture.locate(3)
    np.testing.assert_array_equal(inputs[0], STREAMS[0][start : start + 10])


def test_sources_come_by_weight_within_every_block() -> None:
    mixture = Mixture(STREAMS, [3.0, 1.0], context=10, seed=0)
    drawn = [mixture.locate(i)[0] for i in range(960)]
    for block in range(4):
        assert drawn[block * 240 : (block + 1) * 240].count(1) == 60
    assert mixture.epochs(960) == [720 / 200, 240 / 100]
    assert mixture.unique_tokens(960) == 3_000
    assert mixture.unique_tokens(40) == 400


def test_samples_do_not_depend_on_how_they_are_asked_for() -> None:
    one, other = (Mixture(STREAMS, [1.0, 2.0], 10, seed=1) for _ in range(2))
    backwards = {i: other.locate(i) for i in reversed(range(600))}
    assert [one.locate(i) for i in range(600)] == [backwards[i] for i in range(600)]
    assert [Mixture(STREAMS, [1.0, 2.0], 10, seed=2).locate(i) for i in range(600)] != list(
        backwards.values()
    )[::-1]


def test_other_weights_from_a_sample_on_go_on_where_each_source_stood() -> None:
    plain = Mixture(STREAMS, [3.0, 1.0], context=10, seed=4)
    mixed = Mixture(STREAMS, [3.0, 1.0], 10, 4, later=[(100, [0.0, 1.0]), (130, [1.0, 1.0])])
    assert [mixed.locate(i) for i in range(100)] == [plain.locate(i) for i in range(100)]
    drawn = [mixed.locate(i) for i in range(460)]
    assert {source for source, _ in drawn[100:130]} == {1}
    assert [source for source, _ in drawn[130:370]].count(0) == 120
    for source, windows in enumerate(plain.windows):  # no window twice before all were seen
        starts = [start for one, start in drawn if one == source]
        for epoch in range(0, len(starts), windows):
            assert len(set(starts[epoch : epoch + windows])) == len(starts[epoch : epoch + windows])
    for samples in (0, 50, 100, 101, 130, 250, 460):
        seen = [[one for one, _ in drawn[:samples]].count(source) for source in (0, 1)]
        assert mixed.epochs(samples) == [seen[0] / 200, seen[1] / 100]
        assert mixed.unique_tokens(samples) == 10 * (min(seen[0], 200) + min(seen[1], 100))


def test_a_source_without_weight_is_never_drawn() -> None:
    mixture = Mixture(STREAMS, [1.0, 0.0], context=10, seed=0)
    assert {mixture.locate(i)[0] for i in range(500)} == {0}
    assert mixture.epochs(500)[1] == 0.0


def test_evaluation_windows_are_spread_and_apart() -> None:
    inputs, targets = evaluation_windows(STREAMS[0], 10, 20)
    assert inputs.shape == targets.shape == (20, 10)
    assert len({tuple(row) for row in inputs}) > 10
    everything, _ = evaluation_windows(STREAMS[0], 10, 10_000)
    assert len(everything) == 200
    with pytest.raises(InputError, match="less than two windows"):
        evaluation_windows(STREAMS[0][:15], 10, 4)
    with pytest.raises(InputError, match="less than one sequence"):
        Mixture([STREAMS[0][:5]], [1.0], 10, 0)
