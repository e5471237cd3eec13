"""Do the 90 % intervals of a paired comparison hold the truth nine times in ten? Simulated recipes A and B.

    python benchmarks/paired_coverage.py [--repeats 200] [--resamples 500] [--only wide]

Ladders, about the law re-fitted to Hoffmann's runs:

  wide   36 pairs: 6 sizes (100×) of one trunk each, 6 horizons
  quick  28 pairs on 8 trunks: 4 sizes (10×), the smallest at 8 horizons, and two more seeds of the two smallest at 2

B's loss is A's law at m times the tokens ("data"), or lies as far down A's compute-optimal frontier as k times the
compute does ("compute"). A row deviates by 0.3 %, a trunk by 0.3 %. "shared": B forks from A's trunks, so that a
trunk's deviation is common but for 0.05 %, and a row's for 0.1 %. "own": B's runs are its own, with deviations of the
same size.

Printed: the share of repeats, in per cent, whose interval holds the true mean difference and the true multiplier; how
often the difference is called better for B; the median estimate and the median ends. A share over 200 repeats is known
to 2 points.
"""

import argparse
import warnings

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import paired

LAW = laws.Chinchilla()
TRUTH = {"E": 1.82, "A": 478.0, "alpha": 0.347, "B": 2143.0, "beta": 0.367}
SD = 3e-3


def ladder(name: str) -> pd.DataFrame:
    """params, tokens, seed of every run."""
    if name == "wide":
        trunks = [(n, 0, np.geomspace(8.0, 160.0, 6) * n) for n in np.geomspace(1e8, 1e10, 6)]
    else:
        n, d = np.geomspace(1e8, 1e9, 4), np.geomspace(2e9, 16e9, 4)
        trunks = [(size, 0, d) for size in n[1:]] + [(n[0], 0, np.geomspace(2e9, 24e9, 8))]
        trunks += [(size, seed, d[:2]) for size in n[:2] for seed in (1, 2)]
    parts = [pd.DataFrame({"params": size, "tokens": ends, "seed": seed}) for size, seed, ends in trunks]
    return pd.concat(parts, ignore_index=True)


def simulate(
    runs: pd.DataFrame, way: str, times: float, shared: bool, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Tables of A and B, and the true mean difference of log loss."""
    rng = np.random.default_rng([11, seed])
    trunk = runs.groupby(["params", "seed"]).ngroup().to_numpy()

    def noise(scale: float, own: float) -> np.ndarray:
        return scale * rng.standard_normal(trunk.max() + 1)[trunk] + own * rng.standard_normal(len(trunk))

    clean = LAW.predict(TRUTH, params=runs["params"], tokens=runs["tokens"])
    if way == "data":
        better = LAW.predict(TRUTH, params=runs["params"], tokens=times * runs["tokens"])
    else:
        gamma = TRUTH["alpha"] * TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
        better = TRUTH["E"] + (clean - TRUTH["E"]) * times**-gamma
    first = noise(SD, SD)
    second = first + noise(5e-4, 1e-3) if shared else noise(SD, SD)
    a, b = runs.assign(loss=clean * np.exp(first)), runs.assign(loss=better * np.exp(second))
    return a, b, float(np.mean(np.log(better / clean)))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repeats", type=int, default=200)
    options.add_argument("--resamples", type=int, default=500)
    options.add_argument("--only", choices=("wide", "quick"))
    given = options.parse_args()
    warnings.simplefilter("ignore")
    print(f"{given.repeats} repeats, {given.resamples} resamples; shares in per cent")
    print(f"{'ladder':7}{'truth':15}{'trunks':8}{'mean':>6}{'times':>7}{'B better':>10}   median estimate")
    for name in (given.only,) if given.only else ("wide", "quick"):
        runs = ladder(name)
        for shared in (True, False):
            for way, times in (
                ("data", 1.0),
                ("data", 1.2),
                ("data", 2.0),
                ("compute", 1.2),
                ("compute", 2.0),
            ):
                found = []
                for i in range(given.repeats):
                    a, b, truth = simulate(runs, way, times, shared, i)
                    answer = paired(a, b, resamples=given.resamples)
                    of = answer.data_multiplier if way == "data" else answer.compute_multiplier
                    mean = answer.difference
                    found.append(
                        (mean.lo <= truth <= mean.hi, of.lo <= times <= of.hi, answer.better == "B",
                         of.value, of.lo, of.hi)
                    )  # fmt: skip
                held, true, better = 100 * np.mean([row[:3] for row in found], axis=0)
                middle, lo, hi = np.median([row[3:] for row in found], axis=0)
                print(
                    f"{name:7}{way:8}{times:<7g}{'shared' if shared else 'own':8}{held:6.0f}{true:7.0f}{better:10.0f}"
                    f"   {middle:.3f} [{lo:.3f}, {hi:.3f}]",
                    flush=True,
                )


if __name__ == "__main__":
    main()
