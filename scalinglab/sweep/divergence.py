"""When a run is given up although its loss is still a number."""

import math

_RISE = 0.15
"""Of log(vocabulary), above the best loss so far: 0.83 nats for bytes. Tiny byte models on source code rise by up to
0.06 of it in a batch's noise at any rate that trains (0.003 to 0.3, minicpm and standard), by up to 0.17 now and then
at rate 1, where they still learn, and for good by 0.4 and more at rate 3, where they do not."""

_PATIENCE = 5
"""Records in a row, so that a spike which heals is left alone."""


class LossWatch:
    """Sees a run's training losses in order, a record each, and says when they have gone up to stay.

    A pure function of the records, so that an interrupted run is judged like any other.
    """

    def __init__(self, vocab: int) -> None:
        self._rise = _RISE * math.log(vocab)
        self._best = math.inf
        self._high = 0
        self.since = 0
        """Step of the first record that was too high, of those in a row."""
        self.reason = ""

    def spiked(self, step: int, loss: float) -> bool:
        """Take in the next record's mean loss, nats per token; True when the run has to be given up."""
        self._best = min(self._best, loss)
        if loss <= self._best + self._rise:
            self._high = 0
            return False
        self._high += 1
        if self._high == 1:
            self.since = step
        if self._high < _PATIENCE:
            return False
        self.reason = f"the training loss rose from {self._best:.3f} to {loss:.3f} and stayed there"
        return True
