"""Recipe B against A: against closed forms, an independent minimiser and simulated recipes of a known multiplier."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import t

import scalinglab as sl
from scalinglab.analysis import paired
from scalinglab.analysis.clustered import clustered
from scalinglab.analysis.multiplier import common, compute_falls, data_falls
from scalinglab.errors import InputError

LAW = sl.laws.Chinchilla()
TRUTH = {"E": 1.82, "A": 478.0, "alpha": 0.347, "B": 2143.0, "beta": 0.367}
STANDARD = tuple(TRUTH[name] for name in ("E", "A", "alpha", "B", "beta"))
SHIPPED = Path(__file__).resolve().parents[2] / "notebooks" / "data"


def ladder(sizes: int = 6, horizons: int = 6) -> pd.DataFrame:
    """One trunk a size."""
    n, k = np.meshgrid(np.geomspace(1e8, 1e10, sizes), np.geomspace(8, 160, horizons), indexing="ij")
    return pd.DataFrame({"params": n.ravel(), "tokens": (n * k).ravel(), "seed": 0})


def recipes(rng, runs, m: float = 1.0, sd: float = 3e-3, own: float = 1e-3):
    """A, with a row's and a trunk's deviation; B, A's law at m times the tokens, forked from the same trunks."""
    trunk = runs.groupby(["params", "seed"]).ngroup().to_numpy()

    def noise(trunks: float, rows: float):
        return trunks * rng.standard_normal(trunk.max() + 1)[trunk] + rows * rng.standard_normal(len(trunk))

    first = noise(sd, sd)
    second = first + noise(0.5 * own, own)
    clean, better = (
        LAW.predict(TRUTH, params=runs["params"], tokens=times * runs["tokens"]) for times in (1.0, m)
    )
    return runs.assign(loss=clean * np.exp(first)), runs.assign(loss=better * np.exp(second))


# The interval of the difference --------------------------------------------------------------------------


def test_equal_clusters_give_the_t_interval_of_their_means() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(6), 4)
    y = rng.normal(0, 1, 6)[cluster] + rng.normal(0, 1, 24)
    found = clustered(np.ones((24, 1)), y, cluster)
    means = y.reshape(6, 4).mean(axis=1)
    assert found.value[0] == pytest.approx(means.mean(), rel=1e-12)
    assert found.stderr[0] == pytest.approx(means.std(ddof=1) / math.sqrt(6), rel=1e-9)
    assert found.freedom[0] == pytest.approx(5, rel=1e-9)
    interval = found.estimate(0, 0.9)
    assert interval.hi - interval.value == pytest.approx(t.ppf(0.95, 5) * found.stderr[0])


def test_clusters_of_one_row_give_the_ordinary_interval_of_a_mean() -> None:
    y = np.random.default_rng(1).normal(0, 1, 9)
    found = clustered(np.ones((9, 1)), y, np.arange(9))
    assert found.stderr[0] == pytest.approx(y.std(ddof=1) / 3, rel=1e-9)
    assert found.freedom[0] == pytest.approx(8, rel=1e-9)


def test_the_variance_of_unequal_clusters_is_unbiased_and_its_interval_covers() -> None:
    """Clusters of 2 to 8 rows, a mean and a slope: independent rows, as CR2 promises, and rows that share noise."""
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(8), [8, 4, 4, 4, 2, 2, 2, 2])
    x = rng.normal(0, 1, len(cluster))
    X = np.column_stack([np.ones(len(x)), x])
    exact = np.sqrt(np.diag(np.linalg.inv(X.T @ X)))
    variances, held = [], []
    for shared in (0.0, 1.0):
        for _ in range(300):
            y = shared * rng.standard_normal(8)[cluster] + rng.standard_normal(len(x))
            found = clustered(X, y, cluster)
            if not shared:
                variances.append(found.stderr**2)
            held.append([found.estimate(i, 0.9).lo <= 0 <= found.estimate(i, 0.9).hi for i in (0, 1)])
    np.testing.assert_allclose(np.mean(variances, axis=0), exact**2, rtol=0.12)  # of 300: known to 4 %
    assert (np.mean(held, axis=0) > 0.86).all()  # 600 repeats: known to 1.2 points


# The multipliers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("falls_of", [data_falls, compute_falls])
def test_the_solver_finds_what_an_independent_minimiser_finds(falls_of) -> None:
    rng = np.random.default_rng(3)
    runs = ladder()
    falls = falls_of(STANDARD, runs["params"].to_numpy(), runs["tokens"].to_numpy())
    for m in (0.4, 1.0, 1.3, 5.0):
        clean = falls(np.array([math.log(m)]))
        assert np.exp(common(falls, clean)[0]) == pytest.approx(m, rel=1e-9)
        np.testing.assert_allclose(np.exp(falls.own(clean)), m, rtol=1e-9)
        noisy = clean + rng.normal(0, 3e-3, clean.shape)
        other = minimize_scalar(
            lambda x, d=noisy: float(((d - falls(np.array([x]))) ** 2).sum()),
            bounds=(-4, 4), method="bounded", options={"xatol": 1e-11},
        )  # fmt: skip
        assert common(falls, noisy)[0] == pytest.approx(other.x, abs=1e-6)


def test_falls_are_the_laws_own() -> None:
    n, d = (np.asarray(v).ravel() for v in LAW.optimal(TRUTH, 1e21))
    for m in (0.5, 3.0):
        x = np.array([math.log(m)])
        base = LAW.predict(TRUTH, params=n, tokens=d)
        along_d = np.log(LAW.predict(TRUTH, params=n, tokens=m * d) / base)
        np.testing.assert_allclose(data_falls(STANDARD, n, d)(x)[0], along_d, rtol=1e-12)
        n2, d2 = LAW.optimal(TRUTH, m * 1e21)
        along_c = np.log(LAW.predict(TRUTH, params=n2, tokens=d2) / base)
        np.testing.assert_allclose(compute_falls(STANDARD, n, d)(x)[0], along_c, rtol=1e-9)


def test_losses_no_amount_reaches_are_unbounded() -> None:
    n, d = np.array([1e8, 1e8]), np.array([1e9, 2e9])
    falls = data_falls(STANDARD, n, d)
    assert common(falls, np.full((1, 2), -2.0))[0] == math.inf
    assert np.isinf(falls.own(np.full((1, 2), -2.0))).all()


def test_a_recipe_of_known_multiplier_is_recovered_without_noise() -> None:
    runs = ladder()
    given = sl.Fit.from_constants(LAW, TRUTH)
    for m in (0.8, 1.25, 3.0):
        a, b = recipes(np.random.default_rng(0), runs, m, sd=0.0, own=0.0)
        found = paired(a, b, fit=given, resamples=20)
        assert found.data_multiplier.value == pytest.approx(m, rel=1e-8)
        np.testing.assert_allclose(found.pairs["data_multiplier"], m, rtol=1e-8)
        assert found.better == ("B" if m > 1 else "A")
        # A's own deviation cancels: whatever it is, the multiplier is the same
        noise = np.exp(np.random.default_rng(1).normal(0, 0.05, len(runs)))
        shifted = paired(
            a.assign(loss=a["loss"] * noise), b.assign(loss=b["loss"] * noise), fit=given, resamples=20
        )
        assert shifted.data_multiplier.value == pytest.approx(m, rel=1e-8)


def test_intervals_hold_a_simulated_multiplier() -> None:
    """20 tables: a 90 % interval misses more than 5 of them once in 100 times."""
    runs, missed, m = ladder(), {"times": 0, "mean": 0}, 1.2
    values = []
    truth = float(np.mean(np.log(
        LAW.predict(TRUTH, params=runs["params"], tokens=m * runs["tokens"])
        / LAW.predict(TRUTH, params=runs["params"], tokens=runs["tokens"])
    )))  # fmt: skip
    for i in range(20):
        a, b = recipes(np.random.default_rng([5, i]), runs, m)
        found = paired(a, b, resamples=60)
        values.append(found.data_multiplier.value)
        assert found.data_multiplier.lo > 1.1  # shared trunks: the noise they share widens nothing
        missed["times"] += not found.data_multiplier.lo <= m <= found.data_multiplier.hi
        missed["mean"] += not found.difference.lo <= truth <= found.difference.hi
    assert missed["times"] <= 5
    assert missed["mean"] <= 5
    assert np.mean(values) == pytest.approx(m, abs=0.01)


def test_the_same_table_twice_is_exactly_one() -> None:
    a, _ = recipes(np.random.default_rng(4), ladder())
    found = paired(a, a, resamples=50)
    for each in (found.data_multiplier, found.compute_multiplier):
        assert (each.value, each.lo, each.hi) == (1.0, 1.0, 1.0)
    assert (found.difference.value, found.sign_p, found.better) == (0.0, 1.0, None)
    assert "undecided" in found.headline()


# Pairing -------------------------------------------------------------------------------------------------


def test_cells_without_a_partner_are_named_and_left_out() -> None:
    a, b = recipes(np.random.default_rng(6), ladder(), 1.2)
    found = paired(a, b.drop(index=[0, 7]), resamples=20)
    assert len(found.pairs) == 34
    said = " ".join(found.notes)
    assert "2 cells of A have no partner in B: N 100M D 800M seed 0, N 251M" in said
    whole = paired(a.drop(index=[0, 7]), b.drop(index=[0, 7]), resamples=20)
    assert found.difference == whole.difference


def test_order_and_the_last_digits_of_counts_do_not_matter() -> None:
    a, b = recipes(np.random.default_rng(7), ladder(), 1.2)
    shuffled = b.sample(frac=1, random_state=0).assign(tokens=lambda rows: rows["tokens"] * (1 + 1e-13))
    found, plain = paired(a, shuffled, resamples=20), paired(a, b, resamples=20)
    np.testing.assert_allclose(found.pairs["difference"], plain.pairs["difference"], rtol=1e-12)


def test_trunks_are_told_by_size_and_seed_and_seeds_are_matched() -> None:
    runs = pd.concat([ladder(3, 4).assign(seed=seed) for seed in (0, 1)], ignore_index=True)
    a, b = recipes(np.random.default_rng(8), runs, 1.2)
    found = paired(a, b, resamples=20)
    assert (found.trunks, len(found.pairs)) == (6, 24)
    assert found.pairs.groupby("trunk")[["params", "seed"]].nunique().eq(1).all(axis=None)
    other = paired(a, b.assign(seed=b["seed"] + 5), resamples=20)
    assert any("share no seed" in note for note in other.notes)
    assert (other.trunks, len(other.pairs)) == (3, 12)
    # means of log loss: the same mean difference either way
    assert other.difference.value == pytest.approx(found.difference.value, rel=1e-9)


def test_undecayed_rows_are_left_out_and_the_average_is_taken() -> None:
    a, b = (
        pd.concat([table.assign(eval_set="average"), table.assign(eval_set="code", loss=2 * table["loss"])])
        for table in recipes(np.random.default_rng(9), ladder(), 1.2)
    )
    trunk = a.iloc[:3].assign(kind="trunk", loss=9.0)
    found = paired(pd.concat([a.assign(kind="branch"), trunk]), b, resamples=20)
    assert found.eval_set == "average"
    assert len(found.pairs) == 36
    assert found.pairs["loss_a"].max() < 9.0
    assert paired(a, b, eval_set="code", resamples=20).difference.value == pytest.approx(
        found.difference.value
    )


def test_what_cannot_be_compared_is_refused() -> None:
    a, b = recipes(np.random.default_rng(10), ladder(), 1.2)
    with pytest.raises(InputError, match=r"share no cell, so nothing can be paired.*A: N 100M–10B"):
        paired(a, b.assign(tokens=b["tokens"] * 1.001))
    with pytest.raises(InputError, match="A's loss is in nats/byte and B's in nats/token"):
        paired(a.assign(loss_unit="nats/byte"), b.assign(loss_unit="nats/token"))
    with pytest.raises(InputError, match="different eval sets"):
        paired(a.assign(eval_set="c4"), b.assign(eval_set="wiki"))
    with pytest.raises(InputError, match="neither table has a column eval_set"):
        paired(a, b, eval_set="c4")
    with pytest.raises(InputError, match="share between 0 and 1"):
        paired(a, b, level=90)
    with pytest.raises(InputError, match="Chinchilla's form, not Kaplan"):
        paired(a, b, fit=sl.fit(sl.laws.Kaplan(), a), resamples=20)


def test_too_little_for_a_law_or_an_interval_is_said() -> None:
    a, b = recipes(np.random.default_rng(11), ladder(1, 6), 1.2)
    found = paired(a, b, resamples=20)
    assert math.isnan(found.data_multiplier.value)
    assert math.isnan(found.difference.lo)
    assert found.better is None
    said = " ".join(found.notes)
    assert "A's rows determine no law" in said
    assert "All pairs are of one trunk" in said
    few = paired(a.iloc[:2], b.iloc[:2], fit=sl.Fit.from_constants(LAW, TRUTH))
    assert few.data_multiplier.value > 0
    assert math.isnan(few.data_multiplier.lo)


def test_a_recipe_below_the_floor_has_no_multiplier() -> None:
    a, b = recipes(np.random.default_rng(12), ladder())
    given = sl.Fit.from_constants(LAW, TRUTH)
    found = paired(a, b.assign(loss=b["loss"] * 0.5), fit=given, resamples=20)
    assert found.data_multiplier.value == math.inf
    assert found.below_reach == 36
    assert "unbounded" in " ".join(found.notes)
    one = b.assign(loss=b["loss"].where(b.index != 3, 0.5 * b["loss"]))
    found = paired(a, one, fit=given, resamples=20)
    assert found.below_reach == 1
    assert any(note.startswith("1 of 36 pairs lie below what A's law reaches") for note in found.notes)


def test_a_bend_that_one_multiplier_misses_is_said() -> None:
    a, b = recipes(np.random.default_rng(13), ladder(), 1.0)
    c = np.log10(a["params"] * a["tokens"])
    bent = b.assign(loss=b["loss"] * np.exp(-0.01 * (c - c.min())))
    found = paired(a, bent, resamples=50)
    assert found.trend.hi < 0
    assert found.trend.lo < -0.01 < found.trend.hi
    assert any("One multiplier does not describe the ladder: B gains more" in note for note in found.notes)


# Tables that are not alike, and multipliers without an end ------------------------------------------------


def test_undecayed_trunks_are_not_paired_with_decayed_runs() -> None:
    a, b = recipes(np.random.default_rng(14), ladder(), 1.2)
    with pytest.raises(InputError, match="A holds undecayed trunks alone"):
        paired(a.assign(kind="trunk"), b.assign(kind="branch"), resamples=20)
    with pytest.raises(InputError, match="B holds undecayed trunks alone"):
        paired(a, b.assign(kind="trunk"), resamples=20)
    both = paired(a.assign(kind="trunk"), b.assign(kind="trunk"), resamples=20)
    assert any("undecayed trunks alone" in note for note in both.notes)
    assert both.difference == paired(a, b, resamples=20).difference


def test_a_unit_that_only_one_table_tells_is_said() -> None:
    a, b = recipes(np.random.default_rng(15), ladder(), 1.2)
    found = paired(a.assign(loss_unit="nats/token"), b, resamples=20)
    assert "A's loss is in nats/token; B's unit is not told and taken to be the same." in found.notes
    assert not any("unit is not told" in note for note in paired(a, b, resamples=20).notes)


def test_a_diverged_recipe_has_no_multiplier_and_no_traceback() -> None:
    a, b = recipes(np.random.default_rng(16), ladder())
    for given in (sl.Fit.from_constants(LAW, TRUTH), None):
        found = paired(a, b.assign(loss=50 * b["loss"]), fit=given, resamples=20)
        assert found.data_multiplier.value == 0
        assert math.isnan(found.data_multiplier.lo)
        assert any("data multiplier has no interval" in note for note in found.notes)
        assert "less than 1e-6×" in found.headline()
    flat = sl.Fit.from_constants(LAW, TRUTH | {"A": 0.0, "B": 0.0})
    found = paired(a, b, fit=flat, resamples=20)
    assert math.isnan(found.data_multiplier.value)
    assert any("data multiplier is not known" in note for note in found.notes)
    assert not any("common multiplier" in note for note in found.notes)


def test_clusters_with_values_that_are_not_finite_have_no_interval() -> None:
    y = np.array([1.0, np.inf, 2.0, 3.0])
    for found in (
        clustered(np.ones((4, 1)), y, [0, 0, 1, 1]),
        clustered(np.array([1.0, np.nan, 1.0, 1.0]), np.ones(4), [0, 0, 1, 1]),
    ):
        assert math.isnan(found.estimate(0, 0.9).value)
        assert math.isnan(found.estimate(0, 0.9).lo)


def test_resamples_and_the_bootstrap_given() -> None:
    a, b = recipes(np.random.default_rng(17), ladder(), 1.2)
    for wrong in (0, -5, 2.5, True, "many"):
        with pytest.raises(InputError, match="resamples is a number of draws"):
            paired(a, b, resamples=wrong)
    fit = sl.fit(LAW, a)
    one, other = fit.bootstrap(40, seed=1), fit.bootstrap(40, seed=2)  # the second is kept
    kept = paired(a, b, fit=fit)
    assert paired(a, b, fit=fit, boot=other).data_multiplier == kept.data_multiplier
    assert paired(a, b, fit=fit, boot=one).data_multiplier != kept.data_multiplier


# What is shipped, and the command ------------------------------------------------------------------------


def test_longer_decays_are_better_on_the_shipped_ladder(cli, tmp_path: Path) -> None:
    a, b = SHIPPED / "quickstart", SHIPPED / "decay20" / "table.csv"
    left, right = sl.read_runs(a), sl.read_runs(b)
    left = left[(left["eval_set"] == "average") & (left["kind"] == "branch")]
    both = left.merge(right, on=["params", "tokens", "seed"])
    assert len(both) == 28
    picture = tmp_path / "paired.png"
    code, out, err = cli("paired", a, b, "--bootstrap", 50, "--figure", picture, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["difference"]["value"] == pytest.approx(
        np.log(both["loss_y"] / both["loss_x"]).mean(), rel=1e-9
    )
    assert found["difference"]["hi"] < 0
    assert found["data_multiplier"]["lo"] > 1
    assert found["trunks"] == 8
    assert picture.stat().st_size > 0
    code, out, err = cli("paired", a, b, "--bootstrap", 50)
    assert code == 0
    assert "B is better" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    code, out, err = cli("paired", a, b, "--eval-set", "code")
    assert (code, out) == (2, "")
    assert err.startswith('error: "code" is not an eval set of both tables')
