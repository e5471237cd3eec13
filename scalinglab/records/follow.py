"""Following a study while it runs, from any process: what its runs' metrics gained since the last look."""

import json
from dataclasses import dataclass, field
from typing import Any

from scalinglab.records.store import StudyFolder


@dataclass
class Follower:
    """Reads what is appended to the metrics of every run in a study's folder, each record once.

    from_start: whether the records that stand there already come first, or are passed over.
    """

    folder: StudyFolder
    from_start: bool = True
    _read: dict[str, int] = field(default_factory=dict)
    """Run id -> bytes read."""

    def __post_init__(self) -> None:
        if not self.from_start:
            self.news()

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        """(run id, record) of every whole line since the last call, in each run's order; torn lines are passed over."""
        found = []
        for run in self.folder.runs():
            name = run.path.name
            try:
                with open(run.metrics_path, "rb") as file:
                    file.seek(self._read.get(name, 0))
                    content = file.read()
            except FileNotFoundError:
                continue
            whole = content.rfind(b"\n") + 1  # what follows is still being written
            self._read[name] = self._read.get(name, 0) + whole
            for line in content[:whole].split(b"\n"):
                try:
                    record = json.loads(line)
                    found.append((name, {"kind": str(record["kind"]), **record}))
                except (ValueError, KeyError, TypeError):
                    continue
        return found
