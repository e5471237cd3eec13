"""Loss per byte of tokens that are no bytes: a ratio of sums, with the error of a ratio."""

import dataclasses
import math

import numpy as np
import pytest

from scalinglab.ladder.definition import Run
from scalinglab.training import Evaluation, Streams, Trainer


def test_equal_windows_have_the_error_per_token_over_their_bytes() -> None:
    losses = np.random.default_rng(0).gamma(4.0, 0.3, 40)
    found = Evaluation.of_windows(losses, 40 * 32, np.full(40, 96.0))
    assert found.se == pytest.approx(losses.std(ddof=1) / math.sqrt(40), rel=1e-15)
    assert found.se_per_byte == pytest.approx(found.se / 3, rel=1e-15)
    bytes_ = Evaluation.of_windows(losses, 40 * 32, np.full(40, 32.0)).record()
    assert (bytes_["loss_per_byte"], bytes_["se_per_byte"]) == (bytes_["loss"], bytes_["se"])


def test_the_ratio_and_its_error_are_those_of_repeated_draws() -> None:
    """Windows drawn again and again from one population: the spread of the ratios is the error that one draw states."""
    rng = np.random.default_rng(1)
    context, count = 32, 200
    sizes = rng.integers(60, 200, 50_000).astype(float)
    sums = 0.9 * sizes + rng.normal(0, 6, len(sizes)) + 4 * rng.normal(size=len(sizes))
    stated, ratios = [], []
    for _ in range(1500):
        which = rng.integers(0, len(sizes), count)
        one = Evaluation.of_windows(sums[which] / context, count * context, sizes[which])
        record = one.record()
        assert record["loss_per_byte"] == pytest.approx(sums[which].sum() / sizes[which].sum(), rel=1e-12)
        stated.append(record["se_per_byte"])
        ratios.append(record["loss_per_byte"])
    assert np.mean(stated) == pytest.approx(
        np.std(ratios, ddof=1), rel=0.06
    )  # 3 standard errors of that spread
    # the error per token, merely scaled, would count the spread of the sizes in
    assert one.se * one.tokens / one.bytes > 3 * np.mean(stated)


def test_a_set_without_bytes_has_a_loss_per_token_alone() -> None:
    found = Evaluation.of_windows(np.array([1.0, 2.0]), 64, None)
    assert found.record() == {"loss": 1.5, "se": 0.5, "tokens": 64, "bytes": 0}


def test_bytes_of_the_targets_are_counted(run: Run, streams: Streams) -> None:
    table = np.arange(256, dtype=float)
    tables = {"one": table, "two": None}
    plain = Trainer(run, streams).evaluate()
    found = Trainer(run, dataclasses.replace(streams, token_bytes=tables)).evaluate()
    windows = 124  # of the 4,000 tokens held out
    picks = np.unique(np.linspace(0, windows - 1, run.heldout_windows).round().astype(int))
    expected = sum(int(streams.heldout["one"][32 * i + 1 : 32 * i + 33].astype(int).sum()) for i in picks)
    assert found["one"].bytes == expected
    assert found["two"].bytes == 0
    assert {name: each.loss for name, each in found.items()} == {n: each.loss for n, each in plain.items()}
    assert plain["one"].bytes == plain["one"].tokens
