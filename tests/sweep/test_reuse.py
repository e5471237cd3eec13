"""Runs of another study that this one asks for too are taken over, and it goes on from their states."""

import shutil
from dataclasses import replace
from pathlib import Path

from scalinglab.records.pack import pack
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import prepare, run
from scalinglab.sweep.reuse import reuse


def grown(tiny_study: Path) -> Path:
    """The tiny study under another title, with one more horizon of its first size and one size less."""
    text = tiny_study.read_text("utf-8").replace('title = "tiny"', 'title = "other"')
    text = text.replace("[2560, 3840, 5120]", "[2560, 3840, 5120, 6400]").split(
        '[[ladder.sizes]]\nname = "b"'
    )[0]
    path = tiny_study.with_name("other.toml")
    path.write_text(text, "utf-8")
    return path


def test_what_stands_elsewhere_is_not_trained_again(
    tiny_runs: Path, tiny_study: Path, tmp_path: Path, in_process
) -> None:
    study, theirs = grown(tiny_study), tmp_path / "theirs"
    shutil.copytree(tiny_runs, theirs)
    alone = run(prepare(study, tmp_path / "alone"), study)
    prepared, taken = reuse(prepare(study, tmp_path / "ours"), study, [StudyFolder(theirs)])
    assert taken == {"theirs": 1 + 3}  # the trunk of the first size, and its branches
    assert {task.id for task in prepared.todo} < {task.id for task in prepared.tasks}
    swept = run(prepared, study)
    assert swept.table.equals(alone.table)
    assert {task.run.kind for task in prepared.todo} == {"trunk", "branch"}
    # the trunk went on from its last state, and only to the new fork
    (trunk,) = [run for run in prepared.folder.runs() if "trunk" in run.path.name]
    assert trunk.read_metrics().repeated == []
    for path in (tmp_path / "alone").glob("*/checkpoints/step-*.safetensors"):
        ours = prepared.folder.path / path.relative_to(tmp_path / "alone")
        assert ours.read_bytes() == path.read_bytes()


def test_a_pack_will_do_where_nothing_is_left_to_train(
    tiny_runs: Path, tiny_study: Path, tmp_path: Path, in_process
) -> None:
    theirs, ours = StudyFolder(tmp_path / "theirs"), tmp_path / "ours"
    shutil.copytree(tiny_runs, theirs.path, ignore=shutil.ignore_patterns("checkpoints"))
    pack(theirs)
    for found in theirs.runs():
        shutil.rmtree(found.path)
    prepared, taken = reuse(prepare(tiny_study, ours), tiny_study, [theirs, StudyFolder(ours)])
    assert sum(taken.values()) == len({task.run.id for task in prepared.tasks})
    assert prepared.todo == []
    assert (
        run(prepared, tiny_study).table.to_csv()
        == run(prepare(tiny_study, tiny_runs), tiny_study).table.to_csv()
    )


def test_a_probe_changes_no_identity_and_takes_over_no_run_without_one(
    tiny_runs: Path, tiny_study: Path, tmp_path: Path, in_process
) -> None:
    study = tiny_study.with_name("probed.toml")
    study.write_text(grown(tiny_study).read_text("utf-8") + "\n[probe]\nevery = 5\n", "utf-8")
    prepared, taken = reuse(prepare(study, tmp_path / "ours"), study, [StudyFolder(tiny_runs)])
    assert taken == {}
    assert [task.id for task in prepared.tasks] == [
        task.id for task in prepare(grown(tiny_study), tmp_path / "b").tasks
    ]
    first = prepared.tasks[0]
    run(replace(prepared, tasks=[first]), study)
    theirs, ours = (StudyFolder(folder).run(first.run.id) for folder in (tiny_runs, tmp_path / "ours"))
    assert ours.checkpoint_path(first.end).read_bytes() == theirs.checkpoint_path(first.end).read_bytes()
    records = ours.read_metrics().train
    assert {records[step]["probed"] for step in records if step % 10 == 0} == {2}
    _, taken = reuse(prepare(study, tmp_path / "again"), study, [StudyFolder(tmp_path / "ours")])
    assert taken == {"ours": 1}


def test_a_run_from_scratch_comes_with_this_studys_ends_and_names(
    tiny_study: Path, tmp_path: Path, in_process
) -> None:
    """Theirs is finished at three ends, one of which ours does not ask for, and calls each otherwise."""
    head, tail = tiny_study.read_text("utf-8").split("[ladder]")
    tail = tail.split('[[ladder.sizes]]\nname = "b"')[0]
    studies = {}
    for name, entries in {
        "theirs": {"long": (1.0, 5120), "half": (0.5, 5120), "double": (2.0, 2560)},
        "ours": {"cosine": (1.0, 5120), "T = 2S": (2.0, 2560)},
    }.items():
        full = "".join(
            f'[[full]]\nname = "{recipe.replace(" = ", "-")}"\nschedule = "cosine"\nperiod_share = {share}\n'
            f"horizons = [{horizon}]\n"
            for recipe, (share, horizon) in entries.items()
        )
        studies[name] = tiny_study.with_name(f"{name}.toml")
        studies[name].write_text(f"{head}{full}[ladder]{tail}", "utf-8")
    run(prepare(studies["theirs"], tmp_path / "theirs"), studies["theirs"])
    prepared, _ = reuse(
        prepare(studies["ours"], tmp_path / "ours"), studies["ours"], [StudyFolder(tmp_path / "theirs")]
    )
    assert prepared.todo == []
    table = run(prepared, studies["ours"]).table
    whole = table[(table["kind"] == "full") & (table["eval_set"] == "average")]
    assert sorted(zip(whole["recipe"], whole["tokens"], strict=True)) == [
        ("T-2S", 2560.0),
        ("cosine", 5120.0),
    ]
