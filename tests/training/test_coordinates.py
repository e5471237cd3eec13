"""The coordinate check tells a parametrisation that carries over from one that does not, by one criterion."""

import numpy as np
import pandas as pd
import pytest

from scalinglab.analysis.coordinate_slopes import is_flat, judged, slopes
from scalinglab.errors import InputError
from scalinglab.experiments.catalogue import EXPERIMENTS
from scalinglab.experiments.coordinate_check import MATRIX, report_of
from scalinglab.ladder.parametrisation import Scaling
from scalinglab.training.coordinates import coordinate_check

SMALL = {"widths": (16, 32, 64, 128, 256), "width_base": 32, "seeds": (0, 1)}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    literal = coordinate_check(**SMALL, scaling=Scaling(embedding_as="matrix"))
    return pd.concat(
        [
            coordinate_check(**SMALL),
            coordinate_check(**SMALL, kind="standard"),
            literal.assign(parametrisation=MATRIX),
        ],
        ignore_index=True,
    )


def test_minicpm_is_flat_and_the_standard_ones_are_not(frame: pd.DataFrame) -> None:
    found = slopes(frame)
    assert is_flat(found) == {"minicpm": True, "standard": False, MATRIX: False}
    last = judged(found).set_index(["parametrisation", "module", "quantity"])["slope"]
    # blocks under one rate and one spread grow with a power of the width of about 1 or more
    assert last.loc["standard", ["attention", "mlp", "residual"]].min() > 0.75
    # the literal reading: Adam moves the embedding by the rate, which is then 1/d, and the logits with it
    assert last.loc[MATRIX, "embedding", "change"] == pytest.approx(-1.0, abs=0.1)
    assert last.loc[MATRIX, "logits", "change"] == pytest.approx(-1.0, abs=0.1)


def test_slopes_at_initialisation_are_those_of_the_central_limit(frame: pd.DataFrame) -> None:
    """Sums of d independent terms: logits x d_base/d shrink as d^-1/2, unscaled they grow as d^1/2."""
    start = slopes(frame).query("step == 0").set_index(["parametrisation", "module"])["slope"]
    assert start["minicpm", "logits"] == pytest.approx(-0.5, abs=0.05)
    assert start["standard", "logits"] == pytest.approx(0.5, abs=0.05)
    assert start[MATRIX, "logits"] == pytest.approx(-1.0, abs=0.05)
    assert start[MATRIX, "embedding"] == pytest.approx(-0.5, abs=0.05)
    for module in ("embedding", "attention", "mlp", "residual"):
        assert start["minicpm", module] == pytest.approx(0.0, abs=0.05)


def test_a_power_law_has_its_exponent_and_an_exact_one_no_error() -> None:
    rng = np.random.default_rng(0)
    base = pd.DataFrame(
        {"parametrisation": "x", "width": [8.0, 16.0, 32.0, 64.0] * 3, "seed": 0, "step": 1, "module": "mlp"}
    )
    noise = rng.normal(0, 0.1, len(base))
    found = slopes(
        base.assign(activation=3 * base["width"] ** 0.5, change=base["width"] ** -0.2 * np.exp(noise))
    )
    exact, noisy = found.iloc[0], found.iloc[1]
    assert (exact["slope"], exact["se"]) == (pytest.approx(0.5), pytest.approx(0.0, abs=1e-12))
    (slope, _), covariance = np.polyfit(np.log(base["width"]), noise, 1, cov=True)
    assert noisy["slope"] == pytest.approx(slope - 0.2)
    assert noisy["se"] == pytest.approx(np.sqrt(covariance[0, 0]))


def test_a_size_that_is_no_number_is_not_flat() -> None:
    frame = coordinate_check((16, 32, 48), seeds=(0,), steps=1, sequences=1, context=4, layers=1)
    frame.loc[frame["module"] == "mlp", "change"] = np.inf
    assert is_flat(slopes(frame)) == {"minicpm": False}
    assert judged(slopes(frame)).iloc[0]["module"] == "mlp"


def test_the_report_and_its_figure(frame: pd.DataFrame) -> None:
    report = report_of(frame)
    assert "minicpm is flat" in report.verdict
    assert "standard is not" in report.verdict
    assert len(report.lines) == 27
    ax = report.figures["coordinate_check"]()
    assert len(ax.figure.axes) == 2
    ax.figure.canvas.figure.draw_without_rendering()


def test_without_torch_the_experiment_is_one_sentence(cli, monkeypatch, tmp_path) -> None:
    from scalinglab import extras

    find = extras.util.find_spec
    monkeypatch.setattr(extras.util, "find_spec", lambda name: None if name == "torch" else find(name))
    assert EXPERIMENTS["coordinate-check"].needs == "training"
    code, _, said = cli("reproduce", "coordinate-check", "--figures", tmp_path)
    assert code == 3
    assert "training needs torch, which is not installed" in " ".join(said.split())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: coordinate_check((32,)), "at least two different ones"),
        (lambda: coordinate_check((24, 32)), "width 24 is not a whole number of heads of 16"),
        (lambda: coordinate_check((16, 32), text=b"short"), "the text holds 5 bytes; a batch of this check needs 132"),
        (lambda: slopes(pd.DataFrame({"width": [1]})), "lacks the column parametrisation"),
        (lambda: slopes(coordinate_check((16, 32), seeds=(0,), steps=1)), "at least three widths"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_refused(call, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
