"""The batch that needs the fewest tokens to a loss (MiniCPM's construction).

At each size, for each batch, the tokens that bring the loss down to L are read off its runs (interpolated along D in
logs). Over the batches they make a line of equal loss; a parabola in ln batch through its lowest points gives the
batch with the fewest tokens; and through these minima of all sizes

    bs = k / L^p.
"""

import math
import numbers
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scalinglab.analysis.answer import Answer, asked
from scalinglab.analysis.equal_loss import ABOUT, EARLY, FEWEST, MISSED, Minimum, OneSize, trace
from scalinglab.analysis.estimate import Estimate, estimate
from scalinglab.analysis.source import Runs, as_table
from scalinglab.analysis.sweep_cells import SAME, Sweep, read_sweep
from scalinglab.errors import InputError

Array = NDArray[np.float64]
_POINT = ("params", "loss", "batch_tokens", "tokens")


@dataclass(frozen=True, kw_only=True)
class IsoLoss(Answer):
    """bs = k / L^p through the minima of lines of equal loss, batch in tokens."""

    source: ClassVar[str] = "MiniCPM, arXiv 2404.06395, section 3.2"
    figure: ClassVar[str] = "iso_loss"

    k: Estimate = asked("bs = k / L^p, tokens")
    p: Estimate = asked("exponent of 1/L")
    params_exponent: Estimate = asked("exponent of N in bs, if it is let in")
    """0 where L alone decides, as MiniCPM's law has it; NaN for one size."""
    p_within: Estimate = asked("exponent of 1/L then: at one size")
    minima: pd.DataFrame
    """A row a line: params, loss, batch_tokens with _lo and _hi, tokens (at the minimum), batches (on the line), edge
    ("low", "high": the fewest tokens lie at or beyond that end of the batches, a bound; "none": the line opens
    downward; "not reached": by three batches; "reached early": by some batch before its first horizon), twice (share
    of tokens more that half or twice the best batch takes, by the parabola)."""
    lines: pd.DataFrame
    """Points of the lines: params, loss, batch_tokens, tokens."""
    noise: float
    """Of a run's ln L, from which the intervals come."""
    draws: pd.DataFrame = field(repr=False)
    """ln_k and p."""
    places: pd.DataFrame = field(repr=False)
    """ln batch of each minimum, a column each in their order, a row a disturbed sweep; NaN where it has none."""

    @property
    def known(self) -> bool:
        """Whether the minima are enough for a law."""
        return math.isfinite(self.p.value)

    def headline(self) -> str:
        inside = int((self.minima["edge"] == "").sum())
        count = f"{inside} of {len(self.minima)} lines of equal loss have their minimum between batches"
        if not self.known:
            return f"no law: {count}"
        return f"bs = {self.k} / L^{self.p} tokens ({count}, {self.level:.0%} intervals)"

    def plain(self) -> dict[str, object]:
        """Everything but the draws."""
        found = super().plain()
        return {key: value for key, value in found.items() if key not in ("draws", "places")}

    def at(self, loss: float) -> Estimate:
        """bs at a loss, in tokens. Raises InputError where there is no law or the loss is not positive."""
        if not self.known:
            raise InputError(
                "these lines of equal loss hold too few minima for a law, so there is none to ask"
            )
        if not (isinstance(loss, numbers.Real) and loss > 0 and math.isfinite(loss)):
            raise InputError(f"a loss is a positive number, not {loss!r}")
        value = self.k.value * loss**-self.p.value
        drawn = np.exp((self.draws["ln_k"] - self.draws["p"] * math.log(loss)).to_numpy())
        return estimate(value, drawn, self.level)


def iso_loss(
    runs: Runs,
    losses: ArrayLike | None = None,
    *,
    lr: float | None = None,
    lines: int = 7,
    about: int = ABOUT,
    diverged: float | None = None,
    level: float = 0.9,
    resamples: int = 200,
    noise: float | None = None,
    seed: int = 0,
) -> IsoLoss:
    """Lines of equal loss over batch and tokens at each size, their minima, and bs = k / L^p through them.

    runs: one row a run end with params, tokens, loss, lr, batch_tokens; at least two horizons a batch. losses: of the
        lines; by default `lines` a size, evenly spaced in ln L where batches overlap.
    about: batches about a line's lowest one that carry its parabola, three or more: more of them average noise, fewer
        are less bent by a line that is steeper on one side.
    lr: keep the runs of this learning rate, as MiniCPM did; by default each batch takes its best one at each horizon
        (the vertex of a parabola through the lowest three). Runs alike but for the seed are averaged in ln L.
    noise: standard deviation of a run's ln L; by default the scatter of runs about their cells' surfaces, else of the
        evaluation (loss_se). A trunk's runs share it. Intervals redo the construction `resamples` times on runs so
        disturbed, with the sizes drawn anew where there are three or more.
    Minima at the end of the batches are bounds and carry no law; where fewer than three minima, or a span of L below
    2 %, are left, k and p are NaN and a note says so. Raises InputError for a table without such lines.
    """
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    runs = as_table(runs, "the sweep")
    if isinstance(about, bool) or not (isinstance(about, numbers.Integral) and about >= FEWEST):
        raise InputError(f"about is how many batches carry a parabola, {FEWEST} or more, not {about!r}")
    sweep = read_sweep(runs, diverged)
    rows, notes = sweep.rows, list(sweep.notes)
    if lr is not None:
        near = np.abs(np.log(rows["lr"] / lr)) < SAME
        if not near.any():
            tried = ", ".join(f"{v:g}" for v in sorted(rows["lr"].unique()))
            raise InputError(f"no run has learning rate {lr:g}; the table's are {tried}")
        rows = rows[near].reset_index(drop=True)
    elif rows["lr"].nunique() > 1:
        notes.append(
            "Each batch takes its best learning rate at each horizon; MiniCPM held it at 0.01 (lr=, --lr)."
        )
    log_loss = np.log(rows["loss"].to_numpy(dtype=float))
    sigma, where = _noise(sweep, runs, noise)
    rng = np.random.default_rng(seed)
    _, of_row = np.unique(rows["trunk"].to_numpy().astype(str), return_inverse=True)
    shaken = sigma * rng.normal(size=(resamples, of_row.max() + 1))[:, of_row]
    sweeps = np.vstack([log_loss, log_loss + shaken])
    sizes = [OneSize(float(n), rows[rows["params"] == n], about) for n in np.unique(rows["params"])]
    curves = [size.curves(sweeps) for size in sizes]
    levels = [size.levels(own, losses, lines) for size, own in zip(sizes, curves, strict=True)]

    def traced(draw: int) -> list[tuple[list[Minimum], list[tuple[float, ...]]]]:
        return [trace(*each, draw) for each in zip(sizes, curves, levels, strict=True)]

    found = traced(0)
    minima = [minimum for each, _ in found for minimum in each]
    points = [point for _, each in found for point in each]
    if not points:
        raise InputError(
            f"no loss is reached by {FEWEST} batches of one size: lines of equal loss need {FEWEST} batches or "
            "more, each run to two horizons or more, with losses that overlap"
        )
    notes.append(f"Intervals rest on noise of {100 * sigma:.2g} % in a run's loss, {where}.")
    notes += _line_notes(minima)
    places, laws, others = [], [], []
    for draw in range(1, resamples + 1):
        again = [each for each, _ in traced(draw)]
        places.append([minimum[-1] for each in again for minimum in each])
        if len(sizes) >= 3:
            again = [again[i] for i in rng.integers(len(sizes), size=len(sizes))]
        drawn = [minimum for each in again for minimum in each]
        laws.append(_law(drawn))
        others.append(_offered(drawn))
    told = np.array([law for law in laws if law is not None]).reshape(-1, 2)
    both = np.array([other for other in others if other is not None]).reshape(-1, 2)
    best, offered = _law(minima), _offered(minima)
    if best is None:
        notes.append(
            f"{sum(minimum[5] == '' for minimum in minima)} minima between batches carry no law (it takes three, over "
            "2 % of loss): the optimum lies beyond the batches tried, or noise hides it."
        )
    elif len(told) < 0.9 * resamples:
        notes.append(
            f"{1 - len(told) / resamples:.0%} of the disturbed sweeps give no law: read it as a guess."
        )
    if offered is not None:
        notes += _size_note(offered, both, level)
    return IsoLoss(
        k=_read(None if best is None else math.exp(best[0]), np.exp(told[:, 0]), level),
        p=_read(None if best is None else best[1], told[:, 1], level),
        params_exponent=_read(None if offered is None else offered[0], both[:, 0], level),
        p_within=_read(None if offered is None else offered[1], both[:, 1], level),
        minima=_with_intervals(minima, np.array(places), level), lines=_frame(points, _POINT), noise=sigma,
        level=level, notes=tuple(notes), draws=pd.DataFrame(told, columns=["ln_k", "p"]), places=pd.DataFrame(places),
    )  # fmt: skip


def _read(value: float | None, drawn: Array, level: float) -> Estimate:
    if value is None:
        return Estimate(math.nan)
    return estimate(value, drawn if len(drawn) else None, level)


def _size_note(offered: tuple[float, float], drawn: Array, level: float) -> list[str]:
    n = _read(offered[0], drawn[:, 0], level)
    if math.isnan(n.lo):
        return []
    if n.lo <= 0 <= n.hi:
        return ["Sizes share one line within their intervals, as a law in L alone has it."]
    within = _read(offered[1], drawn[:, 1], level)
    return [f"L alone does not decide: at one loss bs goes as N^{n}, at one size as 1/L^{within}."]


# ---- all sizes --------------------------------------------------------------------------------------


def _law(minima: list[Minimum]) -> tuple[float, float] | None:
    """(ln k, p) of ln bs = ln k − p·ln L; None for fewer than three minima or a span of L below 2 %."""
    inside = np.array([(at, batch) for _, at, batch, _, _, edge, *_ in minima if edge == ""]).reshape(-1, 2)
    if len(inside) < 3 or np.ptp(inside[:, 0]) < 0.02:
        return None
    middle = inside[:, 0].mean()
    slope, start = np.polyfit(inside[:, 0] - middle, inside[:, 1], 1)
    return float(start - slope * middle), float(-slope)


def _offered(minima: list[Minimum]) -> tuple[float, float] | None:
    """The exponents of N and of 1/L in bs when both are let in; None where they cannot be told apart."""
    inside = np.array([(at, math.log(n), batch) for n, at, batch, _, _, edge, *_ in minima if edge == ""])
    if len(inside) < 5 or len(np.unique(inside[:, 1])) < 2:
        return None
    X = np.column_stack([np.ones(len(inside)), inside[:, :2] - inside[:, :2].mean(axis=0)])
    if np.linalg.cond(X / np.linalg.norm(X, axis=0)) > 30:
        return None
    _, at, n = np.linalg.lstsq(X, inside[:, 2], rcond=None)[0]
    return float(n), float(-at)


def _frame(rows: list[Any], names: tuple[str, ...]) -> pd.DataFrame:
    """Rows as a frame, logs taken back."""
    frame = pd.DataFrame(rows, columns=list(names))
    for name in ("loss", "batch_tokens", "tokens"):
        frame[name] = np.exp(frame[name].astype(float))
    return frame


def _with_intervals(minima: list[Minimum], places: Array, level: float) -> pd.DataFrame:
    """The minima as a frame, with the interval of each one between batches."""
    frame = _frame([minimum[:-1] for minimum in minima], (*_POINT, "batches", "edge", "twice"))
    values = frame["batch_tokens"].to_numpy()
    for i, inside in enumerate(frame["edge"] == ""):
        found = Estimate(math.nan)
        if inside and len(places):
            found = estimate(values[i], np.exp(places[:, i]), level)
        frame.loc[i, ["batch_tokens_lo", "batch_tokens_hi"]] = found.lo, found.hi
    order = [
        "params",
        "loss",
        "batch_tokens",
        "batch_tokens_lo",
        "batch_tokens_hi",
        "tokens",
        "batches",
        "edge",
        "twice",
    ]
    return frame[order]


def _noise(sweep: Sweep, runs: pd.DataFrame, given: float | None) -> tuple[float, str]:
    """Standard deviation of a run's ln L, and where it is from."""
    if given is not None:
        if not (given >= 0 and math.isfinite(given)):
            raise InputError(f"noise is a standard deviation in ln L, such as 0.002, not {given!r}")
        return given, "as given"
    if math.isfinite(sweep.noise):
        return sweep.noise, "the scatter of runs about the surfaces of their cells"
    if "loss_se" in runs and runs["loss_se"].notna().any():
        return float((runs["loss_se"] / runs["loss"]).median()), "that of the evaluation alone (loss_se)"
    return 0.0, "for nothing in the table tells it: they hold the spread between sizes alone (noise=)"


def _line_notes(minima: list[Minimum]) -> list[str]:
    counts = Counter(minimum[5] for minimum in minima)
    texts = {
        "low": "have the fewest tokens at the smallest batch or below: bounds, left out",
        "high": "have the fewest tokens at the largest batch or above: bounds, left out",
        "none": "open downward, so they have no minimum: left out",
        MISSED: f"are not reached by {FEWEST} batches",
        EARLY: "are reached before the first horizon by some batch, so their fewest tokens are not known: left out",
    }
    return [f"{counts[key]} of {len(minima)} lines {text}." for key, text in texts.items() if key in counts]
