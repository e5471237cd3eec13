"""The best batch against the loss: made-up runs of a known law, which the report must tell, and turn with."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scalinglab import plots
from scalinglab.errors import InputError
from scalinglab.experiments import batch_readings
from scalinglab.experiments.batch_size import report_of
from scalinglab.experiments.report import Report
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.ladder import Study, read_study
from scalinglab.ladder.definition import Run
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import PlannedTrunk
from scalinglab.sweep.graph import planned_trunks

P, AT = 5.0, 2.6
"""bs = 500 tokens at a loss of 2.6."""


@cache
def small() -> tuple[Study, list[PlannedTrunk]]:
    study = read_study(study_path("batch-size", "small"))
    return study, planned_trunks(study, "text", (("wiki", 1.0), ("code", 1.0)))


def trained(
    p: float = P, of_params: float = 0.0, of_lr: float = 0.0, trunk_p: float | None = None
) -> Trained:
    """Ends of Chinchilla's form in N and D_eff = D·exp(−0.08·ln²(b/bs)), bs = 500·(2.6/L)^p·N^of_params·lr^of_lr.

    A trunk's runs share a deviation of ±0.0005 in ln L.
    """
    study, trunks = small()
    rng, rows = np.random.default_rng(3), []

    def loss(run: Run, tokens: float, power: float) -> float:
        clean = law(run.shape.params, tokens)
        best = (
            500.0 * (AT / clean) ** power * (run.shape.params / 5e4) ** of_params * (run.lr / 0.005) ** of_lr
        )
        return law(run.shape.params, tokens * math.exp(-0.08 * math.log(run.batch_tokens / best) ** 2))

    for trunk in trunks:
        run, plan, off = trunk.run, trunk.plan, math.exp(0.0005 * rng.normal())
        common = {"trunk_id": run.id, "eval_set": "average", "loss_unit": "nats/byte", "size": run.shape.name}
        common |= {
            "params": float(run.shape.params),
            "seed": run.seed,
            "lr": run.lr,
            "batch_tokens": run.batch_tokens,
        }
        for planned, branch in zip(plan.branches, trunk.branches, strict=True):
            d = float(planned.batches.tokens_at(planned.end))
            rows.append(
                common | {"run_id": branch.id, "kind": "branch", "tokens": d, "loss": off * loss(run, d, p)}
            )
        for at in plan.stations:
            d = float(plan.batches.tokens_at(at))
            value = 1.05 * off * loss(run, d, p if trunk_p is None else trunk_p)
            rows.append(common | {"run_id": run.id, "kind": "trunk", "tokens": d, "loss": value})
    return Trained("small", study, StudyFolder(Path("nowhere")), trunks, pd.DataFrame(rows))


def law(params: float, tokens: float) -> float:
    return 1.2 + 38.0 * params**-0.42 + 263.0 * tokens**-0.42


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_readings, "_DRAWS", 20)
    monkeypatch.setattr(batch_readings, "_FEW_DRAWS", 8)


def lines(report: Report) -> dict[str, Any]:
    return {line.what: line.ours for line in report.lines}


def test_a_known_law_is_recovered_and_drawn() -> None:
    report = report_of(trained())
    assert [claim.verdict for claim in report.claims] == [
        "confirmed", "contradicted", "confirmed", "confirmed", "confirmed",
    ]  # fmt: skip
    told = lines(report)
    assert told["p in bs = k / L^p"].value == pytest.approx(P, abs=0.35)
    law = told["k, tokens for L in nats/byte"]
    assert isinstance(law, str)
    assert told["exponent of N in bs at one loss"].value == pytest.approx(0.0, abs=0.06)
    assert told["d ln bs / d ln lr at one loss"].value == pytest.approx(0.0, abs=0.1)
    assert "The best batch grows as the loss falls" in report.verdict
    assert "One line serves all sizes within a factor 2" in report.verdict
    assert "leaves out MiniCPM's 6.24" in report.verdict
    with plots.style("paper"):
        for stem, draw in report.figures.items():
            assert stem.startswith("batch-size")
            figure = draw().figure
            assert isinstance(figure, Figure)
            figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("how", "expected", "says"),
    [
        (
            {"p": 6.24, "of_lr": 1.0, "trunk_p": 1.5},
            {1: "confirmed", 3: "contradicted", 4: "contradicted"},
            [
                "which holds MiniCPM's 6.24",
                "It depends on the learning rate",
                "Read off undecayed trunks p is",
            ],
        ),
        ({"of_params": -0.6}, {2: "contradicted"}, ["L alone does not decide"]),
    ],
)
def test_verdicts_turn_with_the_numbers(
    how: dict[str, float], expected: dict[int, str], says: list[str]
) -> None:
    report = report_of(trained(**how))
    assert {at: report.claims[at].verdict for at in expected} == expected
    assert all(each in report.verdict for each in says)
    told = lines(report)
    if "of_params" in how:
        assert told["exponent of N in bs at one loss"].value == pytest.approx(-0.6, abs=0.12)
    if "of_lr" in how:
        assert told["d ln bs / d ln lr at one loss"].value == pytest.approx(1.0, abs=0.25)


def only(found: Trained, kept: pd.Series) -> Trained:
    """Those decayed rows at the study's own learning rate."""
    table = found.table[
        kept & (found.table["kind"] == "branch") & (found.table["lr"] == found.study.training.lr)
    ]
    return Trained("small", found.study, found.folder, found.trunks, table)


def test_a_batch_that_shrinks_is_told() -> None:
    found = trained(p=-3.0)
    report = report_of(only(found, found.table["tokens"] > 0))
    assert report.claims[0].verdict == "contradicted"
    assert "shrinks as the loss falls" in report.verdict
    assert len(report.claims) == 3


def test_minima_outside_the_batches_carry_no_law() -> None:
    found = trained(p=0.0)
    report = report_of(only(found, found.table["batch_tokens"] >= 1024))
    assert report.verdict.startswith("No law: 0 of ")
    assert report.claims[0].verdict == "undecided"
    assert any("smallest batch or below" in note for note in report.notes)


def test_two_batches_are_refused() -> None:
    found = trained()
    with pytest.raises(InputError, match="three batches"):
        report_of(only(found, found.table["batch_tokens"] <= 256))


@pytest.mark.parametrize("scale", SCALES)
def test_its_studies(scale: str) -> None:
    """Three sizes at five or six batches, the smallest with a second seed and two more rates, at common horizons."""
    study = read_study(study_path("batch-size", scale))
    trunks = planned_trunks(study, "text", (("wiki", 1.0), ("web", 1.0)))
    told: dict[tuple[str, float], set[int]] = {}
    for trunk in trunks:
        told.setdefault((trunk.run.shape.name, trunk.run.lr), set()).add(trunk.run.batch_tokens)
    assert {len(batches) for batches in told.values()} <= {5, 6}
    assert len({size for size, _ in told}) == 3
    assert len({lr for _, lr in told}) == 3
    assert {trunk.run.seed for trunk in trunks} == {0, 1}
    ends = {
        frozenset(trunk.plan.batches.tokens_at(branch.end) for branch in trunk.plan.branches)
        for trunk in trunks
        if trunk.run.lr == study.training.lr and trunk.run.seed == 0
    }
    assert len(ends) == 1
