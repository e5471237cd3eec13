"""A study grows in its folder: what stands is kept, and what was trained otherwise is refused."""

import shutil
from pathlib import Path

import pytest

from scalinglab.errors import StudyConflict
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import Swept, prepare, run
from scalinglab.sweep.lineage import find_run, remove

C = '\n[[ladder.sizes]]\nname = "c"\nwidth = 8\nlayers = 1\nheads = 2\nff = 8\nhorizons = [1280]\n'
FRONT = '[[ladder.sizes]]\nname = "a"'
GROWN = [
    ("a size", FRONT, C.strip() + "\n\n" + FRONT, {"c": {"trunk", "branch"}}),
    ("a horizon", "[2560, 3840, 5120]", "[2560, 3840, 4480, 5120]", {"a": {"trunk", "branch"}}),
    ("a longer horizon", "[2560, 3840, 5120]", "[2560, 3840, 5120, 6400]", {"a": {"trunk", "branch"}}),
    ("a seed", "seeds = [1], horizons", "seeds = [1, 2], horizons", {"b": {"trunk", "branch"}}),
    (
        "ways of decaying",
        "[ladder]",
        (
            '[[branches]]\nname = "own"\n[[branches]]\nname = "lin"\ndecay = "linear"\nhorizons = [2560]\n'
            'sizes = ["a"]\n[ladder]'
        ),
        {"a": {"branch"}},
    ),
    (
        "a run from scratch",
        "[ladder]",
        '[[full]]\nname = "cos"\nschedule = "cosine"\nhorizons = [1280]\nsizes = ["a"]\n[ladder]',
        {"a": {"full"}},
    ),
    ("a checkpoint", "[ladder]", "[ladder]\ncheckpoints = [3200]", {"a": {"trunk"}, "b": {"trunk"}}),
]


def changed(study: Path, name: str, old: str, new: str) -> Path:
    text = study.read_text("utf-8")
    assert old in text
    path = study.with_name(f"{name.replace(' ', '_')}.toml")
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("what", "old", "new", "trains"), GROWN, ids=[row[0] for row in GROWN])
def test_a_study_grows(
    tiny_runs: Path,
    tiny_study: Path,
    tmp_path: Path,
    in_process,
    what: str,
    old: str,
    new: str,
    trains: dict[str, set[str]],
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(tiny_runs, out)
    before = contents(out)
    study = changed(tiny_study, what, old, new)
    prepared = prepare(study, out)
    kinds: dict[str, set[str]] = {}
    for task in prepared.todo:
        kinds.setdefault(task.run.shape.name, set()).add(task.run.kind)
    assert kinds == trains
    swept: Swept = run(prepared, study)
    assert len(swept.outcome.done) == len(prepared.todo)
    after = contents(out)
    states = {path for path in before if path.suffix == ".safetensors"}
    assert all(after[path] == before[path] for path in states)
    assert after[Path("study.toml")] == study.read_bytes()
    assert prepare(study, out).todo == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lr = 0.01", "lr = 0.02", r"training.lr: 0.01 -> 0.02"),
        ("warmup_tokens = 640", "warmup_tokens = 704", r"schedule.warmup_tokens: 640 -> 704"),
        ("heldout_windows = 8", "heldout_windows = 9", r"data.heldout_windows: 8 -> 9"),
        ("weight = 2.0", "weight = 3.0", r"data.sources\[1\].weight: 2.0 -> 3.0"),
        ("decay_share = 0.25", "decay_share = 0.5", r"schedule.decay_share: 0.25 -> 0.5"),
        ("width = 16", "width = 12", r"ladder.sizes\[1\].width: 16 -> 12"),
        ("[2560, 3840, 5120]", "[2560, 5120]", r"ladder.sizes\[0\].horizons: .* -> \[2560, 5120\]"),
    ],
)
def test_what_was_trained_otherwise_is_refused(
    tiny_runs: Path, tiny_study: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(tiny_runs, out)
    before = contents(out)
    with pytest.raises(StudyConflict, match=said) as caught:
        prepare(changed(tiny_study, "other", old, new), out)
    assert str(out) in str(caught.value)
    assert "nothing was changed there" in str(caught.value)
    assert contents(out) == before


def test_what_was_not_trained_yet_may_change(
    tiny_runs: Path, tiny_study: Path, tmp_path: Path, in_process
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(tiny_runs, out)
    for name in ("b-s0-trunk", "b-s1-trunk"):
        trunk = find_run(out / name)
        remove([trunk, *trunk.branches()])
    other = changed(tiny_study, "narrower", "width = 16", "width = 12")
    prepared = prepare(other, out)
    assert {task.run.shape.name for task in prepared.todo} == {"b"}
    # and what is left out of the file is no longer waited for, though there is nothing to train
    text = tiny_study.read_text("utf-8")
    small = tiny_study.with_name("small.toml")
    small.write_text(text[: text.rindex("[[ladder.sizes]]")], "utf-8")
    assert run(prepare(small, out), small).outcome.done == []
    assert StudyFolder(out).study_path.read_text("utf-8") == small.read_text("utf-8")


def test_a_branch_with_text_that_its_trunk_never_sees(tiny_study: Path, tmp_path: Path, in_process) -> None:
    """Source two weighs nothing on the trunk and all in the decay, in batches of its own."""
    study = tiny_study.with_name("annealed.toml")
    text = tiny_study.read_text("utf-8").replace('"two", weight = 2.0', '"two", weight = 0.0')
    entry = '[[branches]]\nname = "plain"\n[[branches]]\nname = "annealed"\nweights = { two = 1.0 }\n[ladder]'
    text = text[: text.rindex("[[ladder.sizes]]")].replace("[ladder]", entry)
    study.write_text(text.replace("[2560, 3840, 5120]", "[2560]"), "utf-8")
    swept = run(prepare(study, tmp_path / "runs"), study)
    (trunk,) = swept.prepared.trunks
    plain, annealed = (
        swept.prepared.folder.run(branch.id).read_metrics().evals[branch.end] for branch in trunk.branches
    )
    windows = {name: (len(stream) - 1) // 32 for name, stream in swept.prepared.texts.train.items()}
    assert plain["epochs"] == pytest.approx({"one": 80 / windows["one"], "two": 0.0}, abs=1e-6)
    # 1920 tokens of the trunk and 640 of the decay, in sequences of 32
    assert annealed["epochs"] == pytest.approx(
        {"one": 60 / windows["one"], "two": 20 / windows["two"]}, abs=1e-6
    )
    assert plain["unique_tokens"] == annealed["unique_tokens"] == 2560
    table = swept.table[swept.table["kind"] == "branch"]
    losses = table.pivot(index="recipe", columns="eval_set", values="loss")
    assert losses.loc["annealed", "two"] < losses.loc["plain", "two"]
    assert losses.loc["annealed", "one"] > losses.loc["plain", "one"]
