"""Leverage against what it means, and influence against refits."""

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab import laws
from scalinglab.analysis import influence, optimum
from scalinglab.errors import InputError

TRUTH = {"E": 1.7, "A": 30.0, "alpha": 0.45, "B": 300.0, "beta": 0.5}


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, 4), np.geomspace(2.5e5, 8e6, 5)))
    loss = laws.Chinchilla().predict(TRUTH, params=n, tokens=d) * np.exp(rng.normal(0, 0.002, n.size))
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss, "trunk_id": np.repeat(list("abcde"), 4)})


@pytest.mark.parametrize("loss", [sl.Squared(), sl.Huber(1e-2), sl.Squared(on="loss")])
def test_what_is_left_out_is_what_a_new_fit_without_it_gives(
    runs: pd.DataFrame, loss: sl.fitting.Loss
) -> None:
    fit = sl.fit(laws.Chinchilla(), runs, loss=loss)
    found = influence(fit, 1e13)
    assert found.value.value == pytest.approx(optimum(fit, 1e13, boot=None, beyond=9).ratio.value, rel=1e-9)
    for i in (0, 7, 19):
        again = sl.fit(laws.Chinchilla(), runs.drop(index=i), loss=loss)
        n, d = laws.Chinchilla().optimal(again.constants, 1e13)
        assert found.rows.loc[i, "without"] == pytest.approx(float(d / n), rel=1e-5)
    assert found.value.lo == found.rows["without"].min()
    assert found.value.hi == found.rows["without"].max()
    assert "moved most by N" in found.headline()


def test_leverage_is_how_much_the_fit_follows_a_row() -> None:
    """h_i = ∂ŷ_i/∂y_i where the residuals vanish, by moving each loss and fitting again."""
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, 4), np.geomspace(2.5e5, 8e6, 4)))
    exact = pd.DataFrame(
        {"params": n, "tokens": d, "loss": laws.Chinchilla().predict(TRUTH, params=n, tokens=d)}
    )
    fit = sl.fit(laws.Chinchilla(), exact, loss=sl.Squared())
    found = influence(fit, 1e13).rows["leverage"].to_numpy()
    assert found.sum() == pytest.approx(5.0, rel=1e-6)
    assert (found > 0).all()
    assert (found < 1).all()
    for i in (0, 5, 15):
        moved = exact.copy()
        moved.loc[i, "loss"] *= np.exp(1e-5)
        after = sl.fit(laws.Chinchilla(), moved, loss=sl.Squared())
        rise = np.log(after.predict(params=n[i], tokens=d[i])["loss"].iloc[0] / exact.loc[i, "loss"])
        assert rise / 1e-5 == pytest.approx(found[i], abs=2e-3)


def test_groups_and_other_quantities(runs: pd.DataFrame) -> None:
    fit = sl.fit(laws.Chinchilla(), runs, loss=sl.Squared())
    found = influence(fit, of=lambda c: c["alpha"], name="α", by="trunk_id")
    assert found.quantity == "α"
    assert found.rows.groupby("trunk_id")["without"].nunique().eq(1).all()
    again = sl.fit(laws.Chinchilla(), runs[runs["trunk_id"] != "c"], loss=sl.Squared())
    ours = found.rows.loc[found.rows["trunk_id"] == "c", "without"].iloc[0]
    assert ours == pytest.approx(again.constants["alpha"], rel=1e-5)
    assert "moved most by trunk_id" in found.headline()


def test_a_wrong_row_is_the_influential_one(runs: pd.DataFrame) -> None:
    bad = runs.copy()
    corner = bad["tokens"].idxmax()
    bad.loc[corner, "loss"] *= 1.05
    found = influence(sl.fit(laws.Chinchilla(), bad, loss=sl.Squared()), 1e13)
    assert found.rows["shift"].abs().idxmax() == corner


def test_what_cannot_be_asked_is_refused(runs: pd.DataFrame) -> None:
    fit = sl.fit(laws.Chinchilla(), runs)
    with pytest.raises(InputError, match="no column 'seed'"):
        influence(fit, by="seed")
    with pytest.raises(InputError, match="holds no rows"):
        influence(sl.Fit.from_constants(laws.Chinchilla(), TRUTH), 1e13)
    with pytest.raises(InputError, match="name a quantity"):
        influence(sl.fit(laws.PowerLaw("tokens"), runs.iloc[:6]))
