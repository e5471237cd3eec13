"""Training curves as answers take them: checked, one curve a run, smoothed, read off at any compute they reach."""

import numbers
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.convention import Convention, Cost, convention
from scalinglab.analysis.estimate import count_text
from scalinglab.analysis.source import one_eval_set
from scalinglab.errors import InputError
from scalinglab.records import read_runs, read_trunk_curves
from scalinglab.records.curves import TRAINING

Array = NDArray[np.float64]
Source = str | os.PathLike[str] | pd.DataFrame

WINDOW = 0.1
"""Decades of tokens a smoothed loss is read from, unless the caller says otherwise: a factor 1.26."""


@dataclass(frozen=True)
class Curves:
    """Smoothed curves. rows: curve, params, tokens, flops, loss; in order of (params, curve, tokens)."""

    rows: pd.DataFrame = field(repr=False)
    cost: Convention
    schedule: Literal["decayed", "undecayed", "partly decayed", "unknown"]
    unit: str = ""
    """Of the loss, "" where it is not told."""
    notes: tuple[str, ...] = ()

    @property
    def sizes(self) -> Array:
        """(k,) distinct N in rising order."""
        return np.unique(self.rows["params"].to_numpy(float))

    def at(self, flops: Array) -> tuple[Array, NDArray[np.object_]]:
        """(k, m) loss of each size at each compute, and the curve it was read from.

        Linear between points in ln C, NaN where no curve of the size reaches; the lowest of a size's several curves.
        """
        sizes, wanted = self.sizes, np.log(flops)
        loss = np.full((len(sizes), len(wanted)), np.nan)
        which = np.full(loss.shape, "", dtype=object)
        for name, own in self.rows.groupby("curve", sort=False):
            k = int(np.searchsorted(sizes, own["params"].iloc[0]))
            read = np.interp(wanted, np.log(own["flops"]), own["loss"], left=np.nan, right=np.nan)
            better = np.isfinite(read) & ~(read >= loss[k])  # NaN is worse than anything
            loss[k, better], which[k, better] = read[better], name
        return loss, which


def as_curves(
    source: Source,
    cost: Cost = "6ND",
    *,
    eval_set: str | None = None,
    smooth: float = WINDOW,
    smoothing: Literal["mean", "median"] = "mean",
    least_sizes: int = 2,
) -> Curves:
    """Curves from a frame, a file or a study folder (its trunks' training loss, unless eval_set names a held-out set).

    Rows need run_id, params, tokens and loss. Branch ends (kind `branch`) are joined along their trunk_id: together
    they are one size's decayed curve; trunk rows beside them are left out. smooth: width in decades of tokens of the
    window from which each loss is read, by a straight line in ln D through its points ("mean"), or by the median
    about that line's slope ("median"); 0 takes the losses as they are.
    Raises InputError for missing columns, curves of one point, fewer sizes than `least_sizes`.
    """
    if not (isinstance(smooth, numbers.Real) and 0 <= smooth < 10):
        raise InputError(
            f"smooth is a width in decades of tokens, such as 0.1, or 0 for none, not {smooth!r}"
        )
    if smoothing not in ("mean", "median"):
        raise InputError(f'smoothing is "mean" or "median", not {smoothing!r}')
    table, named = _read(source, eval_set)
    table, _, notes = one_eval_set(table, eval_set, named)
    units = [str(unit) for unit in table["loss_unit"].dropna().unique()] if "loss_unit" in table else []
    if len(units) > 1:
        raise InputError(
            f"{named} has losses in {' and '.join(units)}: keep one unit, curves are compared by loss"
        )
    table, schedule, left_out = _chosen(table, named)
    counted = convention(cost, table)
    rows, short = _tidy(table, counted, float(smooth), smoothing)
    if short:
        what = f"{len(short)} curve{'s' * (len(short) > 1)} of one point left out: {_listed(short)}."
        left_out = (*left_out, what[0].upper() + what[1:])
    found = Curves(
        rows,
        counted,
        schedule,
        units[0] if units else "",
        (*notes, *left_out, _said(smooth, smoothing)),
    )
    if len(found.sizes) < least_sizes:
        have = ", ".join(count_text(n) for n in found.sizes) or "none with two points or more"
        raise InputError(
            f"{named} has curves of {len(found.sizes)} size{'s' * (len(found.sizes) != 1)} ({have}), and at least "
            f"{least_sizes} are needed: add runs of other sizes"
        )
    return found


def _read(source: Source, eval_set: str | None) -> tuple[pd.DataFrame, str]:
    if isinstance(source, pd.DataFrame):
        return read_runs(source), str(source.attrs.get("source", "the DataFrame"))
    path = Path(source)
    if path.is_dir() and any(path.glob("*/manifest.json")):
        return read_trunk_curves(path, eval_set or TRAINING), str(source)
    return read_runs(path), str(source)


def _chosen(
    table: pd.DataFrame, named: str
) -> tuple[pd.DataFrame, Literal["decayed", "undecayed", "partly decayed", "unknown"], tuple[str, ...]]:
    """The rows that are curves, with `curve`, which of them each belongs to; how far they are decayed; notes."""
    notes: tuple[str, ...] = ()
    if not {"run_id", "trunk_id"} & set(table.columns):
        raise InputError(
            f'{named} has no column "run_id", which tells the points of one curve from another\'s; where each size was '
            'trained once, add it: table["run_id"] = table["params"].astype(str)'
        )
    for column in ("run_id", "trunk_id"):
        if column not in table and column == "run_id":
            table = table.assign(run_id=table["trunk_id"])
    missing = table["run_id"].isna()
    if missing.any():
        raise InputError(
            f"{named} has {missing.sum()} row{'s' * (missing.sum() > 1)} without a run_id: fill it in"
        )
    kind = table["kind"] if "kind" in table else pd.Series(np.nan, index=table.index)
    if (kind == "branch").any():
        others = kind != "branch"
        if others.any():
            notes = (
                f"Decayed branch ends alone; {others.sum()} other rows (trunks, whole runs) are left out.",
            )
        ends = table[~others].sort_values("tokens").groupby("run_id", sort=False).tail(1)
        trunk = ends["trunk_id"] if "trunk_id" in ends else ends["run_id"]
        return ends.assign(curve=trunk.fillna(ends["run_id"])), "decayed", notes
    phase = table["phase"].astype(str) if "phase" in table else pd.Series("", index=table.index)
    if (phase == "decayed").all():
        return table.assign(curve=table["run_id"]), "decayed", notes
    return table.assign(curve=table["run_id"]), _schedule(table, kind, phase), notes


def _schedule(
    table: pd.DataFrame, kind: pd.Series, phase: pd.Series
) -> Literal["undecayed", "partly decayed", "unknown"]:
    """Of curves that are whole runs: a point before the end of a decay is not decayed yet."""
    name = table["schedule"].astype(str) if "schedule" in table else pd.Series("", index=table.index)
    if ((kind == "trunk") | phase.str.startswith("stable") | name.str.contains("constant")).all():
        return "undecayed"
    if "lr" in table and table["lr"].notna().all():
        last = table.sort_values("tokens").groupby("run_id")["lr"].agg(["last", "max"])
        if len(table) > table["run_id"].nunique():
            return "partly decayed" if (last["last"] < 0.999 * last["max"]).any() else "undecayed"
    known = (kind == "full") | (table["schedule"].notna() if "schedule" in table else False)
    return "partly decayed" if known.all() else "unknown"


def _tidy(
    table: pd.DataFrame, cost: Convention, smooth: float, smoothing: str
) -> tuple[pd.DataFrame, list[str]]:
    """Smoothed curves of two points or more, and the names of the shorter ones."""
    kept, short = [], []
    for name, own in table.groupby("curve", sort=False):
        if own["params"].nunique() > 1:
            raise InputError(
                f"curve {name} has several sizes: {_listed(map(count_text, own['params'].unique()))}"
            )
        # a step that was measured twice is one point
        points = own.groupby("tokens", as_index=False)["loss"].mean()
        if len(points) < 2:
            short.append(str(name))
            continue
        n, tokens = float(own["params"].iloc[0]), points["tokens"].to_numpy(float)
        loss = points["loss"].to_numpy(float)
        if smooth:
            loss = running(np.log10(tokens), loss, 0.5 * smooth, smoothing)
        flops = cost(n, tokens)
        kept.append(
            pd.DataFrame({"curve": str(name), "params": n, "tokens": tokens, "flops": flops, "loss": loss})
        )
    columns = ["curve", "params", "tokens", "flops", "loss"]
    rows = pd.concat(kept) if kept else pd.DataFrame(columns=columns)
    return rows.sort_values(["params", "curve", "tokens"], kind="stable", ignore_index=True), short


def running(x: Array, y: Array, half: float, how: str = "mean") -> Array:
    """y smoothed over x (rising): at each point, the straight line through all points within `half` of it.

    A line, not a level, so that a window cut off at an end of the curve leans neither way. "median": the median of
    what lies about a line of that slope. One or two points in a window are taken as they are.
    """
    lo, hi = np.searchsorted(x, x - half, "left"), np.searchsorted(x, x + half, "right")
    out = y.copy()
    for i in np.flatnonzero(hi - lo > 2):
        u, v = x[lo[i] : hi[i]] - x[i], y[lo[i] : hi[i]]
        centre = u.mean()
        slope = float((u - centre) @ v / ((u - centre) @ (u - centre)))
        out[i] = np.median(v - slope * u) if how == "median" else v.mean() - slope * centre
    return out


def _said(smooth: float, smoothing: str) -> str:
    if not smooth:
        return "Losses as recorded, not smoothed."
    return (
        f"Losses smoothed by a running {smoothing} over {smooth:g} decades of tokens (from D/{10 ** (smooth / 2):.3g} "
        f"to {10 ** (smooth / 2):.3g}·D)."
    )


def _listed(names: "object") -> str:
    shown = [str(name) for name in names]  # type: ignore[attr-defined]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
