"""Whether a size is compiled: by what it gains here, chosen once."""

from pathlib import Path

import pytest

from scalinglab.errors import EnvironmentProblem
from scalinglab.ladder import Study, ledger, plan
from scalinglab.records.files import write_json
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import compiling, throughput
from scalinglab.sweep.compiling import compiled_sizes


def study(compile: object, horizon: int = 512_000) -> Study:
    return Study.model_validate(
        {
            "data": {"mix": "stdlib"},
            "training": {"batch_tokens": 512, "lr": 0.01, "compile": compile},
            "schedule": {"warmup_tokens": 0},
            "ladder": {"horizons": [horizon], "sizes": [{"shape": "tiny-10k"}, {"shape": "tiny-100k"}]},
        }
    )


@pytest.fixture
def known(tmp_path: Path) -> throughput.Throughput:
    """The small size gains nothing by compiling, the large one 6 ms an update for 4.5 s a worker."""
    small, large = (trunk.shape for trunk in plan(study(False)))
    speeds = [
        (small, 512, False, "", 0.004),
        (small, 512, True, "", 0.004),
        (large, 512, False, "", 0.02),
        (large, 512, True, "", 0.014),
    ]
    throughput.store(speeds, tmp_path, compile_seconds=[0.0, 4.5, 0.0, 4.5])
    return throughput.stored(tmp_path)


def test_compiling_has_to_gain_more_than_it_takes(
    known: throughput.Throughput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: "g++")
    folder = StudyFolder(tmp_path / "runs")
    long, short = study("auto", 1_024_000), study("auto", 512_000)
    many, few = (ledger(plan(each))[1].ladder.steps for each in (long, short))
    assert many * 0.006 > 1.2 * 2 * 4.5 > few * 0.006 > 1.2 * 4.5
    assert compiled_sizes(long, folder, known, 2) == ({"10k": False, "100k": True}, [])
    assert compiled_sizes(short, folder, known, 2)[0] == {"10k": False, "100k": False}
    assert compiled_sizes(short, folder, known, 1)[0] == {"10k": False, "100k": True}
    unmeasured, notes = compiled_sizes(long, folder, throughput.Throughput({}, ""), 2)
    assert not any(unmeasured.values())
    assert "never measured here: 10k, 100k" in notes[0]


def test_a_choice_is_kept_whatever_is_measured_later(
    known: throughput.Throughput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(tmp_path / "runs")
    write_json(folder.compiled_path, {"10k": True})
    write_json(
        folder.path / "a-run" / "manifest.json", {"id": "a-run"}
    )  # where nothing was trained, nothing is kept
    monkeypatch.setattr(compiling, "compiler", lambda: "g++")
    assert compiled_sizes(study("auto", 1_024_000), folder, known, 2)[0] == {"10k": True, "100k": True}


def test_without_a_compiler_it_is_eager_and_said(
    known: throughput.Throughput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    folder = StudyFolder(tmp_path / "runs")
    found, notes = compiled_sizes(study("auto", 1_024_000), folder, known, 2)
    assert not any(found.values())
    assert "no C++ compiler" in notes[0]
    assert compiled_sizes(study(True), folder, known, 2)[0] == {"10k": True, "100k": True}
    with pytest.raises(EnvironmentProblem, match="needs a C\\+\\+ compiler"):
        compiling.need_compiler()
    assert compiled_sizes(study(False), folder, known, 2) == ({"10k": False, "100k": False}, [])
