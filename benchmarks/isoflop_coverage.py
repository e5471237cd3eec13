"""How often 90 % intervals of Approach 2 hold the truth: six simulated budgets, sizes evenly spaced in ln N.

    .venv/bin/python benchmarks/isoflop_coverage.py [tables]

Noise of 0.002 on the loss; sizes within a factor e^0.9 of the optimum, where the parabola's bias is far below it. The
runs of a budget are resampled from six sizes on, and redrawn with what the parabolas leave over below that.
"""

import sys

import numpy as np
import pandas as pd

import scalinglab as sl
from scalinglab.analysis import isoflop

TRUTH = {"E": 1.7, "A": 406.0, "alpha": 0.34, "B": 2000.0, "beta": 0.42}
BUDGETS = np.geomspace(1e18, 1e21, 6)


def table(sizes: int, seed: int) -> pd.DataFrame:
    rng, rows = np.random.default_rng(seed), []
    for c in BUDGETS:
        n = float(sl.laws.Chinchilla().optimal(TRUTH, c)[0]) * np.exp(np.linspace(-0.9, 0.9, sizes))
        rows.append(pd.DataFrame({"params": n, "tokens": c / (6 * n), "isoflop_budget": c}))
    runs = pd.concat(rows, ignore_index=True)
    ideal = sl.laws.Chinchilla().predict(TRUTH, params=runs["params"], tokens=runs["tokens"])
    return runs.assign(loss=ideal + 0.002 * rng.standard_normal(len(runs)))


def main() -> None:
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    law = sl.Fit.from_constants(sl.laws.Chinchilla(), TRUTH)
    a, ideal = (
        TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"]),
        sl.laws.Chinchilla().optimal(TRUTH, BUDGETS[2])[0],
    )
    print("sizes  interval of a holds it  of N at one budget")
    for sizes in (4, 6, 9, 15):
        held = []
        for seed in range(tables):
            found = isoflop(table(sizes, seed), fit=law, resamples=200, seed=seed)
            row = found.rows.loc[2]
            held.append((found.a.lo <= a <= found.a.hi, row["params_lo"] <= ideal <= row["params_hi"]))
        of_a, of_n = np.mean(held, axis=0)
        print(f"{sizes:5d}  {of_a:22.2f}  {of_n:18.2f}")


if __name__ == "__main__":
    main()
