"""A study to its table: whole, interrupted anywhere, on one worker or two, with a worker lost."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scalinglab.errors import EnvironmentProblem, InputError, StudyConflict
from scalinglab.experiments.ladder_report import order_notes
from scalinglab.ladder import trunk_cost
from scalinglab.ladder.definition import MATHS, MATHS_CHANGES
from scalinglab.records import read_runs
from scalinglab.records.derive import derive_table
from scalinglab.sweep import Swept, agreement, prepare, run


def sweep(study: Path, out: Path, workers: int = 1, watch=None) -> Swept:
    return run(prepare(study, out), study, workers, watch)


def interrupt_at(kind: str, record: int):
    """A watch that presses Ctrl-C at the n-th progress record of a trunk or a branch."""
    seen = 0
    current: dict[str, str] = {}

    def watch(event: tuple[Any, ...]) -> None:
        nonlocal seen
        if event[0] == "start":
            current[event[1].id] = event[1].run.kind
        elif event[0] == "progress" and current[event[1]] == kind:
            seen += 1
            if seen == record:
                signal.raise_signal(signal.SIGINT)

    return watch


def test_the_table_is_the_grid(whole: Swept, tiny_study: Path) -> None:
    table = read_runs(whole.prepared.folder.path)
    pd.testing.assert_frame_equal(
        table, read_runs(whole.table), check_like=True, check_exact=True, check_dtype=False
    )
    ends = table[(table["kind"] == "branch") & (table["eval_set"] == "average")]
    assert sorted(zip(ends["size"], ends["tokens"], strict=True)) == [
        ("a", 2560), ("a", 3840), ("a", 5120), ("b", 2560), ("b", 2560), ("b", 5120),
    ]  # fmt: skip
    for (run_id, tokens), group in table.groupby(["run_id", "tokens"]):
        losses = group.set_index("eval_set")["loss"]
        assert losses["average"] == pytest.approx((losses["one"] + losses["two"]) / 2, rel=1e-14), (
            run_id,
            tokens,
        )
    assert set(table["loss_unit"]) == {"nats/byte"}
    shapes = {trunk.plan.shape.name: trunk.plan.shape for trunk in whole.prepared.trunks}
    for row in table.to_dict("records"):
        assert row["flops_6nd"] == 6 * shapes[row["size"]].params * row["tokens"]
        assert row["flops_exact"] == shapes[row["size"]].flops_exact() * row["tokens"]
        assert row["unique_tokens"] <= row["tokens"]


def test_the_ledger_of_what_was_trained_is_the_plans(whole: Swept) -> None:
    assert whole.trained == whole.planned
    assert whole.planned[0] == trunk_cost(whole.prepared.trunks[0].plan)


def test_a_second_run_finds_nothing_to_do(whole: Swept, tiny_study: Path) -> None:
    prepared = prepare(tiny_study, whole.prepared.folder.path)
    assert prepared.todo == []
    before = (prepared.folder.table_path).read_bytes()
    assert run(prepared, tiny_study).outcome.done == []
    assert prepared.folder.table_path.read_bytes() == before


@pytest.mark.parametrize(("kind", "record"), [("branch", 4)])
def test_an_interrupted_study_ends_with_the_same_table(
    whole: Swept, tiny_study: Path, tmp_path: Path, kind: str, record: int, results
) -> None:
    first = sweep(tiny_study, tmp_path / "runs", 1, interrupt_at(kind, record))
    assert first.outcome.stopped
    assert len(prepare(tiny_study, tmp_path / "runs").todo) > 0
    second = sweep(tiny_study, tmp_path / "runs", 1)
    assert not second.outcome.stopped
    assert results(second.prepared.folder) == results(whole.prepared.folder)
    assert second.trained == whole.trained
    # nothing was trained twice: the work went on where it stopped
    assert sum(folder.read_metrics().wasted for folder in second.prepared.folder.runs()) == 0


def test_a_killed_worker_costs_its_task_alone(whole: Swept, tiny_study: Path, tmp_path: Path) -> None:
    pids: list[int] = []
    killed = []

    def watch(event: tuple[Any, ...]) -> None:
        if event[0] == "ready":
            pids.append(event[1])
        elif event[0] == "progress" and not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    swept = sweep(tiny_study, tmp_path / "runs", 1, watch)
    assert killed
    assert not swept.outcome.failed
    assert swept.prepared.folder.table_path.read_bytes() == whole.prepared.folder.table_path.read_bytes()


def test_a_torn_last_line_is_dropped_counted_and_mended(
    whole: Swept, tiny_study: Path, tmp_path: Path, in_process: object
) -> None:
    shutil.copytree(whole.prepared.folder.path, tmp_path / "runs")
    prepared = prepare(tiny_study, tmp_path / "runs")
    torn = prepared.folder.run(prepared.trunks[0].branches[-1].id)
    content = torn.metrics_path.read_bytes()
    torn.metrics_path.write_bytes(content[:-40])  # the branch's measurement, cut off in the middle
    derived = derive_table(prepared.folder, write=False)
    assert len(derived.notes) == 1
    assert "1 torn line dropped" in derived.notes[0]
    assert str(torn.metrics_path) in derived.notes[0]
    again = sweep(tiny_study, tmp_path / "runs")
    assert len(again.outcome.done) == 1
    assert again.prepared.folder.table_path.read_bytes() == whole.prepared.folder.table_path.read_bytes()
    assert again.trained == whole.trained


def test_records_stand_without_checkpoints(
    whole: Swept, tiny_study: Path, tmp_path: Path, in_process: object
) -> None:
    shutil.copytree(
        whole.prepared.folder.path, tmp_path / "runs", ignore=shutil.ignore_patterns("checkpoints")
    )
    prepared = prepare(tiny_study, tmp_path / "runs")
    assert prepared.todo == []
    # one more horizon's measurement lost: its trunk is needed again, the other branches are not
    lost = prepared.trunks[0].branches[-1]
    prepared.folder.run(lost.id).metrics_path.unlink()
    todo = prepare(tiny_study, tmp_path / "runs").todo
    assert {task.run.id for task in todo} == {lost.id, prepared.trunks[0].run.id}
    again = sweep(tiny_study, tmp_path / "runs")
    assert again.prepared.folder.table_path.read_bytes() == whole.prepared.folder.table_path.read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("lr = 0.01", "lr = 0.02", r"training.lr: 0.01 -> 0.02"),
        ("warmup_tokens = 640", "warmup_tokens = 320", r"schedule.warmup_tokens: 640 -> 320"),
        ("weight = 2.0", "weight = 3.0", r"data.sources\[1\].weight: 2.0 -> 3.0"),
    ],
)
def test_another_definition_is_refused_and_named(
    whole: Swept, tiny_study: Path, tmp_path: Path, old: str, new: str, named: str
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(whole.prepared.folder.path, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = tiny_study.with_name("other.toml")
    other.write_text(tiny_study.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(StudyConflict, match=named) as caught:
        prepare(other, out)
    assert str(out) in str(caught.value)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_other_text_is_refused(whole: Swept, tiny_study: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_study.parent, tmp_path / "study")
    shutil.copytree(whole.prepared.folder.path, tmp_path / "runs")
    changed = tmp_path / "study" / "one" / "0.txt"
    changed.write_text(changed.read_text("utf-8") + " and one sentence more", "utf-8")
    with pytest.raises(StudyConflict, match="trained on other text"):
        prepare(tmp_path / "study" / "tiny.toml", tmp_path / "runs")


def test_a_diverged_run_is_left_out_and_said(tiny_study: Path, tmp_path: Path, in_process: object) -> None:
    wild = tiny_study.with_name("wild.toml")
    text = tiny_study.read_text("utf-8").replace("lr = 0.01", "lr = 1e30")
    wild.write_text(text.replace("warmup_tokens = 640", "warmup_tokens = 0"), "utf-8")
    swept = sweep(wild, tmp_path / "runs")
    assert len(swept.outcome.diverged) == 3
    assert swept.table.empty
    assert any("diverged at step" in note for note in swept.notes)
    assert prepare(wild, tmp_path / "runs").todo == []


def test_what_lies_before_a_divergence_stays(whole: Swept, tiny_study: Path, tmp_path: Path) -> None:
    shutil.copytree(whole.prepared.folder.path, tmp_path / "runs")
    prepared = prepare(tiny_study, tmp_path / "runs")
    trunk, (first, *later) = prepared.trunks[0].run, prepared.trunks[0].branches
    path = prepared.folder.run(trunk.id).metrics_path  # as if it had diverged right after its first fork
    lines = [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= first.start]
    path.write_text("\n".join([*lines, json.dumps({"kind": "diverged", "step": first.start + 1})]) + "\n")
    for branch in later:
        prepared.folder.run(branch.id).metrics_path.unlink()
    assert prepare(tiny_study, tmp_path / "runs").todo == []
    derived = derive_table(prepared.folder, write=False)
    kept = derived.table[derived.table["trunk_id"] == trunk.id]
    assert set(kept["run_id"]) == {trunk.id, first.id}
    assert any(f"{trunk.id} diverged at step {first.start + 1}" in note for note in derived.notes)
    prepared.folder.run(first.id).metrics_path.unlink()  # a branch from before it is trained again
    assert {task.run.id for task in prepare(tiny_study, tmp_path / "runs").todo} == {first.id}


def test_runs_of_older_maths_are_refused_with_what_changed(
    whole: Swept, tiny_study: Path, monkeypatch
) -> None:
    out = whole.prepared.folder.path
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    monkeypatch.setattr(agreement, "MATHS", MATHS + 2)
    changes = {MATHS + 1: "clipping by block", MATHS + 2: "another initialisation"}
    monkeypatch.setattr(agreement, "MATHS_CHANGES", MATHS_CHANGES | changes)
    sentence = rf"maths {MATHS}, now {MATHS + 2}: clipping by block; another initialisation\)"
    with pytest.raises(StudyConflict, match=sentence):
        prepare(tiny_study, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_another_number_of_processes_is_refused(
    tiny_study: Path, tmp_path: Path, in_process, tiny_runs
) -> None:
    """Two processes add up in another order, so that one would go on with other last digits."""
    shutil.copytree(tiny_runs, tmp_path / "runs")
    prepared = prepare(tiny_study, tmp_path / "runs")
    trunk, branch = prepared.trunks[0].run, prepared.trunks[0].branches[0]
    path = prepared.folder.run(trunk.id).metrics_path
    path.write_text(path.read_text().replace('"kind": "begin",', '"kind": "begin", "processes": 2,'))
    prepared.folder.run(branch.id).metrics_path.unlink()
    with pytest.raises(
        InputError, match=f"{trunk.id} was trained on cpu with 2 process.* here it would be cpu with 1"
    ):
        sweep(tiny_study, tmp_path / "runs")


def test_two_processes_cannot_train_in_one_folder(tiny_study: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "runs").mkdir()
    with FileLock(tmp_path / "runs" / ".lock"), pytest.raises(InputError, match="another process"):
        sweep(tiny_study, tmp_path / "runs")


def test_losses_out_of_order_are_said() -> None:
    table = pd.DataFrame(
        [("t", "t", "trunk", 1e3, 80.0, 2.0, 0.0), ("b", "t", "branch", 1e3, 100.0, 2.1, 0.2),
         ("c", "u", "branch", 2e3, 100.0, 2.2, 0.2)],
        columns=["run_id", "trunk_id", "kind", "params", "tokens", "loss", "decay_share"],
    ).assign(eval_set="x", batch_tokens=10, loss_se=0.01)  # fmt: skip
    notes = order_notes(table, "x")
    assert len(notes) == 2
    assert notes[0].startswith("b ends at 2.1000, not below its trunk at its fork (2.0000)")
    assert notes[1].startswith("At 100 tokens the model of 2,000 parameters is 0.1000 above")
    assert order_notes(table.assign(loss=[2.0, 1.9, 1.8]), "x") == []


def test_a_disk_that_fills_up_ends_the_sweep_with_one_sentence(tiny_study: Path, tmp_path: Path) -> None:
    """A limit on file sizes stands for the disk: checkpoints are larger than it allows."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(EnvironmentProblem, match=r"no space left on the disk"):
            sweep(tiny_study, tmp_path / "runs", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path for path in (tmp_path / "runs").rglob("*") if path.suffix in (".tmp", ".safetensors")] == []
