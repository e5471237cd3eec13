"""MiniCPM's printed figures: rounding against an optimiser, refits against scipy, the printed readings."""

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit, minimize

from scalinglab import laws
from scalinglab.experiments import equivalent_size, minicpm_continual, minicpm_law
from scalinglab.experiments.catalogue import EXPERIMENTS
from scalinglab.experiments.rounding import box, half_unit, rounded
from scalinglab.fitting import Squared, fit

# MiniCPM's table and the interval that rounding allows, to whole numbers
ALLOWED = {
    "minicpm-code": (179, 210),
    "minicpm-english": (159, 197),
    "minicpm-chinese": (807, 958),
    "minicpm-ultratext": (84, 99),
    "minicpm-yayi": (87, 128),
    "minicpm": (168, 202),
}


def test_half_a_unit_of_the_last_digit() -> None:
    assert half_unit("0.217") == pytest.approx(0.0005)
    assert half_unit("0.10") == pytest.approx(0.005)
    assert half_unit("192") == 0.5
    assert half_unit("3.47e18") == pytest.approx(0.005e18)
    grid = box({"a": "1.0", "b": "20"}, steps=3)
    assert len(grid) == 9
    assert sorted(grid["a"].unique()) == pytest.approx([0.95, 1.0, 1.05])
    found = rounded({"a": "1.0", "b": "20"}, lambda c: c["a"] * c["b"])
    assert (found.value, found.lo, found.hi) == pytest.approx((20.0, 0.95 * 19.5, 1.05 * 20.5))


@pytest.mark.parametrize("key", ALLOWED)
def test_the_printed_ratio_lies_within_rounding(key: str) -> None:
    found = minicpm_law.ratio_interval(key)
    assert found.lo <= float(minicpm_law.PRINTED[key][3]) <= found.hi
    assert (round(found.lo), round(found.hi)) == ALLOWED[key]


@pytest.mark.parametrize("key", ["minicpm-code", "minicpm"])
def test_the_ends_of_the_interval_are_a_bounded_optimisers(key: str) -> None:
    printed = laws.PUBLISHED[key].printed
    names = ("C_N", "alpha", "C_D", "beta")
    centre = np.array([float(printed[name]) for name in names])
    half = np.array([half_unit(printed[name]) for name in names])

    def log_ratio(u: np.ndarray) -> float:
        """ln D/N = −ln(K²·(C/6)^η), by hand."""
        c_n, alpha, c_d, beta = centre + u * half
        k2 = (alpha * c_n / (beta * c_d)) ** (2 / (alpha + beta))
        return -math.log(k2 * (1e3 / 6) ** ((beta - alpha) / (alpha + beta)))

    ends = [
        sign * minimize(lambda u, s=sign: s * log_ratio(u), np.zeros(4), bounds=[(-1, 1)] * 4).fun
        for sign in (1, -1)
    ]
    found = minicpm_law.ratio_interval(key)
    assert (found.lo, found.hi) == pytest.approx(tuple(math.exp(end) for end in ends), rel=1e-6)


@pytest.mark.parametrize(
    ("key", "ratio"), [("minicpm-code", 222), ("minicpm-english", 167), ("minicpm-chinese", 840)]
)
def test_the_refits_are_scipys(key: str, ratio: int) -> None:
    rows = minicpm_law.points(key)
    ours = fit(laws.MiniCPM(), rows, loss=Squared(on="loss"))
    start = list(laws.PUBLISHED[key].constants.values())
    x = rows[["params", "tokens"]].to_numpy().T / 1e9
    theirs, _ = curve_fit(
        lambda x, c_n, a, c_d, b, e: c_n * x[0] ** -a + c_d * x[1] ** -b + e, x, rows["loss"], start
    )
    assert list(ours.constants.values()) == pytest.approx(theirs, rel=1e-3)
    n, d = laws.MiniCPM().optimal(ours.constants, 1e21)
    assert round(float(d / n)) == ratio


def test_the_points_are_the_figures() -> None:
    rows = minicpm_law.points("minicpm-code")
    assert len(rows) == 12
    np.testing.assert_allclose(
        6 * rows["params"] * rows["tokens"] / 1e18, [c for ends in minicpm_law.COMPUTE for c in ends]
    )
    ratio = rows["tokens"] / rows["params"]
    assert ratio.iloc[::2].between(9, 14).all()  # the first is at about 12 tokens a parameter, the last at 70
    assert ratio.iloc[1::2].between(60, 80).all()


def test_continual_reports_the_blog_beside_the_curve() -> None:
    made = EXPERIMENTS["minicpm-continual"].run(None)
    plain = {line["what"]: line for line in made.plain()["lines"]}
    at = plain["0.036B there, power law"]
    assert at["published"] == "3.37"
    assert at["ours"].startswith("3.417 [")
    assert pytest.approx(3.417, abs=5e-4) == 0.98 * 34.68**-0.543 + 3.274
    multiple = plain["compute to match 0.17B's 3.34"]["ours"]
    assert multiple["lo"] < 4 < multiple["hi"]
    assert plain["0.17B over 0.036B in N, and inference"]["ours"] == "4.72"
    assert list(made.figures) == ["minicpm-continual"]


def test_figure_5_ends_are_at_their_compute() -> None:
    points = minicpm_continual.end_points()
    assert points["flops_6nd"].iloc[0] == pytest.approx(6 * 40 * 0.036e9**2)
    # fully decayed ends lie within 0.025 of both curves, as they were drawn through such points
    full = points[points["decay_share"] >= 0.099]
    assert len(full) == 3
    for one in minicpm_continual.curves():
        off = one.predict(flops_6nd=full["flops_6nd"])["loss"].to_numpy() - full["loss"]
        assert off.abs().max() < 0.025


def test_minicpm_is_worth_about_a_9b() -> None:
    found = equivalent_size.reading()
    assert found.params.value == pytest.approx(equivalent_size.size_of(2.41, 2.45, 2.40), rel=1e-9)
    assert round(found.params.value / 1e9) == 9
    for floor in (0.5, 1.5, equivalent_size.highest_floor(2.45, 2.40)):
        curve = equivalent_size.through(2.45, 2.40, floor)
        np.testing.assert_allclose(curve.predict(params=[7e9, 9e9])["loss"], [2.45, 2.40])
        assert equivalent_size.reading(floor).params.value == pytest.approx(
            equivalent_size.size_of(2.41, 2.45, 2.40, floor), rel=1e-9
        )
        assert 8.4e9 < equivalent_size.reading(floor).params.value < 8.6e9
    assert curve.constants["alpha"] == pytest.approx(equivalent_size.EXPONENT)
    made = EXPERIMENTS["equivalent-size"].run(None)
    assert "9B itself being its upper end" in made.verdict


def test_figures_can_be_drawn(tmp_path) -> None:
    from scalinglab import plots

    with plots.style("paper"):
        for name in ("minicpm-continual", "equivalent-size"):
            for stem, draw in EXPERIMENTS[name].run(None).figures.items():
                assert plots.save(draw(), tmp_path / stem, ("png",))[0].stat().st_size > 10_000
    refits = {}
    for key in minicpm_law.LOSSES:
        refits[key] = fit(laws.MiniCPM(), minicpm_law.points(key), loss=Squared(on="loss"))
        refits[key].bootstrap(30, seed=0)
    for draw in (minicpm_law.contour_facets, minicpm_law.loss_facets):
        figure = draw(refits).figure
        titles = [ax.get_title() for ax in figure.axes]
        assert all(name in " ".join(titles) for name in ("Code", "English Wikihow", "Chinese Wikihow"))
        assert len(titles) == (6 if draw is minicpm_law.contour_facets else 3)
        figure.draw_without_rendering()
