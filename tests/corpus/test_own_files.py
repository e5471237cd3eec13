"""Anyone's text: JSONL, gzip, one long file, token ids, data sets; and what is said where it cannot be read."""

import gzip
import hashlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from scalinglab import corpus
from scalinglab.corpus import _cache, documents, stats, text_source
from scalinglab.corpus.streams import Joined
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder import read_study
from scalinglab.sweep.text import source_names

TEXTS = [f"Document {n}. " + f"Its words are its own, {n * n}. " * 4 for n in range(60)]


def whole(built: corpus.Corpus, name: str) -> list[str]:
    streams = (built.train[name], built.heldout[name])
    return [text for each in streams for text in bytes(each).decode().split("\0")]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".ndjson"])
def test_a_line_of_jsonl_is_a_document(tmp_path: Path, cache: Path, suffix: str) -> None:
    path = tmp_path / f"notes{suffix}"
    lines = "\n".join(json.dumps({"id": 1, "content": text}) for text in [*TEXTS, TEXTS[3]]) + "\n\n"
    path.write_bytes(gzip.compress(lines.encode()) if suffix.endswith("gz") else lines.encode())
    built = corpus.build(text_source(path, field="content"))
    assert built.names == ("notes",)
    assert sorted(whole(built, "notes")) == sorted(TEXTS)
    found = stats.statistics(built)
    assert found["sources"][0]["duplicates"] == 1
    assert found["sources"][0]["documents"] == len(TEXTS)
    assert found["overlap"] == 0


def test_gzipped_text_is_text(tmp_path: Path, cache: Path) -> None:
    for kind in ("plain", "packed"):
        (tmp_path / kind).mkdir()
        for n, text in enumerate(TEXTS):
            name, data = f"{n}.txt", text.encode()
            path = tmp_path / kind / (name + ".gz" * (kind == "packed"))
            path.write_bytes(gzip.compress(data) if kind == "packed" else data)
    one, other = (corpus.build(text_source(tmp_path / kind, "t")) for kind in ("plain", "packed"))
    assert one.fingerprint == other.fingerprint


def test_one_long_file_is_cut_at_blank_lines(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "book.txt"
    paragraphs = [f"{n}: " + "once upon a time there was " * 20 for n in range(100)]
    path.write_text("\n\n".join(paragraphs), "utf-8")
    built = corpus.build(path)
    kept = whole(built, "book")
    assert 8 <= len(kept) <= 20
    assert sorted(p.strip() for text in kept for p in text.strip().split("\n\n")) == sorted(
        p.strip() for p in paragraphs
    )


def test_what_cannot_be_read_is_one_sentence_with_file_and_line(tmp_path: Path, cache: Path) -> None:
    good = json.dumps({"text": TEXTS[0]})
    cases = [
        ("no.jsonl", f'{good}\n{{"body": "x"}}', r"no\.jsonl, line 2: has no field 'text' \(it has body\); .*\"body\""),
        ("list.jsonl", f"{good}\n[1]", r"list\.jsonl, line 2: is not a JSON object"),
        ("torn.jsonl", f'{good}\n{{"text": "x', r"torn\.jsonl, line 2: is not JSON"),
        ("number.jsonl", f'{good}\n{{"text": 3}}', r"number\.jsonl, line 2: its field 'text' holds int, not text"),
        ("half.jsonl", f'{good}\n{{"text": "{"a" * 80}\\ud83d"}}', r"half\.jsonl, document 2: holds half of a"),
    ]  # fmt: skip
    for name, content, sentence in cases:
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=sentence):
            corpus.build(tmp_path / name)
    (tmp_path / "latin.jsonl").write_bytes(good.encode() + b'\n{"text": "caf\xe9"}')
    with pytest.raises(InputError, match=r"latin\.jsonl, line 2: byte 13 is not UTF-8"):
        corpus.build(tmp_path / "latin.jsonl")
    (tmp_path / "latin.txt").write_bytes("one\ntwo\ncaf\xe9".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.txt, line 3: byte 3 is not UTF-8"):
        corpus.build(tmp_path / "latin.txt")
    (tmp_path / "torn.txt.gz").write_bytes(gzip.compress(TEXTS[0].encode() * 20)[:-9])
    with pytest.raises(InputError, match=r"torn\.txt\.gz: is not a whole gzip file"):
        corpus.build(tmp_path / "torn.txt.gz")
    damaged = bytearray(gzip.compress(TEXTS[0].encode()))
    damaged[10] = 0xFF  # a deflate block of type 3, which there is not (RFC 1951, 3.2.3)
    (tmp_path / "damaged.txt.gz").write_bytes(damaged)
    with pytest.raises(InputError, match=r"damaged\.txt\.gz: is not a whole gzip file \(Error -3"):
        corpus.build(tmp_path / "damaged.txt.gz")
    with pytest.raises(InputError, match="this folder holds jsonl and text files"):
        text_source(tmp_path)
    assert list((cache / "shards").iterdir()) == []


def test_empty_documents_are_left_out_and_counted(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in [*TEXTS, "", "short"]))
    built = corpus.build(path)
    assert sorted(whole(built, "notes")) == sorted(TEXTS)
    assert built.manifests["notes"]["dropped"]["short"] == 2


def test_a_file_that_vanishes_is_named(tmp_path: Path, cache: Path, monkeypatch) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.txt").write_text(TEXTS[n])
    real = documents.clean

    def removing(text: str) -> str:
        (folder / "2.txt").unlink(missing_ok=True)
        return real(text)

    monkeypatch.setattr("scalinglab.corpus.spool.clean", removing)
    with pytest.raises(InputError, match=r"2\.txt: was there and is gone"):
        corpus.build(folder)


def test_a_document_of_two_sources_is_on_one_side(tmp_path: Path, cache: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    same = corpus.build([text_source(tmp_path / f"{name}.jsonl", heldout_share=0.2) for name in "ab"])
    assert stats.statistics(same)["overlap"] == 0
    apart = [text_source(tmp_path / f"{n}.jsonl", heldout_share=s) for n, s in (("a", 0.1), ("b", 0.4))]
    with pytest.raises(
        InputError, match=r"\d+ documents that 'b' holds out are trained on in 'a'; .*heldout_share"
    ):
        corpus.build(apart)


def test_a_document_that_a_tiny_source_holds_out_against_its_hash(
    tmp_path: Path, cache: Path, monkeypatch
) -> None:
    """Of two documents above the share the one with the smaller hash is held out; a larger source trains on it."""
    above = sorted(TEXTS, key=lambda text: hashlib.sha256(text.encode()).digest())[-2:]
    for name, texts in (("tiny", above), ("large", TEXTS), ("other", [text + "!" for text in TEXTS])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    tiny, large, other = (
        text_source(tmp_path / f"{name}.jsonl", heldout_share=0.2) for name in ("tiny", "large", "other")
    )
    with pytest.raises(
        InputError, match=r"1 documents that 'tiny' holds out are trained on in 'large'; .* more"
    ):
        corpus.build([tiny, large])
    asked = []
    real = stats.overlaps
    monkeypatch.setattr(stats, "overlaps", lambda folders: asked.append(sorted(folders)) or real(folders))
    built = corpus.build([tiny, other])
    assert [built.manifests[name]["moved"] for name in ("tiny", "other")] == [True, False]
    corpus.build([other, tiny])  # known by now
    corpus.build([large, other])  # by the hashes alone
    assert asked == [["other", "tiny"]]


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Two files of ids 0..99, a document ended by 99 every 50 tokens."""
    ids = np.random.default_rng(0).integers(0, 99, 4000, dtype=np.uint16)
    ids[49::50] = 99
    folder = tmp_path / "ids"
    folder.mkdir()
    ids[:1511].tofile(folder / "0.bin")
    ids[1511:].tofile(folder / "1.bin")
    return folder, ids


def test_token_ids_are_read_where_they_lie_and_their_tail_is_held_out(shards, cache: Path) -> None:
    folder, ids = shards
    built = corpus.build(text_source(folder, end=99, heldout_share=0.101), vocab=100)
    train, heldout = built.train["ids"], built.heldout["ids"]
    assert isinstance(train, Joined)
    cut = len(train)
    assert cut == 3600  # 4,000 less 404, then to the end of that document
    np.testing.assert_array_equal(train[:], ids[:cut])
    np.testing.assert_array_equal(heldout[:], ids[cut:])
    np.testing.assert_array_equal(train[1500:1520], ids[1500:1520])  # across the files
    (row,) = built.summary()
    assert (row["train_documents"], row["heldout_documents"], row["train_bytes"]) == (72, 8, None)
    anywhere = corpus.build(text_source(folder, heldout_share=0.101), vocab=100)
    assert len(anywhere.train["ids"]) == 4000 - 404
    more = corpus.build(text_source(folder, end=99, heldout_share=0.101), vocab=101)
    assert len({each.fingerprint for each in (built, anywhere, more)}) == 3


def test_token_ids_that_cannot_be_meant(shards, cache: Path, tmp_path: Path) -> None:
    folder, _ = shards
    with pytest.raises(InputError, match="token ids need to be told their vocabulary"):
        corpus.build(folder)
    with pytest.raises(InputError, match=r"holds the token id 99, and the study's vocabulary has 90"):
        corpus.build(folder, vocab=90)
    with pytest.raises(InputError, match="the end token 7777 does not stand in the last 5%"):
        corpus.build(text_source(folder, end=7777), vocab=100)
    with pytest.raises(InputError, match=r"0\.bin: 3022 bytes are no whole number of uint32 tokens"):
        corpus.build(text_source(folder, dtype="uint32"), vocab=100)
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    with pytest.raises(InputError, match=r"vocab is for token ids .* 'a' is text"):
        corpus.build([tmp_path / "a.jsonl", folder], vocab=100)


def test_processes_share_a_cache(shards, cache: Path, tmp_path: Path, monkeypatch) -> None:
    """Another process's removal between the listing and the look, and its half-written file of the same counts."""
    folder, _ = shards
    source = text_source(folder, "my/ids", end=99)
    real = _cache.flush

    def meanwhile(path: Path) -> None:
        for each in cache.glob("tokens/*.json.new"):
            each.unlink()
        real(path)

    monkeypatch.setattr(_cache, "flush", meanwhile)
    corpus.build(source, vocab=100)
    assert [path.name[:7] for path in (cache / "tokens").iterdir()] == ["my_ids-"]
    gone = cache / "shards" / ".part-gone"
    monkeypatch.setattr(Path, "glob", lambda *_: iter([gone]))
    with _cache.building(cache / "shards" / "one") as parts:
        assert not parts.exists()


def test_a_data_set_of_the_hub(cache: Path, monkeypatch) -> None:
    """A stand-in for the package: rows by number, as its data sets have them."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    source = corpus.hub_source("someone/notes:plain", "test", field="content")
    with pytest.raises(EnvironmentProblem, match="needs the package datasets, which is not installed"):
        corpus.build(source)
    asked = []

    def load_dataset(name, configuration, split):
        asked.append((name, configuration, split))
        return [{"content": text} for text in TEXTS]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    built = corpus.build(source)
    assert sorted(whole(built, "notes")) == sorted(TEXTS)
    assert set(asked) == {("someone/notes", "plain", "test")}
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert corpus.build(source).fingerprint == built.fingerprint  # built once


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        *(("path", f"notes{end}", "notes") for end in (".txt", ".jsonl.gz", ".bin", "", ".v2")),
        ("path", "link.jsonl.gz", "link"),
        ("hf", "someone/notes:plain", "notes"),
    ],
)
def test_a_source_has_one_name(tmp_path: Path, key: str, value: str, name: str) -> None:
    """As the corpus calls it, as the sweep does, and as the weights of a branch in the study file must."""
    if value in ("notes", "notes.v2"):
        (tmp_path / value).mkdir()
        (tmp_path / value / "deep.jsonl").touch()
    elif value.startswith("link"):
        (tmp_path / "target.jsonl.gz").touch()
        (tmp_path / value).symlink_to(tmp_path / "target.jsonl.gz")
    else:
        (tmp_path / value.partition("/")[0]).touch()
    path = tmp_path / "study.toml"
    for called in (name, "other"):
        given = f', name = "{called}"' if called == "other" else ""
        body = f"""
        [data]
        sources = [{{ {key} = "{value}"{given} }}]
        vocab = 300
        [training]
        batch_tokens = 128
        lr = 0.01
        [schedule]
        warmup_tokens = 128
        [ladder]
        horizons = [12800]
        sizes = [{{ shape = "tiny-10k" }}]
        [[branches]]
        name = "decay"
        """
        path.write_text(body + f'weights = {{ "{called}" = 1.0 }}', "utf-8")
        study = read_study(path)
        explicit = called if given else None
        source = (
            text_source(tmp_path / value, explicit)
            if key == "path"
            else corpus.hub_source(value, name=explicit)
        )
        assert (source.name, *source_names(study)) == (called, called)
        path.write_text(body + 'weights = { "third" = 1.0 }', "utf-8")
        with pytest.raises(InputError, match=f"weighs source 'third'; data.sources has {called}"):
            read_study(path)
