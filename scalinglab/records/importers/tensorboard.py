"""TensorBoard event files: scalars by tag and step, a folder a run, and the settings that add_hparams wrote.

An event file is a row of records, each (length u64, its check u32, an Event, its check u32). A file that was being
written ends in a torn record, which is left out.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scalinglab.errors import InputError
from scalinglab.records.importers._source import (
    Logged,
    Source,
    bytes_of,
    files_named,
    from_runs,
    logged_number,
)
from scalinglab.records.importers._wire import Torn, fields, real, signed, text

_FILES = "*tfevents*"


def sniff(path: Path) -> bool:
    """An event file, or a folder with some below it."""
    if path.is_file():
        return "tfevents" in path.name
    return next(path.rglob(_FILES), None) is not None


def read(path: Path) -> Source:
    """All runs below a folder. Raises InputError where no scalar is found."""
    root = path if path.is_dir() else path.parent
    files = files_named(path, _FILES) if path.is_dir() else [path]
    points: dict[Path, dict[int, dict[str, float]]] = {}
    settings: dict[Path, dict[str, Any]] = {}
    for file in files:
        run = file.parent
        for step, tag, value in _events(bytes_of(file), file):
            if isinstance(value, dict):
                settings.setdefault(run, {}).update(value)
            else:
                points.setdefault(run, {}).setdefault(step, {})[tag] = value
    # add_hparams writes into a folder below the run's own: its settings are the run's, its scalars only copies
    for run in [run for run in settings if run.parent in points and run != root]:
        settings.setdefault(run.parent, {}).update(settings[run])
        points.pop(run, None)
    runs = [
        Logged(
            run.relative_to(root).as_posix() if run != root else run.resolve().name,
            settings.get(run, {}),
            points[run],
        )
        for run in sorted(points)
    ]
    return from_runs(str(path), runs, files, "TensorBoard run")


def _records(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 12 <= len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        if at + 16 + size > len(data):
            return
        yield data[at + 12 : at + 12 + size]
        at += 16 + size


def _events(data: bytes, path: Path) -> Iterator[tuple[int, str, float | dict[str, Any]]]:
    """(step, tag, value) of each scalar; a dict of settings where hyperparameters were written."""
    read = 0
    for record in _records(data):
        try:
            event = list(fields(record))
            read += 1
            step = next((signed(value) for number, value in event if number == 2), 0)
            for number, summary in event:
                if number == 5:
                    for inner, value in fields(summary):
                        if inner == 1:
                            yield from ((step, tag, scalar) for tag, scalar in _value(value))
        except Torn as error:
            if not read:  # not one record, however long the file: nobody was stopped writing it
                mend = "delete it or give the folder of another run."
                raise InputError(f"{path} is no TensorBoard event file; {mend}") from error
            break


def _value(message: bytes) -> Iterator[tuple[str, float | dict[str, Any]]]:
    """Summary.Value: tag 1, simple_value 2, tensor 8, metadata 9."""
    tag, scalar, plugin = "", None, {}
    for number, value in fields(message):
        if number == 1:
            tag = text(value)
        elif number == 2:
            scalar = real(value)
        elif number == 8:
            scalar = _tensor(value)
        elif number == 9:
            plugin = next((dict(fields(inner)) for field, inner in fields(value) if field == 1), {})
    if plugin.get(1) == b"hparams":
        hparams = dict(_hparams(plugin.get(2, b"")))
        if hparams:
            yield tag, hparams
    elif scalar is not None:
        number_ = logged_number(scalar)
        if number_ is not None:
            yield tag, number_


def _tensor(message: bytes) -> float | None:
    """A tensor of one float or double, as tf.summary.scalar writes it; None for any other."""
    parts = list(fields(message))
    kind = next((value for number, value in parts if number == 1), 0)
    if kind not in (1, 2):  # DT_FLOAT, DT_DOUBLE
        return None
    size = 4 * kind
    for number, value in parts:
        if number in (4, 5, 6) and isinstance(value, bytes) and len(value) == size:
            return real(value)
    return None


def _hparams(message: bytes) -> Iterator[tuple[str, Any]]:
    """HParamsPluginData: session_start_info 3, its map hparams 1 of (key 1, Value 2: number 2, text 3, bool 4)."""
    for number, start in fields(message):
        if number != 3:
            continue
        for inner, pair in fields(start):
            if inner != 1:
                continue
            entry = dict(fields(pair))
            for kind, value in fields(entry.get(2, b"")):
                if kind == 2 and math.isfinite(real(value)):
                    yield text(entry[1]), real(value)
                elif kind == 3:
                    yield text(entry[1]), text(value)
                elif kind == 4:
                    yield text(entry[1]), str(bool(value))
