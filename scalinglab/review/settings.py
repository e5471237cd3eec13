"""Learning rate and batch: swept within one N and D, or changing with size so that the two cannot be told apart."""

import numpy as np
from numpy.typing import NDArray

from scalinglab.review.context import Context
from scalinglab.review.finding import Finding

VALLEY = 2.0
"""Factor in learning rate or batch that is not looked at: at the bottom of a tuned valley it costs about what runs
scatter (Step Law's cells: a median of 0.4 % for a factor 2 of either, docs/check.md)."""
_SETTINGS = (("lr", "lr", "learning rate"), ("batch_tokens", "batch", "batch"))


def swept(context: Context) -> list[Finding]:
    """Several settings at the same N and D: all but the best of each are set aside."""
    found = []
    for column, short, word in _SETTINGS:
        rows, value = _known(context, column)
        if len(rows) < 3:
            continue
        cells = _cells(context, rows)
        wide = [float(np.ptp(value[cell])) for cell in cells]
        many = [w for w in wide if w > np.log(VALLEY)]
        if len(many) <= 0.25 * len(
            cells
        ):  # a few runs at another setting are no sweep: the outliers tell of them
            continue
        loss = context.numbers("loss")[rows]
        best = {int(np.flatnonzero(cell)[loss[cell].argmin()]) for cell in cells}
        off = np.array([i for i in range(len(rows)) if i not in best])
        worse = [np.log(loss[cell].max() / loss[cell].min()) for cell in cells]
        found.append(
            context.finding(
                f"{short}-swept",
                "warning",
                rows[off],
                says=f"the {word} takes several values at the same N and D in {len(many)} of {len(cells)} cells, "
                "up to a "
                f"factor {np.exp(max(many)):.3g} apart; between the best row of a cell and its worst lie "
                f"{100 * float(np.median(worse)):.1f} % (median)",
                number=float(np.exp(max(many))),
                of=f"largest factor in {column} within one N and D",
                meaning="A sweep: rows off the best setting lie above the law of tuned runs, more at some sizes "
                "than at "
                "others.",
                mend="keep the best row of each N and D, or fit the sweep with sl.batch_lr. The checks below are "
                "of the "
                "best rows.",
                aside=rows[off],
            )
        )
    return found


def confounded(context: Context) -> list[Finding]:
    """Settings that differ between sizes: by a power law in N and D, as a rule would set them, or by none."""
    found = []
    for column, short, word in _SETTINGS:
        rows, value = _known(context, column)
        if len(rows) < 3 or np.ptp(value) < np.log(VALLEY):
            continue
        x, y = (np.log(context.numbers(c)[rows]) for c in ("params", "tokens"))
        size = context.clusters("params")[rows]
        if len(set(size)) < 2:
            continue
        total = float(((value - value.mean()) ** 2).sum())
        means = np.array([value[size == s].mean() for s in size])
        between = float(((means - value.mean()) ** 2).sum()) / total
        design = np.column_stack([np.ones(len(x)), x, y])
        solved = np.linalg.lstsq(design, value, rcond=None)[0]
        left = value - design @ solved
        rule = 1.0 - float((left**2).sum()) / total
        if between < 0.5 and rule < 0.5:
            continue  # mostly independent of N and D: it widens the scatter instead
        off = float(np.exp(np.std(left)))
        ruled = off < np.sqrt(VALLEY) and rule > 0.5 and len(set(size)) > 2
        if ruled:
            follows = f"; it follows {column} ∝ N^{solved[1]:.2f}·D^{solved[2]:.2f} within a factor {off:.2f}"
        else:
            follows = f"; no power law in N and D gives it (off by a factor {off:.2f})"
        found.append(
            context.finding(
                f"{short}-with-size",
                "note" if ruled else "warning",
                says=f"the {word} varies by a factor {np.exp(np.ptp(value)):.3g}, {between:.0%} of its variance "
                "between sizes" + follows,
                number=between,
                of=f"share of the variance of ln {column} between sizes",
                meaning=f"Its effect on the loss cannot be told from that of N: α holds for this choice of {word}"
                + (" and for no other." if ruled else ", and takes up what a size lost by a poorer setting."),
                mend=f"say by which rule it was set; two more runs of the largest size at half and twice its "
                f"{word} would "
                "show what it is worth.",
            )
        )
    return found


def _known(context: Context, column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(rows still in that have the setting, its logarithm)."""
    value = np.log(context.numbers(column)[context.rows])
    known = np.isfinite(value)
    return context.rows[known], value[known]


def _cells(context: Context, rows: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """Masks (n,) of the rows of one N, one D and one law."""
    key = context.clusters("params")[rows] * (1 + len(context.runs)) + context.clusters("tokens")[rows]
    masks = [key == k for k in np.unique(key)]
    groups = [np.isin(rows, group) for group in context.groups()]
    return [m & g for m in masks for g in groups if (m & g).any()]
