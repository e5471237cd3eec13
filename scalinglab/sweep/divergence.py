"""When a run is given up although its loss is still a number."""

import math

_BACK = 0.25
"""Of the way from the best loss back to knowing nothing, log(vocabulary): what a byte model loses when it falls back to
letter frequencies is more than that, what a spike that heals costs is mostly less."""

_PATIENCE = 5
"""Records in a row, so that a spike which heals is left alone."""


class LossWatch:
    """Sees a run's training losses in order, a record each, and says when they have gone up to stay.

    A pure function of the records, so that an interrupted run is judged like any other.
    """

    def __init__(self, vocab: int) -> None:
        self._nothing = math.log(vocab)
        self._best = math.inf
        self._high = 0
        self.reason = ""

    def spiked(self, loss: float) -> bool:
        """Take in the next record's mean loss, nats per token; True when the run has to be given up."""
        self._best = min(self._best, loss)
        # a run that never learned anything has nothing to fall back from
        limit = self._best + _BACK * max(self._nothing - self._best, 0.0)
        self._high = self._high + 1 if loss > limit and self._best < self._nothing else 0
        if self._high < _PATIENCE:
            return False
        self.reason = f"the training loss rose from {self._best:.3f} to {loss:.3f} and stayed there"
        return True
