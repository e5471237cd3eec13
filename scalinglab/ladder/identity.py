"""Definitions as plain JSON, and what two of them differ in. A run's identity is a hash of its definition."""

import hashlib
import json
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any


def later(default: Any) -> Any:
    """A dataclass field that earlier versions did not have.

    At its default it is left out of the definition, so that what they trained keeps its identity.
    """
    if callable(default):
        return field(default_factory=default, metadata={"later": True})
    return field(default=default, metadata={"later": True})


def plain(value: Any) -> Any:
    """A definition in JSON's own values; `later` fields that stand at their default are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {}
        for each in fields(value):
            own = getattr(value, each.name)
            default = each.default if each.default_factory is MISSING else each.default_factory()
            if not (each.metadata.get("later") and own == default):
                found[each.name] = plain(own)
        return found
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def digest(definition: Any) -> str:
    """Ten hex digits that name a definition."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:10]


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Nested JSON as {dotted key: value}."""
    if isinstance(value, dict):
        return {
            key: own
            for name, inner in value.items()
            for key, own in flat(inner, f"{place}.{name}" if place else str(name)).items()
        }
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {
            key: own for i, inner in enumerate(value) for key, own in flat(inner, f"{place}[{i}]").items()
        }
    return {place: value}


def differences(old: Any, new: Any, ignore: tuple[str, ...] = ()) -> list[str]:
    """What two definitions differ in, a line `key: old -> new` each."""
    a, b = flat(old), flat(new)
    return [
        f"{key}: {a.get(key, 'absent')} -> {b.get(key, 'absent')}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key, ...) != b.get(key, ...) and key not in ignore
    ]
