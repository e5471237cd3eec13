"""Tokens seen more than once."""

import numpy as np

from scalinglab.analysis.repetition import epoch_worth
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding
from scalinglab.review.part import Part

_ROUNDING = 1.01  # tokens rounded up to whole batches


def repeated(context: Context) -> list[Finding]:
    """Rows with more tokens than unique ones: a warning where that costs more loss than a row scatters.

    The cost is by a law fitted with tokens at their worth; the checks behind then go by those too.
    """
    if "unique_tokens" in context.law.variables:
        return []
    rows = context.rows
    epochs = context.numbers("tokens")[rows] / context.numbers("unique_tokens")[rows]
    again = epochs > _ROUNDING
    if not again.any():
        return []
    share = np.ones(len(rows))
    share[again] = epoch_worth(epochs[again])["share"].to_numpy()
    tokens = context.numbers("tokens")
    worth = tokens.copy()
    worth[rows] *= share
    counted = context.runs.assign(tokens=worth)
    cost, scatter = np.nan, np.nan
    for group in context.groups():
        part = Part.of(context.law, counted, group)
        if part is not None:
            at = {v: context.numbers(v)[group] for v in context.law.variables}
            rise = part.law_at(**at | {"tokens": worth[group]}) - part.law_at(**at)
            cost, scatter = np.fmax(cost, rise.max()), np.fmax(scatter, part.scatter)
    said = f"{int(again.sum())} of {len(rows)} rows saw tokens more than once, up to {epochs[again].max():.3g} epochs"
    if np.isfinite(cost):
        said += (
            f"; that costs up to {100 * cost:.2g} % of the loss, beside a scatter of {100 * scatter:.2g} %"
        )
    dear = not cost <= scatter
    if dear:
        context.recount(worth)
    return [
        context.finding(
            "repeated-data",
            "warning" if dear else "note",
            rows[again],
            says=said,
            number=float(epochs[again].max()),
            of="most epochs",
            meaning=f"A token seen again is worth less: the worst row's tokens count {share.min():.0%} (Muennighoff et "
            "al. 2023). The law takes D as new tokens, so β and the optimal D come out wrong.",
            mend="fit laws.DataConstrained() with the column unique_tokens, or leave out rows beyond a few epochs."
            + (" The checks below count tokens at their worth." if dear else ""),
        )
    ]
