"""The explorer, driven from Python: what it shows is what the answers say, or why a fit has none."""

import importlib.util
import re

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import ladder_convention
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.explorer._explore import name_fits
from scalinglab.explorer._question import size_at_ratio

pytestmark = pytest.mark.filterwarnings("ignore::scalinglab.analysis.ExtrapolationWarning")
LAW = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}


@pytest.fixture(scope="module")
def fit() -> sl.Fit:
    rng = np.random.default_rng(0)
    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e11, 5)))
    loss = sl.laws.Chinchilla().predict(LAW, params=n, tokens=d) * np.exp(rng.normal(0, 3e-3, n.size))
    runs = pd.DataFrame(
        {"params": n, "tokens": d, "loss": loss, "loss_unit": "nats/token", "flops_exact": 7.5 * n * d}
    )
    found = sl.fit(sl.laws.Chinchilla(), runs)
    found.bootstrap(60, seed=0)
    return found


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of figures in words: a picture takes longer than all of them."""
    monkeypatch.setattr("scalinglab.explorer._widget.Explorer._picture", lambda self, asked, found: "")


def figures(shown) -> list[float]:
    return [getattr(shown, name).value for name in ("params", "tokens", "ratio", "loss")] + [
        end for name in ("params", "loss") for end in (getattr(shown, name).lo, getattr(shown, name).hi)
    ]


def test_it_shows_what_the_optimum_says_at_every_budget_and_cost(fit: sl.Fit, undrawn: None) -> None:
    explorer = sl.explore(fit)
    explorer.flops.value = 3e20
    assert figures(explorer.found) == figures(fit.optimum(explorer.flops.value))
    explorer.cost.value = "exact"  # 7.5·N·D by the runs' own counts
    best = fit.optimum(explorer.flops.value, "exact")
    assert figures(explorer.found) == figures(best)
    assert best.headline() in explorer.words.value
    assert f">{explorer.found.readable().iloc[0]['value']}<" in explorer.words.value


def test_a_ratio_of_ones_own_spends_the_budget_and_has_the_laws_loss(fit: sl.Fit, undrawn: None) -> None:
    explorer = sl.explore(fit)
    explorer.rule.value, explorer.tokens_per_param.value = "tokens per parameter", 100.0
    n, d = explorer.found.point
    np.testing.assert_allclose([6 * n * d, d / n], [explorer.flops.value, 100.0], rtol=1e-9)
    there = fit.predict(params=n, tokens=d, interval=0.9).iloc[0]
    loss = explorer.found.loss
    np.testing.assert_allclose([loss.value, loss.hi], [there["loss"], there["loss_hi"]], rtol=1e-3)
    assert loss.value > fit.optimum(explorer.flops.value).loss.value


def test_what_serving_asks_for_is_what_the_inference_optimum_says(fit: sl.Fit, undrawn: None) -> None:
    explorer = sl.explore(fit)
    explorer.rule.value, explorer.served.value = "training and serving", 1e12
    c, served = explorer.flops.value, explorer.served.value
    assert figures(explorer.found) == figures(fit.inference_optimum(served, flops=c))


def test_the_figure_follows_and_says_itself_in_words(fit: sl.Fit) -> None:
    explorer = sl.explore(fit)
    before = explorer.picture.value
    explorer.flops.value = 2 * explorer.flops.value
    assert explorer.picture.value != before
    (text,) = re.findall(r'alt="([^"]*)"', explorer.picture.value)
    assert explorer.found.answer.headline() in text
    assert marked(explorer.axes(), "*") == [explorer.found.point]
    explorer.rule.value = "tokens per parameter"
    assert marked(explorer.axes(), "D") == [explorer.found.point]
    assert marked(explorer.axes(), "*") == []


def marked(ax, marker: str) -> list[tuple[float, float]]:
    (line,) = (line for line in ax.lines if line.get_marker() == marker)
    return list(zip(*map(list, line.get_data()), strict=True))


def test_several_fits_are_chosen_by_name_and_one_without_an_answer_says_so(
    fit: sl.Fit, undrawn: None
) -> None:
    gone = sl.Fit.from_constants(sl.laws.Chinchilla(), LAW | {"B": 0.0})
    explorer = sl.explore({"books": fit, "no data term": gone})
    assert explorer.fit.options == ("books", "no data term")
    explorer.fit.value = "no data term"
    assert explorer.cost.options == ("6ND",)  # no run tells an exact count
    assert explorer.found is None
    assert "has vanished" in explorer.words.value
    explorer.fit.value = "books"
    assert explorer.found is not None
    assert list(name_fits([fit, fit])) == ["Chinchilla", "Chinchilla (2)"]


def test_budgets_end_far_beyond_the_runs_and_are_demanded_of_given_constants(
    fit: sl.Fit, undrawn: None
) -> None:
    explorer = sl.explore(fit)
    np.testing.assert_allclose(10**explorer.flops.max, 100 * 6 * 1e10 * 1e11)
    given = sl.Fit.from_constants(sl.laws.Chinchilla(), LAW)
    with pytest.raises(InputError, match=r"say which budgets by flops=\(lowest, highest\)"):
        sl.explore(given)
    explorer = sl.explore(given, flops=(1e18, 1e22))
    assert np.isnan(explorer.found.params.lo)
    with pytest.raises(InputError, match="flops is"):
        sl.explore(given, flops=(1e22, 1e18))
    with pytest.raises(InputError, match="a law in flops; what is explored"):
        sl.explore(sl.Fit.from_constants(sl.laws.PowerLaw(), {"E": 1.7, "A": 20.0, "alpha": 0.1}))


def test_without_ipywidgets_it_says_what_to_install(fit: sl.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "scalinglab.extras.util.find_spec", lambda name: None if name == "ipywidgets" else found(name)
    )
    with pytest.raises(EnvironmentProblem, match=r'pip install "scalinglab\[notebook\]"'):
        sl.explore(fit)


def test_a_ratio_is_found_under_any_cost() -> None:
    from scalinglab.ladder import Shape  # attention and head make the cost no multiple of N·D

    shapes = [
        Shape(f"d{d}", d, layers, d // 32, 3 * d, 256, 256) for d, layers in ((64, 2), (128, 4), (256, 6))
    ]
    cost = ladder_convention("exact", shapes)
    n = size_at_ratio(cost, 1e15, 20.0)
    np.testing.assert_allclose(float(cost(n, 20 * n)), 1e15, rtol=1e-9)
    with pytest.raises(InputError, match="D/N is a positive number"):
        size_at_ratio(cost, 1e15, 0.0)
