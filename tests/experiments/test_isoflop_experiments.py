"""Porian's exponents and Hoffmann's approaches against what was published."""

import dataclasses

import pandas as pd
import pytest

from scalinglab.errors import InputError
from scalinglab.experiments import chinchilla, porian
from scalinglab.experiments.catalogue import EXPERIMENTS
from scalinglab.experiments.published_fits import matching_digits, printed_digits


@pytest.mark.parametrize("i", [0, 5, 10, 14])  # where the authors' random numbers start anew
def test_porians_exponents_to_every_printed_digit(data_folder, i: int) -> None:
    printed = pd.read_csv(data_folder / porian.PUBLISHED, dtype=str)
    row = printed.iloc[i]
    runs = porian._rows(pd.read_csv(data_folder / porian.RUNS), row)
    found = porian.isoflop(
        runs, minimum="interpolated", noise=porian.NOISE[row["dataset"]], seed=porian.TheirDraws(), level=0.95,
        resamples=1000,
    )  # fmt: skip
    assert matching_digits(found.a.value, row["n_exp"]) == printed_digits(row["n_exp"])
    assert found.a.lo == pytest.approx(float(row["n_exp_lo"]), abs=3e-4)
    assert found.a.hi == pytest.approx(float(row["n_exp_hi"]), abs=3e-4)


def test_the_tuned_step_needs_no_random_numbers_of_theirs(data_folder) -> None:
    row = pd.read_csv(data_folder / porian.PUBLISHED, dtype=str).iloc[4]
    runs = porian._rows(pd.read_csv(data_folder / porian.RUNS), row)
    found = porian.isoflop(runs, minimum="interpolated", noise=0.002, level=0.95, resamples=1000)
    assert found.a.value == pytest.approx(0.4969, abs=0.002)
    # a budget whose minimum lies between the sizes: all twelve do once the training is tuned
    assert (found.rows["note"] == "").sum() == 12


def test_hoffmanns_approaches(data_folder) -> None:
    made = chinchilla.report(data_folder)
    lines = {line.what: line for line in made.lines}
    # table 2 of the paper; Approach 2 within its printed interval on digitised runs
    assert lines["Approach 2: a"].ours.value == pytest.approx(0.49, abs=0.01)
    assert 0.462 < lines["Approach 2: a"].ours.lo < lines["Approach 2: a"].ours.hi < 0.534
    # Besiroglu et al. 2024 from their printed constants
    assert lines["Approach 3: a"].ours.value == pytest.approx(0.36585 / (0.34781 + 0.36585), abs=0.005)
    assert lines["Approach 3: a"].ours.lo > 0.455  # outside the published interval
    assert "62B" in lines["Approach 2: N at 5.76e23"].ours  # published: 63B
    for draw in made.figures.values():
        draw().figure.draw_without_rendering()
    assert dataclasses.is_dataclass(made)
    assert made.plain()["lines"][0]["ours"]["value"] == lines["Approach 3: a"].ours.value


def test_they_are_listed_and_need_their_files(tmp_path) -> None:
    for name in ("chinchilla", "porian"):
        assert EXPERIMENTS[name].needs == "data"
        with pytest.raises(InputError, match="no such file"):
            EXPERIMENTS[name].run(tmp_path)
