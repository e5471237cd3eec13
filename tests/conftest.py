"""What all rooms' tests share."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings(), suppress(ImportError):
    # torch's compiler loads it late, which fails where something has loaded Python's own distutils by then
    warnings.simplefilter("ignore")
    import setuptools  # noqa: F401

from scalinglab.corpus.streams import SourceFiles, open_files
from scalinglab.sweep import Outcome, Task
from scalinglab.sweep.schedule_tasks import Watch


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], None]:
    """Skip aloud for what this machine lacks; where everything is demanded, as by .ci/run, that is a failure."""
    return pytest.fail if os.environ.get("SCALINGLAB_REQUIRE_DATA") else pytest.skip


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real training runs: SCALINGLAB_DATA, else ../shared/data beside the repository."""
    given = os.environ.get("SCALINGLAB_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("SCALINGLAB_REQUIRE_DATA"):
            pytest.fail(f"real runs not found in {folder}, and SCALINGLAB_REQUIRE_DATA demands them")
        pytest.skip(f"real runs not found in {folder}: set SCALINGLAB_DATA to their folder")
    return folder


STUDY = """
title = "tiny"

[data]
sources = [{ path = "one" }, { path = "two", weight = 2.0 }]
context = 32
heldout_windows = 8

[model]
width_base = 8

[training]
batch_tokens = 64
lr = 0.01

[schedule]
warmup_tokens = 640
decay_share = 0.25

[ladder]
horizons = [2560, 5120]

[[ladder.sizes]]
name = "a"
width = 8
layers = 1
heads = 1
ff = 16
horizons = [2560, 3840, 5120]

[[ladder.sizes]]
name = "b"
width = 16
layers = 1
heads = 2
ff = 32
replicates = { seeds = [1], horizons = [2560] }
"""


@pytest.fixture(scope="session")
def tiny_study(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two sizes on two folders of made-up text: seconds of training."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    for name, letters in (("one", "abcdefgh"), ("two", "opqrstuv")):
        (folder / name).mkdir()
        words = ["".join(rng.choice(list(letters), rng.integers(2, 7))) for _ in range(80)]
        for i in range(40):
            (folder / name / f"{i}.txt").write_text(" ".join(rng.choice(words, 300)), "utf-8")
    path = folder / "tiny.toml"
    path.write_text(STUDY, "utf-8")
    return path


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Text is built in a cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALINGLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class InProcess:
    """Tasks are done one after another in this process, without workers that import torch anew."""

    stop: int | None = None
    """Metrics records after which the work is interrupted."""

    def __call__(
        self,
        todo: Sequence[Task],
        folder: Path,
        streams: Mapping[str, SourceFiles],
        workers: int | None = 1,
        watch: Watch = lambda event: None,
        save_every: float = 30.0,
        *placement: object,
        **placed: object,
    ) -> Outcome:
        import torch

        from scalinglab.records.store import StudyFolder
        from scalinglab.sweep.worker import perform
        from scalinglab.training import Streams

        torch.set_num_threads(1)
        text = Streams(*open_files(streams))
        outcome, records, left_out = Outcome(), 0, set()

        def tell(event: tuple[Any, ...]) -> None:
            nonlocal records
            records += 1
            watch(event)

        def should_stop() -> bool:
            return self.stop is not None and records >= self.stop

        for task in todo:
            if outcome.stopped or left_out.intersection(task.needs):
                left_out.add(task.id)
                continue
            watch(("start", task))
            event = perform(task, StudyFolder(folder), text, save_every, tell, should_stop)
            watch(event)
            if event[0] == "done":
                outcome.done.append(task.id)
                continue
            left_out.add(task.id)
            outcome.stopped |= event[0] == "stopped"
            if event[0] == "diverged":
                outcome.diverged.append(task.id)
        return outcome


@contextmanager
def _in_process() -> Iterator[InProcess]:
    engine = InProcess()
    with pytest.MonkeyPatch.context() as patch:
        for module in ("study_run", "lineage"):
            patch.setattr(f"scalinglab.sweep.{module}.run_tasks", engine)
        yield engine


@pytest.fixture
def in_process() -> Iterator[InProcess]:
    """Sweeps, forks and extensions of this test train in its own process."""
    with _in_process() as engine:
        yield engine


@pytest.fixture(scope="session")
def tiny_runs(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny study, swept. To be copied, not written to."""
    from scalinglab.sweep import prepare, run

    out = tmp_path_factory.mktemp("tiny") / "runs" / "tiny"
    with _in_process():
        run(prepare(tiny_study, out), tiny_study)
    return out


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, stdout, stderr)."""

    from scalinglab.cli import main

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scalinglab", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
