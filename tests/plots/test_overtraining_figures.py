"""The figures of over-training, serving and repeated data: their lines and bands are the answers' own."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import scalinglab as sl
from scalinglab import plots
from scalinglab.analysis import data_limited, inference_optimum, overtraining
from scalinglab.errors import InputError


@pytest.fixture(scope="module")
def fit() -> sl.Fit:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(np.random.default_rng(0).normal(0, 1e-3, n.size))
    runs = pd.DataFrame({"params": n, "tokens": d, "loss": loss, "loss_unit": "nats/token"})
    found = sl.fit(sl.laws.Chinchilla(), runs)
    found.bootstrap(40)
    return found


@pytest.fixture(scope="module")
def given() -> sl.Fit:
    constants = {"E": 1.69, "A": 406.4, "alpha": 0.336, "B": 410.7, "beta": 0.283}
    return sl.Fit.from_constants(sl.laws.Chinchilla(), constants)


def labels(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def band_at(ax, i: int) -> tuple[float, float]:
    """Ends of the first band at its i-th x."""
    corners = ax.collections[0].get_paths()[0].vertices
    x = np.unique(corners[:, 0])[i]
    at = corners[corners[:, 0] == x, 1]
    return at.min(), at.max()


def panels(ax):
    ax.figure.draw_without_rendering()
    return ax, ax.figure.axes[-1]


def test_overtraining_draws_its_answer(fit: sl.Fit) -> None:
    above, below = panels(plots.overtraining(fit, 1e21))
    line = next(each for each in above.lines if each.get_label().startswith("compute to reach"))
    k, multiple = line.get_data()
    found = overtraining(fit, 1e21, k, beyond=np.inf)
    finite = np.isfinite(multiple)
    np.testing.assert_allclose(multiple[finite], found.rows["compute_multiple"][finite])
    assert (found.rows["compute_multiple"][~finite] == np.inf).all()
    np.testing.assert_allclose(below.lines[-1].get_ydata(), found.rows["penalty"])
    assert band_at(above, 10) == pytest.approx(
        (found.rows["compute_multiple_lo"][10], found.rows["compute_multiple_hi"][10])
    )
    most = found.times_max.value
    assert any(
        each.get_xdata()[0] == pytest.approx(most) for each in above.lines if len(each.get_xdata()) == 2
    )
    assert f"no data suffice beyond {most:.3g}×" in labels(above)
    assert "nats/token" in below.get_ylabel()
    assert below.get_xlabel() == "k: times smaller than the optimum"
    assert (above.get_xscale(), above.get_yscale(), below.get_yscale()) == ("log", "log", "linear")


def test_inference_draws_its_answer(fit: sl.Fit) -> None:
    above, below = panels(plots.inference_optimum(fit, 3e12, flops=1e21))
    data, size = above.lines[:2]
    served = data.get_xdata()
    for i in (0, 20, 29):
        found = inference_optimum(fit, served[i], flops=1e21, beyond=np.inf)
        usual = found.chinchilla_params.value, found.chinchilla_tokens.value
        assert size.get_ydata()[i] == pytest.approx(found.params.value / usual[0])
        assert data.get_ydata()[i] == pytest.approx(found.tokens.value / usual[1])
        assert below.lines[0].get_ydata()[i] == pytest.approx(found.saving.value)
        assert band_at(below, i) == pytest.approx((found.saving.lo, found.saving.hi))
    assert "3T served" in labels(above)
    assert served[0] < 3e12 < served[-1]
    assert below.get_xlabel().startswith("tokens served (same loss, ")
    assert (np.diff(size.get_ydata()) < 0).all()


def test_data_limited_draws_its_answer(fit: sl.Fit) -> None:
    above, below = panels(plots.data_limited(fit, 1e22, 1e10))
    size, free = above.lines[:2]
    budgets = size.get_xdata()
    for i in (0, 20, 29):
        found = data_limited(fit, budgets[i], 1e10, beyond=np.inf)
        assert size.get_ydata()[i] == pytest.approx(found.params.value)
        assert free.get_ydata()[i] == pytest.approx(found.unlimited_params.value)
        assert below.lines[0].get_ydata()[i] == pytest.approx(found.epochs.value)
        assert band_at(below, i) == pytest.approx((found.epochs.lo, found.epochs.hi))
    assert free.get_linestyle() == "--"
    assert {"N, 10B unique tokens", "N, unlimited data", "epochs over them"} < set(labels(above))
    # by default the rows' largest budget and tokens
    assert "N, 100B unique tokens" in labels(plots.data_limited(fit))


def test_given_constants_have_no_band_and_need_to_be_told(given: sl.Fit) -> None:
    for draw, options in (
        (plots.overtraining, {"flops": 1e23}),
        (plots.inference_optimum, {"params": 13e9}),
        (plots.data_limited, {"flops": 1e22, "unique_tokens": 1e10}),
    ):
        ax = draw(given, **options)
        assert not any("interval" in label for label in labels(ax))
        with pytest.raises(InputError, match="need"):
            draw(given)
    with pytest.raises(InputError, match="needs unique_tokens="):
        plots.data_limited(given, 1e22)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("gone", ["A", "B"])
def test_a_vanished_term_leaves_no_optimum_to_draw(gone: str) -> None:
    constants = {"E": 1.69, "A": 406.4, "alpha": 0.336, "B": 410.7, "beta": 0.283, gone: 0.0}
    law = sl.Fit.from_constants(sl.laws.Chinchilla(), constants)
    for draw in (
        lambda: plots.overtraining(law, 1e23),
        lambda: plots.data_limited(law, 1e22, 1e10),
        lambda: plots.inference_optimum(law, 1e12, flops=1e22),
        lambda: plots.contours(law, flops=1e22),
    ):
        with pytest.raises(InputError, match=rf"term .* has vanished \({gone} = 0\).* no optimum to draw"):
            draw()
    # equal loss over the runs is there without it
    runs = pd.DataFrame({"params": [1e8, 1e9, 1e8], "tokens": [1e10, 1e10, 2e11], "loss": [3.0, 2.8, 2.7]})
    ax = plots.contours(law, runs)
    ax.figure.draw_without_rendering()
    assert not any("optimal" in label for label in labels(ax))
    levels = ax.collections[0].levels
    assert len(levels) == 8


def test_panels_share_their_place_and_labels_stay_apart(given: sl.Fit) -> None:
    draws = (
        lambda **ax: plots.overtraining(given, 1e21, **ax),
        lambda **ax: plots.inference_optimum(given, 1e13, flops=1e21, **ax),
        lambda **ax: plots.data_limited(given, 1e22, 1e10, **ax),
    )
    for draw in draws:
        with plots.style("paper"):
            above, below = panels(draw())
        boxes = [axes.yaxis.label.get_window_extent() for axes in (above, below)]
        assert not boxes[0].overlaps(boxes[1])
        page = above.figure.bbox.padded(3)
        for box in (*boxes, below.xaxis.label.get_window_extent(), above.get_legend().get_window_extent()):
            assert page.contains(box.x0, box.y0)
            assert page.contains(box.x1, box.y1)
    ax = Figure().add_axes((0.2, 0.2, 0.7, 0.6))  # not in a grid
    assert draws[0](ax=ax) is ax
    lower = ax.figure.axes[-1]
    assert lower.get_position().y1 < ax.get_position().y0
    assert lower.get_position().y0 == pytest.approx(0.2)
