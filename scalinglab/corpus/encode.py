"""Byte streams into token shards, made once: a block of documents at a time, resumable after each.

A shard folder is `tokens/<source>-<key>/` with `train.bin`, `heldout.bin` (ids of two or four bytes, the tokenizer's
end token between documents) and `manifest.json`; its key is a hash of the byte streams' and the tokenizer's sha256.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scalinglab.corpus import _cache
from scalinglab.corpus.documents import SEPARATOR
from scalinglab.corpus.spool import PARTS, Tell, sha256
from scalinglab.corpus.tokeniser import Tokeniser

read_bytes = 4 << 20
"""Of text encoded at once."""

blocks_kept = 8
"""After so many of these the state is kept."""


def token_folder(name: str, manifest: dict[str, Any], tokeniser: Tokeniser, cache: str | Path | None) -> Path:
    """Where a source's token shards lie, or would lie. manifest: of its byte streams."""
    origin = [manifest["train"]["sha256"], manifest["heldout"]["sha256"], tokeniser.sha256]
    key = hashlib.sha256("\n".join(origin).encode()).hexdigest()[:16]
    return _cache.cache_folder(cache) / "tokens" / f"{name}-{key}"


def read_token_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a whole shard folder; None if it is missing or its files are not of the sizes told."""
    manifest = _cache.read_state(folder / "manifest.json")
    try:
        if manifest is not None:
            width = np.dtype(manifest["dtype"]).itemsize
            for part in PARTS:
                if (folder / f"{part}.bin").stat().st_size != width * manifest[part]["tokens"]:
                    return None
    except (OSError, KeyError, TypeError):
        return None
    return manifest


def encode_streams(streams: Path, folder: Path, tokeniser: Tokeniser, tell: Tell) -> dict[str, Any]:
    """The token shards of a folder of byte streams; its manifest, from another process if that was first."""
    with _cache.plain_disk_errors(folder.parent), _cache.building(folder) as parts:
        manifest = read_token_manifest(folder)
        if manifest is not None:
            return manifest
        whole = parts / "whole"
        whole.mkdir(parents=True, exist_ok=True)
        sizes = {part: (streams / f"{part}.bin").stat().st_size for part in PARTS}
        total = sum(sizes.values())
        manifest = {"dtype": tokeniser.dtype, "vocab": tokeniser.vocab, "tokenizer": tokeniser.sha256}
        before = 0
        for part in PARTS:

            def told(done: float, before: int = before) -> None:
                tell(before + done, total)

            manifest[part] = _encode(streams / f"{part}.bin", whole, part, tokeniser, told)
            before += sizes[part]
        _cache.write_state(whole / "manifest.json", manifest)
        for file in [*whole.iterdir(), whole]:
            _cache.flush(file)
        if folder.exists():  # damaged
            folder.rename(parts / "damaged")
        whole.rename(folder)
        _cache.flush(folder.parent)
        _cache.done(parts)
        return manifest


def _encode(text: Path, whole: Path, part: str, tokeniser: Tokeniser, told: Any) -> dict[str, Any]:
    """One stream: counts of tokens and bytes, and `spelled`, the bytes that its tokens stand for by their table."""
    state_path = whole.parent / f"{part}.json"
    state = _cache.read_state(state_path) or {"bytes": 0, "tokens": 0, "documents": 0, "spelled": 0.0}
    path = whole / f"{part}.bin"
    end = np.array([tokeniser.end], tokeniser.dtype)
    path.touch()
    with path.open("r+b") as out:
        out.truncate(state["tokens"] * end.itemsize)
        out.seek(0, os.SEEK_END)
        for number, (documents, last, position) in enumerate(_blocks(text, state["bytes"]), start=1):
            for i, ids in enumerate(tokeniser.encode(documents)):
                row = ids if last and i == len(documents) - 1 else np.append(ids, end)
                out.write(row.tobytes())
                state["tokens"] += len(row)
                state["spelled"] += float(tokeniser.token_bytes[row].sum())
            state["documents"] += len(documents)
            state["bytes"] = position
            if number % blocks_kept == 0:
                out.flush()
                os.fsync(out.fileno())
                _cache.write_state(state_path, state)
            told(position)
        out.flush()
        os.fsync(out.fileno())
    if "sha256" not in state:
        state["sha256"] = sha256(path)
        _cache.write_state(state_path, state)
    return state


def _blocks(path: Path, start: int) -> Iterator[tuple[list[str], bool, int]]:
    """(documents, whether the last of them ends the stream, position behind them) from `start` on."""
    size = path.stat().st_size
    rest = b""
    with path.open("rb") as stream:
        stream.seek(start)
        position = start
        while position < size:
            data = stream.read(read_bytes)
            rest += data
            last = not data or stream.tell() == size
            head, separator, tail = (rest, b"", b"") if last else rest.rpartition(SEPARATOR)
            if not separator and not last:
                continue  # a document longer than a block
            position += len(head) + len(separator)
            yield [each.decode("utf-8") for each in head.split(SEPARATOR)], last, position
            rest = tail
