"""A known law, and runs that follow it."""

import numpy as np
import pandas as pd

import scalinglab as sl

LAW = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2000.0, "beta": 0.37}


def runs_of(noise: float) -> pd.DataFrame:
    """Twenty runs on each of two eval sets; on `code` every loss is 0.7 times that on `web`."""
    rng = np.random.default_rng(0)
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 4)))
    clean = sl.laws.Chinchilla().predict(LAW, params=n, tokens=d)
    frames = [
        pd.DataFrame(
            {
                "run_id": [f"run <{i}>" for i in range(n.size)],
                "params": n,
                "tokens": d,
                "loss": factor * clean * np.exp(rng.normal(0, noise, n.size)),
                "loss_unit": "nats/token",
                "eval_set": name,
            }
        )
        for name, factor in (("web", 1.0), ("code", 0.7))
    ]
    return pd.concat(frames, ignore_index=True)
