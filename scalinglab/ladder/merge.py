"""Averages of trunk checkpoints that stand in for a decay (WSM: Warmup-Stable and Merge, 2025).

Along a trunk θ(s_n) = θ(s_0) + Σ_j [θ(s_j) − θ(s_{j−1})], each difference the sum of that stretch's updates at the full
rate. A decay would have scaled them by its factors f_j, so with f_{n+1} = 0 and f_0 = 1

    θ = θ(s_0) + Σ_j f_j · [θ(s_j) − θ(s_{j−1})] = Σ_j c_j · θ(s_j),    c_j = f_j − f_{j+1} .

The weights add up to 1. A linear decay is the plain mean of the checkpoints but for its two ends.
"""

import itertools
from collections.abc import Sequence

from scalinglab.ladder.schedule import Schedule


def merge_weights(schedule: Schedule, steps: Sequence[int]) -> list[float]:
    """c_j of the checkpoints at `steps`, in order; f_j is the schedule's mean factor over the updates between two."""
    factors = [
        sum(map(schedule.factor, range(start, end))) / (end - start)
        for start, end in itertools.pairwise(steps)
    ]
    return [before - behind for before, behind in itertools.pairwise([1.0, *factors, 0.0])]
