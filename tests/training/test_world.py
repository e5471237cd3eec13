"""Two processes on one run, against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scalinglab.ladder.definition import Run
from scalinglab.training import Streams, Trainer


def test_two_processes_train_what_one_does(run: Run, streams: Streams, tmp_path: Path, lacking) -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        lacking("this build of torch has no gloo for several processes on a CPU")
    (tmp_path / "run.json").write_text(json.dumps(run.definition()))
    arrays = {f"train-{name}": text for name, text in streams.train.items()}
    np.savez(
        tmp_path / "text.npz", **arrays, **{f"heldout-{name}": text for name, text in streams.heldout.items()}
    )
    script = Path(__file__).with_name("world_script.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [*command, str(script), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))

    alone = Trainer(run, streams)
    records: list[dict[str, float]] = []
    alone.train(20, records.append)
    samples = [own + other for own, other in zip(first["batches"], second["batches"], strict=True)]
    for step, batch in enumerate(samples):  # in order of ranks they are the batch
        assert batch == alone.mixture.batch(2 * step, 2)[0].tolist()
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx([record["loss"] for record in records], rel=1e-5)
    assert first["heldout"] == second["heldout"]
    for name, found in alone.evaluate().items():
        assert first["heldout"][name]["loss"] == pytest.approx(found.loss, rel=1e-5)
        assert first["heldout"][name]["se"] == pytest.approx(found.se, rel=1e-4)
    assert first["weights"] == second["weights"]
    for found in (first, second):
        assert found["standing"]
        assert found["refused"] == (
            "a batch of 3 sequences cannot be shared evenly by 2 processes; "
            "choose a number of processes that divides 3"
        )

    resumed = Trainer(run, streams)
    resumed.load(tmp_path / "state.safetensors")
    assert resumed.evaluate()["one"].record() == first["heldout"]["one"]  # the windows' parts are the same
    later: list[dict[str, float]] = []
    resumed.train(30, later.append)
    alone.train(30, records.append)
    assert later[-1]["loss"] == pytest.approx(records[-1]["loss"], rel=1e-5)
