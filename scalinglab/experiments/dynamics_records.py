"""What a study's probe saw in its decays, and in their trunks over the same updates, seed by seed."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import Recipe
from scalinglab.ladder import Scratch
from scalinglab.ladder.definition import Run
from scalinglab.ladder.needs import LOG_EVERY
from scalinglab.records.derive import AVERAGE
from scalinglab.sweep import PlannedTrunk

LATE = 0.5
"""Of a decay's updates, the last ones that are set against the trunk's."""


@dataclass(frozen=True)
class Stretch:
    """One seed's decay to one horizon, and its trunk over the same updates and over as many before them.

    Records are frames of `records`; a held-out loss is NaN where the trunk was not measured.
    """

    recipe: Recipe
    seed: int
    horizon: float
    """In tokens, as is"""
    forked: float
    """where it forks."""
    fork: int
    end: int
    """In updates."""
    decay: pd.DataFrame
    trunk: pd.DataFrame
    before: pd.DataFrame
    peak: float
    """Learning rate of the trunk."""
    loss_before: float
    """Held-out losses: as many updates before the fork as the decay takes,"""
    loss_fork: float
    """at the fork,"""
    loss_decay: float
    """at the decay's end,"""
    loss_trunk: float
    """and of the trunk there."""

    @property
    def late(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The records of the last LATE of the decay, and the trunk's of the same updates."""
        since = self.end - LATE * (self.end - self.fork)
        return self.decay[self.decay["first"] >= since], self.trunk[self.trunk["first"] >= since]


Measure = Callable[[pd.DataFrame], float]


def mean(column: str) -> Measure:
    """Over the updates looked at."""

    def measured(frame: pd.DataFrame) -> float:
        known = frame[frame[column].notna()]
        return float(np.average(known[column], weights=known["probed"])) if len(known) else math.nan

    return measured


def summed(column: str) -> Measure:
    """Over all updates: the mean of those looked at for each."""
    return lambda frame: float((frame[column] * frame["updates"]).sum())


class Dynamics:
    """The probed decays of one size under the study's own settings.

    Raises InputError for a study of several sizes, without decays, whose records tell of no single update, or none of
    whose trunks goes on beside a decay to its end.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        study = trained.study
        if len(study.ladder.sizes) != 1:
            raise InputError(
                f"decays are looked into at one size, and this study has {len(study.ladder.sizes)}; leave one in it"
            )
        self.recipes = [
            Recipe(entry.name if entry else "", spec.shape, spec.floor, spec.share)
            for entry, spec, _ in study.recipes
        ]
        self.main = self.recipes[0]
        """The study's first decay, by which claims are judged."""
        self.own = [
            each for each in trained.trunks if not each.variant and not isinstance(each.plan, Scratch)
        ]
        if not self.stretches:
            raise InputError(
                "no trunk goes on beside a decay to its end; name that horizon in ladder.checkpoints and train on"
            )

    @cached_property
    def stretches(self) -> list[Stretch]:
        """Those whose trunk reaches their end."""
        return [stretch for trunk in self.own for stretch in self._stretches(trunk)]

    @cached_property
    def trunks(self) -> dict[int, pd.DataFrame]:
        """Seed -> the trunk's records."""
        return {trunk.run.seed: self._records(trunk.run) for trunk in self.own}

    @property
    def eval_set(self) -> str:
        """The average where there is one, else the only set."""
        names = list(self.trained.table["eval_set"].unique())
        return AVERAGE if AVERAGE in names else str(names[0])

    @property
    def loss_unit(self) -> str:
        return str(self.trained.table["loss_unit"].iloc[0])

    @property
    def seeds(self) -> list[int]:
        return sorted({each.seed for each in self.stretches})

    @property
    def horizons(self) -> list[float]:
        return sorted({each.horizon for each in self.stretches})

    def of(self, recipe: Recipe) -> list[Stretch]:
        return [each for each in self.stretches if each.recipe == recipe]

    def by_seed(self, value: Callable[[Stretch], float], recipe: Recipe | None = None) -> SeedGaps:
        """A figure of each decay: a row a seed, a column a horizon."""
        rows = [(each.seed, each.horizon, value(each)) for each in self.of(recipe or self.main)]
        frame = pd.DataFrame(rows, columns=["seed", "horizon", "value"])
        return SeedGaps(
            frame.pivot(index="seed", columns="horizon", values="value").dropna(axis=1, how="all")
        )

    def _stretches(self, trunk: PlannedTrunk) -> Iterator[Stretch]:
        records, losses = self.trunks[trunk.run.seed], self._losses(trunk.run.id)
        for plan, run in zip(trunk.plan.branches, trunk.branches, strict=True):
            ends = self._losses(run.id)
            if records.empty or records["step"].iloc[-1] < plan.end or not ends:
                continue
            tokens = plan.batches.tokens_at
            first, step = records["first"], records["step"]
            yield Stretch(
                next(each for each in self.recipes if each.name == plan.recipe),
                trunk.run.seed,
                float(tokens(plan.end)),
                float(tokens(plan.fork)),
                plan.fork,
                plan.end,
                self._records(run),
                records[(first >= plan.fork) & (step <= plan.end)],
                records[(first >= plan.fork - plan.steps) & (step <= plan.fork)],
                trunk.run.lr,
                losses.get(float(tokens(max(plan.fork - plan.steps, 0))), math.nan),
                losses.get(float(tokens(plan.fork)), math.nan),
                next(iter(ends.values())),
                losses.get(float(tokens(plan.end)), math.nan),
            )

    def _losses(self, run_id: str) -> dict[float, float]:
        """Tokens -> held-out loss."""
        table = self.trained.table
        rows = table[(table["run_id"] == run_id) & (table["eval_set"] == self.eval_set)]
        return dict(zip(rows["tokens"].astype(float), rows["loss"].astype(float), strict=True))

    def _records(self, run: Run) -> pd.DataFrame:
        """`records` of a run; those from where it diverged on are left out."""
        metrics = self.trained.folder.run(run.id).read_metrics()
        train = [record for step, record in sorted(metrics.train.items())]
        if metrics.diverged is not None:
            train = [record for record in train if record["step"] < metrics.diverged]
        if train and not metrics.probed:
            raise InputError(
                f"{run.id} was trained without a probe; give the study a section [probe] and train it in another folder"
            )
        return records(run, train)


def records(run: Run, train: list[dict[str, float]]) -> pd.DataFrame:
    """Probed training records as a frame, a row each, with three columns more.

    first: updates finished where its mean begins. updates: finished since the record before it, which is more where
    records were thinned. rate: the mean learning rate over the record's own updates.
    """
    frame = pd.DataFrame([record for record in train if record.get("probed")])
    if frame.empty:
        return pd.DataFrame(columns=["step", "first", "updates", "rate", "probed"])
    frame["step"] = frame["step"].astype(int)
    frame["updates"] = np.diff(frame["step"], prepend=run.start)
    frame["first"] = np.maximum(
        (frame["step"] - 1) // LOG_EVERY * LOG_EVERY, frame["step"] - frame["updates"]
    )
    frame["rate"] = [
        run.lr * float(np.mean([run.schedule.factor(step) for step in range(first, last)]))
        for first, last in zip(frame["first"], frame["step"], strict=True)
    ]
    return frame
