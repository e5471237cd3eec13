"""From somebody's rows and a map to the run table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.errors import InputError
from scalinglab.records._schema import BY_NAME
from scalinglab.records.importers._map import Entry, Map
from scalinglab.records.importers._quantities import (
    COUNT_UNITS,
    LOSS_UNITS,
    NoQuantity,
    nats,
    quantities,
    quantity,
    scaled,
)
from scalinglab.records.importers._source import Source
from scalinglab.records.table import TableWarning, check_table

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_COUNTS = ("params", "params_total", "tokens", "unique_tokens", "batch_tokens", "flops_6nd", "flops_exact")
_CONSTANT = re.compile(r"constant|stable|flat|none", re.I)
_DECAYS = re.compile(r"cool|decay|anneal|linear|cos|wsd-", re.I)
_AT_PEAK = 0.999
"""Share of a run's highest learning rate from which on a point counts as undecayed."""


def is_constant(schedule: Any) -> bool:
    """Whether the name of a schedule says that its learning rate stays: `constant`, `wsd_constant`, but no cooldown."""
    return bool(_CONSTANT.search(str(schedule))) and not _DECAYS.search(str(schedule))


def apply(source: Source, mapping: Map) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The run table, checked, and what was left out, in sentences.

    Raises InputError naming file, row, column and the mend for whatever does not fit the map.
    """
    import pandas as pd

    if not mapping.losses:
        raise InputError(
            f'{source.name}: the map has no loss; write loss = {{ from = "COLUMN" }} under [columns].'
        )
    for needed in ("params", "tokens"):
        if needed not in mapping.columns:
            hint = mapping.missing.get(needed) or f'write {needed} = {{ from = "COLUMN" }} under [columns].'
            raise InputError(f"{source.name}: the map has no {needed}; {hint}")
    _check_names(source, mapping)
    rows = _Rows(source, mapping)
    notes = list(source.notes)
    left = len(source.frame) - len(rows.frame)
    if left and len(rows.frame):
        notes.append(f"{left} of {_rows_text(len(source.frame))} left out by [keep] of the map.")
    if not rows.frame.shape[0]:
        asked = ", ".join(
            f"{name} = {' or '.join(map(str, values))}" for name, values in mapping.keep.items()
        )
        raise InputError(
            f"{source.name}: no row has {asked}; change [keep] in the map, by columns of the source."
        )
    parts, taken = [], []
    for i, entry in enumerate(mapping.losses):
        part, index, said = _one_loss(rows, mapping, entry, i)
        parts.append(part)
        taken.append(index)
        notes += said
    table = pd.concat(parts, ignore_index=True)
    where = np.concatenate(taken)
    if len(parts) > 1:  # rows of one run stand together
        order = np.argsort(where, kind="stable")
        table, where = table.iloc[order].reset_index(drop=True), where[order]
    if table.empty:
        raise InputError(f"{source.name}: no run has a loss in {', '.join(map(_loss_name, mapping.losses))}.")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", TableWarning)
        checked = check_table(table, source.name, lambda row: source.row_name(int(where[row])))
    notes += [str(warning.message) for warning in heard]
    return checked, tuple(dict.fromkeys(notes))


def _rows_text(count: int) -> str:
    return f"{count} row{'s' * (count > 1)}"


def _loss_name(entry: Entry) -> str:
    return entry.shown()


def _check_names(source: Source, mapping: Map) -> None:
    """Raises InputError where the map speaks of a column that the source has not."""
    import difflib

    present = [str(name) for name in source.frame.columns]
    asked: list[tuple[str, str | None]] = []
    asked += [(name, column) for name, entry in mapping.columns.items() for column in entry.columns()]
    asked += [("loss", column) for entry in mapping.losses for column in entry.columns()]
    asked += [("run", mapping.run), ("order", mapping.order)] if mapping.points != "all" else []
    asked += [("keep", column) for column in mapping.keep] + [("others", column) for column in mapping.others]
    for key, column in asked:
        if column is None:
            raise InputError(
                f'{source.name}: points = "{mapping.points}" needs to know what names a run and what counts along it; '
                'write run = "COLUMN" and order = "COLUMN" at the top of the map.'
            )
        if column not in present:
            near = difflib.get_close_matches(column, present, n=1)
            listed = ", ".join(f'"{name}"' for name in present[:12])
            mend = f'did you mean "{near[0]}"?' if near else f"it has {listed}{', …' * (len(present) > 12)}."
            raise InputError(f'{source.name} has no column "{column}", which the map takes for {key}; {mend}')


class _Rows:
    """The rows that the map keeps, and their columns as the map reads them."""

    def __init__(self, source: Source, mapping: Map) -> None:
        frame = source.frame
        keep = np.ones(len(frame), dtype=bool)
        for column, values in mapping.keep.items():
            texts = {str(value) for value in values}
            blank = "" in texts
            own = {float(value) for value in values if isinstance(value, int | float)}
            keep &= np.array(
                [
                    blank if _missing(cell) else str(cell) in texts or _float(cell) in own
                    for cell in frame[column]
                ],
                dtype=bool,
            )
        self.index = np.flatnonzero(keep)
        self.frame = frame.iloc[self.index].reset_index(drop=True)
        self.source, self.mapping = source, mapping
        self.run = self.order = None
        if mapping.run is not None and mapping.points != "all":
            self.run = np.array([str(cell) for cell in self.frame[mapping.run]], dtype=object)
            assert mapping.order is not None  # checked by name before
            self.order, _ = self.numbers(mapping.order, "order")
            # a tracker logs some things at some steps: what was logged last still holds
            losses = {column for entry in mapping.losses for column in entry.columns()}
            filled = [column for column in self.frame.columns if column not in losses]
            by_order = np.lexsort((np.arange(len(self.frame)), self.order))
            ordered = self.frame.iloc[by_order]
            self.frame[filled] = ordered[filled].groupby(self.run[by_order], sort=False).ffill().sort_index()
        self.columns: dict[str, Any] = {}
        self.pending: set[str] = set()
        """Counts being made: of params and tokens one may be given relative to the other, but not both."""

    def where(self, row: int) -> str:
        return f"{self.source.name}, {self.source.row_name(int(self.index[row]))}"

    def cells(self, entry: Entry, key: str) -> list[Any]:
        """A column as it is, or what `find` finds in it, or what `values` makes of it."""
        cells = list(self.frame[entry.source])
        if entry.find is not None:
            try:
                pattern = re.compile(entry.find)
            except re.error as error:
                raise InputError(
                    f'the map, {key}: find = "{entry.find}" is no regular expression ({error}).'
                ) from error
            for i, cell in enumerate(cells):
                found = pattern.search(str(cell))
                if found is None:
                    raise InputError(
                        f'{self.where(i)}, column "{entry.source}": nothing in "{cell}" fits find = "{entry.find}", '
                        f"which the map takes for {key}; change it, or leave such rows out with [keep]."
                    )
                cells[i] = found[1] if pattern.groups else found[0]
        if entry.values is not None:
            for i, cell in enumerate(cells):
                if _missing(cell):
                    continue
                if str(cell) not in entry.values:
                    raise InputError(
                        f'{self.where(i)}, column "{entry.source}": the map does not say what "{cell}" means for '
                        f"{key}; add it to values, or leave such rows out with [keep]."
                    )
                cells[i] = entry.values[str(cell)]
        return cells

    def numbers(self, column: str, key: str, cells: list[Any] | None = None) -> tuple[Floats, dict[int, str]]:
        """(rows,) a column's numbers, and by row the units that cells name."""
        found = list(self.frame[column]) if cells is None else cells
        try:
            return quantities(found, self.mapping.decimal)
        except NoQuantity as error:
            i = error.args[0]
            raise InputError(
                f'{self.where(i)}, column "{column}": "{str(found[i])[:40]}" is not a number, and the map takes it for '
                f"{key}; mend it, or write it as 1.3e9, 1.3B or 20 tokens/param."
            ) from None

    def factor(self, factor: Any, key: str) -> Floats:
        if isinstance(factor, tuple | list):
            return np.prod([self.factor(each, key) for each in factor], axis=0)
        if isinstance(factor, str):
            return self.numbers(factor, key)[0]
        return np.full(len(self.frame), float(factor))

    def amount(self, entry: Entry, key: str) -> tuple[Floats, dict[int, str]]:
        """(rows,) what an entry of a number comes to, before unit and minus; and by row the units that cells name."""
        units: dict[int, str] = {}
        if entry.value is not None:
            try:
                value, unit = quantity(entry.value)
            except NoQuantity:
                raise InputError(f"the map, {key}: {entry.value!r} is not a number; write 1.3e9.") from None
            made = np.full(len(self.frame), value)
            units = dict.fromkeys(range(len(made)), unit) if unit else {}
        elif entry.product:
            made = self.factor(entry.product, key)
        elif entry.sum:
            made = np.sum([self.factor(each, key) for each in entry.sum], axis=0)
        else:
            assert entry.source is not None
            made, units = self.numbers(entry.source, key, self.cells(entry, key))
        return made, units

    def less(self, made: Floats, entry: Entry, key: str) -> Floats:
        """(rows,) without what the entry takes off, which is in no unit of its own."""
        for each in entry.minus:
            made = made - self.factor(each, key)
        return made

    def count(self, key: str) -> Floats:
        """(rows,) parameters, tokens and the like, with their unit taken in."""
        if key in self.columns:
            return self.columns[key]
        entry = self.mapping.columns[key]
        self.pending.add(key)
        made, named = self.amount(entry, key)
        unit = entry.unit or "1"
        scale = COUNT_UNITS[unit]
        units = [unit] * len(made)
        for i, each in named.items():
            units[i] = each
        if unit in "kMBT" and not named:
            out = np.array([scaled(value, scale) for value in made])
        else:
            out = made * np.array([COUNT_UNITS[each] for each in units])
        relative = np.array([each in ("tokens/param", "chinchilla", "flops") for each in units])
        if relative.any():
            other = {"tokens": "params", "params": "tokens"}.get(key)
            theirs = self.mapping.columns.get(other) if other else None
            if other is None or theirs is None or other in self.pending:
                raise InputError(
                    f"the map, {key}: the unit {units[int(np.argmax(relative))]} needs the "
                    f"{other or 'parameters'} in a unit of their own; only tokens or params can be given so."
                )
            against = self.count(other)
            flops = np.array([each == "flops" for each in units])
            out = np.where(flops, out / (6 * against), out)
            ratio = relative & ~flops
            out = np.where(ratio, out * against if key == "tokens" else against / out, out)
        self.columns[key] = self.less(out, entry, key)
        self.pending.discard(key)
        return self.columns[key]

    def value(self, key: str) -> Any:
        """(rows,) any column of the run table but the losses."""
        entry = self.mapping.columns[key]
        if key in _COUNTS:
            return self.count(key)
        if BY_NAME[key].kind == "number":
            return self.less(self.amount(entry, key)[0], entry, key)
        if entry.value is not None:
            return [entry.value] * len(self.frame)
        if entry.source is None:
            raise InputError(f"the map, {key}: only numbers can be sums and products; write from or value.")
        return [None if _missing(cell) else cell for cell in self.cells(entry, key)]


def _missing(cell: Any) -> bool:
    return cell is None or cell == "" or cell != cell


def _float(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _one_loss(
    rows: _Rows, mapping: Map, entry: Entry, which: int
) -> tuple[pd.DataFrame, NDArray[Any], list[str]]:
    """The rows with this loss, the rows of the source they are of, and what was left out."""
    import pandas as pd

    notes: list[str] = []
    raw = rows.less(rows.amount(entry, "loss")[0], entry, "loss")
    known = ~np.isnan(raw)
    points = mapping.points
    if points == "all":
        chosen, kind = np.flatnonzero(known), None
        lacking = np.flatnonzero(~known)
        if len(mapping.losses) == 1 and len(lacking):
            where = ", ".join(rows.source.row_name(int(rows.index[row])) for row in lacking[:5])
            notes.append(
                f"{_rows_text(len(lacking))} without a loss left out: {where}{', …' * (len(lacking) > 5)}."
            )
    else:
        chosen, kind, notes = _points(rows, mapping, raw, known)
    loss, unit, se = _in_nats(rows, mapping, entry, raw, chosen)
    made: dict[str, Any] = {}
    for key in mapping.columns:
        if key not in ("loss_unit", "loss_se"):
            made[key] = _take(rows.value(key), chosen)
    made |= {"loss": loss, "loss_unit": unit}
    if se is not None and which == 0:
        made["loss_se"] = se
    if entry.eval_set is not None:
        made["eval_set"] = [entry.eval_set] * len(chosen)
    if kind is not None:
        made.setdefault("kind", kind)
        if rows.run is not None:
            made.setdefault("run_id", list(rows.run[chosen]))
            if "trunk" in kind:
                made.setdefault("trunk_id", made["run_id"])
            if "lr" in made:
                made["lr"] = _peak(rows, np.asarray(made["lr"], dtype=float), chosen)
    others = {name: _take(list(rows.frame[name]), chosen) for name in mapping.others if name not in BY_NAME}
    return pd.DataFrame(made | others), rows.index[chosen], notes


def _take(values: Any, chosen: NDArray[Any]) -> Any:
    return values[chosen] if isinstance(values, np.ndarray) else [values[i] for i in chosen]


def _points(
    rows: _Rows, mapping: Map, raw: Floats, known: NDArray[np.bool_]
) -> tuple[NDArray[Any], list[str], list[str]]:
    """Which rows of curves are points of the table, of which kind, and what was left out."""
    assert rows.run is not None
    assert rows.order is not None
    schedules = rows.value("schedule") if "schedule" in mapping.columns else [""] * len(raw)
    lr = np.asarray(rows.value("lr"), dtype=float) if "lr" in mapping.columns else np.full(len(raw), np.nan)
    end_kind = "branch" if "trunk_id" in mapping.columns else "full"
    chosen: list[int] = []
    kinds: list[str] = []
    diverged, decayed = [], 0
    for run in dict.fromkeys(rows.run):
        own = np.flatnonzero((rows.run == run) & known)
        own = own[np.argsort(rows.order[own], kind="stable")]
        if not len(own):
            continue
        last = int(own[-1])
        constant = is_constant(schedules[last])
        wants_trunk = mapping.points in ("trunk", "both") or (mapping.points == "schedule" and constant)
        wants_end = mapping.points in ("ends", "both") or (mapping.points == "schedule" and not constant)
        bad = np.isinf(raw[own])
        if bad.any():
            diverged.append(f"{run} at {mapping.order} {rows.order[own[int(np.argmax(bad))]]:g}")
            own = own[: int(np.argmax(bad))]
        if wants_trunk:
            at_peak = np.ones(len(own), dtype=bool)
            if np.isfinite(lr[own]).any() and np.nanmax(lr[own]) > 0:
                at_peak = ~(lr[own] < _AT_PEAK * np.nanmax(lr[rows.run == run]))
            if wants_end:
                at_peak &= own != last
            decayed += int((~at_peak & (own != last)).sum())
            chosen += own[at_peak].tolist()
            kinds += ["trunk"] * int(at_peak.sum())
        if wants_end and not bad.any():
            chosen.append(last)
            kinds.append(end_kind)
    notes = []
    if diverged:
        notes.append(
            f"{len(diverged)} run(s) diverged and are left out from there: {', '.join(diverged[:5])}."
        )
    if decayed:
        notes.append(f"{decayed} points below a run's peak learning rate are left out of its trunk.")
    return np.array(chosen, dtype=int), kinds, notes


def _peak(rows: _Rows, lr: Floats, chosen: NDArray[Any]) -> Floats:
    """(points,) the highest learning rate of each point's run, which is what the table's lr means."""
    assert rows.run is not None
    all_lr = np.asarray(rows.value("lr"), dtype=float)
    peaks = {run: np.max(all_lr[rows.run == run]) for run in dict.fromkeys(rows.run[chosen])}
    return np.array(
        [
            peaks[run] if np.isfinite(peaks[run]) else own
            for run, own in zip(rows.run[chosen], lr, strict=True)
        ]
    )


def _in_nats(
    rows: _Rows, mapping: Map, entry: Entry, raw: Floats, chosen: NDArray[Any]
) -> tuple[Floats, list[str], Floats | None]:
    """Losses in nats, the unit of each, and their standard errors in the same, if the map has them."""
    if entry.unit is not None or "loss_unit" not in mapping.columns:
        units = [entry.unit or "nats/token"] * len(raw)
    else:
        units = ["nats/token" if each is None else str(each) for each in rows.value("loss_unit")]
    per_token: Callable[[int], float] = lambda i: 1.0  # noqa: E731
    if entry.bytes_per_token is not None:
        sizes = rows.factor(entry.bytes_per_token, "bytes_per_token")
        per_token = lambda i: float(sizes[i])  # noqa: E731
    losses, found, slopes = [], [], []
    for i in chosen:
        if units[i] not in LOSS_UNITS:
            raise InputError(
                f'{rows.where(i)}: the loss unit "{units[i]}" is unknown; write one of {", ".join(LOSS_UNITS)}.'
            )
        try:
            value, unit = nats(float(raw[i]), units[i])
        except InputError as error:
            raise InputError(f"{rows.where(i)}: {error}") from None
        slope = 1 / raw[i] if units[i] == "perplexity" else nats(1.0, units[i])[0]
        if entry.bytes_per_token is not None:
            if unit != "nats/token":
                raise InputError(
                    f"the map, loss: bytes_per_token is for losses per token, and {units[i]} is per byte; leave it out."
                )
            if not per_token(i) > 0:
                raise InputError(f"{rows.where(i)}: bytes_per_token has to be above 0.")
            value, slope, unit = value / per_token(i), slope / per_token(i), "nats/byte"
        losses.append(value)
        found.append(unit)
        slopes.append(slope)
    se = None
    if "loss_se" in mapping.columns:
        se = rows.amount(mapping.columns["loss_se"], "loss_se")[0][chosen] * np.array(slopes)
    return np.array(losses, dtype=float), found, se
