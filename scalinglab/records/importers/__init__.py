"""Other people's runs as run tables: whose files they are, what their columns mean, and a map that remakes the table.

A new format is a module with two functions, and a line in `FORMATS`:

    def sniff(path: Path) -> bool: ...       # are these its files? cheap, never raises
    def read(path: Path) -> Source: ...      # its rows under its own names; `from_runs` makes them of logged runs

What columns mean is guessed and mapped in one place for all of them. Nothing here imports torch, or a tracker's package
before it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scalinglab.errors import InputError
from scalinglab.records.importers import hugging_face, mlflow, studies, tables, tensorboard, wandb
from scalinglab.records.importers._apply import apply
from scalinglab.records.importers._guess import propose
from scalinglab.records.importers._map import Entry, Map, map_of, map_text, read_map
from scalinglab.records.importers._source import Logged, Source, from_runs

if TYPE_CHECKING:
    import pandas as pd

FORMATS: dict[str, ModuleType] = {
    "study": studies,
    "trainer": hugging_face,
    "wandb": wandb,
    "mlflow": mlflow,
    "tensorboard": tensorboard,
    "table": tables,
}
"""By name, in the order they are tried: the ones that are told most surely first."""


@dataclass(frozen=True)
class Imported:
    """A run table, the map that made it, and what was left out on the way, in sentences."""

    table: pd.DataFrame
    map: Map
    notes: tuple[str, ...]


def read_source(source: str | os.PathLike[str], format: str | None = None) -> Source:
    """Somebody's runs under their own names: a file, a folder, or `wandb:ENTITY/PROJECT`.

    format: one of FORMATS, where a folder holds several. Raises InputError for what is none of them, EnvironmentProblem
    where a package is missing.
    """
    if isinstance(source, str) and source.startswith("wandb:"):
        return _of_format(wandb.from_server(source), "wandb")
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"{path} does not exist; is the path right?")
    if format is not None and format not in FORMATS:
        raise InputError(f'the format "{format}" is unknown; choose one of {", ".join(FORMATS)}.')
    try:
        name = format or next((name for name, module in FORMATS.items() if module.sniff(path)), None)
        if name is None:
            raise InputError(_unknown(path))
        return _of_format(FORMATS[name].read(path), name)
    except OSError as error:
        raise InputError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error


def _of_format(source: Source, format: str) -> Source:
    """The source with its format noted."""
    return replace(source, format=format)


def _unknown(path: Path) -> str:
    if path.is_file():
        kind = f'the suffix "{path.suffix}"' if path.suffix else "no suffix"
        return f"{path} has {kind}; a table ends in {', '.join(tables.SUFFIXES)}."
    inside = sorted(each.name for each in path.iterdir() if each.suffix.lower() in tables.SUFFIXES)
    if inside:
        return f"{path} is a folder with tables ({', '.join(inside[:5])}); give one of them."
    known = "no study, trainer_state.json, wandb run, mlruns or TensorBoard event file"
    return f"{path} holds no runs that are known: {known}."


def import_runs(
    source: str | os.PathLike[str] | Source,
    map: Map | Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> Imported:
    """The run table of somebody's runs, and the map that makes it.

    map: a Map, plain values or a file as `scalinglab import` writes it; None takes the proposal. Raises InputError,
    saying what the map lacks, where the proposal does not suffice.
    """
    if map is None or isinstance(map, Map):
        chosen = map
    else:
        chosen = map_of(map) if isinstance(map, Mapping) else read_map(Path(map))
    found = source if isinstance(source, Source) else read_source(source, (chosen and chosen.format) or None)
    if chosen is None:
        chosen = propose(found)
        if chosen.missing:
            raise InputError(missing_sentence(found.name, chosen))
    table, notes = apply(found, chosen)
    table.attrs["source"] = found.name
    return Imported(table, replace(chosen, source=found.name, sha256=found.sha256()), notes)


def missing_sentence(name: str, mapping: Map) -> str:
    """One sentence: what could not be guessed, and how to say it."""
    said = "; and ".join(f"{column}: {how.rstrip('.')}" for column, how in mapping.missing.items())
    return f"{name} leaves open what the table needs, which goes under [columns] of its map: {said}."


__all__ = [
    "FORMATS",
    "Entry",
    "Imported",
    "Logged",
    "Map",
    "Source",
    "from_runs",
    "import_runs",
    "map_of",
    "map_text",
    "missing_sentence",
    "propose",
    "read_map",
    "read_source",
]
