"""The map of runs to train next: its values are the answer's, its marks the suggested runs."""

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh

import scalinglab as sl
from scalinglab import plots
from scalinglab.analysis import next_runs
from scalinglab.errors import InputError


@pytest.fixture(scope="module")
def fit() -> sl.Fit:
    """Four trunks of four branches about Hoffmann's law."""
    axes = np.meshgrid(np.geomspace(1e8, 8e8, 4), np.geomspace(2e9, 1.6e10, 4), indexing="ij")
    n, d = (axis.ravel() for axis in axes)
    loss = 1.82 + 478 * n**-0.347 + 2143 * d**-0.367
    loss *= np.exp(np.random.default_rng(0).normal(0, 2e-3, n.size))
    rows = pd.DataFrame({"params": n, "tokens": d, "loss": loss, "trunk_id": [f"{v:.3g}" for v in n]})
    fit = sl.fit(sl.laws.Chinchilla(), rows)
    fit.bootstrap(200)
    return fit


@pytest.mark.parametrize("colour", ["width", "gain_per_flop"])
@pytest.mark.parametrize("mode", ["scratch", "trunk"])
def test_the_map_shows_the_answer(fit: sl.Fit, mode, colour) -> None:
    answer = next_runs(fit, 2e20, mode=mode, density=4)
    with matplotlib.rc_context():
        ax = plots.next_runs(fit, answer, colour=colour)
    ax.figure.canvas.figure.draw_without_rendering()
    (mesh,) = [each for each in ax.collections if isinstance(each, QuadMesh)]
    fresh = answer.candidates[answer.candidates["trunk"].isin(["", "new"])]
    assert sorted(np.asarray(mesh.get_array()).ravel()) == sorted(fresh[colour])
    labels = [text for text in ax.texts if text.get_text()]
    assert [text.get_text() for text in labels] == [str(rank) for rank in answer.rows["rank"]]
    np.testing.assert_allclose([text.xy for text in labels], answer.rows[["params", "tokens"]])
    assert ax.get_xlabel() == "model size N (parameters)"
    assert ax.get_ylabel() == "training tokens D"
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    for n, d in [*answer.rows[["params", "tokens"]].to_numpy(), *fit.rows[["params", "tokens"]].to_numpy()]:
        assert x0 < n < x1
        assert y0 < d < y1
    assert "runs there are" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_without_an_answer_it_asks_for_one(fit: sl.Fit) -> None:
    ax = plots.next_runs(fit, budget=2e20)
    assert "D/N at 7.68e+20 FLOPs" in ax.get_legend().get_title().get_text()


def test_runs_at_one_place_share_their_numbers(fit: sl.Fit) -> None:
    answer = next_runs(fit, 2e20, mode="scratch", density=4)
    rows = pd.concat([answer.rows.iloc[:1]] * 3, ignore_index=True)
    rows["rank"] = [1, 2, 3]
    rows.loc[1, "tokens"] *= 1.01
    rows.loc[2, "tokens"] *= 10
    ax = plots.next_runs(fit, replace(answer, rows=rows))
    assert [text.get_text() for text in ax.texts] == ["1, 2", "3"]


def test_a_list_of_candidates_is_drawn_as_points(fit: sl.Fit) -> None:
    shapes = pd.DataFrame({"params": [1e9, 2e9, 4e9], "tokens": [2e9, 4e9, 2e9]})
    answer = next_runs(fit, 2e20, mode="scratch", candidates=shapes)
    ax = plots.next_runs(fit, answer)
    ax.figure.canvas.figure.draw_without_rendering()
    assert len(ax.collections[0].get_offsets()) == 3


def test_what_it_cannot_show_is_refused(fit: sl.Fit) -> None:
    with pytest.raises(InputError, match="width or gain_per_flop"):
        plots.next_runs(fit, budget=1e20, colour="loss")  # type: ignore[arg-type]
    given = sl.Fit.from_constants(fit.law, fit.constants)
    with pytest.raises(InputError, match="were given"):
        plots.next_runs(given, budget=1e20)
