"""SIGKILL at the worst moments: the same command ends with the bytes of the uninterrupted run."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scalinglab.ladder import Spent
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import Swept, prepare, run

SWEEP = """
import sys
from pathlib import Path
from scalinglab.sweep import local_engine, prepare, run
study, out, local_engine._WORKER, save_every = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
run(prepare(study, out), study, 1, save_every=save_every)
"""

DEADLY_WORKER = """
import os, signal, time
from pathlib import Path
from scalinglab.records.store import MetricsLog
from scalinglab.sweep.worker import main
from scalinglab.training.optimiser import Optimiser

def die():
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

def before(owner, name, at, action, wanted=lambda *arguments: True):
    original, left = getattr(owner, name), [at]
    def deadly(*arguments):
        left[0] -= wanted(*arguments)
        if left[0] == 0:
            action(*arguments)
        return original(*arguments)
    setattr(owner, name, deadly)

"""

HALF_WRITTEN = """
def half(path, data):
    path.open("wb", buffering=0).write(data[: len(data) // 2])
    die()
before(Path, "write_bytes", 1, half, lambda path, data: path.name.startswith(".step-"))
main()
"""
NOT_RENAMED = """
before(os, "replace", 1, lambda *_: die(), lambda here, there: there.name.startswith("step-"))
main()
"""
NOT_MEASURED = """
before(MetricsLog, "append", 1, lambda *_: die(), lambda log, kind, record: kind == "eval")
main()
"""
IN_UPDATE = """
before(Optimiser, "step", {update}, lambda *_: die())
main()
"""
PARENT_ALONE = """
def hang(*_):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)  # as a large model's update
before(Optimiser, "step", 13, hang)
main()
"""


def killed(study: Path, out: Path, how: str, save_every: float = 30.0) -> None:
    """Sweep in processes of their own that kill themselves."""
    command = [sys.executable, "-c", SWEEP, str(study), str(out), DEADLY_WORKER + how, str(save_every)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_killed_anywhere_it_ends_with_the_same_bytes(
    whole: Swept, tiny_study: Path, tmp_path: Path, results: Callable[[StudyFolder], dict[str, str]]
) -> None:
    """Every kill meets the updates 1 to 30 of the same trunk first, and the last one another trunk.

    Records stand every ten updates, and what lies after the last one is not counted.
    """
    out = tmp_path / "runs"
    first, other = (next(run for run in whole.prepared.trunks if run.plan.label == size) for size in "ba")
    states = out / first.run.id / "checkpoints"

    def kept() -> list[str]:
        return sorted(path.name for path in states.iterdir() if path.name != ".lock")

    killed(tiny_study, out, IN_UPDATE.format(update=random.Random(5).randint(21, 30)))
    assert kept() == []
    killed(tiny_study, out, HALF_WRITTEN)  # updates 1 to 20 a second time
    (torn,) = kept()
    size = len((whole.prepared.folder.run(first.run.id).checkpoint_path(30)).read_bytes())
    assert (states / torn).stat().st_size == size // 2
    killed(tiny_study, out, NOT_RENAMED, save_every=0.0)  # 1 to 30 again
    assert len(kept()) == 2
    assert kept()[1] == "resume.safetensors"
    assert (states / kept()[0]).stat().st_size == size
    killed(tiny_study, out, NOT_MEASURED)  # 21 to 30 again
    assert kept() == ["step-00000030.safetensors"]
    assert prepare(tiny_study, out).todo == prepare(tiny_study, tmp_path / "none").todo
    killed(tiny_study, out, PARENT_ALONE)  # nothing of this trunk again
    assert len(prepare(tiny_study, out).todo) == len(whole.prepared.tasks) - 1

    swept = run(prepare(tiny_study, out), tiny_study, 1)
    assert not swept.outcome.failed
    assert results(swept.prepared.folder) == results(whole.prepared.folder)
    leftovers = [path for path in out.rglob("*") if path.suffix == ".tmp" or "resume" in path.name]
    assert leftovers == []
    for row, expected, trunk in zip(swept.trained, whole.trained, whole.prepared.trunks, strict=False):
        again = {first.run.id: 20 + 30 + 10, other.run.id: 10}.get(trunk.run.id, 0)
        assert row == replace(expected, wasted=Spent.of(trunk.run.shape, again, 64 * again))
    assert swept.trained[-1].wasted.steps == 70


def test_one_worker_does_what_several_do(
    whole: Swept, tiny_study: Path, tmp_path: Path, results: Callable[[StudyFolder], dict[str, str]]
) -> None:
    swept = run(prepare(tiny_study, tmp_path / "runs"), tiny_study, 1)
    found = results(swept.prepared.folder)
    assert len(found) == 1 + len(whole.prepared.tasks)
    assert found == results(whole.prepared.folder)
