"""What a study says of its text and tokens: the vocabulary without opening any text, and each mistake in a sentence."""

import json
from pathlib import Path

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import plan, read_study

STUDY = """
[data]
{data}
context = 32
[training]
batch_tokens = 64
lr = 0.01
[schedule]
warmup_tokens = 64
[ladder]
horizons = [6400]
sizes = [{{ shape = "tiny-10k" }}, {{ name = "own", width = 8, layers = 1, heads = 1, ff = 16 }}]
"""


def written(folder: Path, data: str) -> Path:
    path = folder / "study.toml"
    path.write_text(STUDY.format(data=data), "utf-8")
    return path


def test_the_vocabulary_follows_from_the_tokens(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text(
        json.dumps({"model": {"vocab": {"a": 0, "b": 700}}, "added_tokens": [{"id": 801, "content": "</s>"}]})
    )
    cases = [
        ('mix = "small"', 256),
        ('mix = "small"\ntokens = "bpe-4096"', 4096),
        ('mix = "small"\ntokens = "words.json"', 802),
        ('sources = [{ path = "ids.bin" }]\nvocab = 50257', 50257),
    ]
    for data, vocab in cases:
        trunks = plan(read_study(written(tmp_path, data)))
        assert [trunk.shape.vocab for trunk in trunks] == [vocab, vocab], data


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ({"model": None}, "is not a tokenizer.json"),
        ({"model": [1]}, "is not a tokenizer.json"),
        ([], "is not a tokenizer.json"),
        ({"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 1}]}, "added_tokens needs a `content`"),
        (
            {"model": {"vocab": {"a": 0}}, "added_tokens": [{"content": "b"}]},
            "added_tokens needs a `content`",
        ),
        ({"model": {"vocab": {"a": 0}}, "added_tokens": {"b": 1}}, "added_tokens needs a `content`"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_one_sentence(tmp_path: Path, file: object, said: str) -> None:
    (tmp_path / "words.json").write_text(json.dumps(file))
    with pytest.raises(InputError, match=said):
        read_study(written(tmp_path, 'mix = "small"\ntokens = "words.json"'))


def test_a_folder_may_have_a_dot_in_its_name(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, 'sources = [{ path = "texts.v2", field = "body" }]'))
    assert study.data.sources[0].field == "body"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('mix = "small"\ntokens = "bpe"', 'data.tokens = "bpe": expected "bytes", "bpe-4096"'),
        ('mix = "small"\ntokens = "bpe-99999"', "has 257 to 65536 tokens"),
        ('mix = "small"\ntokens = "none.json"', "none.json: cannot be read"),
        ('mix = "small"\ntokens = "bpe-300"\nvocab = 300', "give either `tokens` or `vocab`"),
        ('sources = [{ path = "a", hf = "b" }]', r"data.sources[0]: give either `path` or `hf`"),
        ("sources = [{ weight = 2.0 }]", r"data.sources[0]: give `name`, `path` or `hf`"),
        (
            'sources = [{ name = "wiki", heldout_share = 0.1 }]',
            "key `heldout_share` is for a source of your own",
        ),
        (
            'sources = [{ path = ".." }]',
            'data.sources[0]: the path ".." does not say what the source is called',
        ),
        (
            'sources = [{ path = "a.txt", field = "x" }]',
            "key `field` is for JSONL lines or a data set (hf) alone",
        ),
        ('sources = [{ path = "a.jsonl", end = 3 }]', "key `end` is for token ids (.bin) alone"),
        ('sources = [{ path = "a.jsonl", split = "x" }]', "key `split` is for a data set (hf) alone"),
        ('sources = [{ path = "a.bin", dtype = "int8" }]', "expected 'uint16' or 'uint32'"),
        ('sources = [{ path = "a", feild = "x" }]', "did you mean `field`?"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, data: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_study(written(tmp_path, data))
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
