"""Whether the runs lie so that a law can be read off them: sizes, horizons, N apart from D, settings apart from N."""

import warnings

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.next_runs import next_runs
from scalinglab.errors import InputError
from scalinglab.fitting import Status
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding, Severity
from scalinglab.review.part import SPARE
from scalinglab.units import count_text

Array = NDArray[np.float64]
INFLATED = 10.0
"""Variance inflation 1/(1 − ρ²) of the two slopes from which N and D are called collinear: errors √10 times those of
runs with the same spans and N independent of D (Belsley, Kuh & Welsch 1980; usual since Marquardt 1970)."""
INSEPARABLE = 100.0
"""Inflation from which they cannot be told apart: errors ten times as large."""


def few_values(context: Context) -> list[Finding]:
    """Sizes and horizons beside the three unknowns, level, coefficient and exponent, that each term has."""
    found = []
    for column, word, exponent in (("params", "size", "α"), ("tokens", "horizon", "β")):
        for rows in _bearing(context):
            count = len(set(context.clusters(column)[rows]))
            if count >= 4:
                continue
            severity: Severity = "error" if count == 1 else "warning" if count == 2 else "note"
            severity = "warning" if context.split and count == 1 else severity
            found.append(
                context.finding(
                    f"few-{word}s",
                    severity,
                    () if len(rows) == len(context.rows) else rows,
                    says=f"{count} {word}{'s' * (count > 1)} only{context.among(rows)}",
                    number=float(count),
                    of=f"{column} more than 2 % apart",
                    meaning=(
                        f"{exponent} cannot be told at all"
                        if count == 1
                        else f"floor, coefficient and {exponent} are three unknowns"
                        + (
                            " for two values: one of them is free"
                            if count == 2
                            else ": they pass through any three points"
                        )
                    )
                    + ".",
                    mend=f"add runs of {'a fourth' if count == 3 else 'further'} {word}{'s' * (count < 3)}, a "
                    "factor of "
                    "three or more from the others.",
                )
            )
    return found


def collinear(context: Context) -> list[Finding]:
    """log N and log D moving together, so that only a mixture of α and β is seen."""
    found = []
    for rows in _bearing(context):
        x, y = (np.log(context.numbers(c)[rows]) for c in ("params", "tokens"))
        if len(rows) < 3 or np.ptp(x) < 0.02 or np.ptp(y) < 0.02:
            continue
        rho = float(np.corrcoef(x, y)[0, 1])
        inflation = 1.0 / max(1.0 - rho**2, 1e-12)
        if inflation < INFLATED:
            continue
        condition = float(np.sqrt((1 + abs(rho)) / max(1 - abs(rho), 1e-12)))
        # how far D still varies where N does not: of a regression of log D on log N
        free = float(np.exp(np.std(y - np.polyval(np.polyfit(x, y, 1), x))))
        slope = float(np.polyfit(x, y, 1)[0])
        found.append(
            context.finding(
                "collinear",
                "error" if inflation >= INSEPARABLE and not context.split else "warning",
                () if len(rows) == len(context.rows) else rows,
                says=f"log N and log D move together: correlation {rho:.3f}, condition number {condition:.3g}, D ∝ "
                f"N^{slope:.2g} within a factor {free:.2f}{context.among(rows)}",
                number=rho,
                of="correlation of log N and log D",
                meaning=f"The errors of α and β are {np.sqrt(inflation):.2g} times those of runs with N "
                "independent of D, and the optimal D/N hangs on the difference of the two."
                + _ends(context, rows),
                mend=_break(context, rows, x, y),
            )
        )
    return found


def _ends(context: Context, rows: NDArray[np.int64]) -> str:
    """How the fit of such rows ends, which `status` then does not tell again."""
    part = context.part(rows)
    if part is None or part.fit.status is Status.OK:
        return ""
    context.told.update(int(i) for i in rows)
    open_ = [name for warning in part.fit.warnings for name in warning.about]
    return f" The fit ends {part.fit.status.value}" + (f", with {', '.join(open_)} open." if open_ else ".")


def _bearing(context: Context) -> list[NDArray[np.int64]]:
    """The groups whose layout is judged: all rows, or where kinds differ those with enough for a law."""
    groups = context.groups()
    return groups if len(groups) == 1 else [g for g in groups if len(g) >= len(context.law.constants) + SPARE]


def _break(context: Context, rows: NDArray[np.int64], x: Array, y: Array) -> str:
    """Runs off the line: as `next_runs` proposes them for a tenth of the compute spent, else the two free corners."""
    part = context.part(rows)
    if part is not None and tuple(context.law.variables) == ("params", "tokens"):
        spent = float((6 * np.exp(x + y)).sum())
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                boot = part.fit.bootstrap(200)
                proposed = next_runs(
                    part.fit, 0.1 * spent, runs=2, mode="scratch", reach=0.5, density=4, boot=boot
                ).rows
            pairs = [
                (float(n), float(d)) for n, d in zip(proposed["params"], proposed["tokens"], strict=True)
            ]
            off = [abs(np.polyval(np.polyfit(x, y, 1), np.log(n)) - np.log(d)) for n, d in pairs]
            if max(off) > np.log(2):
                told = " and ".join(f"N {count_text(n)} on D {count_text(d)}" for n, d in pairs)
                return f"train {told} (next_runs, a tenth of the compute spent): off the line they tell α from β."
        except InputError:
            pass
    rising = np.corrcoef(x, y)[0, 1] > 0
    small, large = np.exp(x.min()), np.exp(x.max())
    d = (y.max(), y.min()) if rising else (y.min(), y.max())
    return (
        f"train N {count_text(small)} on D {count_text(np.exp(d[0]))}, or, cheaper, N {count_text(large)} on D "
        f"{count_text(np.exp(d[1]))}: corners that the line leaves out."
    )
