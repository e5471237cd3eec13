"""Pairs by seed and cell: against closed forms, and against scipy where there is one cell."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_1samp

from scalinglab.analysis import Estimate
from scalinglab.analysis.seed_gaps import SeedGaps, judged, level_where

CELLS = [1e6, 2e6, 4e6, 8e6]


def gaps(values: object, cells: list[float] = CELLS) -> SeedGaps:
    return SeedGaps(pd.DataFrame(np.asarray(values, float), columns=cells[: np.shape(values)[1]]))


def test_one_cell_is_the_t_interval_of_a_mean() -> None:
    values = [[0.3], [0.1], [0.7], [0.2]]
    expected = ttest_1samp(np.ravel(values), 0.0).confidence_interval(0.9)
    for found in (gaps(values).cell(1e6), gaps(values).overall()):
        assert (found.lo, found.hi) == pytest.approx((expected.low, expected.high))


def test_cells_that_deviate_alike_count_as_one() -> None:
    found = gaps(np.array([[-1.0], [0.0], [1.0]]) + np.array([0.0, 5.0, 9.0, 2.0]))
    assert found.correlation == pytest.approx(1.0)
    assert found.freedom == pytest.approx(2.0)
    assert found.sd == pytest.approx(1.0)


def test_cells_that_deviate_independently_count_each() -> None:
    # two orthogonal contrasts of three seeds, of equal length
    a, b = np.array([-1.0, 0.0, 1.0]) / math.sqrt(2), np.array([1.0, -2.0, 1.0]) / math.sqrt(6)
    found = gaps(np.column_stack([a, b]))
    assert found.correlation == pytest.approx(0.0, abs=1e-12)
    assert found.freedom == pytest.approx(4.0)
    half = t.ppf(0.95, 4.0) * math.sqrt(0.5) / math.sqrt(3)  # pooled variance: (1 + 1) / 4
    assert found.cell(2e6).hi == pytest.approx(half)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    hits, n = 0, 300
    for _ in range(n):
        shared, own = rng.standard_normal((4, 1)), rng.standard_normal((4, 3))
        one = gaps(np.sqrt(0.5) * shared + np.sqrt(0.5) * own).cell(2e6)
        hits += one.lo <= 0 <= one.hi
    # nominal 0.9; three standard errors of 300 draws are 0.052, and few seeds make it somewhat wide
    assert 0.9 - 0.052 < hits / n < 0.97


def test_a_trend_is_the_slope_a_doubling_and_a_missing_pair_is_left_out() -> None:
    values = 0.3 + 0.02 * np.arange(4) + np.array([[-0.1], [0.0], [0.1]])
    assert gaps(values).trend().value == pytest.approx(0.02)
    values[2, 3] = np.nan
    found = gaps(values)
    assert found.cell(8e6).value == pytest.approx(0.36 - 0.05)
    assert found.sd == pytest.approx(math.sqrt((3 * 0.02 + 0.005) / 7))


def test_one_seed_has_no_interval() -> None:
    found = gaps([[0.1, 0.2]])
    assert math.isnan(found.sd)
    assert all(math.isnan(each.lo) for each in (found.cell(1e6), found.overall(), found.trend()))
    assert judged(found.overall(), 0.01) == "open"


def test_judged_by_the_whole_interval() -> None:
    assert judged(Estimate(2.0, 1.1, 2.9), 1.0) == "beyond"
    assert judged(Estimate(0.0, -0.9, 0.9), 1.0) == "within"
    assert judged(Estimate(1.0, 0.5, 1.5), 1.0) == "open"


def test_where_a_curve_comes_down_to_zero() -> None:
    x = np.array([0.025, 0.05, 0.1, 0.2])
    curve = [Estimate(v := 0.04 * math.log(0.06 / share), v - 0.01, v + 0.01) for share in x]
    found = level_where(x, curve)
    # straight in ln x, so exact; an end is moved by 0.01 along the same line
    assert found.value == pytest.approx(0.06)
    assert (found.lo, found.hi) == pytest.approx((0.06 * math.exp(-0.25), 0.06 * math.exp(0.25)))
    assert level_where(x, [Estimate(1.0, -1.0, 2.0)] * 4) == Estimate(math.inf, 0.0, math.inf)
