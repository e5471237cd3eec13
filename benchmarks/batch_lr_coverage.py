"""Do 90 % intervals of the batch and learning-rate laws cover? Simulated sweeps of a known law.

    python benchmarks/batch_lr_coverage.py [SWEEPS]

Cells of tilted quadratic valleys on a grid of half powers of two in learning rate and powers of two in batch, whose
optima lie off the grid. noise: standard deviation of a run's ln L. spread: of a cell's optimum about the law.
"""

import math
import sys

import numpy as np
import pandas as pd

from scalinglab.analysis import batch_lr

SETTINGS = (
    (0.001, 0.0, (1e8, 2e8, 4e8, 8e8), (10, 30, 100, 200)),
    (0.001, 0.1, (1e8, 2e8, 4e8, 8e8), (10, 30, 100, 200)),
    (0.002, 0.0, (1e8, 2e8, 4e8), (20, 100)),
    (0.001, 0.1, (1e8, 2e8, 4e8), (20, 100)),
)


def sweep(
    rng: np.random.Generator, noise: float, spread: float, sizes: tuple[float, ...], ratios: tuple[int, ...]
) -> pd.DataFrame:
    rows = []
    for n in sizes:
        for d in (n * ratio for ratio in ratios):
            u0 = math.log(2 * n**-0.7 * d**0.3) + rng.normal(0, spread)
            v0 = math.log(0.5 * d**0.58) + rng.normal(0, spread)
            for lr in 2.0 ** np.arange(-13, -4, 0.5):
                for batch in 2.0 ** np.arange(14, 24):
                    u, v = math.log(lr) - u0, math.log(batch) - v0
                    if abs(u) < 2 and abs(v) < 2.6:
                        rise = 0.008 * u * u - 0.004 * u * v + 0.006 * v * v
                        loss = (2 + 30 * n**-0.2) * math.exp(rise + rng.normal(0, noise))
                        rows.append((n, d, lr, batch, loss))
    return pd.DataFrame(rows, columns=["params", "tokens", "lr", "batch_tokens", "loss"])


def main(sweeps: int) -> None:
    print(
        "share of 90 % intervals that hold the truth; a, b: lr* = c·N^a·D^b; m: batch* = k·D^m; n: of N in batch*"
    )
    print("cells  noise  spread  optimum    a     b     m     n    lr*(5e8, 5e10)")
    for noise, spread, sizes, ratios in SETTINGS:
        for where in ("smooth", "grid"):
            hits = []
            for seed in range(sweeps):
                runs = sweep(np.random.default_rng(seed), noise, spread, sizes, ratios)
                found = batch_lr(runs, where, resamples=400)  # type: ignore[arg-type]
                lr = found.at(5e8, 5e10, beyond=9).lr
                asked = (
                    (found.lr_params, -0.7), (found.lr_tokens, 0.3), (found.batch_tokens, 0.58),
                    (found.batch_params, 0.0), (lr, 2 * 5e8**-0.7 * 5e10**0.3),
                )  # fmt: skip
                hits.append([each.lo <= true <= each.hi for each, true in asked])
            shares = "  ".join(f"{share:.2f}" for share in np.mean(hits, axis=0))
            print(
                f"{len(sizes) * len(ratios):5d}  {noise:.3f}  {spread:6.1f}  {where:7s}  {shares}", flush=True
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
