"""IsoFLOP valleys and optima: points, parabolas and both optima stand where the answer says."""

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab import plots
from scalinglab.analysis import isoflop

TRUTH = {"E": 1.7, "A": 406.0, "alpha": 0.34, "B": 2000.0, "beta": 0.42}
BUDGETS = (1e18, 1e19, 1e20)


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    law, rows = sl.laws.Chinchilla(), []
    for c in BUDGETS:
        n = float(law.optimal(TRUTH, c)[0]) * np.exp(np.linspace(-1, 1, 8))
        loss = law.predict(TRUTH, params=n, tokens=c / (6 * n)) + 0.003 * rng.standard_normal(8)
        rows.append(pd.DataFrame({"params": n, "tokens": c / (6 * n), "loss": loss, "isoflop_budget": c}))
    return pd.concat(rows, ignore_index=True).assign(loss_unit="nats/token")


@pytest.fixture(scope="module")
def found(runs):
    return isoflop(runs, resamples=200)


def marks(ax, marker: str) -> np.ndarray:
    return np.array(
        [
            line.get_xydata()[0]
            for line in ax.lines
            if line.get_marker() == marker and len(line.get_xdata()) == 1
        ]
    )


def test_valleys_show_points_parabolas_and_both_optima(found, runs):
    ax = plots.isoflop(found, runs)
    ax.figure.draw_without_rendering()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("model size N (parameters)", "loss (nats/token)")
    np.testing.assert_allclose(marks(ax, "o"), found.rows[["params", "loss"]])
    np.testing.assert_allclose(marks(ax, "D"), found.rows[["law_params", "law_loss"]])
    drawn = [line for line in ax.lines if len(line.get_xdata()) == 80]
    for line, (_, row) in zip(drawn, found.rows.iterrows(), strict=True):
        n, loss = line.get_data()
        mine = runs[runs["isoflop_budget"] == row["flops"]]
        c2, c1, c0 = np.polyfit(np.log(mine["params"]), mine["loss"], 2)
        np.testing.assert_allclose(loss, c2 * np.log(n) ** 2 + c1 * np.log(n) + c0, rtol=1e-9)
    clouds = [line for line in ax.lines if len(line.get_xdata()) == 8]
    np.testing.assert_allclose(np.concatenate([line.get_ydata() for line in clouds]), runs["loss"])
    bars = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(bars[0], found.rows.loc[0, ["params_lo", "params_hi"]].astype(float))


def test_optima_show_the_power_law_in_its_band(found):
    ax = plots.isoflop_optima(found)
    ax.figure.draw_without_rendering()
    along = next(line for line in ax.lines if str(line.get_label()).startswith("Approach 2"))
    c, n = along.get_data()
    slope = np.polyfit(np.log(c), np.log(n), 1)[0]
    assert slope == pytest.approx(found.a.value)
    assert (found.line["params_lo"] < n).all()
    assert (n < found.line["params_hi"]).all()
    np.testing.assert_allclose(
        next(line for line in ax.lines if line.get_marker() == "D").get_ydata(), found.rows["law_params"]
    )


def test_a_vertex_left_out_is_hollow(runs):
    outside = runs[(runs["isoflop_budget"] != BUDGETS[2]) | (runs["params"] > runs["params"].quantile(0.9))]
    found = isoflop(outside, resamples=50)
    assert found.rows["note"].tolist()[:2] == ["", ""]
    ax = plots.isoflop(found)
    circles = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    for line, (_, row) in zip(circles, found.rows[found.rows["params"].notna()].iterrows(), strict=True):
        assert (line.get_markerfacecolor() == "white") == (row["note"] != "")


def test_interpolated_valleys_pass_through_their_points(runs):
    found = isoflop(runs, minimum="interpolated", noise=0.003, resamples=50)
    ax = plots.isoflop(found)
    ax.figure.draw_without_rendering()
    first = next(line for line in ax.lines if len(line.get_xdata()) == 80)
    np.testing.assert_allclose(first.get_ydata()[[0, -1]], runs["loss"].iloc[[0, 7]])
