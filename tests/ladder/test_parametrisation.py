"""The rules of each tensor against MiniCPM's table 7, as ratios between widths."""

import math
from dataclasses import replace

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import Shape
from scalinglab.ladder.parametrisation import Scaling, parametrise, tensor_rules

BASE = Shape("base", width=256, layers=40, heads=4, ff=640, kv_heads=2, tied=False)
WIDE = replace(BASE, width=1024, heads=16, ff=2560)
MATRICES = ("qkv", "out", "gate_up", "down")


def kind(name: str) -> str:
    return (
        "matrix" if name.split(".")[-1] in MATRICES else "table" if name in ("embedding", "head") else "gain"
    )


@pytest.mark.parametrize("embedding_as", ["vector", "matrix"])
def test_ratios_between_widths_are_the_papers(embedding_as: str) -> None:
    """At four times the width: 2-D tensors half the spread and a quarter of the rate, the others neither."""
    scaling = Scaling(embedding_as=embedding_as)
    narrow, wide = (tensor_rules(s, parametrise("minicpm", s, 256, scaling)) for s in (BASE, WIDE))
    assert list(narrow) == list(wide)
    scaled = {"matrix"} | ({"table"} if embedding_as == "matrix" else set())
    for name, base in narrow.items():
        std, lr = (0.5, 0.25) if kind(name) in scaled else (1.0, 1.0)
        assert wide[name].lr / base.lr == lr
        assert wide[name].decays == base.decays == (kind(name) == "matrix")
        if kind(name) == "gain":
            assert base.std is wide[name].std is None
        else:
            assert wide[name].std / base.std == std


def test_at_the_base_width_nothing_is_scaled() -> None:
    scales = parametrise("minicpm", BASE, 256)
    for rule in tensor_rules(BASE, scales).values():
        assert (rule.std, rule.lr) in ((0.1, 1.0), (None, 1.0))
    assert (scales.scale_embedding, scales.scale_logits) == (12.0, 1.0)
    assert scales.scale_residual == 1.4 / math.sqrt(40)


def test_multipliers_follow_width_and_depth_and_the_constants_given() -> None:
    scales = parametrise("minicpm", replace(WIDE, layers=10), 256, Scaling(2.0, 0.5, 0.3))
    assert (scales.scale_embedding, scales.scale_logits) == (2.0, 0.25)
    assert scales.scale_residual == 0.5 / math.sqrt(10)
    assert (scales.std_matrix, scales.std_residual, scales.std_embedding) == (0.15, 0.15, 0.3)


def test_standard_is_gpt2s() -> None:
    scales = parametrise("standard", WIDE, 256)
    for name, rule in tensor_rules(WIDE, scales).items():
        into_stream = name.endswith((".out", ".down"))
        expected = None if kind(name) == "gain" else 0.02 / math.sqrt(80) if into_stream else 0.02
        assert (rule.std, rule.lr) == (expected, 1.0)
    assert (scales.scale_embedding, scales.scale_residual, scales.scale_logits) == (1.0, 1.0, 1.0)


def test_under_muon_the_matrices_rate_falls_with_the_root_and_the_others_stay_adams() -> None:
    for embedding_as, table in (("vector", 1.0), ("matrix", 0.25)):
        scales = parametrise("minicpm", WIDE, 256, Scaling(embedding_as=embedding_as), "muon")
        assert (scales.lr_matrix, scales.lr_embedding) == (0.5, table)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Scaling(scale_emb=0.0), "scale_emb must be a positive number, not 0.0"),
        (lambda: Scaling(init_std=math.nan), "init_std must be a positive number"),
        (lambda: Scaling(embedding_as="row"), "embedding_as must be one of vector, matrix, not 'row'"),
        (lambda: parametrise("mup", BASE, 256), "'mup' is not known; expected one of minicpm, standard"),
        (lambda: parametrise("minicpm", BASE, 256, optimiser="sgd"), "optimiser 'sgd' is not known"),
        (lambda: parametrise("standard", BASE, 256, Scaling(scale_depth=1.0)), "has no scale_depth"),
    ],
)
def test_what_cannot_be_used_is_refused(call, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
