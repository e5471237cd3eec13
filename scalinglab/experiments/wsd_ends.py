"""Where the runs of a study of schedules end: decays forked from trunks, and whole runs beside them, seed by seed."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Measured, Trained
from scalinglab.ladder import Scratch
from scalinglab.ladder.from_scratch import Cosine


@dataclass(frozen=True)
class Recipe:
    """A way to end a run. name: the study's. share: of the horizon that a decay takes; NaN of a whole run."""

    name: str
    shape: str
    floor: float
    share: float = math.nan

    @property
    def whole(self) -> bool:
        return math.isnan(self.share)

    @property
    def shape_text(self) -> str:
        """The shape with its floor, where it has one."""
        return f"{self.shape} to {self.floor:g}" if self.floor else self.shape

    @property
    def label(self) -> str:
        """As figures and tables name it."""
        if self.whole:
            return f"Cosine(S) to {self.floor:g}"
        return f"{self.shape_text}, {percent(self.share)}"


def percent(share: float) -> str:
    """0.025 as 2.5 %."""
    return f"{100 * share:.3g} %"


class Ends(Measured):
    """The ends of one size's runs by recipe, seed and horizon, under the study's own settings and its variants."""

    def __init__(self, trained: Trained) -> None:
        """Raises InputError for a study of several sizes, or without decays or without a Cosine(T = S)."""
        self.trained = trained
        study = trained.study
        if len(study.ladder.sizes) != 1:
            raise InputError(
                f"schedules are compared at one size, and this study has {len(study.ladder.sizes)}; leave one in it"
            )
        self.decays = [
            Recipe(entry.name if entry else "", spec.shape, spec.floor, spec.share)
            for entry, spec, _ in study.recipes
        ]
        wholes: dict[str, Recipe] = {}
        for trunk in trained.trunks:
            plan = trunk.plan
            if (
                isinstance(plan, Scratch)
                and isinstance(plan.schedule, Cosine)
                and plan.schedule.period == plan.steps
            ):
                wholes.setdefault(plan.recipe, Recipe(plan.recipe, "cosine", plan.schedule.floor))
        if not wholes:
            raise InputError(
                'the study trains no cosine for its own horizon ([[full]], schedule = "cosine"); add one'
            )
        self.reference, *self.others = wholes.values()
        self.main = self.decays[0]
        """The study's first decay; its shape is tried at several lengths, its length in several shapes."""

    @property
    def lengths(self) -> list[Recipe]:
        """The main shape, shortest decay first."""
        own = [each for each in self.decays if (each.shape, each.floor) == (self.main.shape, self.main.floor)]
        return sorted(own, key=lambda each: each.share)

    @property
    def shapes(self) -> list[Recipe]:
        """The main length in every shape, the main one first."""
        return [each for each in self.decays if math.isclose(each.share, self.main.share)]

    @property
    def recipes(self) -> list[Recipe]:
        """All that is set against the reference."""
        return [*dict.fromkeys([*self.lengths, *self.shapes, *self.decays]), *self.others]

    @cached_property
    def planned(self) -> pd.DataFrame:
        """A row a run end: run_id, recipe, seed, tokens (the horizon), steps of the decay, fork in tokens, trunk_id,
        variant, lr."""
        rows = []
        for trunk in self.trained.trunks:
            common = {
                "variant": trunk.variant,
                "lr": trunk.run.lr,
                "seed": trunk.run.seed,
                "trunk_id": trunk.run.id,
            }
            if isinstance(trunk.plan, Scratch):
                tokens = trunk.plan.batches.tokens_at(trunk.plan.steps)
                rows.append(
                    {**common, "run_id": trunk.run.id, "recipe": trunk.plan.recipe, "tokens": float(tokens)}
                )
            for plan, run in zip(trunk.plan.branches, trunk.branches, strict=True):
                end, fork = (float(plan.batches.tokens_at(at)) for at in (plan.end, plan.fork))
                of = {
                    "run_id": run.id,
                    "recipe": plan.recipe,
                    "tokens": end,
                    "steps": plan.steps,
                    "fork": fork,
                }
                rows.append({**common, **of})
        return pd.DataFrame(rows)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """`planned` with eval_set and loss; runs that diverged are not in it."""
        table = self.trained.table
        ends = table.loc[table["kind"] != "trunk", ["run_id", "tokens", "eval_set", "loss"]]
        return self.planned.merge(ends, on=["run_id", "tokens"])

    @cached_property
    def horizons(self) -> list[float]:
        own = self.frame[(self.frame["variant"] == "") & (self.frame["recipe"] == self.reference.name)]
        return sorted(own["tokens"].unique())

    @property
    def seeds(self) -> list[int]:
        return sorted(self.frame.loc[self.frame["variant"] == "", "seed"].unique())

    def losses(self, recipe: Recipe, eval_set: str | None = None, variant: str = "") -> pd.DataFrame:
        """A row a seed, a column a horizon."""
        return self._pivots.get((recipe.name, eval_set or self.eval_set, variant), pd.DataFrame())

    @cached_property
    def _pivots(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        grouped = self.frame.groupby(["recipe", "eval_set", "variant"])
        return {
            key: rows.pivot(index="seed", columns="tokens", values="loss")  # type: ignore[misc]
            for key, rows in grouped
        }

    def gap(
        self,
        recipe: Recipe,
        against: Recipe | None = None,
        *,
        relative: bool = False,
        eval_set: str | None = None,
    ) -> SeedGaps:
        """Its loss less the other's (the reference's) with the same seed and horizon; relative: 100·ln of the ratio."""
        mine, theirs = (self.losses(each, eval_set) for each in (recipe, against or self.reference))
        return difference(mine, theirs, relative)

    def noise(self, relative: bool = False) -> SeedGaps:
        """Of whole runs that differ in their seed alone: its `sd` is the seed noise of one run."""
        losses = self.losses(self.reference)
        return SeedGaps(pd.DataFrame(100 * np.log(losses)) if relative else losses)

    def trunk_losses(self, at: str) -> pd.DataFrame:
        """The undecayed trunk's, a row a seed, a column a horizon: at the main decay's "fork", or at the horizon's own
        "tokens" where the trunk came so far."""
        table = self.trained.table
        trunk = table[(table["kind"] == "trunk") & (table["eval_set"] == self.eval_set)]
        own = self.planned[(self.planned["recipe"] == self.main.name) & (self.planned["variant"] == "")]
        points = pd.DataFrame({"trunk_id": own["trunk_id"], "at": own[at], "horizon": own["tokens"]})
        found = points.merge(
            trunk[["trunk_id", "tokens", "seed", "loss"]].rename(columns={"tokens": "at"}),
            on=["trunk_id", "at"],
        )
        return found.pivot_table(index="seed", columns="horizon", values="loss")


def difference(mine: pd.DataFrame, theirs: pd.DataFrame, relative: bool = False) -> SeedGaps:
    """Pairs of the seeds and horizons that both have."""
    both = mine.columns.intersection(theirs.columns)
    seeds = mine.index.intersection(theirs.index)
    mine, theirs = mine.loc[seeds, both], theirs.loc[seeds, both]
    return SeedGaps(pd.DataFrame(100 * np.log(mine / theirs)) if relative else mine - theirs)
