"""The batch as a pure function of the step, and the tokens that follow from it."""

import itertools
from dataclasses import dataclass

from scalinglab.errors import InputError


@dataclass(frozen=True)
class Batches:
    """A batch of `tokens` from the first update on, and another from each step that the ramp names.

    ramp: (step, batch in tokens) in order of steps: the update after `step` updates is the first with that batch. A
        trunk's ramp is part of the trunk (MiniCPM's blog enlarges the batch in the stable phase); a branch with a
        batch of its own is the trunk's batches and one more from the fork on, see `forked`.
    Every answer costs O(len(ramp)). Raises InputError for batches that are not positive and steps that are not
    positive or not in order.
    """

    tokens: int
    ramp: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for batch in (self.tokens, *(batch for _, batch in self.ramp)):
            if batch <= 0:
                raise InputError(f"a batch of {batch} tokens is not possible; it must be positive")
        steps = [step for step, _ in self.ramp]
        for step in steps:
            if step <= 0:
                raise InputError(
                    f"the batch ramp names step {step}; the first batch is `tokens`, a ramp begins at step 1 or later"
                )
        for one, following in itertools.pairwise(steps):
            if following == one:
                raise InputError(f"the batch ramp names step {one} twice; keep one batch for it")
            if following < one:
                raise InputError(f"the batch ramp names step {following} after step {one}; sort it by step")

    def at(self, step: int) -> int:
        """Tokens in the update after `step` updates."""
        found = self.tokens
        for start, batch in self.ramp:
            if step < start:
                break
            found = batch
        return found

    def tokens_at(self, step: int) -> int:
        """Tokens seen in the first `step` updates."""
        return sum(updates * batch for updates, batch in self._pieces(step))

    def step_at(self, tokens: int) -> int | None:
        """Updates after which exactly `tokens` tokens were seen, or None where that lies inside an update."""
        if tokens < 0:
            return None
        start, seen, batch = 0, 0, self.tokens
        for step, following in self.ramp:
            piece = (step - start) * batch
            if tokens < seen + piece:
                break
            start, seen, batch = step, seen + piece, following
        updates, over = divmod(tokens - seen, batch)
        return None if over else start + updates

    def nearest_step(self, tokens: int) -> int:
        """Updates whose tokens come nearest to `tokens`, the fewer of two equally near."""
        start, seen, batch = 0, 0, self.tokens
        for step, following in self.ramp:
            piece = (step - start) * batch
            if tokens < seen + piece:
                break
            start, seen, batch = step, seen + piece, following
        updates, over = divmod(max(tokens - seen, 0), batch)
        return start + updates + (2 * over > batch)

    def samples_before(self, step: int, context: int) -> int:
        """Sequences of `context` tokens in the first `step` updates: the index of the next one.

        Raises InputError for a batch that is not a whole number of sequences.
        """
        pieces = self._pieces(step)
        for _, batch in pieces:
            if batch % context:
                raise InputError(
                    f"a batch of {batch} tokens is not a whole number of sequences of {context} tokens; "
                    f"the nearest are {batch // context * context or context} and {(batch // context + 1) * context}"
                )
        return sum(updates * (batch // context) for updates, batch in pieces)

    def forked(self, step: int, tokens: int) -> "Batches":
        """These batches before `step`, and one of `tokens` from it on: a branch with a batch of its own."""
        if step == 0:
            return Batches(tokens)
        before = Batches(self.tokens, tuple((start, batch) for start, batch in self.ramp if start < step))
        return before if before.at(step) == tokens else Batches(self.tokens, (*before.ramp, (step, tokens)))

    def _pieces(self, step: int) -> list[tuple[int, int]]:
        """(updates, batch) of each piece before `step`."""
        borders = [(0, self.tokens), *self.ramp, (step, 0)]
        return [
            (min(stop, step) - start, batch)
            for (start, batch), (stop, _) in itertools.pairwise(borders)
            if start < step
        ]
