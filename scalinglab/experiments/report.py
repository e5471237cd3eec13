"""What a reproduced experiment hands over: published figures beside ours, tables, pictures, a verdict."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from scalinglab.analysis import Estimate, number_text
from scalinglab.analysis.answer import to_plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Fit


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

    @property
    def ours_text(self) -> str:
        if isinstance(self.ours, Estimate):
            return self.ours.text()
        return number_text(float(self.ours)) if isinstance(self.ours, int | float) else str(self.ours)


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper's, and what these runs say of it.

    because: the figures it is judged by. decide: what would settle it, where it is undecided.
    """

    claim: str
    verdict: Literal["confirmed", "contradicted", "undecided"]
    because: str
    decide: str = ""


@dataclass(frozen=True)
class Report:
    """An experiment's outcome, printed by `scalinglab reproduce` and written as a page.

    lines: published beside ours. tables: title -> frame, for what does not fit on a line. figures: file stem -> what
    draws it. verdict: in a sentence or two, what agrees, what does not, and why. fits: name -> fit, to be kept beside
    the runs.
    """

    title: str
    source: str
    lines: tuple[Beside, ...]
    verdict: str
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], "Axes"]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    question: str = ""
    setup: str = ""
    """What was run and fitted."""
    claims: tuple[Claim, ...] = ()
    fits: Mapping[str, "Fit"] = field(default_factory=dict, repr=False)

    def _repr_markdown_(self) -> str:
        # imported here: a page is made of a report
        from scalinglab.experiments.page import markdown

        return markdown(self)

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON; figures by their stems."""
        return {
            "title": self.title,
            "source": self.source,
            "question": self.question,
            "setup": self.setup,
            "lines": [to_plain(line) for line in self.lines],
            "tables": to_plain(dict(self.tables)),
            "claims": [asdict(claim) for claim in self.claims],
            "verdict": self.verdict,
            "notes": list(self.notes),
        }


def wide_axes(width: float = 5.2, height: float = 3.4) -> "Axes":
    """Axes of a figure across both columns of a paper, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").add_subplot()
