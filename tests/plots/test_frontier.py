"""The frontier figure: its line, band and published laws are the answers' own."""

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab import plots
from scalinglab.analysis import frontier
from scalinglab.errors import InputError


@pytest.fixture(scope="module")
def fit() -> sl.Fit:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(np.random.default_rng(0).normal(0, 1e-3, n.size))
    found = sl.fit(sl.laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    found.bootstrap(50)
    return found


@pytest.mark.parametrize("what", ["params", "tokens", "ratio"])
def test_the_lines_are_the_frontiers(fit: sl.Fit, what) -> None:
    ax = plots.frontier(fit, what=what)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    dashed = ax.lines[1]
    budgets = dashed.get_xdata()
    assert budgets[0] == pytest.approx(6 * 1e7 * 1e9)
    assert budgets[-1] == pytest.approx(10 * 6 * 1e9 * 1e11)
    expected = frontier(fit, budgets, beyond=np.inf).rows
    np.testing.assert_allclose(dashed.get_ydata(), expected[what])
    # solid only inside the runs
    solid = ax.lines[0].get_ydata()
    assert np.array_equal(np.isnan(solid), (expected["extrapolation"] > 0).to_numpy())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"Hoffmann 2022", "Hoffmann 2022, re-fitted 2024", "MiniCPM 2024, average", "runs fitted"} < set(
        labels
    )


def test_published_lines_have_their_closed_form(fit: sl.Fit) -> None:
    ax = plots.frontier(fit, published=["hoffmann"])
    line = next(line for line in ax.lines if line.get_label() == "Hoffmann 2022")
    c = np.asarray(line.get_xdata())
    g = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62)
    np.testing.assert_allclose(line.get_ydata(), g * (c / 6) ** (0.28 / 0.62), rtol=1e-9)


def test_given_constants_need_a_range(fit: sl.Fit) -> None:
    law = sl.laws.PUBLISHED["hoffmann"]
    given = sl.Fit.from_constants(law.law, law.constants)
    with pytest.raises(InputError, match="needs flops="):
        plots.frontier(given)
    assert not plots.frontier(given, flops=(1e18, 1e22)).collections  # no interval, no band
    with pytest.raises(InputError, match="no published law is called 'hofman'"):
        plots.frontier(fit, published=["hofman"])
    with pytest.raises(InputError, match="not 'loss'"):
        plots.frontier(fit, what="loss")  # type: ignore[arg-type]
