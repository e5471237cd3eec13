"""What a reproduced experiment hands over: published figures beside ours, tables, pictures, a verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from scalinglab.analysis.answer import to_plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Beside:
    """One published figure beside ours.

    published: as it was printed, with the interval that goes with it, if any; "" where nothing was. ours: a number, an
    Estimate, or text.
    """

    what: str
    published: str
    ours: Any
    note: str = ""


@dataclass(frozen=True)
class Report:
    """An experiment's outcome, printed by `scalinglab reproduce`.

    lines: published beside ours. tables: title -> frame, for what does not fit on a line. figures: file stem -> what
    draws it. verdict: in a sentence or two, what agrees, what does not, and why.
    """

    title: str
    source: str
    lines: tuple[Beside, ...]
    verdict: str
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], "Axes"]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON; figures by their stems."""
        return {
            "title": self.title,
            "source": self.source,
            "lines": [to_plain(line) for line in self.lines],
            "tables": to_plain(dict(self.tables)),
            "verdict": self.verdict,
            "notes": list(self.notes),
        }


def wide_axes(width: float = 5.2, height: float = 3.4) -> "Axes":
    """Axes of a figure across both columns of a paper, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").add_subplot()
