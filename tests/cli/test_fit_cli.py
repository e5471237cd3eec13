"""Fit, compare and backtest on the command line: every law, constraints, saved fits."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.cli._options import LAWS, read_constraints, read_law, read_loss
from scalinglab.errors import InputError

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    loss = 1.8 + 480 * n**-0.35 + 2000 * d**-0.37
    frame = pd.DataFrame({"params": n, "tokens": d, "loss": loss * np.exp(rng.normal(0, 1e-3, n.size))})
    frame["unique_tokens"] = np.minimum(d, 1e10)
    frame["lr"] = 1.79 * n**-0.713 * d**0.307
    path = tmp_path_factory.mktemp("table") / "table.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("law", LAWS)
def test_every_law_is_fitted_by_name(cli: Cli, table: Path, law: str) -> None:
    text = law + {
        "power-law": ":tokens",
        "exponential": ":tokens",
        "broken-power-law": ":tokens",
        "power-product": ":params,tokens:lr",
    }.get(law, "")
    code, out, _ = cli("fit", table, "--law", text, "--bootstrap", 30, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["law"] == read_law(text).name
    assert set(found["constants"]) == set(read_law(text).constant_names)
    assert all(v["value"] is not None for v in found["constants"].values())


def test_every_law_of_the_package_has_a_name() -> None:
    made_by_hand = {
        "Constant",
        "FunctionLaw",
        "Law",
        "PUBLISHED",
        "PowerSum",
        "PublishedLaw",
        "Term",
        "from_function",
    }
    assert {law.__name__ for law in LAWS.values()} == set(sl.laws.__all__) - made_by_hand  # type: ignore[attr-defined]


def test_power_product_recovers_a_published_law(cli: Cli, table: Path) -> None:
    out = cli("fit", table, "--law", "power-product:params,tokens:lr", "--bootstrap", 20, "--json")[1]
    found = {k: v["value"] for k, v in json.loads(out)["constants"].items()}
    assert found == pytest.approx({"K": 1.79, "e_params": -0.713, "e_tokens": 0.307}, rel=1e-6)


def test_constraints_reach_the_fit(cli: Cli, table: Path) -> None:
    options = ("--fix", "E=1.75", "--bound", "alpha=0.1:0.33", "--bootstrap", 20, "--json")
    found = json.loads(cli("fit", table, *options)[1])["constants"]
    assert found["E"] == {"value": 1.75, "lo": 1.75, "hi": 1.75, "identified": True}
    assert 0.1 <= found["alpha"]["value"] <= 0.33
    tied = json.loads(cli("fit", table, "--tie", "beta=alpha", "--bootstrap", 20, "--json")[1])["constants"]
    assert tied["beta"] == tied["alpha"]


def test_the_method_of_the_bootstrap_is_chosen(cli: Cli, table: Path) -> None:
    out = cli("fit", table, "--method", "parametric", "--bootstrap", 20, "--json")[1]
    assert json.loads(out)["bootstrap"] == {"method": "parametric", "by": None, "resamples": 20}


@pytest.mark.parametrize("law", ["chinchilla", "minicpm", "kaplan", "power-law:tokens"])
def test_a_saved_fit_predicts_the_same(cli: Cli, table: Path, tmp_path: Path, law: str) -> None:
    saved = tmp_path / "fit.json"
    assert cli("fit", table, "--law", law, "--bootstrap", 20, "--out", saved)[0] == 0
    again = sl.Fit.from_json(saved)
    ours = sl.fit(read_law(law), sl.read_runs(table))
    points = {v: np.geomspace(1e8, 1e12, 7) for v in ours.law.variables}
    pd.testing.assert_frame_equal(again.predict(**points), ours.predict(**points), check_exact=True)
    intervals = [f.predict(**points, interval=0.9, boot=f.bootstrap(50)) for f in (again, ours)]
    pd.testing.assert_frame_equal(*intervals, rtol=1e-9)


def test_compare_laws_on_a_table_and_as_saved_fits(cli: Cli, table: Path, tmp_path: Path) -> None:
    code, out, _ = cli("compare", table, "--laws", "chinchilla,kaplan", "--loss", "squared", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["best"] == "Chinchilla"
    paths = []
    for law in ("chinchilla", "kaplan"):
        paths.append(tmp_path / f"{law}.json")
        cli("fit", table, "--law", law, "--loss", "squared", "--bootstrap", 10, "--out", paths[-1])
    saved = json.loads(cli("compare", *paths, "--json")[1])
    assert saved["evidence"] == found["evidence"]
    code, out, err = cli("compare", *paths)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80


def test_backtest_prints_what_python_finds(cli: Cli, table: Path) -> None:
    code, out, _ = cli("backtest", table, "--split", "params", "--frac", 0.2, "--bootstrap", 100, "--json")
    assert code == 0
    found = json.loads(out)
    ours = sl.backtest(sl.laws.Chinchilla(), sl.read_runs(table), split="params", frac=0.2, resamples=100)
    assert found["held_out"] == len(ours.table) == 12
    assert found["rms_error"] == ours.rms_error
    assert found["coverage"] == ours.coverage
    code, out, err = cli("backtest", table, "--bootstrap", 50)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80


REFUSED = [
    (("fit", "{t}", "--law", "kaplen"), "law 'kaplen' is not known; did you mean 'kaplan'?"),
    (("fit", "{t}", "--law", "chinchilla:tokens"), "chinchilla has its variables fixed"),
    (("fit", "{t}", "--law", "power-law:token"), "needs a column 'token'"),
    (("fit", "{t}", "--law", "power-product::lr"), "name the variables"),
    (("fit", "{t}", "--fix", "e=1.8"), "has no constant 'e'"),
    (("fit", "{t}", "--fix", "alfa=0.3"), "did you mean 'alpha'?"),
    (("fit", "{t}", "--fix", "E"), "--fix E cannot be read; write it as --fix E=1.8"),
    (("fit", "{t}", "--fix", "E=-1"), "outside what Chinchilla allows"),
    (("fit", "{t}", "--bound", "alpha=0.5"), "write it as --bound alpha=0.1:1"),
    (("fit", "{t}", "--bound", "alpha=0.5:0.1"), "leave no room"),
    (("fit", "{t}", "--bound", "alpha=a:b"), "write it as --bound"),
    (("fit", "{t}", "--tie", "beta=gamma"), "has no constant 'gamma'"),
    (("fit", "{t}", "--tie", "beta=alpha)"), "not an expression"),
    (("fit", "{t}", "--fix", "E=1", "--fix", "E=2"), "constrained twice"),
    (("fit", "{t}", "--method", "jackknife"), "bootstrap methods are"),
    (("fit", "{t}", "--method", "clusters"), "clusters bootstrap needs by="),
    (("fit", "{t}", "--loss", "squared:2"), "--loss 'squared:2' is not known"),
    (("fit", "{t}", "--loss", "huber:"), "--loss 'huber:' is not known"),
    (("fit", "{t}", "--bootstrap", "10", "--out", "{d}/none/fit.json"), "cannot be written"),
    (("compare", "{t}"), "at least two"),
    (("compare", "{t}", "--laws", "chinchilla"), "at least two"),
    (("compare", "{t}", "{t}"), "compare saved fits"),
    (("compare", "{d}/a.json", "{d}/b.json"), "no such file"),
    (("compare", "{d}/a.json", "--laws", "kaplan"), "--laws goes with a table"),
    (("backtest", "{t}", "--split", "size"), "splits by compute, params, tokens"),
    (("backtest", "{t}", "--frac", "0.99"), "too few"),
    (("backtest", "{t}", "--frac", "2"), "frac is the share"),
    (("backtest", "{t}", "--level", "90"), "an interval is a share"),
]


@pytest.mark.parametrize(("args", "said"), REFUSED)
def test_bad_options_get_one_sentence(
    cli: Cli, table: Path, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    code, out, err = cli(*(part.format(t=table, d=tmp_path) for part in args))
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_options_are_read() -> None:
    assert read_loss("likelihood:0.5") == sl.Likelihood(0.5)
    assert read_loss("huber") == sl.Huber(1e-3)
    law = sl.laws.Chinchilla()
    assert read_constraints(law, ["E=1.8"], ["alpha=:1"], ["beta=2*alpha"]) == {
        "E": 1.8,
        "alpha": (-np.inf, 1.0),
        "beta": "2*alpha",
    }
    assert read_law("Power_Law:tokens") == sl.laws.PowerLaw("tokens")
    with pytest.raises(InputError, match="did you mean 'skaling'"):
        read_law("scaling")
