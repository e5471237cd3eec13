"""Runs of a study of batch ramps: undecayed trunks and decayed ends, by ramp, horizon and seed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from scalinglab.analysis import count_text
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.ladder import Trunk
from scalinglab.records.derive import AVERAGE
from scalinglab.sweep import PlannedTrunk

UNDECAYED, DECAYED = "trunk", "branch"


@dataclass(frozen=True)
class Ramp:
    """A batch ramp of a trunk; no steps: the constant batch.

    variant: as the study names it. steps: (from tokens, times the first batch).
    """

    variant: str
    steps: tuple[tuple[float, float], ...] = ()

    @property
    def label(self) -> str:
        """4× from 1.02M; 2×, 4×, 8× from 512k, 1.02M, 1.54M."""
        if not self.steps:
            return "constant batch"
        times = ", ".join(f"{factor:g}×" for _, factor in self.steps)
        return f"{times} from {', '.join(count_text(tokens) for tokens, _ in self.steps)}"

    @property
    def begins(self) -> float:
        """In tokens; infinite for the constant batch."""
        return self.steps[0][0] if self.steps else float("inf")


class Ramps:
    """One size's trunks with and without ramps, at the horizons at which they decay. Losses: the average of the sets.

    Of a ramp only horizons count by which it has begun. Raises InputError for a study of several sizes or decays, or
    one without ramps or without its own constant batch.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        study = trained.study
        if len(study.ladder.sizes) != 1 or len(study.branches) > 1:
            raise InputError(
                f"ramps are compared at one size and under one decay, and this study has {len(study.ladder.sizes)} and "
                f"{max(1, len(study.branches))}; leave one of each"
            )
        found: dict[str, Ramp] = {}
        rows = []
        for trunk in trained.trunks:
            ramp = _ramp_of(trunk)
            if ramp is None or not isinstance(trunk.plan, Trunk):
                continue
            found.setdefault(trunk.variant, ramp)
            for plan, run in zip(trunk.plan.branches, trunk.branches, strict=True):
                end, fork = (float(plan.batches.tokens_at(at)) for at in (plan.end, plan.fork))
                rows.append(
                    {"variant": trunk.variant, "seed": run.seed, "run_id": run.id, "trunk_id": trunk.run.id}
                    | {"tokens": end, "fork": fork, "updates": plan.end}
                )  # fmt: skip
        self.planned = pd.DataFrame(rows)
        ramps = [each for each in found.values() if each.steps]
        if not ramps or "" not in found or found[""].steps:
            raise InputError(
                "the comparison needs trunks of a constant batch and others with a ramp; give the study entries of "
                "[[variants]] with batch_ramp, and none of its own"
            )
        self.constant = found[""]
        self.ramps = ramps

    @cached_property
    def eval_set(self) -> str:
        """The average where there is one, else the only set."""
        names = list(self.trained.table["eval_set"].unique())
        return AVERAGE if AVERAGE in names else str(names[0])

    @property
    def loss_unit(self) -> str:
        return str(self.trained.table["loss_unit"].iloc[0])

    def horizons(self, ramp: Ramp) -> list[float]:
        """At which it had begun before the end; all of the constant batch's."""
        own = self.planned.loc[self.planned["variant"] == ramp.variant, "tokens"]
        return sorted(float(each) for each in own.unique() if not ramp.steps or each > ramp.begins)

    @property
    def last(self) -> float:
        """The furthest horizon."""
        return max(self.horizons(self.constant))

    @property
    def params(self) -> int:
        return self.trained.study.shape(self.trained.study.ladder.sizes[0]).params

    def losses(self, ramp: Ramp, kind: str, at: str = "tokens") -> pd.DataFrame:
        """A row a seed, a column a horizon: of decayed ends ("branch"), or of the trunk itself ("trunk") at the
        horizon's own tokens or at the fork of its decay (at="fork")."""
        table = self.trained.table
        table = table[(table["eval_set"] == self.eval_set) & (table["kind"] == kind)]
        own = self.planned[self.planned["variant"] == ramp.variant]
        own = own[own["tokens"].isin(self.horizons(ramp))]
        name = "run_id" if kind == DECAYED else "trunk_id"
        points = pd.DataFrame(
            {"run_id": own[name], "at": own[at], "horizon": own["tokens"], "seed": own["seed"]}
        )
        measured = table[["run_id", "tokens", "loss"]].rename(columns={"tokens": "at"})
        rows = points.merge(measured, on=["run_id", "at"])
        return rows.pivot(index="seed", columns="horizon", values="loss")

    def updates(self, ramp: Ramp) -> dict[float, int]:
        """Horizon -> updates to the end of its decay."""
        own = self.planned[self.planned["variant"] == ramp.variant].drop_duplicates("tokens")
        return {float(row["tokens"]): int(row["updates"]) for row in own.to_dict("records")}

    def noise(self, kind: str = DECAYED) -> float:
        """Standard deviation between seeds of one run with the constant batch."""
        return SeedGaps(self.losses(self.constant, kind)).sd

    def at_last(self, quantity: Callable[[Ramp], SeedGaps]) -> SeedGaps:
        """One of the quantities below at the furthest horizon, a cell a ramp, numbered in the study's order.

        Pairs of all ramps share one deviation (`SeedGaps`), which three seeds of one ramp hardly tell.
        """
        columns = {float(i): quantity(ramp).pairs.get(self.last) for i, ramp in enumerate(self.ramps)}
        return SeedGaps(pd.DataFrame({i: each for i, each in columns.items() if each is not None}))

    # ---- what is gained, at equal tokens, each from runs of one seed; a cell a horizon --------------------

    def by_decay(self) -> SeedGaps:
        """By the decay, the batch constant."""
        return _less(self.losses(self.constant, UNDECAYED), self.losses(self.constant, DECAYED))

    def by_ramp(self, ramp: Ramp) -> SeedGaps:
        """By the ramp, undecayed."""
        return _less(self.losses(self.constant, UNDECAYED), self.losses(ramp, UNDECAYED))

    def by_decay_after(self, ramp: Ramp) -> SeedGaps:
        """By the decay of a trunk with the ramp."""
        return _less(self.losses(ramp, UNDECAYED), self.losses(ramp, DECAYED))

    def by_both(self, ramp: Ramp) -> SeedGaps:
        """By the ramp and the decay of its trunk."""
        return _less(self.losses(self.constant, UNDECAYED), self.losses(ramp, DECAYED))

    def smaller_decay(self, ramp: Ramp) -> SeedGaps:
        """How much less the decay gains after the ramp."""
        return _difference(self.by_decay(), self.by_decay_after(ramp))

    def short_of_decay(self, ramp: Ramp) -> SeedGaps:
        """How much the ramp alone gains less than the decay."""
        return _difference(self.by_decay(), self.by_ramp(ramp))

    def share(self, ramp: Ramp) -> SeedGaps:
        """Of the decay's gain, what the ramp alone gives."""
        own, decay = self.by_ramp(ramp).pairs, self.by_decay().pairs
        return SeedGaps((own / decay.where(decay > 0)).reindex(columns=own.columns))

    def ends_above(self, ramp: Ramp) -> SeedGaps:
        """Loss of the ramp's decayed end above that of the constant batch."""
        return _less(self.losses(ramp, DECAYED), self.losses(self.constant, DECAYED))


def _ramp_of(trunk: PlannedTrunk) -> Ramp | None:
    """None for a variant of anything but the ramp."""
    batches = trunk.run.batches
    steps = tuple(
        (float(batches.tokens_at(step)), tokens / batches.tokens) for step, tokens in trunk.run.ramp
    )
    return Ramp(trunk.variant, steps) if steps or not trunk.variant else None


def _less(mine: pd.DataFrame, other: pd.DataFrame) -> SeedGaps:
    """Pairs of the seeds and horizons that both have."""
    both, seeds = mine.columns.intersection(other.columns), mine.index.intersection(other.index)
    return SeedGaps(mine.loc[seeds, both] - other.loc[seeds, both])


def _difference(one: SeedGaps, other: SeedGaps) -> SeedGaps:
    return _less(one.pairs, other.pairs)
