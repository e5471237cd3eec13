"""Rows of different corpora or recipes that a fit would take together."""

import numpy as np

from scalinglab.analysis.source import KINDS_OF_RUN
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding, listed
from scalinglab.review.part import critical

_FURTHER = ("schedule", "eval_set", "loss_kind", "dedup", "opt_shape", "lr_setting", "phase", "group")
_FEWEST = 3
"""Rows of one kind from which its distance from the others is told."""


def pooled(context: Context) -> list[Finding]:
    """Columns that tell kinds of run apart, and whether those kinds follow laws of their own."""
    found = []
    for column in (*KINDS_OF_RUN, *_FURTHER):
        rows = context.rows
        words = context.words(column)[rows]
        values = [v for v in dict.fromkeys(words) if v]
        if len(values) < 2 or all(len(set(context.words(column)[group])) < 2 for group in context.groups()):
            continue
        widest, beyond = _widest(context, column, values)
        differ = beyond > 1.0
        if differ:
            context.split = (*context.split, column)
        known = np.isfinite(widest)
        found.append(
            context.finding(
                "pooled",
                "warning" if differ else "note",
                says=f"{column} takes {len(values)} values ({listed(values)})"
                + (f", which lie up to {100 * abs(widest):.1f} % apart at the same N and D" if known else "")
                + ("" if differ or not known else ", within chance"),
                number=widest,
                of="largest distance of one kind from the law of all, in ln loss, fitted together",
                meaning=f"A fit takes them together{' though they follow laws of their own' if differ else ''}: "
                "a kind that "
                "has the larger models then passes for an effect of size.",
                mend=f"choose one {column}, or fit each: sl.fit_groups(law, runs, by={column!r}).",
            )
        )
    return found


def _widest(context: Context, column: str, values: list[str]) -> tuple[float, float]:
    """(largest shift of a kind from the others in ln loss, that in units of what chance allows); NaN where unknown."""
    widest, beyond = np.nan, 0.0
    for part in context.parts():
        words = context.words(column)[part.rows]
        for value in values:
            mine = words == value
            if not _FEWEST <= mine.sum() < len(mine):
                continue
            delta, error = part.shift(mine)
            if not np.isfinite(delta):
                continue
            if not abs(delta) <= abs(widest):
                widest = delta
            beyond = max(beyond, abs(delta) / error / critical(len(values), part.freedom))
    return float(widest), beyond
