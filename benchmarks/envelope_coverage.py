"""Approach 1 on curves of a known law: does the 90 % interval of a hold it, and how far off is the value?

    python benchmarks/envelope_coverage.py [--repeats 60]

Each repeat draws sizes at random, log-uniform over 10M to 10B parameters, each with one trunk from D/N = 1 to 400 by
Hoffmann's published law (a = 0.4516), shifted by a normal deviation of its own in log loss. covers: share of intervals
that hold a, of those that have ends; none: repeats without them (the resamples leave too few optima).
"""

import argparse

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import envelope

CASES = ((8, 0.0), (12, 0.0), (20, 0.0), (12, 0.002), (20, 0.002))
"""(sizes, deviation of a trunk)."""


def curves(sizes: np.ndarray, rng: np.random.Generator, deviation: float) -> pd.DataFrame:
    published, parts = laws.PUBLISHED["hoffmann"], []
    for n in sizes:
        d = np.geomspace(n, 400 * n, 40)
        loss = published.law.predict(published.constants, params=n, tokens=d) * np.exp(
            rng.normal(0, deviation)
        )
        parts.append(pd.DataFrame({"run_id": f"{n:.6g}", "params": n, "tokens": d, "loss": loss}))
    return pd.concat(parts)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--repeats", type=int, default=60)
    repeats = asked.parse_args().repeats
    a = float(laws.PUBLISHED["hoffmann"].law.exponents(laws.PUBLISHED["hoffmann"].constants)[0])
    print(f"a = {a:.4f}, {repeats} repeats, 200 resamples of the sizes each\n")
    print(
        "| sizes | deviation | through | covers | none | bias | sd | mean width |\n|---|---|---|---|---|---|---|---|"
    )
    for k, deviation in CASES:
        for through in ("middles", "budgets"):
            rng, off, held, width = np.random.default_rng(1), [], [], []
            for seed in range(repeats):
                table = curves(np.sort(10 ** rng.uniform(7, 10, k)), rng, deviation)
                found = envelope(table, through=through, resamples=200, budgets=200, smooth=0, seed=seed).a
                if np.isnan(found.lo):
                    continue
                off.append(found.value - a)
                held.append(found.lo <= a <= found.hi)
                width.append(found.hi - found.lo)
            cells = (k, deviation, through, f"{np.mean(held):.2f}", repeats - len(held))
            figures = (f"{value:.4f}" for value in (np.mean(off), np.std(off), np.mean(width)))
            print("| " + " | ".join(map(str, (*cells, *figures))) + " |", flush=True)


if __name__ == "__main__":
    main()
