"""BPE and other tokenizers: what they spell is the text, and the quick encoder gives the library's ids."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from scalinglab import corpus
from scalinglab.corpus import tokeniser as room
from scalinglab.corpus.tokeniser import Tokeniser
from scalinglab.errors import InputError

WORDS = [
    "tokens",
    "token",
    "ization",
    "na\u00efve",
    "\u73a9\u5fb7",
    "\U0001f600",
    "x = 1",
    "    ",
    "def f(x):\n\t",
    "2024",
    "it's",
]


def text(number: int) -> str:
    rng = np.random.default_rng(number)
    return f"{number}\n" + " ".join(rng.choice(WORDS, 60))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "mixed.jsonl"
    path.write_text("\n".join(json.dumps({"text": text(n)}) for n in range(80)))
    return path


@pytest.fixture(scope="module")
def built(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> corpus.Corpus:
    return corpus.build(texts, tmp_path_factory.mktemp("cache"), tokens="bpe-300")


@pytest.fixture(scope="module")
def bpe(built: corpus.Corpus) -> Tokeniser:
    assert built.tokens.file is not None
    return Tokeniser(built.tokens.file, trained_here=True)


def test_tokens_spell_the_byte_streams(
    built: corpus.Corpus, bpe: Tokeniser, texts: Path, cache: Path
) -> None:
    plain = corpus.build(texts)
    spelled = {number: piece for piece, number in bpe._pieces.items()}
    for part in ("train", "heldout"):
        ids = getattr(built, part)["mixed"]
        characters = "".join(spelled[int(each)] for each in ids)
        assert bytes(room._BYTE_OF[each] for each in characters) == bytes(getattr(plain, part)["mixed"])
        assert ids.dtype == np.uint16
        assert ids.max() < built.tokens.vocab == 300
        assert len(ids) < 0.7 * len(getattr(plain, part)["mixed"])
        assert bpe.token_bytes[ids].sum() == len(getattr(plain, part)["mixed"])
    assert built.fingerprint != plain.fingerprint
    assert built.manifests["mixed"]["train"]["tokens"] == len(built.train["mixed"])


@settings(deadline=None, max_examples=60)
@given(st.text() | st.lists(st.sampled_from([*WORDS, " ", "\n"])).map("".join))
def test_the_quick_encoder_gives_the_librarys_ids(bpe: Tokeniser, any_text: str) -> None:
    (quick,) = bpe.encode([any_text])
    library = bpe._library.encode(any_text, add_special_tokens=False).ids
    np.testing.assert_array_equal(quick, library)


def test_training_is_a_function_of_the_documents(texts: Path, built: corpus.Corpus, tmp_path: Path) -> None:
    """Another process, another order of hashes of strings, another number of threads."""
    program = (
        "import sys; from pathlib import Path; from scalinglab import corpus\n"
        "print(corpus.build(Path(sys.argv[1]), sys.argv[2], tokens='bpe-300').fingerprint)\n"
    )
    command = [sys.executable, "-c", program, str(texts), str(tmp_path)]
    found = subprocess.run(
        command,
        env={"PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == built.fingerprint


def test_the_sample_is_shared_among_sources() -> None:
    assert room._shares([5, 100, 7], 60) == [5, 48, 7]
    assert room._shares([50, 50], 60) == [30, 30]
    assert room._shares([3, 4], 60) == [3, 4]


def test_a_vocabulary_that_the_text_cannot_fill_is_refused(texts: Path, cache: Path) -> None:
    with pytest.raises(
        InputError,
        match=r'"bpe-4096": the 0\.03\d? MB of training text give no more than \d+ tokens; take "bpe-',
    ):
        corpus.build(texts, tokens="bpe-4096")
    with pytest.raises(InputError, match=r'"bpe-12": a vocabulary trained here has 257 to 65536 tokens'):
        corpus.build(texts, tokens="bpe-12")
    with pytest.raises(InputError, match=r'tokens = "bpe": expected "bytes", "bpe-4096"'):
        corpus.build(texts, tokens="bpe")


def test_someone_elses_tokenizer(texts: Path, cache: Path, tmp_path: Path) -> None:
    """One that changes its text: bytes are counted by the text, so those of the held-out set are right in sum."""
    other = Tokenizer(models.WordLevel(unk_token="<unk>"))
    other.normalizer = normalizers.Lowercase()
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    other.train_from_iterator(
        [text(n) for n in range(80)], trainers.WordLevelTrainer(special_tokens=["<unk>", "</s>"])
    )
    path = tmp_path / "words.json"
    other.save(str(path))
    built = corpus.build(texts, tokens=path)
    own = Tokeniser(path)
    assert own.end == other.token_to_id("</s>")
    ids = built.heldout["mixed"]
    assert built.tokens.vocab == other.get_vocab_size()
    assert (ids == own.end).sum() == built.manifests["mixed"]["heldout"]["documents"] - 1
    table = built.files["mixed"].token_bytes
    assert table is not None
    assert table[ids].sum() == pytest.approx(built.manifests["mixed"]["heldout"]["bytes"], rel=1e-12)
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(InputError, match=r"no\.json: is not a tokenizer\.json"):
        corpus.build(texts, tokens=tmp_path / "no.json")
