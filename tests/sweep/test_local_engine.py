"""The local engine: several processes on one task end with what one finds; GPUs are dealt out one a process."""

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records import read_runs
from scalinglab.sweep import devices, local_engine, prepare, run, run_tasks
from scalinglab.sweep.engine import Needs, Report
from scalinglab.sweep.local_engine import LocalEngine

STUB = """
import os, sys, time
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
pipe.recv()
pipe.send(("ready", os.getpid()))
while True:
    task = pipe.recv()
    rank = sys.argv[3] if len(sys.argv) > 3 else "0"
    if task.act == "die" and rank == task.rank:
        os._exit(3)
    if task.act == "fail" and rank == task.rank:
        pipe.send(("failed", task.id, "rank " + rank + " cannot"))
    elif task.act == "work":
        if rank == "0":
            pipe.send(("done", task.id, sys.argv[2], os.environ.get("CUDA_VISIBLE_DEVICES")))
    else:
        time.sleep(60)  # as in a sum that a partner never joins
"""


def step(name: str, act: str = "work", rank: str = "0") -> Any:
    return SimpleNamespace(id=name, act=act, rank=rank)


def last_words(engine: LocalEngine, count: int) -> list[Report]:
    found: list[Report] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += [report for report in engine.wait(1.0) if report[0] is not None]
    return found


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "_WORKER", STUB)


def test_two_processes_a_task_end_with_the_table_of_one(
    tiny_study: Path, tmp_path: Path, request: pytest.FixtureRequest, lacking
) -> None:
    """Stopped in the midst of its last branch but one, two go on with it."""
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        lacking("this build of torch has no gloo for several processes on a CPU")
    study, text = tiny_study.with_name("pair.toml"), tiny_study.read_text("utf-8")
    first, last = text.index('[[ladder.sizes]]\nname = "a"'), text.index('[[ladder.sizes]]\nname = "b"')
    text = text[:first] + text[last:].replace("replicates =", "# ")
    study.write_text(text.replace("horizons = [2560, 5120]", "horizons = [2560, 7680]"), "utf-8")
    kinds: dict[str, str] = {}

    def watch(event: tuple[Any, ...]) -> None:
        if event[0] == "start":
            kinds[event[1].id] = event[1].run.kind
        elif event[0] == "progress" and kinds[event[1]] == "branch" and event[2] == 100:
            signal.raise_signal(signal.SIGINT)

    out, single = tmp_path / "runs", tmp_path / "single"
    paired = run(prepare(study, out), study, 2, watch, save_every=0.0, processes_per_task=2)
    assert paired.outcome.stopped
    assert len(paired.outcome.done) == 3  # the trunk
    (state,) = out.glob("*/checkpoints/resume.safetensors")
    assert "-d7680-" in str(state)
    run(prepare(study, out), study, 2, save_every=0.0, processes_per_task=2)
    request.getfixturevalue("in_process")
    run(prepare(study, single), study)
    found, alone = read_runs(out), read_runs(single)
    assert len(found) == 5 * 3  # trunk at three stations and two branches; two sets and their mean
    pd.testing.assert_frame_equal(found, alone, rtol=1e-5)
    assert (found["loss"] != alone["loss"]).any()  # sums in another order: two did share the work


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_is_written(
    tiny_study: Path, tmp_path: Path
) -> None:
    prepared = prepare(tiny_study, tmp_path / "runs")
    with pytest.raises(InputError, match="a batch of 2 sequences cannot be shared evenly by 3 processes"):
        run(prepared, tiny_study, processes_per_task=3)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("stub")
def test_gpus_are_dealt_out(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, {}, 2, devices=("3", "5"))
    try:
        for name in "ab":
            assert engine.has_room(Needs(1, 1))
            engine.submit(step(name), Needs(1, 1))
        assert not engine.has_room(Needs(1, 1))
        assert sorted(event[2:] for _, event in last_words(engine, 2)) == [("cuda:0", "3"), ("cuda:0", "5")]
        assert not engine.has_room(Needs(3, 0)) or engine.has_room(Needs(1, 1))  # alone, it may
        ticket = engine.submit(step("c"), Needs(2, 2))
        assert not engine.has_room(Needs(1, 1))
        assert last_words(engine, 1) == [(ticket, ("done", "c", "cuda:0", "3,5"))]
        ticket = engine.submit(step("d"), Needs())
        assert last_words(engine, 1)[0][1][2] == "cpu"
    finally:
        engine.close()


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize(
    ("act", "said"), [("die", "its worker process ended (exit code 3)"), ("fail", "rank 1 cannot")]
)
def test_a_partner_that_gives_up_ends_its_team(tmp_path: Path, act: str, said: str) -> None:
    """The first of the team would wait for it for ever."""
    engine = LocalEngine(tmp_path, {}, 2)
    try:
        warm = engine.submit(step("warm"), Needs(2))
        last_words(engine, 1)
        (team,) = engine._teams
        ticket = engine.submit(step("a", act, "1"), Needs(2))
        assert ticket != warm
        ((told, event),) = last_words(engine, 1)
        assert (told, event[1:]) == (ticket, ("a", said))
        assert all(process.poll() is not None for process in team.processes)
        engine.submit(step("a"), Needs(2))
        assert last_words(engine, 1)[0][1][0] == "done"
    finally:
        engine.close()


def test_a_worker_that_never_begins_is_the_machines_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_engine, "_WORKER", "raise SystemExit(1)")
    engine = LocalEngine(tmp_path, {}, 1)
    engine.submit(step("a"), Needs())
    with pytest.raises(EnvironmentProblem, match="is the extra `train` installed"):
        last_words(engine, 1)
    engine.close()


def test_what_has_not_begun_is_stopped_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "_WORKER", "import time; time.sleep(60)")
    engine = LocalEngine(tmp_path, {}, 1)
    ticket = engine.submit(step("a"), Needs())
    engine.cancel()
    assert engine.wait(1.0) == [(ticket, ("stopped", "a"))]
    engine.close()


@pytest.mark.parametrize(
    ("allowed", "counted", "found"),
    [(None, "2", ("0", "1")), ("4, 7", "2", ("4", "7")), ("", "2", ()), ("-1", "2", ()), (None, "0", ())],
)
def test_gpus_are_those_that_torch_may_use(
    monkeypatch: pytest.MonkeyPatch, allowed: str | None, counted: str, found: tuple[str, ...]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    monkeypatch.setattr(devices.shutil, "which", lambda name: "/bin/" + name)
    monkeypatch.setattr(devices, "_COUNT", f"print({counted})")
    assert devices.visible_devices.__wrapped__() == found


def test_too_few_gpus_are_said(tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = prepare(tiny_study, tmp_path / "runs").todo
    monkeypatch.setattr(local_engine, "visible_devices", lambda: ("0",))
    with pytest.raises(EnvironmentProblem, match="2 processes a task need a GPU each and there are 1"):
        run_tasks(todo, tmp_path, {}, None, processes_per_task=2, device="cuda")
    monkeypatch.setattr(local_engine, "visible_devices", lambda: ())
    with pytest.raises(EnvironmentProblem, match="torch finds no GPU"):
        run_tasks(todo, tmp_path, {}, None, device="cuda")


def test_options_that_say_nothing_are_refused(cli, tiny_study: Path) -> None:
    assert "choose cpu or cuda" in cli("sweep", tiny_study, "--device", "tpu")[2]
    assert "one process on one core" in cli("sweep", tiny_study, "--dry-run", "--processes-per-task", 2)[2]
