"""Shards: made once, whole or not at all, opened without reading; fingerprints follow the bytes alone."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scalinglab import corpus
from scalinglab.corpus import MIXES, SOURCES, Source, _cache, documents, encode, spool, text_source
from scalinglab.corpus.build import shard_folder
from scalinglab.errors import EnvironmentProblem, InputError

TEXTS = [f"Document {number}. " + f"Its words are its own, {number * number}. " * 5 for number in range(40)]
FIFTH = (2**256 // 5).to_bytes(32, "big")


@pytest.fixture
def source(tiny_wheel, cache) -> Source:
    """A source whose archive lies in the cache already."""
    archive, path = tiny_wheel({"tiny/texts.json": json.dumps(TEXTS)})
    (cache / "archives").mkdir(parents=True)
    (cache / "archives" / archive.filename).write_bytes(path.read_bytes())
    return Source(
        "tiny", "test", "English", "CC0-1.0", 0.2, archive, members=("*.json",), split=documents.json_list
    )


@pytest.fixture
def own_texts(tmp_path: Path) -> Path:
    folder = tmp_path / "my_texts"
    (folder / "deeper").mkdir(parents=True)
    for number, text in enumerate(TEXTS):
        place = folder / "deeper" if number % 2 else folder
        (place / f"{number}.txt").write_text(text, encoding="utf-8")
    (folder / "notes.md").write_text("not text")
    return folder


def documents_of(stream: np.ndarray) -> list[bytes]:
    return bytes(stream).split(corpus.SEPARATOR)


def test_streams_hold_every_document_once_with_a_zero_between(source: Source, cache: Path) -> None:
    steps = []
    built = corpus.build(source, progress=lambda *step: steps.append(step))
    assert built.names == ("tiny",)
    assert list(dict.fromkeys(name for name, _, _ in steps)) == ["tinytext", "tiny: reading", "tiny: writing"]
    assert all(0 <= done <= total for _, done, total in steps)
    assert steps[-1][1] == steps[-1][2] == sum(len(text.encode()) for text in TEXTS)
    train, heldout = documents_of(built.train["tiny"]), documents_of(built.heldout["tiny"])
    assert sorted(train + heldout) == sorted(text.encode() for text in TEXTS)
    assert all(hashlib.sha256(document).digest() < FIFTH for document in heldout)
    assert all(hashlib.sha256(document).digest() >= FIFTH for document in train)
    for stream in (built.train["tiny"], built.heldout["tiny"]):
        assert isinstance(stream, np.memmap)
        assert stream.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            stream[0] = 1
    (row,) = built.summary()
    assert row["train_documents"] + row["heldout_documents"] == len(TEXTS)
    assert (row["train_bytes"], row["heldout_bytes"]) == (
        built.train["tiny"].size,
        built.heldout["tiny"].size,
    )
    assert (row["licence"], row["origin"]) == ("CC0-1.0", "tinytext 1.0")
    assert built.notes == ()


def test_opening_reads_no_archive_and_builds_nothing(source: Source, cache: Path, monkeypatch) -> None:
    first = corpus.build(source)
    (cache / "archives" / source.archive.filename).unlink()  # type: ignore[union-attr]
    monkeypatch.setattr(spool, "collect", None)
    again = corpus.build(source)
    assert again.fingerprint == first.fingerprint
    assert bytes(again.train["tiny"]) == bytes(first.train["tiny"])


def test_fingerprint_follows_bytes_and_not_places(
    source: Source, cache: Path, tmp_path: Path, own_texts
) -> None:
    first = corpus.build([source, text_source(own_texts, heldout_share=0.2)])
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "archives").mkdir(parents=True)
    name = source.archive.filename  # type: ignore[union-attr]
    (elsewhere / "archives" / name).write_bytes((cache / "archives" / name).read_bytes())
    moved = own_texts.rename(tmp_path / "moved")
    again = corpus.build([text_source(moved, "my_texts", 0.2), source], elsewhere)
    assert again.fingerprint == first.fingerprint
    assert again.names == ("my_texts", "tiny")
    assert corpus.build(source).fingerprint != first.fingerprint
    (moved / "0.txt").write_text(TEXTS[0] + "One more sentence.", encoding="utf-8")
    changed = corpus.build([text_source(moved, "my_texts", 0.2), source], elsewhere)
    assert changed.fingerprint != first.fingerprint


@pytest.mark.parametrize("damage", ["truncated", "no manifest", "bad manifest", "missing stream"])
def test_a_damaged_shard_is_built_anew(source: Source, cache: Path, damage: str) -> None:
    before = corpus.build(source)
    whole = bytes(before.train["tiny"])
    folder = shard_folder(source)
    del before
    if damage == "truncated":
        (folder / "train.bin").write_bytes(whole[:-1])
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    elif damage == "bad manifest":
        (folder / "manifest.json").write_text('{"train": ')
    else:
        (folder / "heldout.bin").unlink()
    assert bytes(corpus.build(source).train["tiny"]) == whole
    assert list((cache / "shards").iterdir()) == [folder]


def test_a_build_goes_on_wherever_it_was_interrupted(source: Source, cache: Path, monkeypatch) -> None:
    """A kill at every place where the state is kept, before and after it is written; and 40 documents read once."""
    shutil.copytree(cache / "archives", cache / "other" / "archives")
    whole = corpus.build(source, cache / "other")
    monkeypatch.setattr(spool, "block_bytes", 1000)
    monkeypatch.setattr(encode, "read_bytes", 900)
    monkeypatch.setattr(encode, "blocks_kept", 2)
    real = _cache.write_state
    calls, interrupted = 0, 0

    def kill(path: Path, state: dict) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        real(path, state)
        if interrupted % 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_cache, "write_state", kill)
    read = []
    monkeypatch.setattr(spool, "_spool", lambda *a, real=spool._spool: read.append(a[0]) or real(*a))
    for _ in range(100):
        calls = 0
        try:
            built = corpus.build(source, tokens="bpe-280")
            break
        except KeyboardInterrupt:
            interrupted += 1
    monkeypatch.setattr(_cache, "write_state", real)
    assert interrupted > 10
    assert bytes(built.train["tiny"].tobytes()) != bytes(whole.train["tiny"])  # tokens, not bytes
    assert bytes(corpus.build(source).train["tiny"]) == bytes(whole.train["tiny"])
    assert built.manifests["tiny"]["dropped"] == whole.manifests["tiny"]["dropped"]
    assert len(read) <= len(TEXTS) + interrupted * 6  # a block of 1,000 bytes is six documents at most
    once = corpus.build(source, cache / "other", tokens="bpe-280")
    assert once.fingerprint == built.fingerprint
    assert not list((cache / "shards").glob(".part-*")) + list((cache / "tokens").glob(".part-*"))


def test_a_killed_process_loses_a_block_at_most(own_texts: Path, cache: Path) -> None:
    whole = corpus.build(own_texts, cache / "other")
    program = (
        "import os, pathlib, signal, sys\n"
        "from scalinglab import corpus\n"
        "from scalinglab.corpus import spool\n"
        "spool.block_bytes = 1000\n"
        "def progress(name, done, total):\n"
        "    if name.endswith(sys.argv[2]) and done > total / 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "corpus.build(pathlib.Path(sys.argv[1]), progress=progress)\n"
    )
    for step in ("reading", "writing"):
        ended = subprocess.run([sys.executable, "-c", program, str(own_texts), step])
        assert ended.returncode == -9
        (state,) = (cache / "shards").glob(f".part-*/{'spool' if step == 'reading' else 'write'}.json")
        assert json.loads(state.read_text())["text" if step == "reading" else "place"] > 0
    assert corpus.build(own_texts).fingerprint == whole.fingerprint


def test_a_full_disk_is_one_sentence(source: Source, cache: Path, monkeypatch) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(_cache, "flush", full)
    with pytest.raises(EnvironmentProblem, match=r"no disk space left for .*shards: free about 100 MB"):
        corpus.build(source)
    monkeypatch.undo()
    assert corpus.build(source, cache).names == ("tiny",)
    assert list((cache / "shards").iterdir()) == [shard_folder(source, cache)]


def test_processes_building_at_once_agree(own_texts: Path, cache: Path) -> None:
    program = (
        "import sys, pathlib; from scalinglab import corpus\n"
        "sys.stdin.readline()\n"  # all start together
        "built = corpus.build(pathlib.Path(sys.argv[1]))\n"
        "print(built.fingerprint, sum(map(int, built.train['my_texts'])))\n"
    )
    command = [sys.executable, "-c", program, str(own_texts)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {process.communicate(timeout=60)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0, 0]
    assert len(said) == 1
    assert len(list((cache / "shards").iterdir())) == 1


def test_own_texts(own_texts: Path, cache: Path) -> None:
    built = corpus.build([own_texts])
    every = documents_of(built.train["my_texts"]) + documents_of(built.heldout["my_texts"])
    assert sorted(every) == sorted(text.encode() for text in TEXTS)
    assert built.summary()[0]["origin"] == str(own_texts)


def test_own_text_that_cannot_be_used(tmp_path: Path, cache: Path, own_texts: Path) -> None:
    alone = tmp_path / "alone.txt"
    alone.write_text(TEXTS[0])
    with pytest.raises(InputError, match=r"source 'alone' .* two \.txt files or more"):
        corpus.build(alone)
    latin = tmp_path / "latin"
    latin.mkdir()
    (latin / "1.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(InputError, match=r"1\.txt, line 1: byte 3 is not UTF-8"):
        corpus.build(latin)
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        text_source(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"empty: no \.txt file in this folder"):
        text_source(empty)
    with pytest.raises(InputError, match=r"a text source is a \.txt file"):
        text_source(own_texts / "notes.md")
    with pytest.raises(InputError, match="share between 0 and 1"):
        text_source(own_texts, heldout_share=1.5)


def test_names_that_mean_nothing_or_two_things(own_texts: Path) -> None:
    with pytest.raises(InputError, match=r"unknown corpus source 'wiki_rf'; did you mean 'wiki_fr'\?"):
        corpus.build(["wiki_rf"])
    with pytest.raises(InputError, match="two sources are called 'wiki'"):
        corpus.resolve([text_source(own_texts, name="wiki"), "wiki"])
    with pytest.raises(InputError, match="no source"):
        corpus.resolve([])
    assert [source.name for source in corpus.resolve("small")] == list(MIXES["small"])


def test_without_pip_a_mix_becomes_the_standard_library_aloud(cache: Path, fake_python) -> None:
    calls = fake_python('echo "$0: No module named pip" >&2; exit 1')
    built = corpus.build("small")
    assert built.names == ("python",)
    (note,) = built.notes
    assert note.startswith(
        "The mix 'small' could not be downloaded, so the text is this Python's own standard"
    )
    assert "has no pip" in note
    assert calls.read_text().count("\n") == 1  # the first failure is enough
    for sources, fallback in (("small", False), (["wiki"], True), ("wiki", True)):
        with pytest.raises(corpus.IndexProblem, match="has no pip"):
            corpus.build(sources, fallback=fallback)


def test_a_wrong_hash_is_never_fallen_back_from(cache: Path) -> None:
    archive = SOURCES["wiki"].archive
    assert archive is not None
    (cache / "archives").mkdir(parents=True)
    (cache / "archives" / archive.filename).write_bytes(b"other")
    with pytest.raises(InputError, match=r"the cached file .* delete it"):
        corpus.build("small")


def test_standard_library_mix(cache: Path) -> None:
    built = corpus.build("stdlib")
    (row,) = built.summary()
    assert row["heldout_bytes"] > 100_000
    assert row["train_bytes"] > 10 * row["heldout_bytes"]
    assert corpus.build("stdlib").fingerprint == built.fingerprint
    listed = {row["source"]: row for row in corpus.listing()}
    assert list(listed) == list(SOURCES)
    assert listed["python"]["train_bytes"] == row["train_bytes"]
    assert (listed["wiki"]["downloaded"], listed["wiki"]["train_bytes"]) == (False, None)


def test_an_archive_is_shared() -> None:
    archives = [source.archive for source in corpus.resolve("small")]
    assert len(archives) == 6
    assert len(set(archives)) == 4
    assert sum(archive.size for archive in set(archives) if archive) < 20e6


def test_no_torch_no_pandas_to_open_a_corpus() -> None:
    program = "import sys, scalinglab.corpus; print(sorted({'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
