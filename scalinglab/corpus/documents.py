"""From an archive to documents: which members are read, where a document ends, what is dropped or held out.

Text is UTF-8 and its Unicode is left as it is: only line ends become LF, and byte order marks and NUL (the
separator between documents) go. Whole documents are held out, chosen by the hash of their bytes, so neither
the order of the files nor a text added later moves a document across.
"""

import json
import os
import re
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from pathlib import Path

from scalinglab.errors import EnvironmentProblem, InputError

# Part of every shard's key: raise it whenever a rule of this module changes the bytes that come out.
RULES_VERSION = 2

SEPARATOR = b"\0"
"""Between documents; no document holds one."""

# A paragraph of this many characters or more is kept once; a document of fewer is not kept at all.
REPEAT_CHARACTERS = 60

# Of the standard library's folders: what is not its own, tests, and generated tables.
_PASSED_OVER = {"site-packages", "dist-packages", "__pycache__"}
_PASSED_OVER |= {"test", "tests", "idle_test", "encodings", "pydoc_data"}


# --- files ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unit:
    """A file or member that is read at once or line by line, and can be passed over unread."""

    name: str
    size: int
    """Bytes, about as many as its documents hold; 0 where nobody knows."""
    open: Callable[[int], Iterator[str]]
    """Its documents, from one of this number on, in an order that never changes."""


def archive_units(
    path: Path,
    members: Iterable[str],
    without: Iterable[str],
    split: Callable[[str, str], Iterable[str]],
) -> Iterator[Unit]:
    """Every member of a zip or tar archive that fits one of `members` and none of `without`.

    A unit is to be opened before the next one is asked for. Nothing is unpacked to disk, so a member's name cannot lead
    anywhere. Raises InputError if the file is no archive, or no member fits.
    """
    members, without = tuple(members), tuple(without)

    def wanted(name: str) -> bool:
        return _fits(name, members) and not _fits(name, without)

    def unit(name: str, size: int, read: Callable[[], bytes]) -> Unit:
        def documents(start: int) -> Iterator[str]:
            yield from islice(split(name, decode(read(), f"{path}: {name}")), start, None)

        return Unit(name, size, documents)

    found = False
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if wanted(member.filename):
                        found = True
                        yield unit(member.filename, member.file_size, partial(archive.read, member))
        else:
            with tarfile.open(path) as archive_tar:
                for entry in archive_tar:
                    if entry.isfile() and wanted(entry.name):
                        found = True
                        stream = archive_tar.extractfile(entry)
                        assert stream is not None  # a regular file has one
                        yield unit(entry.name, entry.size, stream.read)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: not a readable archive ({error}); delete it and run again") from error
    if not found:
        raise InputError(f"{path}: no member fits {', '.join(members)}")


def standard_library_units() -> Iterator[Unit]:
    """Every .py file of the running interpreter's standard library, tests left out, a document each."""
    root = Path(sysconfig.get_path("stdlib"))

    def documents(path: Path, start: int) -> Iterator[str]:
        # a few old modules are in Latin-1, as their first line says
        with suppress(UnicodeDecodeError):
            yield from [path.read_text(encoding="utf-8")][start:]

    for path in standard_library_paths():
        yield Unit(path.relative_to(root).as_posix(), path.stat().st_size, partial(documents, path))


def standard_library_paths() -> list[Path]:
    """The files behind `standard_library_units`, sorted."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _PASSED_OVER]
        paths += [Path(folder, name) for name in files if name.endswith(".py")]
    if not paths:
        raise EnvironmentProblem(f"this Python keeps no source files in {root}; use a mix that is downloaded")
    return sorted(paths)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def decode(data: bytes, where: str, line: int | None = None) -> str:
    """Bytes as text. Raises InputError naming the place, the line and the byte where they are no UTF-8.

    line: which one of a file these bytes are, where they are one.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        begin = data.rfind(b"\n", 0, error.start) + 1
        number = line or data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{where}, line {number}: byte {error.start - begin} is not UTF-8; convert the text to UTF-8"
        ) from None


# --- where a document ends ------------------------------------------------------------------------


def whole(member: str, text: str) -> Iterable[str]:
    """The file is the document."""
    return (text,)


def json_list(member: str, text: str) -> Iterable[str]:
    """A JSON list of texts, a document each."""
    return json.loads(text)


def encyclopedia_entries(member: str, text: str) -> Iterable[str]:
    """A JSON object of entries with a title and an extract: a document each, the title on its own line."""
    return (f"{entry['title']}\n\n{entry['extract']}\n" for entry in json.loads(text).values())


# Where the parts of a long book begin; a book not named here is one document, and so is every play.
_PARTS = {
    "paradise_lost_(no_introduction)_gut.txt": re.compile(r"^(?=PARADISE LOST\.?\s+BOOK )", re.MULTILINE),
    "paradise_regained_gut.txt": re.compile(r"^(?=THE (?:FIRST|SECOND|THIRD|FOURTH) BOOK)", re.MULTILINE),
    "poetical_works_gut.txt": re.compile(r"(?:\n[ \t]*){4,}(?=\S)"),
}
_SHORTEST_PART = 2000  # characters
_SCAN_PAGE = re.compile(r"^### START: .*?^### END: [^\n]*$", re.MULTILINE | re.DOTALL)
_PROOFREAD = re.compile(r"^p\.\d+:\d", re.MULTILINE)
_SCAN_MARKS = re.compile(r"^(?:#|p\.\d+:\d).*\n?|\[\[ed: [^]]*\]\]", re.MULTILINE)


def book(member: str, text: str) -> Iterable[str]:
    """A play, poem or article; a long poem's books and a collection's poems are documents of their own."""
    text = clean(text).replace("\x1a", "")  # the end-of-file mark of old disks
    name = member.rpartition("/")[2]
    if name == "britannica-11th.txt":
        # Columns that someone has proof-read carry a page mark; the others are the raw output of a scanner.
        columns = [column for column in _SCAN_PAGE.findall(text) if _PROOFREAD.search(column)]
        return ("\n".join(_SCAN_MARKS.sub("", column).strip() for column in columns) + "\n",)
    if name in _PARTS:
        return _joined(part.strip() for part in _PARTS[name].split(text))
    return (text,)


def _joined(parts: Iterable[str]) -> Iterator[str]:
    # A sonnet or a title alone is too little to hold out: short parts go with the next one.
    held: list[str] = []
    for part in parts:
        if not part or part.lower().startswith("transcriber's note"):  # a copy of a title page follows it
            continue
        held.append(part)
        if sum(map(len, held)) >= _SHORTEST_PART:
            yield "\n\n\n".join(held) + "\n"
            held = []
    if held:
        yield "\n\n\n".join(held) + "\n"


# --- what is dropped, what is held out ------------------------------------------------------------


def clean(text: str) -> str:
    """LF line ends, no byte order mark, no NUL; every other character stays as it is."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").replace("\0", "")


def long_paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Place and text of every paragraph that is kept once only."""
    for place, paragraph in enumerate(text.split("\n\n")):
        key = paragraph.strip()
        if len(key) >= REPEAT_CHARACTERS:
            yield place, key


def without_paragraphs(text: str, places: Collection[int]) -> str:
    """The text without the paragraphs at these places; empty if too little is left to keep."""
    left = "\n\n".join(each for place, each in enumerate(text.split("\n\n")) if place not in places)
    return left if len(left.strip()) >= REPEAT_CHARACTERS else ""
