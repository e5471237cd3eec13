"""MLflow: the file store `mlruns/` and the SQLite store, both read as they lie, without mlflow.

Their layouts have kept since 2019, while mlflow itself is a server of many packages that refuses a store of an older
version until it has migrated it, and somebody's record of runs is not ours to migrate.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from scalinglab.errors import InputError
from scalinglab.records.importers._source import DIVERGED, Logged, Source, bytes_of, from_runs, logged_number

_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_SQLITE = b"SQLite format 3\x00"


def sniff(path: Path) -> bool:
    """`mlruns/`, an experiment's folder in it, the folder around it, or a SQLite store."""
    if path.is_file():
        with path.open("rb") as handle:
            return handle.read(len(_SQLITE)) == _SQLITE
    return _database(path) is not None or next(_run_folders(path), None) is not None


def read(path: Path) -> Source:
    """All runs that were not deleted. Raises InputError where the store is damaged or holds no logged metric."""
    database = path if path.is_file() else _database(path)
    if database is not None and (path.is_file() or next(_run_folders(path), None) is None):
        return from_runs(str(database), _of_database(database), [database], "MLflow run")
    runs, files = [], []
    for folder in sorted(_run_folders(path)):
        meta = _meta(folder / "meta.yaml")
        if meta.get("lifecycle_stage") == "deleted":
            continue
        about = {"status": _STATUS.get(meta.get("status", ""), meta.get("status", ""))}
        settings = sorted(each for each in (folder / "params").rglob("*") if each.is_file())
        metrics = sorted(each for each in (folder / "metrics").rglob("*") if each.is_file())
        for each in settings:
            about[each.relative_to(folder / "params").as_posix()] = bytes_of(each).decode("utf-8", "replace")
        points: dict[int, dict[str, Any]] = {}
        for each in metrics:
            _read_metric(each, each.relative_to(folder / "metrics").as_posix(), points)
        runs.append(Logged(meta.get("run_name") or folder.name, about, points))
        files += [folder / "meta.yaml", *settings, *metrics]
    return from_runs(str(path), runs, files, "MLflow run")


def _run_folders(path: Path) -> Iterator[Path]:
    """Folders of runs: at most `mlruns/EXPERIMENT/RUN` below the one given."""
    for depth in ("meta.yaml", "*/meta.yaml", "*/*/meta.yaml", "*/*/*/meta.yaml"):
        for meta in path.glob(depth):
            if (meta.parent / "metrics").is_dir() or (meta.parent / "params").is_dir():
                yield meta.parent


def _meta(path: Path) -> dict[str, str]:
    """`key: value` lines; meta.yaml is never deeper."""
    lines = bytes_of(path).decode("utf-8", "replace").splitlines()
    pairs = (line.partition(": ") for line in lines)
    return {key.strip(): value.strip().strip("'\"") for key, mark, value in pairs if mark}


def _read_metric(path: Path, name: str, points: dict[int, dict[str, Any]]) -> None:
    """Lines of time, value and step; of one step the last counts."""
    for number, line in enumerate(bytes_of(path).decode("utf-8", "replace").splitlines(), 1):
        parts = line.split()
        try:
            value = float(parts[1])
            step = int(parts[2]) if len(parts) > 2 else 0
        except (IndexError, ValueError) as error:
            raise InputError(
                f'{path}, line {number}: "{line[:40]}" is no metric of MLflow (time value step); delete the line.'
            ) from error
        points.setdefault(step, {})[name] = logged_number(value)


def _database(folder: Path) -> Path | None:
    return path if (path := folder / "mlflow.db").is_file() else None


def _of_database(path: Path) -> list[Logged]:
    runs: dict[str, Logged] = {}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            asked = (
                "SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage != 'deleted' "
                "ORDER BY start_time, run_uuid"
            )
            for uuid, name, status in store.execute(asked):
                runs[uuid] = Logged(name or uuid, {"status": status}, {})
            for uuid, key, value in store.execute("SELECT run_uuid, key, value FROM params ORDER BY key"):
                if uuid in runs:
                    runs[uuid].settings[key] = value
            asked = "SELECT run_uuid, key, value, step, is_nan FROM metrics ORDER BY timestamp"
            for uuid, key, value, step, is_nan in store.execute(asked):
                if uuid in runs:
                    point = runs[uuid].points.setdefault(int(step), {})
                    # the store keeps an infinite value as the largest float there is
                    point[key] = DIVERGED if is_nan or abs(value) > 1e300 else float(value)
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"{path} is no SQLite store of MLflow ({error}); give the folder mlruns instead."
        ) from error
    return list(runs.values())
