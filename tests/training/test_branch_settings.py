"""A branch with settings of its own: other batches, sources, weight decay, betas or clipping from its fork on."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scalinglab.ladder import WSD, Branch, Decay
from scalinglab.ladder.definition import Run
from scalinglab.ladder.plan import Changes
from scalinglab.training import Mixture, Streams, Trainer

FORK, END = 20, 33


def branch_of(run: Run, changes: Changes = Changes(), batch_tokens: int | None = None) -> Run:  # noqa: B008
    batches = run.batches if batch_tokens is None else run.batches.forked(FORK, batch_tokens)
    schedule = WSD(5, Decay("1-sqrt", FORK, END - FORK))
    return run.branch(Branch(FORK, END, schedule, batches, "own", changes))


@pytest.fixture
def fork(run: Run, streams: Streams, tmp_path: Path) -> Path:
    """A trunk's state at the fork."""
    trunk = Trainer(run, streams)
    trunk.train(FORK, lambda record: None)
    trunk.save(tmp_path / "fork.safetensors")
    return tmp_path / "fork.safetensors"


def forked(branch: Run, streams: Streams, fork: Path) -> Trainer:
    trainer = Trainer(branch, streams)
    trainer.load(fork)
    return trainer


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    held = {**trainer.model.p, **trainer.optimiser.state()}
    return {name: tensor.detach().clone() for name, tensor in held.items()}


def seen(trainer: Trainer, updates: int) -> list[np.ndarray]:
    """The inputs of the next updates, by watching them trained."""
    found, batch = [], trainer.mixture.batch

    def watched(first: int, count: int):
        pair = batch(first, count)
        found.append(pair[0])
        return pair

    trainer.mixture.batch = watched
    trainer.train(trainer.step + updates, lambda record: None)
    return found


def test_the_first_update_sees_the_samples_that_follow_the_fork(
    run: Run, streams: Streams, fork: Path
) -> None:
    """Batches of 2 sequences until the fork: sample 40 is the next."""
    stream = Mixture([streams.train["one"], streams.train["two"]], [2.0, 1.0], 32, run.seed)
    own = seen(forked(branch_of(run, batch_tokens=128), streams, fork), 2)
    np.testing.assert_array_equal(own[0], stream.batch(40, 4)[0])
    np.testing.assert_array_equal(own[1], stream.batch(44, 4)[0])
    # of the one source that is left, the windows that the trunk would have come to next
    mixed = seen(forked(branch_of(run, Changes(weights=(("two", 1.0),))), streams, fork), 3)
    following = [start for source, start in map(stream.locate, range(40, 80)) if source == 1][:6]
    expected = np.stack([streams.train["two"][start : start + 32] for start in following])
    np.testing.assert_array_equal(np.concatenate(mixed), expected)


def test_a_branch_is_the_run_from_scratch_that_changes_at_its_fork(
    run: Run, streams: Streams, fork: Path, tmp_path: Path
) -> None:
    """With own batches and sources too; and interrupted in its midst it is the same again."""
    for changes, batch_tokens in ((Changes(), None), (Changes(weights=(("one", 1.0), ("two", 3.0))), 96)):
        own = branch_of(run, changes, batch_tokens)
        branch = forked(own, streams, fork)
        branch.train(END, lambda record: None)
        scratch = Trainer(replace(own, kind="full", parent=None), streams)
        scratch.train(END, lambda record: None)
        first = forked(own, streams, fork)
        assert not first.train(END, lambda record: None, lambda first=first: first.step == 30)
        first.save(tmp_path / "middle.safetensors")
        second = forked(own, streams, tmp_path / "middle.safetensors")
        second.train(END, lambda record: None)
        for other in (scratch, second):
            torch.testing.assert_close(state(branch), state(other), rtol=0, atol=0)
            assert branch.evaluate() == other.evaluate()


def test_own_weight_decay_betas_and_clipping_hold_from_the_first_update(
    run: Run, streams: Streams, fork: Path
) -> None:
    """Against AdamW written out in float64, from the trunk's moments."""
    own = Changes(weight_decay=0.5, beta1=0.7, beta2=0.8, clip=0.05)
    branch = forked(branch_of(run, own), streams, fork)
    before = {name: tensor.double() for name, tensor in state(branch).items()}
    inputs, targets = map(torch.from_numpy, branch.mixture.batch(40, 2))
    names = list(branch.model.p)
    loss = branch.model.loss(inputs.contiguous(), targets.contiguous())
    gradients = [g.double() for g in torch.autograd.grad(loss, [branch.model.p[name] for name in names])]
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
    assert norm > 0.05
    branch.train(FORK + 1, lambda record: None)
    for name, gradient in zip(names, gradients, strict=True):
        rule = branch.model.rules[name]
        g = gradient * 0.05 / norm
        m = 0.7 * before[f"adam.exp_avg.{name}"] + 0.3 * g
        v = 0.8 * before[f"adam.exp_avg_sq.{name}"] + 0.2 * g.square()
        step = (m / (1 - 0.7**21)) / ((v / (1 - 0.8**21)).sqrt() + 1e-8)
        rate = 0.01 * rule.lr  # the first update of a 1-sqrt decay has the whole peak
        expected = before[name] * (1 - rate * (0.5 if rule.decays else 0.0)) - rate * step
        torch.testing.assert_close(branch.model.p[name].detach().double(), expected, rtol=2e-5, atol=1e-7)
