"""Tokens seen more than once."""

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.repetition import epoch_worth
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding

_ROUNDING = 1.01  # tokens rounded up to whole batches


def repeated(context: Context) -> list[Finding]:
    """Rows with more tokens than unique ones: a warning where that costs more loss than a row scatters."""
    if "unique_tokens" in context.law.variables:
        return []
    rows = context.rows
    epochs = context.numbers("tokens")[rows] / context.numbers("unique_tokens")[rows]
    again = epochs > _ROUNDING
    if not again.any():
        return []
    share = np.ones(len(rows))
    share[again] = epoch_worth(epochs[again])["share"].to_numpy()
    cost, scatter = _cost(context, rows, again, share)
    dear = again & (cost > scatter)
    told = bool(np.isfinite(cost[again]).any())
    said = f"{int(again.sum())} of {len(rows)} rows saw tokens more than once, up to {epochs[again].max():.3g} epochs"
    if told:
        said += (
            f"; by the law that costs up to {100 * np.nanmax(cost[again]):.2g} % of the loss, beside a scatter of "
            f"{100 * scatter:.2g} %"
        )
    return [
        context.finding(
            "repeated-data",
            "warning" if dear.any() or not told else "note",
            rows[again],
            says=said,
            number=float(epochs[again].max()),
            of="most epochs",
            meaning=f"A token seen again is worth less: the worst row's tokens count {share.min():.0%} (Muennighoff et "
            "al. 2023). The law takes D as new tokens, so β comes out too small and the optimal D too short.",
            mend="fit laws.DataConstrained() with the column unique_tokens, or leave out rows beyond a few epochs.",
            aside=rows[dear],
        )
    ]


def _cost(
    context: Context, rows: NDArray[np.int64], again: NDArray[np.bool_], share: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """(rise of ln loss (n,) from counting `share` of the tokens, scatter), by the law of the rows without repetition.

    By all rows where those are too few; NaN where no law holds.
    """
    cost, scatter = np.full(len(rows), np.nan), np.nan
    for group in context.groups():
        mine = np.isin(rows, group)
        part = context.part(rows[mine & ~again]) or context.part(group)
        if part is None:
            continue
        at = {v: context.numbers(v)[rows[mine]] for v in context.law.variables}
        fewer = at | {"tokens": at["tokens"] * share[mine]}
        cost[mine] = part.law_at(**fewer) - part.law_at(**at)
        scatter = np.fmax(scatter, part.scatter)
    return cost, float(scatter)
