"""Real text for training runs: pinned archives in, train and held-out byte streams out.

>>> from scalinglab import corpus
>>> texts = corpus.build("small")           # downloads and builds once, then opens in milliseconds
>>> texts.train["wiki"], texts.heldout["wiki"]
>>> for note in texts.notes: print(note)    # such as: no index, so the standard library was taken
"""

from scalinglab.corpus._cache import cache_folder
from scalinglab.corpus.build import Corpus, Tokens, build, listing
from scalinglab.corpus.documents import SEPARATOR
from scalinglab.corpus.fetch import IndexProblem, fetch
from scalinglab.corpus.registry import (
    DEFAULT_MIX,
    MIXES,
    SOURCES,
    Archive,
    Source,
    hub_source,
    resolve,
    text_source,
)

__all__ = [
    "DEFAULT_MIX",
    "MIXES",
    "SEPARATOR",
    "SOURCES",
    "Archive",
    "Corpus",
    "IndexProblem",
    "Source",
    "Tokens",
    "build",
    "cache_folder",
    "fetch",
    "hub_source",
    "listing",
    "resolve",
    "text_source",
]
