"""The streams of a corpus, as files and the bytes that each token stands for."""

from pathlib import Path
from typing import Any

from scalinglab.corpus import bins
from scalinglab.corpus.encode import encode_streams, read_token_manifest, token_folder
from scalinglab.corpus.meaning import Steps, Tokens, described, safe_name
from scalinglab.corpus.registry import Source
from scalinglab.corpus.spool import PARTS
from scalinglab.corpus.streams import Piece, SourceFiles
from scalinglab.corpus.tokeniser import Tokeniser, train_bpe
from scalinglab.ladder.tokens import bpe_vocabulary, check_tokens


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


def _tokeniser(
    tokens: str,
    folders: dict[str, Path],
    manifests: dict[str, dict[str, Any]],
    cache: str | Path | None,
    steps: Steps,
    trained: Path | None,
) -> Tokeniser:
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
