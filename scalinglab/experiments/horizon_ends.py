"""Where the runs of a study of T and S end: a run under one schedule, measured at several ends, is a run of each.

Cosine(T = 1M) at 512k is a run with T = 2·S, at 1M one with T = S, at 2M one with T = S/2. So what a measurement is a
run of is read off the schedule and the step, not off what the study calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Measured, Trained
from scalinglab.experiments.wsd_ends import difference, percent
from scalinglab.ladder import Cosine, CosineLoop, Linear, Schedule, Scratch, Study
from scalinglab.records.pack import CURVE
from scalinglab.sweep import PlannedTrunk

_END = 0.15
"""Of the way between floor and peak: rates so near to one of them count as there."""


@dataclass(frozen=True)
class Way:
    """A schedule with respect to the run's end. ratio: T/S of a cosine. share: of the run that a decay takes."""

    kind: str
    label: str
    floor: float = 0.0
    ratio: float = 0.0
    share: float = 0.0

    @property
    def forked(self) -> bool:
        """Whether it is a decay of a trunk that goes on."""
        return self.kind == "wsd"


def way_of(schedule: Schedule, end: int) -> Way:
    """What a run from scratch is, measured at step `end`."""
    if isinstance(schedule, Cosine):
        ratio = float(f"{schedule.period / end:.2g}")
        span = "S" if ratio == 1 else f"S/{1 / ratio:.2g}" if ratio < 1 else f"{ratio:g}·S"
        return Way("cosine", f"Cosine(T = {span})", schedule.floor, ratio)
    floor = schedule.floor if isinstance(schedule, CosineLoop | Linear) else 0.0
    names = {"cosine-loop": "CosineLoop", "linear": f"linear to {floor:g}", "noam": "Noam"}
    return Way(schedule.name, names.get(schedule.name, schedule.name), floor)


def planned_ends(trunks: list[PlannedTrunk], study: Study) -> pd.DataFrame:
    """A row a run end under the study's own settings: way, run_id, trunk_id, seed, tokens."""
    rows, own = [], [each for each in trunks if not each.variant]
    whole = {
        float(each.plan.batches.tokens_at(end))
        for each in own
        if isinstance(each.plan, Scratch)
        for end in each.plan.ends
    }
    recipes = {entry.name if entry else "": spec for entry, spec, _ in study.recipes}
    for trunk in own:
        plan, run = trunk.plan, trunk.run
        known = {"seed": run.seed, "trunk_id": run.id}
        for end in plan.stations:
            tokens = float(plan.batches.tokens_at(end))
            way = (
                way_of(plan.schedule, end)
                if isinstance(plan, Scratch)
                else Way("constant", "constant (trunk)")
            )
            if isinstance(plan, Scratch) or tokens in whole:
                rows.append(known | {"run_id": run.id, "way": way, "tokens": tokens})
        for branch, forked in zip(plan.branches, trunk.branches, strict=True):
            spec = recipes[branch.recipe]
            to = f" to {spec.floor:g}" if spec.floor else ""
            way = Way("wsd", f"WSD, {spec.shape}{to}, {percent(spec.share)}", spec.floor, share=spec.share)
            end_tokens = float(branch.batches.tokens_at(branch.end))
            rows.append(known | {"run_id": forked.id, "way": way, "tokens": end_tokens})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Loop:
    """A run that restarts, against the trunk of its seed, which sees the same batches. Training losses, nats/token."""

    seed: int
    tokens: float
    floor: float
    """Mean loss about the first floor."""
    peak: float
    """Mean loss about the peak after it."""
    lost: float
    """What it lay below the trunk at the floor, less what it does at the peak."""
    rise_tokens: float
    """Tokens from the first floor to the peak."""


class HorizonEnds(Measured):
    """The ends of one size's runs by way, seed and horizon, under the study's own settings."""

    def __init__(self, trained: Trained, read: Callable[[str], pd.DataFrame] | None = None) -> None:
        """read: the curve of a run id (tokens, lr, loss; by default the study folder's).

        Raises InputError for a study of several sizes, or without a Cosine(T = S).
        """
        study = trained.study
        if len(study.ladder.sizes) != 1:
            raise InputError(
                f"schedules are compared at one size, and this study has {len(study.ladder.sizes)}; leave one in it"
            )
        self.trained, self._read = trained, read
        self.ways = list(dict.fromkeys(self.planned["way"])) if len(self.planned) else []
        whole = [way for way in self.ways if way.ratio == 1]
        if not whole:
            raise InputError(
                'the study trains no cosine for its own horizon ([[full]], schedule = "cosine"); add one'
            )
        self.reference = whole[0]
        if not self.horizons:
            raise InputError(f"no {self.reference.label} has ended; train it, or mend what made it diverge")

    @cached_property
    def planned(self) -> pd.DataFrame:
        """A row a run end: way, run_id, trunk_id, seed, tokens."""
        return planned_ends(self.trained.trunks, self.trained.study)

    @cached_property
    def _pivots(self) -> dict[tuple[Way, str], pd.DataFrame]:
        ends = self.trained.table[["run_id", "tokens", "eval_set", "loss"]]
        frame = self.planned.merge(ends, on=["run_id", "tokens"])
        return {
            key: own.pivot_table(index="seed", columns="tokens", values="loss")  # type: ignore[misc]
            for key, own in frame.groupby(["way", "eval_set"], sort=False)
        }

    def losses(self, way: Way | None, eval_set: str | None = None) -> pd.DataFrame:
        """A row a seed, a column a horizon; runs that diverged are not in it."""
        if way is None:
            return pd.DataFrame()
        return self._pivots.get((way, eval_set or self.eval_set), pd.DataFrame())

    @cached_property
    def horizons(self) -> list[float]:
        return sorted(float(each) for each in self.losses(self.reference).columns)

    @property
    def seeds(self) -> list[int]:
        return sorted(self.losses(self.reference).index)

    @property
    def decays(self) -> list[Way]:
        """As the study has them."""
        return [way for way in self.ways if way.forked]

    @property
    def others(self) -> list[Way]:
        """All that is set against the reference and has ended: other T, loop, other schedules, trunk, decays."""
        order = ("cosine", "cosine-loop", "linear", "noam", "constant", "wsd")
        found = [way for way in self.ways if way != self.reference and not self.gap(way).pairs.dropna().empty]
        return sorted(
            found, key=lambda way: (order.index(way.kind) if way.kind in order else 3, way.ratio, way.share)
        )

    def at_ratio(self, ratio: float) -> Way | None:
        """Cosine with T = ratio·S and the reference's floor."""
        return next((w for w in self.others if w.ratio == ratio and w.floor == self.reference.floor), None)

    def of_kind(self, kind: str) -> Way | None:
        return next((way for way in self.others if way.kind == kind), None)

    def gap(
        self,
        way: Way,
        against: Way | None = None,
        *,
        relative: bool = False,
        eval_set: str | None = None,
    ) -> SeedGaps:
        """Its loss less the other's (the reference's) with the same seed and horizon; relative: 100·ln of the ratio."""
        mine, theirs = (self.losses(each, eval_set) for each in (way, against or self.reference))
        return difference(mine, theirs, relative)

    def noise(self) -> SeedGaps:
        """Of runs of the reference that differ in their seed alone: its `sd` is the seed noise of one run."""
        return SeedGaps(self.losses(self.reference))

    def doubling(self) -> tuple[SeedGaps, SeedGaps]:
        """(at the floor, made for it): what a doubling of tokens from T takes off the loss of Cosine(T).

        The first is Cosine(T) itself at T less at 2T, having gone on at its floor; the second Cosine(T) at T less
        Cosine(2T) at 2T. A row a seed, a column a T.
        """
        half, whole = self.losses(self.at_ratio(0.5)), self.losses(self.reference)
        stayed = half.rename(columns=lambda tokens: tokens / 2)
        made = whole.rename(columns=lambda tokens: tokens / 2)
        cells = stayed.columns.intersection(whole.columns).intersection(made.columns)
        if cells.empty:
            return SeedGaps(pd.DataFrame()), SeedGaps(pd.DataFrame())
        return difference(whole[cells], stayed[cells]), difference(whole[cells], made[cells])

    # ---- curves ---------------------------------------------------------------------------------------

    def curve(self, run_id: str) -> pd.DataFrame | None:
        """Training records of a run: tokens, lr, loss; None where its folder holds none.

        Not more of them than packed records keep, so that both tell the same.
        """
        if self._read is not None:
            return self._read(run_id)
        from scalinglab.plots._training import read_run

        run = self.trained.folder.run(run_id)
        if not run.metrics_path.exists():
            return None
        found = read_run(run).dropna(subset=["loss"]).reset_index(drop=True)
        most = CURVE["full"]
        if len(found) > most:
            found = found.iloc[[round(i * (len(found) - 1) / (most - 1)) for i in range(most)]]
        return found.reset_index(drop=True)

    @cached_property
    def loops(self) -> list[Loop]:
        """Of every run that restarts whose curve and whose trunk's are there, and come to a peak again."""
        trunks = {int(row.seed): str(row.run_id) for row in self._rows("constant")}
        found = []
        for row in self._rows("cosine-loop"):
            mine = self.curve(str(row.run_id))
            theirs = self.curve(trunks[int(row.seed)]) if int(row.seed) in trunks else None
            if mine is not None and theirs is not None:
                loop = _loop(int(row.seed), float(row.tokens), mine, theirs)
                found += [loop] if loop is not None else []
        return found

    def loop_gaps(self, what: str) -> SeedGaps:
        """A figure of the loops, a row a seed, a column a run's length."""
        rows = [
            {"seed": loop.seed, "tokens": loop.tokens, "value": loop.peak - loop.floor if what == "rise" else loop.lost}
            for loop in self.loops
        ]  # fmt: skip
        if not rows:
            return SeedGaps(pd.DataFrame())
        return SeedGaps(pd.DataFrame(rows).pivot_table(index="seed", columns="tokens", values="value"))

    def _rows(self, kind: str) -> list[Any]:
        own = self.planned[[way.kind == kind for way in self.planned["way"]]]
        return list(own.drop_duplicates("run_id").itertuples())


def _loop(seed: int, tokens: float, mine: pd.DataFrame, trunk: pd.DataFrame) -> Loop | None:
    """None where the run has no floor and peak after it, or the trunk no records at the same points."""
    lr, at = mine["lr"].to_numpy(float), mine["tokens"].to_numpy(float)
    high = float(lr.max())
    begun = int(np.argmax(lr >= (1 - _END) * high))
    low = float(lr[begun:].min())
    margin = _END * (high - low)
    below, above = lr <= low + margin, lr >= high - margin
    first = next((i for i in range(begun, len(lr)) if below[i]), len(lr))
    back = next((i for i in range(first, len(lr)) if above[i]), len(lr))
    if back == len(lr):
        return None
    floor = [i for i in range(first, back) if below[i]]
    top = list(range(back, next((i for i in range(back, len(lr)) if not above[i]), len(lr))))
    beside = np.interp(at, trunk["tokens"].to_numpy(float), trunk["loss"].to_numpy(float), right=np.nan)
    loss = mine["loss"].to_numpy(float)
    lead = beside - loss
    lost = float(np.nanmean(lead[floor]) - np.nanmean(lead[top]))
    rise = float(at[top].mean() - at[floor].mean())
    return Loop(seed, tokens, float(loss[floor].mean()), float(loss[top].mean()), lost, rise)
