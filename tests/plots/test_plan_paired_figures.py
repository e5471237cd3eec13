"""Cost of a ladder and paired recipes: what is drawn is what the answers say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab import plots
from scalinglab.analysis import ladder_saving, paired, plan

QUICK = Path(__file__).resolve().parents[2] / "scalinglab" / "experiments" / "quickstart.toml"
TRUTH = {"E": 1.82, "A": 478.0, "alpha": 0.347, "B": 2143.0, "beta": 0.367}


@pytest.fixture(scope="module")
def found():
    n, k = np.meshgrid(np.geomspace(1e8, 1e10, 4), np.geomspace(8, 160, 5), indexing="ij")
    runs = pd.DataFrame({"params": n.ravel(), "tokens": (n * k).ravel(), "seed": 0})
    law, rng = sl.laws.Chinchilla(), np.random.default_rng(0)
    a, b = (
        runs.assign(loss=law.predict(TRUTH, params=runs["params"], tokens=m * runs["tokens"]))
        for m in (1.0, 1.2)
    )
    noise = np.exp(rng.normal(0, 1e-3, len(runs)))
    return paired(a, b.assign(loss=b["loss"] * noise), resamples=50)


def draws_without_complaint(ax) -> None:
    ax.figure.canvas.figure.draw_without_rendering()


def test_bars_are_the_plans_costs_and_the_curve_its_closed_form() -> None:
    cost = plan(QUICK)
    ax = plots.ladder_cost(cost)
    draws_without_complaint(ax)
    trunk, branch, scratch = ([bar.get_height() for bar in container] for container in ax.containers)
    sizes = cost.rows.iloc[:-1]
    assert trunk == sizes["trunk_flops_exact"].tolist()
    assert branch == sizes["branch_flops_exact"].tolist()
    assert scratch == sizes["scratch_flops_exact"].tolist()
    assert [bar.get_y() for bar in ax.containers[1]] == trunk  # stacked
    assert [text.get_text() for text in ax.get_xticklabels()] == list(sizes["size"])
    assert ax.get_ylabel() == "training compute (exact, FLOPs)"
    saving = ax.figure.axes[-1]
    n, curve = saving.lines[0].get_data()
    for at in (1, 6, 20):
        assert curve[list(n).index(at)] == pytest.approx(ladder_saving(range(1, at + 1), 0.1))
    assert saving.lines[1].get_ydata()[0] == pytest.approx(10.0)
    own = dict(zip(*saving.lines[2].get_data(), strict=True))
    assert own == dict(zip(cost.trunks["horizons"], cost.trunks["saved"], strict=True))


def test_with_hardware_the_bars_are_hours() -> None:
    cost = plan([1e8, 1e9], tokens_per_param=[10, 20], decay="appended", hardware="h100")
    ax = plots.ladder_cost(cost)
    draws_without_complaint(ax)
    assert ax.get_ylabel() == "device-hours (h100, 40% MFU)"
    heights = [bar.get_height() for bar in ax.containers[2]]
    assert heights == pytest.approx(cost.rows["scratch_hours"].iloc[:-1].tolist())
    n, curve = ax.figure.axes[-1].lines[0].get_data()
    assert curve[list(n).index(20)] == pytest.approx(ladder_saving(range(1, 21), 0.1, "appended"))


def test_a_study_file_is_drawn_by_name() -> None:
    ax = plots.KINDS["ladder_cost"].draw(QUICK)
    assert len(ax.containers) == 3


def test_pairs_are_drawn_with_their_mean_and_its_band(found) -> None:
    ax = plots.paired(found)
    draws_without_complaint(ax)
    assert ax.get_xlabel() == "training compute C = 6ND (FLOPs)"
    assert ax.get_ylabel() == "loss of B over A, ln(B/A) (%)"
    (band,) = ax.patches
    low, high = band.get_y(), band.get_y() + band.get_height()
    assert (low, high) == pytest.approx((100 * found.difference.lo, 100 * found.difference.hi))
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(points) == found.trunks == 4
    drawn = np.sort(np.concatenate([line.get_ydata() for line in points]))
    np.testing.assert_allclose(drawn, np.sort(100 * found.pairs["difference"]))
    crosses = next(line for line in ax.lines if line.get_marker() == "x")
    law, m = found.fit.law, found.data_multiplier.value
    n, d = found.pairs["params"], found.pairs["tokens"]
    expected = 100 * np.log(
        law.predict(found.fit.constants, params=n, tokens=m * d)
        / law.predict(found.fit.constants, params=n, tokens=d)
    )
    np.testing.assert_allclose(crosses.get_ydata(), expected, rtol=1e-9)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0] == "10B"
    assert texts[-1] == f"what A would gain\nwith {m:.3g}× the data"
    assert any(line.get_ydata()[0] == 0 for line in ax.lines if len(line.get_xdata()) == 2)
