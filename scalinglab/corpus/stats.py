"""What a corpus holds: documents, bytes, tokens, and whether any document is both trained on and held out."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scalinglab.corpus.build import Corpus
from scalinglab.corpus.documents import SEPARATOR

_BLOCK = 4 << 20  # bytes


def statistics(texts: Corpus) -> dict[str, Any]:
    """`sources`: a row each, and `total`; counts that nobody knows are None.

    Of a row: documents, bytes, tokens of training and held-out text together; bytes_per_token; duplicates, exact
    copies that were left out when it was built; heldout_share, of the tokens. `overlap`: held-out documents that are
    trained on, in the same source or another one.
    """
    rows = [_row(texts, name) for name in texts.names]
    total: dict[str, Any] = {
        key: _sum(row[key] for row in rows) for key in ("documents", "bytes", "tokens", "duplicates")
    }
    total["bytes_per_token"] = _ratio(total["bytes"], total["tokens"])
    held = sum(texts.manifests[name]["heldout"]["tokens"] for name in texts.names)
    total["heldout_share"] = held / total["tokens"]
    return {
        "fingerprint": texts.fingerprint,
        "tokens": {"name": texts.tokens.name, "vocab": texts.tokens.vocab, "sha256": texts.tokens.sha256},
        "sources": rows,
        "total": total,
        "overlap": sum(overlaps(texts.folders).values()),
    }


def _row(texts: Corpus, name: str) -> dict[str, Any]:
    manifest = texts.manifests[name]
    train, heldout = manifest["train"], manifest["heldout"]
    found = {key: _sum([train[key], heldout[key]]) for key in ("documents", "bytes", "tokens")}
    return {
        "source": name,
        "domain": manifest["domain"],
        "language": manifest["language"],
        **found,
        "bytes_per_token": _ratio(found["bytes"], found["tokens"]),
        "duplicates": manifest.get("dropped", {}).get("duplicates"),
        "heldout_share": heldout["tokens"] / found["tokens"],
    }


def _sum(values: Any) -> int | None:
    found = list(values)
    return None if None in found else sum(found)


def _ratio(a: int | None, b: int | None) -> float | None:
    return a / b if a is not None and b else None


def overlaps(folders: Mapping[str, Path]) -> dict[tuple[str, str], int]:
    """(source that holds out, source that trains) -> documents that both do it with, where there are any.

    Memory: 16 bytes and some of Python's own for each held-out document.
    """
    held: dict[bytes, list[str]] = {}
    for name, folder in folders.items():
        for document in _documents(folder / "heldout.bin"):
            held.setdefault(_digest(document), []).append(name)
    found: Counter[tuple[str, str]] = Counter()
    for name, folder in folders.items():
        for document in _documents(folder / "train.bin"):
            found.update((other, name) for other in held.get(_digest(document), ()))
    return dict(found)


def _digest(document: bytes) -> bytes:
    return hashlib.sha256(document).digest()[:16]


def _documents(path: Path) -> Iterator[bytes]:
    rest = b""
    with path.open("rb") as stream:
        while data := stream.read(_BLOCK):
            *whole, rest = (rest + data).split(SEPARATOR)
            yield from whole
    yield rest
