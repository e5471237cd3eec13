"""What the driver adds to the bare update, and what a fork and a rolling checkpoint cost.

Bare: the same model, loss, clipping and optimiser on one batch that lies ready, without data order, schedule, records
and checks. Turns alternate; times are those of this process alone, so that a busy machine does not count.

    python benchmarks/driver_overhead.py
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from scalinglab.ladder import WSD, named_shape
from scalinglab.ladder.definition import Run
from scalinglab.records.store import MetricsLog
from scalinglab.sweep.local_engine import SAVE_EVERY
from scalinglab.sweep.throughput import processor
from scalinglab.training import Streams, Trainer

CASES = (("tiny-10k", 512), ("tiny-47k", 512), ("tiny-200k", 512), ("tiny-200k", 4096), ("tiny-1m", 4096))


def run_of(name: str, batch: int) -> Run:
    return Run(
        kind="trunk", shape=named_shape(name), seed=0, data="benchmark", weights=(("a", 1.0), ("b", 2.0)),
        batch_tokens=batch, lr=0.01, weight_decay=0.1, betas=(0.9, 0.95), clip=1.0, parametrisation="minicpm",
        width_base=64, heldout_windows=8, schedule=WSD(10),
    )  # fmt: skip


def bare(trainer: Trainer) -> Callable[[int], None]:
    """Updates on one batch."""
    sequences = trainer.run.batch_tokens // trainer.run.shape.context
    inputs, targets = (torch.from_numpy(np.ascontiguousarray(a)) for a in trainer.mixture.batch(0, sequences))

    def update(count: int) -> None:
        for _ in range(count):
            trainer.optimiser.zero()
            trainer.model.loss(inputs, targets).backward()
            trainer._clip()
            trainer.optimiser.step(1.0)

    return update


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def driven(trainer: Trainer, log: MetricsLog, count: int) -> None:
    trainer.train(trainer.step + count, lambda entry: log.append("train", entry))


def main() -> None:
    torch.set_num_threads(1)
    print(f"{processor()}; {torch.backends.cpu.get_cpu_capability()}; load {os.getloadavg()[0]:.1f}")
    rng = np.random.default_rng(0)
    text = {name: rng.integers(32, 127, 3_000_000, dtype=np.uint8) for name in ("a", "b")}
    columns = ("update", 9), ("overhead", 9), ("save", 9), ("stall", 7), ("fork", 9), ("of updates", 10)
    print(f"{'size':>10} {'batch':>6} " + " ".join(f"{name:>{width}}" for name, width in columns))
    for name, batch in CASES:
        # one trainer for both: where its tensors lie moves times by more than the driver does
        trainer = Trainer(run_of(name, batch), Streams(text, text))
        update = bare(trainer)
        with tempfile.TemporaryDirectory() as folder, MetricsLog(Path(folder) / "metrics.jsonl") as log:
            trainer.train(20, lambda entry: log.append("train", entry))
            update(20)
            count = 10 * max(1, round(0.01 / seconds(partial(update, 1))))
            drive = partial(driven, trainer, log, count)
            alone = partial(update, count)
            rounds = []
            for turn in range(15):
                if turn % 2:
                    rounds.append((seconds(drive), seconds(alone)))
                else:
                    rounds.append((seconds(alone), seconds(drive))[::-1])
            overhead = statistics.median(driven / alone for driven, alone in rounds) - 1.0
            each = statistics.median(alone for _, alone in rounds) / count
            path = Path(folder) / "state.safetensors"
            # writing waits for the disk, so here the clock on the wall counts
            saves, loads = [], []
            for _ in range(9):
                began = time.perf_counter()
                trainer.save(path)
                saves.append(time.perf_counter() - began)
                began = time.perf_counter()
                trainer.load(path)
                loads.append(time.perf_counter() - began)
            save, load = statistics.median(saves), statistics.median(loads)
        print(
            f"{name:>10} {batch:6} {each * 1e3:6.1f} ms {overhead:9.1%} {save * 1e3:6.1f} ms "
            f"{save / SAVE_EVERY:7.2%} {load * 1e3:6.1f} ms {load / each:10.1f}",
            flush=True,
        )
    print(
        f"stall: share of training that a rolling checkpoint every {SAVE_EVERY:.0f} s takes; fork: loading its state"
    )


if __name__ == "__main__":
    main()
