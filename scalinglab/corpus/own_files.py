"""A user's own text: .txt files, JSONL files, both gzipped or not, and data sets of the Hugging Face hub."""

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from scalinglab.corpus.documents import Unit, decode
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder.source_names import SUFFIXES, suffix

Kind = Literal["text", "jsonl", "bin"]

_GZIP_RATIO = 4  # text to its gzipped size, about: for the progress bar alone

# A .txt file on its own is cut at blank lines into documents of at least so many characters, so that some can be
# held out; a text without blank lines at a line's end, once it has become far longer.
_CUT = 4_000
_CUT_ANYWHERE = 100_000


def own_paths(path: Path) -> tuple[Kind, list[Path]]:
    """What is read where a path is given: the file, or every file of one kind in the folder, at any depth, sorted.

    Raises InputError when there is nothing to read, or files of several kinds.
    """
    if path.is_file():
        kind = _kind(path)
        if kind is None:
            raise InputError(
                f"{path}: a text source is a .txt file (UTF-8), a .jsonl file (either may be .gz), a .bin file of "
                "token ids, or a folder of such files"
            )
        return kind, [path]
    if not path.is_dir():
        raise InputError(
            f"{path}: no such file or folder; give a .txt, .jsonl or .bin file, or a folder of them"
        )
    files = sorted(file for file in path.rglob("*") if _kind(file) is not None and file.is_file())
    kinds = sorted({kind for kind in map(_kind, files) if kind is not None})
    if not kinds:
        raise InputError(f"{path}: no .txt file in this folder, nor a .jsonl or .bin file")
    if len(kinds) > 1:
        raise InputError(
            f"{path}: this folder holds {' and '.join(kinds)} files; give each kind a folder, or a path, of its own"
        )
    return kinds[0], files


def _kind(path: Path) -> Kind | None:
    name = path.name.lower()
    kind = cast(Kind | None, SUFFIXES.get(suffix(path)))
    return None if kind == "bin" and name.endswith(".gz") else kind


def own_units(path: Path, field: str) -> Iterator[Unit]:
    """The files of `own_paths`, each with its documents. field: of JSONL's objects, the one with the text."""
    kind, files = own_paths(path)
    for file in files:
        name = file.name if file == path else file.relative_to(path).as_posix()
        size = file_stat(file).st_size * (_GZIP_RATIO if _gzipped(file) else 1)
        if kind == "jsonl":
            yield Unit(name, size, partial(_lines, file, field))
        elif file == path:
            yield Unit(name, size, partial(_cut, file))
        else:
            yield Unit(name, size, partial(_whole, file))


def _whole(file: Path, start: int) -> Iterator[str]:
    with _open(file) as stream:
        data = _bytes(stream, file)
    yield from [decode(data, str(file))][start:]


def _lines(file: Path, field: str, start: int) -> Iterator[str]:
    """A document a line; a blank line is an empty one."""
    with _open(file) as stream:
        for number, line in enumerate(_read_lines(stream, file), start=1):
            if number > start:
                yield _value(decode(line, str(file), number), field, f"{file}, line {number}")


def _value(line: str, field: str, where: str) -> str:
    if not line.strip():
        return ""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: is not JSON ({error}); JSONL holds one JSON object a line") from None
    if not isinstance(found, dict):
        raise InputError(f'{where}: is not a JSON object; expected one such as {{"{field}": "..."}}')
    return text_of(found, field, where)


def text_of(row: dict[str, Any], field: str, where: str) -> str:
    """The text of a row. Raises InputError when the field is not there or holds something else."""
    if field not in row:
        texts = [key for key, value in row.items() if isinstance(value, str)] or list(row)
        hint = f'; name its field of text with field = "{texts[0]}"' if texts else ""
        raise InputError(f"{where}: has no field {field!r} (it has {', '.join(row) or 'none'}){hint}")
    if not isinstance(row[field], str):
        raise InputError(f"{where}: its field {field!r} holds {type(row[field]).__name__}, not text")
    return row[field]


def _cut(file: Path, start: int) -> Iterator[str]:
    yield from islice(_cuts(file), start, None)


def _cuts(file: Path) -> Iterator[str]:
    held: list[str] = []
    size = 0
    with _open(file) as stream:
        for number, line in enumerate(_read_lines(stream, file), start=1):
            text = decode(line, str(file), number)
            if size >= _CUT and (not text.strip() or size >= _CUT_ANYWHERE):
                yield "".join(held)
                held, size = [], 0
            if held or text.strip():
                held.append(text)
                size += len(text)
    if held:
        yield "".join(held)


def _open(file: Path) -> BinaryIO:
    with _readable(file):
        return cast(BinaryIO, gzip.open(file)) if _gzipped(file) else file.open("rb")


def file_stat(file: Path) -> os.stat_result:
    """Raises InputError when the file has vanished since it was listed."""
    with _readable(file):
        return file.stat()


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{file}: was there and is gone; put it back, or run again without it") from None
    except PermissionError:
        raise InputError(f"{file}: may not be read; change its permissions, or leave it out") from None


def _bytes(stream: BinaryIO, file: Path) -> bytes:
    return b"".join(_guarded(iter(lambda: stream.read(1 << 20), b""), file))


def _read_lines(stream: BinaryIO, file: Path) -> Iterator[bytes]:
    return _guarded(iter(stream), file)


def _guarded(chunks: Iterator[bytes], file: Path) -> Iterator[bytes]:
    try:
        yield from chunks
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{file}: is not a whole gzip file ({error}); fetch or pack it again") from None


def _gzipped(file: Path) -> bool:
    return file.name.lower().endswith(".gz")


def hub_unit(name: str, split: str, field: str) -> Unit:
    """A split of a data set of the Hugging Face hub, NAME or NAME:CONFIGURATION, or of a folder in its format.

    Raises EnvironmentProblem when the package `datasets` is not installed or cannot get it.
    """

    def documents(start: int) -> Iterator[str]:
        try:
            from datasets import load_dataset
        except ImportError:
            raise EnvironmentProblem(
                f"the data set hf = {name!r} needs the package datasets, which is not installed: pip install datasets"
            ) from None
        where, _, configuration = name.partition(":")
        try:
            rows = load_dataset(where, configuration or None, split=split)
        except Exception as error:  # its own errors, the hub's, the network's: all say what is wrong
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise EnvironmentProblem(
                f"the data set hf = {name!r}, split {split!r}, cannot be had: {first}"
            ) from error
        for number in range(start, len(rows)):
            yield text_of(rows[number], field, f"{name}, split {split}, row {number + 1}")

    return Unit(name, 0, documents)
