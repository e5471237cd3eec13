"""The cache folder: where it is, and how a file or folder comes into it whole or not at all."""

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

from scalinglab.errors import EnvironmentProblem

VARIABLE = "SCALINGLAB_CACHE"
_LEFTOVER = ".new-"
_STALE_SECONDS = 24 * 3600  # no download lasts a day, so what is older was left by a killed process
_PART = ".part-"
_FORGOTTEN_SECONDS = 14 * 24 * 3600  # a build that nobody has gone on with for so long

_NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_WRITING = {errno.EACCES, errno.EPERM, errno.EROFS}


def cache_folder(cache: str | Path | None = None) -> Path:
    """The folder of archives and shards: `cache`, else $SCALINGLAB_CACHE, else the user's cache folder."""
    chosen = cache or os.environ.get(VARIABLE)
    return (
        Path(chosen).expanduser().resolve() if chosen else platformdirs.user_cache_path("scalinglab", False)
    )


@contextmanager
def plain_disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full or read-only disk into one sentence (EnvironmentProblem); other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise no_space(folder) from error
        if error.errno in _NO_WRITING:
            raise EnvironmentProblem(
                f"cannot write to {error.filename or folder}: {error.strerror}; "
                f"set {VARIABLE} to a folder you may write to"
            ) from error
        raise


def no_space(folder: Path) -> EnvironmentProblem:
    """The sentence for a full disk."""
    return EnvironmentProblem(
        f"no disk space left for {folder}: free about 100 MB there, or three times the text where that is more, "
        f"or set {VARIABLE} to a folder on another disk"
    )


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder inside `parent`, removed at the end whatever happened, unless it was renamed away."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{_LEFTOVER}*"):
        try:
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        except FileNotFoundError:  # another process was faster
            continue
    folder = Path(tempfile.mkdtemp(prefix=_LEFTOVER, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def flush(path: Path) -> None:
    """Waits until a file's bytes, or a folder's names, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """The folder in which the parts of `folder` are built, of one process at a time; others wait for it.

    What lies in it outlives an interruption, so that the next process goes on from there. Whoever builds renames
    what is whole to `folder` and calls `done` on the parts.
    """
    from filelock import FileLock

    parts = folder.parent / f"{_PART}{folder.name}"
    locks = folder.parent.parent / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{folder.name}.lock"):
        for left in folder.parent.glob(f"{_PART}*"):
            with suppress(FileNotFoundError):  # another process was faster
                if left != parts and time.time() - left.stat().st_mtime > _FORGOTTEN_SECONDS:
                    done(left)
        yield parts


def done(parts: Path) -> None:
    """Removes the parts of a build."""
    shutil.rmtree(parts, ignore_errors=True)


def read_state(path: Path) -> dict[str, Any] | None:
    """What `write_state` wrote, or None."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_state(path: Path, state: dict[str, Any], *, locked: bool = True) -> None:
    """How far a build has come, as JSON: the old one or the new one, whenever the process is killed.

    locked: only one process at a time can write it; if not, each writes under a name of its own first.
    """
    new = path.with_name(f"{path.name}.new" if locked else f"{path.name}.{os.getpid()}.new")
    new.write_text(json.dumps(state, indent=1, ensure_ascii=False), "utf-8")
    flush(new)
    new.replace(path)
    flush(path.parent)
