"""Good data in the decay or after it: made-up losses of a known law, which the report must tell, and turn with."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scalinglab import plots
from scalinglab.errors import InputError
from scalinglab.experiments.data_in_decay import claims_of, place_share, report_of, verdict_of
from scalinglab.experiments.data_mixtures import GOOD, WEB, Mixtures, Way
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.ladder import plan, read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep.graph import planned_trunks

NOISE, DECAY = 0.02, 204_800
Law = Callable[[float, float], float]
"""(good tokens in the decay, good tokens after it) -> loss."""


@cache
def small() -> tuple[Any, Any]:
    study = read_study(study_path("data-in-decay", "small"))
    weights = tuple((str(source.name), source.weight) for source in study.data.sources)
    return study, planned_trunks(study, "text", weights)


def trained(good: Law, web: Law = lambda inside, after: 2.0 + after / 1e6) -> Trained:
    """Seeds move all runs by -NOISE, 0, NOISE, and each run for itself by a twentieth of it, 0 on average."""
    study, trunks = small()
    seen: dict[str, float] = {}
    for trunk in trunks:
        for each, run in zip(trunk.plan.branches, trunk.branches, strict=True):
            seen[run.id] = DECAY * dict(each.changes.weights or ()).get("books", 0.0)
    some = pd.DataFrame(columns=["run_id", "kind", "tokens", "eval_set", "loss", "loss_unit"])
    blank = Trained("small", study, StudyFolder(Path("nowhere")), trunks, some)
    rows = []
    row: Any
    for row in Mixtures(blank).planned.itertuples():
        inside = seen[row.run_id]
        turn = round(inside / 51_200) + round(row.after / 20_480) + round(row.params / 10_000)
        moved = NOISE * (row.seed - 1) + 0.05 * NOISE * ((row.seed + turn) % 3 - 1)
        common = {"run_id": row.run_id, "tokens": row.tokens, "kind": "after" if row.after else "branch"}
        for name, loss in (
            ("books", good(inside, row.after)),
            ("wiki", web(inside, row.after) + 0.2),
            ("wiki_fr", web(inside, row.after) - 0.3),
        ):
            rows.append({**common, "eval_set": name, "loss": loss + moved, "loss_unit": "nats/byte"})
    return replace(blank, table=pd.DataFrame(rows))


def worth(place: float, slope: float = 0.1) -> Law:
    """A good token in the decay is worth `place` of them after it."""
    return lambda inside, after: 2.5 - slope * math.log1p((place * inside + after) / 20_000)


def test_levels_and_differences_of_a_known_law_are_recovered() -> None:
    runs = Mixtures(trained(worth(2.0)))
    ways = runs.ways
    assert [way.after for way in ways.values()] == [40_960, 40_960, 61_440, 122_880, 61_440]
    assert runs.good_tokens(ways["B-3"]) == 163_840
    assert runs.noise(GOOD) == pytest.approx(NOISE, rel=0.06)
    # weighted as the trunk weighs them: 0.6·0.2 − 0.4·0.3 = 0
    assert runs.losses(ways["A-1"], WEB).to_numpy().mean() == pytest.approx(2.04096, abs=1e-9)
    mean = runs.gap(ways["B-3"], ways["B-1"], GOOD).overall()
    assert mean.value == pytest.approx(-0.1 * math.log((20 + 204.8 + 61.44) / (20 + 61.44)), abs=1e-9)
    assert mean.lo < mean.value < mean.hi < 0
    equal = runs.at_equal_good(ways["B-3"], GOOD)
    assert equal is not None
    assert equal.overall().value == pytest.approx(
        -0.1 * math.log((20 + 204.8 + 61.44) / (20 + 163.84)), abs=1e-9
    )
    share = place_share(runs)
    assert share is not None
    assert share.value == pytest.approx(math.log(286.24 / 183.84) / math.log(286.24 / 81.44), abs=1e-3)
    # 0.1·ln(1 + 61.44/20) gained for 0.06144 lost
    rates = runs.per_forgotten(ways["B-1"]).to_numpy()
    assert np.mean(rates) == pytest.approx(0.1 * math.log1p(3.072) / 0.06144, rel=0.05)


def test_what_a_token_in_the_decay_is_worth_is_recovered() -> None:
    def good(inside: float, after: float) -> float:
        return 3.0 - 0.1 * math.log(1 + 1.5 * inside + after)

    runs = Mixtures(trained(good))
    quarter, half, alone = runs.mixtures[1:]
    found = runs.worth(Way(quarter, 0.0))  # 1.5 · 51,200 lies between 61,440 and 122,880
    assert found.to_numpy().mean() == pytest.approx(1.5, rel=0.01)
    assert runs.worth(Way(half, 0.0)).to_numpy().mean() == pytest.approx(1.5, rel=0.01)
    assert runs.worth(Way(alone, 0.0)).isna().all(axis=None)  # 307,200: beyond all lengths


def test_between_two_lengths_the_curve_is_straight_in_their_logarithm() -> None:
    runs = Mixtures(trained(lambda inside, after: 3.0 - 0.1 * math.log(1 + after) if after else 3.0))
    quarter = next(each for each in runs.mixtures if each.share == 0.25)
    found = runs.at_equal_good(Way(quarter, 40_960.0), GOOD)  # 92,160 in all, between 61,440 and 122,880
    assert found is not None
    assert found.overall().value == pytest.approx(0.1 * math.log(92_160 / 40_960), abs=1e-4)
    assert runs.at_equal_good(Way(runs.mixtures[-1], 0.0), GOOD) is None  # 204,800: beyond all lengths


@pytest.mark.parametrize(
    ("good", "expected"),
    [
        # worth more in the decay
        (worth(2.0), ["confirmed", "confirmed", "confirmed", "confirmed"]),
        # worth the same wherever they come: the amount alone
        (worth(1.0), ["confirmed", "confirmed", "confirmed", "undecided"]),
        # worth less in the decay, and twice the training after it makes up for them
        (worth(0.5), ["confirmed", "confirmed", "contradicted", "contradicted"]),
        # harmful there
        (worth(-0.05), ["contradicted"] * 4),
        # nothing is learnt at all
        (worth(1.0, 0.0), ["undecided"] * 4),
    ],
)  # fmt: skip
def test_claims_turn_with_the_numbers(good: Law, expected: list[str]) -> None:
    assert [claim.verdict for claim in claims_of(Mixtures(trained(good)))[:4]] == expected


def test_what_is_forgotten_is_judged_at_equal_tokens_of_good_data() -> None:
    late = trained(worth(2.0), lambda inside, after: 2.0 + after / 1e6)
    early = trained(worth(2.0), lambda inside, after: 2.0 + inside / 1e6)
    assert [claims_of(Mixtures(each))[4].verdict for each in (late, early)] == ["confirmed", "contradicted"]


def test_the_verdict_says_what_the_numbers_do() -> None:
    place, amount = (verdict_of(Mixtures(trained(worth(each)))) for each in (8.0, 0.5))
    assert "B-3 ends lower" in place
    assert "of B-3's gain over B-1 is the place" in place
    assert "B-3 ends higher" in amount
    assert "so that the gain is the amount" in amount


def test_figures_draw_from_the_table_alone() -> None:
    report = report_of(trained(worth(2.0)))
    assert "B-3 less B-1: loss on good (nats/byte)" in [line.what for line in report.lines]
    with plots.style("paper"):
        for make in report.figures.values():
            ax = make()
            assert isinstance(ax.figure, Figure)
            ax.figure.draw_without_rendering()


def test_the_study_files_plan_and_ask_for_the_same_ways() -> None:
    for scale in SCALES:
        study = read_study(study_path("data-in-decay", scale))
        assert plan(study)
        trunks = planned_trunks(study, "text", tuple((str(s.name), s.weight) for s in study.data.sources))
        runs = Mixtures(Trained(scale, study, StudyFolder(Path("nowhere")), trunks, pd.DataFrame()))
        assert [each.share for each in runs.mixtures] == [0.0, 0.25, 0.5, 1.0]
        way = runs.ways["B-3"]
        # the fair comparison is measured, not read between lengths; a decay is a fifth to three tenths as in the paper
        assert runs.good_tokens(way) in runs.lengths
        assert [each / runs.decay_tokens for each in runs.lengths] == pytest.approx([0.2, 0.3, 0.6, 0.8])
        assert len(study.seeds) > 1


def test_a_study_that_does_not_compare_is_refused() -> None:
    study, trunks = small()
    bare = study.model_copy(
        update={"branches": [entry.model_copy(update={"after": None}) for entry in study.branches]}
    )
    with pytest.raises(InputError, match="on other data after none of its decays"):
        Mixtures(Trained("small", bare, StudyFolder(Path("nowhere")), trunks, pd.DataFrame()))
    mixed = [entry for entry in study.branches if entry.name != "web"]
    without = study.model_copy(update={"branches": mixed})
    with pytest.raises(InputError, match="a decay on the trunk's own data"):
        Mixtures(Trained("small", without, StudyFolder(Path("nowhere")), trunks, pd.DataFrame()))
