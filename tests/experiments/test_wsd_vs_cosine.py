"""WSD against cosine: made-up run ends of known gaps, which the report must tell, and turn with."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scalinglab import plots
from scalinglab.errors import InputError
from scalinglab.experiments.report import Claim
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.experiments.wsd_ends import Ends, Recipe
from scalinglab.experiments.wsd_findings import Findings, published_gaps, published_share
from scalinglab.experiments.wsd_tables import ledger
from scalinglab.experiments.wsd_vs_cosine import claims_of, report_of
from scalinglab.experiments.wsd_words import verdict_of
from scalinglab.ladder import Scratch, plan, plan_full, read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import PlannedTrunk
from scalinglab.sweep.graph import planned_trunks

NOISE = 0.01
Gap = Callable[[Recipe, float], float]


@cache
def small() -> tuple[object, list[PlannedTrunk]]:
    study = read_study(study_path("wsd-vs-cosine", "small"))
    return study, planned_trunks(study, "text", (("wiki", 1.0), ("code", 1.0)))


def trained(gap: Gap, rate: Callable[[str, float], float] = lambda recipe, lr: 0.0) -> Trained:
    """Ends whose gap to the cosine is `gap(recipe, D)`, of seeds that move all runs by -NOISE, 0, NOISE.

    A pair's own deviation is a tenth of it, and 0 on average. rate: what a learning rate adds to seed 0's losses.
    """
    study, trunks = small()
    blank = Trained("small", study, StudyFolder(Path("nowhere")), trunks, pd.DataFrame())  # type: ignore[arg-type]
    ends = Ends(blank)
    recipes = {each.name: each for each in ends.recipes}
    rows = []
    row: Any
    for row in ends.planned.itertuples():
        recipe = recipes.get(row.recipe)
        base = 2.0 + 0.3 * (row.tokens / 1e6) ** -0.3 + NOISE * (row.seed - 1)
        own = 0.0 if recipe is None else gap(recipe, row.tokens)
        if recipe is not None and not row.variant:
            own += 0.1 * NOISE * ((row.seed + round(math.log2(row.tokens / 512e3))) % 3 - 1)
        kind = "full" if row.recipe in ("cosine", "cosine-to-0") else "branch"
        common = {"seed": row.seed, "trunk_id": row.trunk_id, "loss_unit": "nats/byte"}
        sets = {"average": 0.0, "wiki": 0.1, "code": -0.1}
        added = rate(row.recipe, row.lr) if row.seed == 0 and row.variant else 0.0
        rows += [
            {**common, "run_id": row.run_id, "kind": kind, "tokens": row.tokens, "eval_set": name,
             "loss": base + own + added + shift}
            for name, shift in sets.items()
        ]  # fmt: skip
        if row.recipe == ends.main.name:
            rows.append(
                {**common, "run_id": row.trunk_id, "kind": "trunk", "tokens": row.fork, "eval_set": "average",
                 "loss": base + own + 0.1}
            )  # fmt: skip
    return Trained("small", study, blank.folder, trunks, pd.DataFrame(rows))  # type: ignore[arg-type]


def by_share(meets: float, shape: dict[str, float] | None = None, slope: float = 0.04) -> Gap:
    """The gap falls as the logarithm of the share, and is 0 at `meets`; shapes add their own."""

    def gap(recipe: Recipe, tokens: float) -> float:
        if recipe.whole:
            return 0.005
        return slope * math.log(meets / recipe.share) + (shape or {"linear": 0.004, "cosine": 0.008}).get(
            recipe.shape, 0.0
        )

    return gap


def claims(gap: Gap) -> list[Claim]:
    return claims_of(Findings(Ends(trained(gap))))


def test_a_known_gap_share_and_noise_are_recovered() -> None:
    found = trained(by_share(0.06))
    said = Findings(Ends(found))
    assert said.noise == pytest.approx(NOISE)
    gap = said.mean(said.ends.main)
    assert gap.value == pytest.approx(0.04 * math.log(0.6), abs=1e-9)
    assert gap.lo < gap.value < gap.hi < gap.value + NOISE
    meets = said.meets
    assert meets.value == pytest.approx(0.06, rel=1e-6)
    assert meets.lo < 0.06 < meets.hi
    report = report_of(found)
    assert "6 % [" in next(
        line.ours_text for line in report.lines if line.what.startswith("share of the run")
    )
    drop = next(line.ours_text for line in report.lines if "takes off the trunk" in line.what)
    assert drop.startswith("+0.1000")
    assert "1-sqrt, 10 % of the run, ends −0.0204" in report.verdict


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        # 10 % matches, but 20 % is lower by 0.04·ln 2, and 2.5 % higher by 0.04·ln 4; 1-sqrt ties with two shapes
        (by_share(0.1), ["confirmed", "contradicted", "confirmed", "undecided"]),
        # far above the cosine
        (by_share(0.5), ["contradicted", "contradicted", "confirmed", "undecided"]),
        # the length hardly matters
        (by_share(0.1, slope=0.001), ["confirmed", "confirmed", "contradicted", "undecided"]),
        # every other shape is worse, by less than the seed noise but on the same trunks
        (
            by_share(0.1, dict.fromkeys(("linear", "cosine", "exponential", "inverse-linear"), 0.004)),
            ["confirmed", "contradicted", "confirmed", "confirmed"],
        ),
        # one is better
        (by_share(0.1, {"exponential": -0.004}), ["confirmed", "contradicted", "confirmed", "contradicted"]),
    ],
)  # fmt: skip
def test_claims_turn_with_the_numbers(gap: Gap, expected: list[str]) -> None:
    assert [claim.verdict for claim in claims(gap)] == expected


def test_a_gap_that_grows_with_the_horizon_is_not_taken_for_a_match() -> None:
    def gap(recipe: Recipe, tokens: float) -> float:
        return 0.0 if recipe.whole else 0.0065 * math.log2(tokens / 1024e3) - 0.0035

    claim = claims(gap)[0]
    assert claim.verdict == "undecided"
    # -0.0035 + 0.0065·log2(D/1.024M) is 0.01 at 4.32M
    assert "near D = 4.32M" in claim.decide
    assert "grows by +0.0065" in verdict_of(Findings(Ends(trained(gap))))


def test_learning_rates_are_compared_each_at_its_own_best() -> None:
    # the cosine gains 0.02 at the higher rate, the decays 0.03 at the lower
    def rate(recipe: str, lr: float) -> float:
        if recipe.startswith("cosine") and not recipe.endswith("10"):
            return -0.02 if lr > 0.005 else 0.05
        return -0.03 if lr < 0.005 else 0.05

    found = trained(by_share(0.1), rate)
    best = Findings(Ends(found)).at_best_rates(Ends(found).main)
    assert best is not None
    assert (best.lr, best.reference_lr, best.edge) == (0.0025, 0.01, True)
    assert best.gap.value == pytest.approx(-0.01, abs=2e-3)


def test_compute_of_one_trunk_beside_a_cosine_a_horizon() -> None:
    # horizons 1, 2, 4, 8 and decays of a tenth: (2^m − 1) / (0.9·2^(m−1) + 0.1·(2^m − 1)), forks in whole updates
    found = ledger(Ends(trained(by_share(0.1))))["ratio"].to_numpy()
    m = np.arange(1, 5)
    np.testing.assert_allclose(found, (2.0**m - 1) / (0.9 * 2.0 ** (m - 1) + 0.1 * (2.0**m - 1)), rtol=2e-3)


def test_published_gaps_are_those_of_the_figure() -> None:
    assert published_gaps() == pytest.approx(
        {0.025: 100 * math.log(3.704 / 3.648), 0.1: 100 * math.log(3.617 / 3.648)}
    )
    assert 0.06 < published_share() < 0.062


def test_figures_draw_from_the_table_alone() -> None:
    report = report_of(trained(by_share(0.06)))
    with plots.style("paper"):
        for stem in ("wsd-vs-cosine", "wsd-vs-cosine-share"):
            ax = report.figures[stem]()
            assert isinstance(ax.figure, Figure)
            ax.figure.draw_without_rendering()
    labels = ax.get_legend_handles_labels()[1]
    assert [each for each in labels if each.startswith("D = ")] == [
        "D = 512k",
        "D = 1.02M",
        "D = 2.05M",
        "D = 4.1M",
    ]


def test_the_study_files_plan_and_ask_for_the_same_recipes() -> None:
    asked = set()
    for scale in SCALES:
        study = read_study(study_path("wsd-vs-cosine", scale))
        assert plan(study)
        wholes = plan_full(study)
        asked.add(
            (
                tuple((entry.name, spec) for entry, spec, _ in study.recipes if entry),
                tuple((entry.name, entry.schedule, entry.floor) for entry in study.full),
            )
        )
        assert all(isinstance(each, Scratch) for each in wholes)
        assert len(study.ladder.sizes) == 1
        assert len(study.seeds) > 1
    assert len(asked) == 1


def test_a_study_without_cosines_is_refused() -> None:
    study, trunks = small()
    alone = [each for each in trunks if not isinstance(each.plan, Scratch)]
    with pytest.raises(InputError, match="cosine"):
        Ends(Trained("small", study, StudyFolder(Path("nowhere")), alone, pd.DataFrame()))  # type: ignore[arg-type]
