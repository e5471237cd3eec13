"""Branches that go on after their decay, averages of trunk states, and ramps as variants."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import scalinglab as sl
from scalinglab.errors import InputError
from scalinglab.ladder import plan, read_study
from scalinglab.ladder.merge import merge_weights
from scalinglab.ladder.schedule import WSD, Decay
from scalinglab.records.derive import derive_table
from scalinglab.records.pack import pack
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import Swept, outstanding, prepare, run
from scalinglab.sweep.lineage import known_run, known_runs, run_state
from scalinglab.training import checkpoint

ADDED = """
[[branches]]
name = "own"
floor = 0.1
[[branches]]
name = "tuned"
floor = 0.1
horizons = [2560]
after = { tokens = [256, 512], weights = { two = 1 } }

[[merges]]
name = "mean"
decay = "linear"
decay_share = 0.5
checkpoints = 3
horizons = [2560]

[[variants]]
batch_ramp = [{ from_tokens = 1280, batch_tokens = 256 }]
horizons = [2560]
sizes = ["a"]
"""


def with_added(study: Path, name: str = "added", added: str = ADDED) -> Path:
    """Beside the study, whose text it names by its place."""
    text = study.read_text()
    at = text.index("[ladder]")
    path = study.with_name(f"{name}.toml")
    path.write_text(text[:at] + added + text[at:])
    return path


@pytest.fixture(scope="module")
def swept(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    study = with_added(tiny_study)
    found = run(prepare(study, tmp_path_factory.mktemp("added") / "runs"), study, workers=1)
    assert not found.outcome.failed
    return found


def test_the_weights_of_a_linear_decay_are_those_of_the_trapezium_rule() -> None:
    """Mean factors of a straight line are its middles: 1/n each, and half of that at both ends."""
    steps = range(100, 1101, 100)
    weights = merge_weights(WSD(10, Decay("linear", 100, 1000)), steps)
    assert weights == pytest.approx([0.05, *[0.1] * 9, 0.05], rel=0.011)  # the first update has the full rate
    assert sum(weights) == pytest.approx(1.0, abs=1e-12)


def test_at_every_update_a_merge_rescales_the_trunks_updates_as_the_decay_would() -> None:
    """θ(fork) + Σ f(s) · Δ(s), by hand."""
    rng = np.random.default_rng(0)
    schedule, updates = WSD(5, Decay("1-sqrt", 20, 30, 0.1)), rng.normal(size=30)
    states = np.cumsum([0.3, *updates])
    merged = np.dot(merge_weights(schedule, range(20, 51)), states)
    assert merged == pytest.approx(
        0.3 + sum(schedule.factor(20 + i) * u for i, u in enumerate(updates)), rel=1e-12
    )


def test_a_merge_is_the_average_of_its_trunks_states(swept: Swept) -> None:
    folder = swept.prepared.folder
    merge = next(task.run for task in swept.prepared.tasks if task.run.averaged)
    trunk = folder.run(str(merge.parent))
    weights = merge_weights(merge.schedule, merge.averaged)
    states = [checkpoint.load(trunk.checkpoint_path(step))[0] for step in merge.averaged]
    name = (
        "model.embedding"
        if "model.embedding" in states[0]
        else next(n for n in states[0] if n.startswith("model."))
    )
    by_hand = sum(w * s[name].double() for w, s in zip(weights, states, strict=True)).float()

    from scalinglab.corpus.streams import open_files
    from scalinglab.training import Streams, Trainer

    trainer = Trainer(merge, Streams(*open_files(swept.prepared.texts.files)))
    trainer.average([trunk.checkpoint_path(step) for step in merge.averaged])
    assert torch.equal(trainer.model.p[name.removeprefix("model.")].detach(), by_hand)
    losses = {name: found.loss for name, found in trainer.evaluate().items()}
    measured = folder.run(merge.id).read_metrics().evals[merge.end]["sets"]
    assert losses == {name: found["loss"] for name, found in measured.items()}


def test_rows_say_what_they_are_and_a_fit_takes_the_finished_ones(swept: Swept) -> None:
    table = swept.table[swept.table["eval_set"] == "average"]
    own = table[(table["recipe"] == "tuned") & (table["size"] == "a") & (table["batch_tokens"] == 64)]
    own = own.sort_values("tokens")
    assert list(zip(own["kind"], own["tokens"], strict=True)) == [
        ("branch", 2560.0), ("after", 2816.0), ("after", 3072.0),
    ]  # fmt: skip
    merged = table[table["kind"] == "merge"]
    assert set(merged["schedule"]) == {"merge-linear"}
    assert set(merged["decay_share"]) == {0.5}
    fit = sl.fit(sl.laws.Chinchilla(), pd.concat([table] * 3, ignore_index=True))
    assert len(fit.rows) == 3 * (table["kind"] == "branch").sum()


def test_what_follows_a_decay_reads_its_own_mixture_at_the_floor(swept: Swept) -> None:
    tuned = next(task.run for task in swept.prepared.tasks if task.recipe == "tuned")
    assert tuned.mixtures == ((tuned.end, (("one", 0.0), ("two", 1.0))),)
    records = swept.prepared.folder.run(tuned.id).read_metrics().train
    beyond = [record["lr"] for step, record in records.items() if step > tuned.end]
    assert beyond
    assert beyond == pytest.approx([0.1 * tuned.lr] * len(beyond), rel=1e-12)


def test_nothing_is_left_to_do_and_a_pack_keeps_it_all(swept: Swept, tmp_path: Path) -> None:
    folder = swept.prepared.folder
    assert outstanding(swept.prepared.tasks, folder) == []
    pack(folder)
    other = StudyFolder(tmp_path)
    other.pack_path.write_bytes(folder.pack_path.read_bytes())
    from scalinglab.records.pack import unpack

    unpack(other)
    assert derive_table(other, write=False).table.equals(derive_table(folder, write=False).table)


def test_a_ramp_is_a_variant(swept: Swept) -> None:
    varied = [trunk for trunk in swept.prepared.trunks if trunk.variant]
    assert {trunk.variant for trunk in varied} == {"batch 256 from 1280"}
    assert all(trunk.run.ramp == ((trunk.run.batches.step_at(1280), 256),) for trunk in varied)


def test_a_merge_waits_for_every_state_it_averages(swept: Swept) -> None:
    merges = [task for task in swept.prepared.tasks if task.run.averaged]
    assert merges
    for task in merges:
        assert task.needs == tuple(f"{task.run.parent}@{step}" for step in task.run.averaged)


def test_an_empty_ramp_is_the_study_without_its_own(tiny_study: Path) -> None:
    text = tiny_study.read_text("utf-8").replace(
        "[schedule]", "batch_ramp = [{ from_tokens = 1280, batch_tokens = 128 }]\n[schedule]", 1
    )
    path = tiny_study.with_name("ramped.toml")
    path.write_text(text.replace("[ladder]", "[[variants]]\nbatch_ramp = []\n[ladder]", 1))
    assert {trunk.batches.ramp for trunk in plan(read_study(path))} == {((20, 128),), ()}


@pytest.mark.parametrize(
    ("added", "says"),
    [
        (
            (
                '[[branches]]\nname = "x"\nfloor = 0.1\n'
                '[[branches]]\nname = "y"\nfloor = 0.1\nafter = { tokens = [256] }\n'
            ),
            "decay alike to 2560",
        ),
        ('[[branches]]\nname = "x"\nafter = { tokens = [256] }\n', "give the decay a floor above 0"),
        (
            '[[branches]]\nname = "x"\nfloor = 0.1\nafter = { tokens = [100] }\n',
            "after of recipe x: 2660 of size 'a' is not a whole number of batches",
        ),
        ('[[merges]]\nname = "x"\ncheckpoints = 1\n', "greater than or equal to 2"),
        ('[[merges]]\nname = "x"\ncheckpoints = 500\n', "ask for at most"),
    ],
)
def test_a_mistake_is_named(tiny_study: Path, added: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        plan(read_study(with_added(tiny_study, "mistaken", added)))


def test_a_branch_is_done_when_what_follows_its_decay_is_measured(swept: Swept) -> None:
    folder = swept.prepared.folder
    known = next(each for each in known_runs(folder) if each.manifest["recipe"] == "tuned")
    batches, metrics = known.definition.batches, known.run.read_metrics()
    assert known.end == batches.step_at(2560 + 512)
    assert run_state(known.run, metrics, known.end) == "done"
    del metrics.evals[known.end]
    assert run_state(known.run, metrics, known.end) == "stopped"
    assert known_run(folder, known.id) == known


def test_merges_and_what_follows_a_decay_are_told(
    swept: Swept, cli: Callable[..., tuple[int, str, str]]
) -> None:
    folder = swept.prepared.folder
    merge = next(task.run for task in swept.prepared.tasks if task.run.averaged)
    code, said, _ = cli("show", folder.path / merge.id)
    assert code == 0
    told = " ".join(said.split())
    assert (
        "average of 3 states of its trunk, weighed as its updates by a decay linear over 1.28k tokens" in told
    )
    assert "of 3 states, 1.28k to 2.56k" in told
    assert "no checkpoint is kept" in said
    assert "updates in" not in said
    tuned = next(task.run for task in swept.prepared.tasks if task.recipe == "tuned")
    said = cli("show", folder.path / tuned.id)[1]
    assert "then 512 tokens at that rate" in said
    assert "mixture from 2.56k tokens: two 1" in said
    rows = json.loads(cli("status", folder.path, "--json")[1])["runs"]
    assert {row["state"] for row in rows} == {"done"}
    assert all(row["tokens"] == row["of_tokens"] for row in rows)
    (study,) = json.loads(cli("ls", folder.path.parent, "--json")[1])["studies"]
    merges = sum(task.run.kind == "merge" for task in swept.prepared.tasks)
    assert (study["merges"], study["trunks"]) == (merges, sum(row["kind"] == "trunk" for row in rows))
    line = next(line for line in cli("ls", folder.path.parent)[1].splitlines() if "diverged" in line)
    assert line.split() == ["study", "trunks", "branches", "merges", "full", "diverged", "table", "disk"]
    assert f"is a merge, and this takes a trunk; its trunk is {merge.parent}" in cli(
        "fork", folder.path / merge.id, "--at", "2560", "--decay", "linear:640"
    )[2]  # fmt: skip
