"""Variants: the ladder again under other settings, each the same run that a study of those settings asks for."""

import re
from pathlib import Path

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import Study, plan, plan_full, read_study
from scalinglab.ladder.parametrisation import Scaling
from scalinglab.records.derive import VARIED
from scalinglab.sweep.graph import planned_trunks

BASE = """
[data]
mix = "small"
[model]
parametrisation = "{parametrisation}"
[training]
batch_tokens = {batch}
lr = {lr}
[schedule]
warmup_tokens = 10_240
[[full]]
name = "cosine"
schedule = "cosine"
sizes = ["10k"]
[ladder]
horizons = [102_400, 204_800]
[[ladder.sizes]]
shape = "tiny-10k"
replicates = {{ seeds = [1], horizons = [102_400] }}
[[ladder.sizes]]
shape = "tiny-20k"
"""
WEIGHTS = (("wiki", 1.0),)


def study(tmp_path: Path, more: str = "", lr: float = 0.01, batch: int = 512, kind: str = "minicpm") -> Study:
    path = tmp_path / "study.toml"
    path.write_text(BASE.format(lr=lr, batch=batch, parametrisation=kind) + more, "utf-8")
    return read_study(path)


def ids(read: Study) -> list[str]:
    return [run.id for trunk in planned_trunks(read, "text", WEIGHTS) for run in trunk.runs]


def test_each_combination_is_the_run_that_a_study_of_its_own_asks_for(tmp_path: Path) -> None:
    varied = study(
        tmp_path,
        """
[[variants]]
lr = [0.005, 0.01]
batch_tokens = [512, 1024]
parametrisation = "standard"
""",
    )
    alone = [
        study(tmp_path, lr=lr, batch=batch, kind=kind)
        for lr, batch, kind in (
            (0.01, 512, "minicpm"),
            (0.005, 512, "standard"),
            (0.005, 1024, "standard"),
            (0.01, 512, "standard"),
            (0.01, 1024, "standard"),
        )
    ]
    assert ids(varied) == [run for each in alone for run in ids(each)]
    assert len(plan(varied)) == sum(len(plan(each)) for each in alone)
    assert len(plan_full(varied)) == sum(len(plan_full(each)) for each in alone)
    assert [each.name for each in varied.expanded()][:3] == [
        "",
        "lr 0.005, standard",
        "lr 0.005, batch_tokens 1024, standard",
    ]


def test_the_studys_own_settings_are_not_trained_twice(tmp_path: Path) -> None:
    varied = study(tmp_path, "[[variants]]\nlr = [0.005, 0.01, 0.02]\n")
    assert len(set(ids(varied))) == len(ids(varied)) == 3 * len(ids(study(tmp_path)))


def test_a_variant_may_be_of_a_part_of_the_ladder(tmp_path: Path) -> None:
    varied = study(tmp_path, '[[variants]]\nlr = 0.02\nsizes = ["10k"]\nseeds = [0]\nhorizons = [102_400]\n')
    (trunk,) = plan(varied)[len(plan(study(tmp_path))) :]
    assert (trunk.label, trunk.seed) == ("10k", 0)
    assert [trunk.horizon(branch) for branch in trunk.branches] == [102_400]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[[variants]]\nsizes = ["10k"]', "variants[0]: names no setting; give one of lr, batch_tokens"),
        ("[[variants]]\nlr = []", "variants[0].lr: is an empty list"),
        (
            "[[variants]]\nlr = 0.02\n[[variants]]\nlr = [0.02, 0.03]\nsizes = ['20k']",
            "lr 0.02 is asked for twice for size '20k', seed 0",
        ),
        ('[[variants]]\nlr = 0.02\nsizes = ["1b"]', "variants[0] names size '1b'; the ladder has 10k, 20k"),
        ("[[variants]]\nlr = -1.0", "variants[0].lr"),
        ("[[variants]]\nbatch_tokens = [512, 500]", "variants[0].batch_tokens: 500 is not a whole number"),
        ("[[variants]]\nbatch_tokens = 3072", "variant batch_tokens 3072: horizon 102400"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        study(tmp_path, more)


def test_what_a_record_leaves_out_is_told_as_it_was() -> None:
    """The run table's columns of settings fill in what definitions leave out: the scaling's own constants."""
    own = Scaling()
    assert {key: VARIED[key] for key in ("scale_emb", "scale_depth", "init_std", "embedding_as")} == vars(own)
