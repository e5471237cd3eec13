"""Figures of a sweep: optima, laws and lines where the answers have them."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from scalinglab import plots
from scalinglab.analysis import batch_lr, iso_loss
from scalinglab.errors import InputError


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """Two sizes, four horizons; the smallest batch is the best one at the first horizon."""
    rng = np.random.default_rng(0)
    rows = []
    for n in (1e4, 4e4):
        for d in 1e6 * np.array([1.0, 2, 4, 8]):
            best = math.log(0.5 * d**0.5), math.log(3 * n**-0.6)
            for batch in 2.0 ** np.arange(9, 14):
                for lr in 2.0 ** np.arange(-10, -4):
                    v, u = math.log(batch) - best[0], math.log(lr) - best[1]
                    loss = 1 + 8 * n**-0.3 + 60 * d**-0.35
                    rows.append(
                        (n, d, loss * math.exp(0.01 * (u * u + v * v) + rng.normal(0, 5e-4)), lr, batch)
                    )
    return pd.DataFrame(rows, columns=["params", "tokens", "loss", "lr", "batch_tokens"])


@pytest.fixture(scope="module")
def found(runs):
    return batch_lr(runs, resamples=200)


@pytest.fixture(scope="module")
def lines(runs):
    return iso_loss(runs, resamples=20)


def shown(ax) -> set[str]:
    ax.figure.draw_without_rendering()
    return {text.get_text() for text in ax.get_legend().get_texts()}


def bands(ax) -> int:
    return sum(isinstance(each, PolyCollection) for each in ax.collections)


@pytest.mark.parametrize(("what", "column", "law"), [("lr", "lr", 0), ("batch", "batch_tokens", 1)])
def test_optima_and_law(found, what, column, law):
    ax = plots.batch_lr(found, what, published=(1.0, 0.0, 0.3))
    assert shown(ax) >= {"10k", "40k", "published"}
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel()) == ("log", "log", "training tokens D")
    inside = found.cells[found.cells["edge"] == ""]
    drawn = np.concatenate([each.lines[0].get_ydata() for each in ax.containers]).astype(float)
    np.testing.assert_allclose(np.sort(drawn), np.sort(inside[column].to_numpy(dtype=float)))
    assert bands(ax) == (2 if what == "lr" else 1)
    x, y = next(
        line.get_data() for line in ax.lines if len(line.get_xdata()) == 60 and line.get_linestyle() == "-"
    )
    size = found.cells["params"].min()
    np.testing.assert_allclose(y, [found.predict(size, tokens)[law].value for tokens in x])


def test_bounds_are_open(found):
    assert found.cells["edge"].str.contains("batch low").any()
    ax = plots.batch_lr(found, "batch")
    assert "bound: at or below\nthe grid's edge" in shown(ax)
    in_lr = shown(plots.batch_lr(found, "lr"))  # the same cells, whose learning rate is no bound
    assert "batch at the\ngrid's edge,\nleft out" in in_lr
    assert not any("bound" in each for each in in_lr)
    open_marks = [line for line in ax.lines if line.get_marker() == "v" and len(line.get_xdata())]
    assert {line.get_markerfacecolor() for line in open_marks} == {"none"}


def test_a_valley_marks_its_minimum_and_the_law(found):
    ax = plots.batch_lr_valley(found)
    assert shown(ax) >= {"runs", "least run", "law"}
    row = found.cells.iloc[(found.cells["params"] * found.cells["tokens"]).argmax()]
    star = next(line for line in ax.lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (row["lr_law"], row["batch_law"])
    assert (
        plots.batch_lr_valley(found, params=1e4, tokens=2e6).get_legend().get_title().get_text()
        == "N 10k, D 2M"
    )


def test_lines_of_equal_loss(lines):
    ax = plots.iso_loss(lines, params=1e4)
    assert "fewest tokens\n(parabola)" in shown(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("batch size (tokens)", "training tokens D")
    own = lines.lines[lines.lines["params"] == 1e4]
    drawn = [line for line in ax.lines if line.get_marker() == "."]
    assert len(drawn) == own["loss"].nunique()
    first = own[own["loss"] == own["loss"].min()]
    np.testing.assert_array_equal(drawn[0].get_ydata(), first["tokens"])
    law = plots.iso_loss_law(lines, published=(1e6, 2.0))
    assert shown(law) >= {"10k", "40k", "published: 1M / L^2"}


def test_what_cannot_be_drawn_is_said(found):
    with pytest.raises(InputError, match="a sweep shows lr or batch, not 'beta'"):
        plots.batch_lr(found, "beta")


def test_they_draw_from_a_path(runs, tmp_path):
    runs.to_csv(tmp_path / "sweep.csv", index=False)
    for kind in ("batch_lr", "batch_lr_valley"):
        assert plots.KINDS[kind].draw(tmp_path / "sweep.csv").has_data()


def test_the_command_answers(runs, tmp_path, cli):
    import json

    table = tmp_path / "sweep.csv"
    runs.to_csv(table, index=False)
    code, out, _ = cli(
        "batch-lr", table, "--params", 2e4, "--tokens", 4e6, "--json", "--figure", tmp_path / "a.png"
    )
    asked, here = json.loads(out), batch_lr(runs).at(2e4, 4e6)
    assert code == 0
    assert asked["lr"] == pytest.approx({"value": here.lr.value, "lo": here.lr.lo, "hi": here.lr.hi})
    assert (tmp_path / "a.png").stat().st_size > 0
    code, out, _ = cli("batch-lr", table, "--construction", "iso-loss", "--loss", 1.9, "--json")
    assert code == 0
    assert len(json.loads(out)["minima"]) == 14
    code, out, _ = cli("batch-lr", table)
    assert code == 0
    assert "Optima of the cells" in out
    for wrong, sentence in (
        (("--loss", 2.0), "--loss goes with --construction iso-loss"),
        (("--params", 1e4), "--params and --tokens go together"),
        (("--construction", "iso-los"), "did you mean 'iso-loss'"),
        (("--where", "smoth"), "did you mean 'smooth'"),
    ):
        code, _, err = cli("batch-lr", table, *wrong)
        assert code == 2
        assert sentence in " ".join(err.split())
