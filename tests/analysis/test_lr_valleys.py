"""lr* by size: exact on exact parabolas, Fieller's ends by another route, bounds, divergence, coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from scalinglab.analysis import drift_difference, lr_transfer
from scalinglab.errors import InputError

LRS = tuple(0.001 * 2.0**k for k in range(6))
WIDTHS = (24, 40, 64, 104)


def runs(
    drift: float = 0.0, *, at: float = 0.006, c: float = 0.06, skew: float = 0.0, sd: float = 0.0, seed_sd: float = 0.0,
    seeds: int = 2, rng: int = 0, widths: tuple[int, ...] = WIDTHS,
) -> pd.DataFrame:  # fmt: skip
    """c·(v² + skew·v³) about at·(width/64)^drift, with noise of a run and of a seed."""
    draw = np.random.default_rng(rng)
    rows = []
    for width in widths:
        for seed in range(seeds):
            offset = seed_sd * draw.normal()
            for lr in LRS:
                v = np.log(lr / at) - drift * np.log(width / 64)
                loss = 2.1 + 3 / width + c * (v**2 + skew * v**3) + offset + sd * draw.normal()
                rows.append({"width": width, "lr": lr, "seed": seed, "loss": loss})
    return pd.DataFrame(rows)


def test_exact_parabolas_give_their_constants_back() -> None:
    found = lr_transfer(runs(-0.4))
    best = 0.006 * (np.array(WIDTHS) / 64) ** -0.4
    np.testing.assert_allclose(found.rows["lr"], best, rtol=1e-9)
    np.testing.assert_allclose(found.rows["curvature"], 0.06, rtol=1e-9)
    assert found.drift.value == pytest.approx(-0.4, abs=1e-9)
    assert found.factor.value == pytest.approx((104 / 24) ** -0.4)
    np.testing.assert_allclose(found.line(np.array(WIDTHS)), best, rtol=1e-9)
    np.testing.assert_allclose(found.cost(0.006)["cost"], 0.06 * np.log(best / 0.006) ** 2, atol=1e-12)


def test_at_fiellers_ends_the_slope_is_off_zero_by_students_t() -> None:
    """Regression on ln lr less the end: its linear term is the slope there, with the textbook's standard error."""
    table = runs(sd=0.02, seeds=1, widths=(64,), rng=3)
    found = lr_transfer(table, reach=8, steep=1.0)
    parabola = found.valleys[0].bottom
    assert parabola is not None
    sd = np.sqrt((parabola.residuals**2).sum() / parabola.freedom)
    t = student.ppf(0.95, parabola.freedom)
    for end in parabola.ends(sd, t):
        x = parabola.log_lr - end
        y = parabola.value(parabola.log_lr) + parabola.residuals
        q, cov = np.polyfit(x, y, 2, cov="unscaled")
        assert abs(q[1]) / (sd * np.sqrt(cov[1, 1])) == pytest.approx(t, rel=1e-6)


def test_what_a_seed_moves_at_all_learning_rates_counts_for_nothing() -> None:
    """Also where a run is missing, whose absence would shift a plain mean."""
    table = runs(sd=0.005)
    table = table[~((table["width"] == 40) & (table["lr"] == LRS[2]) & (table["seed"] == 1))]
    moved = table.assign(loss=table["loss"] + 0.3 * table["seed"])
    plain, shifted = lr_transfer(table), lr_transfer(moved)
    np.testing.assert_allclose(shifted.rows["lr"], plain.rows["lr"], rtol=1e-9)
    assert shifted.drift.lo == pytest.approx(plain.drift.lo)
    assert shifted.shape_sd == pytest.approx(plain.shape_sd)
    assert shifted.run_sd > 0.2 > 0.02 > plain.run_sd


@pytest.mark.parametrize(
    ("drift", "more"), [(0.0, {"seed_sd": 0.02}), (-0.5, {}), (-0.25, {"skew": 0.15, "sd": 0.003})]
)
def test_intervals_hold_the_truth(drift: float, more: dict[str, float]) -> None:
    """At least as often as 90 % less what 25 sweeps leave to chance; with skewed valleys too, where parabolas err."""
    held, argmins = [], []
    for k in range(25):
        found = lr_transfer(runs(drift, **({"sd": 0.01} | more), rng=k))  # type: ignore[arg-type]
        held.append(found.drift.lo <= drift <= found.drift.hi)
        rows = found.rows[found.rows["edge"] == ""]
        truth = 0.006 * (rows["width"] / 64) ** drift
        argmins += list((rows["lr_lo"] <= truth) & (truth <= rows["lr_hi"]))
    assert np.mean(held) > 0.8
    assert np.mean(argmins) > 0.85
    assert found.drift.hi - found.drift.lo < 0.5  # and says something


def test_an_optimum_at_the_edge_is_a_bound_and_left_out() -> None:
    found = lr_transfer(runs(-1.5, at=0.002, sd=0.003))
    low = found.rows[found.rows["edge"] == "low"]
    assert low["width"].tolist() == [104]
    row = low.iloc[0]
    assert (row["lr"], row["lr_lo"]) == (pytest.approx(0.001), 0)
    assert row["lr_hi"] < 0.01
    assert found.drift.value == pytest.approx(-1.5, abs=0.15)
    assert any("104: lr* lies at or below 0.001" in note and "within it" in note for note in found.notes)
    cost = found.cost(0.004)
    assert np.isinf(cost["cost_hi"].iloc[-1])


def test_diverged_runs_bound_lr_from_above_and_are_counted() -> None:
    table = runs(at=0.012, sd=0.005)
    table.loc[(table["width"] == 104) & (table["lr"] > 0.01), "loss"] = np.nan
    table.loc[(table["width"] == 24) & (table["lr"] > 0.03) & (table["seed"] == 0), "loss"] = np.inf
    found = lr_transfer(table)
    row = found.rows.iloc[-1]
    assert (row["edge"], row["diverged"]) == ("high", 4)
    assert row["lr"] == pytest.approx(0.008)
    assert row["lr_hi"] == pytest.approx(0.016)  # where everything diverges
    assert np.isinf(found.cost(0.02)["cost"].iloc[-1])
    assert "5 of 48 runs diverged and have no loss (24: 1, 104: 4)." in found.notes


def test_moves_stays_and_neither() -> None:
    flat, falling = lr_transfer(runs(sd=0.004)), lr_transfer(runs(-0.9, sd=0.004))
    rough = lr_transfer(runs(sd=0.06, rng=5))
    assert (flat.stays(), falling.stays(), rough.stays()) == ("stays", "moves", "open")
    apart = drift_difference(flat, falling)
    assert apart.hi < 0
    assert apart.lo < -0.9 < apart.hi


def test_seeds_least_runs() -> None:
    """A power of the grid's own step lands on grid points, and so is told exactly."""
    found = lr_transfer(runs(-1.0, at=0.008, widths=(32, 64, 128)))
    np.testing.assert_allclose(found.by_seed(), [-1.0, -1.0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop(columns="lr"), 'no column "lr"'),
        (lambda t: t.assign(lr=0.0), "positive, finite lr"),
        (lambda t: pd.concat([t, t]), "two runs have width"),
        (lambda t: t.assign(parametrisation=["a", "b"] * (len(t) // 2)), "mixes parametrisation"),
        (lambda t: t.iloc[:0], "no rows"),
    ],
)
def test_what_cannot_be_read_is_refused(change, says) -> None:
    with pytest.raises(InputError, match=says):
        lr_transfer(change(runs()))
