"""The proposal: a map guessed from names, units and values, each guess with its reason, each gap with its mend."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.records._schema import BY_NAME
from scalinglab.records.importers._apply import is_constant
from scalinglab.records.importers._map import Entry, Map
from scalinglab.records.importers._names import Named, NamedLoss, named, named_loss
from scalinglab.records.importers._quantities import COUNT_UNITS, LOSS_UNITS, NoQuantity, quantities
from scalinglab.records.importers._source import Source

_KINDS = {
    **dict.fromkeys(("trunk", "stable", "constant", "stable_at_cooldown_start"), "trunk"),
    **dict.fromkeys(("branch", "decayed", "cooldown", "annealed", "cooled"), "branch"),
    **dict.fromkeys(("full", "final", "finished"), "full"),
}
_NEITHER = re.compile(r"mid_|intermediate|warmup|decaying", re.I)
_SIZE_IN_NAME = r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?[kKmMbB])(?![A-Za-z0-9])"
_UNIT_NAMES = {"k": "thousands", "M": "millions", "B": "billions", "T": "trillions"}


def propose(source: Source) -> Map:
    """A map for a source, as good as names and values allow; what is lacking stands in its `missing`."""
    return _Guess(source).map()


class _Guess:
    def __init__(self, source: Source) -> None:
        self.source, self.frame = source, source.frame
        self.names = [str(name) for name in self.frame.columns]
        self.columns: dict[str, Entry] = {}
        self.missing: dict[str, str] = {}
        self.comments: dict[str, str] = {}
        self.by_kind: dict[str, list[Named]] = {}
        self.decimal = "."
        self._known_numbers: dict[str, NDArray[np.float64] | None] = {}
        if source.table and any(self._has_comma(name) for name in self.names):
            self.decimal = ","
            self.comments["decimal"] = "numbers such as 3,14 are written with a comma"
        for name in self.names:
            found = named(name)
            if found is not None and self._filled(name):
                self.by_kind.setdefault(found.kind, []).append(found)

    # values -----------------------------------------------------------------------------------------------

    def _has_comma(self, name: str) -> bool:
        """Whether a column can only be read with decimal commas: 3,14 in a file separated by something else."""
        cells = [cell for cell in self.frame[name] if isinstance(cell, str)]
        if not any("," in cell for cell in cells):
            return False
        return (
            bool(cells)
            and all(re.fullmatch(r"-?\d+(,\d+)?", cell.strip()) for cell in cells)
            and any(
                re.search(r",(\d{1,2}|\d{4,})$", cell.strip()) or cell.strip().startswith("0,")
                for cell in cells
            )
        )

    def _filled(self, name: str) -> bool:
        return bool(self.frame[name].notna().any())

    def _numbers(self, name: str) -> NDArray[np.float64] | None:
        """Its numbers, NaN where it holds none; None where any cell is something else, or all are empty."""
        if name not in self._known_numbers:
            try:
                values, _ = quantities(self.frame[name], self.decimal)
            except NoQuantity:
                values = np.array([])
            self._known_numbers[name] = values if np.isfinite(values).any() else None
        return self._known_numbers[name]

    def _one(self, kind: str) -> Named | None:
        """The first column of a kind that holds numbers."""
        return next(
            (each for each in self.by_kind.get(kind, ()) if self._numbers(each.column) is not None), None
        )

    def _text(self, kind: str) -> str | None:
        return self.by_kind[kind][0].column if kind in self.by_kind else None

    # the whole --------------------------------------------------------------------------------------------

    def map(self) -> Map:
        for name in BY_NAME:  # a column of the table's own name is that column
            if name in self.names and self._filled(name) and name not in ("loss", "kind", *self.source.known):
                self.columns[name] = Entry(source=name)
        self.columns |= self.source.known
        losses = self._losses()
        run, order = self._run_and_order()
        self._params(run)
        self._tokens()
        self._settings()
        points = self._points(run, order)
        if points == "ends":
            self._lr_of_settings()
        keep = self._keep()
        if "eval_set" not in self.columns and not any(entry.eval_set for entry in losses):
            sets = self._text("eval_set")
            if sets is not None:
                self.columns["eval_set"] = Entry(source=sets, reason=f'named "{sets}"')
        mapping = Map(
            self.columns,
            losses,
            points,
            run if points != "all" else None,
            order if points != "all" else None,
            keep,
            (),
            self.decimal,
            self.source.format,
            missing=self.missing,
            comments=self.comments,
        )
        return replace(mapping, others=self._others(mapping, run, order))

    # losses -----------------------------------------------------------------------------------------------

    def _losses(self) -> tuple[Entry, ...]:
        found = []
        for name in self.names:
            loss = named_loss(name)
            numbers = self._numbers(name) if loss is not None else None
            if loss is not None and numbers is not None and np.nanmedian(numbers) > 0:
                found.append((loss, numbers))
        if not found:
            self.missing["loss"] = (
                'no column is named as a loss; write loss = { from = "COLUMN", unit = "nats/token" } (or '
                f"{', '.join(LOSS_UNITS[1:-1])} or {LOSS_UNITS[-1]})."
            )
            return ()
        best = min(loss.rank for loss, _ in found)
        ranked = [(loss, numbers) for loss, numbers in found if loss.rank == best]
        unit = min((loss.unit for loss, _ in ranked), key=_unit_order)
        same = [(loss, numbers) for loss, numbers in ranked if loss.unit == unit]
        left = [loss.column for loss, _ in found if loss.column not in {each.column for each, _ in same}]
        if left:
            self.comments["note losses"] = f"Not taken, though they may be losses: {', '.join(left)}."
        entries, sets = [], set()
        for loss, numbers in same:
            name = loss.eval_set if len(same) > 1 or loss.eval_set else ""
            if len(same) > 1 and not name and "eval_set" not in self.names:
                name = loss.role or "loss"
            if name in sets and len(same) > 1:
                continue
            sets.add(name)
            entries.append(self._loss(loss, numbers, name, best))
        return tuple(entries)

    def _loss(self, loss: NamedLoss, numbers: NDArray[np.float64], eval_set: str, rank: int) -> Entry:
        unit: str | None = loss.unit
        if not loss.unit_said and "loss_unit" in self.columns:
            unit, reason = None, "its unit is in loss_unit"
        elif loss.unit_said:
            factor = {
                "bits/byte": "× ln 2 = nats/byte",
                "bits/token": "× ln 2 = nats/token",
                "perplexity": "ln = nats/token",
            }
            reason = f"the name says {unit}" + (f"; {factor[unit]}" if unit in factor else "")
        else:
            reason = "no unit in the name, taken as nats/token"
            if np.nanmedian(numbers) > 15:
                self.missing["loss"] = (
                    f'"{loss.column}" is {np.nanmedian(numbers):.3g} in the middle, too much for nats a token; say '
                    f'what it is: loss = {{ from = "{loss.column}", unit = "perplexity" }}, or another of '
                    f"{', '.join(LOSS_UNITS[:-1])}."
                )
        if rank == 2:
            reason += "; a training loss, as no held-out one is named"
        return Entry(source=loss.column, unit=unit, eval_set=eval_set or None, reason=reason)

    # counts -----------------------------------------------------------------------------------------------

    def _params(self, run: str | None) -> None:
        total, size, bare = self._one("total"), self._one("size"), self._one("nonemb") or self._one("scaling")
        if "params" in self.columns:
            if "params_total" not in self.columns and total is not None and total.column != "params":
                self.columns["params_total"] = self._count(total, "named as the total")
            return
        if self._nanochat():
            return
        if bare is not None:
            why = (
                "the name says scaling parameters"
                if bare.kind == "scaling"
                else "the name says without embeddings"
            )
            self.columns["params"] = self._count(bare, why)
            whole = total or size
            if whole is not None and "params_total" not in self.columns and self._larger(whole, bare):
                why = (
                    "named as the total"
                    if total
                    else "never below the count without embeddings, so taken as the total"
                )
                self.columns["params_total"] = self._count(whole, why)
        elif size is not None:
            why = (
                "beside a total, so taken as without embeddings"
                if total
                else (
                    "the name does not say whether embeddings are counted; if they are, take them off with minus"
                )
            )
            self.columns["params"] = self._count(size, why)
            if total is not None and "params_total" not in self.columns:
                self.columns["params_total"] = self._count(total, "named as the total")
        elif total is not None:
            why = (
                'only a total is there: N counts the embeddings; minus = [["vocab", "width"]] takes them off'
            )
            self.columns["params"] = self._count(total, why)
            self.columns.setdefault(
                "params_total", replace(self.columns["params"], reason="named as the total")
            )
        elif run is not None and self._all_sized(run):
            self.columns["params"] = Entry(
                source=run,
                find=_SIZE_IN_NAME,
                reason="the size in the run's name; it seldom says whether embeddings are counted",
            )
        else:
            self.missing["params"] = (
                'no column is named as a number of parameters; write params = { from = "COLUMN" } with unit = "M" or '
                '"B" where it needs one.'
            )
            return
        self._plausible("params", 1e3)

    def _nanochat(self) -> bool:
        if not {"params_transformer", "params_lm_head", "params_wte"} <= set(self.names):
            return False
        own = ("params_transformer", "params_scalars")
        self.columns["params"] = Entry(
            sum=tuple(name for name in own if name in self.names),
            reason='nanochat\'s counts without embeddings and head; its own analysis adds "params_lm_head"',
        )
        if "params_total" in self.names:
            self.columns["params_total"] = Entry(source="params_total")
        return True

    def _all_sized(self, run: str) -> bool:
        names = {str(cell) for cell in self.frame[run]}
        return all(re.search(_SIZE_IN_NAME, name) for name in names)

    def _count(self, found: Named, why: str) -> Entry:
        if found.unit:
            why += f"; in {_UNIT_NAMES[found.unit]}, as the name says"
            if self._cells_have_units(found.column):
                return Entry(source=found.column, reason=f"{why.split(';')[0]}; its values say their unit")
        return Entry(source=found.column, unit=found.unit, reason=why)

    def _cells_have_units(self, column: str) -> bool:
        cells = [str(cell) for cell in self.frame[column] if cell == cell and cell is not None]
        return bool(cells) and all(re.search(r"[A-Za-z]\s*$", cell) for cell in cells)

    def _values(self, key: str) -> NDArray[np.float64] | None:
        """A guessed count as it will be, where it is one column."""
        entry = self.columns.get(key)
        if entry is None or entry.source is None or entry.find is not None:
            return None
        numbers = self._numbers(entry.source)
        return None if numbers is None else numbers * COUNT_UNITS[entry.unit or "1"]

    def _larger(self, whole: Named, bare: Named) -> bool:
        a, b = (self._numbers(each.column) for each in (whole, bare))
        if a is None or b is None:
            return False
        # cells may say their own unit, in which case the name's is not meant
        scales = [
            1.0 if self._cells_have_units(each.column) else COUNT_UNITS[each.unit or "1"]
            for each in (whole, bare)
        ]
        return bool(np.all((a * scales[0] >= 0.95 * b * scales[1]) | np.isnan(a) | np.isnan(b)))

    def _plausible(self, key: str, least: float) -> None:
        """A gap where a count is too small to be one, as 1.3 in a column without a unit."""
        values, entry = self._values(key), self.columns[key]
        if values is None or entry.unit not in (None, "1"):
            return
        highest, lowest = float(np.nanmax(values)), float(np.nanmin(values))
        if highest >= least:
            return
        what = "parameters" if key == "params" else "tokens"
        self.missing[key] = (
            f'"{entry.source}" holds {lowest:g} to {highest:g}, too few to be {what}; say their unit: {key} = {{ '
            f'from = "{entry.source}", unit = "B" }} (or "M", "k", "T").'
        )
        del self.columns[key]

    def _tokens(self) -> None:
        batch = self._batch_tokens()
        if "tokens" in self.columns:
            return
        tokens, ratio, multiple = self._one("tokens"), self._one("ratio"), self._one("multiple")
        step, flops = self._one("step"), self._one("flops")
        if tokens is not None:
            self.columns["tokens"] = self._count(tokens, "named as tokens")
            if self._ratios(tokens.column):
                self.columns["tokens"] = Entry(
                    source=tokens.column, reason="its values say tokens a parameter: × N"
                )
            else:
                self._plausible_tokens()
        elif ratio is not None:
            self.columns["tokens"] = Entry(
                source=ratio.column, unit="tokens/param", reason="tokens a parameter: × N"
            )
        elif step is not None and batch is not None:
            self.columns["tokens"] = Entry(product=(step.column, *batch[0]), reason=f"steps × {batch[1]}")
        elif multiple is not None:
            self.columns["tokens"] = Entry(
                source=multiple.column, unit="chinchilla", reason="multiples of 20 tokens a parameter: × 20 N"
            )
        elif flops is not None:
            self.columns["tokens"] = Entry(
                source=flops.column,
                unit="flops",
                reason="no tokens are named, so D = C / (6·N) of these FLOPs",
            )
        elif step is not None:
            self.missing["tokens"] = (
                f'steps are there ("{step.column}") but not the tokens of one; write tokens = {{ product = '
                f'["{step.column}", 524288] }} with your batch × context for 524288.'
            )
        else:
            self.missing["tokens"] = (
                "no column is named as tokens, tokens a parameter, steps × batch × context or FLOPs; write tokens = { "
                'from = "COLUMN" } or tokens = { from = "COLUMN", unit = "tokens/param" }.'
            )

    def _plausible_tokens(self) -> None:
        tokens, params = self._values("tokens"), self._values("params")
        if tokens is not None and (params is None or np.nanmax(tokens) < np.nanmin(params)):
            self._plausible("tokens", 1e5)

    def _ratios(self, column: str) -> bool:
        return bool(quantities(self.frame[column], self.decimal)[1])

    def _batch_tokens(self) -> tuple[tuple[Any, ...], str] | None:
        """(factors, in words) of the tokens of one step."""
        if "batch_tokens" in self.columns:
            entry = self.columns["batch_tokens"]
            return ((entry.source,), "tokens a step") if entry.source and entry.unit is None else None
        tokens, context = self._one("batch_tokens"), self._one("context")
        batch, device = self._one("batch"), self._one("device_batch")
        if tokens is not None:
            scale = COUNT_UNITS[tokens.unit or "1"]
            factors: tuple[Any, ...] = (tokens.column,) if scale == 1 else (tokens.column, scale)
            self.columns["batch_tokens"] = self._count(tokens, "named as tokens a step")
            return factors, "tokens a step"
        if context is None or (batch is None and device is None):
            return None
        if batch is not None:
            factors = (batch.column, context.column)
        else:
            more = [found.column for found in (self._one("accumulation"), self._one("devices")) if found]
            factors = (device.column if device else "", *more, context.column)
        words = (
            "batch × context"
            if batch is not None
            else "batch of a device × … × context, as far as it is logged"
        )
        self.columns["batch_tokens"] = Entry(product=factors, reason=words)
        return factors, words

    def _settings(self) -> None:
        for kind, target in (
            ("lr", "lr"),
            ("seed", "seed"),
            ("decay_share", "decay_share"),
            ("unique_tokens", "unique_tokens"),
        ):
            found = self._one(kind)
            if found is not None and target not in self.columns:
                entry = Entry(source=found.column, unit=found.unit if kind == "unique_tokens" else None)
                self.columns[target] = replace(entry, reason=f'named "{found.column}"')
        numbers = self._numbers("seed") if "seed" in self.columns and "seed" in self.names else None
        if numbers is not None and not np.all((numbers == np.round(numbers)) | np.isnan(numbers)):
            del self.columns["seed"]
        for kind, target in (("schedule", "schedule"), ("trunk", "trunk_id")):
            name = self._text(kind)
            if name is not None and target not in self.columns:
                self.columns[target] = Entry(source=name, reason=f'named "{name}"')

    def _lr_of_settings(self) -> None:
        """Where only ends are taken, the setting is surer than the highest value that happened to be logged."""
        for each in self.by_kind.get("lr", ()):
            if each.column in self.source.constant and self._numbers(each.column) is not None:
                self.columns["lr"] = Entry(source=each.column, reason=f'the setting "{each.column}"')
                return

    # rows -------------------------------------------------------------------------------------------------

    def _run_and_order(self) -> tuple[str | None, str | None]:
        run = self.source.run or ("run_id" if "run_id" in self.names else self._run_column())
        if run is not None and "run_id" not in self.columns:
            self.columns["run_id"] = Entry(source=run, reason="names the run")
        step = self._one("step") or self._one("tokens")
        return run, self.source.order or (step.column if step else None)

    def _run_column(self) -> str | None:
        """Of the columns named as runs the one that tells most of them apart."""
        found = self.by_kind.get("run", ())
        return max((each.column for each in found), key=lambda name: self.frame[name].nunique(), default=None)

    def _points(self, run: str | None, order: str | None) -> str:
        if self._kind(run):
            return "all"
        if run is None or order is None:
            return "all"
        keys = [run]
        sets = self._text("eval_set")
        if sets is not None:
            keys.append(sets)
        if self.source.table:
            if not self.frame.duplicated(keys).any():
                return "all"
            if self.frame.duplicated([*keys, order]).any():
                self.comments["points"] = (
                    f'several rows of one run stand at one "{order}", so every row is taken'
                )
                return "all"
        schedule = self.columns.get("schedule")
        kinds = (
            {is_constant(cell) for cell in self.frame[schedule.source]}
            if schedule and schedule.source
            else set()
        )
        if True in kinds:
            self.comments["points"] = "points of the runs whose schedule is constant, ends of the others"
            return "schedule"
        self.comments["points"] = "the last loss of each run; also trunk, both, schedule or all"
        return "ends"

    def _kind(self, run: str | None) -> bool:
        """Whether a column says what is decayed: its entry, and the trunk that rows of one run share."""
        for name in ["kind"] * ("kind" in self.names) + [
            each.column for each in self.by_kind.get("phase", ())
        ]:
            values = list(dict.fromkeys(str(cell) for cell in self.frame[name].dropna()))
            known = [value for value in values if value in _KINDS]
            unknown = [value for value in values if value not in _KINDS]
            if not known or not all(_NEITHER.search(value) for value in unknown):
                continue
            table = {value: _KINDS[value] for value in known}
            if "trunk" not in table.values():  # nothing that it could be decayed from
                table = {value: "full" if value == "decayed" else kind for value, kind in table.items()}
            same = all(value == kind for value, kind in table.items())
            self.columns["kind"] = Entry(
                source=name, values=None if same else table, reason=f'"{name}" says what is decayed'
            )
            if unknown:
                self.columns["kind"] = replace(
                    self.columns["kind"], reason=f"{', '.join(unknown)}: neither, left out"
                )
                self.keep_phases = (name, tuple(known))
            shared = run is not None and bool(self.frame.duplicated([run]).any())
            if shared and "trunk" in table.values() and "trunk_id" not in self.columns:
                self.columns["trunk_id"] = Entry(source=run, reason="rows of one run share its trunk")
            return "trunk" in table.values() or not shared
        return False

    keep_phases: tuple[str, tuple[str, ...]] | None = None

    def _keep(self) -> dict[str, tuple[Any, ...]]:
        keep: dict[str, tuple[Any, ...]] = {}
        for each in self.by_kind.get("state", ()):
            values = [str(cell) for cell in self.frame[each.column].dropna().unique()]
            good = tuple(
                value for value in values if value.lower() in ("finished", "completed", "done", "success")
            )
            if good and len(good) < len(values):
                keep[each.column] = good
                self.comments["keep"] = "rows that are taken; the others did not finish"
        if self.keep_phases is not None:
            keep[self.keep_phases[0]] = self.keep_phases[1]
        return keep

    def _others(self, mapping: Map, run: str | None, order: str | None) -> tuple[str, ...]:
        """Of a table all further columns; of curves the settings that differ between runs."""
        used = {
            column for entry in (*mapping.columns.values(), *mapping.losses) for column in entry.columns()
        }
        spare = [
            name for name in self.names if name not in used and name not in BY_NAME and self._filled(name)
        ]
        if self.source.table:
            return tuple(name for name in spare if mapping.points == "all" or name not in (run, order))
        constant = [name for name in spare if name in self.source.constant]
        return tuple(name for name in constant if self.frame[name].astype(str).nunique() > 1)


def _unit_order(unit: str) -> int:
    return ("nats/token", "bits/byte", "nats/byte", "bits/token", "perplexity").index(unit)
