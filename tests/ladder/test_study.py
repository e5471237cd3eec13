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


BRANCH, FULL, SIZE = '[[branches]]\nname = "x"\n', '[[full]]\nname = "x"\n', "width = 44"
RAMP = "batch_tokens = 512\nbatch_ramp = ["

ENTRIES = [
    (BRANCH + BRANCH, r"two entries of branches, merges and full are named 'x'"),
    (BRANCH + FULL + 'schedule = "cosine"\n', r"two entries of branches, merges and full are named 'x'"),
    (
        BRANCH + BRANCH.replace("x", "y"),
        r"entries 'x' and 'y' of branches decay alike to 256000 tokens of size",
    ),
    (BRANCH.replace("x", "two words"), r"`branches\[0\].name` = 'two words': expected letters, digits"),
    (BRANCH + "sizes = ['9k']\n", r"entry 'x' names size '9k'; the ladder has 10k, "),
    (BRANCH + "seeds = [9]\n", r"entry 'x' names seed 9; the ladder has 0, 1, 2"),
    (BRANCH + "horizons = []\n", r"entry 'x': horizons is empty; name one, or leave the key out"),
    (BRANCH + "horizons = [512_000, 512_000]\n", r"entry 'x' names horizon 512000 twice"),
    (BRANCH + "horizons = [512_001]\n", r"entry 'x' names horizon 512001; the ladder has 256000"),
    (BRANCH + 'preset = "mini"\n', r"`branches\[0\].preset` = 'mini': expected 'default' or 'minicpm'"),
    (BRANCH + 'decay = "exponential"\n', r"branches\[0\].decay: .* never reaches a floor of 0; give a floor"),
    (BRANCH + 'preset = "minicpm"\nfloor = 0.0\n', r"branches\[0\].decay: .* never reaches a floor of 0"),
    (BRANCH + "half_life_tokens = 5120\n", r"branches\[0\].half_life_tokens: goes with an exponential decay"),
    (BRANCH + "batch_tokens = 500\n", r"branches\[0\].batch_tokens: 500 is not a whole number of sequences"),
    (BRANCH + "weights = { wiki = 0.0 }\n", r"entry 'x': every weight is 0; give one source"),
    (FULL + 'schedule = "cos"\n', r"`full\[0\].schedule` = 'cos': expected 'cosine', 'cosine-loop'"),
    (FULL + 'schedule = "wsd-s"\nfloor = 0.1\n', r"entry 'x': floor goes with cosine, .* not with wsd-s"),
    (
        FULL + 'schedule = "cosine"\nperiod_share = 0.01\n',
        r"entry 'x', size '10k': a period of .* the warmup",
    ),
    (
        FULL + 'schedule = "constant"\n' + FULL.replace("x", "y") + 'schedule = "constant"\n',
        r"entries 'x' and 'y' of full train size '10k' under the same schedule",
    ),
]
MISTAKES += [("[ladder]", f"{entry}[ladder]", said) for entry, said in ENTRIES]
MISTAKES += [
    (
        SIZE,
        f'shape = "tiny-100k"\n{SIZE}',
        r"size '47k' gives both shape and width, .*; give one or the other",
    ),
    ("width = 44\n", "", r"size 47k lacks width; give name, width, layers, heads and ff, or shape ="),
    (
        "batch_tokens = 512",
        RAMP + "{ from_tokens = 30_000, batch_tokens = 1024 }]",
        r"training.batch_ramp\[0\].from_tokens 30000 is not a whole number of batches .* 29696 and 30208",
    ),
    (
        "batch_tokens = 512",
        RAMP + "{ from_tokens = 1024, batch_tokens = 1000 }]",
        r"training.batch_ramp\[0\].batch_tokens: 1000 is not a whole number of sequences",
    ),
    (
        "batch_tokens = 512",
        RAMP + ", ".join(["{ from_tokens = 51_200, batch_tokens = 1024 }"] * 2) + "]",
        r"training.batch_ramp\[1\].from_tokens: 51200 does not lie beyond 51200",
    ),
    (
        "[ladder]",
        "[ladder]\ntokens_per_param = [0.0]",
        r"`ladder.tokens_per_param\[0\]` = 0.0: expected greater",
    ),
    (
        "[ladder]",
        "[ladder]\ncheckpoints = [1000]",
        r"checkpoint 1000 of size '10k' is not a whole .* 512 and 1024",
    ),
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


def test_a_mixture_of_other_sources_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    text = GOOD.replace('mix = "small"', 'sources = [{ path = "texts/a" }, { path = "b.txt" }]')
    path.write_text(text.replace("[ladder]", BRANCH + "weights = { c = 1.0 }\n[ladder]", 1), "utf-8")
    with pytest.raises(InputError, match=r"study.toml: entry 'x' weighs source 'c'; data.sources has a, b"):
        read_study(path)


def test_decays_of_one_run_may_not_overlap(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    text = GOOD.replace("[ladder]", FULL + 'schedule = "wsd-s"\n[ladder]', 1)
    text = text.replace("decay_share = 0.1", "decay_share = 0.8").replace("25_600", "512")
    path.write_text(text, "utf-8")
    with pytest.raises(
        InputError, match=r"study.toml: entry 'x', size '10k': the decay from step .* begins before"
    ):
        read_study(path)
