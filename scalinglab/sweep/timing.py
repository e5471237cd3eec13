"""Measuring how fast the sizes of a study train here: a few seconds each, on as many workers as will train."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from scalinglab.errors import EnvironmentProblem
from scalinglab.ladder.definition import Run, run_of
from scalinglab.sweep import throughput

_SECONDS = 2.0  # of training a size, after its first updates
_WARM = 5  # updates before it is timed: allocations, caches, the compiler
_MAIN = "from scalinglab.sweep.timing import main; main()"


def time_runs(
    runs: Sequence[Run], workers: int, progress: Callable[[str, int, int], None] = lambda *step: None
) -> None:
    """Measure each run's update on random tokens, in `workers` processes side by side, and keep the medians.

    Raises EnvironmentProblem when a process fails.
    """
    from scalinglab.sweep.local_engine import SINGLE_THREAD

    named = [{"size": run.shape.name, "definition": run.definition()} for run in runs]
    crew = [
        subprocess.Popen(
            [sys.executable, "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | SINGLE_THREAD,
        )
        for _ in range(workers)
    ]
    try:
        for process in crew:
            assert process.stdin is not None
            process.stdin.write(json.dumps(named))
            process.stdin.close()
        seconds: list[list[float]] = []
        waits: list[float] = []
        for done, run in enumerate(runs):
            progress(run.shape.name, done, len(runs))
            lines = [process.stdout.readline() for process in crew if process.stdout is not None]
            if not all(lines):
                raise EnvironmentProblem("a process that measures the speed ended early (see above)")
            both = [json.loads(line) for line in lines]
            seconds.append([each[0] for each in both])
            waits.append(statistics.median(each[1] for each in both))
        progress("", len(runs), len(runs))
    finally:
        for process in crew:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    throughput.store(
        [
            (run.shape, run.batch_tokens, run.compiled, throughput.how_of(run), statistics.median(each))
            for run, each in zip(runs, seconds, strict=True)
        ],
        compile_seconds=waits,
    )


def seconds_per_step(run: Run) -> tuple[float, float]:
    """Median seconds of an update on random tokens, in this process, and what the first took longer: compiling."""
    import numpy as np
    import torch

    from scalinglab.training import Streams, Trainer

    torch.set_num_threads(1)
    text = np.random.default_rng(0).integers(0, run.shape.vocab, 50 * run.shape.context + 1, dtype=np.uint32)
    names = [name for name, _ in run.weights]
    trainer = Trainer(run, Streams(dict.fromkeys(names, text), dict.fromkeys(names, text)))
    began = time.perf_counter()
    trainer.train(1, lambda record: None)
    first = time.perf_counter() - began
    trainer.train(_WARM, lambda record: None)
    took: list[float] = []
    until = time.perf_counter() + _SECONDS
    while time.perf_counter() < until or len(took) < 3:
        began = time.perf_counter()
        trainer.train(trainer.step + 1, lambda record: None)
        took.append(time.perf_counter() - began)
    each = statistics.median(took)
    return each, max(0.0, first - each) if run.compiled else 0.0


def main() -> None:
    """Definitions of runs on stdin (JSON), [seconds an update, seconds to compile] on stdout, a line each."""
    given: list[dict[str, Any]] = json.load(sys.stdin)
    for each in given:
        print(json.dumps(seconds_per_step(run_of(each["definition"], each["size"]))), flush=True)
