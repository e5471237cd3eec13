"""Following a study: each whole line once, runs that appear later, torn lines never."""

import json
from pathlib import Path

from scalinglab.records.files import write_json
from scalinglab.records.follow import Follower
from scalinglab.records.store import StudyFolder


def line(step: int, kind: str = "train", **values: object) -> bytes:
    return json.dumps({"kind": kind, "step": step, **values}).encode() + b"\n"


def begin(folder: StudyFolder, name: str) -> Path:
    write_json(folder.path / name / "manifest.json", {"id": name})
    path = folder.run(name).metrics_path
    path.touch()
    return path


def test_each_record_comes_once_and_whole(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    first = begin(folder, "a")
    first.write_bytes(line(10, loss=3.0))
    late, early = Follower(folder, from_start=False), Follower(folder)
    assert [record["step"] for _, record in early.news()] == [10]
    assert late.news() == []
    torn = line(20, loss=2.0)
    with open(first, "ab", buffering=0) as file:
        file.write(torn[:15])
        assert early.news() == []
        file.write(torn[15:])
        file.write(b"not a record\n[]\n")
        second = begin(folder, "b")
        second.write_bytes(line(5, "eval", sets={}))
        file.write(line(30, loss=1.0))
    for follower in (early, late):
        news = follower.news()
        assert [(name, record["step"], record["kind"]) for name, record in news] == [
            ("a", 20, "train"), ("a", 30, "train"), ("b", 5, "eval"),
        ]  # fmt: skip
        assert follower.news() == []
