"""How the fit itself ends, once the rows that other checks set aside are out."""

from scalinglab.fitting import Status
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding, Severity

_GRAVE: dict[Status, Severity] = {
    Status.FLAT: "warning",
    Status.AT_BOUND: "warning",
    Status.DISAGREE: "note",
    Status.NOT_CONVERGED: "error",
}
_ELSEWHERE = ("few-values", "duplicate-rows", "undecayed-rows", "delta-below-scatter")


def identified(context: Context) -> list[Finding]:
    """The law's constants are determined by the rows, or which are not."""
    found = []
    for part in context.parts():
        fit = part.fit
        if fit.status not in _GRAVE or context.told.issuperset(part.rows.tolist()):
            continue
        said = [w for w in fit.warnings if w.code not in _ELSEWHERE]
        whole = len(part.rows) == len(context.rows)
        severity = _GRAVE[fit.status]
        found.append(
            context.finding(
                f"fit-{fit.status.value}",
                severity if whole or severity == "note" else "warning",
                () if whole else part.rows,
                says=("; ".join(w.sentence for w in said) or fit.status.reason) + context.among(part.rows),
                number=float(fit.condition),
                of="condition number of the curvature at the optimum, constants scaled to unit length",
                meaning="These constants are one choice of many that fit as well: predictions within the rows "
                "hold, α, β "
                "and an optimum beyond them may not."
                if fit.status is not Status.NOT_CONVERGED
                else "These constants are no minimum.",
                mend="; ".join(dict.fromkeys(w.mend for w in said)) or "look at the rows and the law.",
            )
        )
    return found
