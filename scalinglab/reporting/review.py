"""What a review of the table found, where the package has one."""

from dataclasses import dataclass
from importlib import util

import pandas as pd

from scalinglab.errors import InputError
from scalinglab.laws import Law

REVIEW = "scalinglab.review"


@dataclass(frozen=True)
class Said:
    """One finding: its weight (error, warning, note), a code, a sentence, what it means for a fit, and a mend."""

    severity: str
    code: str
    says: str
    meaning: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Reviewed:
    """done: whether the table was reviewed at all."""

    done: bool
    findings: tuple[Said, ...] = ()


def review(runs: pd.DataFrame, law: Law) -> Reviewed:
    """The findings about a run table under a law; not done where there is no review to ask."""
    if util.find_spec(REVIEW) is None:
        return Reviewed(False)
    from importlib import import_module

    try:
        found = import_module(REVIEW).check(runs, law)
    except InputError:  # a table that can be fitted and not reviewed
        return Reviewed(False)
    return Reviewed(True, tuple(Said(f.severity, f.code, f.says, f.meaning, f.mend) for f in found.findings))
