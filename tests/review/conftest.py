"""Run tables simulated from a known law."""

import numpy as np
import pandas as pd

from scalinglab import laws

TRUTH = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 2000.0, "beta": 0.37}


def simulated(seed: int, sigma: float = 0.005, *, seeds: int = 1, trunk: float = 0.0) -> pd.DataFrame:
    """Six sizes by six horizons, `seeds` trunks a size; ln loss scatters by `sigma`, whole trunks by `trunk` more."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(np.geomspace(3e7, 3e9, 6), range(seeds), np.geomspace(2e9, 2e11, 6), indexing="ij")
    n, s, d = (a.ravel() for a in grid)
    names = [f"{size:.2g}-s{int(i)}" for size, i in zip(n, s, strict=True)]
    own = {name: rng.normal(0, trunk) for name in dict.fromkeys(names)}
    loss = law(n, d) * np.exp(rng.normal(0, sigma, n.size) + [own[name] for name in names])
    frame = pd.DataFrame({"run_id": [f"r{i}" for i in range(n.size)], "params": n, "tokens": d, "loss": loss})
    return frame if seeds == 1 and not trunk else frame.assign(trunk_id=names, seed=s.astype(int))


def law(n: object, d: object) -> np.ndarray:
    return np.asarray(laws.Chinchilla().predict(TRUTH, params=n, tokens=d))
