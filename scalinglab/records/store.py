"""A study's folder on disk: what ran is told by manifests and append-only metrics.

runs/<study>/study.toml             the definition, as the user wrote it
runs/<study>/data.json              which text it was trained on
runs/<study>/tokenizer.json         what its tokens are, where they are not bytes
runs/<study>/compiled.json          which sizes are compiled, where that was left to be chosen
runs/<study>/<run>/manifest.json    what the run is
runs/<study>/<run>/metrics.jsonl    what happened, a record a line
runs/<study>/<run>/checkpoints/     states; the records stand without them
runs/<study>/table.csv              derived from the above, at any time
runs/<study>/records.jsonl          all manifests and measurements in one file, to keep and to share (`pack`)
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalinglab.errors import InputError
from scalinglab.records.files import disk_problem, write_json

_PATIENCE = 0.3
"""Seconds to wait for a lock: one that is only being looked at is free again by then."""


@dataclass
class Metrics:
    """A run's metrics file, read. Later records of a step replace earlier ones."""

    train: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Step -> record: tokens, loss, lr, grad_norm, seconds; of a probed run also what its probe saw."""
    evals: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Step -> record: tokens, unique_tokens, epochs, sets {name: {loss, se, tokens}}."""
    dropped: int = 0
    """Torn lines, left out."""
    begins: int = 0
    """How often a process took the run up."""
    device: str = "cpu"
    """On what the last of them computed, cpu or cuda, and with how many processes."""
    processes: int = 1
    repeated: list[tuple[int, int]] = field(default_factory=list)
    """(after step, to step) of every piece that an interruption made train again."""
    wasted_seconds: float = 0.0
    seconds: float = 0.0
    """Of training, the wasted ones included."""
    diverged: int | None = None
    """Step at which the run was given up."""
    reason: str = ""
    """Why."""
    _furthest: int = -1

    @property
    def wasted(self) -> int:
        """Updates that an interruption made train again, as far as records tell: not those since the last one."""
        return sum(last - first for first, last in self.repeated)

    @property
    def probed(self) -> bool:
        """Whether its training records tell of single updates (`[probe]` of a study)."""
        return any("probed" in record for record in self.train.values())

    def take(self, record: dict[str, Any], before: int | None) -> int | None:
        """Take in one record in the file's order; `before` and the result are the step training stands at."""
        kind, step = record["kind"], int(record["step"])
        if kind == "begin":
            self.begins += 1
            self.device = str(record.get("device", "cpu")).partition(":")[0]
            self.processes = int(record.get("processes", 1))
            return step
        if kind == "train":
            seconds = float(record.get("seconds", 0.0))
            if before is not None and before < step:
                again = max(0, min(step, self._furthest) - before)
                if again:
                    self.repeated.append((before, before + again))
                self.wasted_seconds += again / (step - before) * seconds
            self.seconds += seconds
            self.train[step] = record
            self._furthest = max(self._furthest, step)
            return step
        if kind == "eval":
            self.evals[step] = record
        elif kind == "diverged":
            self.diverged, self.reason = step, str(record.get("reason", "the loss was not finite"))
        return before


@dataclass(frozen=True)
class RunFolder:
    """One run's files."""

    path: Path

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def lock_path(self) -> Path:
        """Held by whoever trains the run."""
        return self.path / "checkpoints" / ".lock"

    @property
    def resume_path(self) -> Path:
        """The rolling checkpoint of a task in progress."""
        return self.path / "checkpoints" / "resume.safetensors"

    def checkpoint_path(self, step: int) -> Path:
        return self.path / "checkpoints" / f"step-{step:08d}.safetensors"

    def checkpoints(self) -> list[int]:
        """Steps whose state is on disk, ascending."""
        return sorted(int(path.stem[5:]) for path in (self.path / "checkpoints").glob("step-*.safetensors"))

    def manifest(self) -> dict[str, Any]:
        """Raises InputError when the manifest cannot be read."""
        return read_json(self.path / "manifest.json")

    def create(self, manifest: dict[str, Any]) -> None:
        """Write the manifest of a new run; an existing one is left as it is."""
        if not (self.path / "manifest.json").exists():
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / "manifest.json", manifest)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time may train a run. Raises InputError when another does."""
        with _held(self.lock_path, f"{self.path}: another process is training this run; wait for it"):
            yield

    @property
    def busy(self) -> bool:
        """Whether some process is training the run now."""
        return _is_held(self.lock_path)

    def sweep_up(self) -> None:
        """Remove what a killed process left half written. For the holder of the lock."""
        for leftover in self.path.glob("**/.*.tmp"):
            leftover.unlink(missing_ok=True)

    def read_metrics(self) -> Metrics:
        metrics = Metrics()
        if not self.metrics_path.exists():
            return metrics
        place: int | None = None
        for line in self.metrics_path.read_bytes().split(b"\n"):
            if not line:
                continue
            try:
                place = metrics.take(json.loads(line), place)
            except (ValueError, KeyError, TypeError):
                metrics.dropped += 1
        return metrics

    def open_log(self) -> "MetricsLog":
        return MetricsLog(self.metrics_path)


class MetricsLog:
    """Appends records to a metrics file, a write a line; a torn last line of an earlier process is closed off first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered: what a killed process had trained stays told, and so does what it wasted
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by __exit__)
            if self._file.tell():
                with open(path, "rb") as file:
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        self._file.write(b"\n")
        except OSError as error:
            raise disk_problem(path, error) from error

    def append(self, kind: str, record: dict[str, Any]) -> None:
        line = json.dumps({"kind": kind, **record}).encode() + b"\n"
        try:
            if self._file.write(line) != len(line):  # a disk that fills up takes a part and says nothing
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise disk_problem(self._path, error) from error

    def flush(self) -> None:
        """Down to the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise disk_problem(self._path, error) from error

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise disk_problem(self._path, error) from error


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study."""

    path: Path

    @property
    def study_path(self) -> Path:
        return self.path / "study.toml"

    @property
    def data_path(self) -> Path:
        return self.path / "data.json"

    @property
    def tokenizer_path(self) -> Path:
        """Of a study whose tokens are not bytes: the tokenizer that it began with."""
        return self.path / "tokenizer.json"

    @property
    def compiled_path(self) -> Path:
        return self.path / "compiled.json"

    @property
    def table_path(self) -> Path:
        return self.path / "table.csv"

    @property
    def pack_path(self) -> Path:
        return self.path / "records.jsonl"

    @property
    def lock_path(self) -> Path:
        """Held by the sweep that trains the study."""
        return self.path / ".lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One sweep at a time may train a study. Raises InputError when another does."""
        sentence = f"{self.path}: another process is training this study; wait for it or take another folder"
        with _held(self.lock_path, sentence):
            yield

    @property
    def busy(self) -> bool:
        """Whether a sweep is training the study now."""
        return _is_held(self.lock_path)

    def run(self, run_id: str) -> RunFolder:
        return RunFolder(self.path / run_id)

    def sweep_up(self) -> None:
        """Remove what a killed process left half written beside the runs. For the holder of the study's lock."""
        for leftover in self.path.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)

    def runs(self) -> list[RunFolder]:
        """Every run that has a manifest, by name."""
        return [RunFolder(manifest.parent) for manifest in sorted(self.path.glob("*/manifest.json"))]


@contextmanager
def _held(path: Path, sentence: str) -> Iterator[None]:
    """Hold a lock file. Raises InputError with `sentence` when another process does."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise InputError(sentence) from None
    except OSError as error:
        raise disk_problem(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _is_held(path: Path) -> bool:
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # nobody trains where nothing can be written


def read_json(path: Path) -> Any:
    """Raises InputError naming the file when it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); restore it or remove its folder") from None
