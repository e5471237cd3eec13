"""`fork`, `extend`, `ls`, `show`, `rm` and `status`: what they print, and what they refuse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from scalinglab.sweep import prepare, run

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def runs(tiny_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the swept study as runs/tiny of the working directory."""
    shutil.copytree(tiny_runs, tmp_path / "runs" / "tiny")
    monkeypatch.chdir(tmp_path)
    return Path("runs/tiny")


@pytest.fixture
def with_fork(runs: Path, cli: Cli, in_process) -> Path:
    code, _, errors = cli("fork", runs / "a", "--at", "2560", "--decay", "linear:1.28k", "--floor", "0.1")
    assert (code, errors) == (0, "")
    return runs


def narrow(text: str) -> bool:
    return all(len(line.rstrip()) <= 80 for line in text.splitlines())


def test_fork_trains_once_and_says_where_to_look(runs: Path, cli: Cli, in_process) -> None:
    command = ("fork", runs / "a", "--at", "2560", "--decay", "linear:1.28k")
    code, said, errors = cli(*command)
    assert (code, errors) == (0, "")
    assert "is done: 3.84k tokens, " in said
    shown = said.strip().splitlines()[-1].split()
    assert shown[:2] == ["scalinglab", "show"]
    assert (Path(shown[2]) / "manifest.json").is_file()
    code, again, _ = cli(*command)
    assert code == 0
    assert "stands already: 3.84k tokens" in again
    code, found, _ = cli(*command, "--json")
    details = json.loads(found)
    assert details["already"] is True
    assert (details["fork_tokens"], details["tokens"], details["origin"]) == (2560, 3840, "command")
    assert details["run_id"] in (runs / "table.csv").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--at", "2000", "--decay", "linear:640"), "nearest are at 1920 and 2560 tokens"),
        (("--at", "2560", "--decay", "640"), "--decay 640: give SHAPE:TOKENS, such as 1-sqrt:100k"),
        (("--at", "2560", "--decay", "linear:many"), "--decay many: give a whole number of tokens"),
        (("--at", "x", "--decay", "linear:640"), "--at x: give a whole number of tokens"),
        (("--at", "2560", "--decay", "linear:640", "--clip", "0"), "--clip 0 is not possible"),
        (
            ("--at", "2560", "--decay", "linear:640", "--weight-decay", "inf"),
            "--weight-decay inf is not possible",
        ),
        (("--at", "2560", "--decay", "linear:640", "--weights", "one"), "give SOURCE=WEIGHT"),
        (("--at", "2560", "--decay", "linear:640", "--weights", "one=-1"), "give SOURCE=WEIGHT"),
        (("--at", "2560", "--decay", "linear:640", "--weights", "one=nan"), "give SOURCE=WEIGHT"),
        (("--at", "2560", "--decay", "linear:640", "--weights", "one=0"), "every weight is 0"),
        (("--at", "2560", "--decay", "linear:640", "--weights", "x=1"), "the study's sources are one, two"),
    ],
)
def test_a_wrong_fork_is_one_sentence(
    runs: Path, cli: Cli, in_process, options: tuple[str, ...], said: str
) -> None:
    before = sorted(runs.iterdir())
    code, printed, errors = cli("fork", runs / "a", *options)
    assert (code, printed) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1
    assert sorted(runs.iterdir()) == before


def test_an_interrupted_fork_says_how_to_go_on(runs: Path, cli: Cli, in_process) -> None:
    command = ("fork", runs / "a", "--at", "2560", "--decay", "linear:2560")
    in_process.stop = 1
    code, said, _ = cli(*command)
    assert code == 130
    assert "The same command goes on from here" in said
    states = {row["state"] for row in json.loads(cli("status", runs, "--json")[1])["runs"]}
    assert states == {"done", "stopped"}
    in_process.stop = None
    assert cli(*command)[0] == 0


def test_extend(runs: Path, cli: Cli, in_process) -> None:
    code, said, _ = cli("extend", runs / "a", "--to", "5.12k")
    assert code == 0
    assert "is done: 5.12k tokens" in said
    assert "stands already" in cli("extend", runs / "a", "--to", "5120")[1]
    code, _, errors = cli("extend", runs / "a-s0-d2560", "--to", "6400")
    assert code == 2
    assert "is a branch, and this takes a trunk; its trunk is a-s0-trunk-" in errors
    lock = FileLock(next(runs.glob("a-s0-trunk-*")) / "checkpoints" / ".lock", is_singleton=False)
    with lock:
        code, _, errors = cli("extend", runs / "a", "--to", "6400")
    assert code == 2
    assert "another process is training this run" in errors
    assert errors.count("\n") == 1


def test_ls_lists_studies_and_runs(with_fork: Path, cli: Cli) -> None:
    code, said, _ = cli("ls")
    assert code == 0
    assert narrow(said)
    row = next(line for line in said.splitlines() if "runs/tiny" in line).split()
    assert row[:6] == ["runs/tiny", "3", "7", "0", "0", "yes"]
    code, said, _ = cli("ls", with_fork)
    assert narrow(said)
    found = json.loads(cli("ls", with_fork, "--json")[1])["runs"]
    assert len(found) == 10
    assert all(row["run_id"] in said for row in found)
    assert {row["state"] for row in found} == {"done"}
    assert [row["recipe"] for row in found if row["origin"] == "command"] == ["fork linear"]
    assert cli("ls", "nowhere")[0] == 2
    Path("empty").mkdir()
    assert "no study yet" in cli("ls", "empty")[1]


def test_show_draws_the_family_in_eighty_columns(with_fork: Path, cli: Cli) -> None:
    code, said, errors = cli("show", with_fork / "a-s0-d3840")
    assert code == 2  # the study's and the fork's
    assert "could be any of" in errors
    code, said, _ = cli("show", "a")
    assert code == 0
    assert narrow(said)
    details = json.loads(cli("show", "a", "--json")[1])
    tree = said.splitlines()[:5]
    assert tree[0].startswith(details["run_id"])
    assert [line.split()[1] for line in tree[1:]] == details["branches"]
    assert any("from 2.56k to 3.84k" in line and "fork linear" in line for line in tree)
    assert details["checkpoints"] == [1920, 2560, 2880, 3840]
    assert [row["tokens"] for row in details["measured"]] == [1920, 2560, 2880, 3840]
    fork = next(run for run in json.loads(cli("ls", with_fork, "--json")[1])["runs"] if run["recipe"])
    code, said, _ = cli("show", fork["run_id"])
    assert "decay linear over 1.28k tokens to 0.1 of the peak" in said
    assert said.splitlines()[0].startswith(details["run_id"])  # its family is its trunk's
    assert cli("show", with_fork)[2].startswith("error: runs/tiny is a study, and this takes one of its runs")


def test_rm_asks_and_takes_the_branches_along(with_fork: Path, cli: Cli) -> None:
    before = sorted(with_fork.iterdir())
    code, _, errors = cli("rm", with_fork / "a")
    assert code == 2
    assert "would delete 5 runs" in errors
    assert "add --yes" in errors
    assert cli("rm", with_fork / "a", "--json")[0] == 2
    assert sorted(with_fork.iterdir()) == before
    code, said, _ = cli("rm", with_fork / "a", "--checkpoints", "--yes")
    assert code == 0
    assert "Deleted the checkpoints of 5 runs" in said
    assert "no checkpoint is kept" in cli("show", "a")[1]
    assert (
        cli("fork", with_fork / "a", "--at", "2560", "--decay", "linear:640")[2].count("rm runs/tiny/a-s0")
        == 1
    )
    found = json.loads(cli("rm", with_fork / "a", "--yes", "--json")[1])
    assert len(found["deleted"]) == 5
    assert "a-s0" not in (with_fork / "table.csv").read_text()
    code, said, _ = cli("rm", with_fork, "--yes")
    assert code == 0
    assert not with_fork.exists()


def test_rm_can_be_refused_at_the_question(runs: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question: False)
    code, said, _ = cli("rm", runs / "b-s1-trunk")
    assert code == 0
    assert "Nothing was deleted" in said
    assert len(list(runs.glob("b-s1-*"))) == 2


def test_status_tells_forks_whole_runs_and_what_is_going_on(
    with_fork: Path, tiny_study: Path, cli: Cli
) -> None:
    grown = tiny_study.with_name("status.toml")
    text = tiny_study.read_text("utf-8").replace(
        "[ladder]", '[[full]]\nname = "cos"\nschedule = "cosine"\nsizes = ["a"]\nhorizons = [1280]\n[ladder]'
    )
    grown.write_text(text.replace("lr = 0.01", "lr = 0.01\nbatch_ramp = []"), "utf-8")
    before = json.loads(cli("status", grown, "--out", with_fork, "--json")[1])["runs"]
    (whole,) = [row for row in before if row["kind"] == "full"]
    assert (whole["state"], whole["tokens"], whole["of_tokens"]) == ("waiting", 0, 1280)
    run(prepare(grown, with_fork), grown)
    lock = FileLock(next(with_fork.glob("b-s0-trunk-*")) / "checkpoints" / ".lock", is_singleton=False)
    with lock:
        rows = json.loads(cli("status", with_fork, "--json")[1])["runs"]
        code, said, _ = cli("status", with_fork)
    assert code == 0
    assert narrow(said)
    assert "decay a seed 0, fork linear" in said
    assert "whole a seed 0, cos" in said
    assert "10 of 11 runs are done" in said
    (running,) = [row for row in rows if row["state"] == "running"]
    assert (running["size"], running["seed"], running["kind"]) == ("b", 0, "trunk")
    assert all(row["tokens"] == row["of_tokens"] for row in rows)
    (fork,) = [row for row in rows if row["origin"] == "command"]
    assert (fork["tokens"], fork["recipe"]) == (3840, "fork linear")


def test_a_diverged_run_is_told_everywhere(runs: Path, cli: Cli) -> None:
    trunk = next(runs.glob("a-s0-trunk-*"))
    with open(trunk / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": "diverged", "step": 50, "reason": "the training loss rose"}) + "\n")
    for command in (("ls", runs), ("show", "a"), ("status", runs)):
        code, said, _ = cli(*command)
        assert code == 0
        assert narrow(said)
        assert "diverged" in said
    assert "diverged at step 50: the training loss rose" in cli("show", "a")[1]
    rows = {row["run_id"][:11]: row["state"] for row in json.loads(cli("status", runs, "--json")[1])["runs"]}
    assert {state for run, state in rows.items() if run.startswith("a-s0-d")} == {"done"}
    shutil.rmtree(next(runs.glob("a-s0-d5120-*")))  # from step 60, beyond the divergence
    rows = {row["run_id"][:11]: row["state"] for row in json.loads(cli("status", runs, "--json")[1])["runs"]}
    assert (rows["a-s0-d5120-"], rows["a-s0-d3840-"]) == ("left out", "done")
    assert cli("extend", runs / "a", "--to", "6400")[2].count("diverged at step 50") == 1
    assert cli("fork", runs / "a", "--at", "3840", "--decay", "linear:640")[2].count("nothing goes on") == 1
