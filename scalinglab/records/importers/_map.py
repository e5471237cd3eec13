"""The map: which columns of somebody's runs become which columns of the run table, as a file that can be edited."""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scalinglab.errors import InputError
from scalinglab.records._schema import BY_NAME
from scalinglab.records.importers._quantities import COUNT_UNITS, LOSS_UNITS

POINTS = ("all", "ends", "trunk", "both", "schedule")
"""all: every row as it is; of curves, ends: the last loss of each run; trunk: the points at its peak learning rate;
both; schedule: points of the runs whose schedule is constant, ends of the others."""

_ENTRY_KEYS = {
    "from": "source",
    "value": "value",
    "product": "product",
    "sum": "sum",
    "minus": "minus",
    "unit": "unit",
    "find": "find",
    "values": "values",
    "bytes_per_token": "bytes_per_token",
    "eval_set": "eval_set",
}
_MAP_KEYS = ("format", "source", "sha256", "points", "run", "order", "decimal", "columns", "keep", "others")
Factor = str | float | tuple[Any, ...]


@dataclass(frozen=True)
class Entry:
    """How one column of the run table is made.

    One of source (a column, `from` in the file), value (a constant), product (columns and numbers, multiplied) or
    sum (columns and numbers, added; a list inside is a product); `minus` takes columns, numbers or products away.
    unit: COUNT_UNITS of counts, LOSS_UNITS of losses. find: a regular expression whose group is the value. values:
    what each text stands for. bytes_per_token: a column or a number, which turns a loss per token into one per byte.
    eval_set: of a loss, what it was measured on. reason: why it was guessed, a comment in the file.
    """

    source: str | None = None
    value: Any = None
    product: tuple[Factor, ...] = ()
    sum: tuple[Factor, ...] = ()
    minus: tuple[Factor, ...] = ()
    unit: str | None = None
    find: str | None = None
    values: Mapping[str, Any] | None = None
    bytes_per_token: str | float | None = None
    eval_set: str | None = None
    reason: str = ""

    def columns(self) -> list[str]:
        """The columns of the source that it takes."""
        return list(
            dict.fromkeys(_names((self.source, self.bytes_per_token, self.product, self.sum, self.minus)))
        )

    def shown(self) -> str:
        """In few words: `"Tokens (B)" in B`."""
        if self.value is not None:
            return f"always {self.value}"
        if self.product:
            shown = " × ".join(map(_shown, self.product))
        elif self.sum:
            shown = " + ".join(map(_shown, self.sum))
        else:
            shown = _shown(self.source or "")
        shown += "".join(f" − {_shown(each)}" for each in self.minus)
        return shown + (f" in {self.unit}" if self.unit not in (None, "1") else "")


def _names(parts: Iterable[Any]) -> Iterable[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, tuple | list):
            yield from _names(part)


def _shown(factor: Any) -> str:
    if isinstance(factor, tuple | list):
        return " × ".join(map(_shown, factor))
    return f'"{factor}"' if isinstance(factor, str) else f"{factor:g}"


@dataclass(frozen=True)
class Map:
    """A whole map. losses: one entry an eval set; columns: the others; keep: column -> values of the rows to take;
    others: further columns that the table keeps as they are. missing: what could not be guessed, and how to say it.
    """

    columns: Mapping[str, Entry]
    losses: tuple[Entry, ...]
    points: str = "all"
    run: str | None = None
    order: str | None = None
    keep: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    decimal: str = "."
    format: str = ""
    source: str = ""
    sha256: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> Map:
        """What decides the table: without reasons, and without what file it was made from."""
        bare = lambda entry: replace(entry, reason="")  # noqa: E731
        columns = {name: bare(entry) for name, entry in self.columns.items()}
        losses = tuple(bare(entry) for entry in self.losses)
        return replace(self, columns=columns, losses=losses, source="", sha256="", missing={}, comments={})


# Reading --------------------------------------------------------------------------------------------------


def read_map(path: Path) -> Map:
    """A map file. Raises InputError, naming the key and the mend, for whatever it cannot hold."""
    try:
        text = path.read_text("utf-8")
        given = tomllib.loads(text)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist; scalinglab import SOURCE writes a map to begin with."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}; mend that line.") from error
    return map_of(given, str(path))


def map_of(given: Mapping[str, Any], name: str = "the map") -> Map:
    """A map from plain values, as the file holds them. Raises InputError as `read_map`."""
    _known_keys(given, _MAP_KEYS, name)
    columns = given.get("columns")
    if not isinstance(columns, Mapping):
        raise InputError(
            f'{name} has no table [columns]; write [columns] and a line such as loss = {{ from = "val_loss" }}.'
        )
    _known_keys(columns, BY_NAME, f"{name}, [columns]", "is no column of the run table")
    entries = {
        key: _entry(value, f"{name}, {key}", key) for key, value in columns.items() if key not in ("loss",)
    }
    losses = columns.get("loss", [])
    losses = losses if isinstance(losses, list) else [losses]
    points = given.get("points", "all")
    if points not in POINTS:
        raise InputError(
            f"{name}: points = {json.dumps(points)} is unknown; write one of {', '.join(POINTS)}."
        )
    keep = given.get("keep", {})
    if not isinstance(keep, Mapping):
        raise InputError(
            f'{name}: keep is a table of columns and values; write [keep] and State = "finished".'
        )
    others = given.get("others", [])
    if not isinstance(others, list) or not all(isinstance(each, str) for each in others):
        raise InputError(f'{name}: others is a list of column names; write others = ["width", "depth"].')
    for key in ("format", "source", "sha256", "run", "order", "decimal"):
        if not isinstance(given.get(key, ""), str):
            raise InputError(f"{name}: {key} is a text; put it in quotes.")
    return Map(
        entries,
        tuple(_entry(each, f"{name}, loss", "loss") for each in losses),
        points,
        given.get("run"),
        given.get("order"),
        {key: tuple(value) if isinstance(value, list) else (value,) for key, value in keep.items()},
        tuple(others),
        given.get("decimal", "."),
        given.get("format", ""),
        given.get("source", ""),
        given.get("sha256", ""),
    )


def _known_keys(given: Mapping[str, Any], known: Iterable[str], where: str, what: str = "is unknown") -> None:
    for key in given:
        if key not in set(known):
            near = difflib.get_close_matches(key, list(known), n=1)
            mend = f'did you mean "{near[0]}"?' if near else f"it may have {', '.join(known)}."
            raise InputError(f'{where}: the key "{key}" {what}; {mend}')


def _entry(given: Any, where: str, column: str) -> Entry:
    if isinstance(given, str):
        given = {"from": given}
    elif isinstance(given, int | float) and not isinstance(given, bool):
        given = {"value": given}
    if not isinstance(given, Mapping):
        raise InputError(f'{where}: write a table such as {{ from = "COLUMN" }}.')
    _known_keys(given, _ENTRY_KEYS, where)
    made = {_ENTRY_KEYS[key]: value for key, value in given.items()}
    ways = [key for key in ("from", "value", "product", "sum") if key in given]
    if len(ways) != 1:
        found = " and ".join(ways) if ways else "none of them"
        raise InputError(f"{where}: an entry has one of from, value, product and sum; this one has {found}.")
    for key in ("product", "sum", "minus"):
        if key in given:
            made[key] = _factors(given[key], f"{where}, {key}", nested=key != "product")
    for key in ("from", "find", "unit", "eval_set"):
        if not isinstance(given.get(key, ""), str):
            raise InputError(f"{where}: {key} is a text; put it in quotes.")
    if not isinstance(given.get("values", {}), Mapping):
        raise InputError(f'{where}: values is a table such as {{ stable = "trunk", decayed = "branch" }}.')
    units = LOSS_UNITS if column in ("loss", "loss_se") else COUNT_UNITS
    unit = given.get("unit")
    if unit is not None and unit not in units:
        raise InputError(f'{where}: the unit "{unit}" is unknown; write one of {", ".join(units)}.')
    return Entry(**made)


def _factors(given: Any, where: str, nested: bool) -> tuple[Factor, ...]:
    if not isinstance(given, list) or not given:
        raise InputError(f'{where} is a list of columns and numbers; write ["step", 524288].')
    for each in given:
        inside = each if isinstance(each, list) and nested else [each]
        if not all(isinstance(part, str | int | float) and not isinstance(part, bool) for part in inside):
            raise InputError(
                f'{where} holds {json.dumps(each)}; it may have column names and numbers, as ["step", 524288].'
            )
    return tuple(tuple(each) if isinstance(each, list) else each for each in given)


# Writing --------------------------------------------------------------------------------------------------


def map_text(mapping: Map, command: str = "") -> str:
    """The file, with a comment on each guess; read back it is the same map."""
    lines = [
        "# How these runs become a run table. Change what is wrong, then:",
        f"#   {_line(command or 'scalinglab import SOURCE --map THIS_FILE --out table.csv')}",
        "",
    ]
    for key in ("format", "source", "sha256"):
        if getattr(mapping, key):
            lines.append(f"{key} = {toml(getattr(mapping, key))}")
    if mapping.decimal != ".":
        lines.append(f"decimal = {toml(mapping.decimal)}{_comment(mapping, 'decimal')}")
    lines.append(f"points = {toml(mapping.points)}{_comment(mapping, 'points')}")
    for key in ("run", "order"):
        if getattr(mapping, key):
            lines.append(f"{key} = {toml(getattr(mapping, key))}{_comment(mapping, key)}")
    if mapping.others:
        lines.append(f"others = {toml(list(mapping.others))}  # kept in the table as they are")
    lines += ["", "[columns]"]
    for name in BY_NAME:
        if name == "loss":
            lines += _loss_lines(mapping.losses)
        elif name in mapping.columns:
            lines += _noted(mapping.columns[name].reason, f"{name} = {_inline(mapping.columns[name])}")
        if name in mapping.missing:
            lines += [f"# MISSING: {_line(mapping.missing[name])}", f"# {name} = "]
    if mapping.keep:
        lines += ["", f"[keep]{_comment(mapping, 'keep')}"]
        for name, values in mapping.keep.items():
            lines.append(f"{_key(name)} = {toml(values[0] if len(values) == 1 else list(values))}")
    notes = [note for key, note in mapping.comments.items() if key.startswith("note")]
    lines += ["", *(f"# {_line(note)}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def _comment(mapping: Map, key: str) -> str:
    return f"  # {_line(mapping.comments[key])}" if key in mapping.comments else ""


def _noted(reason: str, line: str) -> list[str]:
    return [f"# {_line(reason)}", line] if reason else [line]


def _line(text: str) -> str:
    """A comment holds no line break or other control character, as the name of a column may."""
    return "".join(each if each.isprintable() else " " for each in text)


def _loss_lines(losses: tuple[Entry, ...]) -> list[str]:
    if not losses:
        return []
    if len(losses) == 1:
        return _noted(losses[0].reason, f"loss = {_inline(losses[0])}")
    reasons = {entry.reason for entry in losses}
    shared = reasons.pop() if len(reasons) == 1 else ""
    lines = _noted(shared and f"each: {shared}", "loss = [")
    for entry in losses:
        lines += [f"  {line}" for line in _noted("" if shared else entry.reason, f"{_inline(entry)},")]
    return [*lines, "]"]


def _inline(entry: Entry) -> str:
    pairs = []
    for key, name in _ENTRY_KEYS.items():
        value = getattr(entry, name)
        if value is not None and value != ():
            pairs.append(f"{key} = {toml(value)}")
    return f"{{ {', '.join(pairs)} }}"


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else toml(name)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # DEL is the one character that JSON leaves as it is and TOML does not take
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return str(value)
