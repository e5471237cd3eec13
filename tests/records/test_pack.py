"""A study's records in one file: laid out again they make the same table, and packed again the same file."""

import json
import shutil
from pathlib import Path

import pytest

from scalinglab.errors import InputError
from scalinglab.records.derive import derive_table
from scalinglab.records.pack import CURVE, PROBED, pack, unpack
from scalinglab.records.read import read_runs
from scalinglab.records.store import StudyFolder


@pytest.fixture
def folder(tiny_runs: Path, tmp_path: Path) -> StudyFolder:
    copy = tmp_path / "runs"
    shutil.copytree(tiny_runs, copy, ignore=shutil.ignore_patterns("checkpoints"))
    return StudyFolder(copy)


def test_a_table_comes_out_of_the_pack_as_out_of_the_runs(folder: StudyFolder) -> None:
    table, seconds = derive_table(folder, write=False).table, {}
    for run in folder.runs():
        metrics = run.read_metrics()
        seconds[run.path.name] = metrics.seconds, max(metrics.train), metrics.device
    assert pack(folder) == len(folder.runs())
    packed = folder.pack_path.read_bytes()
    for run in folder.runs():
        shutil.rmtree(run.path)
    assert unpack(folder) == len(seconds)
    assert derive_table(folder, write=False).table.equals(table)
    for run in folder.runs():
        metrics = run.read_metrics()
        took, last, device = seconds[run.path.name]
        assert metrics.seconds == pytest.approx(took, rel=1e-5)
        assert (max(metrics.train), metrics.device) == (last, device)
        assert len(metrics.train) <= CURVE[run.manifest()["kind"]]
    pack(folder)
    assert folder.pack_path.read_bytes() == packed


def test_more_is_kept_of_a_probed_run(folder: StudyFolder) -> None:
    """Also where its first record tells of no update."""
    probed, plain, *_ = (run for run in folder.runs() if run.manifest()["kind"] == "trunk")
    records = {"kind": "train", "tokens": 1, "loss": 2.5, "lr": 0.1, "seconds": 1.0}
    for run in (probed, plain):
        lines = [json.dumps(records | {"step": 10}), *(
            json.dumps(records | {"step": step} | ({"probed": 10, "curvature": step / 7} if run == probed else {}))
            for step in range(20, 2010, 10)
        )]  # fmt: skip
        run.metrics_path.write_text("\n".join(lines), "utf-8")
    pack(folder)
    for run in folder.runs():
        shutil.rmtree(run.path)
    unpack(folder)
    kept = probed.read_metrics()
    assert kept.probed
    assert not plain.read_metrics().probed
    assert len(kept.train) == min(200, PROBED["trunk"])
    assert kept.train[500]["curvature"] == pytest.approx(500 / 7, rel=1e-5)
    assert kept.train[10].get("curvature") is None
    assert len(plain.read_metrics().train) == CURVE["trunk"]


def test_runs_that_stand_are_left_alone(folder: StudyFolder) -> None:
    pack(folder)
    first, *others = folder.runs()
    kept = first.metrics_path.read_bytes()
    shutil.rmtree(others[0].path)
    assert unpack(folder) == 1
    assert first.metrics_path.read_bytes() == kept
    assert unpack(folder) == 0


def test_a_damaged_line_is_named(folder: StudyFolder) -> None:
    pack(folder)
    lines = folder.pack_path.read_text("utf-8").splitlines()
    shutil.rmtree(folder.run(json.loads(lines[1])["manifest"]["id"]).path)
    folder.pack_path.write_text("\n".join([lines[0], lines[1][:-40], *lines[2:]]), "utf-8")
    with pytest.raises(InputError, match=r"records\.jsonl, line 2: cannot be read"):
        unpack(folder)


def test_a_packed_folder_is_a_run_table(folder: StudyFolder) -> None:
    table = derive_table(folder, write=False).table
    pack(folder)
    for path in folder.path.iterdir():
        if path != folder.pack_path:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    read = read_runs(folder.path)
    assert list(read["run_id"]) == list(table["run_id"])
    assert read["loss"].to_numpy() == pytest.approx(table["loss"].to_numpy(), rel=1e-15)
