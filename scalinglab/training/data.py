"""Which text a batch holds: a pure function of (seed, sample index), however many processes read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.corpus.streams import Joined
from scalinglab.errors import InputError

Stream = NDArray[np.unsignedinteger[Any]] | Joined
"""Token ids: an array, a memory map, or several of them read as one."""

_BLOCK = 240
"""Samples in which every source gets its exact share, to the nearest whole sample."""


@dataclass(frozen=True)
class _Segment:
    """Samples from `first` on, drawn by `shares` of a block; `drawn` of each source came before."""

    first: int
    shares: tuple[int, ...]
    drawn: tuple[int, ...]


class Mixture:
    """Training sequences drawn from several token streams by weight.

    Each stream is cut into windows of `context` + 1 tokens that overlap by one, so that a target is
    seen once an epoch; an epoch visits its windows in an order of its own. `streams` are 1-D arrays of
    unsigned integers (memory maps will do). `later` are (first sample, weights) from which on other weights
    hold: each source then goes on where it stood, so that a branch sees no window before its trunk's are gone
    through.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        weights: Sequence[float],
        context: int,
        seed: int,
        later: Sequence[tuple[int, Sequence[float]]] = (),
    ) -> None:
        self.streams, self.context, self.seed = streams, context, seed
        self.windows = [(len(stream) - 1) // context for stream in streams]
        for i, count in enumerate(self.windows):
            if count < 1:
                raise InputError(
                    f"source {i} holds {len(streams[i])} tokens, less than one sequence of {context}; add text"
                )
        self._segments: list[_Segment] = []
        for first, own in ((0, weights), *later):
            drawn = tuple(self._seen(first)) if self._segments else (0,) * len(streams)
            self._segments.append(_Segment(first, _whole_shares(np.asarray(own, float), _BLOCK), drawn))

    def locate(self, sample: int) -> tuple[int, int]:
        """(source, position of its first token) of the sample with this index."""
        segment = self._segment(sample)
        block, place = divmod(sample - segment.first, _BLOCK)
        order, rank = _block_order(self.seed, segment.first, block, segment.shares)
        source = int(order[place])
        drawn = segment.drawn[source] + block * segment.shares[source] + int(rank[place])
        epoch, index = divmod(drawn, self.windows[source])
        return source, int(_epoch_order(self.seed, source, epoch, self.windows[source])[index]) * self.context

    def batch(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and targets of samples `first` .. `first + count - 1`, each (count, context) of int64."""
        rows = np.empty((count, self.context + 1), np.int64)
        for i in range(count):
            source, start = self.locate(first + i)
            rows[i] = self.streams[source][start : start + self.context + 1]
        return rows[:, :-1], rows[:, 1:]

    def epochs(self, samples: int) -> list[float]:
        """How often each source has been gone through after so many samples."""
        return [seen / windows for seen, windows in zip(self._seen(samples), self.windows, strict=True)]

    def unique_tokens(self, samples: int) -> int:
        """Distinct training tokens among the first `samples` samples."""
        counts = zip(self._seen(samples), self.windows, strict=True)
        return sum(min(seen, windows) for seen, windows in counts) * self.context

    def _segment(self, sample: int) -> _Segment:
        return next(each for each in reversed(self._segments) if sample >= each.first)

    def _seen(self, samples: int) -> list[int]:
        """Samples of each source among the first `samples`."""
        segment = self._segment(max(samples - 1, 0))
        block, place = divmod(samples - segment.first, _BLOCK)
        order, _ = _block_order(self.seed, segment.first, block, segment.shares)
        partial = np.bincount(order[:place], minlength=len(segment.shares))
        return [
            before + block * share + int(extra)
            for before, share, extra in zip(segment.drawn, segment.shares, partial, strict=True)
        ]


def evaluation_windows(
    stream: Stream, context: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets of up to `count` windows spread evenly over a held-out stream."""
    available = (len(stream) - 1) // context
    if available < 2:
        raise InputError(
            f"a held-out set of {len(stream)} tokens is less than two windows of {context}: add text or "
            "shorten data.context"
        )
    picks = np.unique(np.linspace(0, available - 1, min(count, available)).round().astype(int))
    rows = np.stack([stream[i * context : i * context + context + 1] for i in picks]).astype(np.int64)
    return rows[:, :-1], rows[:, 1:]


def _whole_shares(weights: NDArray[np.float64], block: int) -> tuple[int, ...]:
    """Whole samples a block for each source, by largest remainder; none that has a weight is left without."""
    exact = weights / weights.sum() * block
    shares = np.maximum(np.floor(exact), weights > 0).astype(int)
    while shares.sum() < block:
        shares[np.argmax(np.where(weights > 0, exact - shares, -np.inf))] += 1
    while shares.sum() > block:
        shares[np.argmax(np.where(shares > 1, shares - exact, -np.inf))] -= 1
    return tuple(int(share) for share in shares)


@lru_cache(maxsize=4)
def _block_order(
    seed: int, first: int, block: int, shares: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The source of each place in a block, and how many of that source came before it there."""
    key = (seed, 0, block, first) if first else (seed, 0, block)
    order = _stream(*key).permutation(np.repeat(np.arange(len(shares)), shares))
    rank = np.empty_like(order)
    for source, share in enumerate(shares):
        rank[order == source] = np.arange(share)
    return order, rank


@lru_cache(maxsize=32)
def _epoch_order(seed: int, source: int, epoch: int, windows: int) -> NDArray[np.int64]:
    return _stream(seed, 1 + source, epoch).permutation(windows)


def _stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
