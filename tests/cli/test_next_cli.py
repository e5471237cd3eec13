"""`scalinglab next`: the table, JSON, the picture, the simulation, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    axes = np.meshgrid(np.geomspace(1e8, 8e8, 4), np.geomspace(2e9, 1.6e10, 4), indexing="ij")
    n, d = (axis.ravel() for axis in axes)
    loss = (1.82 + 478 * n**-0.347 + 2143 * d**-0.367) * np.exp(rng.normal(0, 2e-3, n.size))
    path = tmp_path_factory.mktemp("table") / "table.csv"
    trunk = [f"{v:.3g}" for v in n]
    pd.DataFrame({"params": n, "tokens": d, "loss": loss, "trunk_id": trunk}).to_csv(path, index=False)
    return path


def test_runs_are_suggested_printed_and_drawn(cli: Cli, table: Path, tmp_path: Path) -> None:
    options = ("--budget", "2e20", "--runs", 2, "--bootstrap", 100)
    code, out, _ = cli("next", table, *options, "--figure", tmp_path / "next.png")
    assert code == 0
    assert "D/N at 7.68e+20 FLOPs" in out
    assert "run loss" in out
    assert (tmp_path / "next.png").stat().st_size > 10_000
    assert max(map(len, out.splitlines())) <= 80 or "next.png" in out
    code, out, _ = cli("next", table, *options, "--answer", "1e9,5e10", "--mode", "scratch", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["answer"], found["mode"]) == ("loss", "scratch")
    assert sum(row["flops"] for row in found["rows"]) == found["spent"] <= 2e20
    assert found["width_after"] < found["width_now"]


def test_the_choice_can_be_simulated(cli: Cli, table: Path) -> None:
    options = ("--budget", "1e20", "--answer", "a", "--runs", 2, "--bootstrap", 50, "--loss", "squared")
    code, out, _ = cli("next", table, *options, "--simulate", 2, "--json")
    assert code == 0
    ways = [row["way"] for row in json.loads(out)["rows"]]
    assert ways == ["next_runs", "next horizon", "next size", "random"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--budget", "0"), "a compute budget must be a positive number of FLOPs"),
        (("--budget", "1e12"), "pays for none of the candidates: the cheapest"),
        (("--budget", "1e20", "--answer", "alfa"), "--answer alfa is not known"),
        (("--budget", "1e20", "--answer", "7e9,x"), "write a planned model as N,D"),
        (("--budget", "1e20", "--mode", "wsd"), "mode is"),
        (("--budget", "1e20", "--law", "power-law:tokens"), "not a law in params and tokens"),
        (("--budget", "1e20", "--simulate", 2, "--figure", "x.png"), "leave it out with --simulate"),
    ],
)
def test_bad_input_ends_with_a_sentence(
    cli: Cli, table: Path, options: tuple[object, ...], said: str
) -> None:
    code, _, err = cli("next", table, *options, "--bootstrap", 50)
    assert code == 2
    assert said in err.replace("\n", " ")
    assert "Traceback" not in err
