"""Rows that the law of the others does not reach, and what each does to the answers."""

import numpy as np
import pandas as pd

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.convention import SIX_ND
from scalinglab.analysis.influence import refits_without
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding
from scalinglab.review.part import FALSE, Part, critical
from scalinglab.units import count_text

_TOLD = 5  # rows whose influence is written out


def outliers(context: Context) -> list[Finding]:
    """Rows whose prediction error is beyond what Student's t allows the largest of so many."""
    found = []
    for part in context.parts():
        far = np.flatnonzero(part.outside)
        if not len(far):
            continue
        order = far[np.argsort(-np.abs(part.errors[far]))]
        worst = order[0]
        rows = part.rows[order]
        gap = part.residual[order]
        n, d = (context.numbers(c)[rows] for c in ("params", "tokens"))
        named = "; ".join(
            f"row {rows[i]} (N {count_text(n[i])}, D {count_text(d[i])}) {100 * np.expm1(gap[i]):+.1f} %"
            for i in range(min(_TOLD, len(rows)))
        )
        more = f" and {len(rows) - _TOLD} more" if len(rows) > _TOLD else ""
        limit = critical(len(part.rows), part.freedom)
        side = (
            " Above the law: see whether the run finished its decay, or diverged and came back."
            if gap[0] > 0
            else " Below the law: see whether it is another eval set, trained on what it is tested on, or of another "
            "tokeniser."
        )
        found.append(
            context.finding(
                "outlier",
                "warning",
                rows,
                says=f"{named}{more}{context.among(part.rows)} off the law of the others, which scatter by "
                f"{100 * part.scatter:.2g} %; the furthest "
                f"at {abs(part.errors[worst]):.1f} standard errors ({limit:.1f} is the limit for "
                f"{len(part.rows)} rows)",
                number=float(part.errors[worst]),
                of=f"prediction error of the furthest row, in standard errors (chance {FALSE:.0%} of one beyond "
                "the limit)",
                meaning=_influence(part, order) + side,
                mend="look the run up before leaving it out; a Huber loss bounds its pull, squared error does not.",
            )
        )
    return found


def _influence(part: Part, rows: "np.ndarray") -> str:
    """What α, β and D/N at the dearest budget become without the furthest row, and without all of them."""
    fit = part.fit
    shares = [np.isin(np.arange(len(part.rows)), rows[:1])]
    if len(rows) > 1:
        shares.append(np.isin(np.arange(len(part.rows)), rows))
    left = refits_without(fit, np.array(shares))
    told = []
    for (_, constants), who in zip(left.iterrows(), ("it", "all of them"), strict=False):
        told.append(f"without {who}, {_moves(part, pd.DataFrame([constants]))}")
    return "Under the default Huber loss, " + "; ".join(told) + "."


def _moves(part: Part, without: pd.DataFrame) -> str:
    fit = part.fit
    law, here = fit.law, pd.DataFrame([fit.constants])
    pieces = []
    for name, sign in (("alpha", "α"), ("beta", "β")):
        if name in here:
            pieces.append(f"{sign} goes from {here[name].iloc[0]:.3f} to {without[name].iloc[0]:.3f}")
    if hasattr(law, "standard") and tuple(law.variables) == ("params", "tokens"):
        budget = float((6 * fit.rows["params"] * fit.rows["tokens"]).max())
        ratios = []
        for frame in (here, without):
            n, d = optimal_params_tokens(law, frame, budget, SIX_ND)
            ratios.append(float(np.squeeze(d / n)))
        pieces.append(f"D/N at {budget:.2g} FLOPs from {count_text(ratios[0])} to {count_text(ratios[1])}")
    return ", ".join(pieces)
