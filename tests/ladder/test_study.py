"""Study files: each mistake is answered with its file, its key and what was expected."""

from pathlib import Path

import pytest

from scalinglab.errors import InputError
from scalinglab.experiments.quickstart import STUDY
from scalinglab.ladder import differences, plan, read_study

GOOD = STUDY.read_text("utf-8")

MISTAKES = [
    ("lr = 0.006", "lrr = 0.006", r"`training.lrr` is not a key of a study; did you mean `lr`\?"),
    ("[training]", "[trainin]", r"`trainin` is not a key of a study; did you mean `training`\?"),
    ("lr = 0.006", 'lr = "high"', r"`training.lr` = 'high': expected number"),
    ("lr = 0.006", "lr = inf", r"`training.lr` = inf: expected"),
    ("heldout_windows = 128", "heldout_windows = 1", r"`data.heldout_windows` = 1: expected greater than"),
    ("lr = 0.006", "lr = -1.0", r"`training.lr` = -1.0: expected greater than 0"),
    ("batch_tokens = 512", "batch_tokens = 512.5", r"`training.batch_tokens` = 512.5: expected integer"),
    ("batch_tokens = 512", "", r"`training.batch_tokens` is missing"),
    ("batch_tokens = 512", "batch_tokens = 500", r"not a whole number of sequences .* 384 and 512"),
    ("[256_000, 512_000, 1_024_000", "[256_001, 512_000, 1_024_000", r"nearest are 256000 and 256512"),
    (
        'decay = "1-sqrt"',
        'decay = "sqrt"',
        r"schedule.decay: decay shape 'sqrt' is not known; did you mean '1-sqrt'",
    ),
    (
        'decay = "1-sqrt"',
        'decay = "exponential"',
        r"schedule.decay: .* never reaches a floor of 0; give a floor",
    ),
    ("width = 44", "width = 45", r"size '47k': width 45 over 2 heads"),
    ("width = 44", "wdth = 44", r"`ladder.sizes\[2\].wdth` is not a key of a study; did you mean `width`"),
    ('name = "47k"', 'name = "20k"', r"two sizes are named '20k'"),
    ('mix = "small" ', "#", r"data: give either `mix` or `sources`"),
    (
        "seeds = [1, 2], horizons",
        "seeds = [0, 2], horizons",
        r"has two trunks of one seed; seeds are \[0, 0, 2\]",
    ),
    ("seeds = [0]", "seeds = []", r"`seeds` = \[\]: expected"),
    ("seeds = [0]", "seeds = [0", r"not valid TOML"),
    ("warmup_tokens = 25_600", "warmup_tokens = 250_000", r"inside the warmup"),
]


@pytest.mark.parametrize(("good", "bad", "said"), MISTAKES)
def test_a_mistake_is_named(tmp_path: Path, good: str, bad: str, said: str) -> None:
    assert good in GOOD
    path = tmp_path / "study.toml"
    path.write_text(GOOD.replace(good, bad, 1), "utf-8")
    with pytest.raises(InputError, match=said) as caught:
        plan(read_study(path))
    assert "\n" not in str(caught.value)
    if "warmup" not in bad:
        assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.toml: cannot be read"):
        read_study(tmp_path / "nowhere.toml")


def test_differences_name_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD.replace("lr = 0.006", "lr = 0.02").replace("width = 44", "width = 48"), "utf-8")
    old, new = read_study(STUDY), read_study(path)
    assert differences(old, new) == ["ladder.sizes[2].width: 44 -> 48", "training.lr: 0.006 -> 0.02"]
    assert differences(old, old) == []
