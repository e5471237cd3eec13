"""What a check finds: how grave it is, where, the number behind it, what it does to a fit, and how to mend it."""

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""How grave a finding is; `SEVERITIES` says what each means."""
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From the gravest: constants fitted as it is are wrong; they may be; something to know and say."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing a careful reviewer would say of a run table.

    code: stable, to test for. rows: 0-based positions in the table as `read_runs` gives it, none where the whole table
    is meant. runs: their run_id, where the table has them. number: what supports it, `of` says of what. aside: the
    checks that follow leave these rows out, so that one fault is not told twice.
    """

    code: str
    severity: Severity
    says: str
    number: float
    of: str
    meaning: str
    mend: str
    rows: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    aside: tuple[int, ...] = field(default=(), repr=False)


def listed(values: list[str], most: int = 4) -> str:
    """Names with commas between, the last of many counted."""
    return ", ".join(values[:most]) + (f" and {len(values) - most} more" if len(values) > most else "")
