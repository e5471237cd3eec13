"""Token ids that someone else made: .bin files of uint16 or uint32, read where they lie.

They are read through once, for the largest id and a hash; what was found is kept. Held out is the tail: the last share
of the tokens, from the end of a document on where an end token is known, and training never reads there.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from scalinglab.corpus import _cache
from scalinglab.corpus.meaning import safe_name
from scalinglab.corpus.own_files import file_stat, own_paths
from scalinglab.corpus.registry import Source
from scalinglab.corpus.spool import Tell
from scalinglab.corpus.streams import Piece
from scalinglab.errors import InputError

_CHUNK = 8 << 20  # tokens


def scan(source: Source, cache: str | Path | None, tell: Tell) -> dict[str, Any]:
    """Counts, hashes and the cut of a source of token ids; what the cache knows of it is not read again.

    Raises InputError for files that cannot be what the source says.
    """
    assert source.folder is not None
    _, paths = own_paths(source.folder)
    stats = [file_stat(path) for path in paths]
    listing = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in zip(paths, stats, strict=True)]
    described = json.dumps([listing, source.dtype, source.end, source.heldout_share])
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    known = _cache.cache_folder(cache) / "tokens" / f"{safe_name(source.name)}-{key}.json"
    manifest = _cache.read_state(known)
    if manifest is None:
        manifest = _scan(source, paths, tell)
        with _cache.plain_disk_errors(known.parent):
            known.parent.mkdir(parents=True, exist_ok=True)
            _cache.write_state(known, manifest, locked=False)
    return manifest


def check_ids(source: Source, manifest: dict[str, Any], vocab: int) -> None:
    """Raises InputError when a token's id lies beyond the vocabulary."""
    if manifest["largest"] >= vocab:
        raise InputError(
            f"{source.folder}: holds the token id {manifest['largest']}, and the study's vocabulary has {vocab} (0 to "
            f"{vocab - 1}); give the tokenizer or the vocab that these ids are of, and check dtype = "
            f'"{source.dtype}"'
        )


def pieces(source: Source, manifest: dict[str, Any]) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Where the training tokens lie, and the held-out ones."""
    assert source.folder is not None
    _, paths = own_paths(source.folder)
    dtype = np.dtype(source.dtype).newbyteorder("<")
    cut, before = manifest["train"]["tokens"], 0
    train, heldout = [], []
    for path in paths:
        count = file_stat(path).st_size // dtype.itemsize
        inside = min(max(cut - before, 0), count)
        if inside:
            train.append(Piece(path, dtype.str, 0, inside))
        if inside < count:
            heldout.append(Piece(path, dtype.str, inside, count - inside))
        before += count
    return tuple(train), tuple(heldout)


def _scan(source: Source, paths: list[Path], tell: Tell) -> dict[str, Any]:
    dtype = np.dtype(source.dtype).newbyteorder("<")
    sizes = [file_stat(path).st_size for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        if size % dtype.itemsize:
            raise InputError(
                f'{path}: {size} bytes are no whole number of {source.dtype} tokens; check dtype = "{source.dtype}"'
            )
    total = sum(sizes) // dtype.itemsize
    if total < 4:
        raise InputError(f"{source.folder}: holds {total} tokens, too few to train on and to hold out from")
    cut = _cut(source, paths, dtype, total)
    digests = {"train": hashlib.sha256(), "heldout": hashlib.sha256()}
    ends = {"train": 0, "heldout": 0}
    largest, at = 0, 0
    for path in paths:
        for chunk in _chunks(path, dtype):
            largest = max(largest, int(chunk.max()))
            inside = min(max(cut - at, 0), len(chunk))
            for part, ids in (("train", chunk[:inside]), ("heldout", chunk[inside:])):
                digests[part].update(ids.tobytes())
                if source.end is not None:
                    ends[part] += int((ids == source.end).sum())
            at += len(chunk)
            tell(at * dtype.itemsize, total * dtype.itemsize)
    return {
        "dtype": dtype.str,
        "largest": largest,
        **{
            part: {
                "tokens": count,
                "bytes": None,
                "documents": ends[part] if source.end is not None else None,
                "sha256": digests[part].hexdigest(),
            }
            for part, count in (("train", cut), ("heldout", total - cut))
        },
    }


def _cut(source: Source, paths: list[Path], dtype: np.dtype[Any], total: int) -> int:
    """Tokens before the tail that is held out: the last share of all, from the first end of a document in it on."""
    cut = total - min(max(2, round(total * source.heldout_share)), total - 2)
    if source.end is None:
        return cut
    at = 0
    for path in paths:
        for chunk in _chunks(path, dtype):
            if at + len(chunk) > cut:
                hits = np.flatnonzero(chunk[max(cut - at, 0) :] == source.end)
                if len(hits):
                    found = at + max(cut - at, 0) + int(hits[0]) + 1
                    if found < total:
                        return found
            at += len(chunk)
    raise InputError(
        f"{source.folder}: the end token {source.end} does not stand in the last {source.heldout_share:.0%} of the "
        "tokens, before their end; check `end`, or leave it out to cut there anywhere"
    )


def _chunks(path: Path, dtype: np.dtype[Any]) -> Any:
    with path.open("rb") as stream:
        while len(chunk := np.fromfile(stream, dtype, _CHUNK)):
            yield chunk
