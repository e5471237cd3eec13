"""Runs that had not finished: constant learning rate, points before a run's end, a run above the law of its peers."""

import re

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.source import of_trunks
from scalinglab.fitting._noise import robust_sd
from scalinglab.review.context import Context
from scalinglab.review.finding import Finding, listed
from scalinglab.review.part import critical

_UNDECAYED = re.compile(
    r"(?<![a-z])(const(ant)?|stable|trunk|undecayed|intermediate|unfinished)(?![a-z])", re.IGNORECASE
)
_TOLD_BY = ("schedule", "phase")
_HIGHER = (
    "An undecayed loss lies 1 to 5 % above what the same run reaches after its decay: pooled with finished runs it "
    "bends the law, most where such rows gather."
)


def undecayed(context: Context) -> list[Finding]:
    """Rows that the table itself calls undecayed: kind trunk, schedule or phase constant, decay_share 0."""
    trunk = of_trunks(context.runs)
    told = trunk.copy()
    for column in _TOLD_BY:
        words = context.words(column)
        marked = np.array([bool(_UNDECAYED.search(word.replace("_", " "))) for word in words], dtype=bool)
        told |= marked
    shares = context.numbers("decay_share")
    if (shares[context.taken] > 0).any():
        told |= shares == 0
    told &= context.taken
    rows = context.rows
    if not told.any():
        return []
    if told[rows].all():
        return [
            context.finding(
                "all-undecayed",
                "note",
                says=f"all {len(rows)} rows are undecayed",
                number=1.0,
                of="share of the rows",
                meaning="They follow the law of undecayed losses: its E and B lie above those of finished runs, "
                "and its D/N "
                "is another.",
                mend="add the ends of decayed runs, or say that the law is of undecayed losses.",
            )
        ]
    silent = np.flatnonzero(told & ~trunk)
    left_out = np.flatnonzero(told & trunk)
    found = []
    if len(left_out):
        found.append(
            context.finding(
                "undecayed-trunks",
                "note",
                left_out,
                says=f"{len(left_out)} rows are of undecayed trunks (kind trunk); a fit leaves them out and "
                "takes the other "
                f"{int((~trunk[rows]).sum())}",
                number=len(left_out) / len(rows),
                of="share of the rows",
                meaning=_HIGHER,
                mend="nothing: they are left out by themselves.",
                aside=left_out,
            )
        )
    if len(silent):
        above = _above(context, silent)
        size = f", {100 * above[0]:.1f} % above the law of the others" if np.isfinite(above[0]) else ""
        found.append(
            context.finding(
                "undecayed",
                "warning",
                silent,
                says=f"{len(silent)} of {len(rows)} rows are called undecayed by their schedule or phase, not by "
                f"kind{size}",
                number=float(above[0]),
                of="their ln loss above the law of the finished rows",
                meaning=_HIGHER
                + " A fit takes them as they are, because only kind tells it to leave them out.",
                mend='give them kind "trunk", or leave them out.',
                aside=silent,
            )
        )
    return found


def _above(context: Context, rows: NDArray[np.int64]) -> tuple[float, float]:
    """(median ln loss above the law of the other rows, its standard error); NaN where they bear no law."""
    part = context.part(np.setdiff1d(context.rows, rows))
    if part is None:
        return np.nan, np.nan
    gap = np.log(context.numbers("loss")[rows]) - part.law_at(
        **{v: context.numbers(v)[rows] for v in context.law.variables}
    )
    return float(np.median(gap)), part.scatter


def before_the_end(context: Context) -> list[Finding]:
    """Points of a run before its last one, where they lie above the law of run ends."""
    found = []
    ids, tokens, settings = context.words("run_id"), context.numbers("tokens"), context.labels("seed")
    for part in context.parts():
        rows = part.rows
        keys = np.array([f"{ids[i]}\0{settings[i]}" for i in rows])
        early = np.zeros(len(rows), dtype=bool)
        for key in np.unique(keys[ids[rows] != ""]):
            mine = keys == key
            early |= mine & (tokens[rows] < tokens[rows][mine].max() * (1 - 1e-6))
        if not early.any() or early.sum() > 0.95 * len(rows):
            continue
        delta, error = part.shift(early)
        if not delta / error > critical(1, part.freedom):
            continue
        found.append(
            context.finding(
                "before-the-end",
                "warning",
                rows[early],
                says=f"{int(early.sum())} rows are points of a run before its last one, and lie {100 * delta:.1f} ± "
                f"{100 * error:.1f} % above the law of the ends",
                number=delta,
                of="their ln loss above the law, fitted together",
                meaning="A point within a schedule has not had its decay. " + _HIGHER,
                mend="keep the last point of each run, or mark the others kind trunk.",
                aside=rows[early],
            )
        )
    return found


def above_peers(context: Context) -> list[Finding]:
    """Runs all of whose rows lie above the law by more than whole runs differ otherwise."""
    found = []
    column = "trunk_id" if "trunk_id" in context.runs else "run_id"
    names = context.words(column)
    for part in context.parts():
        mine = names[part.rows]
        groups = [g for g in dict.fromkeys(mine) if g and (mine == g).sum() >= 2]
        if len(groups) < 5:
            continue
        r, _h, _inside, s = part.searched
        fits = {}
        for name in groups:
            members = mine == name
            if not (r[members] > 0).all():
                continue
            rest = context.part(part.rows[~members])
            if rest is None:
                continue
            rows = part.rows[members]
            gap = np.log(context.numbers("loss")[rows]) - rest.law_at(
                **{v: context.numbers(v)[rows] for v in context.law.variables}
            )
            delta, error = part.shift(members)
            if np.isfinite(delta):
                fits[name] = (float(np.median(gap)), delta, error, rest)
        means = np.array([np.median(r[mine == name]) for name in groups])
        for name, (gap, delta, error, rest) in fits.items():
            others = np.array([m for g, m in zip(groups, means, strict=True) if g != name])
            between = robust_sd(others - np.median(others), 0)
            wide = float(np.hypot(error * rest.scatter / max(s, rest.scatter), between))
            if min(gap, delta) / wide <= critical(len(groups), len(groups) - 2):
                continue
            rows = part.rows[mine == name]
            found.append(
                context.finding(
                    "above-peers",
                    "warning",
                    rows,
                    says=f"all {len(rows)} rows of {column} {listed([name])} lie above the law of their peers, by "
                    f"{100 * delta:.1f} ± {100 * wide:.1f} %",
                    number=delta,
                    of="its ln loss above the law, fitted together",
                    meaning="A whole run that is worse than its size and data explain: undecayed, unfinished, "
                    "resumed with "
                    "a wrong learning rate, or of another recipe.",
                    mend="look at its learning rate at the end; mark it kind trunk, or leave it out.",
                    aside=rows,
                )
            )
    return found
