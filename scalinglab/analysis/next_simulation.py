"""Does choosing the next runs pay? The same budget spent in several ways from a known truth, and refitted.

Each repeat draws the results of a starting ladder anew, fits them, spends the budget by each way, draws the results of
the new runs, refits, and notes the answer's interval and its distance from the truth. The ways share the ladder's
results, so they are compared in pairs.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.answer import Answer, own_boot
from scalinglab.analysis.candidate_runs import Candidates, Mode, decay_share_of, default_mode, find_candidates
from scalinglab.analysis.convention import Convention, Cost, convention, positive_budget
from scalinglab.analysis.estimate import estimate, number_text
from scalinglab.analysis.next_runs import Asked, NextRuns, Question, find_question, interval_width, next_runs
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Fit
    from scalinglab.laws import Law

Array = NDArray[np.float64]
WAYS = {
    "next_runs": "chosen for the answer",
    "next horizon": "every size one horizon further, then the next; what is left on the next size",
    "next size": "one size up at the same horizons, then the next; what is left on the next horizon",
    "random": "candidates drawn at random",
}
_DENSITY = 5  # candidates a decade
_STEPS = 3  # of the default grid, at most


@dataclass(frozen=True, kw_only=True)
class NextSimulation(Answer):
    """Ways to spend one budget, over many simulated ladders of a known truth."""

    units: ClassVar[Mapping[str, str]] = {
        "covered": "share of repeats",
        "width_ratio": "×",
        "error_ratio": "×",
    }

    about: str
    budget: float
    repeats: int
    positive: bool
    """Whether widths are factors hi/lo and errors |ln(found/true)|; else differences."""
    rows: pd.DataFrame
    """A row a way: way, runs and flops (means), width and error (medians over repeats), error_90 (nine repeats in ten
    are nearer), covered (share of intervals that hold the truth); width_ratio and error_ratio, next_runs' over this
    way's (of ln widths, where widths are factors), with _lo and _hi, 95 % over repeats."""
    expected: float
    """Median width that next_runs expected; beside the one found in `rows`."""
    each: pd.DataFrame = field(repr=False)
    """A row a repeat and way: repeat, way, runs, flops, width, error, covered."""

    def headline(self) -> str:
        mine = self.rows.set_index("way")
        said = []
        for way in mine.index[1:]:
            row = mine.loc[way]
            clear = "" if row["width_ratio_hi"] < 1 else ", not clearly narrower"
            said.append(
                f"{row['width_ratio']:.2f} of {way}'s [{row['width_ratio_lo']:.2f}, {row['width_ratio_hi']:.2f}]{clear}"
            )
        logs = " in logs" if self.positive else ""
        return (
            f"{self.about}, {self.budget:.2g} FLOPs spent, {self.repeats} simulated ladders: the interval{logs} after "
            f"next_runs is {'; '.join(said)}"
        )

    def table(self) -> pd.DataFrame:
        """The rows to be read; `rows` has them all."""
        places = {name: 2 for name in self.rows.columns if "ratio" in name} | {
            "error": 3,
            "covered": 2,
            "runs": 1,
        }
        shown = self.rows.assign(flops=(self.rows["flops"] / self.budget).round(2)).round(places)
        return shown.drop(columns=["covered", "error_90"]).rename(columns={"flops": "spent"})

    def _units(self) -> Mapping[str, str]:
        width, error = ("hi/lo", "|ln(found/true)|") if self.positive else ("hi − lo", "|found − true|")
        return {**self.units, "width": width, "error": error, "error_90": error}

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON, without the single repeats."""
        return {name: value for name, value in super().plain().items() if name != "each"}


def simulate_next(
    truth: "Fit",
    budget: float | None = None,
    answer: Asked = "ratio",
    *,
    flops: float | None = None,
    ladder: pd.DataFrame | None = None,
    law: "Law | None" = None,
    row_sd: float | None = None,
    trunk_sd: float | None = None,
    repeats: int = 100,
    runs: int | None = None,
    cost: Cost = "6ND",
    mode: Mode | None = None,
    decay_share: float | None = None,
    reach: float = 1.0,
    level: float = 0.9,
    resamples: int = 300,
    method: str | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> NextSimulation:
    """Spend a budget by `next_runs`, on the default grids and at random, over `repeats` simulated ladders.

    truth: its constants are taken to be right. ladder: the runs there are (params, tokens, perhaps trunk_id), by
        default the truth's own rows. row_sd, trunk_sd: deviations of log loss (or of the loss, where the fit is
        on it) of a run and of a trunk, by default those of the truth's bootstrap.
    law: what is fitted, by default the truth's own law; another one shows what a law that is wrong does.
    budget: by default what one further horizon of every size costs. runs: most runs of next_runs and of the random way,
        by default as many as there are sizes or horizons, whichever is more; the grids take what the budget pays for.
    resamples: behind each interval. The rest as in `next_runs`. Raises InputError for what `next_runs` refuses.
    """
    from scalinglab.fitting import fit as refit

    start = (truth.rows if ladder is None else ladder).reset_index(drop=True)
    if not len(start):
        raise InputError("a simulation starts from a ladder: give ladder= with params and tokens")
    if set(truth.law.variables) != {"params", "tokens"}:
        raise InputError(f"a simulation takes a law in params and tokens alone, not {truth.law.name}")
    if repeats < 2:
        raise InputError(f"a simulation needs at least two repeats, not {repeats}")
    mode, fitted = mode or default_mode(start), law or truth.law
    columns = ["params", "tokens", *(["trunk_id"] if "trunk_id" in start else [])]
    start = start[columns].copy()
    start["trunk_id"] = (
        start["trunk_id"].astype(str) if "trunk_id" in start else [f"run{i}" for i in range(len(start))]
    )
    if row_sd is None:
        boot = own_boot(truth)
        if boot is None:
            raise InputError("a simulation needs the noise of a run: give row_sd=, such as 0.003 of log loss")
        row_sd, trunk_sd = boot.noise.row, boot.noise.trunk if trunk_sd is None else trunk_sd
    noise = _Noise(truth, row_sd, trunk_sd or 0.0)
    counted = convention(cost, truth.rows)
    sizes, horizons = start["params"].nunique(), start["tokens"].nunique()
    most = runs or max(sizes, horizons)
    grids = {
        way: _default_grid(start, way, mode, counted, decay_share) for way in ("next horizon", "next size")
    }
    if budget is None:
        first = list(range(sizes))
        budget = grids["next horizon"].cost_of(first)
    budget = positive_budget(budget)
    results = []
    asked: Question | None = None
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        trunks: dict[str, float] = {}
        table = noise.results(start, trunks, rng)
        first_fit = refit(fitted, table, loss=truth.loss)
        first_boot = first_fit.bootstrap(resamples, seed=repeat, method=method)
        if asked is None:
            target = flops or 10.0 * float(counted(start["params"], start["tokens"]).max())
            asked = find_question(first_fit, answer, target, counted, {})
            of_truth = find_question(truth, answer, target, counted, {})
            true = float(np.squeeze(of_truth.of(truth.constants)))
        chosen = next_runs(
            first_fit, budget, answer, flops=asked.flops, runs=most, cost=counted, mode=mode, decay_share=decay_share,
            reach=reach, density=_DENSITY, level=level, boot=first_boot, beyond=math.inf,
        )  # fmt: skip
        pool = find_candidates(first_fit, counted, mode, decay_share, reach, density=_DENSITY)
        plans = {"now": (start.iloc[:0], 0.0), "next_runs": (_trained(chosen), chosen.spent)}
        for way, grid in grids.items():
            taken = _in_order(grid, budget)
            plans[way] = _rows(grid, taken), grid.cost_of(taken)
        taken = _at_random(pool, budget, most, rng)
        plans["random"] = _rows(pool, taken), pool.cost_of(taken)
        for way, (new, spent) in plans.items():
            draws = np.random.default_rng([seed, repeat, 1])  # the same for each way
            more = noise.results(new, dict(trunks), draws)
            if way == "now":
                found, boot = first_fit, first_boot
            else:
                found = refit(fitted, pd.concat([table, more], ignore_index=True), loss=truth.loss)
                boot = found.bootstrap(resamples, seed=repeat, method=method)
            with np.errstate(all="ignore"):
                value = float(np.squeeze(asked.of(found.constants)))
                interval = estimate(value, np.asarray(asked.of(boot.constants), float), level)
                error = abs(math.log(value / true)) if asked.positive and value > 0 else abs(value - true)
            results.append(
                {
                    "repeat": repeat,
                    "way": way,
                    "runs": len(new),
                    "flops": spent,
                    "width": float(interval_width(interval.lo, interval.hi, asked.positive)),
                    "error": error if math.isfinite(error) else math.inf,
                    "covered": interval.lo <= true <= interval.hi,
                    "expected": chosen.width(chosen.after) if way == "next_runs" else math.nan,
                }
            )
        if progress is not None:
            progress(repeat + 1, repeats)
    assert asked is not None
    each = pd.DataFrame(results)
    expected = float(each["expected"].median())
    rests = (
        f"Truth: the fit's constants, with deviations of {number_text(row_sd)} a run and "
        f"{number_text(trunk_sd or 0.0)} a trunk; next_runs and random take at most {most} runs, the grids what the "
        "budget pays for. It shows how the choice does where the law is right, not whether it is."
    )
    ways = [f"{way}: {what}." for way, what in WAYS.items() if way in grids]
    covered = float(each.loc[each["way"] == "next_runs", "covered"].mean())
    held = (
        f"next_runs expected a width of {number_text(expected)} (median); {covered:.0%} of the intervals found after "
        "it hold the truth."
    )
    return NextSimulation(
        about=asked.about, budget=budget, repeats=repeats, positive=asked.positive,
        rows=_compared(each, asked.positive, seed), expected=expected, each=each, level=level,
        notes=(rests, *ways, held),
    )  # fmt: skip


# ---- ways to spend a budget -----------------------------------------------------------------------


def _default_grid(
    ladder: pd.DataFrame, way: str, mode: Mode, cost: Convention, decay_share: float | None
) -> Candidates:
    """The ladder carried on by steps of its own spacing, cheapest first, in N or in D; then in the other, for what is
    left of the budget."""
    sizes, horizons = (np.unique(ladder[v].to_numpy(dtype=float)) for v in ("params", "tokens"))
    share = decay_share_of(ladder, decay_share)
    longest = ladder.loc[ladder.groupby("params")["tokens"].idxmax()].sort_values("params")
    own = np.unique(ladder.loc[ladder["params"] == sizes[-1], "tokens"].to_numpy(dtype=float))
    steps = range(1, _STEPS + 1)
    further = [
        (float(row["params"]), float(row["tokens"]) * _step(horizons) ** k, i)
        for k in steps
        for i, row in enumerate(longest.to_dict("records"))
    ]
    larger = [(sizes[-1] * _step(sizes) ** k, float(d), len(longest) + k - 1) for k in steps for d in own]
    runs = further + larger if way == "next horizon" else larger + further
    n, d, trunk = (np.array(column) for column in zip(*runs, strict=True))
    if mode == "scratch":
        return Candidates(n, d, np.full(n.size, -1), np.empty(0), (), share, cost)
    stable = np.append((1 - share) * longest["tokens"].to_numpy(dtype=float), np.zeros(_STEPS))
    return Candidates(n, d, trunk, stable, (*longest["trunk_id"], *[None] * _STEPS), share, cost)


def _step(values: Array) -> float:
    """The usual factor between neighbours."""
    return float(np.exp(np.median(np.diff(np.log(values))))) if len(values) > 1 else 2.0


def _in_order(grid: Candidates, budget: float) -> list[int]:
    taken: list[int] = []
    for i in range(len(grid.params)):
        if grid.cost_of([*taken, i]) <= budget * (1 + 1e-9):
            taken.append(i)
    return taken


def _at_random(pool: Candidates, budget: float, most: int, rng: np.random.Generator) -> list[int]:
    taken: list[int] = []
    spent = 0.0
    while len(taken) < most:
        cost = pool.marginal(taken)
        may = cost <= budget - spent
        may[[i for i in taken if not pool.repeatable[i]]] = False
        if not may.any():
            break
        i = int(rng.choice(np.flatnonzero(may)))
        spent += float(cost[i])
        taken.append(i)
    return taken


def _rows(runs: Candidates, taken: list[int]) -> pd.DataFrame:
    names: list[Any] = []
    for i in taken:
        t = runs.trunk[i]
        known = None if t < 0 else runs.label[t]
        names.append(f"scratch {len(names)}" if t < 0 else f"new {t}" if known is None else known)
    return pd.DataFrame({"params": runs.params[taken], "tokens": runs.tokens[taken], "trunk_id": names})


def _trained(chosen: NextRuns) -> pd.DataFrame:
    rows = chosen.rows
    names = [
        f"scratch {i}" if trunk == "" else f"new {n:.6g}" if trunk in ("new", "same") else trunk
        for i, (n, trunk) in enumerate(zip(rows["params"], rows["trunk"], strict=True))
    ]
    return rows[["params", "tokens"]].assign(trunk_id=names)


@dataclass(frozen=True)
class _Noise:
    """Results of runs about the truth."""

    truth: "Fit"
    row: float
    trunk: float

    def results(self, runs: pd.DataFrame, trunks: dict[str, float], rng: np.random.Generator) -> pd.DataFrame:
        """The runs with their loss; `trunks` holds the deviations drawn so far, and gets the new ones."""
        clean = self.truth.law.predict(self.truth.constants, params=runs["params"], tokens=runs["tokens"])
        for name in runs["trunk_id"]:
            if name not in trunks:
                trunks[name] = self.trunk * rng.standard_normal()
        off = runs["trunk_id"].map(trunks).to_numpy(dtype=float) + self.row * rng.standard_normal(len(runs))
        loss = clean * np.exp(off) if self.truth.loss.on == "log" else clean + off
        return runs.assign(loss=loss)


# ---- beside each other ----------------------------------------------------------------------------


def _compared(each: pd.DataFrame, positive: bool, seed: int) -> pd.DataFrame:
    """Medians of each way, and next_runs' over theirs with paired bootstrap intervals over the repeats."""
    table = each.assign(log_width=np.log(each["width"]) if positive else each["width"])
    wide = {key: table.pivot(index="repeat", columns="way", values=key) for key in ("log_width", "error")}
    rng = np.random.default_rng(seed)
    n = len(wide["error"])
    picks = rng.integers(n, size=(2000, n))
    out = []
    for way, own in table.groupby("way", sort=False):
        if way == "now":
            continue
        row: dict[str, Any] = {
            "way": way, "runs": own["runs"].mean(), "flops": own["flops"].mean(), "width": own["width"].median(),
            "error": own["error"].median(), "error_90": own["error"].quantile(0.9, interpolation="higher"),
            "covered": own["covered"].mean(),
        }  # fmt: skip
        for key, name in (("log_width", "width_ratio"), ("error", "error_ratio")):
            mine, theirs = (wide[key][w].to_numpy() for w in ("next_runs", way))
            with np.errstate(all="ignore"):
                draws = np.median(mine[picks], axis=1) / np.median(theirs[picks], axis=1)
                row[name] = float(np.median(mine) / np.median(theirs))
            row[f"{name}_lo"], row[f"{name}_hi"] = (float(v) for v in np.nanquantile(draws, [0.025, 0.975]))
        out.append(row)
    return pd.DataFrame(out)
