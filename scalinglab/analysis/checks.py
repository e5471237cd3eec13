"""What the answers' arguments must be, in one place."""

import math
import numbers
from typing import TYPE_CHECKING, Any

from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

_ABOUT_ROWS = ("undecayed-rows",)  # warnings that tell what was taken, not what is doubtful


def positive(value: Any) -> bool:
    """Whether it is a finite number above 0, of Python's or numpy's; True and text are none."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return bool(number and value > 0 and math.isfinite(value))


def positive_number(value: Any, what: str, example: str = "1e9") -> float:
    """A positive, finite number. Raises InputError for anything else: text, truth values, zero, infinity."""
    if positive(value):
        return float(value)
    raise InputError(f"{what} is a positive number such as {example}, not {value!r}")


def check_level(level: Any) -> float:
    """Raises InputError where it is not a share strictly between 0 and 1."""
    if isinstance(level, numbers.Real) and not isinstance(level, bool) and 0 < float(level) < 1:
        return float(level)
    raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level!r}")


def fit_notes(fit: "Fit", boot: "Bootstrap | None") -> tuple[str, ...]:
    """What is doubtful of the fit an answer is asked of, a sentence each; nothing for a sound or a given one."""
    found = []
    doubts = [warning.code for warning in fit.warnings if warning.code not in _ABOUT_ROWS]
    if doubts:
        codes = ", ".join(dict.fromkeys(doubts))
        found.append(f"The fit behind it: {fit.status.reason} ({codes}; see the fit's warnings).")
    found += [
        f"Its intervals: {warning.sentence}." for warning in (boot.warnings if boot is not None else ())
    ]
    return tuple(found)
