"""The rules of an exact fork, bit for bit, uncompiled and compiled."""

import errno
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder import WSD, Decay
from scalinglab.training import Diverged, Trainer
from scalinglab.training.model import Transformer


def weights(trainer: Trainer) -> list[torch.Tensor]:
    held = {**trainer.model.p, **trainer.optimiser.state()}
    return [held[name].detach().clone() for name in sorted(held)]


def trained(run, streams, end: int, schedule: WSD | None = None) -> Trainer:
    trainer = Trainer(replace(run, schedule=schedule or run.schedule), streams)
    assert trainer.train(end, lambda record: None)
    return trainer


def same(a: Trainer, b: Trainer) -> bool:
    return a.step == b.step and all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def check_a_zero_length_decay(run, streams) -> None:
    assert same(trained(run, streams, 30), trained(run, streams, 30, WSD(5, Decay("1-sqrt", 30, 0))))


def check_an_interruption(run, streams, tmp_path: Path, at: int) -> None:
    whole = trained(run, streams, 33)
    first = Trainer(run, streams)
    records: list[dict[str, float]] = []
    assert not first.train(33, records.append, lambda: first.step == at)
    assert first.step == at
    first.save(tmp_path / "state.safetensors")
    second = Trainer(run, streams)
    second.load(tmp_path / "state.safetensors")
    second.train(33, records.append)
    assert same(whole, second)
    again: list[dict[str, float]] = []
    Trainer(run, streams).train(33, again.append)
    assert [r["loss"] for r in records] == [r["loss"] for r in again]
    assert whole.evaluate() == second.evaluate()


def check_two_forks(run, streams, tmp_path: Path) -> None:
    """They share their prefix, and the decay alone parts them."""
    trunk = trained(run, streams, 20)
    trunk.save(tmp_path / "fork.safetensors")
    ends = []
    for steps in (10, 20):
        schedule = WSD(5, Decay("linear", 20, steps))
        branch = Trainer(replace(run, kind="branch", schedule=schedule, parent=run.id), streams)
        branch.load(tmp_path / "fork.safetensors")
        assert same(trunk, branch)
        branch.train(30, lambda record: None)
        ends.append(branch)
        # the same as one run from scratch under the branch's schedule
        assert same(branch, trained(run, streams, 30, schedule))
    assert not same(*ends)


def test_a_zero_length_decay_is_the_trunk(run, streams) -> None:
    check_a_zero_length_decay(run, streams)


@pytest.mark.parametrize(("at", "optimiser"), [(10, "adamw"), (20, "adamw"), (10, "muon")])
def test_interrupted_is_uninterrupted(run, streams, tmp_path: Path, at: int, optimiser: str) -> None:
    check_an_interruption(replace(run, optimiser=optimiser), streams, tmp_path, at)


def test_a_ramped_trunk_interrupted_is_uninterrupted(run, streams, tmp_path: Path) -> None:
    for at in (10, 20):  # before the ramp and within it
        check_an_interruption(replace(run, ramp=((15, 128), (25, 96))), streams, tmp_path, at)


def test_two_forks_share_their_prefix_and_the_decay_alone_parts_them(run, streams, tmp_path: Path) -> None:
    check_two_forks(run, streams, tmp_path)


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:The distutils package is deprecated:DeprecationWarning")  # likewise
def test_compiled_code_keeps_all_of_it_and_differs_in_last_digits(
    run, streams, tmp_path: Path, lacking
) -> None:
    """One test, so that one process compiles once."""
    if not (shutil.which("g++") or shutil.which("clang++")):
        lacking("no C++ compiler (g++ or clang++) to compile the training code with")
    run = replace(run, shape=replace(run.shape, layers=1), compiled=True)
    check_a_zero_length_decay(run, streams)
    check_an_interruption(run, streams, tmp_path, 10)
    check_an_interruption(replace(run, optimiser="muon"), streams, tmp_path, 20)
    check_two_forks(run, streams, tmp_path)
    compiled, eager = trained(run, streams, 30), trained(replace(run, compiled=False), streams, 30)
    for found, expected in zip(weights(compiled), weights(eager), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6)
    assert compiled.evaluate()["one"].loss == pytest.approx(eager.evaluate()["one"].loss, rel=1e-7)


def test_a_process_compiles_every_shape_it_is_given(run, streams, monkeypatch) -> None:
    """Torch on its own gives up after eight, and goes on with uncompiled code and other last digits."""
    compiled: Counter[torch.Size] = Counter()

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]):
        compiled[max(x.shape for x in inputs if x.dtype == torch.int64)] += 1
        return graph.forward

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda code, **how: original(code, backend=backend, **how))
    # quick to trace
    monkeypatch.setattr(
        Transformer, "loss", lambda self, x, y: self.p["norm"].mean() + (x - y).float().mean()
    )
    torch._dynamo.reset()
    batches = range(1, 11)
    for count in batches:
        Trainer(replace(run, batch_tokens=32 * count, compiled=True), streams).train(1, lambda _: None)
    torch._dynamo.reset()
    assert compiled == {torch.Size([count, 32]): 1 for count in batches}


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
    trainer = Trainer(replace(run, lr=1e20, schedule=WSD(0)), streams)
    with pytest.raises(Diverged, match="at step 10 the training loss is not a finite number"):
        trainer.train(50, lambda record: None)


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
