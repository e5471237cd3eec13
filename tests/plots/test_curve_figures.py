"""The figures of curves: the envelope and the crossings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

import scalinglab as sl
from scalinglab import laws, plots
from scalinglab.analysis import crossings, envelope
from scalinglab.errors import InputError

QUICKSTART = Path(__file__).resolve().parents[2] / "notebooks" / "data" / "quickstart"
TRUTH = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    parts = []
    for n in np.geomspace(1e7, 1e10, 12):
        d = np.geomspace(n, 400 * n, 40)
        loss = laws.Chinchilla().predict(TRUTH, params=n, tokens=d)
        parts.append(pd.DataFrame({"run_id": f"{n:.4g}", "params": n, "tokens": d, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def legend_texts(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_envelope_draws_curves_winners_and_the_power_law(table) -> None:
    found = envelope(table, resamples=100)
    ax = plots.envelope(found)
    ax.figure.canvas.figure.draw_without_rendering()
    top = ax.figure.axes[1]
    assert ax.get_xlabel() == "training compute C (6ND, FLOPs)"
    assert ax.get_ylabel() == "loss (unit not given)"
    assert top.get_ylabel() == "N (parameters)"
    assert legend_texts(top)[:2] == ["edge of the grid", "lowest loss at C"]
    assert f"{found.a.value:.3g}" in legend_texts(top)[2]
    assert "90%" in legend_texts(top)[2]
    # twelve faint curves and twelve bold stretches, which together are the envelope's points
    faint = [line for line in ax.lines if line.get_alpha()]
    bold = [line for line in ax.lines if not line.get_alpha()]
    assert len(faint) == len(bold) == 12
    drawn = np.concatenate([np.column_stack(line.get_data()) for line in bold])
    np.testing.assert_array_equal(drawn, found.points[["flops", "loss"]])
    (band,) = [each for each in top.collections if isinstance(each, PolyCollection)]
    dashed = next(line for line in top.lines if line.get_linestyle() == "--")
    budgets, line = dashed.get_data()
    expected = found.at(budgets)
    np.testing.assert_allclose(line, expected["params"])
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(expected["params_hi"].max())
    assert ax.figure.axes[2].get_ylabel() == "model size N (parameters)"  # a colour bar for so many sizes
    assert "undecayed or unknown" in ax.get_title(loc="left")


def test_envelope_of_a_study_without_a_power_law() -> None:
    ax = plots.KINDS["envelope"].draw(QUICKSTART)
    ax.figure.canvas.figure.draw_without_rendering()
    assert legend_texts(ax) == ["101k", "47.4k", "19.9k", "10k"]
    assert legend_texts(ax.figure.axes[1]) == ["edge of the grid", "lowest loss at C"]
    assert ax.get_ylabel() == "loss (nats/byte)"
    assert ax.get_title(loc="left") == "undecayed curves"


def test_crossings_under_a_cost_of_ones_own() -> None:
    fit = sl.Fit.from_constants(laws.Chinchilla(), TRUTH)

    def cost(n, d):
        return (6 * n + 30 * np.sqrt(n)) * d

    found = crossings(fit, [1e8, 1e9], cost=cost)
    ax = plots.crossings(found)
    assert ax.get_xlabel() == "training compute C (cost, FLOPs)"
    flops, loss = ax.lines[0].get_data()
    sizes = [laws.Chinchilla().predict(TRUTH, params=n, tokens=flops / cost(n, 1.0)) for n in (1e8, 1e9)]
    assert any(np.allclose(loss, own) for own in sizes)
    assert "counted" not in found.plain()


def test_crossings_are_brackets(table) -> None:
    known = crossings([(13e9, 34e9, 1e23), (34e9, 70e9, 5e23)])
    ax = plots.crossings(known, references={"Chinchilla: 20": 20.0})
    ax.figure.canvas.figure.draw_without_rendering()
    assert ax.get_ylabel() == "D/N (tokens per parameter)"
    assert "Chinchilla: 20" in legend_texts(ax)
    bars = ax.collections[0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], known.rows[["at_least", "at_most"]])
    np.testing.assert_allclose([bar[0, 0] for bar in bars], known.rows["flops"])
    assert {text.get_text().strip() for text in ax.texts} == {"13B, 34B", "34B, 70B"}

    few = crossings(table, table["params"].unique()[[2, 4, 6]])
    ax = plots.crossings(few)
    marks = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.column_stack(marks.get_data()), few.rows[["flops", "loss"]])

    fit = sl.Fit.from_constants(laws.Chinchilla(), TRUTH)
    of_fit = crossings(fit, [1e8, 1e9])
    ax = plots.crossings(of_fit)
    assert "the fit's own optimum" in legend_texts(ax.figure.axes[1])
    curve = ax.lines[0]
    tokens = curve.get_xdata() / 6e8
    np.testing.assert_allclose(
        curve.get_ydata(), laws.Chinchilla().predict(TRUTH, params=1e8, tokens=tokens), rtol=1e-9
    )


def test_without_a_crossing_there_is_nothing_to_draw() -> None:
    found = crossings(QUICKSTART / "table.csv", [47388, 100672])
    with pytest.raises(InputError, match="no crossing to draw"):
        plots.crossings(found)
