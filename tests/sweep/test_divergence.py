"""When a run is given up: a pure rule on its records, and what a study does about it."""

import json
import math
from pathlib import Path

import pytest

from scalinglab.records.store import StudyFolder
from scalinglab.sweep import prepare, run
from scalinglab.sweep.divergence import LossWatch

LEARNING = [5.5, 4.0, 3.2, 2.9, 2.7]


def verdict(losses: list[float], vocab: int = 256) -> tuple[int, str] | None:
    """(step of the first record too high, reason); a record every ten updates."""
    watch = LossWatch(vocab)
    for i, loss in enumerate(losses):
        if watch.spiked(10 * (i + 1), loss):
            return watch.since, watch.reason
    return None


def test_a_spike_that_heals_is_left_alone() -> None:
    assert verdict([*LEARNING, *[5.0] * 4, 2.7, *[5.0] * 4, 2.6]) is None


def test_a_loss_that_stays_up_is_given_up_from_where_it_rose() -> None:
    assert verdict([*LEARNING, 3.4, *[5.0] * 5]) == (
        70,
        "the training loss rose from 2.700 to 5.000 and stayed there",
    )


def test_a_rise_within_noise_is_none() -> None:
    rise = 0.15 * math.log(256)
    assert verdict([*LEARNING, *[2.7 + 0.99 * rise] * 20]) is None
    assert verdict([*LEARNING, *[2.7 + 1.01 * rise] * 20]) is not None


@pytest.mark.parametrize("vocab", [256, 32_000])
def test_a_run_that_has_not_learned_yet_is_left_alone(vocab: int) -> None:
    nothing = math.log(vocab)
    assert verdict([nothing + 0.05 * (-1) ** i for i in range(200)], vocab) is None
    assert verdict([1.2 * nothing, *[nothing] * 10, 0.9 * nothing], vocab) is None


def test_a_run_that_never_learned_and_gets_worse_is_given_up() -> None:
    """As a byte model of width 8 does at lr = 3: far above log(256) and rising."""
    assert verdict([8.8, 20.3, 12.1, 12.5, 22.4, 28.1]) is not None


@pytest.fixture(scope="module")
def wild(tiny_study: Path) -> Path:
    """Size b of the tiny study at a rate it cannot bear, its first fork before that shows."""
    path = tiny_study.with_name("wild_rate.toml")
    text = tiny_study.read_text("utf-8").replace("lr = 0.01", "lr = 5.0")
    sizes = text.index("\n[[ladder.sizes]]")
    path.write_text(
        text[:sizes].replace("horizons = [2560, 5120]", "horizons = [12800, 25600]")
        + '\n[[ladder.sizes]]\nname = "b"\nwidth = 16\nlayers = 1\nheads = 2\nff = 32\n',
        "utf-8",
    )
    return path


def test_a_run_that_diverges_is_marked_and_nothing_starts_from_it(
    wild: Path, tmp_path: Path, in_process
) -> None:
    swept = run(prepare(wild, tmp_path / "runs"), wild)
    (trunk,) = swept.prepared.trunks
    metrics = swept.prepared.folder.run(trunk.run.id).read_metrics()
    assert metrics.diverged is not None
    assert metrics.reason.startswith("the training loss rose from ")
    assert metrics.diverged < max(metrics.train)  # it had risen before it was given up
    assert not any((tmp_path / "runs" / branch.id).exists() for branch in trunk.branches)
    assert swept.table.empty
    assert any(f"diverged at step {metrics.diverged} (the training loss rose" in note for note in swept.notes)
    assert prepare(wild, tmp_path / "runs").todo == []


def test_an_interrupted_run_is_judged_alike(wild: Path, tmp_path: Path, in_process) -> None:
    found = []
    for stops in ([None], [3, 2, 1, 1, None]):
        out = tmp_path / str(len(stops))
        for in_process.stop in stops:
            run(prepare(wild, out), wild)
        (folder,) = StudyFolder(out).runs()
        metrics = folder.read_metrics()
        found.append((metrics.diverged, metrics.reason, max(metrics.train)))
    assert found[0] == found[1]


def test_a_branch_begun_while_its_trunk_was_rising_is_left_out(
    tiny_runs: Path, tiny_study: Path, tmp_path: Path
) -> None:
    import shutil

    from scalinglab.records.derive import derive_table
    from scalinglab.sweep.lineage import find_run

    shutil.copytree(tiny_runs, tmp_path / "runs")
    trunk = find_run(tmp_path / "runs" / "a")
    with open(trunk.run.metrics_path, "a", encoding="utf-8") as file:  # as if given up later on
        file.write(json.dumps({"kind": "diverged", "step": 40, "reason": "it rose"}) + "\n")
    derived = derive_table(trunk.folder)
    rest = derived.table[derived.table["size"] == "a"]
    assert sorted(set(rest.loc[rest["kind"] == "branch", "tokens"])) == [2560.0]  # forked at step 30
    assert set(rest.loc[rest["kind"] == "trunk", "tokens"]) == {1920.0}
    left_out = [note for note in derived.notes if "its trunk had diverged where it forks" in note]
    assert len(left_out) == 2
    assert prepare(tiny_study, tmp_path / "runs").todo == []
