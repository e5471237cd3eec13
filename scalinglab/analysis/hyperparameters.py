"""The best learning rate and batch as laws in N and D, from a sweep (Step Law).

In each (N, D) cell of a sweep the least loss has its lr* and batch*; ordinary least squares in logs through the cells:

    lr* = c·N^a·D^b,   batch* = k·D^m   (and k·D^m·N^n, to see whether N is needed)

Both are optima at a token budget: what counts is the loss at the end of D tokens.
"""

import math
import numbers
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.answer import BEYOND, Answer, asked, beyond_note
from scalinglab.analysis.cell_regression import FEW, Draws, regression
from scalinglab.analysis.estimate import Estimate, estimate
from scalinglab.analysis.source import Runs
from scalinglab.analysis.sweep_cells import REACH, Cell, Sweep, near_best, read_sweep
from scalinglab.errors import InputError

Array = NDArray[np.float64]
Where = Literal["smooth", "grid", "near"]
_WHERE = ("smooth", "grid", "near")
_EDGES = ("leave out", "keep")
NEAR = 0.0025
"""Share above a cell's least loss within which "near" takes runs (the Step Law authors' fitting code)."""
_DRAWS = 1000  # of one cell's minimum, for its interval
_ONE = 0.1  # span of ln N or ln D that tells no exponent


@dataclass(frozen=True, kw_only=True)
class BatchLr(Answer):
    """lr* = lr_c·N^lr_params·D^lr_tokens and batch* = batch_c·D^batch_tokens, batch in tokens."""

    source: ClassVar[str] = "Step Law: Li et al. 2025, arXiv 2503.04715; surface and edges: docs/answers.md"
    figure: ClassVar[str] = "batch_lr"

    where: str
    """smooth, grid or near: how a cell's optimum was read."""
    lr_c: Estimate = asked("lr* = c·N^a·D^b")
    lr_params: Estimate = asked("a: exponent of N in lr*")
    """NaN where the cells hold one size, or N and D rise together."""
    lr_tokens: Estimate = asked("b: exponent of D in lr*")
    batch_c: Estimate = asked("batch* = k·D^m, tokens")
    batch_tokens: Estimate = asked("m: exponent of D in batch*")
    batch_params: Estimate = asked("exponent of N in batch*, if it is let in")
    without_params: float
    """AICc of batch* with N less AICc without: above 0 speaks for leaving N out, below 0 against. NaN if not known."""
    lr_scatter: float
    """Standard deviation of the cells about the law, in ln lr."""
    batch_scatter: float
    cells: pd.DataFrame
    """A row a cell: params, tokens, runs, lr and batch_tokens with _lo and _hi, loss (there, of the surface or the
    run), edge (which ends of the grid the optimum lies on or beyond, or why there is none), used (whether the laws rest
    on it), and the laws' lr_law and batch_law."""
    params_in_batch: bool = False
    """Whether batch* of `at` goes by N too."""
    sweep: Sweep = field(repr=False)
    draws: pd.DataFrame = field(repr=False)
    """Of the constants: ln_c, a, b; ln_k, m, n."""
    batch_at: dict[str, float] = field(repr=False)
    """The batch law in force: ln_k, m, n."""

    def headline(self) -> str:
        used = int(self.cells["used"].sum())
        if not self.known and self._one_horizon:
            return f"no law: the {used} optima ({self.where}) inside their grid share one horizon"
        if not self.known:
            return f"no law: {used} of {len(self.cells)} cells (N, D) hold an optimum ({self.where}) inside their grid"
        a = "" if math.isnan(self.lr_params.value) else f"·N^{self.lr_params}"
        return (
            f"lr* = {self.lr_c}{a}·D^{self.lr_tokens}; batch* = {self.batch_c}·D^{self.batch_tokens} tokens "
            f"({used} of {len(self.cells)} cells, {self.where} optimum, {self.level:.0%} intervals)"
        )

    @property
    def known(self) -> bool:
        """Whether enough cells, of more than one horizon, hold an optimum for the laws."""
        return math.isfinite(self.lr_c.value)

    @property
    def _one_horizon(self) -> bool:
        used = self.cells[self.cells["used"]]
        return len(used) > 1 and _share_a_horizon(used)

    def plain(self) -> dict[str, Any]:
        """Everything but the sweep and the draws."""
        found = super().plain()
        return {key: value for key, value in found.items() if key not in ("sweep", "draws")}

    def at(self, params: float, tokens: float, beyond: float = BEYOND) -> "Setting":
        """lr* and batch* for a model of N on D. Warns ExtrapolationWarning more than `beyond` decades outside."""
        for name, value in (("params", params), ("tokens", tokens)):
            if not (isinstance(value, numbers.Real) and value > 0 and math.isfinite(value)):
                raise InputError(f"{name} is a positive number, not {value!r}")
        if not self.known:
            what = "one horizon" if self._one_horizon else "too few optima"
            raise InputError(f"this sweep holds {what} for a law, so there is none to ask")
        lr, batch = self.predict(params, tokens)
        used = self.cells[self.cells["used"]]
        far = max(
            max(0.0, math.log10(value / used[name].max()), math.log10(used[name].min() / value))
            for name, value in (("params", params), ("tokens", tokens))
        )
        steps = Estimate(tokens / batch.value, tokens / batch.hi, tokens / batch.lo)
        return Setting(
            params=params, tokens=tokens, lr=lr, batch_tokens=batch, steps=steps, level=self.level,
            extrapolation=far, notes=beyond_note(far, beyond, "this setting"),
        )  # fmt: skip

    def loss_above(self, lr: Any, batch_tokens: Any) -> pd.Series:
        """Share by which a setting's loss lies above the least of each cell, by the cells' surfaces.

        lr, batch_tokens: numbers, or one a cell. NaN where a cell has no optimum inside its grid, or the setting lies
        beyond it.
        """
        size = len(self.cells)
        places = np.stack(
            [np.broadcast_to(np.log(np.asarray(v, float)), size) for v in (lr, batch_tokens)], axis=1
        )
        found = np.full(size, np.nan)
        for i, (cell, place) in enumerate(zip(self.sweep.cells, places, strict=True)):
            least = cell.surface.minimum() if cell.surface is not None else None
            if cell.surface is None or least is None or cell.edge(*least) or cell.edge(*place):
                continue
            found[i] = np.expm1(cell.surface.value(*place) - cell.surface.value(*map(np.asarray, least)))
        return pd.Series(found, index=self.cells.index, name="loss_above")

    def predict(self, params: Any, tokens: Any) -> tuple[Estimate, Estimate]:
        """(lr*, batch*) of the laws, with the interval of the law's mean."""
        u, v = math.log(params), math.log(tokens)
        a = 0.0 if math.isnan(self.lr_params.value) else self.lr_params.value
        d, b = self.draws, self.batch_at
        lr = math.exp(math.log(self.lr_c.value) + a * u + self.lr_tokens.value * v)
        batch = math.exp(b["ln_k"] + b["m"] * v + b["n"] * u)
        with np.errstate(over="ignore"):  # of laws that few cells leave open, a draw may reach infinity
            return (
                estimate(lr, np.exp((d["ln_c"] + d["a"] * u + d["b"] * v).to_numpy()), self.level),
                estimate(batch, np.exp((d["ln_k"] + d["m"] * v + d["n"] * u).to_numpy()), self.level),
            )


@dataclass(frozen=True, kw_only=True)
class Setting(Answer):
    """What the laws ask for one model; the intervals are of the law's mean, not of one more sweep."""

    source: ClassVar[str] = BatchLr.source

    params: float
    tokens: float
    lr: Estimate = asked("peak learning rate")
    batch_tokens: Estimate = asked("tokens")
    steps: Estimate = asked("D / batch")
    extrapolation: float = 0.0

    def headline(self) -> str:
        far = f"; {self.extrapolation:.1f} decades beyond the sweep" if self.extrapolation > 0.05 else ""
        return (
            f"N = {self.params:.3g}, D = {self.tokens:.3g}: lr {self.lr}, batch {self.batch_tokens.text(True)} tokens "
            f"({self.level:.0%} intervals{far})"
        )


def batch_lr(
    runs: Runs,
    where: Where = "smooth",
    *,
    params_in_batch: bool = False,
    edges: Literal["leave out", "keep"] = "leave out",
    diverged: float | None = None,
    reach: float = REACH,
    near: float = NEAR,
    level: float = 0.9,
    resamples: int = 2000,
    seed: int = 0,
) -> BatchLr:
    """The laws of the best learning rate and batch in a sweep's cells.

    runs: one row a run with params, tokens, loss, lr, batch_tokens. where: how a cell's optimum is read: "smooth",
        the least point of a quadratic surface about it; "grid", its least run; "near", all runs less than `near`
        above that one (then every run is a row of the regression).
    params_in_batch: let `at` go by the batch law with an exponent of N. edges: cells whose optimum lies on or beyond
        the edge of their grid are bounds; leave them out, or keep them at the bound. diverged: a loss above which runs
        are left out, as those without a finite loss are. reach: factor about an optimum within which runs carry the
        surface.
    Intervals resample whole cells, stretched for the degrees of freedom, so they hold both the noise of a cell's
    optimum and what the law leaves over; below eight cells they are Student's t of the least squares. Where too few
    cells hold an optimum, or all of one horizon, the laws are NaN and a note says what to do. Raises InputError for a
    table that is no sweep, or an option that is not known.
    """
    if where not in _WHERE:
        raise InputError(f"where is one of {', '.join(_WHERE)}, not {where!r}")
    if edges not in _EDGES:
        raise InputError(f"edges is one of {', '.join(_EDGES)}, not {edges!r}")
    if isinstance(resamples, bool) or not (isinstance(resamples, numbers.Integral) and resamples >= 1):
        raise InputError(f"resamples is how many draws the intervals rest on, one or more, not {resamples!r}")
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    sweep = read_sweep(runs, diverged, reach)
    for name, what in (("lr", "learning rate"), ("batch_tokens", "batch")):
        if sweep.rows[name].nunique() < 2:
            raise InputError(
                f"every run has the {what} {sweep.rows[name].iloc[0]:g}: an optimum takes a sweep over learning rate "
                "and batch, at least three of each"
            )
    rng = np.random.default_rng(seed)
    cells = _optima(sweep, where, near, level, edges == "keep", rng)
    notes = list(sweep.notes) + _edge_notes(cells, edges)
    used = cells["used"].to_numpy()
    points = [_points(cell, row, where, near) for cell, row in zip(sweep.cells, _rows(cells), strict=True)]
    chosen = [point for point, inside in zip(points, used, strict=True) if inside]
    kept = cells[used]
    known: dict[str, Any] = {
        "where": where,
        "level": level,
        "params_in_batch": params_in_batch,
        "sweep": sweep,
    }
    if len(kept) > 1 and _share_a_horizon(kept):
        notes.append(
            f"Both laws go by D, so they take a second horizon: these {len(kept)} optima tell nothing beyond theirs."
        )
        return _unknown(cells, tuple(notes), known)
    variables, why = _told_apart(kept)
    if why:
        notes.append(why)
    if len(kept) <= len(variables) + 1:
        notes.append(_too_few(cells, len(variables) + 1))
        return _unknown(cells, tuple(notes), known)
    if len(chosen) < FEW:
        notes.append(
            f"{len(chosen)} cells are too few to resample: intervals are Student's t of the least squares."
        )
    draws_of = Draws(len(chosen), resamples, rng)
    own = _own_noise(kept, level)
    lr = regression(chosen, 0, variables, draws_of, own[0])
    plain = regression(chosen, 1, ["tokens"], draws_of, own[1])
    full = regression(chosen, 1, variables, draws_of, own[1]) if "params" in variables else None
    if params_in_batch and full is None:
        raise InputError(
            "these cells cannot tell an exponent of N in the batch: they need sizes beside horizons"
        )
    batch = full if params_in_batch and full is not None else plain
    draws = pd.DataFrame(
        {"ln_c": lr.draws["one"], "a": lr.draws.get("params", 0.0), "b": lr.draws["tokens"]}
        | {"ln_k": batch.draws["one"], "m": batch.draws["tokens"], "n": batch.draws.get("params", 0.0)}
    )
    cells = cells.assign(
        lr_law=np.exp(lr.predict(cells["params"], cells["tokens"])),
        batch_law=np.exp(batch.predict(cells["params"], cells["tokens"])),
    )
    offered = Estimate(math.nan) if full is None else full.estimate("params", level)
    evidence = math.nan if full is None else full.aicc() - plain.aicc()
    notes += _evidence_note(offered, evidence, params_in_batch)
    if all(own):
        notes.append(
            f"Cells lie about the laws with a factor {math.exp(lr.scatter):.2f} in lr and "
            f"{math.exp(batch.scatter):.2f} in batch (1 sd); noise within a cell alone would give "
            f"{math.exp(own[0]):.2f} and {math.exp(own[1]):.2f} (median)."
        )
    return BatchLr(
        **known, notes=tuple(notes), cells=cells,
        lr_c=lr.estimate("one", level, np.exp), lr_tokens=lr.estimate("tokens", level),
        lr_params=lr.estimate("params", level) if "params" in variables else Estimate(math.nan),
        batch_c=batch.estimate("one", level, np.exp), batch_tokens=batch.estimate("tokens", level),
        batch_params=offered, without_params=evidence, lr_scatter=lr.scatter, batch_scatter=batch.scatter,
        draws=draws,
        batch_at={
            "ln_k": batch.constants["one"],
            "m": batch.constants["tokens"],
            "n": batch.constants.get("params", 0.0),
        },
    )  # fmt: skip


# ---- the cells --------------------------------------------------------------------------------------


def _optima(
    sweep: Sweep, where: Where, near: float, level: float, keep: bool, rng: np.random.Generator
) -> pd.DataFrame:
    rows = []
    for cell in sweep.cells:
        lo = hi = (math.nan, math.nan)
        loss = float(cell.log_loss.min())
        place: tuple[float, float] | None = cell.least
        if where == "near":
            u, v = np.mean(list(near_best(cell, near)), axis=0)
            place = float(u), float(v)
        if where == "smooth":
            place = cell.surface.minimum() if cell.surface is not None else None
        if place is None:
            edge = cell.unsurfaced if cell.surface is None else "no minimum"
            place = (math.nan, math.nan)
        else:
            # the runs near the best may straddle an edge that the least of them lies on
            edge = cell.edge(*(cell.least if where == "near" else place))
            if where == "smooth" and cell.surface is not None:
                drawn = cell.surface.minima(_DRAWS, rng)
                ends = [estimate(math.exp(p), np.exp(drawn[:, i]), level) for i, p in enumerate(place)]
                lo, hi = (ends[0].lo, ends[1].lo), (ends[0].hi, ends[1].hi)
                loss = float(cell.surface.value(*map(np.asarray, place)))
            if edge:  # nothing was tried beyond: the bound
                low, high = np.array(cell.limits[::2]), np.array(cell.limits[1::2])
                u, v = np.clip(np.array(place), low, high)
                place = float(u), float(v)
                lo = hi = (math.nan, math.nan)
                loss = float(cell.log_loss.min())
        rows.append(
            {
                "params": cell.params, "tokens": cell.tokens, "runs": len(cell.log_loss),
                "lr": math.exp(place[0]), "lr_lo": lo[0], "lr_hi": hi[0],
                "batch_tokens": math.exp(place[1]), "batch_tokens_lo": lo[1], "batch_tokens_hi": hi[1],
                "loss": math.exp(loss), "edge": edge,
                "used": not math.isnan(place[0]) and (not edge or keep),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _points(cell: Cell, row: Any, where: Where, near: float) -> Array:
    """Rows (ln lr, ln batch, ln N, ln D) of one cell in the regression."""
    places = (
        list(near_best(cell, near)) if where == "near" else [(math.log(row.lr), math.log(row.batch_tokens))]
    )
    return np.array([(*place, math.log(cell.params), math.log(cell.tokens)) for place in places])


def _too_few(cells: pd.DataFrame, constants: int) -> str:
    widen = (
        'widen the grid where the optimum lies at its edge, or take such cells at their bound (edges="keep", '
        "--keep-edges)"
        if cells["edge"].str.contains("low|high").any()
        else 'vary the learning rate at each of several batches, or take the least runs (where="grid", --where grid)'
        if (cells["edge"] == "along a line").any()
        else "it takes a sweep of more sizes and horizons"
    )
    return (
        f"{int(cells['used'].sum())} of {len(cells)} cells hold an optimum inside their grid and the law of the "
        f"learning rate has {constants} constants, so neither law is known: {widen}."
    )


def _unknown(cells: pd.DataFrame, notes: tuple[str, ...], known: dict[str, Any]) -> BatchLr:
    """The answer where too few cells hold an optimum: the cells, and no law."""
    nan = Estimate(math.nan)
    return BatchLr(
        lr_c=nan, lr_params=nan, lr_tokens=nan, batch_c=nan, batch_tokens=nan, batch_params=nan,
        without_params=math.nan, lr_scatter=math.nan, batch_scatter=math.nan, notes=notes,
        cells=cells.assign(lr_law=math.nan, batch_law=math.nan), draws=pd.DataFrame(), batch_at={}, **known,
    )  # fmt: skip


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)


def _own_noise(cells: pd.DataFrame, level: float) -> tuple[float, float]:
    """Standard deviation of a cell's (ln lr, ln batch) from the noise of its runs, the median; 0 where not known."""
    from scipy.special import ndtri

    z = 2 * ndtri(0.5 + level / 2)
    ends = (
        (cells[f"{name}_lo"].to_numpy(), cells[f"{name}_hi"].to_numpy()) for name in ("lr", "batch_tokens")
    )
    widths = [np.median(np.log(hi) - np.log(lo)) / z for lo, hi in ends]
    lr, batch = (float(width) if math.isfinite(width) else 0.0 for width in widths)
    return lr, batch


def _share_a_horizon(cells: pd.DataFrame) -> bool:
    return bool(np.ptp(np.log(cells["tokens"].to_numpy(dtype=float))) < _ONE)


def _told_apart(cells: pd.DataFrame) -> tuple[list[str], str]:
    """Which of N and D the cells can tell the exponents of, and a sentence where it is not both."""
    logs = np.log(cells[["params", "tokens"]].to_numpy(dtype=float))
    if len(logs) < 2:
        return ["tokens"], ""
    if np.ptp(logs[:, 0]) < _ONE:
        return ["tokens"], "One size only: the exponent of N is not known."
    if abs(np.corrcoef(logs.T)[0, 1]) > 0.995:
        return ["tokens"], (
            "N and D rise together in these cells, so their exponents cannot be told apart: that of D carries both."
        )
    return ["params", "tokens"], ""


# ---- notes ------------------------------------------------------------------------------------------


def _edge_notes(cells: pd.DataFrame, edges: str) -> list[str]:
    notes = []
    bound = cells["edge"].str.contains("low|high")
    if bound.any():
        kinds = cells["edge"][bound].str.split(", ").explode().value_counts()
        listed = ", ".join(f"{name} {count}" for name, count in kinds.items())
        then = "left out" if edges == "leave out" else "kept at their bound"
        notes.append(
            f"{int(bound.sum())} of {len(cells)} cells have their optimum on or beyond the edge of their grid "
            f"({listed}): bounds, {then}."
        )
    for reason, text in (
        ("no minimum", "a surface without a minimum"),
        (
            "no surface",
            "too few runs about their best one for a surface (it takes eight, three values each way)",
        ),
        (
            "along a line",
            "learning rates and batches along a line or a cross, which leave a surface over both open",
        ),
    ):
        if (count := int((cells["edge"] == reason).sum())) > 0:
            notes.append(f"{count} of {len(cells)} cells have {text}: left out.")
    return notes


def _evidence_note(offered: Estimate, evidence: float, included: bool) -> list[str]:
    if math.isnan(evidence):
        return []
    inside = offered.lo <= 0 <= offered.hi
    if evidence > 2 and inside:
        verdict = "the cells do not need it"
    elif evidence < -2 and not inside:
        verdict = "the cells do need it" + ("" if included else " (params_in_batch=True, --params-in-batch)")
    else:
        verdict = "the cells do not decide"
    return [f"Batch with an exponent of N: {offered}, AICc with it less without {evidence:+.1f}; {verdict}."]
