"""A search's records: one append-only file beside the runs, from which everything about its trials is told.

runs/<study>/search.jsonl, a line of

    search     what is searched, and with what: a search goes on only where this agrees
    begin      a trial and its settings
    measured   its held-out loss at so many tokens, and whether it goes on, is pruned there or is complete
    diverged   where it was given up

A trial that was begun and has no last word is taken up again, under its own number and settings. The file needs neither
torch nor the sampler's package to be read.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scalinglab.errors import InputError
from scalinglab.records.store import StudyFolder

if TYPE_CHECKING:
    import pandas as pd

State = Literal["running", "complete", "pruned", "diverged"]


def search_path(folder: StudyFolder) -> Path:
    return folder.path / "search.jsonl"


@dataclass
class Trial:
    """One trial. Losses are means over the held-out sets, at a constant learning rate before the end."""

    number: int
    settings: Mapping[str, float]
    state: State = "running"
    measured: dict[int, float] = field(default_factory=dict)
    """Tokens -> held-out loss there."""
    tokens: int = 0
    """Trained so far, as far as it was measured or diverged."""
    run: str = ""
    """Id of the run whose end is the trial's."""

    @property
    def loss(self) -> float:
        """At the end, decayed; NaN of a trial that is not complete."""
        return self.measured[self.tokens] if self.state == "complete" else math.nan


@dataclass(frozen=True)
class Searched:
    """A search, read."""

    header: Mapping[str, Any]
    trials: list[Trial]
    loss_unit: str = ""

    @property
    def finished(self) -> list[Trial]:
        """Those with a last word, by number."""
        return [trial for trial in self.trials if trial.state != "running"]

    @property
    def searched(self) -> dict[str, tuple[float, float]]:
        """Setting -> its range."""
        return {name: (ends[0], ends[1]) for name, ends in self.header["ranges"].items()}

    def frame(self) -> "pd.DataFrame":
        """A row a finished trial: trial, its settings, state, tokens, loss (NaN where not complete), loss_unit."""
        import pandas as pd

        rows = [
            {"trial": trial.number, **trial.settings, "state": trial.state, "tokens": trial.tokens}
            | {"loss": trial.loss, "loss_unit": self.loss_unit}
            for trial in self.finished
        ]
        return pd.DataFrame(rows, columns=["trial", *self.searched, "state", "tokens", "loss", "loss_unit"])


def read_search(folder: StudyFolder) -> Searched | None:
    """What a folder holds of a search; None where none was begun. A torn last line is passed over.

    Raises InputError for a file that is no search's.
    """
    path = search_path(folder)
    if not path.exists():
        return None
    header: dict[str, Any] = {}
    trials: dict[int, Trial] = {}
    unit = ""
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
            kind = record["kind"]
            if kind == "search":
                header = header or {key: value for key, value in record.items() if key != "kind"}
                continue
            number = int(record["trial"])
            if kind == "begin":
                trials.setdefault(number, Trial(number, record["settings"], run=record["run"]))
                continue
            trial = trials[number]
            trial.tokens = int(record["tokens"])
            if kind == "measured":
                unit = record["loss_unit"]
                trial.measured[trial.tokens] = float(record["loss"])
                trial.state = record["then"]
            elif kind == "diverged":
                trial.state = "diverged"
        except (ValueError, KeyError, TypeError):
            continue
    if "ranges" not in header:
        raise InputError(f"{path}: does not say what was searched; restore it, or remove it to search anew")
    return Searched(header, [trials[number] for number in sorted(trials)], unit)
