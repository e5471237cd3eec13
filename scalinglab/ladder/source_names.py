"""What a source is called that has no name of its own: its path or data set says it, and no file is opened for it."""

from pathlib import Path

from scalinglab.errors import InputError

SUFFIXES = {".txt": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".bin": "bin"}
"""Of files that are read, and their kind; a path with any other, or none, is a folder."""


def suffix(path: str | Path) -> str:
    """The one of SUFFIXES that a file has, before its .gz if it has that; else nothing."""
    found = Path(Path(path).name.lower().removesuffix(".gz")).suffix
    return found if found in SUFFIXES else ""


def path_name(path: str | Path) -> str:
    """The file's or folder's name as it is written, without what tells the kind; a link is called what it is called.

    Raises InputError for a path that ends without a name, such as "..".
    """
    path = Path(path).expanduser()
    name = Path(path.stem).stem if path.name.lower().endswith(".gz") else path.stem
    if name in ("", ".."):
        raise InputError(f'the path "{path}" does not say what the source is called; give it a `name`')
    return name


def data_set_name(data_set: str) -> str:
    """Of a data set of the Hugging Face hub, NAME or NAME:CONFIGURATION: NAME without its owner."""
    return data_set.partition(":")[0].rstrip("/").rpartition("/")[2]
