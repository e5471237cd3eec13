"""What a report says against the fits it is drawn from, refits of its own, and closed forms."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from known_law import LAW, runs_of

import scalinglab as sl
from scalinglab.errors import InputError
from scalinglab.reporting import Report
from scalinglab.reporting.paper import markdown_table
from scalinglab.reporting.tables import run_table
from scalinglab.reporting.views import budget_grid, coarse, view
from scalinglab.reporting.words import citations


def test_a_view_for_every_eval_set_and_law(made: Report) -> None:
    assert [(v.eval_set, v.law.name) for v in made.views] == [
        ("web", "Chinchilla"), ("web", "Kaplan"), ("code", "Chinchilla"), ("code", "Kaplan"),
    ]  # fmt: skip
    # losses 0.7 times as high have the same optimum, and a floor and terms 0.7 times as high
    web, code = made.views[0], made.views[2]
    assert code.fit.constants["E"] == pytest.approx(0.7 * web.fit.constants["E"], rel=0.05)


def test_losses_without_noise_leave_no_doubt_what_reaching_them_takes() -> None:
    runs = runs_of(0.0).query("eval_set == 'web'")
    budgets = budget_grid(runs)
    found = view(
        sl.laws.Chinchilla(), runs, "web", budgets, loss=sl.Squared(), by=None, resamples=20, level=0.9
    )
    n, _ = sl.laws.Chinchilla().optimal(LAW, budgets)
    np.testing.assert_allclose(found.grid["params"], n, rtol=1e-4)
    # every draw is the law itself, so the compute that reaches the loss at a budget is that budget
    for end in ("reach_lo", "reach_hi"):
        np.testing.assert_allclose(found.grid[end], budgets, rtol=5e-3)


def test_the_fit_without_a_run_is_the_fit_of_the_others(made: Report) -> None:
    first = made.views[0]
    k = 7
    others = first.fit.rows.drop(index=first.fit.rows.index[k])
    again = sl.fit(sl.laws.Chinchilla(), others, loss=first.fit.loss)
    budgets = first.grid["flops"].to_numpy()[coarse(len(first.grid))]
    assert list(first.without.rows) == list(range(20))
    with_all, _ = sl.laws.Chinchilla().optimal(first.fit.constants, budgets)
    without, _ = sl.laws.Chinchilla().optimal(again.constants, budgets)
    np.testing.assert_allclose(first.without.params[k], without / with_all, rtol=1e-3)


def test_the_summary_has_the_optimum_of_the_fit_itself(made: Report) -> None:
    first = made.views[0]
    best = first.fit.optimum(6e20, boot=first.boot)  # the dearest run: 1e9 parameters on 1e11 tokens
    said = " ".join(made.summary())
    assert f"{best.params.text(True)} parameters" in said
    assert f"{best.tokens.text(True)} tokens" in said
    assert "Chinchilla" in made.compared["web"].best  # the law they are from


def test_laws_are_cited_with_their_papers(made: Report) -> None:
    cited = {what: address for what, _, address in citations(made)}
    assert cited["Chinchilla's law"] == "https://arxiv.org/abs/2203.15556"
    assert cited["Kaplan's law"] == "https://arxiv.org/abs/2001.08361"


def test_an_eval_set_too_small_for_a_law_is_left_out_and_said() -> None:
    runs = runs_of(2e-3)
    few = runs.drop(index=runs.index[23:])
    found = sl.report(few, laws=[sl.laws.Chinchilla()], resamples=20)
    assert found.eval_sets == ["web"]
    assert any("No fit of Chinchilla on code" in note for note in found.notes)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"out": "report.docx"}, "a report ends in .html, .pdf, .md"),
        ({"laws": [sl.laws.PowerLaw("tokens")]}, "laws of loss in params and tokens"),
        ({"laws": [sl.laws.Kaplan(), sl.laws.Kaplan()]}, "asked for twice"),
        ({"eval_set": "wiki"}, 'no eval set "wiki"'),
    ],
)
def test_what_cannot_be_reported_is_refused(how: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        sl.report(runs_of(2e-3), **how)


def test_markdown_and_pdf_hold_figures_and_tables(made: Report, tmp_path: Path) -> None:
    one = Report(made.title, made.runs, made.views[:1], made.compared, made.reviewed)
    text = one.markdown(tmp_path / "r.md").read_text("utf-8")
    pictures = sorted(path.name for path in (tmp_path / "r").iterdir())
    assert pictures == ["1-contours.png", "1-frontier.png", "1-residuals.png", "1-runs.png"]
    assert all(f"](r/{name})" in text for name in pictures)
    assert markdown_table(run_table(made.views[0])) in text
    pdf = one.pdf(tmp_path / "r.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\s", pdf)) == 9  # words, four figures, three tables, words


def test_processes_find_what_one_finds() -> None:
    web = runs_of(2e-3).query("eval_set == 'web'")
    runs = pd.concat(
        [
            web.assign(eval_set=name, loss=f * web["loss"])
            for name, f in zip("abc", (1, 0.8, 0.6), strict=True)
        ]
    )
    said = []
    for workers in (1, 2):
        steps: list[tuple[int, int]] = []
        found = sl.report(
            runs, laws=[sl.laws.Chinchilla()], resamples=10, workers=workers,
            progress=lambda what, done, of, steps=steps: steps.append((done, of)),
        )  # fmt: skip
        assert steps == [(0, 3), (1, 3), (2, 3), (3, 3), (1, 1)]
        said.append(found.plain())
    assert said[0] == said[1]
    assert [view["eval_set"] for view in said[0]["views"]] == ["a", "b", "c"]
