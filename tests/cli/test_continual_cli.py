"""`scalinglab continual` and the experiments that need nothing."""

import json
from pathlib import Path

import pytest

RUNS = Path(__file__).resolve().parents[2] / "notebooks" / "data" / "quickstart"


def test_a_study_is_asked_and_drawn(cli, tmp_path) -> None:
    code, out, err = cli(
        "continual", RUNS, "--against-loss", 2.1, "--larger", 47000, "--figure", tmp_path / "c.png", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["params"] == 10020.0
    assert found["against"][0]["larger_loss"]["value"] == 2.1
    assert found["better"] in ("PowerLaw", "Exponential", "undecided")
    assert found["floor_power"]["lo"] < found["floor_power"]["value"] < found["floor_power"]["hi"]
    assert Path(found["figure"]).stat().st_size > 5_000


def test_tables_fit_in_eighty_columns(cli, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = cli("continual", RUNS, "--against-loss", 2.1, "--larger", 47000)
    assert code == 0
    assert "floor (power law)" in out
    assert "× the larger one's compute" in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--params", "5"], "no run has 5 parameters"),
        (["--against-loss", "2.1"], "give --larger"),
        (["--tokens-per-param", "many"], "write a number such as 20, or optimal"),
        (["--against", "nowhere.csv"], "nowhere.csv"),
        (["--against-loss", "2.1", "--larger", "5000"], "has to be larger than 10k"),
    ],
)
def test_bad_input_ends_with_a_sentence(cli, options: list[str], sentence: str) -> None:
    code, out, err = cli("continual", RUNS, *options)
    assert code == 2
    assert sentence in err.replace("\n", " ")
    assert "Traceback" not in out + err


def test_published_is_printed_beside_ours(cli, tmp_path) -> None:
    code, out, err = cli("reproduce", "equivalent-size", "--figures", tmp_path, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["lines"][0]["published"] == "about 9B"
    assert Path(found["figures"][0]).name == "equivalent-size.png"
