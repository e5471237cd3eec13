"""`scalinglab sweep` and `status` from outside: a study to its figures, Ctrl-C, and the same command again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from scalinglab.cli import main; main()"]

WITHOUT_FIGURES = (
    "from scalinglab.experiments import ladder_figures; ladder_figures.draw = lambda *what: []; "
    "from scalinglab.cli import main; main()"
)


@pytest.fixture(scope="module")
def study(tiny_study: Path) -> Path:
    """The tiny study with a third size and shorter steps between horizons: enough rows for a law."""
    path = tiny_study.with_name("three.toml")
    third = '\n[[ladder.sizes]]\nname = "c"\nwidth = 24\nlayers = 1\nheads = 2\nff = 48\n'
    text = tiny_study.read_text("utf-8") + third
    horizons = "[2560, 3200, 3840, 4480, 5120, 6400]"
    path.write_text(
        text.replace("[2560, 3840, 5120]", horizons).replace("[2560, 5120]", "[2560, 3840, 5120]")
    )
    return path


def start(study: Path, out: Path, figures: bool = True) -> subprocess.Popen[str]:
    """figures: whether they are drawn, which takes longer than the rest."""
    arguments = ["sweep", str(study), "--out", str(out / "runs"), "--figures", str(out / "figures"), "--json"]
    command = COMMAND if figures else [sys.executable, "-c", WITHOUT_FIGURES]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("whole")
    printed, errors = (process := start(study, out)).communicate(timeout=300)
    assert process.returncode == 0, errors
    return out, json.loads(printed)


def test_a_sweep_ends_with_fit_answers_ledger_and_figures(whole: tuple[Path, dict]) -> None:
    out, found = whole
    assert found["rows"] == 13
    assert found["fit"]["law"] == "Chinchilla"
    assert len(found["optimum"]) == 8
    assert found["ledger"][-1]["size"] == "all"
    kinds = {Path(path).name for path in found["figures"]}
    assert {
        "contours.png",
        "contours.svg",
        "schedule_and_loss.png",
        "continual.png",
        "loss_vs_tokens.svg",
    } <= kinds
    assert all(Path(path).stat().st_size > 5_000 for path in found["figures"])
    assert (out / "runs" / "fit.json").exists()


def test_interrupted_from_the_keyboard_it_ends_with_the_same_numbers(
    study: Path, whole: tuple[Path, dict], tmp_path: Path
) -> None:
    process = start(study, tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (tmp_path / "runs" / "table.csv").exists()
    again = start(study, tmp_path, figures=False)
    printed, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert (tmp_path / "runs/table.csv").read_bytes() == (whole[0] / "runs/table.csv").read_bytes()
    found, first = json.loads(printed), whole[1]
    assert {k: v for k, v in found.items() if k != "figures"} == {
        k: v for k, v in first.items() if k != "figures"
    }


def test_ctrl_c_in_a_terminal_while_workers_start_is_quiet(study: Path, tmp_path: Path) -> None:
    """A terminal sends the signal to the whole process group, at any moment."""
    arguments = ["sweep", str(study), "--out", str(tmp_path / "runs"), "--figures", str(tmp_path)]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs" / "data.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # workers are being started
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "Stopped" in printed


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found through /proc")
def test_workers_end_when_their_parent_is_killed(study: Path, tmp_path: Path) -> None:
    process = start(study, tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    children = [pid for pid, parent in processes().items() if parent == process.pid]
    assert children
    process.kill()
    process.communicate(timeout=60)
    while processes().keys() & children and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes().keys() & children


def processes() -> dict[int, int]:
    """Process id -> parent of everything that runs here and is no zombie."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rsplit(")", 1)[1].split()[:2]
        except (OSError, IndexError):
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def test_a_title_and_a_folder_with_brackets_are_printed_as_they_are(study: Path, tmp_path: Path) -> None:
    text = study.read_text("utf-8").replace('title = "tiny"', 'title = "tiny [/x] [red]"')
    odd = study.with_name("odd.toml")
    odd.write_text(text, "utf-8")
    out = tmp_path / "[old]"
    (tmp_path / "file").write_text("")
    sweep = [*COMMAND, "sweep", str(odd), "--out"]
    refused = subprocess.run([*sweep, str(tmp_path / "file")], capture_output=True, text=True)
    assert refused.returncode == 3
    assert "choose another --out folder" in refused.stderr
    assert "tiny [/x] [red]: 4 trunks" in refused.stdout
    missing = subprocess.run([*COMMAND, "status", str(out)], capture_output=True, text=True)
    assert str(out) in missing.stderr


def test_status_tells_every_run(study: Path, whole: tuple[Path, dict]) -> None:
    done = subprocess.run(
        [*COMMAND, "status", str(whole[0] / "runs"), "--json"], capture_output=True, text=True
    )
    rows = json.loads(done.stdout)["runs"]
    assert len(rows) == 17
    assert {row["state"] for row in rows} == {"done"}
    assert all(row["tokens"] == row["of_tokens"] for row in rows)
