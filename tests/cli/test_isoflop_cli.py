"""`scalinglab isoflop`: what it prints, its JSON, its figure and its refusals."""

import json
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parents[2] / "notebooks" / "data" / "quickstart" / "table.csv"


def test_it_prints_vertices_with_the_bias_and_draws(cli, tmp_path) -> None:
    code, out, _ = cli("isoflop", TABLE, "--bootstrap", 50, "--figure", tmp_path / "valleys.png")
    assert code == 0
    for words in (
        "N_opt grows as C^",
        "bias %",
        "law params",
        "Bias of Approach 2",
        "Formula: Hoffmann",
        "Drawn:",
    ):
        assert words in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert (tmp_path / "valleys.png").stat().st_size > 10_000


def test_json_holds_both_optima(cli) -> None:
    code, out, _ = cli("isoflop", TABLE, "--bootstrap", 50, "--budgets", "1e11,1.5e11", "--json")
    assert code == 0
    found = json.loads(out)
    assert [row["flops"] for row in found["rows"]] == [1e11, 1.5e11]
    assert {"params", "params_lo", "law_params", "bias", "note"} <= set(found["rows"][0])
    assert found["a"]["lo"] <= found["a"]["value"]


def test_rows_are_taken_by_a_columns_value(cli, data_folder) -> None:
    table = data_folder / "marin_isoflop.csv"
    code, out, _ = cli("isoflop", table, "--where", "dataset=dclm", "--bootstrap", 50, "--json")
    assert code == 0
    assert sum(row["runs"] for row in json.loads(out)["rows"]) == 85


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--budgets", "1e30"], "within the horizons of 3 sizes"),
        (["--budgets", "few"], "--budgets few: write budgets as"),
        (["--budget-column", "colour"], "no column 'colour'"),
        (["--where", "size"], "write it as COLUMN=VALUE"),
        (["--where", "size=7"], "no row has it"),
        (["--minimum", "cubic"], "minimum is"),
    ],
)
def test_refusals_are_one_sentence(cli, options, sentence) -> None:
    code, _, err = cli("isoflop", TABLE, *options)
    assert code == 2
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err
