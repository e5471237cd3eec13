"""Does the best learning rate stay put as the model grows? lr* of each size by a parabola in ln lr, and its drift.

    ln lr* = const + s·ln(width)

The drift s is 0 where a learning rate found on a small model serves a large one; without a rule for the width, Adam has
about −1 in theory (Yang et al. 2022). What transfer costs is the loss at another size's learning rate above a size's
own least.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.answer import Answer, asked
from scalinglab.analysis.checks import check_level
from scalinglab.analysis.estimate import Estimate, number_text
from scalinglab.analysis.lr_valley import Parabola, Valley, skew, valley
from scalinglab.analysis.source import Runs, as_numbers, as_table
from scalinglab.analysis.sweep_cells import REACH, one_value
from scalinglab.errors import InputError

Array = NDArray[np.float64]
STEEP = 0.1
"""Share above the least loss from which a run is no part of a quadratic valley."""
FACTOR = 2.0
"""In lr*, over all sizes, that counts as staying put: a step of the usual grid."""


@dataclass(frozen=True)
class Spread:
    """What moves a vertex by chance, the same for all sizes.

    misfit: root mean square of what parabolas leave over, in units of their curvature, as what a parabola cannot
    follow goes with the depth of the valley. noise: standard deviation of a point. skew: κ of `lr_valley`. NaN where
    not known.
    """

    misfit: float
    misfit_freedom: float
    noise: float
    noise_freedom: float
    skew: float

    def point(self, curvature: float) -> tuple[float, float]:
        """Standard deviation of a point of a valley, the larger of both, and its degrees of freedom."""
        offered = [(self.misfit * curvature, self.misfit_freedom), (self.noise, self.noise_freedom)]
        return max((each for each in offered if each[0] > 0), default=(math.nan, math.nan))


@dataclass(frozen=True, kw_only=True)
class LrTransfer(Answer):
    """lr* by size under one parametrisation."""

    source: ClassVar[str] = (
        "the question: Yang et al. 2022, arXiv 2203.03466, and MiniCPM, arXiv 2404.06395, figure 3; "
        "intervals: Fieller 1954, and docs/answers.md"
    )
    units: ClassVar[Mapping[str, str]] = {
        "width": "channels",
        "diverged": "runs",
        "curvature": "loss per squared ln lr",
        "lrs": "learning rates",
        "off": "loss",
        "point": "loss",
    }
    figure: ClassVar[str] = "lr_valleys"

    by: str
    """What the size is measured in: width or params."""
    drift: Estimate = asked("d ln lr* / d ln size")
    """s, over the sizes whose optimum lies inside their grid; NaN where fewer than two do."""
    factor: Estimate = asked("lr* of the largest over lr* of the smallest, by the line")
    se: float
    """Standard error of the drift."""
    freedom: float
    """Degrees of freedom of `se`."""
    bent: float
    """What the skew of the valleys may move the drift by."""
    level_ln: float
    """Of the line: ln lr* at ln size = 0."""
    run_sd: float
    """Standard deviation of the losses of runs alike but for the seed; NaN where none repeats."""
    shape_sd: float
    """Likewise, with what a seed moves at all learning rates taken out."""
    spread: Spread
    rows: pd.DataFrame
    """A row a size: size, width or params, runs, diverged, lr with _lo and _hi (an open end is 0 or inf), edge (low or
    high: a bound; none: no valley), loss (there), curvature (loss per squared ln lr), lrs (the parabola rests on), off
    (rms about it, NaN where it meets all), point (standard deviation of a point)."""
    valleys: tuple[Valley, ...] = field(repr=False)

    def headline(self) -> str:
        if math.isnan(self.drift.value):
            return f"no drift: {int(self._used.sum())} of {len(self.rows)} sizes hold an optimum inside their grid"
        return (
            f"lr* goes as {self.by}^{self.drift} over {int(self._used.sum())} of {len(self.rows)} sizes"
            f"{self.about_intervals(self.drift)}"
        )

    @property
    def _used(self) -> NDArray[np.bool_]:
        return (self.rows["edge"] == "").to_numpy()

    def _drawn(self) -> tuple[str, tuple[Any, ...], Mapping[str, Any]]:
        return self.figure, ({f"drift {self.drift}": self},), {}

    def plain(self) -> dict[str, Any]:
        """Everything but the runs."""
        return {key: value for key, value in super().plain().items() if key != "valleys"}

    def stays(self, factor: float = FACTOR) -> Literal["moves", "stays", "open"]:
        """moves: the drift's interval leaves out 0. stays: by either end of it, lr* moves by less than `factor` over
        all sizes. open: neither can be said."""
        lo, hi = self.drift.lo, self.drift.hi
        if math.isnan(lo):
            return "open"
        if lo > 0 or hi < 0:
            return "moves"
        sizes = self.rows[self.by]
        return "stays" if max(-lo, hi) * math.log(sizes.max() / sizes.min()) <= math.log(factor) else "open"

    def by_seed(self) -> list[float]:
        """The drift of each seed by itself, through its least runs: to a step of the grid, with no parabola."""
        found = []
        for k in range(max(len(own.losses) for own in self.valleys)):
            told = [
                (math.log(size), own.log_lr[np.nanargmin(own.losses[k])])
                for size, own in zip(self.rows[self.by], self.valleys, strict=True)
                if k < len(own.losses) and np.isfinite(own.losses[k]).any()
            ]
            x, y = np.array(told).T if told else np.zeros((2, 0))
            found.append(float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else math.nan)
        return found

    def line(self, size: Any) -> Any:
        """lr* by the line."""
        return np.exp(self.level_ln + self.drift.value * np.log(size))

    def cost(self, lr: float) -> pd.DataFrame:
        """What it costs to train every size at `lr`: a row a size, cost in loss above its own least, with _lo and _hi.

        The interval is that of the size's own lr* where its parabola reaches so far, else that of two points' noise. Of
        a size whose optimum is a bound, the cost is at least so much.
        """
        found = []
        row: Any  # a row's own types are not known
        for row, own in zip(self.rows.itertuples(index=False), self.valleys, strict=True):
            x = math.log(lr)
            value = own.above(x) if own.edge != "none" else math.nan
            wide = _wide(self.spread, own, self.level)
            lo, hi = max(value - wide, 0.0), value + wide if own.bottom is not None else math.inf
            if (
                own.bottom is not None
                and own.bottom.reaches(x)
                and row.lr_lo > 0
                and math.isfinite(row.lr_hi)
            ):
                # by where its least point may be, rather than by the noise of two points
                ends = [own.above(own.bottom.at + x - math.log(end)) for end in (row.lr_lo, row.lr_hi)]
                lo, hi = 0.0 if row.lr_lo <= lr <= row.lr_hi else float(np.nanmin(ends)), max(*ends)
            elif math.isnan(wide) or math.isnan(value):
                lo = hi = math.nan
            found.append(
                {
                    "size": row.size,
                    self.by: getattr(row, self.by),
                    "cost": value,
                    "cost_lo": lo,
                    "cost_hi": hi,
                }
            )
        return pd.DataFrame(found)


def lr_transfer(
    runs: Runs,
    by: Literal["width", "params"] = "width",
    *,
    reach: float = REACH,
    steep: float = STEEP,
    noise: float | None = None,
    level: float = 0.9,
) -> LrTransfer:
    """The best learning rate of each size, its drift with the size, and how far chance moves both.

    runs: by, lr, loss, and where there are several, seed and size (a name); one parametrisation, eval set and budget of
        tokens a size. A loss that is no finite number is a run that diverged: its learning rate counts as tried.
    reach, steep: see `lr_valley.valley`. noise: standard deviation of a loss that is known otherwise, such as the
        reading error of a figure.

    A point's standard deviation comes of all sizes together: what their parabolas leave over, which goes with the
    curvature, or, where that is more, what seeds differ by in the shape of a valley, or `noise`. The interval of lr* is
    Fieller's with Student's t, each end moved out by what the valleys' common skew may shift the vertex, but not beyond
    the nearest learning rate whose loss is higher beyond the noise; an end beyond what was tried is open. The drift is
    least squares through the optima that lie inside their grid; its standard error adds to theirs what they scatter
    about the line beyond that, degrees of freedom by Satterthwaite.
    Raises InputError for a missing column or a value that cannot be.
    """
    check_level(level)
    runs = as_table(runs, "the sweep")
    if by not in ("width", "params"):
        raise InputError(f"sizes differ in width or params, not {by!r}")
    if not reach > 1:
        raise InputError(f"reach is a factor above 1, such as 4, not {reach:g}")
    found = [(key, own, _valley(own, reach, steep)) for key, own in _checked(runs, by).groupby(by, sort=True)]
    valleys = tuple(own for _, _, own in found)
    spread, run_sd, shape_sd = _spread(valleys, noise)
    rows = pd.DataFrame(
        {"size": str(own["size"].iloc[0]), by: float(own[by].iloc[0])} | _row(each, own, spread, level)
        for _, own, each in found
    )
    drift = _drift(rows, valleys, by, spread, level)
    unit: Any = runs["loss_unit"].dropna().unique() if "loss_unit" in runs else []
    return LrTransfer(
        by=by, level=level, run_sd=run_sd, shape_sd=shape_sd, spread=spread, rows=rows, valleys=valleys, **drift,
        loss_unit=str(unit[0]) if len(unit) == 1 else "", notes=tuple(_notes(rows, by, drift)),
    )  # fmt: skip


def drift_difference(a: LrTransfer, b: LrTransfer) -> Estimate:
    """Drift of b less that of a, with the interval of independent errors; NaN where either is not known."""
    value = b.drift.value - a.drift.value
    squares = a.se**2, b.se**2
    if not all(each > 0 for each in squares):
        return Estimate(value)
    freedom = sum(squares) ** 2 / sum(s * s / each.freedom for s, each in zip(squares, (a, b), strict=True))
    wide = _quantile(a.level, freedom) * math.sqrt(sum(squares)) + abs(b.bent - a.bent)
    return Estimate(value, value - wide, value + wide)


# ---- the parts --------------------------------------------------------------------------------------


def _checked(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    missing = [name for name in (by, "lr", "loss") if name not in runs]
    if missing:
        raise InputError(f'the sweep has no column "{missing[0]}"; it needs {by}, lr, loss')
    for name in ("eval_set", "loss_unit", "parametrisation"):
        several: Any = runs[name].dropna().unique() if name in runs else []
        if len(several) > 1:
            raise InputError(f"the sweep mixes {name} {several[0]!r} and {several[1]!r}; choose one")
    kept = pd.DataFrame({name: as_numbers(runs, name) for name in (by, "lr", "loss")}).reset_index(drop=True)
    if not len(kept):
        raise InputError("the sweep has no rows")
    for name in (by, "lr"):
        if not (kept[name].gt(0) & np.isfinite(kept[name])).all():
            raise InputError(f"every run of the sweep needs a positive, finite {name}")
    kept["size"] = runs["size"].astype(str).to_numpy() if "size" in runs else [f"{v:g}" for v in kept[by]]
    kept["lr"] = one_value(kept["lr"])
    if "seed" in runs:
        kept["seed"] = runs["seed"].to_numpy()
    else:
        kept["seed"] = kept.groupby([by, "lr"]).cumcount()
    if kept.duplicated([by, "lr", "seed"]).any():
        twice = kept[kept.duplicated([by, "lr", "seed"])].iloc[0]
        raise InputError(
            f"two runs have {by} {twice[by]:g}, lr {twice['lr']:g} and seed {twice['seed']}; a sweep takes one horizon "
            "a size and one parametrisation"
        )
    return kept


def _valley(own: pd.DataFrame, reach: float, steep: float) -> Valley:
    grid = own.pivot(index="seed", columns="lr", values="loss")
    return valley(np.log(grid.columns.to_numpy(dtype=float)), grid.to_numpy(dtype=float), reach, steep)


def _spread(valleys: tuple[Valley, ...], noise: float | None) -> tuple[Spread, float, float]:
    """What all valleys share, and the standard deviations of a run: between seeds, and of the shape alone."""
    parabolas = [own.bottom for own in valleys if own.bottom is not None]
    freedom = sum(found.freedom for found in parabolas)
    left = sum(float(found.residuals @ found.residuals) / found.curvature**2 for found in parabolas)
    sds = {}
    for alike in (False, True):
        squares, own = (sum(parts) for parts in zip(*(each.scatter(alike) for each in valleys), strict=True))
        sds[alike] = (math.sqrt(squares / own) if own else math.nan, float(own))
    counts = [np.isfinite(own.losses).sum(axis=0).mean() for own in valleys if len(own.loss)]
    means = sds[True][0] / math.sqrt(float(np.mean(counts))) if counts else math.nan
    offered = [(means, sds[True][1]), (math.nan if noise is None else noise, math.inf)]
    point = max((each for each in offered if each[0] > 0), default=(math.nan, math.nan))
    misfit = math.sqrt(left / freedom) if freedom else math.nan
    return Spread(misfit, freedom, *point, skew(parabolas)), sds[False][0], sds[True][0]


def _row(found: Valley, own: pd.DataFrame, spread: Spread, level: float) -> dict[str, Any]:
    diverged = int((~np.isfinite(own["loss"])).sum())
    lr, lo, hi = _optimum(found, spread, level)
    parabola = found.bottom
    loss = math.nan
    if found.edge != "none":
        loss = float(found.loss.min()) if parabola is None else parabola.least
    return {
        "runs": len(own), "diverged": diverged, "lr": lr, "lr_lo": lo, "lr_hi": hi, "edge": found.edge, "loss": loss,
        "curvature": math.nan if parabola is None else parabola.curvature,
        "lrs": 0 if parabola is None else len(parabola.log_lr),
        "off": float(np.sqrt((parabola.residuals**2).mean())) if parabola and parabola.freedom else math.nan,
        "point": math.nan if parabola is None else spread.point(parabola.curvature)[0],
    }  # fmt: skip


def _optimum(found: Valley, spread: Spread, level: float) -> tuple[float, float, float]:
    """lr* with its ends, Fieller's or, where it is nearer, the nearest lr whose loss is higher beyond noise.

    The outer end of a bound is open.
    """
    if found.edge == "none":
        return math.nan, math.nan, math.nan
    x, wide = found.log_lr, _wide(spread, found, level)
    best = int(found.loss.argmin())
    higher = found.loss > found.loss[best] + wide  # never, where no noise is known
    below, above = x[:best][higher[:best]], x[best + 1 :][higher[best + 1 :]]
    top = float(found.lost[found.lost > x[-1]].min(initial=math.inf))  # whatever is tried there diverges
    low, high = float(below.max(initial=-math.inf)), float(above.min(initial=top))
    if found.bottom is None:
        return math.exp(x[0] if found.edge == "low" else x[-1]), math.exp(low), math.exp(high)
    at = found.bottom.at
    sd, freedom = spread.point(found.bottom.curvature)
    if math.isnan(sd):
        return math.exp(at), math.nan, math.nan
    lo, hi = found.bottom.ends(sd, _quantile(level, freedom))
    moved = _moved(found.bottom, spread)
    lo, hi = lo + min(moved, 0.0), hi + max(moved, 0.0)
    # beyond what was tried nothing is known; the parabola's vertex may lie beyond a neighbour that is higher by chance
    lo, hi = (lo if lo > x[0] else -math.inf), (hi if hi < x[-1] else math.inf)
    return math.exp(at), math.exp(min(max(lo, low), at)), math.exp(max(min(hi, high), at))


def _wide(spread: Spread, found: Valley, level: float) -> float:
    """How far two points of a valley may lie apart by chance; NaN where nothing is known of it."""
    sd, freedom = spread.point(0.0 if found.bottom is None else found.bottom.curvature)
    return _quantile(level, freedom) * sd * math.sqrt(2)


def _moved(found: Parabola, spread: Spread) -> float:
    """What the skew moves the vertex by, to be taken back, in ln lr."""
    return 0.5 * spread.skew * found.cubic()[0]


def _drift(
    rows: pd.DataFrame, valleys: tuple[Valley, ...], by: str, spread: Spread, level: float
) -> dict[str, Any]:
    used = rows[rows["edge"] == ""]
    inside = [own.bottom for own in valleys if own.bottom is not None]
    if len(inside) < 2:
        none = Estimate(math.nan)
        return {"drift": none, "factor": none} | dict.fromkeys(
            ("se", "freedom", "bent", "level_ln"), math.nan
        )
    x, y = (np.log(used[name].to_numpy(dtype=float)) for name in (by, "lr"))
    off = x - x.mean()
    weight = off / (off @ off)
    slope = float(weight @ y)
    left = y - y.mean() - slope * off
    points = [spread.point(own.curvature) for own in inside]
    noise = np.array([own.variance(sd) for own, (sd, _) in zip(inside, points, strict=True)])
    bent = float(weight @ np.array([_moved(own, spread) for own in inside]))
    drift, se, freedom = Estimate(slope), math.nan, math.nan
    if np.isfinite(noise).all():
        spare = len(x) - 2
        extra = max(float(left @ left) / spare - float(noise.mean()), 0.0) if spare else 0.0
        own, more = float(weight**2 @ noise), extra * float(weight @ weight)
        se = math.sqrt(own + more)
        shares = own**2 / min(each for _, each in points) + (more**2 / spare if spare else 0.0)
        freedom = (own + more) ** 2 / shares if shares else math.inf
        wide = _quantile(level, freedom) * se
        drift = Estimate(slope, slope - wide + min(bent, 0.0), slope + wide + max(bent, 0.0))
    span = math.log(rows[by].max() / rows[by].min())
    factor = Estimate(*(math.exp(span * each) for each in (drift.value, drift.lo, drift.hi)))
    return {
        "drift": drift, "factor": factor, "se": se, "freedom": freedom, "bent": bent,
        "level_ln": float(y.mean() - slope * x.mean()),
    }  # fmt: skip


def _quantile(level: float, freedom: float) -> float:
    """Student's t; the normal's from a million degrees of freedom on."""
    from scipy.special import ndtri, stdtrit

    share = 0.5 + level / 2
    return float(ndtri(share) if freedom > 1e6 else stdtrit(freedom, share))


def _notes(rows: pd.DataFrame, by: str, drift: dict[str, Any]) -> list[str]:
    notes = []
    row: Any  # a row's own types are not known
    gone = int(rows["diverged"].sum())
    if gone:
        listed = ", ".join(
            f"{size}: {count}" for size, count in zip(rows["size"], rows["diverged"], strict=True) if count
        )
        notes.append(f"{gone} of {int(rows['runs'].sum())} runs diverged and have no loss ({listed}).")
    for row in rows[rows["edge"].isin(["low", "high"])].itertuples():
        side = "at or below" if row.edge == "low" else "at or above"
        sentence = f"{row.size}: lr* lies {side} {number_text(row.lr)}, the end of what converges: a bound"
        if not math.isnan(drift["drift"].value):
            line = math.exp(drift["level_ln"] + drift["drift"].value * math.log(getattr(row, by)))
            agrees = line <= row.lr if row.edge == "low" else line >= row.lr
            sentence += (
                f", left out of the drift, whose line has {number_text(line)} there "
                f"({'within' if agrees else 'against'} it)"
            )
        notes.append(sentence + ".")
    inside = rows[rows["edge"] == ""]
    loose = inside.loc[(inside["lr_lo"] == 0) | np.isinf(inside["lr_hi"]), "size"].tolist()
    if loose:
        notes.append(
            f"{', '.join(loose)}: lr* by itself is open at an end, its curvature being hardly told from the noise; the "
            "drift takes it to first order."
        )
    empty = rows.loc[rows["edge"] == "none", "size"].tolist()
    if empty:
        notes.append(f"{', '.join(empty)}: too few runs converged for a valley.")
    return notes
