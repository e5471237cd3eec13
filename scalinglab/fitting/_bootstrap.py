"""Refitting resamples, thousands in one batch.

A resample of rows or clusters is a set of integer weights on the same points; a parametric resample is a new
column of losses. Either way the model is the same and each refit starts at the full fit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab.errors import InputError
from scalinglab.fitting._frames import constants_frame
from scalinglab.fitting._noise import Noise, plain_sd, split_noise
from scalinglab.fitting._status import FitWarning
from scalinglab.laws._law import Array, Law
from scalinglab.shown import html_list, html_result, html_table, text_table, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting._fit import Fit

METHODS = ("rows", "clusters", "parametric")
ENOUGH_CLUSTERS = 20
LACK_OF_FIT = 0.01  # share of simulated tables that must lie as far from the law as the rows do
WIDEN_BELOW = 100  # rows
PART = 1000  # resamples between two calls of `progress`


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The constants of n refits, and how they were drawn.

    constants: one row a resample, one column a constant. objective (n,): of each refit. noise: the deviations
    drawn (parametric) or seen (otherwise). law, full: whose constants they are, and those of all rows.
    """

    constants: pd.DataFrame = field(repr=False)
    objective: Array = field(repr=False)
    method: str
    by: str | None
    seed: int
    noise: Noise
    on: str
    law: Law = field(repr=False)
    full: dict[str, float] = field(repr=False)
    warnings: tuple[FitWarning, ...] = ()

    def __str__(self) -> str:
        """How it was drawn, each constant with its interval, the warnings."""
        return "\n".join(
            [
                wrapped(self._headline()),
                text_table(self.to_frame().drop(columns=["unit", "meaning"])),
                *(wrapped(str(warning), "  ") for warning in self.warnings),
            ]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_result(
            self._headline(),
            html_list("Warnings", map(str, self.warnings)),
            html_table(self.to_frame(), "Constants of all rows, with 90% intervals of the refits"),
        )

    def _headline(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return (
            f"{len(self.constants)} refits of {self.law.name}, {self.method}{by}: deviation {self.noise.row:.2g} a "
            f"row, {self.noise.trunk:.2g} a {self.by or 'cluster'} ({self.noise.source})"
        )

    def to_frame(self, level: float = 0.9) -> pd.DataFrame:
        """One row a constant, as `Fit.to_frame` has it; attrs also method, by, resamples."""
        table = constants_frame(self.law, self.full, self, level)
        table.attrs |= {"method": self.method, "by": self.by, "resamples": len(self.constants)}
        return table

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Where the refits put each constant: `scalinglab.plots.bootstrap` of this one."""
        from scalinglab import plots

        return plots.bootstrap(self, ax=ax, **options)

    @property
    def stderr(self) -> pd.Series:
        """Standard deviation of each constant over the resamples."""
        return self.constants.std(ddof=1).rename("stderr")

    def interval(self, level: float = 0.9) -> pd.DataFrame:
        """Percentile interval of each constant: index constant, columns lo and hi."""
        if not 0 < level < 1:
            raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
        tail = (1 - level) / 2
        ends = self.constants.quantile([tail, 1 - tail]).T
        ends.columns = pd.Index(["lo", "hi"])
        ends.index.name = "constant"
        return ends

    def derive(self, fn: Callable[[pd.DataFrame], Any]) -> Array:
        """fn of the constants over all resamples, shape (n, …); fn takes a frame of columns, vectorised."""
        out = np.asarray(fn(self.constants), dtype=float)
        if out.shape[:1] != (len(self.constants),):
            raise InputError(
                f"the function must give one value a resample ({len(self.constants)}), it gave {out.shape}"
            )
        return out

    def add_noise(self, predictions: Array) -> Array:
        """Predictions (n, points) of the mean, with a new run's own deviation added."""
        rng = np.random.default_rng([self.seed, 1])
        draw = rng.standard_normal(predictions.shape) * np.hypot(*self.noise.scales(rng, len(predictions)))
        with np.errstate(
            over="ignore"
        ):  # a scatter of hundreds reaches infinity, which the interval then says
            return predictions * np.exp(draw) if self.on == "log" else predictions + draw


def bootstrap(
    fit: "Fit",
    n: int,
    *,
    by: str | None,
    method: str | None,
    seed: int,
    trunk_sd: float | None,
    progress: Any,
) -> Bootstrap:
    if not len(fit.rows):
        raise InputError(
            "this fit holds no rows (its constants were given), so it has no bootstrap and no intervals"
        )
    if n < 1:
        raise InputError(f"a bootstrap takes at least one resample, not {n}")
    rows, law = fit.rows, fit.law
    notes = []
    if by is None and "trunk_id" in rows.columns and rows["trunk_id"].nunique() < len(rows):
        by = "trunk_id"
    cluster, clusters = None, 0
    if by is not None:
        if by not in rows.columns:
            raise InputError(f"the fitted rows have no column {by!r} to resample by")
        cluster, labels = pd.factorize(rows[by], use_na_sentinel=False)
        clusters = len(labels)
    x = np.stack([rows[v].to_numpy(dtype=float) for v in law.variables])
    if method is None:
        method = default_method(x, cluster)
    if method not in METHODS:
        raise InputError(f"bootstrap methods are {', '.join(METHODS)}, not {method!r}")
    if method == "clusters" and by is None:
        raise InputError('the clusters bootstrap needs by=, for example by="trunk_id"')
    if method == "clusters" and clusters < 3:
        raise InputError(f'{clusters} values of {by} are too few to resample: use method="parametric"')

    problem = fit.problem()
    t, n_rows, w = problem.at(fit.constants), problem.model.n, problem.w
    r, J = (a[0] for a in problem.residuals(t[None]))
    if cluster is None:
        freedom = max(n_rows - problem.free, 1)
        noise = Noise(fit.noise, 0.0, "rows are taken to be independent", freedom)
    else:
        noise = split_noise(r, J.T, cluster, _cells(x))
        if trunk_sd is not None:
            noise = Noise(noise.row, trunk_sd, "given", noise.row_freedom)

    # A refit starts near its end, and under the last δ at once. With few rows a nearly-L1 objective now and then has
    # a second minimum on the way, which a widened δ steps over (1 % of resamples of 59 rows, none of 133).
    widen = 1.0 if n_rows >= WIDEN_BELOW else np.inf
    rng = np.random.default_rng(seed)
    L = problem.model.evaluate(t[None])[0][0]
    ends, objectives, few = [], [], 0
    done = 0
    while done < n:
        b = min(PART, n - done)
        if method == "parametric":
            row, trunk = noise.scales(rng, b)
            draw = row * rng.standard_normal((b, n_rows))
            if cluster is not None:
                draw += (trunk * rng.standard_normal((b, clusters)))[:, cluster]
            new = {"y": L * np.exp(draw) if fit.loss.on == "log" else np.maximum(L + draw, 1e-6 * L)}
        else:
            units = n_rows if method == "rows" else clusters
            counts = resample_counts(rng, units, b)
            new = {"w": w * (counts if method == "rows" else counts[:, cluster])}
            few += int((_distinct(x, new["w"] > 0) <= 2).sum())
        end = problem.minimise(np.repeat(t[None], b, axis=0), widen=widen, **new)
        ends.append(problem.constants(end.t))
        objectives.append(end.objective)
        done += b
        if progress is not None:
            progress(done, n)

    if method == "clusters" and default_method(x, cluster) != "clusters":
        notes.append(
            FitWarning(
                "few-clusters",
                f"{clusters} values of {by}, or the sizes they hold, are few to resample: such intervals can be too "
                "narrow",
                'method="parametric"',
            )
        )
    if method == "rows" and by is not None:
        notes.append(
            FitWarning(
                "shared-noise",
                f"rows of one {by} share its deviation, but are resampled one by one: such intervals are too narrow",
                f'leave method to its default, with by="{by}"',
            )
        )
    if few:
        notes.append(
            FitWarning(
                "few-values",
                f"{few} of {n} resamples hold two distinct values of a variable or fewer, and cannot tell a power "
                "from a floor",
                'use method="parametric", or add sizes',
            )
        )
    if method == "parametric" and cluster is not None and noise.source.startswith("assumed"):
        notes.append(
            FitWarning(
                "assumed-trunk-noise",
                f"a {by}'s own deviation is {noise.source}: {noise.trunk:.2g} ({fit.loss.on})",
                "train one size again with another seed, or give trunk_sd=",
            )
        )
    if method == "parametric" and np.mean(np.concatenate(objectives) >= fit.objective) < LACK_OF_FIT:
        law_sd = plain_sd(r, problem.free)
        notes.append(
            FitWarning(
                "lack-of-fit",
                f"the rows lie {law_sd:.2g} about the law, more than their noise explains "
                f"({noise.row:.2g} a row, {noise.trunk:.2g} a {by or 'row'}): the law bends away from them, and "
                "these intervals take the law to be right",
                'leave out the smallest runs or fit another law; method="rows" counts the misfit as noise',
            )
        )
    constants = pd.DataFrame(np.concatenate(ends), columns=list(law.constant_names))
    return Bootstrap(
        constants, np.concatenate(objectives), method, by, seed, noise, fit.loss.on, law, dict(fit.constants),
        tuple(notes),
    )  # fmt: skip


def default_method(x: Array, cluster: Any) -> str:
    """Which bootstrap the rows x (v, n) allow; `cluster` (n,) as integers, or None for independent rows.

    Resampled clusters must leave a table that still determines the law. k trunks of one size each leave about
    0.63·k sizes, and a size seen in one trunk alone is lost to a third of the resamples; besides, a percentile
    of k clusters knows nothing of how few they are. Simulated 90 % intervals of six trunks cover down to 82 %,
    of four to 66 %, where those of the parametric form cover 85–92 % (benchmarks/fitting_coverage.py). With twenty
    there is no such gap, and clusters need no normal noise alike at all sizes. Both clusters and values of
    whatever a cluster holds fixed are counted: twenty trunks of four sizes are too few.
    """
    if cluster is None:
        return "rows"
    clusters = int(cluster.max()) + 1
    fixed = [values for values in x if len(np.unique(np.stack([cluster, values]), axis=1).T) == clusters]
    fewest = min([clusters, *(len(np.unique(values)) for values in fixed)])
    return "clusters" if fewest >= ENOUGH_CLUSTERS else "parametric"


def resample_counts(rng: Any, units: int, b: int) -> Array:
    """How often each of `units` is drawn in b resamples with replacement, (b, units)."""
    drawn = rng.integers(units, size=(b, units)) + units * np.arange(b)[:, None]
    return np.bincount(drawn.ravel(), minlength=b * units).reshape(b, units).astype(float)


def _cells(x: Array) -> Any:
    """An integer a row: the same for rows that share all variables."""
    return np.unique(x, axis=1, return_inverse=True)[1].ravel()


def _distinct(x: Array, present: Any) -> Array:
    """The fewest distinct values of a variable among the present rows of each resample, (b,)."""
    fewest = np.full(len(present), np.inf)
    for values in x:
        distinct, index = np.unique(values, return_inverse=True)
        if len(distinct) <= 30:  # of more than that, no resample misses all but two
            indicator = (index[:, None] == np.arange(len(distinct))).astype(float)
            fewest = np.minimum(fewest, ((present @ indicator) > 0).sum(axis=1))
    return fewest
