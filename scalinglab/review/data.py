"""Tokens seen more than once."""

import numpy as np

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
    with np.errstate(invalid="ignore"):
        again = epochs > _ROUNDING
    if not again.any():
        return []
    share = epoch_worth(epochs[again])["share"].to_numpy()
    cost, scatter = _cost(context, rows[again], share)
    plain = f"{int(again.sum())} of {len(rows)} rows saw tokens more than once, up to {epochs[again].max():.3g} epochs"
    told = np.isfinite(cost)
    return [
        context.finding(
            "repeated-data",
            "warning" if not told or cost > scatter else "note",
            rows[again],
            says=plain
            + (f"; at worst that costs {100 * cost:.2g} % of the loss, beside a scatter of {100 * scatter:.2g} %" if told else ""),
            number=float(epochs[again].max()),
            of="most epochs",
            meaning=f"A token seen again is worth less: the worst row's tokens count {share.min():.0%} (Muennighoff et al. "
            "2023). The law takes D as new tokens, so β comes out too small and the optimal D too short.",
            mend="fit laws.DataConstrained() with the column unique_tokens, or leave out rows beyond a few epochs.",
        )
    ]


def _cost(context: Context, rows: "np.ndarray", share: "np.ndarray") -> tuple[float, float]:
    """(largest rise of ln loss that counting `share` of the tokens makes, scatter) by the law; NaN without one."""
    most, scatter = np.nan, np.nan
    for part in context.parts():
        mine = np.isin(rows, part.rows)
        if not mine.any():
            continue
        at = {v: context.numbers(v)[rows[mine]] for v in context.law.variables}
        fewer = at | {"tokens": at["tokens"] * share[mine]}
        rise = part.law_at(**fewer) - part.law_at(**at)
        if not rise.max() <= most:
            most, scatter = float(rise.max()), part.scatter
    return most, scatter
