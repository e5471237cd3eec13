"""The section [search]: what it means by default, that it changes no run, and its mistakes."""

from pathlib import Path

import pytest

from scalinglab.errors import InputError
from scalinglab.experiments.quickstart import STUDY
from scalinglab.ladder import differences, plan, read_study
from scalinglab.ladder.trials import rungs, searched, trial_horizon, trial_plan, trial_size, trial_study
from scalinglab.sweep.graph import planned_trunks

GOOD = STUDY.read_text("utf-8")
RANGES = "[search]\nlr = [0.001, 0.1]\ninit_std = [0.01, 1.0]\n"


def study_with(section: str, path: Path, text: str = GOOD) -> Path:
    path.write_text(text.replace("[ladder]\n", f"{section}\n[ladder]\n"), "utf-8")
    return path


def test_a_search_is_the_smallest_size_and_its_first_horizon_and_changes_no_run(tmp_path: Path) -> None:
    plain, study = read_study(STUDY), read_study(study_with(RANGES, tmp_path / "s.toml"))
    assert plan(study) == plan(plain)
    assert {line.split(":")[0].split(".")[0] for line in differences(plain, study)} == {"search"}
    assert trial_size(study).label == "10k"
    assert trial_horizon(study) == min(study.ladder.horizons) == 256_000
    assert rungs(study) == [64_000, 128_000]
    assert searched(study).ranges == {"lr": (0.001, 0.1), "init_std": (0.01, 1.0)}


def test_a_trial_is_a_run_of_a_study_with_its_settings(tmp_path: Path) -> None:
    study = read_study(study_with(RANGES, tmp_path / "s.toml"))
    entry = '\n[[variants]]\nsizes = ["10k"]\nseeds = [0]\nlr = 0.02\ninit_std = 0.2\n'
    varied = read_study(study_with(RANGES, tmp_path / "v.toml", GOOD + entry))
    asked = {run.id for trunk in planned_trunks(varied, "text", ()) for run in trunk.runs}
    own = trial_study(study, {"lr": 0.02, "init_std": 0.2})
    (trial,) = planned_trunks(own, "text", ())
    assert {run.id for run in trial.runs} < asked
    assert trial_plan(study, {}).checkpoints == (125, 250)


MISTAKES = [
    ("[search]\n", r"search: names no range; give one of lr, scale_emb, scale_depth, init_std, as lr ="),
    ("[search]\nlr = [0.1]\n", r"key `search.lr` = \[0.1\]: expected"),
    ("[search]\nlr = [0.1, 0.001]\n", r"search.lr: \[0.1, 0.001\] does not rise; give the lower end first"),
    ("[search]\nlr = [0.0, 0.1]\n", r"`search.lr\[0\]` = 0.0: expected greater than 0"),
    (RANGES + 'size = "9k"\n', r"search.size: the ladder has no size '9k'; it has 10k, "),
    (RANGES + "rungs = [0.5, 0.25]\n", r"search.rungs: \[0.5, 0.25\] does not rise"),
    (RANGES + "rungs = [0.95]\n", r"search.rungs: 0.95 lies inside the decay, which begins at 0.9 of"),
    (
        RANGES + "horizon = 256_001\n",
        r"search: horizon 256001 of size '10k' is not a whole number of batches",
    ),
    (RANGES + "trails = 4\n", r"`search.trails` is not a key of a study; did you mean `trials`\?"),
]


@pytest.mark.parametrize(("section", "sentence"), MISTAKES)
def test_each_mistake_is_named(tmp_path: Path, section: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_study(study_with(section, tmp_path / "s.toml"))


def test_constants_of_a_parametrisation_that_has_none_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace("[model]\n", '[model]\nparametrisation = "standard"\n').replace(
        'parametrisation = "minicpm"\n', ""
    )
    with pytest.raises(InputError, match=r"search.init_std: the standard parametrisation has no init_std"):
        read_study(study_with(RANGES, tmp_path / "s.toml", text))
