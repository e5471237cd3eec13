"""`read_runs`: from a file, a DataFrame or a study folder to one checked run table."""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records._schema import BY_NAME
from scalinglab.records.table import MISSING, check_columns, check_table

if TYPE_CHECKING:
    import pandas as pd


def read_runs(
    source: str | os.PathLike[str] | pd.DataFrame,
    map: Mapping[str, Any] | str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """The run table in `source`, checked and tidy: one row a run end × eval set.

    source: a CSV, TSV, JSONL or Parquet file (told by its suffix), a DataFrame, or a study folder, whose
        `table.csv` is read. With a map also whatever `scalinglab import` takes: tables under other names, Excel,
        TensorBoard, MLflow, Weights & Biases, trainer_state.json of Hugging Face.
    map: how its columns become those of the run table: a file that `scalinglab import` wrote, the same as plain
        values, or "guess" for the proposal as it is.

    Returns a new DataFrame with a plain 0..n-1 index: the schema's columns first
    (`scalinglab.records.COLUMNS`), counts and losses as float64, then every other column as it was. `params`,
    `tokens` and `loss` are present, finite and above 0 in every row.

    Raises InputError, one sentence naming file, row, column and the mend, for whatever cannot be used;
    EnvironmentProblem where a package is missing that the file needs.
    Warns TableWarning where rows are repeated exactly.
    """
    import pandas as pd

    if not isinstance(source, str | os.PathLike | pd.DataFrame):
        raise InputError(f"read_runs takes a path or a DataFrame, not {type(source).__name__}.")
    if map is not None:
        from scalinglab.records.importers import Source, import_runs

        given: str | os.PathLike[str] | Source
        if isinstance(source, pd.DataFrame):
            labels = source.index.tolist()
            given = Source(
                "the DataFrame",
                source.reset_index(drop=True),
                row_name=lambda i: f"row {labels[i]!r}",
                table=True,
            )
        else:
            given = source
        found = import_runs(given, None if isinstance(map, str) and map == "guess" else map)
        return found.table
    return check_table(source) if isinstance(source, pd.DataFrame) else read_table(Path(source))


def read_table(path: Path) -> pd.DataFrame:
    """`read_runs` of a file or study folder whose columns are named as the run table's."""
    given = path
    if path.is_dir():
        path = _table_of_study(path)
    readers = {
        ".csv": _read_csv,
        ".tsv": _read_tsv,
        ".jsonl": _read_jsonl,
        ".ndjson": _read_jsonl,
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        if path.exists() or str(given).startswith("wandb:"):
            _refuse_foreign(given)
        kind = f'the suffix "{path.suffix}"' if path.suffix else "no suffix"
        other = path.suffix.lower() in (".xlsx", ".xlsm", ".xls", ".ods", ".json", ".txt")
        mend = "; scalinglab import makes one of it" if other else ""
        raise InputError(f"{path} has {kind}; a run table ends in .csv, .tsv, .jsonl or .parquet{mend}.")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty; a run table needs a header and one row for each run end.")
        table = reader(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; is the path right?") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    table.attrs["source"] = str(path)  # so that what is refused later can be named too
    return table


_FOREIGN = {
    "trainer": "is of the Hugging Face Trainer",
    "wandb": "holds runs of Weights & Biases",
    "mlflow": "is a store of MLflow",
    "tensorboard": "holds TensorBoard event files",
}


def _refuse_foreign(path: Path) -> None:
    """Raises InputError for runs of somebody else's that have to be mapped first, saying how."""
    from scalinglab.records.importers import FORMATS

    kind = "wandb" if str(path).startswith("wandb:") else None
    kind = kind or next((name for name, module in FORMATS.items() if module.sniff(path)), None)
    if kind in _FOREIGN:
        raise InputError(
            f'{path} {_FOREIGN[kind]}; make a run table of it first: scalinglab import "{path}" --out table.csv (in '
            'Python read_runs(…, map="guess")).'
        )


def _table_of_study(folder: Path) -> Path:
    table = folder / "table.csv"
    if table.is_file():
        return table
    if (folder / "records.jsonl").is_file():  # packed: the table follows from it
        from scalinglab.records.derive import derive_table
        from scalinglab.records.pack import unpack
        from scalinglab.records.store import StudyFolder

        unpack(StudyFolder(folder))
        derive_table(StudyFolder(folder))
        return table
    if (folder / "study.toml").is_file():
        raise InputError(f"{folder} is a study without a table.csv yet; run it first: scalinglab sweep.")
    _refuse_foreign(folder)
    raise InputError(f"{folder} is a folder without a study.toml or a table.csv; give the table's own path.")


# CSV and TSV ----------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> pd.DataFrame:
    return _read_delimited(path, ",")


def _read_tsv(path: Path) -> pd.DataFrame:
    return _read_delimited(path, "\t")


def _lines(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each line that is not blank, the header first."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, delimiter=separator, skipinitialspace=True)
        before = 0
        try:
            for fields in reader:
                if len(fields) > 1 or (fields and fields[0].strip()):
                    yield before + 1, fields
                before = reader.line_num
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}; is it a text table?") from error


def _read_delimited(path: Path, separator: str) -> pd.DataFrame:
    first = list(islice(_lines(path, separator), 2))
    header = first[0][1] if first else []
    names = [field.strip() or f"unnamed_{i}" for i, field in enumerate(header)]
    if len(names) == 1:
        for other, word in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
            if other in names[0]:
                mend = "save it with commas" if separator == "," else "save it with tabs"
                raise InputError(
                    f"{path} is separated by {word}; {mend}, or give it the suffix that says so."
                )
    check_columns(names, str(path))
    if len(first) > 1 and len(first[1][1]) != len(names):
        check_ragged(path, separator, len(names))

    frame = _parse_fast(path, separator, names)
    if frame is None:
        check_ragged(path, separator, len(names))
        try:
            as_text = dict.fromkeys(set(names) & set(BY_NAME), "str")
            frame = _parse(path, separator, names, as_text, in_chunks=False)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path} cannot be read as a table: {' '.join(str(error).split())}.") from error
    if frame[names[-1]].isna().any():  # a row with too few fields leaves the last column empty
        check_ragged(path, separator, len(names))
    # a nameless first column is the index that pandas writes; a nameless empty one is a trailing separator's
    nameless = [names[i] for i, field in enumerate(header) if not field.strip()]
    frame = frame.drop(columns=[name for name in nameless if name == names[0] or frame[name].isna().all()])

    def row_name(row: int) -> str:
        line = next(islice(_lines(path, separator), row + 1, None), None)
        return f"line {line[0]}" if line else f"data row {row + 1}"

    return check_table(frame, str(path), row_name)


def _parse_fast(path: Path, separator: str, names: list[str]) -> pd.DataFrame | None:
    """The table with its numbers parsed as they are read and the rest inferred: three times faster than text.

    None where something stands in the way: text among numbers, whose spelling the message should show, or
    names made of digits alone, which must not become numbers.
    """
    import pandas as pd

    kinds = {name: BY_NAME[name].kind for name in names if name in BY_NAME}
    dtypes = {name: BY_NAME[name].dtype for name, kind in kinds.items() if kind != "text"}
    try:
        frame = _parse(path, separator, names, dtypes, in_chunks=True)
    except (ValueError, TypeError, OverflowError, Warning):
        return None
    texts = [name for name, kind in kinds.items() if kind == "text" and frame[name].notna().any()]
    return frame if all(pd.api.types.is_string_dtype(frame[name]) for name in texts) else None


def _parse(
    path: Path, separator: str, names: list[str], dtype: dict[str, str], *, in_chunks: bool
) -> pd.DataFrame:
    import pandas as pd

    # from pandas 3.1 on the default parser is exact to the last digit; before, it has to be asked for
    exact: dict[str, Any] = {}
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1):
        exact["float_precision"] = "round_trip"
    missing = {
        name: [""] if name in BY_NAME and BY_NAME[name].kind == "text" else sorted(MISSING) for name in names
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a first row longer than the header
        warnings.simplefilter("error", pd.errors.DtypeWarning)  # a column read part as numbers, part as text
        return pd.read_csv(
            path,
            sep=separator,
            names=names,
            header=0,
            index_col=False,
            dtype=dtype,
            keep_default_na=False,
            na_values=missing,
            skipinitialspace=True,
            encoding="utf-8-sig",
            low_memory=in_chunks,
            **exact,
        )


def check_ragged(path: Path, separator: str, width: int) -> None:
    """Raises InputError at the first row that has more or fewer fields than the header."""
    mark = separator.encode()
    with path.open(
        "rb"
    ) as handle:  # counting separators is ten times faster than parsing; quotes may hold some
        if all(line.count(mark) == width - 1 or not line.strip() for line in handle):
            return
    for number, fields in _lines(path, separator):
        if len(fields) != width:
            raise InputError(
                f"{path}, line {number} has {len(fields)} fields where the header has {width}; "
                "is a separator missing, or one too many (text that holds it needs quotes)?"
            )


# JSON lines -----------------------------------------------------------------------------------------------

_NUMBERS = frozenset(name for name, column in BY_NAME.items() if column.kind == "number")
_CHUNK = 20_000  # lines parsed at once: large enough that a line costs little, small enough for memory


class _KeyTwice(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        names = [key for key, _ in pairs]
        raise _KeyTwice(next(name for name in names if names.count(name) > 1))
    return keys


def _read_jsonl(path: Path) -> pd.DataFrame:
    import pandas as pd

    frames: list[pd.DataFrame] = []
    numbers: list[int] = []
    with path.open(encoding="utf-8-sig") as handle:
        lines = ((number, line) for number, line in enumerate(handle, 1) if line.strip())
        while chunk := list(islice(lines, _CHUNK)):
            rows = _objects(chunk, path)
            try:
                frame = pd.DataFrame(rows)
                for name in frame.columns.intersection([name for name in BY_NAME if name not in _NUMBERS]):
                    if pd.api.types.is_signed_integer_dtype(frame[name].dtype):
                        frame[name] = frame[name].astype("Int64")
                    elif not isinstance(frame[name].dtype, pd.StringDtype):
                        # as they are: a missing one made floats of its neighbours, and lost digits
                        frame[name] = pd.Series([row.get(name) for row in rows], dtype=object)
                frames.append(frame)
            except (UnicodeEncodeError, OverflowError) as error:
                first, last = chunk[0][0], chunk[-1][0]
                raise InputError(
                    f"{path}, lines {first} to {last} hold a value no table can: {error}."
                ) from error
            numbers.extend(number for number, _ in chunk)
    if not frames:
        raise InputError(f"{path} is empty; a run table needs one JSON object a line.")
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return check_table(frame, str(path), lambda row: f"line {numbers[row]}")


def _objects(chunk: list[tuple[int, str]], path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(f"[{','.join(line for _, line in chunk)}]", object_pairs_hook=_object)
        if len(rows) == len(chunk) and all(isinstance(row, dict) for row in rows):
            return rows
    except (ValueError, RecursionError):
        pass
    rows = []
    for number, line in chunk:  # something is wrong: line by line finds where
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except _KeyTwice as error:
            raise InputError(f'{path}, line {number} has the column "{error}" twice; keep one.') from error
        except json.JSONDecodeError as error:
            what = f"{error.msg} at column {error.colno}"
            raise InputError(
                f"{path}, line {number} is not JSON: {what}; mend or delete the line."
            ) from error
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}, line {number} is not JSON: {error}; mend or delete the line."
            ) from error
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, line {number} is not a JSON object; each line must look like "
                '{"params": 1e9, "tokens": 2e10, "loss": 2.5}.'
            )
        rows.append(row)
    return rows


# Parquet --------------------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except ImportError as error:
        mend = "install it (pip install pyarrow) or give a CSV."
        raise EnvironmentProblem(f"{path} is Parquet, which needs the package pyarrow; {mend}") from error
    except Exception as error:  # pyarrow raises a dozen kinds, some of them plain, for a damaged file
        reason = str(error).split("\n")[0].rstrip(". ")
        raise InputError(f"{path} is not a Parquet file or is damaged: {reason}.") from error
    return check_table(frame, str(path), lambda row: f"row {row} (counted from 0)")
