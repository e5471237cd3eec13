"""This package's own studies: the folder of a sweep, by the table it wrote."""

from __future__ import annotations

from pathlib import Path

from scalinglab.records.importers._source import Source
from scalinglab.records.read import read_table


def sniff(path: Path) -> bool:
    """A folder with a `table.csv` or a `study.toml`."""
    return path.is_dir() and ((path / "table.csv").is_file() or (path / "study.toml").is_file())


def read(path: Path) -> Source:
    """Its rows are a run table already. Raises InputError where it has none yet."""
    frame = read_table(path)
    return Source(
        str(path), frame, files=(path / "table.csv",), row_name=lambda i: f"row {i + 1}", table=True
    )
