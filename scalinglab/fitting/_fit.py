"""The result of a fit: a value with a status, from which everything else is asked."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalinglab.errors import InputError
from scalinglab.fitting._constraints import Constraints, read_constraints
from scalinglab.fitting._delta import delta_warnings
from scalinglab.fitting._flat import flat_directions, flat_warnings
from scalinglab.fitting._frames import constants_frame
from scalinglab.fitting._loss import Huber, Loss
from scalinglab.fitting._model import build_model
from scalinglab.fitting._noise import plain_sd
from scalinglab.fitting._problem import Problem
from scalinglab.fitting._rows import as_table, take_rows
from scalinglab.fitting._search import Optimum, find_optimum
from scalinglab.fitting._status import FitWarning, Status
from scalinglab.laws._law import Array, Law
from scalinglab.shown import html_list, html_result, html_small, html_table, text_table, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting._bootstrap import Bootstrap
    from scalinglab.fitting._profile import Profile


@dataclass(frozen=True)
class Starts:
    """How many of the tried starts ended at the best objective."""

    agreed: int
    tried: int

    def __str__(self) -> str:
        return f"{self.agreed} of {self.tried}"


@dataclass(frozen=True, eq=False)
class Fit:
    """A law with its constants, the rows they came from, and how sure one may be of them.

    objective: the loss's weighted sum over rows. gradient: its slope at the end in solver coordinates (zero where
    a bound holds). condition: of the curvature there, with unit diagonal. domain: (lowest, highest) of each
    variable in the rows. noise: standard deviation of the residuals, corrected for the constants fitted.
    """

    law: Law
    loss: Loss
    constants: dict[str, float]
    rows: pd.DataFrame = field(repr=False)
    weights: Any = field(repr=False)
    constraints: Constraints = field(repr=False)
    objective: float
    status: Status
    warnings: tuple[FitWarning, ...] = ()
    starts: Starts = Starts(0, 0)
    gradient: dict[str, float] = field(default_factory=dict, repr=False)
    condition: float = np.nan
    domain: dict[str, tuple[float, float]] = field(default_factory=dict)
    noise: float = np.nan
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    # ---- reading --------------------------------------------------------------------------------

    def __str__(self) -> str:
        """The law, how the fit ended, its constants with intervals where a bootstrap is kept, the warnings."""
        shown = self.summary().drop(columns=["unit", "meaning"])
        return "\n".join(
            [
                wrapped(f"{self.law.name}: {self.law.formula}"),
                wrapped(f"{len(self.rows)} rows, {self.status.value}: {self.status.reason}"),
                text_table(shown),
                *(wrapped(str(warning), "  ") for warning in self.warnings),
            ]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self.summary()
        caption = "Constants" + ", with their 90% intervals" * ("lo" in table)
        loss = f"{self.loss.name} on the {'log of the loss' if self.loss.on == 'log' else 'loss'}"
        more = f"{loss}, objective {self.objective:.6g}, {self.starts} starts agree" if len(self.rows) else ""
        return html_result(
            f"{self.law.name}, {self.law.formula}: {len(self.rows)} rows, {self.status.value}: "
            f"{self.status.reason}.",
            html_list("Warnings", map(str, self.warnings)),
            html_table(table, caption),
            html_small(more),
        )

    # ---- asking ---------------------------------------------------------------------------------

    def predict(
        self,
        *,
        interval: float | None = None,
        boot: "Bootstrap | None" = None,
        interval_kind: Literal["mean", "run"] = "mean",
        **variables: Any,
    ) -> pd.DataFrame:
        """The law at `variables` (numbers or arrays that broadcast), one row a point.

        Columns: the variables, the law's target ("loss"), and `extrapolation`: decades beyond the nearest edge of
        the fitted domain, the largest over the variables and their product, 0 inside. With `interval`, also
        `<target>_lo` and `<target>_hi`: for the mean curve, or for a new run, whose own deviation is added.
        Raises InputError for an unknown variable, or an interval of a fit without rows.
        """
        x = [np.atleast_1d(v).ravel() for v in self.law.ordered_variables(variables)]
        points = dict(zip(self.law.variables, x, strict=True))
        target = self.law.target
        out = pd.DataFrame({**points, target: self.law.predict(self.constants, **points)})
        if interval is not None:
            boot = boot or self.boot()
            draws = self.law.predict(boot.constants, **points)
            if interval_kind == "run":
                draws = boot.add_noise(draws)
            elif interval_kind != "mean":
                raise InputError(f'interval_kind is "mean" or "run", not {interval_kind!r}')
            tail = (1 - _level(interval)) / 2
            out[f"{target}_lo"], out[f"{target}_hi"] = np.quantile(draws, [tail, 1 - tail], axis=0)
        out["extrapolation"] = self._decades_outside(points)
        return out

    def _decades_outside(self, points: Mapping[str, Any]) -> Any:
        n = len(next(iter(points.values())))
        if not self.domain:
            return np.full(n, np.nan)
        edges = dict(self.domain)
        logs = {name: np.log10(values) for name, values in points.items()}
        if len(logs) > 1 and len(self.rows):
            product = np.log10(self.rows[list(self.law.variables)].to_numpy(dtype=float)).sum(axis=1)
            edges["·"] = (10 ** product.min(), 10 ** product.max())
            logs["·"] = sum(logs.values())
        return np.max(
            [np.maximum(np.log10(lo) - logs[v], logs[v] - np.log10(hi)) for v, (lo, hi) in edges.items()],
            axis=0,
            initial=0.0,
        )

    def to_frame(self, level: float = 0.9) -> pd.DataFrame:
        """One row a constant: value, stderr, lo, hi (NaN without a bootstrap), unit, meaning.

        attrs: law, level, status, warnings (a sentence each), loss_unit ("" where the rows do not tell it).
        """
        table = constants_frame(self.law, self.constants, self._kept.get("boot"), level)
        units: Any = self.rows["loss_unit"].dropna().unique() if "loss_unit" in self.rows else []
        table.attrs |= {
            "status": self.status.value,
            "warnings": [str(warning) for warning in self.warnings],
            "loss_unit": str(units[0]) if len(units) else "",
        }
        return table

    def summary(self) -> pd.DataFrame:
        """`to_frame` at a level of 0.9, without stderr and interval where no bootstrap is kept."""
        return (
            self.to_frame() if "boot" in self._kept else self.to_frame().drop(columns=["stderr", "lo", "hi"])
        )

    # ---- uncertainty ----------------------------------------------------------------------------

    def bootstrap(
        self,
        n: int = 4000,
        *,
        by: str | None = None,
        method: str | None = None,
        seed: int = 0,
        trunk_sd: float | None = None,
        progress: Any = None,
    ) -> "Bootstrap":
        """Refit n resamples in one batch; see `Bootstrap`. The latest is kept for `predict` and `summary`.

        by: a column whose values share noise, such as "trunk_id" (taken by itself where the rows have it).
        method: "rows", "clusters" (of `by`) or "parametric" (the law plus a row's and a trunk's deviation);
        default: rows without `by`; with it clusters, or parametric below twenty of them or of sizes.
        trunk_sd: a trunk's own standard deviation, where it is known; otherwise estimated or assumed, and said.
        progress: called with (done, n) after each part.
        """
        from scalinglab.fitting._bootstrap import bootstrap

        boot = bootstrap(self, n, by=by, method=method, seed=seed, trunk_sd=trunk_sd, progress=progress)
        self._kept["boot"] = boot
        return boot

    def boot(self) -> "Bootstrap":
        """The bootstrap kept, computed at its defaults where there is none yet."""
        return self._kept["boot"] if "boot" in self._kept else self.bootstrap()

    def covariance(self, kind: str | None = None, by: str | None = None) -> pd.DataFrame:
        """Covariance of the constants at the optimum, without refits; NaN where the rows leave a direction open.

        kind: "sandwich" (rows may scatter differently; with `by`, rows of one cluster share noise) or "plain"
        (all rows alike and independent); default: plain for squared error, the sandwich otherwise.
        A constant held or at a bound has none. For constants that trade off, intervals from it are too narrow
        or lopsided (docs/fitting.md): prefer `profile` or `bootstrap`.
        """
        from scalinglab.fitting._covariance import fit_covariance

        names = list(self.law.constant_names)
        return pd.DataFrame(fit_covariance(self, kind, by), names, names)

    @property
    def stderr(self) -> pd.Series:
        """Standard error of each constant from `covariance` at its defaults."""
        table = self.covariance()
        return pd.Series(np.sqrt(np.diag(table)), table.index, name="stderr")

    def profile(
        self,
        what: "str | Callable[[pd.DataFrame], Any]",
        level: float = 0.9,
        *,
        kind: str | None = None,
        by: str | None = None,
        name: str | None = None,
    ) -> "Profile":
        """Profile likelihood of a constant, or of fn(constants) for a frame of columns: interval and curve.

        >>> fit.profile("alpha").curve.plot("value", "z")
        >>> fit.profile(lambda c: c["beta"] / (c["alpha"] + c["beta"]), name="a")

        kind and by as in `covariance`: "plain" is the likelihood ratio alone, the sandwich widens it for rows that
        scatter differently or, with `by`, share noise. Raises InputError for an unknown constant, or where the
        rows leave a direction open.
        """
        from scalinglab.fitting._profile import profile

        return profile(self, what, level, name, kind, by)

    def problem(self) -> Problem:
        """The numbers of this fit: its model on its rows and its loss. Raises InputError where it holds no rows."""
        if "problem" not in self._kept:
            if not len(self.rows):
                raise InputError("this fit holds no rows (its constants were given), so it can only predict")
            x = np.stack([self.rows[v].to_numpy(dtype=float) for v in self.law.variables])
            y = self.rows[self.law.target].to_numpy(dtype=float)
            self._kept["problem"] = Problem(
                build_model(self.law, x, self.constraints), y, self.weights, self.loss
            )
        return self._kept["problem"]

    def to_lmfit(self) -> tuple[Any, Any]:
        """(lmfit Minimizer, its result at this optimum), for lmfit's intervals, 2-D maps and emcee.

        >>> lmfit.conf_interval(*fit.to_lmfit())
        """
        from scalinglab.fitting._lmfit import to_lmfit

        return to_lmfit(self)

    # ---- drawing --------------------------------------------------------------------------------

    def plot(self, kind: str | None = None, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """The obvious figure of this law, or the one named, on `ax` or axes of its own.

        kind: a function of `scalinglab.plots` that draws a fit; by default "contours" of a law in params and tokens,
            "data_limited" where unique tokens come in, "curve" of a law in one variable, "measured" of any other.
        options: to that function. Raises InputError for an unknown kind, or one that this law does not have.
        """
        from scalinglab.plots._obvious import plot_fit

        return plot_fit(self, kind, ax, **options)

    # ---- what the analysis room answers ----------------------------------------------------------

    def optimum(self, *args: Any, **kwargs: Any) -> Any:
        """Compute-optimal params and tokens: `scalinglab.analysis.optimum` of this fit."""
        from scalinglab import analysis

        return analysis.optimum(self, *args, **kwargs)

    def frontier(self, *args: Any, **kwargs: Any) -> Any:
        """The compute-optimal frontier: `scalinglab.analysis.frontier` of this fit."""
        from scalinglab import analysis

        return analysis.frontier(self, *args, **kwargs)

    def scaling(self, *args: Any, **kwargs: Any) -> Any:
        """How the optimum grows, a, b, G, K² and η: `scalinglab.analysis.scaling` of this fit."""
        from scalinglab import analysis

        return analysis.scaling(self, *args, **kwargs)

    def equivalent_size(self, *args: Any, **kwargs: Any) -> Any:
        """The compute-optimal model a loss is worth: `scalinglab.analysis.equivalent_size` of this fit."""
        from scalinglab import analysis

        return analysis.equivalent_size(self, *args, **kwargs)

    def overtraining(self, *args: Any, **kwargs: Any) -> Any:
        """What smaller models than the optimum cost: `scalinglab.analysis.overtraining` of this fit."""
        from scalinglab import analysis

        return analysis.overtraining(self, *args, **kwargs)

    def inference_optimum(self, *args: Any, **kwargs: Any) -> Any:
        """The model cheapest to train and serve: `scalinglab.analysis.inference_optimum` of this fit."""
        from scalinglab import analysis

        return analysis.inference_optimum(self, *args, **kwargs)

    def data_limited(self, *args: Any, **kwargs: Any) -> Any:
        """The optimum with few unique tokens: `scalinglab.analysis.data_limited` of this fit."""
        from scalinglab import analysis

        return analysis.data_limited(self, *args, **kwargs)

    # ---- keeping --------------------------------------------------------------------------------

    @classmethod
    def from_constants(cls, law: Law, constants: Mapping[str, float]) -> "Fit":
        """A published law: the same methods, no rows, no intervals."""
        values = [float(v) for v in law.ordered_constants(constants)]
        return cls(
            law=law,
            loss=Huber(),
            constants=dict(zip(law.constant_names, values, strict=True)),
            rows=pd.DataFrame(columns=[*law.variables, law.target]),
            weights=np.empty(0),
            constraints=Constraints(),
            objective=np.nan,
            status=Status.GIVEN,
        )

    def to_json(self, path: str | Path) -> Path:
        """Write the fit to a file that `Fit.from_json` reads back to the same predictions."""
        from scalinglab.fitting._json import write

        return write(self, Path(path))

    @classmethod
    def from_json(cls, path: str | Path, law: Law | None = None) -> "Fit":
        """Read a fit. `law` is needed only for a law of your own, which the file can name but not hold.

        Raises InputError for a file of another version or an unknown law.
        """
        from scalinglab.fitting._json import read

        return read(Path(path), law)


def fit(
    law: Law,
    runs: "pd.DataFrame | str | os.PathLike[str]",
    loss: Loss | None = None,
    eval_set: str | None = None,
    weights: Any = None,
    constraints: Any = None,
) -> Fit:
    """Fit a law to a run table: the global optimum of the loss summed over rows, or a status that says why not.

    runs: a DataFrame with the law's variables and target ("params", "tokens", "loss") as columns; or what `read_runs`
        takes, a table's path or a study folder.
    loss: Huber(1e-3) on log loss by default. eval_set: which one to take, where the table holds several.
    weights: a column's name, or one number a row; a column "weight" is taken by itself.
    constraints: lmfit Parameters, or a mapping such as {"E": 1.69, "alpha": (0.1, 1), "beta": "alpha"}: held,
    bounded, tied.
    Raises InputError for rows that cannot be fitted, naming row, column and mend.
    """
    if not isinstance(law, Law):
        raise InputError(f"a law is a value such as scalinglab.laws.Chinchilla(), not {law!r}")
    loss = loss or Huber()
    if not isinstance(loss, Loss):
        raise InputError(f"a loss is a value such as scalinglab.Huber(1e-3), not {loss!r}")
    held = read_constraints(law, constraints)
    rows = take_rows(law, as_table(runs), eval_set, weights, len(held.free(law)))
    problem = Problem(build_model(law, rows.x, held), rows.y, rows.w, loss)
    best = find_optimum(problem)
    model, t = problem.model, best.t
    constants = dict(zip(law.constant_names, map(float, problem.constants(t[None])[0]), strict=True))
    status, notes = _judge(problem, best, constants, rows.x)
    r, J = (a[0] for a in problem.residuals(t[None]))
    return Fit(
        law=law,
        loss=loss,
        constants=constants,
        rows=rows.table,
        weights=rows.w,
        constraints=held,
        objective=best.objective,
        status=status,
        warnings=(*rows.warnings, *notes),
        starts=Starts(best.agreed, best.tried),
        gradient=dict(zip(model.names, map(float, best.gradient), strict=True)),
        condition=_condition(J),
        domain={v: (float(a.min()), float(a.max())) for v, a in zip(law.variables, rows.x, strict=True)},
        noise=plain_sd(r, problem.free),
    )


def _judge(
    problem: Problem, best: Optimum, constants: dict[str, float], x: Array
) -> tuple[Status, list[FitWarning]]:
    """The worst that is to be said of a fit, and everything that is."""
    model, law = problem.model, problem.model.law
    if not best.converged:
        mend = "look at the rows and the law, or hold a constant"
        return Status.NOT_CONVERGED, [
            FitWarning("not-converged", "the solver stopped before a minimum", mend)
        ]
    status, notes = Status.OK, delta_warnings(problem, best.t)
    flat = flat_directions(problem, best.t)
    if flat:
        status = Status.FLAT
        notes += flat_warnings(model, flat, x)
    free = model.lower < model.upper
    bound = [
        model.names[i] for i in np.flatnonzero(free & ((best.t <= model.lower) | (best.t >= model.upper)))
    ]
    if bound:
        status = Status.AT_BOUND
        values = ", ".join(f"{name} = {constants[name]:.3g}" for name in bound if name in constants)
        notes.append(
            FitWarning(
                "at-bound",
                f"the best fit lies on the edge of what {law.name} allows: {values}",
                "the rows ask for a law without it, or are too few or too narrow to see it",
            )
        )
    if best.agreed == 1 and best.tried > 1:
        status = Status.DISAGREE
        notes.append(
            FitWarning(
                "starts-disagree",
                f"1 of {best.tried} starts reached the best objective, {best.objective:.6g}",
                "fit under a smoother loss, for example Huber(1e-2), and compare the constants",
            )
        )
    return status, notes


def _condition(J: Array) -> float:
    """Condition number of the curvature JJᵀ, each free constant scaled to unit length."""
    size = np.linalg.norm(J, axis=1)
    unit = J[size > 0] / size[size > 0, None]
    return float(np.linalg.cond(unit) ** 2) if len(unit) else np.nan


def _level(interval: float) -> float:
    if not 0 < interval < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {interval}")
    return interval
