"""Where merges of trunk checkpoints, decays and the undecayed trunk end, seed by seed, and what lies between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate
from scalinglab.analysis.isoflop_minimum import vertex
from scalinglab.analysis.ratio import ratio_of_means
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Measured, Trained
from scalinglab.experiments.wsd_ends import Recipe, difference, percent
from scalinglab.experiments.wsd_findings import LEVEL
from scalinglab.ladder import Trunk, trunk_cost


@dataclass(frozen=True)
class Merge(Recipe):
    """An average of `count` states of the trunk; shape, floor and share are those of the decay it stands in for."""

    count: int = 0

    @property
    def label(self) -> str:
        return f"merge of {self.count}, {self.shape_text} weights, {percent(self.share)}"


@dataclass(frozen=True)
class Window:
    """The best share of a horizon to merge over, by the parabola in ln share through the least and its neighbours.

    edge: "low" or "high" where the least is the shortest or the longest tried, which is then a bound; "flat" where no
    seed's parabola opens upward.
    """

    horizon: float
    share: Estimate
    edge: str = ""


class MergeEnds(Measured):
    """The ends of one size's runs by recipe, seed and horizon, under the study's own settings."""

    def __init__(self, trained: Trained) -> None:
        """Raises InputError for a study of several sizes, or without merges, decays or the trunk at a horizon."""
        self.trained = trained
        study = trained.study
        if len(study.ladder.sizes) != 1:
            raise InputError(
                f"merges are compared at one size, and this study has {len(study.ladder.sizes)}; leave one in it"
            )
        own = study.schedule.spec()
        self.decays = [
            Recipe(entry.name if entry else "", spec.shape, spec.floor, spec.share)
            for entry, spec, _ in study.recipes
        ]
        self.merges = [
            Merge(entry.name, spec.shape, spec.floor, spec.share, entry.checkpoints)
            for entry, spec in ((entry, entry.spec(own)) for entry in study.merges)
        ]
        if not self.merges:
            raise InputError("the study merges no checkpoints ([[merges]]); add them")
        self._best: dict[tuple[tuple[str, ...], str | None], pd.DataFrame] = {}
        self.count = Counter(each.count for each in self.merges).most_common(1)[0][0]
        """States that most merges average: windows and weights are compared with as many."""
        if not self.horizons:
            raise InputError(
                "no seed has the undecayed trunk, a decay and a merge at one horizon; let the trunk reach it "
                "(ladder.checkpoints), or mend what made them diverge"
            )

    # ---- what was run ------------------------------------------------------------------------------------

    @property
    def shapes(self) -> list[str]:
        """Of the merges' weights, that with most windows first."""
        return [name for name, _ in Counter(each.shape for each in self._main).most_common()]

    @property
    def _main(self) -> list[Merge]:
        return [each for each in self.merges if each.count == self.count]

    def windows(self, shape: str) -> list[Merge]:
        """The merges with these weights, the shortest window first."""
        return sorted((each for each in self._main if each.shape == shape), key=lambda each: each.share)

    @property
    def shared(self) -> list[float]:
        """Shares that were merged with weights of every shape."""
        sets = [{each.share for each in self.windows(shape)} for shape in self.shapes]
        return sorted(set.intersection(*sets))

    @property
    def counts(self) -> list[Merge]:
        """Merges that differ in nothing but how many states they average, the fewest first; [] where none do."""
        for main in self._main:
            alike = [
                each
                for each in self.merges
                if (each.shape, each.share) == (main.shape, main.share) and each != main
            ]
            if alike:
                return sorted([main, *alike], key=lambda each: each.count)
        return []

    @property
    def twins(self) -> list[tuple[Merge, Recipe]]:
        """Merges with the decay that their weights stand for."""
        return [
            (merge, decay)
            for decay in self.decays
            for merge in self._main
            if (merge.shape, merge.floor, merge.share) == (decay.shape, decay.floor, decay.share)
        ]

    # ---- where it ended ----------------------------------------------------------------------------------

    @cached_property
    def _planned(self) -> pd.DataFrame:
        """A row a planned end, the trunk's own at every horizon (recipe None) among them."""
        rows = []
        for trunk in self.trained.trunks:
            if trunk.variant or not isinstance(trunk.plan, Trunk):
                continue
            root = trunk.run.id
            for plan, run in zip(trunk.plan.branches, trunk.branches, strict=True):
                end = {"seed": run.seed, "tokens": float(trunk.plan.horizon(plan))}
                rows.append({"run_id": run.id, "recipe": plan.recipe, **end})
                rows.append({"run_id": root, "recipe": None, **end})
        return pd.DataFrame(rows).drop_duplicates()

    @cached_property
    def _pivots(self) -> dict[tuple[str | None, str], pd.DataFrame]:
        ends = self.trained.table[["run_id", "tokens", "eval_set", "loss"]]
        grouped = self._planned.merge(ends, on=["run_id", "tokens"]).groupby(
            ["recipe", "eval_set"], dropna=False
        )
        found = {}
        for key, rows in grouped:
            recipe, name = key
            wide = rows.pivot(index="seed", columns="tokens", values="loss")
            found[recipe if isinstance(recipe, str) else None, str(name)] = wide
        return found

    def losses(self, recipe: Recipe | None, eval_set: str | None = None) -> pd.DataFrame:
        """A row a seed, a column a horizon; None: the undecayed trunk's."""
        key = (None if recipe is None else recipe.name, eval_set or self.eval_set)
        return self._pivots.get(key, pd.DataFrame())

    @cached_property
    def horizons(self) -> list[float]:
        """At which trunk, decays and merges all ended."""
        sets: list[set[Any]] = [set(self.losses(None))] + [
            set().union(*(self.losses(each) for each in ways)) for ways in (self.decays, self.merges)
        ]
        return sorted(float(each) for each in set.intersection(*sets))

    @property
    def seeds(self) -> list[int]:
        return [int(each) for each in self.losses(None).index]

    @cached_property
    def noise(self) -> float:
        """Standard deviation of one decayed run between seeds."""
        return SeedGaps(self.losses(self.decays[0])).sd

    def gap(self, one: Recipe, other: Recipe, eval_set: str | None = None) -> SeedGaps:
        """Its loss less the other's on the same trunk, at the same horizon."""
        return difference(self.losses(one, eval_set), self.losses(other, eval_set))

    def gain(self, recipe: Recipe) -> SeedGaps:
        """What it takes off the undecayed trunk's loss at the same tokens."""
        return difference(self.losses(None), self.losses(recipe))

    # ---- the best of them --------------------------------------------------------------------------------

    def best_at(self, ways: Sequence[Recipe], horizon: float) -> Recipe:
        """That with the lowest mean loss."""
        known = [each for each in ways if horizon in self.losses(each)]
        return min(known, key=lambda each: float(self.losses(each)[horizon].mean()))

    def best_of(self, ways: Sequence[Recipe], eval_set: str | None = None) -> pd.DataFrame:
        """Losses of the best of each horizon (by the average over sets): a row a seed, a column a horizon."""
        key = (tuple(each.name for each in ways), eval_set)
        if key not in self._best:
            self._best[key] = pd.DataFrame(
                {each: self.losses(self.best_at(ways, each), eval_set)[each] for each in self.horizons}
            )
        return self._best[key]

    def best_gap(self, eval_set: str | None = None) -> SeedGaps:
        """The best merge of each horizon less its best decay."""
        return difference(self.best_of(self.merges, eval_set), self.best_of(self.decays, eval_set))

    def share_of_gain(self, merge: Recipe | None, horizon: float | None = None) -> Estimate:
        """What a merge (None: the best of each horizon) gains on the trunk, over what the best decay does.

        At one horizon, or of the mean gains over all.
        """
        trunk, decay = self.losses(None), self.best_of(self.decays)
        mine = self.best_of(self.merges) if merge is None else self.losses(merge)
        own = [horizon] if horizon is not None else [each for each in self.horizons if each in mine]
        if not own or own[0] not in mine:
            return Estimate(np.nan)
        top, bottom = (trunk[own] - mine[own]).mean(axis=1), (trunk[own] - decay[own]).mean(axis=1)
        pairs = pd.DataFrame({"top": top, "bottom": bottom}).dropna()
        return ratio_of_means(pairs["top"].to_numpy(), pairs["bottom"].to_numpy(), LEVEL)

    def best_windows(self, shape: str) -> tuple[list[Window], SeedGaps]:
        """(the best share at each horizon, ln of it by seed where it lies inside those tried)."""
        found, inside = [], {}
        for horizon in self.horizons:
            own = [each for each in self.windows(shape) if horizon in self.losses(each)]
            losses = pd.DataFrame({each.share: self.losses(each)[horizon] for each in own}).dropna()
            if len(own) < 3 or losses.empty:
                continue
            x = np.log(losses.columns.to_numpy(float))
            least = int(losses.mean().to_numpy().argmin())
            if least in (0, len(x) - 1):
                found.append(
                    Window(horizon, Estimate(float(losses.columns[least])), "low" if least == 0 else "high")
                )
                continue
            near = slice(least - 1, least + 2)
            each = vertex(x[near], losses.to_numpy()[:, near])
            inside[horizon] = pd.Series(np.where(each.curvature > 0, each.at, np.nan), index=losses.index)
        gaps = SeedGaps(pd.DataFrame(inside))
        for horizon in inside:
            at = gaps.cell(horizon, LEVEL)
            share = Estimate(*(float(np.exp(end)) for end in (at.value, at.lo, at.hi)))
            found.append(Window(horizon, share, "flat" if np.isnan(at.value) else ""))
        return sorted(found, key=lambda each: each.horizon), gaps

    # ---- what matters ------------------------------------------------------------------------------------

    @cached_property
    def grid(self) -> pd.DataFrame:
        """Losses of merges over the windows that all weights share: rows (seed, horizon), columns (shape, share)."""
        parts = {
            (shape, each.share): self.losses(each).stack()
            for shape in self.shapes
            for each in self.windows(shape)
            if each.share in self.shared
        }
        return pd.DataFrame(parts).dropna()

    @cached_property
    def near(self) -> list[float]:
        """Of the windows that all weights share, neighbours that span about the factor that the numbers of states do.

        The best by the mean loss among them; those of the lowest loss, where several sets span it. [] where the numbers
        were not varied, or all windows span no more.
        """
        if not self.counts or len(self.shared) < 3:
            return []
        factor = np.log(self.counts[-1].count / self.counts[0].count)
        loss = self.grid.T.groupby(level=1).mean().T.mean()
        best = float(np.asarray(loss.index, dtype=float)[int(loss.to_numpy().argmin())])
        sets = [
            self.shared[i:j]
            for i in range(len(self.shared))
            for j in range(i + 2, len(self.shared) + 1)
            if best in self.shared[i:j]
        ]
        off = {tuple(each): round(abs(np.log(each[-1] / each[0]) - factor), 6) for each in sets}
        chosen = min(sets, key=lambda each: (off[tuple(each)], float(loss[each].mean())))
        return chosen if len(chosen) < len(self.shared) else []

    @cached_property
    def effects(self) -> dict[str, pd.Series]:
        """Factor -> variance of the loss over its levels, a value each (seed, horizon).

        Window and weights: of the means over the other, on `grid`; both: what is left of the grid's variance. Number of
        states: at the one window at which it was varied. Near windows, and weights over them: of `near` alone. What the
        study does not vary is left out.
        """
        found: dict[str, pd.Series] = {}
        if len(self.shared) > 1:
            by_share = self.grid.T.groupby(level=1).mean().T
            found["window"] = by_share.var(axis=1, ddof=0)
            if self.near:
                found["near windows"] = by_share[self.near].var(axis=1, ddof=0)
                if len(self.shapes) > 1:
                    within = self.grid.loc[:, self.grid.columns.get_level_values(1).isin(self.near)]
                    found["near weights"] = within.T.groupby(level=0).mean().var(ddof=0)
            if len(self.shapes) > 1:
                by_shape = self.grid.T.groupby(level=0).mean().T
                found["weights"] = by_shape.var(axis=1, ddof=0)
                whole = self.grid.var(axis=1, ddof=0)
                found["window × weights"] = (whole - found["window"] - found["weights"]).clip(lower=0.0)
        if self.counts:
            found["number"] = pd.DataFrame(
                {each.count: self.losses(each).stack() for each in self.counts}
            ).dropna().var(axis=1, ddof=0)  # fmt: skip
        return found

    def spread(self, factor: str) -> SeedGaps:
        """Standard deviation of the loss over a factor's levels, by seed and horizon."""
        return SeedGaps(np.sqrt(self.effects[factor]).unstack())

    def shape_gaps(self, ways: Sequence[Recipe], one: str, other: str) -> dict[float, SeedGaps]:
        """Share -> loss under shape `one` less that under `other`."""
        by = {(each.shape, each.share): each for each in ways}
        shares = sorted({share for _, share in by})
        return {
            share: self.gap(by[one, share], by[other, share])
            for share in shares
            if (one, share) in by and (other, share) in by
        }

    # ---- what it costs -----------------------------------------------------------------------------------

    def at_equal_compute(self, decay: Recipe) -> SeedGaps:
        """The best merge of a trunk trained on for as many tokens as a decay took beside it, less that decay.

        A decay over the share s of D costs s·D tokens that the trunk does not get; with them it comes to (1 + s)·D.
        The merges' loss there is read between horizons, straight in the logarithms of loss and tokens, which for a
        convex curve is no less than it is; the longest horizon has nothing beyond it and is left out.
        """
        best = self.best_of(self.merges)
        merged = pd.DataFrame(np.log(best.to_numpy()), best.index, best.columns)
        found = {}
        for horizon, beyond in zip(self.horizons, self.horizons[1:], strict=False):
            if horizon not in self.losses(decay):
                continue
            way = np.log1p(decay.share) / np.log(beyond / horizon)
            loss = np.exp(merged[horizon] + way * (merged[beyond] - merged[horizon]))
            found[horizon] = loss - self.losses(decay)[horizon]
        return SeedGaps(pd.DataFrame(found))

    @cached_property
    def best_for_compute(self) -> Recipe:
        """The decay that does best so."""
        return max(
            self.decays,
            key=lambda each: np.nan_to_num(self.at_equal_compute(each).overall().value, nan=-np.inf),
        )

    def tokens(self, ways: Sequence[Recipe]) -> int:
        """Tokens of one trunk as far as these need it, and of their decays beside it."""
        plan = next(
            each.plan for each in self.trained.trunks if not each.variant and isinstance(each.plan, Trunk)
        )
        names = {each.name for each in ways}
        branches = tuple(each for each in plan.branches if each.recipe in names)
        own = Trunk(plan.shape, plan.seed, plan.batches, plan.schedule, branches)
        return trunk_cost(own).ladder.tokens


def mean_gaps(gaps: Sequence[SeedGaps]) -> SeedGaps:
    """The mean of several, over the seeds and cells that all of them have."""
    total = gaps[0].pairs
    for each in gaps[1:]:
        total = total + each.pairs
    return SeedGaps((total / len(gaps)).dropna(axis=1, how="all"))
