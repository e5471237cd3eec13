"""What every importer hands over: rows under the names and values the source itself uses."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalinglab.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scalinglab.records.importers._map import Entry

DIVERGED = math.inf
"""What a logged value that is no number becomes: a run that ends so has no loss, and no earlier one is its end."""


@dataclass
class Source:
    """Somebody's runs as they lie there.

    name: how messages call it. frame: one row a run, or one a logged point; cells are texts or numbers.
    run, order: the columns that name the run and count along it, where the format itself knows them.
    files: what was read, for the hash. row_name: how messages call the i-th row.
    known: what the format itself says of columns of the run table, each with its reason, ahead of all guesses.
    constant: columns that hold one value a run, kept in the table where they tell runs apart.
    notes: what was left out, in sentences.
    """

    name: str
    frame: pd.DataFrame
    run: str | None = None
    order: str | None = None
    files: tuple[Path, ...] = ()
    row_name: Callable[[int], str] = lambda i: f"row {i + 1}"
    known: dict[str, Entry] = field(default_factory=dict)
    constant: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    format: str = ""
    table: bool = False
    """Whether it is a plain table, whose rows are runs unless they say otherwise."""

    def sha256(self) -> str:
        """Of all files' names and contents; empty where there are none, as of a server."""
        if not self.files:
            return ""
        if len(self.files) == 1:
            return hashlib.sha256(self.files[0].read_bytes()).hexdigest()
        whole = hashlib.sha256()
        root = os.path.commonpath([path.parent for path in self.files])
        for path in sorted(self.files):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
        return whole.hexdigest()


@dataclass
class Logged:
    """One run as a tracker keeps it: settings that hold for all of it, and what was logged at each step."""

    name: str
    settings: dict[str, Any]
    points: dict[int, dict[str, Any]]
    """step -> metric -> value"""


def from_runs(name: str, runs: Iterable[Logged], files: Iterable[Path], what: str, **more: Any) -> Source:
    """A source of logged points from the runs of a tracker; runs of one name are told apart by a number, and a setting
    of a metric's name is called config.NAME.

    what: what messages call the format. Raises InputError where no run logged anything.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    constant: dict[str, None] = {}
    count: dict[str, int] = {}
    silent = []
    runs = list(runs)
    metrics = {"run", "step"}.union(*(point for run in runs for point in run.points.values()))
    for run in runs:
        count[run.name] = count.get(run.name, 0) + 1
        own = run.name if count[run.name] == 1 else f"{run.name} ({count[run.name]})"
        if not run.points:
            silent.append(own)
            continue
        settings = {f"config.{key}" if key in metrics else key: value for key, value in flat(run.settings)}
        constant |= dict.fromkeys(settings)
        for step in sorted(run.points):
            rows.append({"run": own, "step": step} | settings | run.points[step])
    if not rows:
        raise InputError(f"{name} holds no {what} with a logged metric; is it the right folder?")
    notes = more.pop("notes", ())
    if silent:
        notes = (*notes, f"{len(silent)} run(s) without a logged metric left out: {', '.join(silent[:5])}.")
    frame = pd.DataFrame(rows)
    steps = [int(step) for step in frame["step"]]

    def row_name(i: int) -> str:
        return f'run "{frame["run"].iloc[i]}", step {steps[i]}'

    return Source(
        name,
        frame,
        run="run",
        order="step",
        files=tuple(files),
        row_name=row_name,
        constant=tuple(constant),
        notes=notes,
        **more,
    )


def flat(settings: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as (dotted name, value); what a cell cannot hold becomes its text."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        elif value is None or isinstance(value, str | int | float):
            yield f"{before}{key}", value
        else:
            yield f"{before}{key}", str(value)


def logged_number(value: Any) -> float | None:
    """A metric as a number, DIVERGED where it was logged as none; None for what is no number at all."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if value.strip().lower() not in ("nan", "inf", "infinity", "-inf", "-infinity"):
            return None
        return DIVERGED
    if not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else DIVERGED


def files_named(folder: Path, pattern: str) -> list[Path]:
    """Files below a folder, in a fixed order whatever the disk's."""
    return sorted(path for path in folder.rglob(pattern) if path.is_file())


def bytes_of(path: Path) -> bytes:
    """A file's content. Raises InputError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
