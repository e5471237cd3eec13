"""Runs of a study that trains on after its decays: by decay mixture, tokens of good data afterwards, size and seed."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from scalinglab.analysis import count_text
from scalinglab.analysis.seed_gaps import SeedGaps
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.experiments.wsd_ends import percent

GOOD, WEB = "good", "web"


@dataclass(frozen=True)
class Mixture:
    """What a decay is trained on. share: of good data in it."""

    name: str
    share: float

    @property
    def label(self) -> str:
        if self.share == 0.0:
            return "web alone"
        return "good alone" if self.share == 1.0 else f"{percent(self.share)} good"


@dataclass(frozen=True)
class Way:
    """A decay, and tokens of the good data after it, at the rate that it ended at."""

    mixture: Mixture
    after: float
    called: str = ""

    @property
    def label(self) -> str:
        """As figures and tables name it: what the decay read, and what came after."""
        own = f"{self.mixture.label}, then {count_text(self.after)} good"
        return f"{self.called}: {own}" if self.called else own


class Mixtures:
    """The ends of all decays, and what followed them, under the study's own settings and at its longest horizon.

    "good" is what is trained on after a decay, "web" what the trunk reads; a loss on either is the mean over its
    held-out sets, weighted as that training weighs them. Raises InputError where the study has no such decays.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        study = trained.study
        own = [each for each in trained.trunks if not each.variant and each.plan.branches]
        tuned = {
            each.name: _shares(each.after.weights)
            for each in study.branches
            if each.after is not None and each.after.weights
        }
        if not own or not tuned:
            raise InputError(
                "the study trains on other data after none of its decays; give entries of [[branches]] the key after "
                "with weights"
            )
        self.good = next(iter(tuned.values()))
        self.web = _shares(dict(own[0].run.weights))
        if set(self.good) & set(self.web):
            raise InputError(
                f"what follows the decays ({', '.join(self.good)}) is read by the trunk too ({', '.join(self.web)}): "
                "its gain could not be told from the trunk's; keep them apart"
            )
        known = {name for name, shares in tuned.items() if shares == self.good}
        rows, shares = [], {}
        for trunk in own:
            for plan, run in zip(trunk.plan.branches, trunk.branches, strict=True):
                if plan.recipe not in known:
                    continue
                mixture = _shares(dict(run.weights if plan.changes.weights is None else plan.changes.weights))
                shares[plan.recipe] = sum(mixture.get(name, 0.0) for name in self.good)
                end, fork = (plan.batches.tokens_at(at) for at in (plan.end, plan.fork))
                for step in (plan.end, *plan.after):
                    tokens = plan.batches.tokens_at(step)
                    rows.append(
                        {"run_id": run.id, "tokens": float(tokens), "recipe": plan.recipe, "params": run.shape.params}
                        | {"seed": run.seed, "horizon": end, "decay": float(end - fork), "after": float(tokens - end)}
                    )  # fmt: skip
        planned = pd.DataFrame(rows)
        longest = planned.groupby("params")["horizon"].transform("max")
        self.planned = planned[planned["horizon"] == longest].reset_index(drop=True)
        if self.planned["decay"].nunique() > 1:
            raise InputError("sizes whose decays differ in tokens are not compared; give all one horizon")
        self.decay_tokens = float(self.planned["decay"].iloc[0])
        self.horizon = float(self.planned["horizon"].iloc[0])
        self.mixtures = sorted(
            (Mixture(name, share) for name, share in shares.items()), key=lambda m: m.share
        )
        mixed = [each for each in self.mixtures if 0.0 < each.share < 1.0]
        if self.mixtures[0].share > 0.0 or not mixed:
            raise InputError(
                "the comparison needs a decay on the trunk's own data, and one on a mixture of it and the good data; "
                "the study's decays hold "
                + ", ".join(percent(each.share) for each in self.mixtures)
                + " of good data"
            )
        self.base = self.mixtures[0]
        """The decay without good data."""
        self.mixed = min(mixed, key=lambda each: abs(each.share - 0.5))
        """The paper's kind of mixture: of those tried the one nearest to halves."""

    @property
    def lengths(self) -> list[float]:
        """Tokens trained on after a decay, the shortest first; 0, its end, left out."""
        return sorted(self.planned.loc[self.planned["after"] > 0, "after"].unique())

    @cached_property
    def ways(self) -> dict[str, Way]:
        """The paper's five, by name. Raises InputError where the study's lengths hold no such five."""
        lengths = self.lengths
        if len(lengths) < 3 or 2 * lengths[1] not in lengths:
            raise InputError(
                "after a decay there must be a short training on good data, a longer one, and one twice as long as "
                f"that; the study has {', '.join(map(count_text, lengths))} tokens"
            )
        short, long = lengths[:2]
        given = {
            "A-1": (self.base, short), "A-2": (self.mixed, short),
            "B-1": (self.base, long), "B-2": (self.base, 2 * long), "B-3": (self.mixed, long),
        }  # fmt: skip
        return {name: Way(mixture, after, name) for name, (mixture, after) in given.items()}

    @property
    def sizes(self) -> list[float]:
        return sorted(float(each) for each in self.planned["params"].unique())

    @property
    def loss_unit(self) -> str:
        return str(self.trained.table["loss_unit"].iloc[0])

    def good_tokens(self, way: Way) -> float:
        """Of good data in all, in the decay and after it."""
        return way.mixture.share * self.decay_tokens + way.after

    def losses(self, way: Way, which: str) -> pd.DataFrame:
        """On the "good" or the "web" sets: a row a seed, a column a size."""
        found = self._losses.get((way.mixture.name, way.after, which))
        return pd.DataFrame(columns=self.sizes, dtype=float) if found is None else found

    @cached_property
    def _losses(self) -> dict[tuple[str, float, str], pd.DataFrame]:
        table = self.trained.table
        known = set(table["eval_set"].unique())
        missing = [name for name in (*self.good, *self.web) if name not in known]
        if missing:
            raise InputError(
                f"the runs were not measured on {', '.join(missing)}; the table has {', '.join(known)}"
            )
        ends = table.loc[table["kind"].isin(["branch", "after"]), ["run_id", "tokens", "eval_set", "loss"]]
        rows = self.planned.merge(ends, on=["run_id", "tokens"])
        found: dict[tuple[str, float, str], pd.DataFrame] = {}
        for which, weights in ((GOOD, self.good), (WEB, self.web)):
            own = rows[rows["eval_set"].isin(weights)]
            own = own.assign(loss=own["loss"] * own["eval_set"].map(weights))
            summed = own.groupby(["recipe", "after", "seed", "params"], as_index=False)["loss"].sum()
            for key, cell in summed.groupby(["recipe", "after"]):
                recipe, after = (str(part) for part in key)
                pivot = cell.pivot(index="seed", columns="params", values="loss")
                found[recipe, float(after), which] = pivot.rename(columns=float)
        return found

    def gap(self, way: Way, against: Way, which: str) -> SeedGaps:
        """Its loss less the other's with the same seed and size, hence on the same trunk; a cell a size."""
        return SeedGaps((self.losses(way, which) - self.losses(against, which)).dropna(how="all"))

    def noise(self, which: str) -> float:
        """Standard deviation between seeds of one run, the decay without good data at its end."""
        return SeedGaps(self.losses(Way(self.base, 0.0), which)).sd

    def at_equal_good(self, way: Way, which: str) -> SeedGaps | None:
        """Its loss less that of the decay without good data after as many tokens of it as `way` had in all.

        Between two lengths the loss is taken to be straight in their logarithm; None beyond them.
        """
        at, lengths = self.good_tokens(way), np.array(self.lengths)
        if not lengths[0] <= at <= lengths[-1]:
            return None
        i = min(int(np.searchsorted(lengths, at, side="right")) - 1, len(lengths) - 2)
        share = np.log(at / lengths[i]) / np.log(lengths[i + 1] / lengths[i])
        first, second = (self.losses(Way(self.base, lengths[j]), which) for j in (i, i + 1))
        # a run that is missing at a length that does not count would take the other with it
        parts = [weight * level for weight, level in ((1 - share, first), (share, second)) if weight > 1e-9]
        level = sum(parts[1:], parts[0])
        return SeedGaps((self.losses(way, which) - level).dropna(how="all"))

    def worth(self, way: Way) -> pd.DataFrame:
        """How many tokens of good data after a decay without any one in this way's decay is worth, by the loss on good.

        A row a seed, a column a size; NaN where the other decay did not come so low, or was there at its first length.
        Between two lengths its loss is straight in their logarithm, as in `at_equal_good`.
        """
        mine = self.losses(way, GOOD)
        curve = [self.losses(Way(self.base, after), GOOD) for after in self.lengths]
        found = pd.DataFrame(index=mine.index, columns=mine.columns, dtype=float)
        for seed, size in product(mine.index, mine.columns):
            y = np.array([each[size].get(seed, np.nan) for each in curve])
            loss = float(mine[size].to_numpy()[mine.index.get_loc(seed)])
            if np.all(np.diff(y) < 0) and y[-1] <= loss <= y[0]:
                after = np.exp(np.interp(-loss, -y, np.log(self.lengths)))
                found.at[seed, size] = (after - way.after) / (way.mixture.share * self.decay_tokens)
        return found

    def per_forgotten(self, way: Way) -> pd.DataFrame:
        """Nats gained on the good sets for each lost on the web's, both against the end of the decay without good data.

        A row a seed, a column a size; NaN where nothing was lost.
        """
        start = Way(self.base, 0.0)
        gained = self.losses(start, GOOD) - self.losses(way, GOOD)
        lost = self.losses(way, WEB) - self.losses(start, WEB)
        return gained / lost.where(lost > 0)


def _shares(weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight > 0}
