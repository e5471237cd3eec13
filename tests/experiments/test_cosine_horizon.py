"""Cosine's period against the run: made-up run ends of known gaps, which the report must tell, and turn with."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scalinglab import plots
from scalinglab.analysis import Estimate
from scalinglab.errors import InputError
from scalinglab.experiments.cosine_horizon import claims_of, report_of
from scalinglab.experiments.horizon_ends import HorizonEnds, Way, planned_ends, way_of
from scalinglab.experiments.horizon_words import share_of_doubling
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.ladder import Cosine, CosineLoop, Scratch, Study, read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import PlannedTrunk
from scalinglab.sweep.graph import planned_trunks

NOISE = 0.01
GAPS = {"cosine": {0.5: 0.06, 1.0: 0.0, 2.0: 0.04}, "wsd": {0.1: 0.0, 0.2: -0.02}}
OTHERS = {"cosine-loop": 0.02, "linear": 0.01, "noam": 0.07, "constant": 0.08}


@cache
def small() -> tuple[Study, list[PlannedTrunk]]:
    study = read_study(study_path("cosine-horizon", "small"))
    return study, planned_trunks(study, "text", (("wiki", 1.0), ("code", 1.0)))


def gap_of(way: Way, **changed: float) -> float:
    if way.kind == "cosine":
        return changed.get(f"T{way.ratio:g}", GAPS["cosine"][way.ratio])
    if way.kind == "wsd":
        return changed.get("wsd", 0.0) + GAPS["wsd"][way.share]
    return changed.get(way.kind.replace("-", "_"), OTHERS[way.kind])


def trained(**changed: float) -> Trained:
    """Ends at 2 + 0.3·(D/1M)^-0.3 and a way's gap; seeds move all runs by -NOISE, 0, NOISE, and pairs by a tenth."""
    study, trunks = small()
    blank = Trained("small", study, StudyFolder(Path("nowhere")), trunks, pd.DataFrame())
    rows = []
    for row in planned_ends(trunks, study).to_dict("records"):
        clean = 2.0 + 0.3 * (row["tokens"] / 1e6) ** -0.3 + NOISE * (row["seed"] - 1)
        pair = 0.1 * NOISE * ((row["seed"] + round(np.log2(row["tokens"] / 512e3))) % 3 - 1)
        value = clean + gap_of(row["way"], **changed) + pair * (row["way"].ratio != 1)
        rows += [
            {"run_id": row["run_id"], "tokens": row["tokens"], "eval_set": name, "loss": value + more}
            | {"loss_unit": "nats/byte", "seed": row["seed"]}
            for name, more in (("average", 0.0), ("wiki", 0.1))
        ]
    return replace(blank, table=pd.DataFrame(rows))


def curve_of(rise: float) -> Callable[[str], pd.DataFrame]:
    """Curves whose loss follows the learning rate: `rise` higher at the peak than at the floor; the trunk's is flat."""
    lr = {trunk.run.id: trunk.plan.schedule for trunk in small()[1]}

    def read(run_id: str) -> pd.DataFrame:
        schedule = lr[run_id]
        steps = np.arange(0, 4001, 20)
        rate = np.array([schedule.factor(int(step)) for step in steps])
        loop = isinstance(schedule, CosineLoop)
        return pd.DataFrame(
            {"tokens": 1024.0 * steps, "lr": 0.005 * rate, "loss": 2.5 + (rise * rate if loop else 0.0)}
        )

    return read


def verdicts(found: Trained, rise: float | None = None) -> dict[str, str]:
    ends = HorizonEnds(found, None if rise is None else curve_of(rise))
    return {claim.claim.split(",")[0]: claim.verdict for claim in claims_of(ends)}


def test_what_a_measurement_is_goes_by_the_schedule_and_the_step() -> None:
    """Cosine(T = 1M), at 512k, 1M and 2M, is T = 2·S, S and S/2, whatever the study calls it."""
    ways = [way_of(Cosine(50, 1000), end) for end in (500, 1000, 2000)]
    assert [way.ratio for way in ways] == [2.0, 1.0, 0.5]
    assert [way.label for way in ways] == ["Cosine(T = 2·S)", "Cosine(T = S)", "Cosine(T = S/2)"]
    ends = HorizonEnds(trained())
    assert ends.horizons == [512e3, 1024e3, 2048e3, 4096e3]
    for ratio in (0.5, 2.0):
        gap = ends.gap(ends.at_ratio(ratio))  # type: ignore[arg-type]
        assert gap.cells == ends.horizons
        assert gap.seeds == 3
        assert gap.overall().value == pytest.approx(GAPS["cosine"][ratio], abs=1e-9)
    assert ends.noise().sd == pytest.approx(NOISE)
    constant = ends.of_kind("constant")
    assert constant is not None
    assert ends.gap(constant).cells == ends.horizons


def test_a_doubling_at_the_floor() -> None:
    """L(T) − L(2T) is 0.3·(T/1M)^-0.3·(1 − 2^-0.3) for a cosine made for 2T; at the floor that less the gap, 0.06."""
    ends = HorizonEnds(trained())
    stayed, made = ends.doubling()
    assert stayed.cells == [512e3, 1024e3, 2048e3]
    full = 0.3 * (np.array(made.cells) / 1e6) ** -0.3 * (1 - 2**-0.3)
    np.testing.assert_allclose(made.pairs.mean(), full, atol=1e-9)
    np.testing.assert_allclose(stayed.pairs.mean(), full - 0.06, atol=1e-9)
    share = share_of_doubling(ends)
    assert share.value == pytest.approx(1 - 0.18 / full.sum(), abs=1e-3)
    assert isinstance(share, Estimate)


CLAIMS = {
    "Cosine(T = S) ends below a shorter period": "confirmed",
    "Cosine(T = S) ends below a longer period": "confirmed",
    "Trained on after T at the least learning rate": "confirmed",
    "CosineLoop": "confirmed",
    "WSD": "confirmed",
    "Cosine(T = S) is the best of schedules without a fork: linear to 0": "confirmed",
}


@pytest.mark.parametrize(
    ("changed", "turned"),
    [
        ({}, {}),
        ({"T0.5": -0.02}, {"Cosine(T = S) ends below a shorter period": "contradicted",
                           "Trained on after T at the least learning rate": "contradicted"}),
        ({"T2": 0.0}, {"Cosine(T = S) ends below a longer period": "undecided"}),
        ({"wsd": 0.05}, {"WSD": "contradicted"}),
        ({"linear": -0.01}, {"Cosine(T = S) is the best of schedules without a fork: linear to 0": "contradicted"}),
        ({"linear": 0.0}, {"Cosine(T = S) is the best of schedules without a fork: linear to 0": "undecided"}),
    ],
)  # fmt: skip
def test_claims_turn_with_the_numbers(changed: dict[str, float], turned: dict[str, str]) -> None:
    assert verdicts(trained(**changed), 0.1) == CLAIMS | turned


def test_the_loop_is_told_by_its_curve() -> None:
    found = trained()
    for rise, verdict in ((0.1, "confirmed"), (-0.1, "contradicted")):
        assert verdicts(found, rise)["CosineLoop"] == verdict
        ends = HorizonEnds(found, curve_of(rise))
        assert len(ends.loops) == 6
        # near floor and peak, within 15 % of the way, its mean is 5 % of the way off
        assert ends.loop_gaps("rise").overall().value == pytest.approx(0.9 * rise, rel=0.12)
        assert ends.loop_gaps("lost").overall().value == pytest.approx(0.9 * rise, rel=0.12)
    assert "CosineLoop" not in verdicts(found)


def test_the_report_says_so_and_draws() -> None:
    report = report_of(trained())
    assert report.verdict.startswith("T = S is best of the periods tried")
    assert "the order is WSD, 1-sqrt, 20 %; " in report.verdict
    assert report_of(trained(T2=-0.05)).verdict.startswith("T = S is not the best of the periods tried")
    with plots.style("paper"):
        figure = report.figures["cosine-horizon"]().figure
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
        with pytest.raises(InputError, match="no curves to draw"):
            report.figures["cosine-horizon-curves"]()


def test_studies_without_their_cosine_are_refused() -> None:
    found = trained()
    alone = [each for each in found.trunks if not isinstance(each.plan, Scratch)]
    with pytest.raises(InputError, match="cosine"):
        HorizonEnds(replace(found, trunks=alone))


@pytest.mark.parametrize("scale", SCALES)
def test_its_studies(scale: str) -> None:
    """T of half, all and twice the run at every horizon, and loops that end at their floor having risen once."""
    study = read_study(study_path("cosine-horizon", scale))
    trunks = planned_trunks(study, "text", (("wiki", 1.0), ("web", 1.0)))
    horizons = set(study.ladder.horizons)
    found: dict[float, set[int]] = {}
    for trunk in trunks:
        plan = trunk.plan
        if isinstance(plan.schedule, CosineLoop):
            assert [phase.name for phase in plan.schedule.phases(plan.steps)][:4] == [
                "warmup",
                "decay",
                "rise",
                "decay",
            ]
            assert plan.schedule.factor(plan.steps) == pytest.approx(0.1, abs=0.001)
        elif isinstance(plan.schedule, Cosine):
            for end in plan.stations:
                found.setdefault(way_of(plan.schedule, end).ratio, set()).add(plan.batches.tokens_at(end))
    assert found == {0.5: horizons, 1.0: horizons, 2.0: horizons}
    assert max(horizons) in study.ladder.checkpoints
