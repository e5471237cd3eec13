"""Whether the runs lie so that a law can be read off them: sizes, horizons, N apart from D, settings apart from N."""

import warnings

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.next_runs import next_runs
from scalinglab.errors import InputError
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding, Severity
from scalinglab.units import count_text

Array = NDArray[np.float64]
INFLATED = 10.0
"""Variance inflation 1/(1 − ρ²) of the two slopes from which N and D are called collinear: errors √10 times those of
runs with the same spans and N independent of D (Belsley, Kuh & Welsch 1980; usual since Marquardt 1970)."""
INSEPARABLE = 100.0
"""Inflation from which they cannot be told apart: errors ten times as large."""
_FLAT_VALLEY = 2.0
"""Factor in learning rate or batch within which the loss hardly moves (a tuned valley's bottom): less is not looked at."""


def few_values(context: Context) -> list[Finding]:
    """Sizes and horizons beside the three unknowns, level, coefficient and exponent, that each term has."""
    found = []
    for column, word, exponent in (("params", "size", "α"), ("tokens", "horizon", "β")):
        for rows in context.groups():
            count = len(set(context.clusters(column)[rows]))
            if count >= 4:
                continue
            severity: Severity = "error" if count == 1 else "warning" if count == 2 else "note"
            found.append(
                context.finding(
                    f"few-{word}s",
                    severity,
                    () if len(rows) == len(context.rows) else rows,
                    says=f"{count} {word}{'s' * (count > 1)} only",
                    number=float(count),
                    of=f"{column} more than 2 % apart",
                    meaning=(
                        f"{exponent} cannot be told at all"
                        if count == 1
                        else f"floor, coefficient and {exponent} are three unknowns"
                        + (" for two values: one of them is free" if count == 2 else ": they pass through any three points")
                    )
                    + ".",
                    mend=f"add runs of {'a fourth' if count == 3 else 'further'} {word}{'s' * (count < 3)}, a factor of "
                    "three or more from the others.",
                )
            )
    return found


def collinear(context: Context) -> list[Finding]:
    """log N and log D moving together, so that only a mixture of α and β is seen."""
    found = []
    for rows in context.groups():
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
                "error" if inflation >= INSEPARABLE else "warning",
                () if len(rows) == len(context.rows) else rows,
                says=f"log N and log D move together: correlation {rho:.3f}, condition number {condition:.3g}, D ∝ "
                f"N^{slope:.2g} within a factor {free:.2f}",
                number=rho,
                of="correlation of log N and log D",
                meaning=f"The errors of α and β are {np.sqrt(inflation):.2g} times those of runs with N independent of D; the "
                "optimal D/N hangs on the difference of the two and is not determined off that line.",
                mend=_break(context, rows, x, y),
            )
        )
    return found


def _break(context: Context, rows: NDArray[np.int64], x: Array, y: Array) -> str:
    """Runs off the line: as `next_runs` proposes them for a tenth of the compute spent, else the two free corners."""
    part = context.part(rows)
    if part is not None and tuple(context.law.variables) == ("params", "tokens"):
        spent = float((6 * np.exp(x + y)).sum())
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                boot = part.fit.bootstrap(200)
                proposed = next_runs(part.fit, 0.1 * spent, runs=2, mode="scratch", reach=0.5, density=4, boot=boot).rows
            pairs = [(float(n), float(d)) for n, d in zip(proposed["params"], proposed["tokens"], strict=True)]
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


def confounded(context: Context) -> list[Finding]:
    """Learning rate or batch that changes with size, or is swept within one N and D."""
    found = []
    for column, word in (("lr", "the learning rate"), ("batch_tokens", "the batch")):
        for rows in context.groups():
            finding = _settings(context, column, word, rows)
            if finding is not None:
                found.append(finding)
    return found


def _settings(context: Context, column: str, word: str, rows: NDArray[np.int64]) -> Finding | None:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(context.numbers(column)[rows])
    known = np.isfinite(value)
    if known.sum() < 3 or np.ptp(value[known]) < np.log(_FLAT_VALLEY):
        return None
    rows, value = rows[known], value[known]
    size, horizon = context.clusters("params")[rows], context.clusters("tokens")[rows]
    x, y = (np.log(context.numbers(c)[rows]) for c in ("params", "tokens"))
    where = () if len(rows) == len(context.rows) else rows
    inside = [np.ptp(value[(size == s) & (horizon == h)]) for s, h in set(zip(size, horizon, strict=True))]
    swept = [w for w in inside if w > np.log(_FLAT_VALLEY)]
    if len(swept) > 0.25 * len(inside):
        return context.finding(
            f"{column.split('_')[0]}-swept",
            "warning",
            where,
            says=f"{word} takes several values at the same N and D in {len(swept)} of {len(inside)} cells, up to a factor "
            f"{np.exp(max(swept)):.3g} apart",
            number=float(np.exp(max(swept))),
            of=f"largest factor in {column} within one N and D",
            meaning="A sweep: rows off the best setting lie above the law of tuned runs, more at some sizes than at others.",
            mend="keep the best row of each N and D, or fit the sweep with sl.batch_lr.",
        )
    design = np.column_stack([np.ones(len(x)), x, y])
    if np.ptp(x) < 0.02:
        return None
    # of the settings' variance, what a rule in N and D explains; and what N alone does
    total = float(((value - value.mean()) ** 2).sum())
    solved = np.linalg.lstsq(design, value, rcond=None)[0]
    rule = 1 - float(((value - design @ solved) ** 2).sum()) / total
    means = np.array([value[size == s].mean() for s in size])
    by_size = float(((means - value.mean()) ** 2).sum()) / total
    if by_size < 0.5 and rule < 0.5:
        return None
    off = float(np.exp(np.std(value - design @ solved)))
    ruled = off < _FLAT_VALLEY ** 0.5 and rule > 0.5
    what = "size" if by_size >= 0.5 else "size and horizon"
    return context.finding(
        f"{column.split('_')[0]}-with-size",
        "note" if ruled else "warning",
        where,
        says=f"{word} varies by a factor {np.exp(np.ptp(value)):.3g} with {what}: {by_size:.0%} of its variance lies between "
        f"sizes"
        + (f"; {column} ∝ N^{solved[1]:.2f}·D^{solved[2]:.2f} within a factor {off:.2f}" if ruled and np.ptp(y) > 0.02 else
           f", and no power law in N and D gives it (off by a factor {off:.2f})" if not ruled else ""),
        number=by_size,
        of=f"share of the variance of ln {column} between sizes",
        meaning=f"Its effect on the loss cannot be told from that of N: α holds for this choice of {word.removeprefix('the ')}"
        + (" and for no other." if ruled else ", and takes up whatever a size lost by a poorer setting."),
        mend=f"say by which rule it was set; two runs of the largest size at half and twice its {word.removeprefix('the ')} "
        "would show what it is worth.",
    )
