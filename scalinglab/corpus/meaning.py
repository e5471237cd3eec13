"""What is said of a corpus: what its tokens are, where its sources come from, how far its build is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalinglab.corpus import documents
from scalinglab.corpus.fetch import Progress
from scalinglab.corpus.registry import Source

if TYPE_CHECKING:
    from scalinglab.corpus.spool import Tell


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
