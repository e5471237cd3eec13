"""Token streams on disk: which files, which part of each, and how they are opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Piece:
    """Tokens `first` .. `first + count - 1` of a file that holds nothing but tokens of `dtype`."""

    path: Path
    dtype: str
    first: int
    count: int

    def open(self) -> NDArray[np.unsignedinteger]:
        """As a read-only memory map."""
        whole = np.memmap(self.path, self.dtype, "r", 0, self.first + self.count)
        return whole[self.first :]


class Joined:
    """Several arrays that are read as one: `len`, and slices that may cross from one to the next."""

    def __init__(self, arrays: list[NDArray[np.unsignedinteger]]) -> None:
        self._arrays = arrays
        self._ends = np.cumsum([len(each) for each in arrays])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, part: slice) -> NDArray[np.unsignedinteger]:
        first, end, _ = part.indices(len(self))
        found = []
        which = int(np.searchsorted(self._ends, first, side="right"))
        while first < end:
            array = self._arrays[which]
            begin = int(self._ends[which]) - len(array)
            found.append(array[first - begin : end - begin])
            first, which = int(self._ends[which]), which + 1
        return np.concatenate(found) if found else self._arrays[0][:0]


@dataclass(frozen=True)
class SourceFiles:
    """Where a source's training and held-out tokens lie, and how many bytes of text each token id stands for."""

    train: tuple[Piece, ...]
    heldout: tuple[Piece, ...]
    token_bytes: NDArray[np.float64] | None
    """By token id; None where nobody knows, as of token ids without their tokenizer."""


def byte_files(folder: Path, manifest: dict[str, Any]) -> SourceFiles:
    """The streams of a shard folder of bytes."""
    train, heldout = (
        (Piece(folder / f"{part}.bin", "|u1", 0, manifest[part]["bytes"]),) for part in ("train", "heldout")
    )
    return SourceFiles(train, heldout, np.ones(256))


def open_pieces(pieces: tuple[Piece, ...]) -> NDArray[np.unsignedinteger] | Joined:
    """The stream that these pieces are."""
    arrays = [piece.open() for piece in pieces]
    return arrays[0] if len(arrays) == 1 else Joined(arrays)


def open_files(
    files: Mapping[str, SourceFiles],
) -> tuple[dict[str, NDArray | Joined], dict[str, NDArray | Joined], dict[str, NDArray[np.float64] | None]]:
    """By source: the training stream, the held-out one, and the bytes of each token id."""
    return (
        {name: open_pieces(each.train) for name, each in files.items()},
        {name: open_pieces(each.heldout) for name, each in files.items()},
        {name: each.token_bytes for name, each in files.items()},
    )
