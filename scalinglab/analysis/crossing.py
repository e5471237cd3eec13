"""D/N from someone else's curves: where the losses of two sizes cross over compute, the optimum lies between them.

At a fixed compute C the loss falls and then rises over ln N. Two sizes with the same loss at C therefore lie on either
side of the lowest, N_small < N_opt < N_large, and D_opt/N_opt lies between the D/N that each of them has spent there.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.answer import BEYOND, Answer, asked, beyond_note, carried, extrapolation, own_boot
from scalinglab.analysis.convention import SIX_ND, Convention, Cost, convention, positive_budget
from scalinglab.analysis.curves import WINDOW, Curves, Source, as_curves
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

Array = NDArray[np.float64]
_SOURCE = (
    "MiniCPM, arXiv 2404.06395, section 4.5 (its reading of Llama 2's curves); both sides: docs/answers.md"
)
_MOST = 12  # sizes of a fit that are taken unasked
_LOG_C = (-20.0, 200.0)  # where a fit's crossing is looked for
_FIGURES = ("flops", "loss", "at_least", "middle", "at_most")


@dataclass(frozen=True, kw_only=True)
class Crossing(Answer):
    """What one crossing says of D/N."""

    source: ClassVar[str] = _SOURCE

    params_small: float
    params_large: float
    flops: float
    cost: str
    at_most: Estimate = asked("tokens/parameter")
    """The smaller size's D/N at the crossing, C/(6·N_small²) under 6ND: what MiniCPM quotes."""
    at_least: Estimate = asked("tokens/parameter")
    """The larger size's, C/(6·N_large²)."""
    middle: Estimate = asked("tokens/parameter")
    """The geometric mean of both, C/(6·N_small·N_large): the optimum, were both sizes equally far from it in ln N."""

    def headline(self) -> str:
        return (
            f"{count_text(self.params_small)} and {count_text(self.params_large)} cross at {self.flops:.3g} FLOPs "
            f"({self.cost}): the optimal D/N there is at least {number_text(self.at_least.value)} and at most "
            f"{number_text(self.at_most.value)}"
        )


def crossing(params_small: float, params_large: float, flops: float, cost: Cost = "6ND") -> Crossing:
    """Both sides of D/N from two sizes whose loss curves cross at `flops`.

    Raises InputError for sizes that are not positive or not in rising order, and for a budget that is not positive.
    """
    small, large, c = _checked(params_small, params_large, flops)
    counted = convention(cost)
    sides: dict[str, Any] = {
        name: Estimate(float(value)) for name, value in _sides(counted, small, large, c).items()
    }
    return Crossing(
        params_small=small, params_large=large, flops=c, cost=counted.name, notes=(_QUOTED,), **sides
    )


_QUOTED = "MiniCPM quotes the upper side, the smaller size's D/N: a bound; the optimum lies anywhere between the two."


def _checked(small: Any, large: Any, flops: Any) -> tuple[float, float, float]:
    try:
        a, b = float(small), float(large)
    except (TypeError, ValueError):
        raise InputError(
            f"sizes are numbers of parameters such as 13e9, not {small!r} and {large!r}"
        ) from None
    if not (0 < a < b < math.inf):
        raise InputError(
            f"a crossing needs a smaller and a larger size above 0, in this order, not {a:g} and {b:g}"
        )
    return a, b, positive_budget(flops)


def _sides(cost: Convention, small: float, large: float, flops: Any) -> dict[str, Array]:
    """D/N at the crossing from either side and their geometric mean."""
    most, least = (cost.tokens_at(n, flops) / n for n in (small, large))
    return {"at_least": least, "middle": np.sqrt(most * least), "at_most": most}


# ---- several --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Crossings(Answer):
    """The crossings of neighbouring sizes, each with both sides of D/N."""

    source: ClassVar[str] = _SOURCE
    units: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("at_least", "middle", "at_most", "optimum"), "tokens/parameter"
    )
    figure: ClassVar[str] = "crossings"

    cost: str
    of: Literal["figures", "curves", "fit"]
    """What they were read from."""
    rows: pd.DataFrame
    """A pair of sizes a row: params_small, params_large; flops, loss, at_least, middle, at_most, each with _lo and _hi
    (NaN where there is none), of a fit also optimum, its own D/N there; note: why a pair has no crossing, "" where it
    has."""
    counted: Convention | None = field(default=None, repr=False)
    """How compute was counted; `cost` is its name."""
    curves: Curves | None = field(default=None, repr=False)
    fit: "Fit | None" = field(default=None, repr=False)

    @property
    def found(self) -> pd.DataFrame:
        """The pairs that do cross."""
        return self.rows[self.rows["flops"].notna()]

    def table(self) -> pd.DataFrame:
        """The pairs that cross, to be read; `rows` has everything as numbers."""
        found = self.found if len(self.found) else self.rows
        pairs = zip(found["params_small"], found["params_large"], strict=True)
        sizes = pd.DataFrame(
            {"sizes": [f"{count_text(a)}, {count_text(b)}" for a, b in pairs]}, index=found.index
        )
        if found is self.rows:
            return sizes.join(found["note"])
        # a fit has an optimum of its own in place of the middle
        kept = ["at_least", *(["at_most", "optimum"] if self.fit is not None else ["middle", "at_most"])]
        ends = [f"{name}_{end}" for name in ["flops", *kept] for end in ("lo", "hi")]
        if self.fit is not None:
            ends = ends[2:]
        return sizes.join(found[["flops", *kept, *ends]])

    def headline(self) -> str:
        found = self.found
        if found.empty:
            return "no crossing in range, so no bracket around D/N: a note on each pair of sizes says why"
        parts = [
            f"between {number_text(row['at_least'])} and {number_text(row['at_most'])} at {row['flops']:.2g} FLOPs"
            for row in found.to_dict("records")
        ]
        shown = "; ".join(parts[:3]) + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")
        return f"the optimal D/N lies {shown} ({self.cost})"

    def plain(self) -> dict[str, Any]:
        return {
            "cost": self.cost, "of": self.of, "rows": self.rows.to_dict("records"), "level": self.level,
            "notes": list(self.notes), "source": self.source,
        }  # fmt: skip


def crossings(
    source: "Source | Fit | Iterable[Sequence[float]]",
    sizes: ArrayLike | None = None,
    cost: Cost = "6ND",
    *,
    smooth: float = WINDOW,
    smoothing: Literal["mean", "median"] = "mean",
    eval_set: str | None = None,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
) -> Crossings:
    """Where the loss curves of neighbouring sizes cross over compute, and both sides of D/N there.

    source: curves as `envelope` takes them (a frame, a file, a study folder), read as smoothed; or a fit, whose
        L(N₁, D(N₁, C)) = L(N₂, D(N₂, C)) is solved anew in each bootstrap draw; or crossings that are known, as
        (N_small, N_large, C) each.
    sizes: which sizes, each compared with the next larger; by default all. Of curves the nearest within 5 % is taken.
    Of curves the value is the middle one of an odd number of crossings; where noise makes them several, flops_lo and
    flops_hi are the first and the last, not a confidence interval. Where noise decides who is lower at an end of the
    range, the value is the crossing with the least area of curves in the wrong order, if one beats both ends of the
    range, and a note says so.
    Raises InputError for fewer than two sizes, a level outside (0, 1), and for curves it cannot use.
    """
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    if hasattr(source, "law"):
        fit: Any = source
        return _of_fit(fit, sizes, convention(cost, fit.rows), level, own_boot(fit, boot), beyond)
    if isinstance(source, str | pd.DataFrame) or hasattr(source, "__fspath__"):
        given: Any = source
        read = as_curves(given, cost, eval_set=eval_set, smooth=smooth, smoothing=smoothing)
        return _of_curves(read, sizes, level)
    try:
        triples: list[Any] = [tuple(each) for each in source]
    except TypeError:
        raise InputError(
            f"crossings come of curves, a fit, or (N_small, N_large, C) each, not of {type(source).__name__}"
        ) from None
    if not triples or any(len(each) != 3 for each in triples):
        raise InputError("a known crossing is (N_small, N_large, C), such as (13e9, 34e9, 1e23)")
    counted, rows = convention(cost), []
    for small, large, flops in (_checked(*each) for each in triples):
        values: dict[str, Any] = {"flops": flops, "loss": math.nan, **_sides(counted, small, large, flops)}
        rows.append(_row(small, large, {k: Estimate(float(np.squeeze(v))) for k, v in values.items()}))
    return Crossings(
        cost=counted.name,
        of="figures",
        rows=pd.DataFrame(rows),
        level=level,
        counted=counted,
        notes=(_QUOTED,),
    )


def _row(small: float, large: float, found: dict[str, Estimate], note: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {"params_small": small, "params_large": large}
    for name in (*_FIGURES, *(["optimum"] if "optimum" in found else [])):
        each = found.get(name, Estimate(math.nan))
        row |= {name: each.value, f"{name}_lo": each.lo, f"{name}_hi": each.hi}
    return row | {"note": note}


def _none(rows: pd.DataFrame) -> list[str]:
    """A sentence for each pair that does not cross, where others do."""
    if rows["flops"].isna().all():
        return []
    return [
        f"{count_text(row['params_small'])} and {count_text(row['params_large'])}: {row['note']}."
        for row in rows[rows["note"] != ""].to_dict("records")
    ]


# ---- of curves ------------------------------------------------------------------------------------


def _of_curves(read: Curves, sizes: ArrayLike | None, level: float) -> Crossings:
    own = read.sizes
    wanted = own if sizes is None else _nearest(np.asarray(sizes, float), own)
    longest: dict[float, pd.DataFrame] = {}
    for _, each in read.rows.groupby("curve", sort=False):
        n = float(each["params"].iloc[0])
        if n not in longest or each["flops"].iloc[-1] > longest[n]["flops"].iloc[-1]:
            longest[n] = each
    rows, unclear = [], []
    for small, large in pairwise(map(float, wanted)):
        found, note, doubt = _meeting(longest[small], longest[large])
        if found and doubt:
            unclear.append(f"{count_text(small)} and {count_text(large)}: {doubt}.")
        sides = {}
        if found:
            flops = np.array(found["flops"])
            sides = {k: Estimate(*v) for k, v in _sides(read.cost, small, large, flops).items()}
            sides |= {"flops": Estimate(*flops), "loss": Estimate(*found["loss"])}
        rows.append(_row(small, large, sides, note))
    notes = list(read.notes)
    if read.rows["curve"].nunique() > len(own):
        notes.append("Of a size with several curves the longest is taken.")
    if read.schedule != "decayed":
        label = "undecayed or unknown schedule" if read.schedule == "unknown" else f"{read.schedule} curves"
        notes.append(f"{label.capitalize()}: decayed losses may cross elsewhere.")
    frame = pd.DataFrame(rows)
    notes += [*_none(frame), *unclear]
    if frame["flops_lo"].lt(frame["flops_hi"]).any():
        notes.append(
            "Noisy curves cross several times: the ends given are the first and the last, no confidence interval."
        )
    if frame["flops"].notna().any():
        notes.append(_QUOTED)
    return Crossings(
        cost=read.cost.name,
        of="curves",
        rows=frame,
        level=level,
        counted=read.cost,
        curves=read,
        notes=tuple(notes),
    )


def _nearest(wanted: Array, own: Array) -> Array:
    if wanted.ndim != 1 or len(wanted) < 2:
        raise InputError("crossings need at least two sizes")
    found = []
    for n in np.sort(wanted):
        near = own[np.abs(np.log(own / n)).argmin()] if n > 0 else math.nan
        if not abs(math.log(near / n)) < 0.05:
            raise InputError(
                f"no curve has {count_text(float(n))} parameters; there are {', '.join(map(count_text, own))}"
            )
        found.append(near)
    if len(set(found)) < len(found):
        raise InputError("crossings need different sizes")
    return np.array(found)


def _meeting(
    small: pd.DataFrame, large: pd.DataFrame
) -> tuple[dict[str, tuple[float, float, float]], str, str]:
    """flops and loss of the crossing (value, first, last) of two curves, linear between points in ln C; or why not.

    And what is in doubt, where noise decides who is lower at an end of the range.
    """
    (c1, l1), (c2, l2) = (
        (np.log(each["flops"].to_numpy(float)), each["loss"].to_numpy(float)) for each in (small, large)
    )
    lo, hi = max(c1[0], c2[0]), min(c1[-1], c2[-1])
    if not lo < hi:
        return {}, "the curves share no compute", ""
    c = np.unique(np.concatenate([c1, c2, [lo, hi]]))
    c = c[(c >= lo) & (c <= hi)]
    first = np.interp(c, c1, l1)
    gap = first - np.interp(c, c2, l2)  # below 0 while the smaller size is lower
    i = np.flatnonzero((gap[:-1] < 0) != (gap[1:] < 0))
    at = c[i] + (c[i + 1] - c[i]) * gap[i] / (gap[i] - gap[i + 1])
    areas = _areas(c, gap, at)
    if gap[0] < 0 < gap[-1]:
        value = at[len(at) // 2]  # an odd number: it begins below and ends above
    else:
        value = np.array([hi, lo, *at])[np.array([areas[-1], *areas[:-1]]).argmin()]
    doubt = _doubt(at, areas, gap[0] < 0, gap[-1] < 0, value == hi, value == lo)
    if value in (lo, hi):
        lower = "smaller" if value == hi else "larger"
        where = f"up to {math.exp(hi):.2g}" if lower == "smaller" else f"from {math.exp(lo):.2g} on"
        why = f"no crossing in range: the {lower} is lower {where} FLOPs"
        return {}, f"{why}, though {doubt}" if doubt else why, doubt
    ends = (value, at[0], at[-1]) if len(at) > 1 else (value, math.nan, math.nan)
    return (
        {
            "flops": tuple(np.exp(ends)),
            "loss": tuple(
                np.interp(x, c, first) if x == x else math.nan for x in (ends[0], ends[2], ends[1])
            ),
        },
        "",
        doubt,
    )


def _areas(c: Array, gap: Array, crossings: Array) -> Array:
    """∫ gap d ln C from the start up to it, each crossing, and the end.

    Were the smaller size the lower one up to x and the larger one from there on, the area between curves in the wrong
    order would be this at x and a constant: it is least where the single crossing of law-like curves is best put.
    """
    x = np.sort(np.concatenate([c, crossings]))
    y = np.interp(x, c, gap)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(x))])
    return np.asarray(np.interp([c[0], *crossings, c[-1]], x, area))


def _doubt(at: Array, areas: Array, first: bool, last: bool, never: bool, always: bool) -> str:
    """What noise leaves open at the ends of the range, "" for nothing.

    first, last: whether the smaller size is the lower one at the start and the end; never, always: the verdict. An end
    is clear where it agrees with the verdict for longer or by more than the curves leave their order in between.
    """
    if not len(at):
        return ""
    stretches = np.abs(np.diff(areas))
    inner = stretches[1:-1].max(initial=0.0)
    open_ends = [
        name
        for name, agrees, stretch in (
            ("at first", first != always, stretches[0]),
            ("in the end", last == never, stretches[-1]),
        )
        if not (agrees and stretch >= inner)
    ]
    if not open_ends:
        return ""
    times = {1: "once", 2: "twice"}.get(len(at), f"{len(at)} times")
    low, high = (f"{math.exp(x):.2g}" for x in (at[0], at[-1]))
    where = f"at {low}" if low == high else f"between {low} and {high}"
    return f"the curves meet {times} {where} FLOPs, and which is lower {' and '.join(open_ends)} is not clear"


# ---- of a fit -------------------------------------------------------------------------------------


def _of_fit(
    fit: "Fit", sizes: ArrayLike | None, cost: Convention, level: float, boot: Any, beyond: float
) -> Crossings:
    if tuple(fit.law.variables) != ("params", "tokens"):
        raise InputError(f"{fit.law.name} is not a law in params and tokens, so its sizes have no crossings")
    if sizes is None:
        own = np.unique(fit.rows["params"]) if len(fit.rows) else np.array([])
        if not 2 <= len(own) <= _MOST:
            have = f"was fitted to {len(own)} sizes" if len(own) else "has no rows"
            raise InputError(f"this fit {have}: say which are to be compared, sizes=[N₁, N₂, …]")
    else:
        own = np.unique(np.asarray(sizes, float))
    if len(own) < 2 or not (own > 0).all() or not np.isfinite(own).all():
        raise InputError("crossings need at least two different sizes above 0")
    rows, far = [], 0.0
    for small, large in pairwise(map(float, own)):

        def ask(constants: Any, small: float = small, large: float = large) -> dict[str, Any]:
            c = meeting_flops(fit.law, constants, small, large, cost)
            loss = fit.law.value(fit.law.ordered_constants(constants), (small, cost.tokens_at(small, c)))
            n, d = _optimum(fit.law, constants, c, cost)
            return {"flops": c, "loss": loss, **_sides(cost, small, large, c), "optimum": d / n}

        found = carried(fit, boot, level, ask)
        known = math.isfinite(found["flops"].value)
        note = "" if known else "the law's curves of these sizes do not cross"
        rows.append(_row(small, large, found if known else {"optimum": Estimate(math.nan)}, note))
        if known:
            c = found["flops"].value
            far = max(
                far, extrapolation(fit, [small, large], [float(cost.tokens_at(n, c)) for n in (small, large)])
            )
    frame = pd.DataFrame(rows)
    notes = (*beyond_note(far, beyond, "the furthest crossing"), *_none(frame), _QUOTED)
    return Crossings(cost=cost.name, of="fit", rows=frame, level=level, counted=cost, fit=fit, notes=notes)


def _optimum(law: Any, constants: Any, flops: Array, cost: Convention) -> tuple[Array, Array]:
    """(N, D) at a budget of its own for each set of constants."""
    flops = np.asarray(flops, float)
    if flops.ndim == 0:
        return optimal_params_tokens(law, constants, float(flops), cost)
    if cost is SIX_ND and hasattr(law, "standard"):
        a, _ = law.exponents(constants)
        n, _ = law.optimal(constants, 6.0)  # C/6 = 1: N = G
        with np.errstate(all="ignore"):
            n = np.squeeze(n) * (flops / 6.0) ** a
            return n, flops / (6.0 * n)
    pairs = [
        optimal_params_tokens(law, constants.iloc[i].to_dict(), float(c), cost)
        if np.isfinite(c)
        else (np.nan, np.nan)
        for i, c in enumerate(flops)
    ]
    n, d = np.array(pairs, float).T
    return n, d


def meeting_flops(law: Any, constants: Any, small: float, large: float, cost: Convention) -> Array:
    """C at which two sizes have the same loss, for one set of constants or a stack; NaN where they never have.

    Under 6·N·D and Chinchilla's form (C/6)^β = (B/A)·(N₂^β − N₁^β)/(N₁^-α − N₂^-α); otherwise by bisection on ln C of
    the gap, which is negative while the smaller size is lower.
    """
    if cost is SIX_ND and hasattr(law, "standard"):
        k = law.standard(constants)
        with np.errstate(all="ignore"):
            data = np.log(k.B) + np.log(large**k.beta - small**k.beta)
            size = np.log(k.A) + np.log(small**-k.alpha - large**-k.alpha)
            log_c = math.log(6.0) + (data - size) / k.beta
            return np.where(np.isfinite(log_c), np.exp(log_c), np.nan)
    c = law.ordered_constants(constants)
    shape = np.broadcast_shapes(*(np.shape(v) for v in c))

    def gap(log_c: Array) -> Array:
        with np.errstate(all="ignore"):
            flops = np.exp(log_c)
            first, second = (law.value(c, (n, cost.tokens_at(n, flops))) for n in (small, large))
            return np.broadcast_to(np.asarray(first - second, float), shape)

    lo, hi = (np.full(shape, end) for end in _LOG_C)
    crosses = (gap(lo) < 0) & (gap(hi) > 0)
    for _ in range(80):
        middle = 0.5 * (lo + hi)
        below = gap(middle) < 0
        lo, hi = np.where(below, middle, lo), np.where(below, hi, middle)
    return np.where(crosses, np.exp(0.5 * (lo + hi)), np.nan)
