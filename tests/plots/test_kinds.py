"""Figures by name, from what lies on disk."""

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab import laws, plots
from scalinglab.errors import InputError
from scalinglab.records.store import StudyFolder

ENDS = {"small": (500, 1000, 2000), "large": (500, 1000)}
PARAMS = {"small": 10_000.0, "middle": 20_000.0, "large": 40_000.0, "largest": 80_000.0}


def loss_at(params: float, tokens: float) -> float:
    return 1.05 + 11 * params**-0.34 + 95 * tokens**-0.4


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two eval sets and their average, branch ends and one trunk row, as CSV."""
    rng = np.random.default_rng(0)
    rows = []
    for params in PARAMS.values():
        for tokens in (2.5e5, 3.5e5, 5e5, 7e5, 1e6, 2e6, 4e6):
            for name, shift in (("books", 0.1), ("code", -0.1), ("average", 0.0)):
                loss = (loss_at(params, tokens) + shift) * np.exp(rng.normal(0, 0.003))
                rows.append((f"{params:.0f}", "branch", params, tokens, name, loss, "nats/byte"))
    rows.append(("10000", "trunk", 1e4, 4e6, "average", 9.0, "nats/byte"))
    names = ["trunk_id", "kind", "params", "tokens", "eval_set", "loss", "loss_unit"]
    path = tmp_path_factory.mktemp("table") / "runs.csv"
    pd.DataFrame(rows, columns=names).to_csv(path, index=False)
    return path


@pytest.fixture
def study(tmp_path):
    """The records of two sizes, as a finished study leaves them."""
    folder = StudyFolder(tmp_path / "study")
    for size, ends in ENDS.items():
        trunk = f"{size}-trunk"
        for run_id, start, end in [
            (trunk, 0, 2000),
            *((f"{size}-{end}", int(0.8 * end), end) for end in ends),
        ]:
            run = folder.run(run_id)
            run.create(
                {
                    "id": run_id,
                    "kind": "trunk" if start == 0 else "branch",
                    "size": size,
                    "parent": None if start == 0 else trunk,
                    "counts": {"params": PARAMS[size]},
                }
            )
            with run.open_log() as log:
                for step in range(start + 10, end + 1, 10):
                    log.append(
                        "train", {"step": step, "tokens": 512 * step, "loss": 3 - step / 2000, "lr": 0.006}
                    )
                sets = {"books": {"loss": 2.0}, "code": {"loss": 1.5}}
                log.append("eval", {"step": end, "tokens": 512 * end, "sets": sets})
    return folder.path


def test_every_kind_is_a_public_figure_with_help():
    assert set(plots.KINDS) < set(plots.__all__)
    for name, kind in plots.KINDS.items():
        assert kind.name == name
        assert kind.function is getattr(plots, name)
        assert kind.takes in ("fit", "runs", "study", "schedule")
        assert kind.help
        assert "\n" not in kind.help


def test_tables_are_fitted_on_the_average_of_branch_ends(table):
    ax = plots.KINDS["loss_vs_tokens"].draw(table)
    runs = sl.read_runs(table)
    chosen = runs[(runs["eval_set"] == "average") & (runs["kind"] == "branch")]
    drawn = np.concatenate([container.lines[0].get_ydata() for container in ax.containers])
    assert sorted(drawn) == sorted(chosen["loss"])
    fit = sl.fit(laws.Chinchilla(), chosen)
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    tokens, loss = dashed[0].get_data()
    np.testing.assert_array_equal(loss, fit.predict(params=1e4, tokens=tokens)["loss"])


def test_another_eval_set_can_be_chosen(table):
    ax = plots.KINDS["loss_vs_tokens"].draw(table, eval_set="code")
    runs = sl.read_runs(table)
    drawn = np.concatenate([container.lines[0].get_ydata() for container in ax.containers])
    assert sorted(drawn) == sorted(runs.loc[runs["eval_set"] == "code", "loss"])
    with pytest.raises(InputError, match='has no eval set "news"; it has "books", "code", "average"'):
        plots.KINDS["contours"].draw(table, eval_set="news")


def test_several_eval_sets_without_an_average_have_to_be_chosen(table, tmp_path):
    runs = sl.read_runs(table)
    runs[runs["eval_set"] != "average"].to_csv(tmp_path / "two.csv", index=False)
    with pytest.raises(InputError, match='has several eval sets; choose "books" or "code"'):
        plots.KINDS["residuals"].draw(tmp_path / "two.csv")


def test_a_saved_fit_draws_like_the_fit(table, tmp_path):
    runs = sl.read_runs(table)
    fit = sl.fit(laws.Chinchilla(), runs[(runs["eval_set"] == "books")])
    saved = fit.to_json(tmp_path / "fit.json")
    ax = plots.KINDS["residuals"].draw(saved)
    direct = plots.residuals(fit)
    drawn, expected = (np.concatenate([line.get_ydata() for line in each.lines]) for each in (ax, direct))
    np.testing.assert_allclose(drawn, expected, rtol=1e-9)


def test_continual_takes_the_size_that_is_named(table):
    assert "10k parameters, decayed" in legend(plots.KINDS["continual"].draw(table))
    assert "80k parameters, decayed" in legend(plots.KINDS["continual"].draw(table, params=8e4))


def test_equivalent_size_reads_the_longest_run_of_the_smallest_size(table):
    ax = plots.KINDS["equivalent_size"].draw(table)
    assert "the smallest, trained longest" in ax.get_legend().get_title().get_text()
    square = next(line for line in ax.lines if line.get_marker() == "s")
    runs = sl.read_runs(table)
    longest = runs[(runs["params"] == 1e4) & (runs["tokens"] == 4e6) & (runs["eval_set"] == "average")]
    assert square.get_xdata()[0] == 1e4
    assert square.get_ydata()[0] == longest.loc[longest["kind"] == "branch", "loss"].iloc[0]


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_study_gives_the_curves_of_the_size_with_most_branches(study):
    trunk, branches = plots.read_curves(study)
    assert sorted(branches) == ["small-1000", "small-2000", "small-500"]
    assert trunk["tokens"].iloc[-1] == 512 * 2000
    assert trunk["lr"].tolist() == [0.006] * 200
    np.testing.assert_allclose(trunk["loss"], 3 - trunk["tokens"] / 512 / 2000)
    # the held-out loss is the mean over the sets, and stands where it was measured
    assert trunk["eval_loss"].dropna().to_dict() == {199: 1.75}
    ax = plots.KINDS["schedule_and_loss"].draw(study)
    crosses = next(line for line in ax.lines if line.get_marker() == "x")
    assert sorted(crosses.get_xdata()) == [512 * step for step in (500, 1000, 2000, 2000)]


def test_a_size_can_be_named_and_unknown_ones_are_refused(study, tmp_path):
    assert len(plots.read_curves(study, "large")[1]) == 2
    with pytest.raises(InputError, match='has no size "huge"; it has large, small'):
        plots.read_curves(study, "huge")
    with pytest.raises(InputError, match="holds no trained trunk; is it a study folder"):
        plots.read_curves(tmp_path / "study" / "small-500")


def test_a_run_that_has_not_begun(study):
    (study / "small-500" / "metrics.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no training record"):
        plots.read_curves(study)
