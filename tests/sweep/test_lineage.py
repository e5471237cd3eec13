"""Runs found by name, forked again and taken further: exact, or refused with the mend."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from scalinglab.corpus.streams import open_files
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder import Decay, read_study
from scalinglab.ladder.plan import Changes
from scalinglab.records.store import Metrics, StudyFolder
from scalinglab.sweep import Task, prepare, run
from scalinglab.sweep.lineage import (
    KnownRun,
    extension,
    find_run,
    forked_branch,
    known_runs,
    last_loss,
    perform_tasks,
    remove,
    run_state,
)
from scalinglab.sweep.text import begun_text
from scalinglab.sweep.worker import perform
from scalinglab.training import Streams

# trunk "a": batches of 64 tokens, warmup to 640, forks at 1920, 2880 and 3840, a station at 2560


@pytest.fixture
def runs(tiny_runs: Path, tmp_path: Path) -> Path:
    """A copy of the swept study to work in."""
    shutil.copytree(tiny_runs, tmp_path / "runs" / "tiny")
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def trunk(runs: Path) -> KnownRun:
    return find_run(runs / "a", "trunk")


def carry_out(known: KnownRun, task: Task | None) -> KnownRun:
    assert task is not None
    outcome = perform_tasks(known.folder, [task], lambda event: None)
    assert outcome.done == [task.id]
    return find_run(known.folder.path / task.run.id)


def states(run: KnownRun) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run.run.path / "checkpoints").glob("step-*")}


# ---- by name --------------------------------------------------------------------------------------


def test_a_run_goes_by_its_folder_its_size_or_the_beginning_of_its_id(runs: Path) -> None:
    below = runs.parent
    trunk = find_run(runs / "a")
    assert (trunk.kind, trunk.manifest["size"]) == ("trunk", "a")
    assert find_run("a", below=below) == trunk
    assert find_run(runs / trunk.id, "trunk").id == trunk.id
    branch = find_run("a-s0-d2560", below=below)
    assert branch == find_run(runs / "a-s0-d25")
    assert branch.manifest["parent"] == trunk.id
    assert [each.manifest["end"] * 64 for each in trunk.branches()] == [2560, 3840, 5120]
    assert find_run(runs / "b").definition.seed == 0  # of its two trunks


def test_a_name_that_is_none_or_several_is_refused(runs: Path, tmp_path: Path) -> None:
    below = runs.parent
    with pytest.raises(InputError, match=r"no run 'z' in the studies of .*runs; scalinglab ls"):
        find_run("z", below=below)
    with pytest.raises(InputError, match=r"tiny is a study, and this takes one of its runs"):
        find_run(runs)
    with pytest.raises(InputError, match=r"a-s could be any of .*a-s0-d2560-.*, .*give more of the name"):
        find_run("a-s", below=below)
    with pytest.raises(
        InputError, match=r"a-s0-d2560-\w+ is a branch, and this takes a trunk; its trunk is a-s0"
    ):
        find_run(runs / "a-s0-d2560", "trunk")
    shutil.copytree(runs, below / "second")
    with pytest.raises(InputError, match=r"a could be any of .*second/a-s0-trunk-.*, .*tiny/a-s0-trunk-"):
        find_run("a", below=below)


# ---- fork -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "shape", "tokens", "said"),
    [
        (
            2000,
            "linear",
            640,
            r"keeps no checkpoint at 2000 tokens; the nearest are at 1920 and 2560 tokens$",
        ),
        (
            1984,
            "linear",
            640,
            r"keeps no checkpoint at 1984 tokens; the nearest are at 1920 and 2560 tokens$",
        ),
        (
            5000,
            "linear",
            640,
            r"nearest are at 2880 and 3840 tokens. To fork beyond its end, extend it first: .*a-s0-trunk-\w+ --to 4992",
        ),
        (
            2560,
            "linear",
            650,
            r"a decay of 650 tokens is no whole number of batches of 64; the nearest is 640",
        ),
        (2560, "linear", 3, r"a decay of 3 tokens is no whole number of batches of 64; the nearest is 64"),
        (2560, "lin", 640, r"decay shape 'lin' is not known; did you mean 'linear'"),
        (2560, "exponential", 640, r"never reaches a floor of 0; give a floor above it"),
    ],
)
def test_a_fork_that_cannot_be_is_refused(
    trunk: KnownRun, at: int, shape: str, tokens: int, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        forked_branch(trunk, at, shape, tokens)


def test_a_fork_with_wrong_changes_is_refused(trunk: KnownRun) -> None:
    with pytest.raises(InputError, match=r"weighs source 'three'; the study's sources are one, two"):
        forked_branch(trunk, 2560, "linear", 640, changes=Changes(weights=(("three", 1.0),)))
    with pytest.raises(InputError, match=r"gives every source the weight 0"):
        forked_branch(trunk, 2560, "linear", 640, changes=Changes(weights=()))
    with pytest.raises(
        InputError, match=r"100 tokens is not a whole number of sequences of 32 .* 96 and 128"
    ):
        forked_branch(trunk, 2560, "linear", 600, batch_tokens=100)
    with pytest.raises(
        InputError, match=r"a decay of 640 tokens is no whole number of batches of 96; .* 672"
    ):
        forked_branch(trunk, 2560, "linear", 640, batch_tokens=96)


def test_a_fork_inside_the_warmup_is_refused(trunk: KnownRun, in_process) -> None:
    early = trunk.run.checkpoint_path(5)
    shutil.copy(trunk.run.checkpoint_path(30), early)
    with pytest.raises(InputError, match=r"320 tokens lie inside the warmup of a-s0.*, which ends at 640"):
        forked_branch(trunk, 320, "linear", 640)


def test_without_checkpoints_nothing_forks_or_goes_on(trunk: KnownRun) -> None:
    remove([trunk], checkpoints_only=True)
    with pytest.raises(InputError, match=r"has no checkpoints any more; to train it again, remove it"):
        forked_branch(trunk, 2560, "linear", 640)
    with pytest.raises(InputError, match=r"has no checkpoints any more; to train it again, remove it"):
        extension(trunk, 6400)


def test_a_fork_that_the_study_has_is_the_studys(trunk: KnownRun, runs: Path, in_process) -> None:
    own = find_run(runs / "a-s0-d2560")
    task = forked_branch(trunk, 1920, "1-sqrt", 640)
    assert task.run == own.definition
    assert forked_branch(trunk, 1920, "1-sqrt", 640, batch_tokens=64).run == own.definition
    before = states(own)
    remove([own])
    again = carry_out(trunk, task)
    assert again.manifest["origin"] == "command"
    assert states(again) == before
    assert again.run.read_metrics().evals == own.folder.run(own.id).read_metrics().evals


def test_an_interrupted_fork_is_finished_by_itself_and_by_the_sweep(
    trunk: KnownRun, runs: Path, tiny_study: Path, tmp_path: Path, in_process
) -> None:
    task = forked_branch(trunk, 2560, "linear", 1920, 0.1)
    in_process.stop = 1
    assert perform_tasks(trunk.folder, [task], lambda event: None).stopped
    known = find_run(runs / task.run.id)
    assert run_state(known.run, known.run.read_metrics(), known.end) == "stopped"
    in_process.stop = None
    shutil.copytree(runs, tmp_path / "other")
    alone = carry_out(trunk, task)
    prepared = prepare(tiny_study, tmp_path / "other")
    assert [each.id for each in prepared.todo] == [task.id]
    swept = run(prepared, tiny_study)
    assert task.run.id in set(swept.table["run_id"])
    swept_run = find_run(tmp_path / "other" / task.run.id)
    assert states(alone) == states(swept_run)
    assert swept_run.run.read_metrics().wasted == 0
    assert prepare(tiny_study, runs).todo == []


def test_a_fork_has_its_own_batch_floor_and_mixture(trunk: KnownRun, in_process) -> None:
    changes = Changes(weight_decay=0.0, clip=0.5, weights=(("two", 1.0),))
    made = carry_out(trunk, forked_branch(trunk, 2560, "cosine", 1280, 0.2, changes, 128))
    own, metrics = made.definition, made.run.read_metrics()
    assert (own.start, own.end) == (40, 50)
    assert own.schedule.decay == Decay("cosine", 40, 10, 0.2)
    assert (own.weight_decay, own.clip, own.batches.at(40), own.batches.tokens_at(50)) == (
        0.0,
        0.5,
        128,
        3840,
    )
    assert own.mixtures == ((40, (("one", 0.0), ("two", 1.0))),)
    stem = trunk.run.read_metrics().evals[40]
    (measured,) = metrics.evals.values()
    assert measured["tokens"] == 3840
    assert measured["decay_share"] == 1280 / 3840
    # the decay went on with source two alone, from where the trunk stood
    assert measured["epochs"]["one"] == stem["epochs"]["one"]
    assert measured["epochs"]["two"] > stem["epochs"]["two"]
    assert measured["unique_tokens"] - stem["unique_tokens"] == 1280


# ---- beside a running sweep -----------------------------------------------------------------------


@contextmanager
def held(*paths: Path) -> Iterator[Callable[[], None]]:
    """Locks that another process holds: each open file has its own, so one of this process will do."""
    locks = [FileLock(path, is_singleton=False) for path in paths]
    for lock in locks:
        lock.acquire()

    def release() -> None:
        for lock in locks:
            lock.release()

    yield release
    release()


def test_a_running_trunk_forks_and_is_otherwise_left_alone(trunk: KnownRun, runs: Path, in_process) -> None:
    task, further = forked_branch(trunk, 2560, "linear", 640), extension(trunk, 6400)
    assert further is not None
    with held(trunk.folder.lock_path, trunk.run.lock_path):
        assert run_state(trunk.run, trunk.run.read_metrics()) == "running"
        carry_out(trunk, forked_branch(trunk, 2560, "linear", 640))
        for refused in (
            lambda: extension(trunk, 6400),
            lambda: perform_tasks(trunk.folder, [further], lambda event: None),
        ):
            with pytest.raises(
                InputError, match=r"another process is training this run; wait for it or stop it"
            ):
                refused()
        with pytest.raises(InputError, match=r"tiny: a process is training this study; stop it first"):
            remove([find_run(runs / "b")])
    with held(trunk.run.lock_path), pytest.raises(InputError, match=r"is training this run"):
        remove([trunk])
    assert run_state(trunk.run, trunk.run.read_metrics()) == "done"
    assert find_run(runs / task.run.id).manifest["parent"] == trunk.id


def test_a_sweep_leaves_a_fork_that_is_being_trained_alone(
    trunk: KnownRun, runs: Path, tiny_study: Path, in_process
) -> None:
    task = forked_branch(trunk, 2560, "linear", 640)
    in_process.stop = 0
    perform_tasks(trunk.folder, [task], lambda event: None)
    folder = StudyFolder(runs).run(task.run.id)
    folder.metrics_path.unlink()
    in_process.stop = None
    with held(folder.lock_path):
        swept = run(prepare(tiny_study, runs), tiny_study)
    assert swept.outcome.done == []
    assert not swept.outcome.failed


def test_a_worker_waits_for_a_run_that_another_process_trains(trunk: KnownRun) -> None:
    task = forked_branch(trunk, 2560, "linear", 640)
    folder = trunk.folder.run(task.run.id)
    text = begun_text(read_study(trunk.folder.study_path), trunk.folder)
    streams = Streams(*open_files(text.files))
    told: list[object] = []
    asked: list[bool] = []

    def attempt(should_stop: Callable[[], bool]) -> tuple[object, ...]:
        return perform(task, trunk.folder, streams, 30.0, told.append, should_stop)

    folder.lock_path.parent.mkdir(parents=True)
    with held(folder.lock_path):
        assert attempt(lambda: True) == ("stopped", task.id)
    assert not (folder.path / "manifest.json").exists()
    with held(folder.lock_path) as release:

        def others_end() -> bool:
            asked.append(folder.busy)
            if len(asked) == 2:
                release()
            return False

        assert attempt(others_end) == ("done", task.id)
    assert asked == [True, True]
    assert told


# ---- extend ---------------------------------------------------------------------------------------


def test_an_extended_trunk_is_that_of_a_study_planned_so_long(
    trunk: KnownRun, tiny_study: Path, tmp_path: Path, in_process
) -> None:
    assert extension(trunk, 3840) is None
    carry_out(trunk, extension(trunk, 5760))
    further = carry_out(trunk, forked_branch(trunk, 5760, "1-sqrt", 1920))
    longer = tiny_study.with_name("longer.toml")
    text = tiny_study.read_text("utf-8")
    longer.write_text(
        text.replace("horizons = [2560, 3840, 5120]", "horizons = [2560, 3840, 5120, 7680]"), "utf-8"
    )
    planned = run(prepare(longer, tmp_path / "planned"), longer)
    both = (states(trunk), states(find_run(tmp_path / "planned" / trunk.id)))
    assert both[0].keys() <= both[1].keys()
    assert "step-00000090.safetensors" in both[0]
    assert all(both[1][name] == content for name, content in both[0].items())
    assert further.id in set(planned.table["run_id"])
    assert states(further) == states(find_run(tmp_path / "planned" / further.id))
    # the study itself does not mind, and may grow into what was added
    assert prepare(tiny_study, trunk.folder.path).todo == []
    grown = prepare(longer, trunk.folder.path)
    assert [task.id for task in grown.todo] == [
        f"{trunk.id}@80"
    ]  # a branch's end that the longer trunk passes


def test_an_extension_that_cannot_be_is_refused(trunk: KnownRun) -> None:
    with pytest.raises(
        InputError, match=r"6000 tokens lie between two updates .* nearest end of one is at 6016"
    ):
        extension(trunk, 6000)
    with pytest.raises(
        InputError, match=r"has gone on to 3840 tokens .* stands at 1920, 2560, 2880 and 3840 tokens"
    ):
        extension(trunk, 3200)


def test_the_last_loss_says_its_unit() -> None:
    text = {"loss": 6.0, "se": 0.1, "tokens": 100, "bytes": 300}
    ids = {"loss": 4.0, "se": 0.1, "tokens": 100, "bytes": 0}
    first = {"loss": 3.0, "se": 0.1, "tokens": 100}  # of bytes, as all were once
    for sets, said in (
        ((text,), (2.0, "nats/byte")),
        ((text, first), (2.5, "nats/byte")),
        ((ids,), (4.0, "nats/token")),
        ((text, ids), (5.0, "nats/token")),
    ):
        metrics = Metrics(evals={10: {"sets": {str(place): found for place, found in enumerate(sets)}}})
        assert last_loss(metrics) == said
    assert last_loss(Metrics())[0] is None


# ---- removal --------------------------------------------------------------------------------------


def test_removal_leaves_the_rest_and_its_table(trunk: KnownRun, runs: Path) -> None:
    from scalinglab.records import read_runs

    whole = read_runs(runs)
    remove([trunk, *trunk.branches()], checkpoints_only=True)
    assert read_runs(runs).equals(whole)
    assert trunk.run.checkpoints() == []
    remove([trunk, *trunk.branches()])
    rest = read_runs(runs)
    assert set(rest["size"]) == {"b"}
    assert read_runs(runs / "table.csv").equals(rest)
    remove(known_runs(StudyFolder(runs)))
    assert not (runs / "table.csv").exists()


def test_removal_takes_nothing_that_was_not_named(trunk: KnownRun, runs: Path) -> None:
    first, *others = trunk.branches()
    for named, whole in (([trunk, *others], None), (known_runs(trunk.folder)[1:], trunk.folder)):
        with pytest.raises(InputError, match=r"belongs to what is to be removed and was begun meanwhile"):
            remove(named, whole=whole)
    with held(first.run.lock_path), pytest.raises(InputError, match=r"is training this run"):
        remove([trunk, first, *others])
    assert trunk.branches() == [first, *others]
    remove(known_runs(trunk.folder), whole=trunk.folder)
    assert not runs.exists()


def test_what_cannot_be_removed_is_named(trunk: KnownRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the locks of the study and of the runs, and the others go all the same."""
    first, second, *_ = trunk.branches()
    really = shutil.rmtree

    def refuse(folder: Path) -> None:
        assert trunk.folder.busy
        assert first.run.busy or folder == second.run.path
        if folder == first.run.path:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder / "metrics.jsonl"))
        really(folder)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(
        EnvironmentProblem, match=rf"{first.id}/metrics.jsonl \(Permission denied\); give the"
    ):
        remove([first, second])
    assert first.run.metrics_path.exists()
    assert not second.run.path.exists()
    assert second.id not in trunk.folder.table_path.read_text("utf-8")
    assert not trunk.folder.busy
