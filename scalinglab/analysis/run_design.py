"""Which observations tell most about an answer: a linear-Gaussian design on bootstrap draws.

The draws stand for what is believed about the law's constants. Let z be the answer and f_i the (log) loss of run i,
each over the draws. Observing f_i + noise of variance σ² leaves of the variance of z

    1 − ρ²·s²/(s² + σ²),   ρ the correlation of z and f_i, s² the variance of f_i,

and after a set of runs the usual Gaussian conditioning holds. This is Bayesian c-optimal design (Chaloner and
Verdinelli 1995, Statistical Science 10, section 2) with the draws in place of a prior.

Answers such as D/N are skewed, and infinite in draws where a term has vanished. So answer and losses enter as normal
scores: each draw by the normal quantile of its rank. A correlation of ranks exists whatever the tails, no draw weighs
more than its rank, and the interval after the runs is read off the same draws at quantiles closer to their middle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.candidate_runs import Candidates

Array = NDArray[np.float64]
TRADES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Powers of the cost that a gain is divided by: from the largest gain to the largest gain per FLOP."""
WORTH = 0.01
"""A further run that narrows the interval by less than this share is not suggested."""
_ROUNDS = 3  # of exchanges


@dataclass(frozen=True, eq=False)
class Beliefs:
    """answer (k,) and losses (k, m) over k draws, the losses on the scale of the noise.

    own: variance of a run's own deviation. shared (m,): variance of its trunk's, the same draw for runs of one trunk;
    trunk (m,): −1 for runs that share nothing.
    """

    answer: Array
    losses: Array
    own: Array
    shared: Array
    trunk: NDArray[np.int64]

    @cached_property
    def scores(self) -> tuple[Array, Array]:
        """Normal scores of the answer (k,), of variance 1, and of the losses, of their own spread (k, m)."""
        from scipy.special import ndtri

        k = len(self.answer)
        known = np.where(np.isnan(self.answer), np.inf, self.answer)
        _, which, count = np.unique(known, return_inverse=True, return_counts=True)
        z = ndtri((np.cumsum(count) - 0.5 * count) / k)[
            which
        ]  # ties, such as infinities, share their middle rank
        z = (z - z.mean()) / max(float(z.std()), 1e-300)
        f = np.where(np.isfinite(self.losses), self.losses, np.inf)
        order = np.argsort(f, axis=0)
        ends = np.take_along_axis(f, order[[round(0.1587 * (k - 1)), round(0.8413 * (k - 1))]], axis=0)
        spread = np.nan_to_num(0.5 * (ends[1] - ends[0]), nan=0.0, posinf=0.0)
        expected = ndtri((np.arange(k) + 0.5) / k)
        ranked = np.empty_like(f)
        np.put_along_axis(ranked, order, (expected / expected.std())[:, None], axis=0)
        return z, ranked * spread

    @cached_property
    def _with_answer(self) -> Array:
        z, f = self.scores
        return z @ f / len(z)

    @cached_property
    def _variance(self) -> Array:
        _, f = self.scores
        return np.einsum("km,km->m", f, f) / len(f) + self.shared

    @cached_property
    def _known(self) -> dict[int, Array]:
        return {}

    def _across(self, i: int) -> Array:
        """Covariance of run i's loss with every run's, (m,); a trunk's deviation is shared by its branches."""
        if i not in self._known:
            _, f = self.scores
            together = (self.trunk == self.trunk[i]) & (self.trunk >= 0)
            self._known[i] = f.T @ f[:, i] / len(f) + np.where(together, self.shared, 0.0)
        return self._known[i]

    def given(self, chosen: Sequence[int]) -> tuple[float, Array, Array]:
        """After the chosen runs: variance of z, its covariance with each run's loss (m,), each loss's variance (m,).

        z has variance 1 before any run; a loss's variance includes its trunk's, not the run's own.
        """
        if not len(chosen):
            return 1.0, self._with_answer, self._variance
        s = np.asarray(chosen)
        across = np.stack([self._across(i) for i in chosen], axis=1)  # (m, s)
        alone = np.where(self.trunk[s] < 0, self.shared[s], 0.0)
        inside = across[s] + np.diag(self.own[s] + alone)
        solved = np.linalg.solve(inside, np.column_stack([self._with_answer[s], across.T]))
        left = 1.0 - float(self._with_answer[s] @ solved[:, 0])
        covariance = self._with_answer - across @ solved[:, 0]
        rest = self._variance - np.einsum("ms,sm->m", across, solved[:, 1:])
        return max(left, 1e-12), covariance, np.maximum(rest, 0.0)

    def after(self, chosen: Sequence[int]) -> tuple[float, Array]:
        """Variance of z after the chosen runs, and after each further one (m,)."""
        left, covariance, variance = self.given(chosen)
        with np.errstate(invalid="ignore", divide="ignore"):
            gone = covariance**2 / (variance + self.own)
        return left, np.maximum(left - np.nan_to_num(gone), 1e-12)


def choose(
    beliefs: Beliefs,
    candidates: Candidates,
    budget: float,
    most: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[int]:
    """At most `most` runs within `budget` FLOPs that leave the answer's interval narrowest, in order of gain per FLOP.

    Greedy for each trade between gain and cost, then exchanges of one run for another while that helps; the best set
    of all trades is taken. (A knapsack with a count: greedy by gain per FLOP alone spends its runs on the cheapest, by
    gain alone its budget on the dearest.)
    """
    best: tuple[float, list[int]] = (np.inf, [])
    for done, trade in enumerate(TRADES):
        found = _exchanged(
            beliefs, candidates, budget, most, _greedy(beliefs, candidates, budget, most, trade)
        )
        left = beliefs.given(found)[0]
        if left < best[0] * (1 - 1e-9):
            best = left, found
        if progress is not None:
            progress(done + 1, len(TRADES))
    return _ordered(beliefs, candidates, best[1])


def _open(candidates: Candidates, chosen: Sequence[int], cost: Array, left: float) -> NDArray[np.bool_]:
    """Which runs may still be chosen."""
    may = cost <= left * (1 + 1e-9)
    for i in chosen:
        may[i] &= candidates.repeatable[i]
    return may


def _greedy(beliefs: Beliefs, candidates: Candidates, budget: float, most: int, trade: float) -> list[int]:
    chosen: list[int] = []
    spent = 0.0
    while len(chosen) < most:
        cost = candidates.marginal(chosen)
        may = _open(candidates, chosen, cost, budget - spent)
        left, after = beliefs.after(chosen)
        gain = np.where(may, 0.5 * np.log(left / after), -1.0)
        i = int(np.argmax(np.where(gain > 0, gain / cost**trade, -1.0)))
        if not may[i] or (chosen and gain[i] < WORTH):
            break
        spent += float(cost[i])
        chosen.append(i)
    return chosen


def _exchanged(
    beliefs: Beliefs, candidates: Candidates, budget: float, most: int, chosen: list[int]
) -> list[int]:
    """One run for another, or one more, while the variance falls by more than a thousandth."""
    for _ in range(_ROUNDS):
        before = beliefs.given(chosen)[0]
        for j in range(len(chosen) + (len(chosen) < most)):
            rest = chosen[:j] + chosen[j + 1 :]
            cost = candidates.marginal(rest)
            may = _open(candidates, rest, cost, budget - candidates.cost_of(rest))
            after = np.where(may, beliefs.after(rest)[1], np.inf)
            i = int(np.argmin(after))
            if after[i] < beliefs.given(chosen)[0] * (1 - 1e-3):
                chosen = [*rest[:j], i, *rest[j:]]
        if beliefs.given(chosen)[0] > before * (1 - 1e-3):
            break
    return chosen


def _ordered(beliefs: Beliefs, candidates: Candidates, chosen: list[int]) -> list[int]:
    """By gain per FLOP, each after those before it."""
    order: list[int] = []
    rest = list(chosen)
    while rest:
        left, after = beliefs.after(order)
        cost = candidates.marginal(order)
        worth = [0.5 * np.log(left / after[i]) / cost[i] for i in rest]
        order.append(rest.pop(int(np.argmax(worth))))
    return order
