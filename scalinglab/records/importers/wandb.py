"""Weights & Biases: offline runs, exported charts, and the server where one is logged in.

An offline run is one binary log, `run-ID.wandb`: a header of 7 bytes, then blocks of 32 KiB with records in pieces, in
the framing of LevelDB; each record is a protocol buffer (run, config, history, …). Exported tables of runs are plain
tables and are read as such.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records.importers._source import Logged, Source, bytes_of, from_runs, logged_number
from scalinglab.records.importers._wire import Torn, fields, real, signed, text

_MAGIC = b":W&B"
_BLOCK = 32 * 1024
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def sniff(path: Path) -> bool:
    """An offline run's file or folder, the folder `wandb` with several, or the folder around it."""
    if path.is_file():
        return path.suffix == ".wandb"
    return bool(_run_files(path))


def read(path: Path) -> Source:
    """All runs of a folder, synchronised or not. Raises InputError for a damaged file."""
    files = [path] if path.is_file() else _run_files(path)
    return from_runs(str(path), (_read_run(file) for file in files), files, "run of Weights & Biases")


def _run_files(path: Path) -> list[Path]:
    """Each run once: `latest-run` is a link to one of the others."""
    for pattern in ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb"):
        found = [
            file for file in sorted(path.glob(pattern)) if file.is_file() and file.parent.name != "latest-run"
        ]
        if found:
            return found
    return []


def _records(data: bytes) -> Iterator[bytes]:
    """Whole records; a torn tail, as a killed run leaves it, ends them."""
    at, pieces = 7, b""
    while at + 7 <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < 7:  # what cannot hold a piece's header is padding
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        at += 7
        if at + size > len(data):
            return
        piece = data[at : at + size]
        at += size
        pieces = piece if kind in (_WHOLE, _FIRST) else pieces + piece
        if kind in (_WHOLE, _LAST):
            yield pieces
            pieces = b""


def _read_run(path: Path) -> Logged:
    data = bytes_of(path)
    if data[:4] != _MAGIC:
        raise InputError(f"{path} is no run of Weights & Biases; delete it or copy it again.")
    name = path.stem.removeprefix("run-")
    settings: dict[str, Any] = {}
    points: dict[int, dict[str, Any]] = {}
    for record in _records(data):
        try:
            for number, message in fields(record):
                if number == 17:  # RunRecord: config 4, display_name 8
                    for inner, value in fields(message):
                        if inner == 4:
                            settings |= _items(value, 1)
                        elif inner == 8 and value:
                            name = text(value)
                elif number == 5:  # ConfigRecord: update 1
                    settings |= _items(message, 1)
                elif number == 2:  # HistoryRecord: item 1, step 2
                    step, values = _history(message, len(points))
                    points.setdefault(step, {}).update(values)
        except Torn:
            break
    settings = {key: value for key, value in settings.items() if not key.startswith("_wandb")}
    return Logged(name, settings, points)


def _history(message: bytes, default: int) -> tuple[int, dict[str, float]]:
    step, items = default, _items(message, 1)
    for number, value in fields(message):
        if number == 2:
            step = next((signed(inner) for field, inner in fields(value) if field == 1), 0)
    if isinstance(items.get("_step"), int | float):
        step = int(items["_step"])
    numbers = {key: logged_number(value) for key, value in items.items() if not key.startswith("_")}
    return step, {key: value for key, value in numbers.items() if value is not None}


def _items(message: bytes, of: int) -> dict[str, Any]:
    """Key 1 or nested_key 2 (repeated), and the value: JSON in 16, or, in newer files, as it is in 4 to 8."""
    found: dict[str, Any] = {}
    for number, item in fields(message):
        if number != of:
            continue
        keys: list[str] = []
        value: Any = None
        for inner, raw in fields(item):
            if inner in (1, 2):
                keys.append(text(raw))
            elif inner in (8, 16):
                try:
                    value = json.loads(raw)
                except ValueError:
                    value = text(raw)
            elif inner == 4:
                value = bool(raw)
            elif inner == 5:
                value = signed(raw)
            elif inner == 6:
                value = real(raw)
            elif inner == 7:
                value = text(raw)
        if keys:
            found[".".join(key for key in keys if key)] = value
    return found


# Exported charts ------------------------------------------------------------------------------------------


def is_chart(columns: list[str]) -> bool:
    """Whether a table is an exported chart: a step, and columns `RUN - METRIC` with their `__MIN` and `__MAX`."""
    names = set(columns)
    return any(f"{name}__MIN" in names and " - " in name for name in columns)


def from_chart(source: Source) -> Source:
    """An exported chart, a column a run, as one row a run and step."""
    columns = [str(name) for name in source.frame.columns]
    order = columns[0]
    series = [
        name for name in columns[1:] if " - " in name and not name.endswith(("__MIN", "__MAX", " - _step"))
    ]
    points: dict[str, dict[int, dict[str, Any]]] = {}
    for name in series:
        run, _, metric = name.rpartition(" - ")
        own = points.setdefault(run, {})
        for i, cell in enumerate(source.frame[name]):
            if cell in ("", None) or cell != cell:
                continue
            try:
                step, value = int(float(source.frame[order].iloc[i])), float(cell)
            except ValueError as error:
                raise InputError(
                    f'{source.name}, {source.row_name(i)}, column "{name}": "{cell}" is not a number; export the chart '
                    "again."
                ) from error
            own.setdefault(step, {})[metric] = logged_number(value)
    runs = [Logged(run, {}, own) for run, own in points.items()]
    made = from_runs(source.name, runs, source.files, "run in the chart")
    made.frame = made.frame.rename(columns={"step": order})
    made.order = order
    return made


# The server -----------------------------------------------------------------------------------------------


def from_server(address: str) -> Source:
    """All runs of `wandb:ENTITY/PROJECT`, or the one of `wandb:ENTITY/PROJECT/RUN`, with their whole histories.

    Raises EnvironmentProblem where the package is missing or the server says no; InputError for another address.
    """
    path = address.removeprefix("wandb:").strip("/")
    if path.count("/") not in (1, 2):
        raise InputError(
            f"{address} names no project; write wandb:ENTITY/PROJECT, or wandb:ENTITY/PROJECT/RUN."
        )
    try:
        import wandb
    except ImportError:
        raise EnvironmentProblem(
            f"{address} is read through the package wandb: pip install wandb, then wandb login; offline runs and "
            "exported tables need neither."
        ) from None
    try:
        api = wandb.Api()
        runs = [api.run(path)] if path.count("/") == 2 else api.runs(path, order="+created_at")
        logged = [_of_server(run) for run in runs]
    except Exception as error:  # its client raises errors of its own, of requests, and plain ones
        reason = str(error).split("\n")[0].rstrip(". ") or type(error).__name__
        raise EnvironmentProblem(f"{address} cannot be read: {reason}; is wandb login done?") from error
    return from_runs(address, logged, (), "run of Weights & Biases")


def _of_server(run: Any) -> Logged:
    points: dict[int, dict[str, Any]] = {}
    for i, row in enumerate(run.scan_history()):
        numbers = {key: logged_number(value) for key, value in row.items() if not key.startswith("_")}
        step = int(row.get("_step", i))
        points.setdefault(step, {}).update(
            {key: value for key, value in numbers.items() if value is not None}
        )
    return Logged(str(run.name), {"state": run.state} | dict(run.config), points)
