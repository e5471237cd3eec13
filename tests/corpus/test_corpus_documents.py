"""Archive to documents: what is read, what is dropped, and the invariants of holding out by hash."""

import hashlib
import json
import math
import random
import sysconfig
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglab.corpus import SOURCES, documents, spool
from scalinglab.corpus.documents import Unit, clean
from scalinglab.errors import InputError

PARAGRAPH = st.integers(0, 30).map(
    lambda n: f"Paragraph {n} " + "is long enough to count as repeated text " * 2
)
DOCUMENT = st.lists(PARAGRAPH | st.sampled_from(["short", "", "一" * 61, "é" * 70]), max_size=6).map(
    "\n\n".join
)


def split_heldout(texts: list[str], share: float) -> tuple[list[bytes], list[bytes]]:
    """(train, held out) documents as the streams hold them."""

    def found(path: Path) -> list[bytes]:
        data = path.read_bytes()
        return data.split(spool.SEPARATOR) if data else []

    with tempfile.TemporaryDirectory() as folder:
        parts, whole = Path(folder), Path(folder, "whole")
        spool.collect(lambda: [Unit("all", 0, lambda start: iter(texts[start:]))], parts, 0, lambda *_: None)
        spool.write(parts, whole, share, lambda *_: None)
        return found(whole / "train.bin"), found(whole / "heldout.bin")


def in_memory(texts: list[str], share: float) -> tuple[list[bytes], list[bytes]]:
    """The same by sets and dicts, with all text in memory."""
    by_hash = {hashlib.sha256(t.encode()).digest(): t for t in map(clean, texts) if len(t.strip()) >= 60}
    ordered = sorted(by_hash)
    count = sum(int.from_bytes(digest, "big") / 2**256 < share for digest in ordered)
    if len(ordered) > 1:
        count = min(max(count, 1), len(ordered) - 1)
    seen: set[str] = set()
    kept = []
    for digest in ordered:
        left = []
        for paragraph in by_hash[digest].split("\n\n"):
            key = paragraph.strip()
            if len(key) < 60 or key not in seen:
                left.append(paragraph)
                seen |= {key} if len(key) >= 60 else set()
        text = "\n\n".join(left)
        kept.append(text.encode() if text == by_hash[digest] or len(text.strip()) >= 60 else b"")
    return [text for text in kept[count:] if text], [text for text in kept[:count] if text]


def long_paragraphs(document: bytes) -> list[str]:
    found = [paragraph.strip() for paragraph in document.decode("utf-8").split("\n\n")]
    return [paragraph for paragraph in found if len(paragraph) >= documents.REPEAT_CHARACTERS]


def test_clean_changes_line_ends_marks_and_nul_only() -> None:
    text = "\ufeffune fenêtre\r\nouverte\rà \u00a0demi\0 \u200b\t« — »\n"
    assert clean(text) == "une fenêtre\nouverte\nà \u00a0demi \u200b\t« — »\n"
    decomposed = unicodedata.normalize("NFD", "élève")
    assert clean(decomposed) == decomposed != "élève"


@settings(deadline=None, max_examples=25)
@given(st.lists(DOCUMENT, max_size=12), st.randoms(use_true_random=False), st.floats(0.05, 0.95))
def test_split_is_disjoint_and_independent_of_order(texts, shuffler: random.Random, share: float) -> None:
    train, heldout = split_heldout(texts, share)
    shuffled = texts * 2  # a document given twice is one document
    shuffler.shuffle(shuffled)
    assert split_heldout(shuffled, share) == (train, heldout) == in_memory(texts, share)
    assert not set(train) & set(heldout)
    every = [paragraph for document in train + heldout for paragraph in long_paragraphs(document)]
    assert len(every) == len(set(every))  # so no long paragraph is on both sides
    given_paragraphs = {
        p for text in texts if len(text.strip()) >= 60 for p in long_paragraphs(text.encode())
    }
    assert set(every) == given_paragraphs  # and none is lost
    assert all(b"\0" not in document for document in train + heldout)


def test_side_is_the_rank_of_the_documents_own_hash() -> None:
    texts = [f"{number} " + hashlib.sha256(str(number).encode()).hexdigest() * 2 for number in range(4000)]
    share = 0.05
    train, heldout = split_heldout(texts, share)
    expected = {t.encode() for t in texts if int(hashlib.sha256(t.encode()).hexdigest(), 16) / 2**256 < share}
    assert set(heldout) == expected
    assert set(train) == {t.encode() for t in texts} - expected
    assert abs(len(heldout) - 4000 * share) < 4 * math.sqrt(4000 * share * (1 - share))
    # more text moves nothing across
    more_train, more_heldout = split_heldout([*texts, *(text + " again" for text in texts)], share)
    assert set(train) <= set(more_train)
    assert set(heldout) <= set(more_heldout)


def test_two_documents_stand_on_two_sides_and_one_on_one() -> None:
    for seed in range(20):
        train, heldout = split_heldout([f"{seed} one " + "a" * 80, f"{seed} two " + "b" * 80], 0.05)
        assert (len(train), len(heldout)) == (1, 1)
    assert sorted(map(len, split_heldout(["alone " + "c" * 80], 0.05))) == [0, 1]
    assert split_heldout(["too short"], 0.05) == ([], [])


def members_of(path: Path, members: tuple[str, ...], without: tuple[str, ...] = ()) -> list[str]:
    return [
        text
        for unit in documents.archive_units(path, members, without, documents.whole)
        for text in unit.open(0)
    ]


def test_archives_of_both_kinds_give_the_members_asked_for(tiny_wheel, tiny_sdist) -> None:
    members = {"p/a.txt": "one", "p/b.txt": "zwei – 二", "p/tests/c.txt": "left out", "p/d.bin": b"\xff\xfe"}
    for make in (tiny_wheel, tiny_sdist):
        _, path = make(members)
        assert members_of(path, ("*.txt",), ("*/tests/*",)) == ["one", "zwei – 二"]
        with pytest.raises(InputError, match=r"no member fits \*\.rst"):
            members_of(path, ("*.rst",))
        with pytest.raises(InputError, match=r"d\.bin, line 1: byte 0 is not UTF-8"):
            members_of(path, ("*.bin",))


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.tar.gz"
    path.write_bytes(b"\x1f\x8b not really")
    with pytest.raises(InputError, match=r"broken\.tar\.gz: not a readable archive"):
        members_of(path, ("*",))


def test_encyclopedia_entries_have_title_and_extract() -> None:
    text = json.dumps({"k": {"title": "Oslo", "extract": "Oslo est la capitale.", "topic": "x"}})
    assert list(documents.encyclopedia_entries("m", text)) == ["Oslo\n\nOslo est la capitale.\n"]


def test_books_are_cut_at_their_own_parts() -> None:
    lost = (
        "\n \nPARADISE LOST \nBOOK I. \n \nOf Mans\n"
        + "x" * 2000
        + "\n \nPARADISE LOST. \nBOOK II. \nHigh\n\x1a"
    )
    first, second = documents.book("t/paradise_lost_(no_introduction)_gut.txt", lost)
    assert first.startswith("PARADISE LOST \nBOOK I. \n \nOf Mans")
    assert second == "PARADISE LOST. \nBOOK II. \nHigh\n"
    assert list(documents.book("t/hamlet_gut.txt", "HAMLET\n\n\n\n\nACT I\r\n")) == [
        "HAMLET\n\n\n\n\nACT I\n"
    ]


def test_short_poems_go_together_and_copied_title_pages_go() -> None:
    poems = [
        "SONNET\n" + "a" * 1500,
        "Transcriber's note: Facsimile of Title page",
        "SONNET\n" + "b" * 1500,
        "LAST",
    ]
    found = list(documents.book("t/poetical_works_gut.txt", "\r\n\r\n\r\n\r\n\r\n".join(poems)))
    assert found == [f"{poems[0]}\n\n\n{poems[2]}\n", "LAST\n"]


def test_only_proofread_scans_are_kept() -> None:
    scan = (
        "## The entry\n\n### START: A ###\n#### Source: x \n\np.772:0 [[ed: TODO]]\n\nShakespeare,\nWilliam\n"
        "### END: A ###\n\n### START: B ###\n\n7 8 8 SHAKE\n### END: B ###\n"
    )
    assert list(documents.book("a/britannica-11th.txt", scan)) == ["Shakespeare,\nWilliam\n"]


def test_standard_library_is_the_interpreters_own_without_tests() -> None:
    found = {unit.name: text for unit in documents.standard_library_units() for text in unit.open(0)}
    file = Path(sysconfig.get_path("stdlib"), "difflib.py")
    assert found["difflib.py"] == file.read_text(encoding="utf-8")
    assert len(found) > 300
    assert not [n for n in found if "test" in n.split("/")[:-1] or "tests" in n.split("/")[:-1]]
    assert not [name for name in found if "site-packages" in name]
    assert [unit.name for unit in SOURCES["python"].units()] == list(found)
