"""Over-training, inference and data-limited on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import data_limited, inference_optimum, overtraining
from scalinglab.analysis.hardware import hardware
from scalinglab.experiments.catalogue import EXPERIMENTS

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(np.random.default_rng(0).normal(0, 1e-3, n.size))
    fit = sl.fit(sl.laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    return fit.to_json(tmp_path_factory.mktemp("fit") / "fit.json")


def answer(cli: Cli, *args: object) -> dict:
    code, out, err = cli(*args, "--bootstrap", 30, "--beyond", 4, "--json")
    assert code == 0, err
    return json.loads(out)


def of(path: Path) -> sl.Fit:
    fit = sl.Fit.from_json(path)
    fit.bootstrap(30)
    return fit


def test_overtraining(cli: Cli, saved: Path, tmp_path: Path) -> None:
    picture = tmp_path / "o.png"
    found = answer(cli, "overtraining", saved, "--flops", 1e21, "--times", "2,4", "--figure", picture)
    expected = overtraining(of(saved), 1e21, [2, 4], beyond=4)
    assert [row["times"] for row in found["rows"]] == [2, 4]
    assert found["rows"][1]["compute_multiple"] == pytest.approx(expected.rows["compute_multiple"][1])
    assert found["times_max"]["hi"] == pytest.approx(expected.times_max.hi)
    assert Path(found["figure"]).stat().st_size > 10_000
    code, out, _ = cli(
        "overtraining", saved, "--flops", 1e21, "--params", "1e8,3e8", "--bootstrap", 30, "--beyond", 4
    )
    assert code == 0
    assert "compute multiple" in out
    assert "…" not in out  # nothing is cut off in 80 columns


def test_inference(cli: Cli, saved: Path, tmp_path: Path) -> None:
    picture = tmp_path / "i.png"
    found = answer(cli, "inference", saved, "--served", 1e13, "--flops", 1e21, "--figure", picture)
    expected = inference_optimum(of(saved), 1e13, flops=1e21, beyond=4)
    assert found["params"]["value"] == pytest.approx(expected.params.value)
    assert found["saving"]["lo"] == pytest.approx(expected.saving.lo)
    assert (found["unit"], picture.is_file()) == ("FLOPs", True)
    money = answer(
        cli, "inference", saved, "--served", 1e13, "--flops", 1e21, "--train-on", "h100", "--train-price", 2,
        "--serve-mfu", 0.1,
    )  # fmt: skip
    train = hardware("h100", price=2.0)
    priced = inference_optimum(
        of(saved), 1e13, flops=1e21, train_on=train, serve_on=hardware(train, mfu=0.1), beyond=4
    )
    assert money["unit"] == "money"
    assert money["total"]["value"] == pytest.approx(priced.total.value)
    back = answer(
        cli, "inference", saved, "--served", 1e13, "--budget", expected.total.value, "--figure", picture
    )
    assert back["loss"]["value"] == pytest.approx(expected.loss.value)


def test_data_limited(cli: Cli, saved: Path, tmp_path: Path) -> None:
    picture = tmp_path / "d.png"
    found = answer(
        cli, "data-limited", saved, "--flops", 1e22, "--unique-tokens", 1e10, "--figure", picture, "--r-d", 10
    )
    expected = data_limited(of(saved), 1e22, 1e10, R_D=10.0, beyond=4)
    assert found["epochs"]["value"] == pytest.approx(expected.epochs.value)
    assert any("R_D* = 10" in note for note in found["notes"])
    assert picture.is_file()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("overtraining", "--flops", 0), "budget"),
        (("overtraining", "--flops", 1e21, "--times", "two"), "--times two: write numbers"),
        (("overtraining", "--flops", 1e21, "--times", "2", "--params", "1e8"), "either --times or --params"),
        (("inference", "--served", 1e12), "exactly one of"),
        (
            ("inference", "--served", 1e12, "--flops", 1e21, "--serve-mfu", 0.1),
            "need --serve-on or --train-on",
        ),
        (("inference", "--served", 1e12, "--flops", 1e21, "--train-price", 2), "need --train-on"),
        (("inference", "--served", 1e12, "--loss-value", 1.0), "never falls below"),
        (("inference", "--served", 1e12, "--flops", 1e21, "--train-on", "h1000"), "did you mean"),
        (("data-limited", "--flops", 1e21, "--unique-tokens", 0), "unique_tokens is a positive number"),
    ],
)
def test_bad_input_is_one_sentence(cli: Cli, saved: Path, args: tuple, says: str) -> None:
    command, *options = args
    code, out, err = cli(command, saved, *options, "--bootstrap", 10)
    assert code == 2
    assert out == ""
    assert says in err
    assert err.strip().count("\n") == 0


def test_the_published_readings_come_back() -> None:
    found = EXPERIMENTS["overtraining"].run(None)
    tokens = [line for line in found.lines if line.published.count("B on ") == 1]
    assert len(tokens) == 6
    assert all(line.ours == line.published for line in tokens)
    example = next(line for line in found.lines if line.note.startswith("Sardana"))
    assert example.ours == "7.0B, 1.7e+22 FLOPs, 17 %"
    assert set(found.figures) == {"overtraining", "overtraining-inference", "overtraining-data-limited"}
