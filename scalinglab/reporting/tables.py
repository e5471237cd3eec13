"""The report's tables as frames of text, for every format."""

import math
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.reporting.views import PER_DECADE, View
from scalinglab.reporting.words import run_name
from scalinglab.units import count_text, number_text


def constant_table(view: View) -> pd.DataFrame:
    """A row a constant: value, its interval, what it means."""
    interval = view.interval()
    rows: list[list[str]] = []
    for each in view.law.constants:
        lo, hi = interval.loc[each.name]
        value = number_text(view.fit.constants[each.name], 4)
        rows.append([each.name, value, f"{number_text(lo)} – {number_text(hi)}", each.meaning])
    return pd.DataFrame(rows, columns=["constant", "value", f"{view.level:.0%} interval", "meaning"])


def budget_table(view: View) -> pd.DataFrame:
    """A row each half decade of compute: the optimum with its intervals, and how far beyond the runs it lies."""
    grid = view.grid.iloc[:: PER_DECADE // 2]
    out: dict[str, Any] = {"compute C (FLOPs)": [_power(v) for v in grid["flops"]]}
    for name, head, write in (
        ("params", "N", count_text),
        ("tokens", "D", count_text),
        ("ratio", "D/N", number_text),
        ("loss", "loss", _loss),
    ):
        out[head] = [
            f"{write(v)} [{write(lo)}, {write(hi)}]"
            for v, lo, hi in zip(grid[name], grid[f"{name}_lo"], grid[f"{name}_hi"], strict=True)
        ]
    out["decades beyond the runs"] = [f"{v:.1f}" if v > 0.05 else "" for v in grid["extrapolation"]]
    return pd.DataFrame(out)


def run_table(view: View) -> pd.DataFrame:
    """A row a run, in the fit's order: N, D, C, its loss, what the law says, and what it leaves over."""
    rows = view.fit.rows
    fitted = view.fit.predict(params=rows["params"], tokens=rows["tokens"])["loss"].to_numpy()
    left = 100 * np.log(rows["loss"].to_numpy(dtype=float) / fitted)
    return pd.DataFrame(
        {
            "run": [run_name(view, i) for i in range(len(rows))],
            "N": [count_text(v) for v in rows["params"]],
            "D": [count_text(v) for v in rows["tokens"]],
            "C": [_power(v) for v in view.compute],
            "loss": [_loss(v) for v in rows["loss"]],
            "law": [_loss(v) for v in fitted],
            "residual": [f"{v:+.2f} %" for v in left],
        }
    )


def _power(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _loss(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "not known"
