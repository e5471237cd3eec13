"""Counts and losses in the wrong unit or column, told by what the other rows' law says of them.

A row is only called mistaken where the mended row lies on the law of the others and the row as it stands does not, so
that a gross outlier that no mistake of unit explains stays an outlier.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scalinglab.fitting._noise import robust_sd
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding
from scalinglab.review.part import Mask, Part, critical

LN2 = float(-np.log(np.log(2)))
"""ln of a loss in bits over the same in nats: 0.3665."""
GAP = 1.5
"""Decades without a row in N or D beyond which rows are looked at as possibly scaled."""
_SCALES = {1e3: "thousands", 1e6: "millions", 1e9: "billions"}
_MOST_GROUPS = 40


# ---- the whole table ------------------------------------------------------------------------------


def swapped_columns(context: Context) -> list[Finding]:
    """params and tokens swapped in the whole table: fewer tokens than parameters, or a trunk of many sizes."""
    rows = context.rows
    n, d = context.numbers("params")[rows], context.numbers("tokens")[rows]
    fewer = float(np.mean(d < n))
    signs = []
    unique = context.numbers("unique_tokens")[rows]
    if np.isfinite(unique).any() and np.nanmean((unique > d * 1.01)[np.isfinite(unique)]) > 0.5:
        signs.append("unique_tokens exceeds tokens")
    trunks = context.words("trunk_id")[rows]
    many = [t for t in dict.fromkeys(trunks) if t and (trunks == t).sum() > 1]
    if many:
        sizes = context.clusters("params")[rows]
        if np.mean([len(set(sizes[trunks == t])) > 1 for t in many]) > 0.5:
            signs.append("a trunk_id has several params")
    total = context.numbers("params_total")[rows]
    if np.isfinite(total).any() and np.nanmean((total < n)[np.isfinite(total)]) > 0.5:
        signs.append("params_total is below params")
    if fewer <= 0.5 and len(signs) < 2:
        return []
    said = f"tokens is below params in {fewer:.0%} of the rows" + (f"; {', '.join(signs)}" if signs else "")
    return [
        context.finding(
            "swapped-columns",
            "error" if signs or fewer > 0.9 else "warning",
            says=said,
            number=float(np.median(d / n)),
            of="median tokens / params",
            meaning="α and β, A and B change places, and so do the optimal N and D. The law itself cannot tell: it is "
            "symmetric in the two.",
            mend="if params and tokens are swapped, rename them; if not, say that runs this short are meant.",
        )
    ]


def scaled_columns(context: Context) -> list[Finding]:
    """A column in thousands, millions or billions throughout: D/N is then off by as much."""
    rows = context.rows
    n, d = context.numbers("params")[rows], context.numbers("tokens")[rows]
    flops = context.numbers("flops_6nd")[rows]
    found = []
    with np.errstate(invalid="ignore"):
        power = np.log10(np.median(flops / (6 * n * d))) if np.isfinite(flops).all() else np.nan
    told = np.isfinite(power) and power > 2.5 and abs(power / 3 - round(power / 3)) < 0.02
    for column, low in (("params", n), ("tokens", d)):
        # no language model has below a thousand parameters, nor was one trained on below a thousand tokens
        if np.median(low) >= 1e3:
            continue
        found.append(
            context.finding(
                "scaled-column",
                "error" if told else "warning",
                says=f"{column} has a median of {np.median(low):.3g}"
                + (f", and flops_6nd is 10^{power:.0f} times 6·params·tokens" if told else ""),
                number=float(np.median(low)),
                of=f"median {column}",
                meaning=f"{column} looks to be in thousands, millions or billions: exponents stay right, but A "
                "or B, D/N "
                "and every budget are off by powers of ten.",
                mend=f"multiply {column} up to plain counts.",
            )
        )
    return found


# ---- part of the rows: losses ---------------------------------------------------------------------


def bits_in_part(context: Context) -> list[Finding]:
    """Rows a factor 1/ln 2 above the law that the other rows follow."""
    found = []
    for part in context.parts():
        marked = _raised(context, part, LN2)
        if marked is None:
            continue
        minority = marked if 2 * marked.sum() <= len(marked) else ~marked
        found.append(
            context.finding(
                "bits-for-nats",
                "error",
                part.rows[marked],
                says=f"{int(marked.sum())} of {len(marked)} rows lie a factor 1/ln 2 = 1.44 above the law of the "
                "others",
                number=_excess(context, part, marked),
                of="their median ln loss above the others' law: 0.367 for bits",
                meaning="Losses in bits among losses in nats: the fit takes the difference for an effect of N and D.",
                mend="multiply these losses by ln 2 = 0.6931 (if it is the others that are mistaken, divide those).",
                aside=part.rows[minority],
            )
        )
    return found


def other_level(context: Context) -> list[Finding]:
    """Rows a common factor away from the others' law, as losses per byte among losses per token are."""
    found = []
    for part in context.parts():
        r, sigma = part.robust
        far = np.abs(r) > max(0.1, 4 * critical(len(r), part.freedom) * sigma)
        if not 3 <= far.sum() <= len(r) / 2:
            continue
        rest = context.part(part.rows[~far])
        if rest is None:
            continue
        gaps = _gaps(context, rest, part.rows[far])
        level = float(np.median(gaps))
        spread = max(robust_sd(gaps - level, 0), 0.5 * rest.scatter)
        if spread > 4 * rest.scatter or (np.abs(gaps - level) > 0.25 * abs(level)).any():
            continue
        ratio = float(np.exp(-level))
        bytes_ = 2.5 <= max(ratio, 1 / ratio) <= 6.0  # bytes a token of tokenisers in use
        found.append(
            context.finding(
                "per-byte-mixed" if bytes_ else "other-level",
                "error",
                part.rows[far],
                says=f"{int(far.sum())} of {len(r)} rows lie a common factor {np.exp(level):.3g} off the law of "
                "the others "
                f"(to {100 * spread:.1g} %)",
                number=level,
                of="their median ln loss above the others' law",
                meaning=(
                    f"The factor is that of losses per byte among losses per token, at "
                    f"{max(ratio, 1 / ratio):.2f} bytes "
                    "a token."
                    if bytes_
                    else "One factor for all of them is no noise: another eval set, tokeniser or unit."
                ),
                mend="convert them with the tokeniser's bytes per token, or fit the two groups apart.",
                aside=part.rows[far],
            )
        )
    return found


def _gaps(context: Context, part: Part, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """ln loss of rows above a part's law."""
    law = part.law_at(**{v: context.numbers(v)[rows] for v in context.law.variables})
    return np.asarray(np.log(context.numbers("loss")[rows]) - law)


def _excess(context: Context, part: Part, marked: Mask) -> float:
    """Of the marked rows above the law of the others, or where those bear none, the other way round."""
    for sign, high in ((1.0, marked), (-1.0, ~marked)):
        rest = context.part(part.rows[~high])
        if rest is not None:
            return sign * float(np.median(_gaps(context, rest, part.rows[high])))
    return float("nan")


def _raised(context: Context, part: Part, step: float) -> Mask | None:
    """Which rows (n,) lie `step` above one law with the others; None where no two-level law is far the better.

    Groups to begin with: rows far from the robust fit, and every size, and every value of a column of words, because
    a whole size that is mistaken bends the fit towards itself. From each the rows are assigned to the nearer level and
    the law refitted, all in one batch.
    """
    problem = part.problem
    y, loss = problem.y, problem.loss
    r, _ = part.robust
    starts = [r > 0.5 * step, r > -0.5 * step, *_groups(context, part.rows)]
    marked = np.array([s for s in starts if 0 < s.sum() < len(y)])
    if not len(marked):
        return None
    ts = np.repeat(part.t[None], len(marked), axis=0)
    for _ in range(4):
        lowered = y * np.exp(-step * marked)
        ts = problem.minimise(ts, y=lowered).t
        left = problem.residuals(ts, lowered)[0] + step * marked
        again = left > 0.5 * step
        if (again == marked).all():
            break
        marked = again
    lowered = y * np.exp(-step * marked)
    ts = problem.minimise(ts, y=lowered).t
    left = problem.residuals(ts, lowered)[0]
    cost = loss.cost(left, loss.delta).sum(axis=1)
    size = marked.sum(axis=1)
    cost = np.where((size > 0) & (size < len(y)), cost, np.inf)
    best = int(np.argmin(cost))
    found, left = marked[best], left[best]
    few = min(int(found.sum()), int((~found).sum()))
    if not few or not np.isfinite(cost[best]):
        return None
    scatter = max(robust_sd(left, problem.free), 1e-9)
    limit = critical(len(y), len(y) - problem.free) * scatter
    gained = float(loss.cost(r, loss.delta).sum() - cost[best]) / loss.delta
    minority = found if found.sum() == few else ~found
    gross = np.abs(r) > 0.5 * step
    fits = (
        limit < 0.25 * step  # the two levels are told apart, and an outlier seldom lies on one by chance
        and (few >= 3 or found.sum() == few)  # one row below all others is no sign that these are in bits
        and (np.abs(left) > limit).sum() <= few  # nor is one among many rows that no unit explains
        and gained > 0.25 * step * few
        and np.mean(np.abs(left[minority]) <= limit) >= 0.9
        and (np.abs(left[gross]) <= limit).sum() >= 0.8 * gross.sum()
    )
    return found if fits else None


def _groups(context: Context, rows: NDArray[np.int64]) -> Iterator[Mask]:
    """Masks (n,) of each size, each horizon and each value of columns that hold a few words."""
    labels = [context.clusters("params")[rows], context.clusters("tokens")[rows]]
    for column in context.runs.columns:
        if context.runs[column].dtype.kind not in "fiub" and column not in ("run_id",):
            labels.append(context.labels(column)[rows])
    for label in labels:
        values, counts = np.unique(label, return_counts=True)
        if not 2 <= len(values) <= _MOST_GROUPS:
            continue
        for value in values[counts <= 0.6 * len(rows)]:
            yield label == value


# ---- part of the rows: counts ---------------------------------------------------------------------


def swapped_rows(context: Context) -> list[Finding]:
    """Rows that lie on the others' law once params and tokens change places."""
    found = []
    for rows in context.groups():
        n, d = context.numbers("params")[rows], context.numbers("tokens")[rows]
        ratio = np.log(d / n)
        usual = np.sign(np.median(ratio))
        odd = np.sign(ratio) == -usual
        if not odd.any() or odd.sum() > len(rows) / 2:
            continue
        mended = _mended(context, rows, odd, {"params": d, "tokens": n})
        if mended is None or not mended[0].any():
            continue
        marked, was = mended
        found.append(
            context.finding(
                "swapped-rows",
                "error",
                rows[marked],
                says=f"{int(marked.sum())} of {len(rows)} rows lie on the law of the others once params and "
                "tokens change "
                "places, and not as they stand",
                number=was,
                of="their median |ln loss| off the law as they stand",
                meaning="They stand far outside the other runs, where they pull hardest on the exponents.",
                mend="swap params and tokens in these rows.",
                aside=rows[marked],
            )
        )
    return found


def scaled_rows(context: Context) -> list[Finding]:
    """Rows beyond a gap in N or D that lie on the others' law once multiplied by 1e3, 1e6 or 1e9, or divided."""
    found = []
    for column in ("params", "tokens"):
        for rows in context.groups():
            values = context.numbers(column)[rows]
            logs = np.log10(values)
            order = np.argsort(logs)
            island = np.empty(len(rows), dtype=int)
            island[order] = np.concatenate([[0], np.cumsum(np.diff(logs[order]) > GAP)])
            odd = island != np.bincount(island).argmax()
            if not odd.any() or odd.sum() > len(rows) / 2:
                continue
            for scale, word in _SCALES.items():
                for factor in (scale, 1 / scale):
                    mended = _mended(context, rows, odd, {column: values * factor})
                    if mended is None or not mended[0].any():
                        continue
                    marked, was = mended
                    odd &= ~marked
                    found.append(
                        context.finding(
                            "scaled-rows",
                            "error",
                            rows[marked],
                            says=f"{int(marked.sum())} of {len(rows)} rows lie on the law of the others once "
                            f"{column} is "
                            f"{'multiplied' if factor > 1 else 'divided'} by {scale:.0e}".replace("e+0", "e"),
                            number=was,
                            of="their median |ln loss| off the law as they stand",
                            meaning=f"{column} is in {word} in "
                            f"{'these rows' if factor > 1 else 'the other rows'}: they stand "
                            "far outside the other runs, where they pull hardest on the exponents.",
                            mend=f"put {column} in plain counts in every row.",
                            aside=rows[marked],
                        )
                    )
    return found


def _mended(
    context: Context, rows: NDArray[np.int64], odd: Mask, change: dict[str, NDArray[np.float64]]
) -> tuple[Mask, float] | None:
    """(which of `odd` (n,) the change puts on the law of the other rows and among them, how far off they were)."""
    rest = context.part(rows[~odd])
    if rest is None:
        return None
    now = {v: context.numbers(v)[rows] for v in context.law.variables}
    then = now | change
    inside = np.ones(len(rows), dtype=bool)
    for v in ("params", "tokens"):
        inside &= (then[v] >= now[v][~odd].min() / 2) & (then[v] <= now[v][~odd].max() * 2)
    loss = np.log(context.numbers("loss")[rows])
    limit = critical(len(rows), rest.freedom) * rest.scatter * 1.5  # the law's own error there
    before, after = np.abs(loss - rest.law_at(**now)), np.abs(loss - rest.law_at(**then))
    marked = odd & inside & (after <= limit) & ~(before <= np.maximum(1.5 * limit, 3 * after))
    return marked, float(np.median(before[marked])) if marked.any() else 0.0
