"""A sweep killed with SIGKILL thirty times, against the same sweep left alone: the same bytes, and what it cost.

    python benchmarks/kill_thirty.py [--kills 30] [--seed 0] [--save-every 1] [--length 1.0]

A study of three sizes on made-up text is trained by the real command line on two workers: once without interruption,
once with all its processes killed at random moments and started again until it ends. Every second kill comes at a
uniformly random time after training has begun, the others as soon as a checkpoint is being written. Everything lies
in a temporary folder. `--length` multiplies the horizons. Linux only (it reads /proc).
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from scalinglab.records.store import RunFolder, StudyFolder

WORKERS = 2
WINDOW = 4.0
"""Seconds after the first new record within which a kill's random moment lies."""
BATCH = 512

STUDY = """
title = "killed"

[data]
sources = [{{ path = "one" }}, {{ path = "two" }}]
context = 64
heldout_windows = 64

[model]
width_base = 64

[training]
batch_tokens = {batch}
lr = 0.01

[schedule]
warmup_tokens = {warmup}
decay_share = 0.2

[ladder]
horizons = {horizons}
sizes = [
  {{ name = "s", width = 48, layers = 2, heads = 2, ff = 128 }},
  {{ name = "m", width = 80, layers = 3, heads = 4, ff = 208 }},
  {{ name = "l", width = 128, layers = 3, heads = 4, ff = 344 }},
]
"""


def write_study(folder: Path, length: float) -> Path:
    """Two sources of made-up words in some order, and the study."""
    rng = np.random.default_rng(0)
    for name, letters in (("one", "abcdefghij"), ("two", "klmnopqrst")):
        (folder / name).mkdir()
        words = ["".join(rng.choice(list(letters), rng.integers(2, 8))) for _ in range(300)]
        for i in range(120):
            (folder / name / f"{i}.txt").write_text(" ".join(rng.choice(words, 2000)), "utf-8")
    horizons = [BATCH * round(updates * length) for updates in (120, 180, 260, 360)]
    path = folder / "killed.toml"
    path.write_text(STUDY.format(batch=BATCH, warmup=BATCH * 20, horizons=horizons), "utf-8")
    return path


class Sweep:
    """`scalinglab sweep` in a session of its own, workers included."""

    def __init__(self, study: Path, out: Path, save_every: float) -> None:
        command = [
            sys.executable,
            "-c",
            "from scalinglab.cli import main; main()",
            "sweep",
            study,
            "--out",
            out,
        ]
        command += [
            "--figures",
            out.with_suffix(".figures"),
            "--workers",
            WORKERS,
            "--save-every",
            save_every,
        ]
        self.out = out
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def members(self) -> list[int]:
        """Process ids of the session, the command's own last."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.process.pid:
                with suppress(OSError, ValueError, IndexError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self.process.pid:
                        found.append(int(entry.name))
        return [*found, self.process.pid]

    def kill(self, members: list[int]) -> None:
        """End all of it at once, and wait until nothing is left of it."""
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        while len(left := self.members()) > 1:
            for pid in left[:-1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def recorded(self) -> int:
        """Bytes of all metrics."""
        return sum(path.stat().st_size for path in self.out.glob("*/metrics.jsonl"))


def being_written(out: Path) -> list[Path]:
    """Checkpoints under their temporary names."""
    return [
        path
        for folder in out.glob("*/checkpoints")
        for path in folder.glob(".*.tmp")
        if path.name.startswith((".step-", ".resume"))
    ]


def wait_for(condition, sweep: Sweep, pause: float) -> bool:
    """False when the sweep ended before the condition held."""
    while not condition():
        if sweep.ended:
            return False
        time.sleep(pause)
    return True


def state_step(path: Path) -> int:
    """Step of a checkpoint, from its header."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return int(json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["scalinglab"])["step"])


def lost(run: RunFolder) -> int:
    """Recorded updates of a run that no state on disk holds."""
    furthest = max(run.read_metrics().train, default=0)
    resume = [state_step(run.resume_path)] if run.resume_path.exists() else []
    held = max([run.manifest()["start"], *run.checkpoints(), *resume])
    return max(0, furthest - held)


def results(folder: StudyFolder) -> dict[str, str]:
    files = [folder.table_path, *sorted(folder.path.glob("*/checkpoints/step-*.safetensors"))]
    return {
        str(path.relative_to(folder.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def finish(sweep: Sweep) -> float:
    """Seconds until a sweep that is left alone ends."""
    printed, _ = sweep.process.communicate()
    if sweep.process.returncode:
        raise SystemExit(f"the sweep ended with code {sweep.process.returncode}:\n{printed}")
    return time.monotonic() - sweep.began


def one_kill(number: int, sweep: Sweep, rng: random.Random) -> str | None:
    """Kill a sweep that has just been started, and say what that interrupted; None when it ended before."""
    before = sweep.recorded()
    if not wait_for(lambda: sweep.recorded() > before, sweep, 0.01):
        return None
    begun, members, at_write = time.monotonic(), sweep.members(), number % 2 == 0
    delay = rng.uniform(0.0, WINDOW / 2 if at_write else WINDOW)
    if not wait_for(lambda: time.monotonic() - begun >= delay, sweep, 0.001):
        return None
    if at_write and not wait_for(lambda: being_written(sweep.out), sweep, 0.0002):
        return None
    moment = time.monotonic() - sweep.began
    sweep.kill(members)
    torn = being_written(sweep.out)
    # a state of the same run is of the same size
    whole = {
        path: max((p.stat().st_size for p in path.parent.glob("*.safetensors")), default=0) for path in torn
    }
    parts = [
        f"{path.parent.parent.name}/{path.name.split('.safetensors')[0]} "
        + (f"at {path.stat().st_size:,} of {size:,} bytes" if size else f"at {path.stat().st_size:,} bytes")
        for path, size in whole.items()
    ]
    runs = {run.path.name: lost(run) for run in StudyFolder(sweep.out).runs()}
    gone = ", ".join(f"{count} of {name}" for name, count in runs.items() if count) or "none"
    what = "the writing of " + " and ".join(parts) if parts else "training"
    kind = "at a write" if at_write else "at random"
    return f"{number:3d} {kind:10s} {moment:6.2f} s after its start  interrupted {what}; recorded updates lost: {gone}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=float, default=1.0, help="seconds between rolling checkpoints")
    parser.add_argument("--length", type=float, default=1.0, help="multiplies the horizons")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SCALINGLAB_CACHE"] = str(folder / "cache")
        study = write_study(folder, given.length)
        print(f"seed {given.seed}, {WORKERS} workers, a state every {given.save_every:g} s", flush=True)
        alone = StudyFolder(folder / "alone")
        seconds = finish(Sweep(study, alone.path, given.save_every))
        training = sum(run.read_metrics().seconds for run in alone.runs()) / WORKERS
        print(
            f"uninterrupted: {seconds:.0f} s, of which about {training:.0f} s of training on each worker",
            flush=True,
        )

        rng, killed, kills, torn = random.Random(given.seed), StudyFolder(folder / "killed"), 0, 0
        while kills < given.kills:
            sweep = Sweep(study, killed.path, given.save_every)
            line = one_kill(kills + 1, sweep, rng)
            if line is None:
                print(f"the sweep ended by itself after {kills} kills; lengthen it with --length", flush=True)
                break
            kills += 1
            torn += "the writing of" in line
            print(line, flush=True)
        seconds = finish(Sweep(study, killed.path, given.save_every))
        print(f"left alone, the killed sweep ended after {seconds:.0f} s more", flush=True)

        expected, found = results(alone), results(killed)
        differing = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        leftovers = [
            p for p in killed.path.rglob("*") if p.suffix == ".tmp" or p.name == "resume.safetensors"
        ]
        wasted = sum(run.read_metrics().wasted for run in killed.runs())
        trained = sum(max(run.read_metrics().train) - run.manifest()["start"] for run in killed.runs())
        print(f"{kills} kills, of which {torn} left a checkpoint under its temporary name")
        same = "no: " + ", ".join(differing) if differing else "yes"
        print(f"table and {len(expected) - 1} checkpoints identical: {same}")
        print(f"temporary files left: {len(leftovers)}")
        print(
            f"updates trained again: {wasted:,} recorded ones beside {trained:,}, {wasted / trained:.1%}; "
            f"and up to 9 a worker and kill that no record tells of"
        )
        if differing or leftovers:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
