"""Plain tables: CSV, TSV, JSON, JSON lines, Parquet and Excel, under whatever names their columns have.

Cells are kept as they are written: what is a number is decided by the map. Exported charts of Weights & Biases are told
by their columns.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records.importers import wandb
from scalinglab.records.importers._source import Source, bytes_of, flat

if TYPE_CHECKING:
    import pandas as pd

_TEXT = (".csv", ".tsv", ".txt")
_JSON = (".json", ".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_EXCEL = (".xlsx", ".xlsm", ".xls", ".ods")
SUFFIXES = (*_TEXT, *_JSON, *_PARQUET, *_EXCEL)


def sniff(path: Path) -> bool:
    """A file with a suffix of tables."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def read(path: Path) -> Source:
    """Raises InputError, naming line and mend, for a damaged file; EnvironmentProblem where a package is missing."""
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; it needs a header and a row a run.")
    suffix = path.suffix.lower()
    if suffix in _TEXT:
        source = _read_text(path)
    elif suffix in _JSON:
        source = _read_json(path)
    else:
        source = _read_binary(path, suffix in _EXCEL)
    names = [str(name) for name in source.frame.columns]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f'{path} has the column "{twice}" twice; rename one.')
    source.frame.columns = _index(names)
    if source.frame.empty:
        raise InputError(f"{path} has a header and no rows; it needs a row a run.")
    return wandb.from_chart(source) if wandb.is_chart(names) else source


def _index(names: list[str]) -> pd.Index[str]:
    import pandas as pd

    return pd.Index(names)


def _source(path: Path, frame: pd.DataFrame, row_name: Any) -> Source:
    return Source(str(path), frame, files=(path,), row_name=row_name, table=True)


def _read_text(path: Path) -> Source:
    import pandas as pd

    try:
        text = bytes_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    lines = text.splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=first.count)
    rows: list[list[str]] = []
    numbers: list[int] = []
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    before = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append([cell.strip() for cell in cells])
                numbers.append(before + 1)
            before = reader.line_num
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; is it a text table?") from error
    if not rows:
        raise InputError(f"{path} is empty; it needs a header and a row a run.")
    names = [name or f"unnamed_{i}" for i, name in enumerate(rows[0])]
    for number, cells in zip(numbers[1:], rows[1:], strict=True):
        if len(cells) != len(names):
            raise InputError(
                f"{path}, line {number} has {len(cells)} fields where the header has {len(names)}; is a separator "
                "missing, or one too many (text that holds it needs quotes)?"
            )
    # pandas writes its index under no name; a separator at the end of lines makes an empty column
    drop = [name for i, name in enumerate(rows[0]) if not name for name in [f"unnamed_{i}"]]
    frame = pd.DataFrame(
        [[cell or None for cell in cells] for cells in rows[1:]], columns=names, dtype=object
    )
    frame = frame.drop(columns=[name for name in drop if name == names[0] or frame[name].isna().all()])
    return _source(path, frame, lambda i: f"line {numbers[i + 1]}")


def _read_json(path: Path) -> Source:
    """JSON lines, or one JSON value: a list of objects, or an object with such a list (`runs`, `data`, …)."""
    import pandas as pd

    try:
        text = bytes_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    objects: list[Any] = []
    numbers: list[int] = []
    if path.suffix.lower() == ".json":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path} is not JSON: {error}; mend it, or name it .jsonl if each line is an object."
            ) from error
        if isinstance(found, dict):
            lists = [
                value
                for value in found.values()
                if isinstance(value, list) and value and isinstance(value[0], dict)
            ]
            found = lists[0] if len(lists) == 1 else [found]
        objects = list(found) if isinstance(found, list) else [found]
        row_name = lambda i: f"object {i + 1}"  # noqa: E731
    else:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    objects.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"{path}, line {number} is not JSON: {error}; mend or delete the line."
                    ) from error
                numbers.append(number)
        row_name = lambda i: f"line {numbers[i]}"  # noqa: E731
    for i, each in enumerate(objects):
        if not isinstance(each, dict):
            raise InputError(
                f'{path}, {row_name(i)} is no JSON object; it must look like {{"params": 1e9, "loss": 2.5}}.'
            )
    if not objects:
        raise InputError(f"{path} holds no objects; it needs one a run.")
    return _source(path, pd.DataFrame([dict(flat(each)) for each in objects], dtype=object), row_name)


def _read_binary(path: Path, excel: bool) -> Source:
    import pandas as pd

    package = "openpyxl" if excel else "pyarrow"
    try:
        frame = pd.read_excel(path, dtype=object) if excel else pd.read_parquet(path, engine="pyarrow")
    except ImportError as error:
        package = next((name for name in ("openpyxl", "xlrd", "odfpy") if name in str(error)), package)
        kind = "an Excel file" if excel else "Parquet"
        raise EnvironmentProblem(
            f"{path} is {kind}, which needs the package {package}; install it (pip install {package}) or give a CSV."
        ) from error
    except Exception as error:  # pyarrow and the readers of Excel raise a dozen kinds, some of them plain
        reason = str(error).split("\n")[0].rstrip(". ")
        kind = "Excel" if excel else "Parquet"
        raise InputError(f"{path} is not an {kind} file or is damaged: {reason}." if excel else
                         f"{path} is not a Parquet file or is damaged: {reason}.") from error  # fmt: skip
    kept = [level for level in frame.index.names if level is not None and level not in frame.columns]
    frame = frame.reset_index(level=kept).reset_index(drop=True) if kept else frame.reset_index(drop=True)
    if excel:  # rows without a cell stand between blocks and at the end of sheets
        empty = frame.isna().all(axis=1)
        rows = [i for i, bare in enumerate(empty) if not bare]
        frame = frame[~empty].reset_index(drop=True)
        return _source(path, frame, lambda i: f"row {rows[i] + 2}")
    return _source(path, frame, lambda i: f"row {i} (counted from 0)")
