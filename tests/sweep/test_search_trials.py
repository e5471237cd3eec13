"""A search: its trials are runs as a study's, an interrupted one goes on as one that was not, and it finds a bowl."""

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scalinglab.corpus.streams import open_files
from scalinglab.errors import EnvironmentProblem, StudyConflict
from scalinglab.ladder.search import Search
from scalinglab.records.store import StudyFolder
from scalinglab.records.trials import Searched, Trial, read_search, search_path
from scalinglab.sweep import Task, prepare, run
from scalinglab.sweep import search as module
from scalinglab.sweep.engine import Report
from scalinglab.sweep.search import prepare_search, run_search
from scalinglab.sweep.suggest import goes_on, suggest
from scalinglab.sweep.worker import perform

pytest.importorskip("optuna")

SEARCH = """
[search]
size = "a"
horizon = 2560
trials = 9
startup = 5
rungs = [0.3, 0.5]
lr = [0.003, 0.3]
init_std = [0.01, 1.0]
"""


class Inline:
    """An engine that trains in this process, one task at a time; killed once it has been handed `deadly` tasks."""

    deadly: int | None = None

    def __init__(self, folder: Path, streams: Any, workers: int, save_every: float) -> None:
        import torch

        from scalinglab.training import Streams

        torch.set_num_threads(1)
        self._folder, self._text = StudyFolder(folder), Streams(*open_files(streams))
        self._told: list[Report] = []
        self._count = 0

    def has_room(self, needs: object) -> bool:
        return not self._told

    def submit(self, task: Task, needs: object) -> int:
        event = perform(task, self._folder, self._text, 30.0, lambda event: None, lambda: False)
        self._count += 1
        if self._count == self.deadly:
            raise OSError("killed")  # its measurement stands, and nobody was told
        self._told.append((self._count, event))
        return self._count

    def wait(self, timeout: float) -> list[Report]:
        told, self._told = self._told, []
        return told

    def cancel(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def inline() -> Iterator[type[Inline]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LocalEngine", Inline)
        patch.setattr(Inline, "deadly", None)
        yield Inline


@pytest.fixture
def searching(tiny_study: Path) -> Path:
    path = tiny_study.with_name("searching.toml")
    path.write_text(tiny_study.read_text("utf-8").replace("\n[ladder]", SEARCH + "\n[ladder]"), "utf-8")
    return path


def found_in(folder: Path) -> Searched:
    found = read_search(StudyFolder(folder))
    assert found is not None
    return found


def test_a_killed_search_goes_on_as_one_that_was_not(
    searching: Path, tmp_path: Path, inline: type[Inline]
) -> None:
    assert run_search(prepare_search(searching, tmp_path / "whole"), 1)
    whole = found_in(tmp_path / "whole")
    assert [trial.number for trial in whole.trials] == list(range(9))
    assert all(trial.state == "complete" for trial in whole.trials[:5])
    assert {"complete", "pruned"} == {trial.state for trial in whole.trials}
    for deadly in (1, 3, 5):
        inline.deadly = deadly
        with pytest.raises(OSError, match="killed"):
            run_search(prepare_search(searching, tmp_path / "killed"), 1)
    inline.deadly = None
    path = search_path(StudyFolder(tmp_path / "killed"))
    with path.open("ab") as file:
        file.write(b'{"kind": "measured", "trial": 0, "tok')  # a torn line
    assert run_search(prepare_search(searching, tmp_path / "killed"), 1)
    assert found_in(tmp_path / "killed") == whole
    assert not list((tmp_path / "killed").glob("trials/*/checkpoints"))


def test_the_command_prints_what_was_found_and_how_to_train_with_it(
    searching: Path, tmp_path: Path, inline: type[Inline], cli: Any
) -> None:
    code, out, _ = cli("search", searching, "--out", tmp_path, "--trials", 5)
    assert code == 0
    trials = found_in(tmp_path).trials
    assert f"The best of {len(trials)} trials (5 complete)" in out
    entry = tomllib.loads(out[out.index("[[variants]]") :])["variants"][0]
    assert list(entry) == ["lr", "init_std"]
    for name, value in entry.items():
        mean = math.exp(sum(math.log(trial.settings[name]) for trial in trials) / 5)
        assert value == float(f"{mean:.3g}")
    code, out, err = cli("search", searching.with_name("tiny.toml"), "--out", tmp_path)
    assert code == 2
    assert "the study has no section [search]" in " ".join(err.split())


def test_a_trial_is_the_run_that_a_study_with_its_settings_trains(
    searching: Path, tmp_path: Path, inline: type[Inline], in_process: object
) -> None:
    prepared = prepare_search(searching, tmp_path / "search", trials=1)
    run_search(prepared, 1)
    (trial,) = found_in(tmp_path / "search").trials
    assert prepare_search(searching, tmp_path / "search", trials=1).left == 0
    entry = "".join(f"{name} = {value}\n" for name, value in trial.settings.items())
    study = searching.with_name("varied.toml")
    study.write_text(f'{searching.read_text("utf-8")}\n[[variants]]\nsizes = ["a"]\n{entry}', "utf-8")
    swept = run(prepare(study, tmp_path / "study"), study)
    (loss,) = swept.table[(swept.table["run_id"] == trial.run) & (swept.table["eval_set"] == "average")][
        "loss"
    ]
    assert trial.loss == loss
    # and what it was at on its way is told by a trunk with checkpoints there
    assert trial.tokens == 2560
    assert sorted(trial.measured)[:2] == [768, 1280]


def test_another_search_in_the_folder_is_refused(
    searching: Path, tmp_path: Path, inline: type[Inline], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_search(prepare_search(searching, tmp_path, trials=1), 1)
    other = searching.with_name("other_search.toml")
    other.write_text(searching.read_text("utf-8").replace("[0.003, 0.3]", "[0.003, 0.4]"), "utf-8")
    with pytest.raises(StudyConflict, match=r"holds another search.*ranges"):
        prepare_search(other, tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"scalinglab\[train,search\]"):
        prepare_search(searching, tmp_path, trials=2)
    assert prepare_search(searching, tmp_path, trials=1).left == 0  # what stands needs no sampler


def test_halving_keeps_the_best_share_of_those_measured_at_a_rung() -> None:
    search = Search(lr=[0.001, 0.1], startup=2, keep=0.5)
    others = [Trial(i, {}, measured={100: 1.0 + i}) for i in range(4)]
    assert goes_on(search, 1, 100, 9.0, others)  # one of the first
    assert goes_on(search, 9, 100, 2.5, others)  # third of five
    assert not goes_on(search, 9, 100, 3.5, others)
    assert goes_on(search, 9, 200, 9.0, others)  # the first to come there
    diverged = [Trial(i, {}, "diverged", tokens=50) for i in range(5, 8)]
    assert goes_on(search, 9, 100, 3.5, [*others, *diverged])  # fourth of eight


def test_the_sampler_finds_the_bottom_of_a_bowl_and_depends_on_records_alone() -> None:
    search = Search(lr=[0.001, 1.0], init_std=[0.01, 10.0], startup=10, seed=3)
    best = {"lr": 0.02, "init_std": 0.5}
    trials: list[Trial] = []
    for number in range(40):
        settings = suggest(search, number, trials)
        assert all(least <= settings[name] <= most for name, (least, most) in search.ranges.items())
        loss = 2.0 + sum(math.log(settings[name] / best[name]) ** 2 for name in best)
        trials.append(Trial(number, settings, "complete", {100: loss}, 100))
    assert suggest(search, 20, trials[:20]) == trials[20].settings
    assert suggest(search, 3, trials[:3]) != trials[2].settings
    ranked = sorted(trials, key=lambda trial: trial.loss)
    assert ranked[0].number >= 10
    for name, value in best.items():
        mean = math.exp(sum(math.log(trial.settings[name]) for trial in ranked[:5]) / 5)
        assert value / 2 < mean < value * 2
