"""What is drawn: units on the axes, curves equal to the fit's predictions, bands around them, marks in place."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.contour import ContourSet

import scalinglab as sl
from scalinglab import laws, plots
from scalinglab.analysis import continual, equivalent_size, optimum
from scalinglab.errors import InputError

SIZES = (11_000.0, 24_000.0, 49_000.0, 98_000.0)


def polygons(ax):
    return [each for each in ax.collections if isinstance(each, PolyCollection)]


def legend_texts(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def draws_without_complaint(ax) -> None:
    """Layout included: text too large for the figure would warn, and warnings are errors here."""
    ax.figure.canvas.figure.draw_without_rendering()


# Loss against tokens --------------------------------------------------------------------------------------


def test_loss_vs_tokens_draws_the_fit_and_its_rows(fit, runs):
    ax = plots.loss_vs_tokens(fit)
    draws_without_complaint(ax)
    assert ax.get_xlabel() == "training tokens D"
    assert ax.get_ylabel() == "loss (nats/byte)"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert legend_texts(ax) == ["98k", "49k", "24k", "11k", "beyond\nthe runs"]
    solid = [line for line in ax.lines if line.get_linestyle() == "-" and line.get_alpha() is None]
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(solid) == len(dashed) == len(polygons(ax)) == len(ax.containers) == 4
    for n, trained, whole, band, points in zip(
        SIZES, solid, dashed, polygons(ax), ax.containers, strict=True
    ):
        tokens, loss = whole.get_data()
        predicted = fit.predict(params=n, tokens=tokens, interval=0.9)
        np.testing.assert_array_equal(loss, predicted["loss"])
        own = runs[runs["params"] == n]
        inside = (tokens >= own["tokens"].min()) & (tokens <= own["tokens"].max())
        np.testing.assert_array_equal(np.isfinite(trained.get_ydata()), inside)
        assert not inside.all()  # the curve goes on beyond the runs, dashed
        lower, upper = edges(band, tokens)
        np.testing.assert_array_equal(lower, predicted["loss_lo"])
        np.testing.assert_array_equal(upper, predicted["loss_hi"])
        assert ((lower <= loss) & (loss <= upper)).all()
        np.testing.assert_array_equal(np.column_stack(points.lines[0].get_data()), own[["tokens", "loss"]])
        bars = np.array(points.lines[2][0].get_segments())
        np.testing.assert_allclose(bars[:, 1, 1] - bars[:, 0, 1], 2 * 0.012)


def edges(band: PolyCollection, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper edge of a fill_between over increasing x."""
    corners = band.get_paths()[0].vertices
    at = [corners[np.isclose(corners[:, 0], each, rtol=1e-12), 1] for each in x]
    return np.array([ys.min() for ys in at]), np.array([ys.max() for ys in at])


def test_everything_drawn_is_in_view(fit, runs):
    ax = plots.loss_vs_tokens(fit)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    assert x0 < runs["tokens"].min() < runs["tokens"].max() < x1
    assert y0 < runs["loss"].min() < runs["loss"].max() < y1


def test_without_loss_se_there_are_no_error_bars(fit, runs):
    ax = plots.loss_vs_tokens(fit, runs.drop(columns="loss_se"))
    assert all(not container.has_yerr for container in ax.containers)


def test_many_sizes_get_a_colour_bar_and_eight_curves(data_folder):
    runs = sl.read_runs(data_folder / "hoffmann_epoch_fig4.csv")
    fit = sl.fit(laws.Chinchilla(), runs[runs["dropped_by_besiroglu"] == 0])
    fit.bootstrap(50, seed=0)
    ax = plots.loss_vs_tokens(fit)
    draws_without_complaint(ax)
    assert legend_texts(ax) == ["beyond\nthe runs"]
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "model size N (parameters)"
    assert {"100M", "1B", "10B"} <= {label.get_text() for label in bar.get_yticklabels()}
    assert len(polygons(ax)) == 8
    assert sum(len(container.lines[0].get_xdata()) for container in ax.containers) == 240
    assert ax.get_ylabel() == "loss (unit not given)"


def test_given_constants_have_no_band_and_need_runs(runs, truth):
    given = sl.Fit.from_constants(laws.Chinchilla(), truth)
    ax = plots.loss_vs_tokens(given, runs)
    assert not polygons(ax)
    tokens, loss = ax.lines[1].get_data()
    expected = truth["E"] + truth["A"] * SIZES[0] ** -truth["alpha"] + truth["B"] * tokens ** -truth["beta"]
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    with pytest.raises(InputError, match="no run to draw: this fit's constants were given, so pass runs="):
        plots.loss_vs_tokens(given)


def test_a_law_of_one_variable_is_refused(runs):
    curve = sl.fit(laws.PowerLaw("tokens"), runs[runs["params"] == SIZES[0]])
    for figure in (plots.loss_vs_tokens, plots.residuals, plots.contours):
        with pytest.raises(InputError, match="is a law in tokens, not in params and tokens"):
            figure(curve)


# Residuals ------------------------------------------------------------------------------------------------


def test_residuals_are_those_of_the_fit(fit, runs):
    ax = plots.residuals(fit)
    draws_without_complaint(ax)
    drawn = np.concatenate(
        [np.column_stack(line.get_data()) for line in ax.lines if line.get_marker() == "o"]
    )
    left = 100 * np.log(runs["loss"] / fit.predict(params=runs["params"], tokens=runs["tokens"])["loss"])
    expected = np.column_stack([6 * runs["params"] * runs["tokens"], left])
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)], rtol=1e-12)
    assert ax.get_xlabel() == "training compute C = 6ND (FLOPs)"
    assert ax.get_ylabel() == "residual, ln(loss / fit) (%)"
    assert f"{np.std(left):.2g} %" in ax.get_title("left")


# Contours -------------------------------------------------------------------------------------------------


def test_contours_are_lines_of_equal_loss(fit, runs):
    ax = plots.contours(fit)
    draws_without_complaint(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("model size N (parameters)", "training tokens D")
    loss, compute = [each for each in ax.collections if isinstance(each, ContourSet)]
    assert 5 <= len(loss.levels) <= 8
    for level, path in zip(loss.levels, loss.get_paths(), strict=True):
        # inline labels cut the lines, the rest of each stays on its level (the grid's cells are 1 % wide)
        n, d = path.vertices.T
        np.testing.assert_allclose(fit.law.predict(fit.constants, params=n, tokens=d), level, rtol=1e-3)
    for level, path in zip(compute.levels, compute.get_paths(), strict=True):
        assert np.log10(level) == round(np.log10(level))
        np.testing.assert_allclose(6 * path.vertices[:, 0] * path.vertices[:, 1], level, rtol=1e-2)
    points = next(each for each in ax.collections if each.get_label() == "runs")
    np.testing.assert_allclose(points.get_offsets(), runs[["params", "tokens"]])
    np.testing.assert_allclose(points.get_array(), runs["loss"])
    assert points.norm is loss.norm  # a run's colour is its loss on the contours' own map
    assert "equal loss (nats/byte)" in legend_texts(ax)


def test_the_optimal_line_is_the_closed_form_within_its_band(fit):
    ax = plots.contours(fit)
    dashed = next(line for line in ax.lines if line.get_linestyle() == "--")
    n, d = dashed.get_data()
    c = fit.law.standard(fit.constants)
    # on the line dL/dlnN = dL/dlnD: αA·N^-α = βB·D^-β (Hoffmann et al. 2022, from eq. 4)
    np.testing.assert_allclose(c.alpha * c.A * n**-c.alpha, c.beta * c.B * d**-c.beta, rtol=1e-9)
    corners = ax.patches[0].get_path().vertices[:-1]
    few, most = corners[: len(n)], corners[len(n) : 2 * len(n)][::-1]
    assert ((few[:, 0] <= n) & (n <= most[:, 0])).all()
    np.testing.assert_allclose(6 * few[:, 0] * few[:, 1], 6 * n * d, rtol=1e-9)  # at its own budget
    middle = len(n) // 2
    found = optimum(fit, 6 * n[middle] * d[middle]).params
    np.testing.assert_allclose([few[middle, 0], most[middle, 0]], [found.lo, found.hi])
    solid = next(line for line in ax.lines if line.get_label().startswith("compute-optimal"))
    kept = np.isfinite(solid.get_xdata())
    np.testing.assert_array_equal(kept, fit.predict(params=n, tokens=d)["extrapolation"] == 0)
    assert 0 < kept.sum() < len(kept)


def test_a_budget_marks_its_optimum(fit):
    ax = plots.contours(fit, flops=1e13)
    draws_without_complaint(ax)
    star = next(line for line in ax.lines if line.get_marker() == "*")
    best = optimum(fit, 1e13)
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (best.params.value, best.tokens.value)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    assert x0 < star.get_xdata()[0] < x1
    assert y0 < star.get_ydata()[0] < y1


def test_contours_of_a_published_law(runs):
    given = sl.Fit.from_constants(
        laws.Chinchilla(), {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
    )
    ax = plots.contours(given, flops=5.76e23)
    draws_without_complaint(ax)
    assert list(ax.patches) == []  # no interval without rows
    star = next(line for line in ax.lines if line.get_marker() == "*")
    assert 6 * star.get_xdata()[0] * star.get_ydata()[0] == pytest.approx(5.76e23)
    with pytest.raises(InputError, match="need runs= or flops="):
        plots.contours(given)


# Continual training ---------------------------------------------------------------------------------------


def test_continual_names_the_better_law(runs):
    found = continual(runs)
    found.power.bootstrap(100, seed=0)
    found.exponential.bootstrap(100, seed=0)
    ax = plots.continual(found, runs)
    draws_without_complaint(ax)
    assert ax.get_xlabel() == "training compute C = 6ND (FLOPs)"
    assert ax.get_ylabel() == "loss (nats/byte)"
    texts = legend_texts(ax)
    assert found.better is found.power
    assert texts[0] == f"power law, floor {found.power.constants['E']:.3g} (better)"
    assert texts[1] == f"exponential, floor {found.exponential.constants['E']:.3g}"
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    for curve, band, fit in zip(dashed, polygons(ax), (found.power, found.exponential), strict=True):
        flops, loss = curve.get_data()
        np.testing.assert_array_equal(loss, fit.predict(flops_6nd=flops)["loss"])
        lower, upper = edges(band, flops)
        assert ((lower < loss) & (loss < upper)).mean() > 0.95
    (points,) = ax.containers
    np.testing.assert_array_equal(points.lines[0].get_ydata(), found.rows["loss"])


def test_continual_shows_what_is_off_the_envelope_and_says_undecided(runs):
    worse = runs[(runs["params"] == SIZES[0]) & (runs["tokens"] == 2e6)].assign(loss=2.1)
    table = pd.concat([runs, worse], ignore_index=True)
    found = continual(table)
    assert len(found.rows) == 9
    ax = plots.continual(found, table)
    hollow = next(line for line in ax.lines if line.get_label() == "not on the envelope")
    assert hollow.get_ydata().tolist() == [2.1]
    undecided = dataclasses.replace(
        found, comparison=dataclasses.replace(found.comparison, best="undecided", evidence="")
    )
    texts = legend_texts(plots.continual(undecided))
    assert "the runs do not decide between them" in texts
    assert not any("better" in text for text in texts)


# Equivalent size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["optimal", 20.0])
def test_equivalent_size_reads_the_curve(fit, rule):
    loss = 1.75
    ax = plots.equivalent_size(fit, loss, params=11_000.0, tokens_per_param=rule)
    draws_without_complaint(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("model size N (parameters)", "loss (nats/byte)")
    found = equivalent_size(fit, loss, tokens_per_param=rule)
    curve = next(line for line in ax.lines if line.get_linestyle() == "--")
    n, drawn = curve.get_data()
    # the curve passes through the reading
    assert np.interp(np.log(found.params.value), np.log(n), drawn) == pytest.approx(loss, abs=1e-4)
    c = fit.law.standard(fit.constants)
    d = 20.0 * n if rule == 20.0 else (c.beta * c.B / (c.alpha * c.A) * n**c.alpha) ** (1 / c.beta)
    np.testing.assert_allclose(drawn, c.E + c.A * n**-c.alpha + c.B * d**-c.beta, rtol=1e-9)
    band, strip = polygons(ax)
    lower, upper = edges(band, n)
    assert ((lower <= drawn) & (drawn <= upper)).all()
    corners = strip.get_paths()[0].vertices[:, 0]
    assert (corners.min(), corners.max()) == (found.params.lo, found.params.hi)
    # the interval of the size is where the band at each N meets the loss
    meets = [np.exp(np.interp(-loss, -edge, np.log(n))) for edge in (lower, upper)]
    np.testing.assert_allclose(meets, corners[[corners.argmin(), corners.argmax()]], rtol=0.01)
    reading = next(line for line in ax.lines if len(line.get_xdata()) == 3)
    assert reading.get_xdata().tolist() == [11_000.0, found.params.value, found.params.value]
    assert f"worth N = {found.params.text(True)}" in legend_texts(ax)


def test_equivalent_size_of_a_model_uses_the_fits_loss(fit):
    ax = plots.equivalent_size(fit, params=11_000.0, tokens=4e6)
    square = next(line for line in ax.lines if line.get_marker() == "s")
    assert square.get_ydata()[0] == fit.predict(params=11_000.0, tokens=4e6)["loss"].iloc[0]
    with pytest.raises(InputError, match="no size reaches a loss"):
        plots.equivalent_size(fit, 0.5)


# Schedule and loss ----------------------------------------------------------------------------------------


def test_schedule_and_loss_marks_forks_and_ends(training_records):
    trunk, branches = training_records()
    ax = plots.schedule_and_loss(trunk, branches)
    draws_without_complaint(ax)
    rate = ax.figure.axes[-1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("tokens", "training loss (nats/byte)")
    assert rate.get_ylabel() == "learning rate"
    assert len(ax.figure.axes) == 2
    assert rate.get_xlim() == ax.get_xlim()
    marks = [line for line in rate.lines if line.get_marker() == "o"]
    forks = [line.get_xdata()[0] for line in marks if line.get_markerfacecolor() == "white"]
    ends = [line.get_xdata()[0] for line in marks if line.get_markerfacecolor() != "white"]
    assert ends == [512.0 * end for end in (500, 1000, 2000)]
    assert forks == [512.0 * (int(0.8 * end) + 10) for end in (500, 1000, 2000)]
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), [0.0, *trunk["lr"]])
    assert rate.lines[1].get_ydata()[1:].tolist() == branches["b500"]["lr"].tolist()
    raw = [line for line in ax.lines if line.get_alpha() is not None]
    np.testing.assert_array_equal(raw[0].get_ydata(), trunk["loss"])
    assert len(raw) == 4
    crosses = next(line for line in ax.lines if line.get_marker() == "x")
    np.testing.assert_allclose(crosses.get_ydata(), [branch["eval_loss"][-1] for branch in branches.values()])
    assert legend_texts(rate) == ["trunk", "branch (dark: short)", "fork", "branch end", "held-out loss"]


def test_a_trunk_alone_and_a_list_of_branches(training_records):
    trunk, branches = training_records()
    ax = plots.schedule_and_loss(pd.DataFrame(trunk))
    draws_without_complaint(ax)
    assert len(ax.lines) == 2
    listed = plots.schedule_and_loss(trunk, list(branches.values()))
    assert len(listed.lines) == len(plots.schedule_and_loss(trunk, branches).lines)


def test_metrics_without_a_column_are_refused(training_records):
    trunk, branches = training_records()
    del branches["b1000"]["lr"]
    with pytest.raises(InputError, match='the metrics of the branch b1000 have no column "lr"'):
        plots.schedule_and_loss(trunk, branches)
    with pytest.raises(InputError, match="the metrics of the trunk are empty"):
        plots.schedule_and_loss({"tokens": [], "lr": [], "loss": []})


# Styles and files ----------------------------------------------------------------------------------------


def test_styles_leave_nothing_behind(fit):
    import matplotlib

    before = dict(matplotlib.rcParams)
    with plots.style("paper"):
        ax = plots.residuals(fit)
    plots.residuals(fit)
    assert dict(matplotlib.rcParams) == before
    draws_without_complaint(ax)  # outside the context, with ticks made only now
    assert ax.xaxis.get_ticklabels()[0].get_size() == 7


def test_saved_figures_are_the_same_bytes_twice(fit, tmp_path):
    first = plots.save(plots.contours(fit), tmp_path / "new" / "one")
    second = plots.save(plots.contours(fit), tmp_path / "two")
    assert [path.name for path in first] == ["one.png", "one.svg"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert len(list(tmp_path.rglob("*"))) == 5  # the folder, four files, nothing temporary


def test_no_pyplot_and_no_matplotlib_before_it_is_needed():
    code = (
        "import sys, scalinglab as sl\n"
        "assert 'contours' in sl.plots.KINDS and 'matplotlib' not in sys.modules\n"
        "from scalinglab import laws\n"
        "given = sl.Fit.from_constants(laws.Chinchilla(), dict(E=1.7, A=400., alpha=.34, B=400., beta=.28))\n"
        "sl.plots.contours(given, flops=1e21).figure.draw_without_rendering()\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
