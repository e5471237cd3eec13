"""A tiny ladder, its fit and the records of a run, as figures take them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab import laws

TRUE = {"E": 1.05, "A": 11.0, "alpha": 0.34, "B": 95.0, "beta": 0.40}
SIZES = (11_000.0, 24_000.0, 49_000.0, 98_000.0)


@pytest.fixture(scope="session")
def truth() -> dict[str, float]:
    """The law the tiny ladder follows."""
    return TRUE


@pytest.fixture(scope="session")
def runs() -> pd.DataFrame:
    """A tiny ladder: four sizes, the smallest at nine horizons, half a percent of noise."""
    rng = np.random.default_rng(1)
    rows = []
    for n in SIZES:
        for d in (
            np.array([0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, 4] if n == SIZES[0] else [0.25, 0.5, 1, 2]) * 1e6
        ):
            loss = TRUE["E"] + TRUE["A"] * n ** -TRUE["alpha"] + TRUE["B"] * d ** -TRUE["beta"]
            rows.append((f"{n:.0f}", "branch", n, d, loss * np.exp(rng.normal(0, 0.005)), "nats/byte", 0.012))
    names = ["trunk_id", "kind", "params", "tokens", "loss", "loss_unit", "loss_se"]
    return sl.read_runs(pd.DataFrame(rows, columns=names))


@pytest.fixture(scope="session")
def fit(runs):
    fit = sl.fit(laws.Chinchilla(), runs)
    fit.bootstrap(200, seed=0)
    return fit


@pytest.fixture(scope="session")
def training_records() -> Callable[..., tuple[dict, dict]]:
    """Records of a WSD trunk and its branches."""
    return training


def training(branches=(500, 1000, 2000)):
    """A WSD trunk and its branches, records every ten steps of 512 tokens, one held-out value at each end."""
    steps = np.arange(10, 2001, 10)
    base = 1.9 + 3.5 * (steps / 20 + 1) ** -0.55
    trunk = {"tokens": steps * 512.0, "lr": np.minimum(steps / 50, 1) * 0.006, "loss": base + 0.2}
    forks = {}
    for end in branches:
        own = np.arange(int(0.8 * end) + 10, end + 1, 10)
        share = (own - 0.8 * end) / (0.2 * end)
        loss = 1.9 + 3.5 * (own / 20 + 1) ** -0.55 + 0.2 * (1 - share)
        held_out = np.where(own == end, loss + 0.03, np.nan)
        forks[f"b{end}"] = {
            "tokens": own * 512.0, "lr": 0.006 * (1 - np.sqrt(share)), "loss": loss, "eval_loss": held_out,
        }  # fmt: skip
    return trunk, forks
