"""A sweep over learning rate and batch, cell by cell: where in each (N, D) cell the loss is least.

The least run of a grid is only known to a grid step. A quadratic surface in (ln lr, ln batch) through the runs within
a factor of the optimum gives the place between them, with an interval; the runs are chosen by where they lie, not by
their loss, so that a lucky run has no better chance to be in. An optimum at the edge of a grid is a bound: beyond it
nothing was tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.source import Runs, as_numbers, refuse_row, run_ends
from scalinglab.errors import InputError

Array = NDArray[np.float64]
REACH = 4.0
"""Factor in learning rate and batch about the optimum within which runs carry the surface."""
SAME = 0.02
"""Values closer than this share are one: rounding of D to whole batches, and of printed learning rates."""
_STEEP = 0.1  # runs whose loss lies further above the best than this share are no part of a quadratic valley
_COEFFICIENTS = 6
_SPARE = 2  # runs beyond the surface's own constants
_RANK = 1e-4  # singular value of a design, over its largest, from which it is of less than full rank


@dataclass(frozen=True)
class Surface:
    """ln L = q0 + q·(u, v, u², uv, v²), u and v from (ln lr, ln batch) of `centre`."""

    centre: tuple[float, float]
    q: Array
    covariance: Array
    freedom: int
    noise: float
    """Standard deviation of the runs about it, in ln L: noise and what a quadratic cannot follow."""

    def value(self, log_lr: Array, log_batch: Array) -> Array:
        """ln L there."""
        return np.asarray(_design(log_lr - self.centre[0], log_batch - self.centre[1]) @ self.q)

    def minimum(self) -> tuple[float, float] | None:
        """(ln lr, ln batch) of its least point; None where it has none."""
        found = _vertices(self.q[None])[0]
        return None if np.isnan(found[0]) else (self.centre[0] + found[0], self.centre[1] + found[1])

    def minima(self, n: int, rng: np.random.Generator) -> Array:
        """(n, 2) minima of surfaces drawn from the uncertainty of this one; NaN where a draw has none."""
        size, axes = np.linalg.eigh(self.covariance)
        spread = axes * np.sqrt(np.maximum(size, 0.0))  # rounding may leave a variance below 0
        root = np.asarray(np.linalg.qr(spread.T, mode="r")).T  # lower triangular, as a Cholesky factor
        root *= np.where(np.diag(root) < 0, -1.0, 1.0)
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, size=(n, 1)))
        drawn = self.q + scale * (rng.normal(size=(n, _COEFFICIENTS)) @ root.T)
        return np.asarray(_vertices(drawn) + np.array(self.centre))


@dataclass(frozen=True)
class Cell:
    """The runs of one (N, D).

    log_lr, log_batch, log_loss: of its runs, means of replicates. limits: lowest and highest ln lr, then ln batch, of
    everything tried, diverged runs too.
    """

    params: float
    tokens: float
    log_lr: Array
    log_batch: Array
    log_loss: Array
    limits: tuple[float, float, float, float]
    surface: Surface | None = field(default=None, repr=False)

    @property
    def least(self) -> tuple[float, float]:
        """(ln lr, ln batch) of the run with the least loss."""
        best = int(self.log_loss.argmin())
        return float(self.log_lr[best]), float(self.log_batch[best])

    @property
    def unsurfaced(self) -> str:
        """Why it has no surface: "no surface", for too few runs, or "along a line"."""
        chosen = self.log_loss <= self.log_loss.min() + _STEEP
        return "along a line" if _enough(self, chosen) else "no surface"

    def edge(self, log_lr: float, log_batch: float) -> str:
        """Which ends of the grid a place lies on or beyond: "lr low", "batch high", both with a comma, or ""."""
        found = []
        for name, at, low, high in (
            ("lr", log_lr, *self.limits[:2]),
            ("batch", log_batch, *self.limits[2:]),
        ):
            if at <= low + SAME:
                found.append(f"{name} low")
            elif at >= high - SAME:
                found.append(f"{name} high")
        return ", ".join(found)


@dataclass(frozen=True)
class Sweep:
    """A sweep's cells, and what was left out on the way to them, a sentence each."""

    cells: tuple[Cell, ...]
    rows: pd.DataFrame
    """params, tokens, lr, batch_tokens (values within 2 % made one), loss, and `trunk`: runs that share noise."""
    notes: tuple[str, ...]

    @property
    def noise(self) -> float:
        """Pooled scatter of runs about their cells' surfaces, in ln L; NaN where no cell has one."""
        surfaces = [cell.surface for cell in self.cells if cell.surface is not None]
        freedom = sum(surface.freedom for surface in surfaces)
        total = sum(surface.freedom * surface.noise**2 for surface in surfaces)
        return float(np.sqrt(total / freedom)) if freedom else float("nan")


def read_sweep(runs: Runs, diverged: float | None = None, reach: float = REACH) -> Sweep:
    """The cells of a run table with lr and batch_tokens.

    diverged: runs whose loss is above this, or is no finite number, are left out; they still say how far the grid
        reached. reach: see REACH.
    Undecayed trunk rows are left out. Raises InputError for a missing column, several eval sets or units of the loss,
    a row without a positive, finite params or tokens or with a loss of 0 or less, or no run left.
    """
    if reach <= 1:
        raise InputError(f"reach is a factor above 1, such as 4, not {reach:g}")
    kept, passed = run_ends(runs, ("params", "tokens"), also=("loss", "lr", "batch_tokens"), name="the sweep")
    notes = list(passed)
    kept = kept.assign(**{name: as_numbers(kept, name) for name in ("loss", "lr", "batch_tokens")})
    refuse_row(kept, "loss", kept["loss"].to_numpy() <= 0, "the sweep")
    settings = kept[["lr", "batch_tokens"]].to_numpy()
    known = (np.isfinite(settings) & (settings > 0)).all(axis=1)
    if not known.all():
        notes.append(f"{int((~known).sum())} rows without a learning rate or a batch are left out.")
        kept = kept[known]
    if kept.empty:
        raise InputError("no decayed row of the sweep has a learning rate and a batch")
    if "schedule" in kept and kept["schedule"].nunique() > 1:
        named = ", ".join(map(str, kept["schedule"].dropna().unique()))
        notes.append(f"The runs follow several schedules ({named}); an optimum belongs to one.")
    rows = pd.DataFrame({name: one_value(kept[name]) for name in ("params", "lr", "batch_tokens")})
    rows["loss"] = kept["loss"].to_numpy(dtype=float)
    rows["tokens"] = kept["tokens"].to_numpy(dtype=float)
    for _, own in rows.groupby("params"):
        rows.loc[own.index, "tokens"] = one_value(own["tokens"])
    rows["trunk"] = kept["trunk_id"].astype(str).to_numpy() if "trunk_id" in kept else np.arange(len(rows))
    limits = {
        key: (*np.log(own["lr"].agg(["min", "max"])), *np.log(own["batch_tokens"].agg(["min", "max"])))
        for key, own in rows.groupby(["params", "tokens"])
    }
    broken = ~np.isfinite(rows["loss"].to_numpy())
    high = rows["loss"].to_numpy() > (np.inf if diverged is None else diverged)
    gone = broken | high
    if gone.any():
        what = []
        if (high & ~broken).any():
            what.append(f"loss above {diverged:g}")
        if broken.any():
            what.append(f"{int(broken.sum())} without a finite loss")
        if gone.all():
            raise InputError(f"every run of the sweep diverged ({', '.join(what)}), so none is left")
        notes.append(f"{int(gone.sum())} of {len(rows)} runs diverged ({', '.join(what)}): left out.")
        empty = len(limits) - rows[~gone].groupby(["params", "tokens"]).ngroups
        if empty:
            notes.append(f"In {empty} of {len(limits)} cells every run diverged: they are left out.")
        rows = rows[~gone]
    cells = tuple(
        _cell(key, own, limits[key], reach) for key, own in rows.groupby(["params", "tokens"], sort=True)
    )
    return Sweep(cells, rows.reset_index(drop=True), tuple(notes))


def one_value(values: pd.Series) -> Array:
    """Values with those closer than 2 % made one, their geometric mean."""
    plain = values.to_numpy(dtype=float)
    distinct, of_row = np.unique(plain, return_inverse=True)
    of_row = np.concatenate([[0], np.cumsum(np.diff(np.log(distinct)) > SAME)])[of_row]
    found = plain.copy()
    for group in np.unique(of_row):
        own = plain[of_row == group]
        if np.ptp(own) > 0:
            found[of_row == group] = np.exp(np.log(own).mean())
    return found


def _cell(key: Any, own: pd.DataFrame, limits: tuple[float, ...], reach: float) -> Cell:
    means = np.log(own["loss"]).groupby([own["lr"], own["batch_tokens"]]).mean()
    x, y = (np.log(means.index.get_level_values(i).to_numpy(dtype=float)) for i in (0, 1))
    z = means.to_numpy(dtype=float)
    lr_low, lr_high, batch_low, batch_high = map(float, limits)
    cell = Cell(float(key[0]), float(key[1]), x, y, z, (lr_low, lr_high, batch_low, batch_high))
    return Cell(cell.params, cell.tokens, x, y, z, cell.limits, _surface(cell, np.log(reach)))


# ---- the smooth minimum -----------------------------------------------------------------------------


def _surface(cell: Cell, reach: float) -> Surface | None:
    """The quadratic about the optimum, its runs chosen anew about each minimum until that stands still."""
    centre, found = np.array(cell.least), None
    for _ in range(25):
        chosen = _about(cell, centre, reach)
        if chosen is None:
            return None
        found = _fitted(cell, chosen, (float(centre[0]), float(centre[1])))
        place = found.minimum()
        if place is None:
            return found
        low, high = np.array(cell.limits[::2]), np.array(cell.limits[1::2])
        step = np.clip(np.clip(np.array(place), low, high) - centre, -0.35, 0.35)  # no leaps out of the runs
        centre = centre + step
        if np.abs(step).max() < 1e-3:
            break
    return found


def _about(cell: Cell, centre: Array, reach: float) -> NDArray[np.intp] | None:
    """Runs within `reach` of a place, further where those do not tell a surface; None where none do."""
    flat = cell.log_loss <= cell.log_loss.min() + _STEEP
    for wider in (1.0, 1.25, 1.6, 2.0, np.inf):
        near = np.maximum(np.abs(cell.log_lr - centre[0]), np.abs(cell.log_batch - centre[1]))
        chosen = flat & (near <= wider * reach + SAME)
        if _enough(cell, chosen) and _full_rank(cell.log_lr[chosen], cell.log_batch[chosen]):
            return np.flatnonzero(chosen)
    return None


def _enough(cell: Cell, chosen: NDArray[np.bool_]) -> bool:
    levels = min(len(np.unique(axis[chosen])) for axis in (cell.log_lr, cell.log_batch))
    return bool(chosen.sum() >= _COEFFICIENTS + _SPARE and levels >= 3)


def _full_rank(log_lr: Array, log_batch: Array) -> bool:
    """Whether runs there tell all constants of a surface; along a line, or on a cross, they do not."""
    u, v = ((axis - axis.mean()) / axis.std() for axis in (log_lr, log_batch))
    size = np.linalg.svd(_design(u, v), compute_uv=False)
    return bool(size[-1] > _RANK * size[0])


def _fitted(cell: Cell, chosen: NDArray[np.intp], centre: tuple[float, float]) -> Surface:
    X = _design(cell.log_lr[chosen] - centre[0], cell.log_batch[chosen] - centre[1])
    q = np.asarray(np.linalg.lstsq(X, cell.log_loss[chosen], rcond=None)[0], dtype=float)
    freedom = len(chosen) - _COEFFICIENTS
    noise = float(np.sqrt(np.sum((cell.log_loss[chosen] - X @ q) ** 2) / freedom))
    covariance = np.asarray(noise**2 * np.linalg.pinv(X.T @ X), dtype=float)
    return Surface(centre, q, covariance, freedom, noise)


def _design(u: Array, v: Array) -> Array:
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1)


def _vertices(q: Array) -> Array:
    """(k, 2) least points (u, v) of quadratics (k, 6); NaN where a quadratic opens downward in some direction."""
    _, a, b, aa, ab, bb = q.T
    det = 4 * aa * bb - ab * ab
    with np.errstate(all="ignore"):
        u, v = (ab * b - 2 * bb * a) / det, (ab * a - 2 * aa * b) / det
    return np.where(((det > 0) & (aa > 0))[:, None], np.stack([u, v], axis=1), np.nan)


def near_best(cell: Cell, share: float) -> Iterator[tuple[float, float]]:
    """(ln lr, ln batch) of the runs whose loss is less than `share` above the cell's least."""
    for i in np.flatnonzero(np.expm1(cell.log_loss - cell.log_loss.min()) < share):
        yield float(cell.log_lr[i]), float(cell.log_batch[i])
