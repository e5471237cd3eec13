"""Schedules drawn: the curves are the factors, over steps or over tokens."""

import numpy as np
import pytest

from scalinglab import plots
from scalinglab.errors import InputError
from scalinglab.experiments.quickstart import STUDY
from scalinglab.ladder import WSD, Batches, Cosine, CosineLoop, Noam, parse_schedule

KIND = plots.KINDS["schedule"]


def curves(ax) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {line.get_label(): line.get_data() for line in ax.lines if not line.get_label().startswith("_")}


def test_one_schedule_is_its_factors_and_its_phases_are_shaded() -> None:
    schedule = parse_schedule("wsd:total=10000,decay=1000,shape=linear,warmup=100")
    ax = plots.schedule(schedule)
    steps, rate = curves(ax)["wsd-linear"]
    assert (steps[0], steps[-1]) == (0, 10_000)
    assert {99, 100, 8999, 9000} <= set(steps)
    assert rate.tolist() == [schedule.factor(int(step)) for step in steps]
    spans = sorted(patch.get_extents().transformed(ax.transData.inverted()).x0 for patch in ax.patches)
    assert spans == pytest.approx([0, 9000], abs=1e-6)


def test_tokens_follow_the_batch_and_its_ramp_has_an_axis() -> None:
    batches = Batches(100, ((400, 200), (800, 400)))
    schedule = Cosine(10, 1000)
    ax = plots.schedule(schedule, batches=batches)
    tokens, rate = curves(ax)["cosine"]
    assert tokens[-1] == batches.tokens_at(1000) == 200_000
    steps = [batches.step_at(int(each)) for each in tokens]
    assert rate.tolist() == [schedule.factor(step) for step in steps]
    (right,) = [each for each in ax.figure.axes if each is not ax]
    at, size = right.lines[0].get_data()
    assert list(zip(at, size, strict=True)) == [(0, 100), (40_000, 200), (120_000, 400), (200_000, 400)]
    assert len(plots.schedule(schedule, batches=Batches(100)).figure.axes) == 1


def test_several_texts_share_an_axis_and_equal_names_are_told_apart() -> None:
    ax = KIND.draw("cosine:period=1e+3+cosine:period=2000 ; noam:warmup=50")
    found = curves(ax)
    assert list(found) == ["cosine:period=1e+3", "cosine:period=2000", "noam"]
    assert [steps[-1] for steps, _ in found.values()] == [1000, 2000, 2000]


def test_schedules_without_an_end_are_drawn_far_enough() -> None:
    assert curves(plots.schedule(Noam(50)))["noam"][0][-1] == 500
    assert curves(plots.schedule(CosineLoop(100, 600)))["cosine-loop"][0][-1] == 2100
    assert curves(plots.schedule({"a": WSD(7), "b": Cosine(5, 50)}, steps=80))["a"][0][-1] == 80


def test_a_study_is_its_trunk_to_the_last_fork_and_its_branches_from_theirs(tmp_path) -> None:
    found = curves(KIND.draw(STUDY))
    tokens, rate = found.pop("trunk of 10k")
    assert tokens[-1] == 512 * 5400  # of 3,072,000 tokens, 6000 updates, the last tenth decays
    assert set(rate[tokens >= 25_600]) == {1.0}
    assert len(found) == 8
    ends = [256_000, 384_000, 512_000, 768_000, 1_024_000, 1_536_000, 2_048_000, 3_072_000]
    for (tokens, rate), end in zip(found.values(), ends, strict=True):
        assert tokens[0] == 512 * (end // 512 - round(0.1 * end / 512))
        assert (tokens[-1], rate[0], rate[-1]) == (end, 1.0, 0.0)
    (tmp_path / "study.toml").write_bytes(STUDY.read_bytes())
    assert list(curves(KIND.draw(tmp_path))) == ["trunk of 10k", *found]


def test_all_kinds_share_their_axes() -> None:
    axes = KIND.draw().figure.axes
    titles = [ax.get_title(loc="left") for ax in axes]
    assert [title for title in titles if title] == [
        "WSD", "trunk and branches", "decay shapes", "WSD-S", "cosine", "cosine loop", "linear",
        "Noam, constant", "batch ramp",
    ]  # fmt: skip
    assert {ax.get_xlim() for ax in axes} == {axes[0].get_xlim()}
    assert {ax.get_ylim() for ax in axes[:9]} == {axes[0].get_ylim()}


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no schedule to draw"):
        plots.schedule({})
    with pytest.raises(InputError, match="steps=0 draws nothing"):
        plots.schedule(Noam(5), steps=0)
    with pytest.raises(InputError, match="the figure contours needs an input"):
        plots.KINDS["contours"].draw()
