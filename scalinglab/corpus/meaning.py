"""What the tokens of a corpus are, and its streams where they are not bytes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglab.corpus import documents
from scalinglab.corpus.fetch import Progress
from scalinglab.corpus.registry import Source
from scalinglab.corpus.spool import PARTS, Tell
from scalinglab.corpus.streams import Piece, SourceFiles

if TYPE_CHECKING:
    from scalinglab.corpus.tokeniser import Tokeniser


@dataclass(frozen=True)
class Tokens:
    """What a corpus's tokens are: bytes, a BPE trained on it, a tokenizer file, or ids of an unknown tokenizer."""

    name: str = "bytes"
    vocab: int = 256
    sha256: str | None = None
    """Of the tokenizer's file, where there is one."""
    file: Path | None = None


class Steps:
    """Calls `progress` with each step's own count; without one it is silent."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._last: tuple[str, int] | None = None

    def tell(self, name: str, done: float, total: float) -> None:
        if self._progress:
            self._progress(name, int(min(done, total)), int(total))
            self._last = (name, int(total))

    def of(self, name: str) -> Tell:
        """Of one step, what takes its done and total."""
        return lambda done, total: self.tell(name, done, total)

    def end(self) -> None:
        """The last step is over, whatever its count."""
        if self._last is not None:
            self.tell(self._last[0], self._last[1], self._last[1])


def token_streams(
    sources: tuple[Source, ...],
    folders: dict[str, Path],
    manifests: dict[str, dict[str, Any]],
    cache: str | Path | None,
    steps: Steps,
    tokens: str | Path,
    vocab: int | None,
    trained: Path | None,
) -> tuple[Tokens, dict[str, SourceFiles]]:
    """The token streams of every source; `manifests` gain their counts, and those of sources that are token ids.

    folders: of each source that is text, its byte streams. The others as of `build`.
    """
    from scalinglab.corpus import bins
    from scalinglab.corpus.encode import encode_streams, read_token_manifest, token_folder

    tokeniser = (
        None if vocab is not None else _tokeniser(str(tokens), folders, manifests, cache, steps, trained)
    )
    meaning = (
        Tokens("ids", vocab or 0)
        if tokeniser is None
        else Tokens(str(tokens), tokeniser.vocab, tokeniser.sha256, tokeniser.path)
    )
    files = {}
    for source in sources:
        name = source.name
        if name not in folders:
            manifest = bins.scan(source, cache, steps.of(f"{name}: reading"))
            bins.check_ids(source, manifest, meaning.vocab)
            manifests[name] = described(source) | manifest
            table = None if tokeniser is None else tokeniser.token_bytes
            files[name] = SourceFiles(*bins.pieces(source, manifest), table)
            continue
        assert tokeniser is not None  # text has been refused where there is a bare vocab
        folder = token_folder(safe_name(name), manifests[name], tokeniser, cache)
        own = read_token_manifest(folder) or encode_streams(
            folders[name], folder, tokeniser, steps.of(f"{name}: tokens")
        )
        for part in PARTS:
            manifests[name][part] |= {"tokens": own[part]["tokens"], "token_sha256": own[part]["sha256"]}
        train, heldout = (
            (Piece(folder / f"{part}.bin", own["dtype"], 0, own[part]["tokens"]),) for part in PARTS
        )
        # 1 of byte-level tokenizers; of one that changes its text, what makes the sum over the set right
        scale = manifests[name]["heldout"]["bytes"] / own["heldout"]["spelled"]
        files[name] = SourceFiles(train, heldout, tokeniser.token_bytes * scale)
    return meaning, files


def byte_files(folder: Path, manifest: dict[str, Any]) -> SourceFiles:
    """The streams of a shard folder of bytes."""
    train, heldout = ((Piece(folder / f"{part}.bin", "|u1", 0, manifest[part]["bytes"]),) for part in PARTS)
    return SourceFiles(train, heldout, np.ones(256))


def _tokeniser(
    tokens: str,
    folders: dict[str, Path],
    manifests: dict[str, dict[str, Any]],
    cache: str | Path | None,
    steps: Steps,
    trained: Path | None,
) -> Tokeniser:
    from scalinglab.corpus.tokeniser import Tokeniser, train_bpe
    from scalinglab.ladder.tokens import bpe_vocabulary, check_tokens

    check_tokens(tokens)
    count = bpe_vocabulary(tokens)
    if count is None:
        return Tokeniser(Path(tokens).expanduser().resolve())
    if trained is not None:
        return Tokeniser(trained, trained_here=True)
    steps.tell(f"training {tokens}", 0, 1)
    streams = [
        (name, folder / "train.bin", manifests[name]["train"]["sha256"]) for name, folder in folders.items()
    ]
    return train_bpe(count, streams, cache)


def safe_name(name: str) -> str:
    """A source's name as part of a file's."""
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in name)


def described(source: Source) -> dict[str, Any]:
    return {
        "source": source.name,
        "domain": source.domain,
        "language": source.language,
        "licence": source.licence,
        "origin": origin(source),
        "heldout_share": source.heldout_share,
        "rules_version": documents.RULES_VERSION,
    }


def origin(source: Source) -> str:
    if source.archive is not None:
        return f"{source.archive.package} {source.archive.version}"
    if source.folder is not None:
        return str(source.folder)
    if source.hub is not None:
        return f"{source.hub[0]}, split {source.hub[1]}"
    return f"standard library of {sys.implementation.name} {sys.version.split()[0]}"
