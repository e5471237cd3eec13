"""Leverage, profile and the larger models beside continual training: what is drawn is what was computed."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import scalinglab as sl
from scalinglab import laws, plots
from scalinglab.analysis import continual, equal_compute, influence
from scalinglab.errors import InputError

TRUTH = {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}


@pytest.fixture(scope="module")
def fit() -> sl.Fit:
    rng = np.random.default_rng(5)
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, 4), np.geomspace(2.5e5, 8e6, 6)))
    loss = laws.Chinchilla().predict(TRUTH, params=n, tokens=d) * np.exp(rng.normal(0, 0.002, n.size))
    fit = sl.fit(laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    fit.bootstrap(200, seed=0)
    return fit


def labels(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_leverage_shows_every_run_where_it_is_and_numbers_the_three_that_matter(fit):
    ax = plots.leverage(fit, flops=1e13)
    ax.figure.draw_without_rendering()
    found = influence(fit, 1e13).rows
    drawn = np.concatenate([each.get_offsets() for each in ax.collections if len(each.get_offsets()) > 1])
    wanted = found[["leverage", "residual"]].to_numpy() * [1, 100]
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(wanted, axis=0))
    rises, falls = (each for each in ax.collections if len(each.get_offsets()) > 1)
    assert to_hex(rises.get_facecolors()[0]) == "#0072b2"
    assert len(rises.get_offsets()) == (found["shift"] >= 0).sum()
    # area grows with the influence
    up = found[found["shift"] >= 0].sort_values("shift", ascending=False)
    np.testing.assert_allclose(rises.get_offsets()[:, 0], up["leverage"])
    assert (np.diff(rises.get_sizes()) <= 0).all()
    assert len(falls.get_offsets()) == (found["shift"] < 0).sum()
    most = found.loc[found["shift"].abs().idxmax()]
    assert any(text.endswith(f"×{1 + most['shift']:.3g}") for text in labels(ax))
    first = next(line for line in ax.lines if line.get_marker() == "$1$" and len(line.get_xdata()))
    assert first.get_xdata()[0] == most["leverage"]


def test_profile_draws_both_curves_their_intervals_and_the_valley(fit):
    ax = plots.profile(fit)
    ax.figure.draw_without_rendering()
    valley = ax.figure.axes[-1]
    assert (valley.get_xlabel(), valley.get_ylabel()) == ("α", "β")
    for line, name, i in zip(ax.lines[:1] + ax.lines[3:4], ("alpha", "beta"), (0, 1), strict=True):
        one = fit.profile(name, 0.9)
        at_limit = np.interp([one.lo, one.hi], *line.get_data())
        np.testing.assert_allclose(at_limit, one.limit, rtol=1e-3)
        assert labels(ax)[i].endswith(f"{one.value:.3g} [{one.lo:.3g}, {one.hi:.3g}]")
        assert ax.get_ylim()[1] > one.limit
    dots = max(valley.lines, key=lambda line: len(line.get_xdata()))
    np.testing.assert_array_equal(dots.get_xdata(), fit.boot().constants["alpha"])
    np.testing.assert_array_equal(dots.get_ydata(), fit.boot().constants["beta"])
    star = next(line for line in valley.lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (fit.constants["alpha"], fit.constants["beta"])


def test_profile_takes_other_constants_and_refuses_what_is_not_there(fit):
    ax = plots.profile(fit, ("E", "A"))
    assert ax.get_xlabel() == "E and A, over their best values"
    with pytest.raises(InputError, match="no constant 'gamma'"):
        plots.profile(fit, ("alpha", "gamma"))
    with pytest.raises(InputError, match="no rows"):
        plots.profile(sl.Fit.from_constants(laws.Chinchilla(), TRUTH))


def test_profile_of_a_law_in_one_variable_takes_its_last_two_constants():
    x = np.geomspace(1e5, 1e7, 9)
    noise = np.exp(np.random.default_rng(0).normal(0, 1e-3, 9))
    runs = pd.DataFrame({"tokens": x, "loss": (1.5 + 100 * x**-0.4) * noise})
    fit = sl.fit(laws.PowerLaw("tokens"), runs, loss=sl.Squared())
    fit.bootstrap(50, seed=0)
    ax = plots.profile(fit)
    assert ax.get_xlabel() == "A and α, over their best values"
    assert ax.figure.axes[-1].get_ylabel() == "α"


def test_a_larger_model_stands_at_its_compute_with_the_way_to_match_it():
    units = {"flops_6nd": 1e17}
    power = sl.Fit.from_constants(
        laws.PowerLaw("flops_6nd", units=units), {"E": 3.274, "A": 0.98, "alpha": 0.543}
    )
    found = continual(power, 0.036e9, against=3.34, larger=0.17e9)
    ax = plots.continual(found)
    ax.figure.draw_without_rendering()
    beside = equal_compute(power, 0.036e9, 3.34, larger=0.17e9)
    squares = [line for line in ax.lines if line.get_marker() == "s"]
    places = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in squares}
    assert places == {(beside.flops, 3.34), (beside.flops * beside.multiple.value, 3.34)}
    assert "170M at D = 20·N" in labels(ax)
    assert "matched at 4.15× its compute" in labels(ax)
    lo, hi = ax.get_xlim()
    assert lo < beside.flops < beside.flops * beside.multiple.value < hi
    with pytest.raises(InputError, match="to know what to draw"):
        plots.continual(continual(power, 0.036e9))
