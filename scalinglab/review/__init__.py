"""A run table reviewed before it is fitted: what a careful reader would ask about, with rows, numbers and mends.

A check is a function (Context) -> list of Findings; CHECKS runs them in order, and the rows that a finding sets aside
are out for those behind it. docs/check.md says what each finding means and where its threshold comes from.
"""

import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglab.errors import InputError
from scalinglab.laws import Chinchilla, Law
from scalinglab.records import TableWarning, read_runs
from scalinglab.review import data, decay, design, labels, outliers, pools, repeats, settings, status, units
from scalinglab.review.context import Context
from scalinglab.review.finding import SEVERITIES, Finding, Severity
from scalinglab.review.report import Report

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHECKS", "SEVERITIES", "Context", "Finding", "Report", "Severity", "check"]

Check = Callable[[Context], list[Finding]]
CHECKS: tuple[Check, ...] = (
    labels.eval_sets,
    labels.loss_units,
    labels.perplexity,
    labels.counts_agree,
    units.swapped_columns,
    units.scaled_columns,
    repeats.copies,
    repeats.restarts,
    decay.undecayed,
    units.swapped_rows,
    units.scaled_rows,
    pools.pooled,
    units.bits_in_part,
    units.other_level,
    repeats.near_copies,
    settings.swept,
    data.repeated,
    decay.before_the_end,
    decay.above_peers,
    outliers.outliers,
    design.few_values,
    design.collinear,
    settings.confounded,
    status.identified,
)
"""What is looked for, in this order: labels first, then faults that a law has to be free of to show the next."""


def check(
    runs: "str | os.PathLike[str] | pd.DataFrame",
    law: Law | None = None,
    eval_set: str | None = None,
    *,
    checks: tuple[Check, ...] = CHECKS,
) -> Report:
    """Review a run table: a file, a study folder or a DataFrame, as `read_runs` takes them.

    law: in params and tokens, that the rows should follow; Chinchilla by default. eval_set: the one to review, where
    there are several; else the average over them where the table has it, else the one with most rows.
    Raises InputError for a table that cannot be read, an unknown eval set, or a law of other variables.
    """
    law = law or Chinchilla()
    if not isinstance(law, Law) or law.target != "loss" or not {"params", "tokens"} <= set(law.variables):
        raise InputError(
            "a table is reviewed under a law of loss in params and tokens, such as laws.Chinchilla()"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)  # repeated rows are a finding here
        table = read_runs(runs)
    name = str(table.attrs.get("source", "the table"))
    missing = [v for v in law.variables if v not in table]
    if missing:
        raise InputError(f"{name} has no column {missing[0]!r}, which {law.name} needs")
    context = Context(table, law)
    if eval_set is not None:
        _choose(context, eval_set, name)
    found: list[Finding] = []
    with np.errstate(all="ignore"):
        for each in checks:
            for finding in each(context):
                found.append(finding)
                context.set_aside(finding.aside)
    found.sort(key=lambda f: SEVERITIES.index(f.severity))
    return Report(tuple(found), name, len(table), tuple(each.__name__ for each in checks), table)


def _choose(context: Context, eval_set: str, name: str) -> None:
    sets = context.words("eval_set")
    if eval_set not in sets:
        known = ", ".join(f'"{s}"' for s in dict.fromkeys(sets) if s) or "none"
        raise InputError(f'{name} has no eval set "{eval_set}"; it has {known}')
    others: Any = np.flatnonzero(sets != eval_set)
    context.set_aside(others)
