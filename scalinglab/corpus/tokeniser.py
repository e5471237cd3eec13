"""Tokenizers: a byte-level BPE trained on the corpus itself, or a user's own file.

A BPE trained here has the 256 bytes and what merges add, and no special token: the byte 0, which no document holds,
ends a document. So its tokens spell the byte streams exactly, and losses per byte compare with those of byte models.
It is trained with the library `tokenizers` and encodes with `tiktoken`, whose greedy rule by rank gives the same ids
for vocabularies that were built merge by merge.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.corpus import _cache
from scalinglab.corpus.documents import SEPARATOR
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder.tokens import read_tokenizer_file, vocabulary_of

SAMPLE_BYTES = 20_000_000
"""Of training documents that a BPE is trained on, at most."""

# Letters, numbers and others apart, each with the space before it; GPT-2's rule (Radford et al. 2019).
_PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
_PROCEDURE = 1  # raised when training would give another tokenizer

# What ends a document in other people's tokenizers, the likeliest first.
_ENDS = ("<|endoftext|>", "<|end_of_text|>", "<|end|>", "</s>", "<eos>", "<|eos|>", "[SEP]")


class Tokeniser:
    """A tokenizer file and what follows from it. `trained_here`: it encodes the quick way."""

    def __init__(self, path: Path, trained_here: bool = False) -> None:
        self.path = path
        self._file = read_tokenizer_file(path)
        self._trained_here = trained_here
        self.vocab = vocabulary_of(self._file, path)
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        """Of the file."""

    @property
    def dtype(self) -> str:
        """Of the shards: two bytes a token where they do."""
        return "<u2" if self.vocab <= 1 << 16 else "<u4"

    @cached_property
    def _pieces(self) -> dict[str, int]:
        """Token as it is written in the file -> id."""
        vocab = self._file["model"]["vocab"]
        return dict(vocab) if isinstance(vocab, dict) else {each[0]: i for i, each in enumerate(vocab)}

    @cached_property
    def end(self) -> int:
        """Id of the token between documents: byte 0, or the token that the file has for an end.

        Raises InputError when the file has neither.
        """
        if self._trained_here:
            return self._pieces[_CHARACTER_OF[0]]
        known = {**self._pieces, **{each["content"]: each["id"] for each in self._file["added_tokens"]}}
        for name in _ENDS:
            if name in known:
                return known[name]
        for text in ("\0", "\n"):
            ids = self._library.encode(text, add_special_tokens=False).ids
            if len(ids) == 1:
                return ids[0]
        raise InputError(
            f"{self.path}: has no token that could stand between documents; add one of {', '.join(_ENDS)} to its "
            "added_tokens"
        )

    @cached_property
    def token_bytes(self) -> NDArray[np.float64]:
        """Bytes of text that each token id spells, (vocab,); the one between documents counts as one byte.

        Exact of byte-level tokenizers. Where a tokenizer changes its text, the sum over one may differ from its bytes.
        """
        byte_level = '"ByteLevel"' in json.dumps([self._file.get("pre_tokenizer"), self._file.get("decoder")])
        found = np.zeros(self.vocab)
        for piece, number in self._pieces.items():
            found[number] = len(piece) if byte_level else _spelled(piece)
        for added in self._file["added_tokens"]:
            found[added["id"]] = 0 if added.get("special") else len(added["content"].encode("utf-8"))
        found[self.end] = 1
        return found

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.unsignedinteger]]:
        """The ids of each text, nothing added before or behind."""
        if self._trained_here:
            ids = self._quick.encode_ordinary_batch(list(texts), num_threads=os.cpu_count() or 1)
        else:
            found = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
            ids = [each.ids for each in found]
        return [np.asarray(each, self.dtype) for each in ids]

    @cached_property
    def _library(self) -> Any:
        with _needed("tokenizers"):
            from tokenizers import Tokenizer
        try:
            return Tokenizer.from_file(str(self.path))
        except Exception as error:  # the library raises no narrower one
            raise InputError(f"{self.path}: is no tokenizer that `tokenizers` can read ({error})") from None

    @cached_property
    def _quick(self) -> Any:
        with _needed("tiktoken"):
            from tiktoken import Encoding
        ranks = {bytes(map(_BYTE_OF.__getitem__, piece)): number for piece, number in self._pieces.items()}
        return Encoding("bpe", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})


def train_bpe(
    vocab: int, streams: Sequence[tuple[str, Path, str]], cache: str | Path | None = None
) -> Tokeniser:
    """A byte-level BPE of so many tokens, trained on the beginnings of byte streams; from the cache if it is there.

    streams: name, file and sha256 of each. Documents stand there in the order of their hashes, so a beginning is a
    fixed draw; the SAMPLE_BYTES are shared evenly, and what a short stream leaves goes to the others. Raises InputError
    when the text holds too few different words.
    """
    ordered = sorted(streams)
    sizes = _shares([path.stat().st_size for _, path, _ in ordered], SAMPLE_BYTES)
    described = json.dumps([_PROCEDURE, vocab, [(name, digest) for name, _, digest in ordered], sizes])
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    folder = _cache.cache_folder(cache) / "tokenizers" / f"bpe-{vocab}-{key}"
    path = folder / "tokenizer.json"
    if not path.exists():
        with _cache.plain_disk_errors(folder.parent), _cache.building(folder) as parts:
            if not path.exists():
                parts.mkdir(parents=True, exist_ok=True)
                _train(
                    vocab, [(path, size) for (_, path, _), size in zip(ordered, sizes, strict=True)], parts
                )
                _cache.flush(parts / "tokenizer.json")
                parts.rename(folder)
    return Tokeniser(path, trained_here=True)


def _train(vocab: int, sample: list[tuple[Path, int]], folder: Path) -> None:
    with _needed("tokenizers"):
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, min_frequency=2, show_progress=False, initial_alphabet=list(_BYTE_OF)
    )
    model.train_from_iterator(_documents(sample), trainer)
    learnt = model.get_vocab_size()
    if learnt < vocab:
        size = sum(size for _, size in sample)
        raise InputError(
            f'tokens = "bpe-{vocab}": the {size / 1e6:.2g} MB of training text give no more than {learnt} tokens; take '
            f'"bpe-{max(257, 2 ** (learnt.bit_length() - 1))}", "bytes", or more text'
        )
    model.save(str(folder / "tokenizer.json"))


def _documents(sample: list[tuple[Path, int]]) -> Iterator[str]:
    """The documents that begin within the first `size` bytes of each stream, the last one cut there."""
    for path, size in sample:
        with path.open("rb") as stream:
            data = stream.read(size)
        yield from (each.decode("utf-8", "ignore") for each in data.split(SEPARATOR))


def _shares(sizes: Sequence[int], limit: int) -> list[int]:
    """Bytes taken of each: the same of all, but no more than there are."""
    found = [0] * len(sizes)
    left = limit
    for rank, which in enumerate(sorted(range(len(sizes)), key=lambda i: (sizes[i], i))):
        found[which] = min(sizes[which], left // (len(sizes) - rank))
        left -= found[which]
    return found


def _spelled(piece: str) -> int:
    """Bytes of a piece of a tokenizer that is not byte-level: ▁ is a space, <0x0A> a byte, ## a continuation."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return 1
    return len(piece.replace("▁", " ").removeprefix("##").encode("utf-8"))


def _alphabet() -> dict[str, int]:
    """Characters by which byte-level tokenizers write the 256 bytes: itself if it is visible, else from U+0100 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    found = {chr(byte): byte for byte in seen}
    unseen = [byte for byte in range(256) if byte not in set(seen)]
    return found | {chr(0x100 + i): byte for i, byte in enumerate(unseen)}


_BYTE_OF = _alphabet()
_CHARACTER_OF = {byte: character for character, byte in _BYTE_OF.items()}


@contextmanager
def _needed(package: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise EnvironmentProblem(
            f"tokens other than bytes need the package {package}, which is not installed; install the extra: "
            'pip install "scalinglab[train]"'
        ) from None
