"""The rules of an exact fork, bit for bit."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder import WSD, Decay
from scalinglab.training import Diverged, Trainer


def weights(trainer: Trainer) -> list[torch.Tensor]:
    held = {**trainer.model.p, **trainer.optimiser.state()}
    return [held[name].detach().clone() for name in sorted(held)]


def trained(run, streams, end: int, schedule: WSD | None = None) -> Trainer:
    trainer = Trainer(run, streams)
    assert trainer.train(end, schedule or run.schedule, lambda record: None)
    return trainer


def same(a: Trainer, b: Trainer) -> bool:
    return a.step == b.step and all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def test_a_zero_length_decay_is_the_trunk(run, streams) -> None:
    assert same(trained(run, streams, 30), trained(run, streams, 30, WSD(5, Decay("1-sqrt", 30, 0))))


@pytest.mark.parametrize(("at", "optimiser"), [(10, "adamw"), (20, "adamw"), (10, "muon")])
def test_interrupted_is_uninterrupted(run, streams, tmp_path: Path, at: int, optimiser: str) -> None:
    run = replace(run, optimiser=optimiser)
    whole = trained(run, streams, 33)
    first = Trainer(run, streams)
    records: list[dict[str, float]] = []
    assert not first.train(33, run.schedule, records.append, lambda: first.step == at)
    assert first.step == at
    first.save(tmp_path / "state.safetensors")
    second = Trainer(run, streams)
    second.load(tmp_path / "state.safetensors")
    second.train(33, run.schedule, records.append)
    assert same(whole, second)
    again: list[dict[str, float]] = []
    Trainer(run, streams).train(33, run.schedule, again.append)
    assert [r["loss"] for r in records] == [r["loss"] for r in again]
    assert whole.evaluate() == second.evaluate()


def test_two_forks_share_their_prefix_and_the_decay_alone_parts_them(run, streams, tmp_path: Path) -> None:
    trunk = trained(run, streams, 20)
    trunk.save(tmp_path / "fork.safetensors")
    ends = []
    for steps in (10, 20):
        schedule = WSD(5, Decay("linear", 20, steps))
        branch = Trainer(replace(run, kind="branch", schedule=schedule, parent=run.id), streams)
        branch.load(tmp_path / "fork.safetensors")
        assert same(trunk, branch)
        branch.train(30, schedule, lambda record: None)
        ends.append(branch)
        # the same as one run from scratch under the branch's schedule
        assert same(branch, trained(run, streams, 30, schedule))
    assert not same(*ends)


def test_a_damaged_checkpoint_is_refused(run, streams, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    trainer = trained(run, streams, 10)
    trainer.save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="differs from its recorded hash"):
        trainer.load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        trainer.load(path)


def test_a_run_that_diverges_says_where(run, streams) -> None:
    trainer = Trainer(replace(run, lr=1e20), streams)
    with pytest.raises(Diverged, match="not finite at step"):
        trainer.train(50, WSD(0), lambda record: None)


def test_a_full_disk_under_a_checkpoint_is_one_sentence(run, streams, tmp_path: Path, monkeypatch) -> None:
    trainer = trained(run, streams, 10)
    trainer.save(tmp_path / "state.safetensors")
    before = (tmp_path / "state.safetensors").read_bytes()

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EnvironmentProblem, match=r"state.safetensors: no space left on the disk"):
        trainer.save(tmp_path / "state.safetensors")
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_held_out_loss_that_is_no_number_is_a_divergence(run, streams) -> None:
    trainer = trained(run, streams, 10)
    with torch.no_grad():
        trainer.model.p["norm"].fill_(float("nan"))
    with pytest.raises(Diverged):
        trainer.evaluate()
