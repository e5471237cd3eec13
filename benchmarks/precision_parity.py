"""Whether training in bf16 ends where training in fp32 does: decayed losses of both, seed by seed.

Each seed trains one trunk and a decay in both precisions on the same text in the same order. The mean difference is set
beside the noise of a seed: bf16 is called equal where its mean lies within that noise and is no larger than 0.1 %.

    python benchmarks/precision_parity.py                      # 25k and 75k parameters, three seeds
    python benchmarks/precision_parity.py --shapes tiny-200k --updates 2000
"""

import argparse
import os
import statistics
import time
from dataclasses import replace

import torch

from scalinglab import corpus
from scalinglab.ladder import WSD, Decay, named_shape
from scalinglab.ladder.definition import Run
from scalinglab.sweep.throughput import processor
from scalinglab.training import Streams, Trainer


def decayed_loss(run: Run, text: Streams, updates: int) -> float:
    """Mean held-out loss, nats per byte, after a decay over the last fifth."""
    decay = max(1, updates // 5)
    trainer = Trainer(
        replace(run, schedule=WSD(updates // 20, Decay("1-sqrt", updates - decay, decay))), text
    )
    trainer.train(updates, lambda record: None)
    return statistics.mean(found.loss for found in trainer.evaluate().values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", default="tiny-20k,tiny-47k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--batch-tokens", type=int, default=512)
    parser.add_argument("--mix", default="stdlib")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{processor()}; {torch.backends.cpu.get_cpu_capability()}; load {os.getloadavg()[0]:.1f}")
    texts = corpus.build(options.mix)
    text = Streams(dict(texts.train), dict(texts.heldout))
    print(f"{'size':>10} {'seed':>5} {'fp32':>8} {'bf16':>8} {'difference':>11} {'seconds':>9}")
    for name in options.shapes.split(","):
        losses: dict[str, list[float]] = {"fp32": [], "bf16": []}
        for seed in range(options.seeds):
            took = []
            for precision, found in losses.items():
                run = Run(
                    kind="trunk", shape=named_shape(name), seed=seed, data="benchmark",
                    weights=tuple((each, 1.0) for each in texts.names), batch_tokens=options.batch_tokens, lr=0.006,
                    weight_decay=0.1, betas=(0.9, 0.95), clip=1.0, parametrisation="minicpm", width_base=40,
                    heldout_windows=256, schedule=WSD(0), precision=precision,
                )  # fmt: skip
                began = time.process_time()
                found.append(decayed_loss(run, text, options.updates))
                took.append(time.process_time() - began)
            one, other = (losses[each][-1] for each in losses)
            print(
                f"{name:>10} {seed:5} {one:8.4f} {other:8.4f} {other - one:+11.4f} {took[0]:4.0f} {took[1]:4.0f}",
                flush=True,
            )
        differences = [b - a for a, b in zip(losses["fp32"], losses["bf16"], strict=True)]
        mean, noise = statistics.mean(differences), statistics.stdev(losses["fp32"])
        equal = abs(mean) <= min(noise, 1e-3 * statistics.mean(losses["fp32"]))
        print(
            f"{name:>10}  mean {mean:+.4f}, a seed's noise {noise:.4f}: {'equal' if equal else 'not equal'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
