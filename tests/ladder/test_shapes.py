"""Counts against MiniCPM's printed table and against hand counts."""

from dataclasses import replace

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import Shape
from scalinglab.ladder.identity import plain
from scalinglab.ladder.named_shapes import NAMED_SHAPES, named_shape

# MiniCPM (arXiv 2404.06395), table 8: name, N printed in 1e9, d, d_ff, heads, layers
TABLE_8 = [
    ("9M", 0.009, 320, 800, 5, 8),
    ("30M", 0.036, 512, 1280, 8, 12),
    ("70M", 0.066, 640, 1600, 10, 14),
    ("0.1B", 0.109, 768, 1920, 12, 16),
    ("0.17B", 0.166, 896, 2240, 14, 18),
    ("0.2B", 0.241, 1024, 2560, 16, 20),
    ("0.5B", 0.499, 1344, 3360, 21, 24),
]


@pytest.mark.parametrize(("name", "printed", "d", "ff", "heads", "layers"), TABLE_8)
def test_params_are_the_printed_ones(name, printed, d, ff, heads, layers) -> None:
    shape = named_shape(f"minicpm-{name.lower()}")
    assert (shape.width, shape.ff, shape.heads, shape.layers, shape.head_width) == (d, ff, heads, layers, 64)
    assert shape.params_matrices == 11.5 * d**2 * layers
    assert round(shape.params_matrices / 1e9, 3) == printed


def test_counts_of_a_shape_by_hand() -> None:
    shape = Shape("tiny", width=4, layers=1, heads=1, ff=8, vocab=10, context=16)
    assert shape.params_matrices == 4 * 16 + 3 * 32
    assert shape.params_norms == 12
    assert shape.params_total == 160 + 12 + 40
    # 6 a weight that multiplies (matrices and head), 12·layers·context·d for attention
    assert shape.flops_exact() == 6 * (160 + 40) + 12 * 1 * 16 * 4
    assert shape.flops_6n() == 6 * 172


@pytest.mark.parametrize(("d", "ff", "ratio"), [(24, 60, 2.4), (48, 128, 1.7), (64, 160, 1.5)])
def test_exact_cost_over_6n_at_the_measured_sizes(d: int, ff: int, ratio: float) -> None:
    shape = Shape("x", d, 2, 2, ff)
    assert shape.flops_exact() / shape.flops_6n() == pytest.approx(ratio, abs=0.1)


@pytest.mark.parametrize("heads", [3, 4])
def test_a_head_width_rotary_positions_cannot_use_is_refused(heads: int) -> None:
    with pytest.raises(InputError, match="head width"):
        Shape("x", 20, 2, heads, 56)


def test_minicpms_products() -> None:
    """Printed: 2.4B and 1.2B non-embedding; keys and values of the latter in 8 heads of 64."""
    large, small = named_shape("minicpm-2.4b"), named_shape("minicpm-1.2b")
    assert (large.vocab, small.vocab, small.kv_width) == (122_753, 73_440, 512)
    assert round(large.params / 1e9, 1) == 2.4
    assert round(small.params / 1e9, 1) == 1.2
    # per layer q, o: 2·1536², k, v: 2·1536·512, gate, up, down: 3·1536·3840
    assert small.params_matrices == 52 * (2 * 1536**2 + 2 * 1536 * 512 + 3 * 1536 * 3840)


@pytest.mark.parametrize("name", [name for name in NAMED_SHAPES if name.startswith("tiny")])
def test_a_tiny_name_says_its_params(name: str) -> None:
    said = float(name.removeprefix("tiny-").replace("k", "e3").replace("m", "e6"))
    assert named_shape(name).params == pytest.approx(said, rel=0.05)


def test_the_quickstarts_sizes_have_names() -> None:
    from scalinglab.experiments.quickstart import STUDY
    from scalinglab.ladder import read_study

    study = read_study(STUDY)
    for size in study.ladder.sizes:
        assert replace(named_shape(f"tiny-{size.name}"), name=size.name) == study.shape(size)


def test_a_name_with_a_vocabulary_and_context_of_ones_own() -> None:
    shape = named_shape("minicpm-9m", vocab=256, context=64)
    assert (shape.vocab, shape.context, shape.params_embedding) == (256, 64, 256 * 320)
    with pytest.raises(InputError, match=r"no shape is named 'tiny-1M0k'; near it: tiny-1"):
        named_shape("tiny-1M0k")


def test_counts_of_shared_keys_without_gate_and_with_a_head_by_hand() -> None:
    shape = Shape("x", 8, 2, 4, 12, vocab=10, context=16, kv_heads=2, tied=False, activation="relu2")
    # a layer: q, o 8·8 each, k, v 8·4 each; up, down 8·12 each
    attention, mlp, table = 2 * (2 * 64 + 2 * 32), 2 * 2 * 96, 80
    assert shape.counts() == {
        "embedding": table, "attention": attention, "mlp": mlp, "norms": 5 * 8, "head": table
    }  # fmt: skip
    assert (shape.params_embedding, shape.params_head) == (table, table)
    assert shape.params == attention + mlp + 40
    assert shape.params_total == shape.params + 2 * table
    # the input table is looked up, not multiplied; four query heads form their scores whoever's keys they read
    assert shape.flops_exact() == 6 * (attention + mlp + table) + 12 * 2 * 16 * 8
    assert replace(shape, tied=True).flops_exact() == shape.flops_exact()


def test_as_many_key_heads_as_query_heads_is_the_same_definition() -> None:
    plain_one = Shape("x", 8, 2, 4, 12)
    assert Shape("x", 8, 2, 4, 12, kv_heads=4) == plain_one
    assert set(plain(plain_one)) == {"name", "width", "layers", "heads", "ff", "vocab", "context"}
    assert plain(replace(plain_one, kv_heads=2, tied=False)).items() >= {"kv_heads": 2, "tied": False}.items()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"kv_heads": 4}, "6 query heads cannot share kv_heads = 4 evenly; choose one of 1, 2, 3, 6"),
        ({"kv_heads": 0}, "choose one of"),
        ({"activation": "gelu"}, "activation 'gelu' is not known; expected one of swiglu, relu2"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(wrong: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Shape("x", 24, 2, 6, 56, **wrong)
