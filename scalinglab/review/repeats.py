"""Rows that stand for the same measurement: exact copies, one run under two ids, curves resumed and counted twice."""

import numpy as np
import pandas as pd

from scalinglab.review.context import Context
from scalinglab.review.finding import Finding

_SETTINGS = (
    *("trunk_id", "kind", "seed", "eval_set", "loss_unit", "unique_tokens", "lr", "batch_tokens", "schedule"),
    *("decay_share", "dataset", "corpus", "hparams", "recipe", "warmup", "decay", "arch", "tokenizer"),
)
"""Columns in which two rows must agree to be the same run measured twice."""
_CHANCE = 0.05  # of one pair of true replicates in the whole table being taken for a copy
_TWICE = (
    "It counts twice in the fit, as if it were two independent runs: intervals come out too narrow, and the constants "
    "lean towards it."
)


def copies(context: Context) -> list[Finding]:
    """Rows equal in N, D, loss and eval set."""
    runs = context.runs.iloc[context.rows]
    keys = [c for c in ("params", "tokens", "loss", "eval_set") if c in runs]
    again = runs.duplicated(keys).to_numpy()
    if not again.any():
        return []
    every = runs.duplicated(keys, keep=False).to_numpy()
    ids = runs[every].groupby(keys, dropna=False)["run_id"].nunique() if "run_id" in runs else None
    how = " under other run_ids" if ids is not None and (ids > 1).any() else ""
    return [
        context.finding(
            "duplicate",
            "error",
            context.rows[every],
            says=f"{int(again.sum())} of {len(runs)} rows repeat the N, D and loss of another row to the last digit"
            + how,
            number=float(again.sum()),
            of="rows too many",
            meaning=_TWICE,
            mend='drop them: runs.drop_duplicates(["params", "tokens", "loss"]).',
            aside=context.rows[again],
        )
    ]


def near_copies(context: Context) -> list[Finding]:
    """Rows alike in N, D and all settings whose losses are nearer to each other than replicates would be.

    Two replicates differ by √2·σ; that they lie within e has chance 0.56·e/σ. With m such pairs in the table a pair
    within e = 0.05·σ/(0.56·m) is a copy, rounded or evaluated again.
    """
    found = []
    for part in context.parts():
        runs = context.runs.iloc[part.rows]
        frame = pd.DataFrame(
            {"n": np.round(np.log(runs["params"]), 6), "d": np.round(np.log(runs["tokens"]), 6)},
            index=runs.index,
        )
        for column in _SETTINGS:
            if column in runs:
                frame[column] = runs[column]
        groups = [
            index.to_numpy()
            for _, index in frame.groupby(list(frame), dropna=False).groups.items()
            if len(index) > 1
        ]
        pairs = sum(len(g) * (len(g) - 1) // 2 for g in groups)
        if not pairs:
            continue
        scatter = _replicates([context.runs["loss"].iloc[g].to_numpy() for g in groups], part.scatter)
        near = _CHANCE * scatter / (0.56 * pairs)
        quantum = _printed(runs["loss"].to_numpy())
        first, second, gaps = [], [], []
        for group in groups:
            loss = context.runs["loss"].iloc[group].to_numpy()
            order = np.argsort(loss)
            gap = np.maximum(np.diff(np.log(loss[order])), quantum / loss[order][:-1])
            for i in np.flatnonzero(gap <= near):
                pair = sorted((group[order[i]], group[order[i + 1]]))
                first.append(pair[0])
                second.append(pair[1])
                gaps.append(gap[i])
        if first:
            found.append(
                context.finding(
                    "near-duplicate",
                    "warning",
                    {*first, *second},
                    says=f"{len(set(second))} rows agree with another of the same N, D and settings to "
                    f"{max(gaps):.1g} in "
                    f"ln loss, where separate runs scatter by {scatter:.2g}",
                    number=float(max(gaps) / scatter),
                    of="gap in units of the scatter",
                    meaning="One run under two ids, or the same seed trained again. " + _TWICE,
                    mend="keep one of each, or average them if they are two evaluations of one run.",
                    aside=set(second) - set(first),
                )
            )
    return found


def _replicates(groups: list[np.ndarray], scatter: float) -> float:
    """The scatter of replicates: about each other where five groups tell it, which no failing law can widen."""
    gaps = np.concatenate([np.abs(np.diff(np.log(np.sort(g)[[0, -1]]))) for g in groups])
    return min(scatter, float(1.4826 * np.median(gaps) / np.sqrt(2))) if len(gaps) >= 5 else scatter


def _printed(values: np.ndarray) -> float:
    """The step of printed losses: 0.001 where all are multiples of it; 0 where no power of ten fits."""
    for digits in range(1, 9):
        if np.allclose(values * 10**digits, np.round(values * 10**digits), rtol=0, atol=1e-4):
            return float(10.0**-digits)
    return 0.0


def restarts(context: Context) -> list[Finding]:
    """A curve whose tokens go back: what was trained before a resume is in the table a second time."""
    kinds, runs, trunks = context.words("kind"), context.words("run_id"), context.words("trunk_id")
    tokens, settings = context.numbers("tokens"), _settings(context)
    # a trunk keeps its name when a resumed job gets another run_id; branches of one trunk are runs of their own
    names = np.where((kinds == "trunk") & (trunks != ""), trunks, runs)
    bad: list[int] = []
    first: list[int] = []
    for name in dict.fromkeys(names[context.rows]):
        rows = context.rows[names[context.rows] == name]
        if not name or len(rows) < 3:
            continue
        for key in np.unique(settings[rows]):
            mine = rows[settings[rows] == key]
            second = _again(tokens[mine], runs[mine])
            if second.any():
                again = mine[second]
                bad += [int(i) for i in again]
                lo, hi = tokens[again].min() * (1 - 1e-9), tokens[again].max() * (1 + 1e-9)
                first += [int(i) for i in mine[~second] if lo <= tokens[i] <= hi]
    if not bad:
        return []
    where = dict.fromkeys(names[bad])
    return [
        context.finding(
            "counted-twice",
            "error",
            {*bad, *first},
            says=f"the tokens of {', '.join(list(where)[:3])} go back and pass {len(bad)} points a second time",
            number=float(len(bad)),
            of="points passed twice",
            meaning="A curve resumed from an earlier checkpoint: the stretch between counts twice, and its two "
            "versions "
            "differ by less than two runs would.",
            mend="keep of each run the points after the last resume, and those before it up to the checkpoint.",
            aside=bad,
        )
    ]


def _settings(context: Context) -> np.ndarray:
    """(rows,) one integer for each combination of size, seed, eval set and recipe."""
    columns = [c for c in _SETTINGS if c not in ("trunk_id", "unique_tokens", "lr", "decay_share")]
    keys = [context.words(c) for c in columns if c in context.runs]
    return np.asarray(pd.factorize(pd.MultiIndex.from_arrays([context.clusters("params"), *keys]))[0])


def _again(tokens: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(rows,) which points of one curve come a second time.

    Either the curve runs up, falls back and runs up again, in the table's order, or points with the very same tokens
    stand in it twice. A table in another order falls back at every other row, and is left alone.
    """
    n = len(tokens)
    out = np.zeros(n, dtype=bool)
    seen = pd.Series(np.round(np.log(tokens), 7)).duplicated().to_numpy()
    back = np.flatnonzero(np.diff(tokens) <= 0) + 1
    if len(set(ids)) > 1:  # segments under ids of their own
        back = np.flatnonzero(ids[1:] != ids[:-1]) + 1
    if 0 < len(back) <= max(1, n // 6) and n >= 6:
        for start, stop in zip(back, [*back[1:], n], strict=True):
            reached = tokens[:start].max()
            out[start:stop] |= tokens[start:stop] <= reached * (1 + 1e-9)
        # a single row out of order is no resume
        if out.sum() < 2 and not (out & seen).any():
            out[:] = False
    elif seen.any() and seen.sum() <= n / 2 and not len(back) > n // 3:
        out |= seen
    return out
