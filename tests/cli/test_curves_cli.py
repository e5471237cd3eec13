"""`scalinglab envelope` and `scalinglab crossings`."""

import json
from pathlib import Path

import pytest

from scalinglab.analysis import crossings, envelope

QUICKSTART = Path(__file__).resolve().parents[2] / "notebooks" / "data" / "quickstart"


def test_envelope_prints_what_python_answers(cli, tmp_path) -> None:
    picture = tmp_path / "envelope.png"
    code, out, _ = cli("envelope", QUICKSTART, "--cost", "exact", "--bootstrap", 20, "--figure", picture)
    assert code == 0
    assert picture.is_file()
    assert "smaller size is not seen" in out or "edges of the grid" in out
    assert all(len(line) <= 80 for line in out.splitlines() if "Drawn" not in line)
    code, out, _ = cli("envelope", QUICKSTART / "table.csv", "--cost", "exact", "--bootstrap", 20, "--json")
    plain = json.loads(out)
    ours = envelope(QUICKSTART / "table.csv", "exact", resamples=20)
    assert plain["a"]["value"] == pytest.approx(ours.a.value, rel=1e-12)
    assert plain["schedule"] == "decayed"
    assert len(plain["points"]) == len(ours.points)


def test_crossings_of_figures_curves_and_a_fit(cli, tmp_path) -> None:
    code, out, _ = cli("crossings", "--at", "13e9,34e9,1e23", "--at", "34e9,70e9,5e23")
    assert code == 0
    assert all(figure in out for figure in ("98.6", "14.4", "72.1", "17"))
    code, out, _ = cli("crossings", QUICKSTART / "table.csv", "--json")
    row = json.loads(out)["rows"][0]
    assert row["at_most"] == pytest.approx(crossings(QUICKSTART / "table.csv").rows["at_most"][0], rel=1e-12)
    saved = tmp_path / "fit.json"
    cli("fit", QUICKSTART / "table.csv", "--eval-set", "average", "--bootstrap", 20, "--out", saved)
    code, out, _ = cli("crossings", saved, "--sizes", "1e4,2e4", "--bootstrap", 20)
    assert code == 0
    assert "optimum" in out
    code, out, _ = cli("crossings", QUICKSTART / "table.csv", "--sizes", "47388,100672")
    assert code == 0
    assert "no crossing in range" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("crossings",), "either a SOURCE, or --at"),
        (("crossings", QUICKSTART, "--at", "1e9,2e9,1e20"), "either a SOURCE, or --at"),
        (("crossings", "--at", "1e9,2e9"), "write it as 13e9,34e9,1e23"),
        (("crossings", "--at", "2e9,1e9,1e20"), "in this order"),
        (("crossings", QUICKSTART, "--sizes", "a,b"), "write it as 1e9,3e9,1e10"),
        (("envelope", "nowhere.csv"), "does not exist"),
        (("envelope", QUICKSTART, "--through", "both"), "middles"),
        (("envelope", QUICKSTART, "--cost", "7ND"), "not known"),
        (("envelope", QUICKSTART, "--eval-set", "news"), "there are training"),
    ],
)
def test_bad_input_is_one_sentence(cli, arguments, message) -> None:
    code, _, err = cli(*arguments)
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err
