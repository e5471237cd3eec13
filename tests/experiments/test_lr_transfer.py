"""The experiment on learning rates against widths: what it says of runs whose truth is known, and its study files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglab.experiments import lr_transfer
from scalinglab.experiments.report import Report
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.ladder import Study, plan, read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep.graph import planned_trunks


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(study_path("lr-transfer", "small"))


@pytest.fixture
def reported(study: Study, tmp_path: Path) -> Callable[..., Report]:
    """The report on runs whose lr* goes as the width to a power, under each parametrisation."""
    trunks = planned_trunks(study, "text", (("wiki", 1.0),))

    def make(
        ours: float, standard: float, sd: float = 0.004, gone: tuple[str, float] | None = None
    ) -> Report:
        rng, rows = np.random.default_rng(2), []
        for trunk in trunks:
            (run,) = trunk.branches
            power = ours if run.parametrisation == "minicpm" else standard
            v = np.log(run.lr / 0.0055) - power * np.log(run.shape.width / 50)
            loss = 2 + 5 / run.shape.width + 0.06 * v * v + sd * rng.normal()
            if gone == (run.parametrisation, run.lr):
                continue
            known = {"run_id": run.id, "trunk_id": trunk.run.id, "kind": "branch", "loss_unit": "nats/byte"}
            rows += [
                known | {"eval_set": name, "loss": loss + more}
                for name, more in (("average", 0), ("code", 1))
            ]
        return lr_transfer.report_of(
            Trained("small", study, StudyFolder(tmp_path), trunks, pd.DataFrame(rows))
        )

    return make


def verdicts(report: Report) -> list[str]:
    return [claim.verdict for claim in report.claims]


def test_one_stays_and_the_other_moves(reported: Callable[..., Report]) -> None:
    report = reported(0.0, -0.8)
    assert verdicts(report) == ["confirmed"] * 4
    lines = {line.what: line.ours for line in report.lines}
    for what, truth in (("MiniCPM's", 0.0), ("standard", -0.8)):
        drift = lines[f"drift d ln lr*/d ln width, {what}"]
        assert drift.value == pytest.approx(truth, abs=0.06)
        assert drift.hi - drift.lo < 0.3
    assert "lr* stays put within a factor 2" in report.verdict
    assert "under the standard one lr* moves" in report.verdict
    assert "is beyond the noise" in report.verdict
    assert "No run diverged." in report.notes


def test_the_verdict_turns_with_the_numbers(reported: Callable[..., Report]) -> None:
    turned = reported(-0.8, 0.0)
    assert verdicts(turned) == ["contradicted"] * 4
    assert "Under MiniCPM's parametrisation lr* moves" in turned.verdict
    alike = reported(0.0, 0.0)
    assert verdicts(alike)[:3] == ["confirmed", "contradicted", "undecided"]
    assert "is not beyond the noise" in alike.verdict
    rough = reported(0.0, -0.8, sd=0.1)
    assert "undecided" in verdicts(rough)
    assert all(claim.decide for claim in rough.claims if claim.verdict == "undecided")


def test_runs_that_diverged_are_counted(reported: Callable[..., Report]) -> None:
    report = reported(0.0, -0.8, gone=("standard", 0.032))
    assert any(note.startswith("Standard: 8 of 48 runs diverged") for note in report.notes)
    assert "No run diverged." not in report.notes
    assert report.figures["lr-transfer"]().has_data()
    assert report.figures["lr-transfer-width"]().has_data()


def test_figure_3_read_with_a_parabola() -> None:
    """The paper reads its optimum as staying at 0.006 to 0.01."""
    found = lr_transfer.published()
    assert found.stays() == "stays"
    assert ((found.rows["lr_lo"] < 0.01) & (found.rows["lr_hi"] > 0.006)).all()


@pytest.mark.parametrize("scale", SCALES)
def test_its_studies(scale: str, study: Study) -> None:
    """Every size at every learning rate, each seed, under both parametrisations, once; otherwise of one kind."""
    own = read_study(study_path("lr-transfer", scale))
    trunks = planned_trunks(own, "text", (("wiki", 1.0),))
    told = {(t.run.shape.name, t.run.lr, t.run.seed, t.run.parametrisation) for t in trunks}
    sizes, lrs, seeds, rules = (sorted({each[i] for each in told}) for i in range(4))
    assert len(plan(own)) == len(trunks) == len(told) == len(sizes) * len(lrs) * len(seeds) * len(rules)
    assert rules == ["minicpm", "standard"]
    assert len(sizes) >= 3
    assert len(lrs) >= 5
    assert all(len(trunk.branches) == 1 for trunk in trunks)
    assert own.schedule.decay == study.schedule.decay
    assert own.schedule.decay_share == study.schedule.decay_share
