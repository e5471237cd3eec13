"""Asking a fit on the command line: optimum, frontier, equivalent size."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import optimum
from scalinglab.cli._answers import read_budgets
from scalinglab.errors import InputError

Cli = Callable[..., tuple[int, str, str]]
SHIPPED = Path(__file__).resolve().parents[2] / "notebooks" / "data" / "quickstart"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    loss = 1.8 + 480 * n**-0.35 + 2000 * d**-0.37
    frame = pd.DataFrame({"params": n, "tokens": d, "loss": loss * np.exp(rng.normal(0, 1e-3, n.size))})
    path = tmp_path_factory.mktemp("ask") / "table.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("optimum", "--flops", "1e20"),
        ("frontier", "--flops", "1e18:1e21"),
        ("equivalent", "--params", "1e8", "--tokens", "5e10", "--tokens-per-param", "20"),
    ],
)
def test_an_answer_reads_in_80_columns_and_draws_its_figure(
    cli: Cli, table: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    name, *options = command
    picture = tmp_path / "answer.png"
    code, out, err = cli(name, table, *options, "--bootstrap", 50, "--figure", picture)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "Formula: " in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    plain = json.loads(cli(name, table, *options, "--bootstrap", 50, "--json")[1])
    assert plain["source"]
    assert plain["level"] == 0.9


def test_optimum_says_what_python_says(cli: Cli, table: Path, tmp_path: Path) -> None:
    fit = sl.fit(sl.laws.Chinchilla(), sl.read_runs(table))
    fit.bootstrap(50)
    saved = fit.to_json(tmp_path / "fit.json")
    best = optimum(fit, 1e20)
    for source in (table, saved):
        plain = json.loads(cli("optimum", source, "--flops", 1e20, "--bootstrap", 50, "--json")[1])
        for key in ("params", "tokens", "ratio", "loss"):
            found = getattr(best, key)
            assert plain[key] == pytest.approx(
                {"value": found.value, "lo": found.lo, "hi": found.hi}, rel=1e-9
            )


def test_costs_are_named(cli: Cli, table: Path) -> None:
    asked = {}
    for cost in ("6ND", "6ND+head", "6ND+attention", "exact"):
        options = ("--flops", "1e12", "--cost", cost, "--bootstrap", 20, "--json")
        code, out, _ = cli("optimum", SHIPPED, *options)
        assert code == 0
        asked[cost] = json.loads(out)["tokens"]["value"] * json.loads(out)["params"]["value"]
    # what costs more FLOPs a token buys less of N·D
    assert asked["6ND"] > asked["6ND+head"] > asked["exact"]
    assert asked["6ND"] > asked["6ND+attention"] > asked["exact"]
    code, out, err = cli("optimum", table, "--flops", "1e20", "--cost", "exact", "--bootstrap", 20)
    assert (code, out) == (2, "")
    assert "depends on the shapes" in err


@pytest.mark.filterwarnings("default::scalinglab.analysis.ExtrapolationWarning")
def test_beyond_the_runs_the_command_says_so(cli: Cli, table: Path) -> None:
    code, out, err = cli("optimum", table, "--flops", "1e25", "--bootstrap", 20)
    assert err == ""  # once is enough
    assert code == 0
    assert "note: The optimum lies 4.2 decades beyond the fitted runs" in " ".join(out.split())
    plain = json.loads(cli("optimum", table, "--flops", "1e25", "--bootstrap", 20, "--json")[1])
    assert "decades beyond the fitted runs" in plain["notes"][0]
    assert cli("optimum", table, "--flops", "1e25", "--bootstrap", 20, "--beyond", 9)[2] == ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("optimum", "--flops", "0"), "compute budget must be a positive number"),
        (("optimum", "--flops", "1e20", "--level", "90"), "share between 0 and 1"),
        (("optimum", "--flops", "1e20", "--figure", "picture.bmp"), "a picture ends in .png"),
        (("frontier", "--flops", "much"), "write budgets as 1e18,1e20,1e22"),
        (("equivalent", "--loss-value", "1.0"), "no size reaches a loss of 1"),
        (("equivalent", "--loss-value", "1e9"), "above everything the fit predicts"),
        (("equivalent",), "give either --loss-value, or both --params and --tokens"),
        (("equivalent", "--loss-value", "2", "--tokens-per-param", "many"), "such as 20, or optimal"),
        (
            ("equivalent", "--loss-value", "2", "--bytes-per-token", "4"),
            "give --tokens-per-param as a number",
        ),
    ],
)
def test_bad_input_is_one_sentence(cli: Cli, table: Path, command: tuple[str, ...], said: str) -> None:
    name, *options = command
    code, out, err = cli(name, table, *options, "--bootstrap", 20)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_saved_fit_is_not_fitted_anew(cli: Cli, table: Path, tmp_path: Path) -> None:
    saved = sl.fit(sl.laws.Chinchilla(), sl.read_runs(table)).to_json(tmp_path / "fit.json")
    code, _, err = cli("optimum", saved, "--flops", 1e20, "--law", "kaplan")
    assert code == 2
    assert "is a fit already" in err


def test_budgets_as_they_are_written() -> None:
    assert read_budgets("1e20,1e18") == [1e18, 1e20]
    np.testing.assert_allclose(read_budgets("1e18:1e21"), [1e18, 1e19, 1e20, 1e21])
    for text in ("1e20:1e18", "0:1e18", "", "1e18:"):
        with pytest.raises(InputError, match="write budgets"):
            read_budgets(text)
