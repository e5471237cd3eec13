"""What a search and the runs that follow it say, in numbers: the constants, their surface, the gain by size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.analysis import Estimate
from scalinglab.analysis.found_constants import complete, found_constants
from scalinglab.analysis.response_surface import Surface, response_surface
from scalinglab.analysis.source import one_eval_set
from scalinglab.errors import InputError
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.records.trials import Searched, read_search

LEVEL = 0.9


@dataclass(frozen=True)
class Comparison:
    """Found constants against the study's own, run by run of one size, horizon and seed."""

    pairs: pd.DataFrame
    """A row a pair: size, params, tokens, seed, own, found, difference (found less own; below 0 found is better)."""
    loss_unit: str
    lost: int = 0
    """Pairs of which one run diverged."""
    cells: pd.DataFrame = field(init=False)
    """A row a size and horizon: size, params, tokens, difference, lo, hi, pairs, seeds, loss_unit."""

    def __post_init__(self) -> None:
        rows = []
        cell: Any
        for cell, own in self.pairs.groupby(["params", "tokens"], sort=True):
            params, tokens = cell
            each = self.at(params, tokens)
            rows.append(
                {"size": own["size"].iloc[0], "params": params, "tokens": tokens, "difference": each.value}
                | {"lo": each.lo, "hi": each.hi, "pairs": len(own), "seeds": tuple(own["difference"])}
                | {"loss_unit": self.loss_unit}
            )
        object.__setattr__(self, "cells", pd.DataFrame(rows))

    @property
    def noise(self) -> float:
        """Standard deviation of runs alike but for the seed; NaN with one seed."""
        return pooled(self.pairs, ["own", "found"], ["params", "tokens"])[0]

    def at(self, params: float, tokens: float) -> Estimate:
        """Mean difference of a cell; the scatter between seeds is that of all sizes at this horizon, pooled."""
        horizon = self.pairs[self.pairs["tokens"] == tokens]
        own = horizon.loc[horizon["params"] == params, "difference"]
        return mean_of(own.to_numpy(dtype=float), *pooled(horizon, ["difference"], ["params"]))

    @property
    def sizes(self) -> list[float]:
        return sorted(self.pairs["params"].unique())

    @property
    def horizon(self) -> float:
        """The longest."""
        return float(self.pairs["tokens"].max())

    def trend(self) -> Estimate:
        """Slope of the difference over ln N at the longest horizon: above 0 the found constants lose with size."""
        own = self.pairs[self.pairs["tokens"] == self.horizon]
        x = np.log(own["params"].to_numpy(dtype=float))
        x = x - x.mean()
        y = own["difference"].to_numpy(dtype=float)
        spread, freedom = pooled(own, ["difference"], ["params"])
        if not float(x @ x):
            return Estimate(math.nan)
        slope = float(x @ y / (x @ x))
        return _about(slope, spread / math.sqrt(float(x @ x)), freedom)


def pooled(rows: pd.DataFrame, columns: list[str], by: list[str]) -> tuple[float, int]:
    """Standard deviation within cells, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for _, own in rows.groupby(by):
        for column in columns:
            values = own[column].to_numpy(dtype=float)
            squares += float(((values - values.mean()) ** 2).sum())
            freedom += len(values) - 1
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def mean_of(values: Any, spread: float, freedom: int) -> Estimate:
    return _about(float(values.mean()), spread / math.sqrt(len(values)), freedom)


def _about(value: float, error: float, freedom: int) -> Estimate:
    if not freedom:
        return Estimate(value)
    from scipy.stats import t

    reach = float(t.ppf(0.5 + LEVEL / 2, freedom)) * error
    return Estimate(value, value - reach, value + reach)


def comparison(trained: Trained) -> Comparison:
    """Raises InputError where no variant carries found constants, or no pair of runs was finished."""
    variants = [trunk.variant for trunk in trained.trunks if trunk.variant]
    if not variants:
        raise InputError("the study has no variant with found constants to compare with its own settings")
    ends, _, _ = one_eval_set(trained.table[trained.table["kind"] == "branch"], None, trained.study.title)
    loss = dict(zip(ends["run_id"], ends["loss"], strict=True))
    sides: dict[str, dict[tuple[str, float, float, int], float]] = {"": {}, variants[-1]: {}}
    for trunk in trained.trunks:
        if trunk.variant not in sides:
            continue
        for run in trunk.branches:
            cell = (run.shape.name, run.shape.params, run.batches.tokens_at(run.end), run.seed)
            sides[trunk.variant][cell] = loss.get(run.id, math.nan)
    own, found = sides[""], sides[variants[-1]]
    pairs = pd.DataFrame(
        [[*cell, own[cell], found[cell]] for cell in own if cell in found],
        columns=["size", "params", "tokens", "seed", "own", "found"],
    )
    pairs["difference"] = pairs["found"] - pairs["own"]
    kept = pairs[pairs["difference"].notna()].reset_index(drop=True)
    if kept.empty:
        raise InputError("no run of the found constants can be set beside one of the study's own")
    return Comparison(kept, str(ends["loss_unit"].iloc[0]), len(pairs) - len(kept))


# ---- all of it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Findings:
    """Everything that the report says, in numbers."""

    search: Searched
    trials: pd.DataFrame
    found: Mapping[str, Estimate]
    own: Mapping[str, float]
    """The constants that the found ones are compared with: the study's."""
    surface: Surface | None
    no_surface: str
    """Why there is none."""
    compared: Comparison

    @property
    def smallest(self) -> Estimate:
        return self.compared.at(self.compared.sizes[0], self.compared.horizon)

    @property
    def largest(self) -> Estimate:
        return self.compared.at(self.compared.sizes[-1], self.compared.horizon)

    @property
    def larger(self) -> list[Estimate]:
        """The difference at every size above the smallest, at the longest horizon."""
        return [self.compared.at(size, self.compared.horizon) for size in self.compared.sizes[1:]]

    @property
    def spent(self) -> float:
        """FLOPs of all trials, 6·N·D."""
        return 6.0 * float(self.search.header["params"]) * float(self.trials["tokens"].sum())

    @property
    def saved(self) -> float:
        """Tokens of as many whole trials over those that were trained."""
        return len(self.trials) * float(self.search.header["horizon"]) / float(self.trials["tokens"].sum())


def findings(trained: Trained) -> Findings:
    """Raises InputError where the search or the runs that follow it are missing."""
    search = read_search(trained.folder)
    if search is None:
        raise InputError(f"{trained.folder.path} holds no search; run it (scalinglab reproduce search)")
    trials, names = search.frame(), list(search.searched)
    settings = {**trained.study.training.model_dump(), **trained.study.model.model_dump()}
    surface, why = None, ""
    try:
        surface = response_surface(complete(trials), names, level=LEVEL)
    except InputError as error:
        why = str(error)
    return Findings(
        search,
        trials,
        found_constants(trials, names),
        {name: float(settings[name]) for name in names},
        surface,
        why,
        comparison(trained),
    )
