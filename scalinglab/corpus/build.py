"""Sources into shards, made once: per source a train and a held-out stream, memory-mapped when opened.

A shard folder is `shards/<source>-<key>/` with `train.bin`, `heldout.bin` (documents with a 0 byte between
them) and `manifest.json`. Its key is a hash of what the bytes follow from: the archive's sha256, the source's
rules and `RULES_VERSION`. The folder is built under another name, flushed and renamed, so it is there whole
or not at all; an interrupted build goes on where it was, and of two processes one waits for the other.
Other tokens than bytes have shards of their own beside it, see `encode`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalinglab.corpus import _cache, documents, own_files
from scalinglab.corpus.fetch import IndexProblem, Progress, archive_path, fetch
from scalinglab.corpus.meaning import Steps, Tokens, described, origin, safe_name
from scalinglab.corpus.registry import DEFAULT_MIX, FALLBACK_MIX, MIXES, SOURCES, Source, resolve
from scalinglab.errors import EnvironmentProblem, InputError

if TYPE_CHECKING:
    import numpy as np

    from scalinglab.corpus.streams import Joined, SourceFiles

_PARTS = ("train", "heldout")


@dataclass(frozen=True)
class Corpus:
    """Opened sources: `train[name]` and `heldout[name]` are read-only arrays of token ids, memory-mapped.

    Of bytes they are uint8 of shape (bytes,). `fingerprint` is a hash of the tokens and the sources' names, whatever
    made them; `notes` are sentences the user should be told; `manifests[name]` counts documents, bytes and tokens.
    """

    names: tuple[str, ...]
    train: Mapping[str, np.ndarray | Joined]
    heldout: Mapping[str, np.ndarray | Joined]
    fingerprint: str
    manifests: Mapping[str, dict[str, Any]] = field(repr=False)
    notes: tuple[str, ...] = ()
    tokens: Tokens = field(default_factory=Tokens)
    files: Mapping[str, SourceFiles] = field(default_factory=dict, repr=False)
    """The same streams as places on disk, for other processes."""
    folders: Mapping[str, Path] = field(default_factory=dict, repr=False)
    """Where the byte streams of each source that is text lie."""

    def summary(self) -> list[dict[str, Any]]:
        """A row per source: domain, language, licence, origin, bytes, documents and tokens of each part."""
        rows = []
        for name in self.names:
            manifest = self.manifests[name]
            row = {"source": name}
            row |= {key: manifest[key] for key in ("domain", "language", "licence", "origin")}
            counted = (
                ("bytes", "documents") if self.tokens.name == "bytes" else ("bytes", "documents", "tokens")
            )
            for part in _PARTS:
                row |= {f"{part}_{what}": manifest[part][what] for what in counted}
            rows.append(row)
        return rows


def build(
    sources: str | Path | Source | Iterable[str | Path | Source] = DEFAULT_MIX,
    cache: str | Path | None = None,
    *,
    tokens: str | Path = "bytes",
    vocab: int | None = None,
    trained: Path | None = None,
    fallback: bool = True,
    progress: Progress | None = None,
) -> Corpus:
    """The corpus of a mix (by name) or of sources (names, paths of own text, `Source`s), built if need be.

    What is already built is opened without a download: sizes and manifest are checked, contents are not read.
    Where a named mix cannot be downloaded (no pip, no index) and `fallback` holds, the interpreter's standard
    library takes its place and `notes` says so; sources asked for one by one never change.

    tokens: "bytes"; "bpe-4096" for a byte-level BPE of so many tokens, trained on 20 MB of the training documents; or
    the path of a tokenizer.json. vocab: instead of tokens, of sources that are all token ids of an unknown tokenizer.
    trained: the file of a BPE that was trained before, instead of training it again.
    `progress(step, done, total)` is called as each step goes on: files of a download, bytes of a build.

    Raises InputError (unknown source, wrong hash, unusable text), IndexProblem and EnvironmentProblem (disk).
    """
    chosen = resolve(sources)
    try:
        return _open(chosen, cache, progress, tokens, vocab, trained)
    except IndexProblem as problem:
        if not (fallback and isinstance(sources, str) and sources in MIXES):
            raise
        note = (
            f"The mix {sources!r} could not be downloaded, so the text is this Python's own standard library "
            f"(mix {FALLBACK_MIX!r}): one domain, and losses that compare only with runs on the same Python. "
            f"The reason: {str(problem).partition(';')[0]}."
        )
        return _open(resolve(FALLBACK_MIX), cache, progress, tokens, vocab, trained, (note,))


def _open(
    sources: tuple[Source, ...],
    cache: str | Path | None,
    progress: Progress | None,
    tokens: str | Path,
    vocab: int | None,
    trained: Path | None,
    notes: tuple[str, ...] = (),
) -> Corpus:
    ids = [source for source in sources if source.kind == "bin"]
    texts = [source for source in sources if source not in ids]
    _check_kinds(ids, texts, tokens, vocab)
    steps = Steps(progress)
    folders = {source.name: shard_folder(source, cache) for source in texts}
    manifests = _byte_streams(texts, folders, cache, steps)
    _check_apart(texts, folders, manifests, cache)
    from scalinglab.corpus.streams import byte_files, open_files

    files: dict[str, SourceFiles]
    if tokens == "bytes" and not ids:
        meaning, files = (
            Tokens(),
            {name: byte_files(folders[name], each) for name, each in manifests.items()},
        )
    else:
        from scalinglab.corpus.token_streams import token_streams

        meaning, files = token_streams(sources, folders, manifests, cache, steps, tokens, vocab, trained)
    steps.end()
    train, heldout, _ = open_files(files)
    names = tuple(source.name for source in sources)
    return Corpus(
        names=names,
        train={name: train[name] for name in names},
        heldout={name: heldout[name] for name in names},
        fingerprint=_fingerprint(manifests, meaning),
        manifests=manifests,
        notes=notes,
        tokens=meaning,
        files={name: files[name] for name in names},
        folders=folders,
    )


def _check_kinds(ids: list[Source], texts: list[Source], tokens: str | Path, vocab: int | None) -> None:
    if vocab is not None and (texts or tokens != "bytes"):
        why = f"{texts[0].name!r} is text, of which `tokens` says it" if texts else "give it or `tokens`"
        raise InputError(f"vocab is for token ids (.bin) of a tokenizer that is not at hand; {why}")
    if ids and vocab is None and not str(tokens).endswith(".json"):
        raise InputError(
            f"{ids[0].folder}: token ids need to be told their vocabulary: tokens = the path of their tokenizer.json, "
            "or vocab = how many there are"
        )


def _check_apart(
    texts: list[Source],
    folders: dict[str, Path],
    manifests: dict[str, dict[str, Any]],
    cache: str | Path | None,
) -> None:
    """Raises InputError where a document is held out in one source and trained on in another.

    Equal documents fall on one side where all sources hold out the same share and none is so small that a document was
    moved; else they are looked up, and that there are none is noted in the cache.
    """
    own = [source for source in texts if source.folder is not None or source.hub is not None]
    if not own or len(texts) < 2:
        return
    same_share = len({source.heldout_share for source in texts}) == 1
    if same_share and not any(_moved(manifests[source.name]) for source in texts):
        return
    hashes = sorted([manifests[source.name][part]["sha256"] for part in _PARTS] for source in texts)
    key = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16]
    known = _cache.cache_folder(cache) / "apart" / f"{key}.json"
    if known.exists():
        return
    from scalinglab.corpus.stats import overlaps

    for (heldout, trained), count in overlaps(folders).items():
        mend = (
            "put more documents into the smaller"
            if same_share
            else "give both sources the same heldout_share"
        )
        raise InputError(
            f"{count} documents that {heldout!r} holds out are trained on in {trained!r}; leave them out of one, or "
            f"{mend}"
        )
    with _cache.plain_disk_errors(known.parent):
        known.parent.mkdir(parents=True, exist_ok=True)
        _cache.write_state(known, {"sources": list(folders)}, locked=False)


def _moved(manifest: dict[str, Any]) -> bool:
    # older manifests do not tell; a document is moved only to be alone on its side
    return bool(manifest.get("moved", min(manifest[part]["documents"] for part in _PARTS) == 1))


def _byte_streams(
    texts: list[Source], folders: dict[str, Path], cache: str | Path | None, steps: Steps
) -> dict[str, dict[str, Any]]:
    found = {name: _read_manifest(folder) for name, folder in folders.items()}
    missing = [source for source in texts if found[source.name] is None]
    archives = list(dict.fromkeys(source.archive for source in missing if source.archive is not None))
    paths = fetch(archives, cache, steps.tell)
    for source in missing:
        path = paths[source.archive] if source.archive is not None else None
        found[source.name] = _build_one(source, path, folders[source.name], steps)
    manifests = {}
    for name, manifest in found.items():
        assert manifest is not None  # every missing one was built
        for part in _PARTS:
            manifest[part]["tokens"] = manifest[part]["bytes"]
        manifests[name] = manifest
    return manifests


def listing(cache: str | Path | None = None) -> list[dict[str, Any]]:
    """A row per registered source: what it is, what it downloads, and what the cache already holds of it."""
    rows = []
    for source in SOURCES.values():
        archive = source.archive
        manifest = _read_manifest(shard_folder(source, cache))
        rows.append(
            {
                "source": source.name,
                "domain": source.domain,
                "language": source.language,
                "licence": source.licence,
                "origin": origin(source),
                "mixes": [mix for mix, names in MIXES.items() if source.name in names],
                "download_bytes": archive.size if archive else 0,
                "downloaded": archive is None or archive_path(archive, cache).exists(),
                "train_bytes": manifest["train"]["bytes"] if manifest else None,
                "heldout_bytes": manifest["heldout"]["bytes"] if manifest else None,
            }
        )
    return rows


def shard_folder(source: Source, cache: str | Path | None = None) -> Path:
    """Where the source's shards lie, or would lie; its key is a hash of all that their bytes follow from."""
    came_from: Any
    if source.archive is not None:
        came_from = source.archive.sha256
    elif source.folder is not None:
        came_from = _listing(own_files.own_paths(source.folder)[1])
    elif source.hub is not None:
        came_from = source.hub
    else:
        came_from = [sys.version, _listing(documents.standard_library_paths())]
    rules = [
        documents.RULES_VERSION,
        source.heldout_share,
        source.members,
        source.without,
        source.split.__name__,
    ]
    what = [source.name, source.domain, source.language, source.licence, came_from, rules]
    if source.field != "text":
        what.append(source.field)
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    return _cache.cache_folder(cache) / "shards" / f"{safe_name(source.name)}-{key}"


def _listing(paths: list[Path]) -> list[tuple[str, int, int]]:
    # Name, size and time of change stand for the contents, as in make: opening need not read them all.
    stats = [(str(path), own_files.file_stat(path)) for path in paths]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a whole shard folder; None if it is missing or its files are not of the sizes told."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        sizes = [(folder / f"{part}.bin").stat().st_size for part in _PARTS]
        return manifest if sizes == [manifest[part]["bytes"] for part in _PARTS] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build_one(source: Source, archive: Path | None, folder: Path, steps: Steps) -> dict[str, Any]:
    from scalinglab.corpus import spool

    with _cache.plain_disk_errors(folder.parent), _cache.building(folder) as parts:
        manifest = _read_manifest(folder)
        if manifest is not None:  # another process was first
            return manifest
        try:
            size = sum(unit.size for unit in source.units(archive))
            spool.collect(
                lambda: source.units(archive),
                parts,
                size,
                steps.of(f"{source.name}: reading"),
            )
            whole = parts / "whole"
            found = spool.write(
                parts,
                whole,
                source.heldout_share,
                steps.of(f"{source.name}: writing"),
            )
            if not all(found[part]["documents"] for part in _PARTS):
                raise InputError(
                    f"source {source.name!r} ({source.folder or source.name}) has fewer than two documents to keep; "
                    "whole documents are held out, so give it two .txt files or more (or lines of JSONL), of 60 "
                    "characters or more each"
                )
        except InputError:
            _cache.done(parts)  # what is mended is read anew
            raise
        manifest = described(source) | found
        _cache.write_state(whole / "manifest.json", manifest)
        for file in [*whole.iterdir(), whole]:
            _cache.flush(file)
        if folder.exists():  # a damaged shard: out of the way
            folder.rename(parts / "damaged")
        try:
            whole.rename(folder)
        except FileExistsError:
            raise EnvironmentProblem(
                f"{folder} is damaged and cannot be replaced; delete it and run again"
            ) from None
        _cache.flush(folder.parent)
        _cache.done(parts)
        return manifest


def _fingerprint(manifests: Mapping[str, dict[str, Any]], tokens: Tokens) -> str:
    key = "sha256" if tokens.name == "bytes" else "token_sha256"
    lines = [
        f"{name} {m['train'].get(key, m['train']['sha256'])} {m['heldout'].get(key, m['heldout']['sha256'])}"
        for name, m in sorted(manifests.items())
    ]
    if tokens.name != "bytes":
        lines.append(f"tokens {tokens.sha256 or tokens.vocab}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
