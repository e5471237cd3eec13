"""Batch ramps against decays: made-up losses of known gains, which the report must tell, and turn with."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from scalinglab import plots
from scalinglab.errors import InputError
from scalinglab.experiments.batch_ramp import claims_of, report_of, verdict_of
from scalinglab.experiments.ramps import Ramp, Ramps
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.ladder import plan, read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep.graph import planned_trunks

NOISE, DECAY = 0.01, 0.1
Gain = Callable[[Ramp, bool], float]
"""(ramp, decayed) -> loss below the undecayed trunk of a constant batch."""


@cache
def small() -> tuple[Any, Any]:
    study = read_study(study_path("batch-ramp", "small"))
    return study, planned_trunks(study, "text", (("wiki", 1.0), ("code", 1.0)))


def trained(gain: Gain) -> Trained:
    """Seeds move all runs by -NOISE, 0, NOISE, and each run for itself by a tenth of it, 0 on average."""
    study, trunks = small()
    some = pd.DataFrame(columns=["run_id", "kind", "tokens", "eval_set", "loss", "loss_unit"])
    blank = Trained("small", study, StudyFolder(Path("nowhere")), trunks, some)
    runs = Ramps(blank)
    named = {ramp.variant: (i, ramp) for i, ramp in enumerate((runs.constant, *runs.ramps))}
    rows = []
    row: Any
    for row in runs.planned.itertuples():
        i, ramp = named[row.variant]
        for kind, run, tokens in (
            ("branch", row.run_id, row.tokens), ("trunk", row.trunk_id, row.tokens), ("trunk", row.trunk_id, row.fork),
        ):  # fmt: skip
            turn = i + (kind == "trunk") + round(tokens / 102_400)
            moved = NOISE * (row.seed - 1) + 0.1 * NOISE * ((row.seed + turn) % 3 - 1)
            loss = 2.0 + 1e5 / tokens - gain(ramp, kind == "branch") + moved
            common = {"run_id": run, "kind": kind, "tokens": tokens, "loss_unit": "nats/byte"}
            rows += [
                {**common, "eval_set": name, "loss": loss + by}
                for name, by in (("average", 0.0), ("wiki", 0.1))
            ]
    return replace(blank, table=pd.DataFrame(rows))


def gains(alone: float, both: float) -> Gain:
    """Of every ramp alone, and with the decay; the decay alone gains DECAY."""

    def gain(ramp: Ramp, decayed: bool) -> float:
        return (both if decayed else alone) if ramp.steps else DECAY * decayed

    return gain


def test_known_gains_shares_and_updates_are_recovered() -> None:
    runs = Ramps(trained(gains(0.06, 0.12)))
    assert [ramp.label for ramp in runs.ramps][:2] == ["4× from 1.02M", "8× from 1.84M"]
    assert runs.horizons(runs.ramps[0]) == [2_048_000]
    assert runs.horizons(runs.ramps[3]) == [1_024_000, 2_048_000]
    # half of 4,000 updates at a quarter of them
    assert [runs.updates(each)[runs.last] for each in (runs.constant, runs.ramps[0])] == [4000, 2500]
    assert runs.noise() == pytest.approx(NOISE, rel=0.12)
    for quantity, truth in (
        (runs.by_ramp, 0.06),
        (runs.by_decay_after, 0.06),
        (runs.by_both, 0.12),
        (runs.smaller_decay, 0.04),
        (runs.short_of_decay, 0.04),
        (runs.ends_above, -0.02),
        (runs.share, 0.6),
    ):
        found = runs.at_last(quantity)
        assert found.cells == [0.0, 1.0, 2.0, 3.0]
        for i in found.cells:
            cell = found.cell(i)
            assert cell.value == pytest.approx(truth, abs=1e-2 if truth == 0.6 else 1e-9)
            assert cell.lo < truth < cell.hi
    assert runs.losses(runs.constant, "trunk", "fork").to_numpy().mean() == pytest.approx(
        2.0 + 1e5 * (1 / 921_600 + 1 / 1_843_200) / 2, abs=1e-9
    )


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        # lowers, is not the decay, leaves nothing behind it, and saves updates
        (gains(0.05, 0.10), ["confirmed", "confirmed", "contradicted", "confirmed", "confirmed"]),
        # all that the decay gives, and the decay then nothing
        (gains(0.10, 0.10), ["confirmed", "confirmed", "confirmed", "confirmed", "confirmed"]),
        # adds to it in full
        (gains(0.05, 0.15), ["confirmed", "undecided", "contradicted", "contradicted", "confirmed"]),
        # harms
        (gains(-0.05, 0.05), ["contradicted", "undecided", "contradicted", "confirmed", "contradicted"]),
        # nothing at all; then the decay gains more
        (gains(0.0, 0.2), ["undecided", "contradicted", "contradicted", "contradicted", "confirmed"]),
        # as far above the decay alone as seeds differ
        (gains(0.05, DECAY - NOISE), ["confirmed", "confirmed", "contradicted", "confirmed", "undecided"]),
    ],
)  # fmt: skip
def test_claims_turn_with_the_numbers(gain: Gain, expected: list[str]) -> None:
    found = claims_of(Ramps(trained(gain)))
    assert [claim.verdict for claim in found] == expected
    assert all(bool(claim.decide) == (claim.verdict == "undecided") for claim in found)


def test_the_verdict_says_what_the_numbers_do() -> None:
    def gain(ramp: Ramp, decayed: bool) -> float:
        if decayed or not ramp.steps:
            return DECAY * decayed
        return 0.02 * len(ramp.steps)

    said = verdict_of(Ramps(trained(gain)))
    assert "Of that ramps alone give 60 % [" in said
    assert "down to 20 % [" in said
    assert "2×, 4×, 8× from 512k, 1.02M, 1.54M saves 53.1 % of the updates" in said
    assert "no update is saved for nothing" in verdict_of(Ramps(trained(gains(0.05, 0.0))))


def test_figures_draw_from_the_table_alone() -> None:
    report = report_of(trained(gains(0.05, 0.1)))
    assert sum("updates saved" in line.what for line in report.lines) == 4
    with plots.style("paper"):
        for stem in ("batch-ramp-gains", "batch-ramp-updates"):
            ax = report.figures[stem]()
            assert isinstance(ax.figure, Figure)
            ax.figure.draw_without_rendering()


def test_the_study_files_plan_and_ask_for_the_same_ramps() -> None:
    asked = set()
    for scale in SCALES:
        study = read_study(study_path("batch-ramp", scale))
        assert plan(study)
        trunks = planned_trunks(study, "text", tuple((str(s.name), s.weight) for s in study.data.sources))
        runs = Ramps(Trained(scale, study, StudyFolder(Path("nowhere")), trunks, pd.DataFrame()))
        asked.add(
            tuple(tuple((round(at / runs.last, 9), times) for at, times in each.steps) for each in runs.ramps)
        )
        # the trunk itself is measured where the decays end
        assert runs.last in study.ladder.checkpoints
    assert len(asked) == 1


def test_a_study_that_does_not_compare_is_refused() -> None:
    study, trunks = small()
    alone = [each for each in trunks if not each.variant]
    with pytest.raises(InputError, match="batch_ramp"):
        Ramps(Trained("small", study, StudyFolder(Path("nowhere")), alone, pd.DataFrame()))
