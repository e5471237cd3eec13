"""The batch as a pure function of the step: constant, or enlarged at given steps."""

from dataclasses import dataclass

from scalinglab.errors import InputError


@dataclass(frozen=True)
class Batches:
    """`tokens` an update from the start on; `ramp` entries (from step, tokens) replace it, ascending."""

    tokens: int
    ramp: tuple[tuple[int, int], ...] = ()

    def at(self, step: int) -> int:
        """Tokens of the update after `step` updates."""
        now = self.tokens
        for start, tokens in self.ramp:
            if step >= start:
                now = tokens
        return now

    def tokens_at(self, step: int) -> int:
        """Tokens seen after `step` updates."""
        seen, start, now = 0, 0, self.tokens
        for begin, tokens in self.ramp:
            if step <= begin:
                break
            seen, start, now = seen + (begin - start) * now, begin, tokens
        return seen + (step - start) * now

    def step_at(self, tokens: int) -> int | None:
        """The number of updates that have seen exactly so many tokens; None where none has."""
        seen, start, now = 0, 0, self.tokens
        for begin, batch in self.ramp:
            if tokens <= seen + (begin - start) * now:
                break
            seen, start, now = seen + (begin - start) * now, begin, batch
        updates, rest = divmod(tokens - seen, now)
        return None if rest else start + updates
