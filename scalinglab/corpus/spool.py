"""Documents into a source's two byte streams, with a small part of the text in memory and resumable at any point.

First the cleaned documents are spooled to disk as they are read, with the hashes of each and of its long paragraphs.
Then the hashes alone decide what is dropped and what is held out. Last the documents are copied in the order of their
hashes. Both passes note how far they are after every block, and go on from there.
"""

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scalinglab.corpus import _cache, documents
from scalinglab.corpus.documents import SEPARATOR, Unit, clean, long_paragraphs, without_paragraphs
from scalinglab.errors import InputError

PARTS = ("train", "heldout")

block_bytes = 16 << 20
"""What an interruption can cost."""

_INDEX = np.dtype([("high", "<u8"), ("low", "<u8"), ("at", "<u8"), ("size", "<u4"), ("paragraphs", "<u4")])
_RECORD = struct.Struct("<QQQII")
_CHUNK = 1 << 20  # paragraphs looked at together

Tell = Callable[[float, float], None]
"""Takes bytes done and bytes in all."""


def collect(units: Callable[[], Iterable[Unit]], parts: Path, size: int, tell: Tell) -> None:
    """Spools every document of `units` into the folder `parts`; what already lies there is not read again.

    size: bytes of all units, about. Raises InputError for text that cannot be used.
    """
    parts.mkdir(parents=True, exist_ok=True)
    state_path = parts / "spool.json"
    state = _cache.read_state(state_path) or {
        "unit": 0, "document": 0, "text": 0, "index": 0, "paragraphs": 0, "short": 0, "read": 0, "whole": False,
    }  # fmt: skip
    if state["whole"]:
        return
    files = {name: _at(parts / f"{name}.spool", state[name]) for name in ("text", "index", "paragraphs")}
    try:
        kept = state["text"]

        def commit(unit: int, document: int, whole: bool = False) -> None:
            nonlocal kept
            for name, file in files.items():
                file.flush()
                os.fsync(file.fileno())
                state[name] = file.tell()
            state.update(unit=unit, document=document, whole=whole)
            _cache.write_state(state_path, state)
            kept = state["text"]

        first_unit, first_document, before = state["unit"], state["document"], state["read"]
        at = state["text"]
        number = -1
        for number, unit in enumerate(units()):
            if number < first_unit:
                continue
            start = first_document if number == first_unit else 0
            began, document = at, start
            for document, text in enumerate(unit.open(start), start=start + 1):
                try:
                    at += _spool(text, at, files, state)
                except UnicodeEncodeError:
                    raise InputError(
                        f"{unit.name}, document {document}: holds half of a surrogate pair, which is not text; "
                        "escape sequences such as \\ud83d stand in pairs"
                    ) from None
                if at - kept >= block_bytes:
                    commit(number, document)
                    tell(before + min(at - began, unit.size), size)
            before += unit.size
            state["read"] = before
            tell(before, size)
        commit(number + 1, 0, whole=True)
    finally:
        for file in files.values():
            file.close()


def _spool(text: str, at: int, files: dict[str, BinaryIO], state: dict[str, Any]) -> int:
    """Writes one document; the bytes it takes."""
    text = clean(text)
    if len(text.strip()) < documents.REPEAT_CHARACTERS:
        state["short"] += 1
        return 0
    data = text.encode("utf-8")
    hashes = [
        hashlib.blake2b(key.encode("utf-8"), digest_size=8).digest() for _, key in long_paragraphs(text)
    ]
    high, low = struct.unpack(">QQ", hashlib.sha256(data).digest()[:16])
    files["text"].write(data)
    files["index"].write(_RECORD.pack(high, low, at, len(data), len(hashes)))
    files["paragraphs"].write(b"".join(hashes))
    return len(data)


@dataclass(frozen=True)
class _Choice:
    """What becomes of the spooled documents, decided by hashes alone."""

    order: NDArray[np.intp]
    """The distinct documents by their hash: those held out, then the others."""
    heldout: int
    moved: bool
    """Whether a document stands on the other side than its hash says, so that neither side is empty."""
    index: NDArray[Any]
    first_paragraph: NDArray[np.int64]
    repeated: NDArray[np.uint64]
    """Hashes of paragraphs that stand in the text more than once, sorted."""
    owner: NDArray[np.int64]
    """Place in `order` of the document that keeps each of them."""
    touched: NDArray[np.bool_]
    """Documents that hold one."""


def _choose(parts: Path, share: float) -> _Choice:
    index = np.fromfile(parts / "index.spool", _INDEX)
    order = np.lexsort((index["low"], index["high"]))
    if len(order):
        same = (np.diff(index["high"][order]) == 0) & (np.diff(index["low"][order]) == 0)
        order = order[np.concatenate([[True], ~same])]
    # the sha256 as a fraction, by its first 53 bits: exact in a float, and never 1. A pure function of the bytes,
    # so the same text falls on the same side in every source of the same share
    rank = (index["high"][order] >> np.uint64(11)) / 2**53
    below = int((rank < share).sum())
    heldout = min(max(below, 1), len(order) - 1) if len(order) > 1 else below
    ends = np.cumsum(index["paragraphs"], dtype=np.int64)
    path = parts / "paragraphs.spool"
    hashes = np.fromfile(path, np.uint64)
    hashes.sort()
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    del hashes
    owner = np.full(len(repeated), len(order), np.int64)
    touched = np.zeros(len(index), bool)
    place = np.full(len(index), len(order), np.int64)  # of a document that is dropped: behind all
    place[order] = np.arange(len(order))
    total = int(ends[-1]) if len(ends) else 0
    for first in range(0, total if len(repeated) else 0, _CHUNK):
        chunk = np.fromfile(path, np.uint64, count=_CHUNK, offset=8 * first)
        which = np.minimum(np.searchsorted(repeated, chunk), len(repeated) - 1)
        hits = np.flatnonzero(repeated[which] == chunk)
        holders = np.searchsorted(ends, first + hits, side="right")
        np.minimum.at(owner, which[hits], place[holders])
        touched[holders] = True
    return _Choice(
        order, heldout, heldout != below, index, ends - index["paragraphs"], repeated, owner, touched
    )


def _without_repeats(
    data: bytes, hashes: NDArray[np.uint64], place: int, choice: _Choice
) -> tuple[bytes, int]:
    """The document without the paragraphs that another one keeps, or that it holds twice; and how many those are."""
    which = np.minimum(np.searchsorted(choice.repeated, hashes), len(choice.repeated) - 1)
    is_repeated = choice.repeated[which] == hashes
    text = data.decode("utf-8")
    drop, seen = set(), set()
    for (at, _), group, repeated in zip(long_paragraphs(text), which.tolist(), is_repeated, strict=True):
        if repeated:
            if choice.owner[group] != place or group in seen:
                drop.add(at)
            seen.add(group)
    return (without_paragraphs(text, drop).encode("utf-8") if drop else data), len(drop)


def write(parts: Path, whole: Path, share: float, tell: Tell) -> dict[str, Any]:
    """The streams of what `collect` spooled, in the folder `whole`: `train.bin` and `heldout.bin`.

    Documents in the order of their hashes with SEPARATOR between; equal ones once; held out are those whose hash
    lies below `share`, but one at least and not all. Of a paragraph that stands twice the first in that order is kept,
    held-out documents before all. Returns counts of documents, bytes and sha256 of each part, and of what was dropped;
    and `moved`, whether one document was held out, or not, against its hash.
    """
    choice = _choose(parts, share)
    short = json.loads((parts / "spool.json").read_text("utf-8"))["short"]
    state_path = parts / "write.json"
    state = _cache.read_state(state_path) or {
        "place": 0, "repeated": 0, "train": {"documents": 0, "bytes": 0}, "heldout": {"documents": 0, "bytes": 0},
    }  # fmt: skip
    whole.mkdir(exist_ok=True)
    files = {part: _at(whole / f"{part}.bin", state[part]["bytes"]) for part in PARTS}
    size = int(choice.index["size"][choice.order].sum())
    copied = int(choice.index["size"][choice.order[: state["place"]]].sum())
    kept = copied
    with (parts / "text.spool").open("rb") as text, (parts / "paragraphs.spool").open("rb") as hashes:
        try:
            for place in range(state["place"], len(choice.order)):
                which = choice.order[place]
                record = choice.index[which]
                data = _read(text, int(record["at"]), int(record["size"]))
                if choice.touched[which]:
                    own = _read(hashes, 8 * int(choice.first_paragraph[which]), 8 * int(record["paragraphs"]))
                    data, dropped = _without_repeats(data, np.frombuffer(own, np.uint64), place, choice)
                    state["repeated"] += dropped
                part = "heldout" if place < choice.heldout else "train"
                if data:
                    files[part].write(SEPARATOR + data if state[part]["documents"] else data)
                    state[part]["bytes"] += len(data) + bool(state[part]["documents"])
                    state[part]["documents"] += 1
                copied += int(record["size"])
                if copied - kept >= block_bytes:
                    for file in files.values():
                        file.flush()
                        os.fsync(file.fileno())
                    state["place"] = place + 1
                    _cache.write_state(state_path, state)
                    kept = copied
                    tell(copied, size)
        finally:
            for file in files.values():
                file.close()
    tell(size, size)
    found: dict[str, Any] = {part: {**state[part], "sha256": sha256(whole / f"{part}.bin")} for part in PARTS}
    return found | {
        "moved": choice.moved,
        "dropped": {
            "short": short,
            "duplicates": len(choice.index) - len(choice.order),
            "repeated_paragraphs": state["repeated"],
        },
    }


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _at(path: Path, size: int) -> BinaryIO:
    """The file opened for writing behind its first `size` bytes; the rest is cut off."""
    path.touch()
    file = path.open("r+b")
    file.truncate(size)
    file.seek(size)
    return file


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    # read and not mapped: pages of a mapping would count as memory that the build takes
    file.seek(at)
    return file.read(size)
