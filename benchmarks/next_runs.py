"""Does `next_runs` beat carrying the ladder on? The same budget, a known truth, the results drawn anew each time.

    python benchmarks/next_runs.py [--repeats 40] [--resamples 300] [--only t]

A ladder of four sizes (8×) by four horizons (8×) about Hoffmann's re-fitted law. The budget is what one further horizon
of every size costs. Each way spends it, the table is refitted at the defaults, and the answer's 90 % interval and its
distance from the truth are noted:

  s  runs from scratch, 0.3 % of noise, bootstrap of rows (the default): D/N at ten times the dearest run
  p  the same, parametric bootstrap
  l  the same: the loss there; a  the same: the exponent a
  t  a WSD ladder: branches of four trunks, 0.3 % a branch and 0.3 % a trunk: D/N
  k  as p, but the law fitted is wrong: the truth is Skaling's form with k = 0.7, as near to the ladder as it comes
  q  as p, but the truth bends away: loss times exp(0.005·x²), x the decades of N from the ladder's middle

Printed for each way: median width (hi/lo for D/N, hi − lo otherwise), median error (of ln D/N, or of the answer), what
nine errors in ten lie below, the share of intervals that hold the truth; and the width (in logs for D/N) and median
error of next_runs over this way's, with 95 % intervals from resampling the repeats.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import simulate_next
from scalinglab.fitting import Fit, Huber, Squared, fit

TRUTH = {"E": 1.82, "A": 478.0, "alpha": 0.347, "B": 2143.0, "beta": 0.367}
CASES: dict[str, dict[str, Any]] = {
    "s": {"mode": "scratch"},
    "p": {"mode": "scratch", "method": "parametric"},
    "l": {"mode": "scratch", "method": "parametric", "answer": "loss"},
    "a": {"mode": "scratch", "method": "parametric", "answer": "a"},
    "t": {"mode": "trunk", "trunk_sd": 3e-3},
    "k": {"mode": "scratch", "method": "parametric"},
    "q": {"mode": "scratch", "method": "parametric"},
}


def bent(params: Any, tokens: Any, E: Any, A: Any, alpha: Any, B: Any, beta: Any, bend: Any) -> Any:
    """Chinchilla's law times exp(bend·x²), x the decades of N from the middle of the ladder."""
    decades = np.log10(params / np.sqrt(8.0) / 1e8)
    return (E + A * params**-alpha + B * tokens**-beta) * np.exp(bend * decades**2)


def truth_of(letter: str, ladder: pd.DataFrame) -> Fit:
    law = laws.Chinchilla()
    clean = ladder.assign(loss=law.predict(TRUTH, **ladder[["params", "tokens"]]))
    if letter == "k":
        nearest = fit(laws.Skaling(), clean, loss=Squared(), constraints={"k": 0.7})
        return replace(nearest, loss=Huber())
    if letter == "q":
        return Fit.from_constants(laws.from_function(bent), TRUTH | {"bend": 0.005})
    return fit(law, clean)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--only", default="".join(CASES), help="cases to run, such as st")
    options = parser.parse_args()
    grid = np.meshgrid(np.geomspace(1e8, 8e8, 4), np.geomspace(2e9, 1.6e10, 4), indexing="ij")
    n, d = (axis.ravel() for axis in grid)
    ladder = pd.DataFrame({"params": n, "tokens": d})
    for letter in options.only:
        how = CASES[letter]
        start = ladder.assign(trunk_id=[f"{v:.3g}" for v in n]) if how["mode"] == "trunk" else ladder
        began = time.perf_counter()
        found = simulate_next(
            truth_of(letter, ladder),
            ladder=start,
            law=laws.Chinchilla(),
            row_sd=3e-3,
            repeats=options.repeats,
            resamples=options.resamples,
            **how,
        )
        now = found.each[found.each["way"] == "now"]
        print(
            f"\n{letter}: {found.about}, {found.budget:.3g} FLOPs, {found.repeats} repeats, "
            f"{time.perf_counter() - began:.0f} s; before: width {now['width'].median():.3g}, error "
            f"{now['error'].median():.3g}; width that next_runs expected {found.expected:.3g}\n"
        )
        print(
            "| way | runs | FLOPs | width | error | 90 % below | holds | width, ours over it | error, ours over it |"
        )
        print("|---" * 9 + "|")
        for row in found.rows.to_dict("records"):
            ratios = [
                f"{row[k]:.2f} [{row[f'{k}_lo']:.2f}, {row[f'{k}_hi']:.2f}]"
                for k in ("width_ratio", "error_ratio")
            ]
            print(
                f"| {row['way']} | {row['runs']:.1f} | {row['flops']:.2g} | {row['width']:.3g} | {row['error']:.2g} "
                f"| {row['error_90']:.2g} | {row['covered']:.0%} | {' | '.join(ratios)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
