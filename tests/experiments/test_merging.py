"""Merged checkpoints against decays: made-up ends of known gains, which the report must tell, and turn with."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scalinglab import plots
from scalinglab.analysis.ratio import ratio_of_means
from scalinglab.errors import InputError
from scalinglab.experiments.merge_ends import Merge, MergeEnds
from scalinglab.experiments.merging import claims_of, report_of
from scalinglab.experiments.merging_words import growth_of, verdict_of
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.experiments.wsd_ends import Recipe
from scalinglab.ladder import Trunk, plan, read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import PlannedTrunk
from scalinglab.sweep.graph import planned_trunks

NOISE, GAIN = 0.01, 0.1
Gain = Callable[[Recipe, float], float]


@cache
def small() -> tuple[Any, list[PlannedTrunk], pd.DataFrame]:
    """The study, its trunks, and a row a measurement without its loss."""
    study = read_study(study_path("merge", "small"))
    trunks = planned_trunks(study, "text", (("wiki", 1.0), ("code", 1.0)))
    rows = []
    for trunk in trunks:
        assert isinstance(trunk.plan, Trunk)
        root = trunk.run.id
        common = {"seed": trunk.run.seed, "trunk_id": root, "loss_unit": "nats/byte"}
        for step in trunk.plan.stations:
            tokens = float(trunk.plan.batches.tokens_at(step))
            rows.append({**common, "run_id": root, "kind": "trunk", "tokens": tokens, "recipe": ""})
        for branch, run in zip(trunk.plan.branches, trunk.branches, strict=True):
            own = {"run_id": run.id, "kind": run.kind, "recipe": branch.recipe}
            rows.append({**common, **own, "tokens": float(trunk.plan.horizon(branch))})
    return study, trunks, pd.DataFrame(rows)


def trained(gain: Gain, scatter: float = 0.05, without: str = "") -> Trained:
    """Ends whose loss lies `gain(recipe, D)` below the trunk's, of seeds that move all runs by -NOISE, 0, NOISE.

    scatter: of NOISE, a run's own deviation, none on average over seeds. without: a kind of row left out.
    """
    study, trunks, rows = small()
    found: dict[str, Recipe] = {
        entry.name: Recipe(entry.name, spec.shape, spec.floor, spec.share) for entry, spec, _ in study.recipes
    }
    for each in study.merges:
        found[each.name] = Merge(each.name, each.decay, 0.0, each.decay_share, each.checkpoints)
    order = {name: i for i, name in enumerate(found)}
    losses = []
    row: Any
    for row in rows.itertuples():
        loss = at(row.tokens, row.seed)
        if row.recipe:
            turn = (row.seed + order[row.recipe] + round(math.log2(row.tokens / 1024e3))) % 3 - 1
            loss += scatter * NOISE * turn - gain(found[row.recipe], row.tokens)
        losses.append(loss)
    sets = {"average": 0.0, "wiki": 0.1, "code": -0.1}
    table = pd.concat(
        [rows.assign(eval_set=name, loss=np.array(losses) + shift) for name, shift in sets.items()],
        ignore_index=True,
    )
    return Trained("small", study, StudyFolder(Path("nowhere")), trunks, table[table["kind"] != without])


def at(tokens: float, seed: int) -> float:
    return float(2.0 + 0.3 * (tokens / 1e6) ** -0.3 + NOISE * (seed - 1))


def by_window(
    best: float = 0.2,
    growth: float = 1.0,
    worth: float = 1.0,
    steep: float = 0.2,
    few: float = 0.0,
    square: float = 0.0,
) -> Gain:
    """Decays gain GAIN. Merges gain `worth` of it at the best share, which grows by `growth` a doubling of D.

    Less the square of the distance from it in ln share; less `few` for states left out; and of merges and decays
    alike, less `square` with the shape 1-sqrt.
    """

    def gain(recipe: Recipe, tokens: float) -> float:
        own = square if recipe.shape == "1-sqrt" else 0.0
        if not isinstance(recipe, Merge):
            return GAIN * (1.0 - own)
        at = math.log(best) + math.log(growth) * math.log2(tokens / 1024e3)
        off = (math.log(recipe.share) - at) ** 2
        return GAIN * (worth - steep * off - own - few * (1.0 - recipe.count / 11))

    return gain


def verdicts(gain: Gain) -> list[str]:
    return [claim.verdict for claim in claims_of(MergeEnds(trained(gain)))]


def test_known_gain_window_and_growth_are_recovered() -> None:
    ends = MergeEnds(trained(by_window(0.15, 1.2, worth=0.9)))
    assert ends.noise == pytest.approx(NOISE, rel=0.01)
    assert ends.horizons == [1024e3, 2048e3, 4096e3]
    merge = next(each for each in ends.merges if (each.shape, each.share, each.count) == ("linear", 0.2, 11))
    gains = ends.gain(merge)
    for horizon in ends.horizons:
        expected = GAIN * (0.9 - 0.2 * math.log(0.2 / (0.15 * 1.2 ** math.log2(horizon / 1024e3))) ** 2)
        assert gains.cell(horizon).value == pytest.approx(expected, abs=1e-9)
        assert ends.share_of_gain(merge, horizon).value == pytest.approx(expected / GAIN, rel=0.01)


def test_the_best_window_and_its_growth_are_recovered() -> None:
    gain = by_window(0.15, 1.2)
    windows, inside = MergeEnds(trained(gain, scatter=0.0)).best_windows("linear")
    assert [each.edge for each in windows] == ["", "", ""]
    assert [each.share.value for each in windows] == pytest.approx([0.15, 0.18, 0.216], rel=1e-9)
    assert growth_of(inside).value == pytest.approx(1.2, rel=1e-9)
    ends = MergeEnds(trained(gain))
    windows, inside = ends.best_windows("linear")
    for found, truth in zip(
        [*(each.share for each in windows), growth_of(inside)], [0.15, 0.18, 0.216, 1.2], strict=True
    ):
        assert found.lo < truth < found.hi < 1.5 * found.lo
    assert "a share that grows with D" in verdict_of(ends)


def test_a_best_window_at_an_end_is_a_bound() -> None:
    windows, inside = MergeEnds(trained(by_window(2.0))).best_windows("linear")
    assert [(each.share.value, each.edge) for each in windows] == [(0.8, "high")] * 3
    assert math.isnan(growth_of(inside).value)


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        # matches; equal to its decays near the best window; the window matters most; 1-sqrt worse in both
        (by_window(0.15, worth=1.0, square=0.05), ["confirmed", "confirmed", "confirmed", "confirmed"]),
        # half of a decay's gain: far above it
        (by_window(0.15, worth=0.5, square=0.05), ["contradicted", "contradicted", "confirmed", "confirmed"]),
        # better than decays: as WSM has it, and not equal to what it stands for
        (by_window(0.15, worth=1.5), ["confirmed", "contradicted", "confirmed", "undecided"]),
        # the window matters more than the number of states through 80 % alone
        (by_window(0.15, few=0.5), ["confirmed", "confirmed", "undecided", "undecided"]),
        # the number of states matters more than a flat window
        (by_window(0.15, steep=0.001, few=1.0), ["confirmed", "confirmed", "contradicted", "undecided"]),
    ],
)  # fmt: skip
def test_claims_turn_with_the_numbers(gain: Gain, expected: list[str]) -> None:
    assert verdicts(gain) == expected


def test_weights_that_turn_round_contradict() -> None:
    def gain(recipe: Recipe, tokens: float) -> float:
        sign = 1 if isinstance(recipe, Merge) else -1
        return by_window(0.15)(recipe, tokens) + sign * (0.004 if recipe.shape == "linear" else 0.0)

    assert verdicts(gain)[3] == "contradicted"


def test_variances_are_those_of_the_levels() -> None:
    """A gain quadratic in ln share, with weights apart by a constant and states by another, has these by hand."""
    ends = MergeEnds(trained(by_window(0.2, few=0.3, square=0.1)))
    x = np.log([0.1, 0.2, 0.4, 0.8])
    expected = {
        "window": np.var(GAIN * 0.2 * (x - math.log(0.2)) ** 2),
        "weights": np.var([0.0, GAIN * 0.1]),
        "number": np.var(GAIN * 0.3 * (1 - np.array([3, 6, 11]) / 11)),
    }
    for factor, variance in expected.items():
        assert ends.spread(factor).overall().value == pytest.approx(math.sqrt(variance), rel=0.02)
    assert float(ends.effects["window × weights"].mean()) < 1e-6
    assert "Not even 6 states" in verdict_of(MergeEnds(trained(by_window(few=0.5))))
    assert "3 states end +0.0015" in verdict_of(MergeEnds(trained(by_window(few=0.02))))


def test_at_equal_compute_the_trunk_goes_on_for_what_the_decay_took() -> None:
    """Gains alike, so that the merge's lead is what the trunk's own loss falls by from D to (1 + share)·D."""
    ends = MergeEnds(trained(by_window(0.2)))
    found = ends.at_equal_compute(ends.decays[0])
    assert found.cells == [1024e3, 2048e3]
    for horizon in found.cells:
        share = ends.decays[0].share
        ends_at = [np.log(at(tokens, 1) - GAIN) for tokens in (horizon, 2 * horizon)]
        expected = np.exp(np.interp(math.log2(1 + share), [0, 1], ends_at)) - np.exp(ends_at[0])
        assert found.cell(horizon).value == pytest.approx(float(expected), abs=5e-4)
        assert found.cell(horizon).hi < 0


def test_tokens_are_counted_as_the_ledger_does() -> None:
    """Trunk to the last horizon and nothing beside it, against the furthest fork and every decay of 20 %."""
    ends = MergeEnds(trained(by_window()))
    decay = next(each for each in ends.decays if each.name == "linear-20")
    assert ends.tokens(ends.merges) == 4096e3
    assert ends.tokens([decay]) == pytest.approx(0.8 * 4096e3 + 0.2 * 7 * 1024e3, abs=2048)


def test_fieller_leaves_out_what_can_be_told_from_zero() -> None:
    rng = np.random.default_rng(1)
    x, y = 2.0 + 0.2 * rng.normal(size=6), 1.0 + 0.3 * rng.normal(size=6)
    found = ratio_of_means(y, x, 0.9)
    assert found.value == pytest.approx(y.mean() / x.mean())
    from scipy.stats import ttest_1samp

    for end in (found.lo, found.hi):
        assert ttest_1samp(y - end * x, 0).pvalue == pytest.approx(0.1, abs=1e-9)
    assert ratio_of_means(y, x - x.mean() + 1e-3).hi == math.inf
    assert math.isnan(ratio_of_means([1.0], [2.0]).lo)


def test_report_tells_and_draws_from_the_table_alone() -> None:
    report = report_of(trained(by_window(0.15, worth=0.9, square=0.02)))
    assert any(
        "merge of 11, linear weights, 20 %" in text
        for text in report.tables["Share of the best decay's gain"][""]
    )
    with plots.style("paper"):
        for draw in report.figures.values():
            ax = draw()
            figure = ax.get_figure()
            assert figure is not None
            figure.draw_without_rendering()  # type: ignore[union-attr]
    assert [each for each in ax.get_legend_handles_labels()[1] if each.startswith("D = ")] == [
        "D = 1.02M", "D = 2.05M", "D = 4.1M",
    ]  # fmt: skip


def test_the_study_files_plan_and_ask_for_the_same_recipes() -> None:
    asked = set()
    for scale in SCALES:
        study = read_study(study_path("merge", scale))
        trunks = plan(study)
        assert len(study.ladder.sizes) == 1
        assert len(study.seeds) > 1
        for trunk in trunks:  # the undecayed trunk is measured wherever something ends
            ends = {trunk.batches.step_at(trunk.horizon(branch)) for branch in trunk.branches}
            assert ends <= set(trunk.stations)
        merges = tuple((each.name, each.decay, each.decay_share, each.checkpoints) for each in study.merges)
        asked.add((tuple((entry.name, spec) for entry, spec, _ in study.recipes if entry), merges))
    assert len(asked) == 1


def test_a_study_whose_trunk_ends_early_is_refused() -> None:
    with pytest.raises(InputError, match="let the trunk reach it"):
        MergeEnds(trained(by_window(), without="trunk"))
