"""Files that lose nothing: whole or not at all, torn lines closed off, a full disk in one sentence."""

import errno
import json
import os
from pathlib import Path

import pytest

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records.files import write_atomic, write_json
from scalinglab.records.store import MetricsLog, RunFolder, read_json

FULL = Path("/dev/full")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentProblem, match=r"value.json: no space left on the disk; free some"):
        write_atomic(path, "something else")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_metrics_is_one_sentence() -> None:
    with MetricsLog(FULL) as log, pytest.raises(EnvironmentProblem, match="no space left on the disk"):
        log.append("train", {"step": 1})


def test_a_record_that_was_written_in_part_is_a_full_disk(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        try:
            with pytest.raises(EnvironmentProblem, match=r"metrics.jsonl: no space left on the disk"):
                log.append("train", {"step": 1})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "metrics.jsonl").stat().st_size == 10


def test_a_folder_that_may_not_be_written_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(EnvironmentProblem, match="choose another --out folder"):
        write_atomic(tmp_path / "x", "y")


def test_torn_lines_are_counted_and_later_records_win(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.open_log() as log:
        log.append("train", {"step": 10, "loss": 3.0})
        log.append("train", {"step": 20, "loss": 2.5})
    with open(run.metrics_path, "ab") as file:
        file.write(b'{"kind": "train", "step": 30, "lo')
    with run.open_log() as log:  # the next process closes the torn line off before it writes
        log.append("train", {"step": 20, "loss": 2.5})
        log.append("eval", {"step": 20, "sets": {}})
    metrics = run.read_metrics()
    assert sorted(metrics.train) == [10, 20]
    assert list(metrics.evals) == [20]
    assert metrics.dropped == 1


def test_what_an_interruption_wasted_is_counted(tmp_path: Path) -> None:
    """Killed at 30, gone on from 10, killed at 45, gone on from 40: 20 + 5 updates were trained twice."""
    run = RunFolder(tmp_path)
    steps = {"a": (0, [10, 20, 30]), "b": (10, [20, 30, 40, 45]), "c": (40, [50, 60])}
    for first, records in steps.values():
        with run.open_log() as log:
            log.append("begin", {"step": first})
            before = first
            for step in records:
                log.append("train", {"step": step, "loss": 3.0, "seconds": (step - before) / 10})
                before = step
    metrics = run.read_metrics()
    assert (metrics.begins, metrics.wasted) == (3, 25)
    assert metrics.wasted_seconds == pytest.approx(2.5)
    assert metrics.seconds == pytest.approx(6.0 + 2.5)
    assert max(metrics.train) == 60


@pytest.mark.parametrize(
    "line", [b"[]", b"3", b'{"kind": "train"}', b'{"step": "x", "kind": "eval"}', b"\xff\xfe"]
)
def test_no_line_is_fatal(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(line + b'\n{"kind": "train", "step": 1}\n')
    metrics = RunFolder(tmp_path).read_metrics()
    assert metrics.dropped == 1
    assert list(metrics.train) == [1]


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json: not valid JSON"):
        RunFolder(tmp_path).manifest()
    with pytest.raises(InputError, match=r"none.json: cannot be read"):
        read_json(tmp_path / "none.json")
