"""Approach 1 against closed forms, a known law, independent smoothing and simulation."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglab import laws
from scalinglab.analysis import Convention, envelope, optimal_params_tokens
from scalinglab.analysis.convention import SIX_ND
from scalinglab.analysis.crossing import meeting_flops
from scalinglab.analysis.curves import as_curves, running
from scalinglab.errors import InputError
from scalinglab.records import read_runs, read_trunk_curves

LAW = laws.Chinchilla()
TRUTH = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
A = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
QUICKSTART = Path(__file__).resolve().parents[2] / "notebooks" / "data" / "quickstart"


def curves(sizes, points=60, reach=(1, 400), **columns) -> pd.DataFrame:
    """A curve a size of the known law, from D/N = reach[0] to reach[1]."""
    parts = []
    for n in sizes:
        d = np.geomspace(reach[0] * n, reach[1] * n, points)
        loss = LAW.predict(TRUTH, params=n, tokens=d)
        parts.append(pd.DataFrame({"run_id": f"{n:.6g}", "params": n, "tokens": d, "loss": loss, **columns}))
    return pd.concat(parts, ignore_index=True)


def test_denser_sizes_recover_the_exponent() -> None:
    """Stairs of n regular steps are flatter than their slope by 1/n²; the middles of their steps lie on it."""
    for k in (6, 12, 24):
        dense = curves(np.geomspace(1e7, 1e10, k))
        every = envelope(dense, through="budgets", budgets=800, resamples=0, smooth=0)
        stairs = int((every.rows["edge"] == "").sum())
        assert stairs == k - 2
        assert every.a.value == pytest.approx(A * (1 - 1 / stairs**2), rel=0.01)
        middles = envelope(dense, budgets=800, resamples=0, smooth=0)
        assert middles.a.value == pytest.approx(A, rel=0.01)
        assert middles.b.value == pytest.approx(1 - middles.a.value, abs=1e-9)  # D = C/6N
    assert abs(every.a.value / A - 1) < 0.005


def test_stretches_end_where_the_law_has_its_crossings() -> None:
    sizes = np.geomspace(1e7, 1e9, 6)
    found = envelope(curves(sizes, points=400), budgets=1500, resamples=0, smooth=0)
    rows = found.rows
    assert list(rows["params"]) == pytest.approx(list(sizes))
    for i in range(5):
        between = float(meeting_flops(LAW, TRUTH, sizes[i], sizes[i + 1], SIX_ND))
        step = found.flops.iloc[1] / found.flops.iloc[0]
        assert rows["flops_to"][i] <= between * step
        assert rows["flops_from"][i + 1] >= between / step
    assert list(rows["edge"]) == ["smallest", "", "", "", "", "largest"]
    # the lowest loss there is at each budget
    lowest = [
        min(float(LAW.predict(TRUTH, params=n, tokens=c / 6 / n)) for n in sizes)
        for c in found.optima["flops"]
    ]
    np.testing.assert_allclose(found.optima["loss"], lowest, rtol=1e-5)


def test_n_and_d_at_a_budget() -> None:
    found = envelope(curves(np.geomspace(1e7, 1e10, 30)), resamples=100, smooth=0)
    budgets = np.array([1e19, 1e20, 1e24])
    n, d = LAW.optimal(TRUTH, budgets)
    rows = found.at(budgets)
    np.testing.assert_allclose(rows["params"], n, rtol=0.1)
    np.testing.assert_allclose(rows["tokens"], d, rtol=0.1)
    np.testing.assert_allclose(6 * rows["params"] * rows["tokens"], budgets, rtol=1e-6)
    assert (rows["params_lo"] <= rows["params"]).all()
    assert (rows["params"] <= rows["params_hi"]).all()
    assert list(rows["extrapolation"] > 0) == [False, False, True]


def test_another_cost() -> None:
    """A cost of 12·N·D is 6·N·D at twice the budget: the same exponents and sizes."""
    dense = curves(np.geomspace(1e7, 1e10, 12))
    six, twelve = (
        envelope(dense, cost, resamples=0) for cost in ("6ND", Convention("12ND", lambda n, d: 12 * n * d))
    )
    assert twelve.a.value == pytest.approx(six.a.value, rel=1e-6)
    assert twelve.rows["flops_to"].to_numpy() == pytest.approx(2 * six.rows["flops_to"].to_numpy())
    # a head that costs the small ones more: C = (6N + h)·D, whose optimum has an independent search
    head = Convention("head", lambda n, d: (6 * n + 1e8) * d)
    headed = envelope(dense, head, resamples=0)
    ends = headed.optima["flops"].iloc[[0, -1]]
    (n0, d0), (n1, d1) = (optimal_params_tokens(LAW, TRUTH, c, head) for c in ends)
    decades = math.log(ends.iloc[1] / ends.iloc[0])
    assert headed.a.value == pytest.approx(math.log(n1 / n0) / decades, rel=0.03)
    assert headed.b.value == pytest.approx(math.log(d1 / d0) / decades, rel=0.03)
    assert headed.a.value + headed.b.value > 1.02
    table = dense.assign(flops_exact=(6 * dense["params"] + 1e8) * dense["tokens"])
    assert envelope(table, "exact", resamples=0).a.value == pytest.approx(headed.a.value, rel=1e-3)


def test_intervals_hold_the_truth() -> None:
    """Sizes drawn at random, each trunk with a deviation of its own: the 90 % interval holds the exponent."""
    rng, hits = np.random.default_rng(0), 0
    for seed in range(16):
        drawn = curves(np.sort(10 ** rng.uniform(7, 10, 16)), points=30)
        own = {run: math.exp(rng.normal(0, 0.002)) for run in drawn["run_id"].unique()}
        drawn["loss"] *= drawn["run_id"].map(own)
        found = envelope(drawn, budgets=120, resamples=80, smooth=0, seed=seed)
        hits += found.a.lo <= A <= found.a.hi
    assert hits >= 12  # intervals that covered 90 % would fail this once in 60 seeds, these cover more


def test_edges_are_not_optima() -> None:
    """A size that wins only because the next smaller curve has ended is no optimum; one that overtook it is."""
    full = curves([1e7, 1e8, 1e9], reach=(1, 2000))
    overtakes = float(meeting_flops(LAW, TRUTH, 1e7, 1e8, SIX_ND))
    spent = 6 * full["params"] * full["tokens"]
    small = full["params"] == 1e7
    for stop, edge in ((0.5 * overtakes, "smaller not seen"), (2 * overtakes, "")):
        rows = envelope(full[~small | (spent < stop)], resamples=0, smooth=0).rows
        middle = rows[rows["params"] == 1e8]
        assert list(middle["edge"]) == [edge]
    # the power law of one optimum is not identified, and that is said
    found = envelope(full, resamples=50, smooth=0)
    assert math.isnan(found.a.value)
    assert "no power law" in found.headline()
    assert any("add sizes" in note for note in found.notes)
    assert found.at(1e20)["params"].isna().all()


def test_few_sizes_have_no_interval() -> None:
    found = envelope(curves(np.geomspace(1e7, 1e9, 4)), resamples=200)
    assert np.isfinite(found.a.value)
    assert math.isnan(found.a.lo)
    assert any("No interval" in note for note in found.notes)


# ---- curves ---------------------------------------------------------------------------------------


def test_smoothing_is_a_line_through_each_window() -> None:
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.uniform(0, 1, 80)), rng.normal(0, 1, 80)
    expected = []
    for at in x:
        near = np.abs(x - at) <= 0.05
        expected.append(np.polyval(np.polyfit(x[near] - at, y[near], min(1, near.sum() - 1)), 0.0))
    own = [abs(x - at).__le__(0.05).sum() > 2 for at in x]
    np.testing.assert_allclose(running(x, y, 0.05)[own], np.array(expected)[own], atol=1e-9)
    for how in ("mean", "median"):  # neither bends a straight line, at its ends either
        np.testing.assert_allclose(running(x, 3 - 2 * x, 0.1, how), 3 - 2 * x, atol=1e-12)
    spiked = 3 - 2 * x
    spiked[40] += 50
    assert abs(running(x, spiked, 0.2, "median") - (3 - 2 * x)).max() < 5
    np.testing.assert_array_equal(running(x, y, 0.0), y)


def test_smoothing_takes_noise_out_of_the_exponent() -> None:
    rng = np.random.default_rng(3)
    noisy = curves(np.geomspace(1e7, 1e10, 16), points=400)
    noisy["loss"] *= np.exp(rng.normal(0, 0.01, len(noisy)))
    raw = envelope(noisy, resamples=0, smooth=0)
    smoothed = envelope(noisy, resamples=0, smooth=0.3)
    assert any("changes" in note for note in raw.notes)
    assert abs(smoothed.a.value - A) < 0.03
    assert any("0.3 decades" in note for note in smoothed.notes)


@pytest.mark.parametrize(
    ("columns", "schedule"),
    [
        ({}, "unknown"),
        ({"schedule": "constant"}, "undecayed"),
        ({"kind": "trunk"}, "undecayed"),
        ({"phase": "stable"}, "undecayed"),
        ({"phase": "decayed"}, "decayed"),
        ({"lr": 0.01}, "undecayed"),
        ({"kind": "full", "schedule": "cosine"}, "partly decayed"),
    ],
)
def test_schedules_are_told(columns, schedule) -> None:
    found = envelope(curves(np.geomspace(1e7, 1e10, 8), **columns), resamples=20)
    assert found.schedule == schedule
    labelled = any("decayed" in note.lower() for note in found.notes)
    assert labelled == (schedule != "decayed")
    if schedule == "unknown":
        assert any("Undecayed or unknown schedule" in note for note in found.notes)


def test_a_falling_learning_rate_is_a_schedule() -> None:
    table = curves(np.geomspace(1e7, 1e10, 8))
    table["lr"] = 1 - 0.9 * table.groupby("run_id").cumcount() / 60
    assert as_curves(table).schedule == "partly decayed"


def test_branch_ends_of_a_trunk_are_one_decayed_curve() -> None:
    table = curves(np.geomspace(1e7, 1e10, 8), points=12, kind="branch")
    table["trunk_id"] = table["run_id"]
    table["run_id"] = [f"branch-{i}" for i in range(len(table))]
    trunks = table.assign(run_id=table["trunk_id"], kind="trunk", loss=table["loss"] + 0.2)
    found = envelope(pd.concat([table, trunks], ignore_index=True), resamples=20, smooth=0)
    assert found.schedule == "decayed"
    assert found.curves.rows["curve"].nunique() == 8
    pd.testing.assert_series_equal(found.curves.rows["loss"], table["loss"].sort_index(), check_index=False)
    assert any("left out" in note for note in found.notes)


def test_budgets_no_curve_reaches() -> None:
    table = curves(np.geomspace(1e7, 1e9, 5))
    spent = 6 * table["params"] * table["tokens"]
    span = f"they cover {spent.min():.3g} to {spent.max():.3g} FLOPs"
    with pytest.raises(InputError, match=re.escape(span)):
        envelope(table, budgets=[1e30, 1e31], resamples=0)
    inside = np.geomspace(1e17, 1e19, 30)
    some = envelope(table, budgets=[*inside, 1e30], resamples=0)
    np.testing.assert_allclose(some.flops, inside)
    assert any("1 of 31 budgets" in note for note in some.notes)


def test_smooth_is_any_real_number() -> None:
    table = curves(np.geomspace(1e7, 1e9, 5))
    for number in (np.float32(0.25), np.int64(1)):
        found, same = (envelope(table, resamples=0, smooth=v) for v in (number, float(number)))
        assert found.a == same.a
    with pytest.raises(InputError, match="width in decades"):
        envelope(table, smooth="0.1")  # type: ignore[arg-type]


def test_what_cannot_be_read_is_refused() -> None:
    good = curves([1e7, 1e8, 1e9])
    for bad, message in (
        (good.drop(columns="run_id"), 'no column "run_id".*params'),
        (good.drop(columns="tokens"), 'lacks the column "tokens"'),
        (good.rename(columns={"loss": "val_loss"}), 'rename "val_loss" to "loss"'),
        (good[good["params"] < 5e8], "2 sizes .*at least 3 are needed"),
        (good.assign(run_id=[f"{i}" for i in range(len(good))]), "0 sizes .*two points"),
        (good.assign(run_id="one"), "curve one has several sizes"),
        (good.assign(loss_unit=["nats/byte", "nats/token"] * 90), "keep one unit"),
    ):
        with pytest.raises(InputError, match=message):
            envelope(bad)
    for options, message in (
        ({"through": "both"}, "middles"),
        ({"smooth": -1}, "width in decades"),
        ({"smoothing": "mode"}, "median"),
        ({"budgets": 1}, "two budgets"),
        ({"budgets": [1e18, -1]}, "positive"),
        ({"level": 2}, "share between 0 and 1"),
        ({"eval_set": "news"}, "no column eval_set"),
    ):
        with pytest.raises(InputError, match=message):
            envelope(good, **options)


# ---- a study --------------------------------------------------------------------------------------


def test_a_studys_trunks_and_its_decayed_ends() -> None:
    frame = read_trunk_curves(QUICKSTART)
    assert frame["run_id"].nunique() == 8
    assert set(frame["params"]) == {10020.0, 19852.0, 47388.0, 100672.0}
    first = frame[frame["run_id"].str.startswith("100k-s0")].iloc[0]
    assert (first["tokens"], first["loss"], first["lr"]) == (5120.0, 5.340506935119629, 0.0012000000000000001)
    assert first["flops_exact"] == 897024.0 * 5120
    # held-out losses as the study's own table has them
    held = read_trunk_curves(QUICKSTART, "average")
    table = read_runs(QUICKSTART)
    table = table[(table["kind"] == "trunk") & (table["eval_set"] == "average")]
    key = ["run_id", "tokens"]
    both = held.merge(table, on=key, suffixes=("", "_table"))
    assert len(both) == len(table) > 0
    np.testing.assert_allclose(both["loss"], both["loss_table"], rtol=1e-12)
    with pytest.raises(InputError, match=r'no trunk of .* has a loss on "news"; there are training, books'):
        read_trunk_curves(QUICKSTART, "news")
    with pytest.raises(InputError, match="holds no trained trunk"):
        read_trunk_curves(QUICKSTART.parent)

    assert envelope(QUICKSTART, resamples=20).schedule == "undecayed"
    decayed = envelope(QUICKSTART / "table.csv", "exact", resamples=20)
    assert decayed.schedule == "decayed"
    assert list(decayed.optima["params"].unique()) == [19852.0, 47388.0]


def test_gemstones_trunks(data_folder: Path) -> None:
    """Real trunks of 22 sizes: an envelope with many optima, labelled for want of a schedule."""
    table = pd.read_csv(data_folder / "curves" / "gemstones_trunk.csv")
    table = table[table["lr_setting"] == "base"].rename(columns={"params_total": "params"})
    found = envelope(table, resamples=200)
    assert (found.rows["edge"] == "").sum() >= 8
    assert 0.4 < found.a.lo < found.a.value < found.a.hi < 0.75
    assert found.schedule == "unknown"
