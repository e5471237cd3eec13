"""A held-out measurement as it is recorded: its loss, and the unit that the loss is in."""

from collections.abc import Iterable
from typing import Any

BYTE, TOKEN = "nats/byte", "nats/token"


def loss_unit(sets: Iterable[dict[str, Any]]) -> str:
    """The one unit for all of these held-out sets, so that they have a mean: per byte where all know their bytes."""
    return BYTE if all(found.get("bytes", 1) for found in sets) else TOKEN


def measured_loss(found: dict[str, Any], unit: str) -> tuple[float, float]:
    """Loss on a held-out set and its standard error, in a unit of `loss_unit`.

    Records without a count of bytes are of byte tokens.
    """
    if unit == TOKEN or "bytes" not in found:
        return found["loss"], found["se"]
    tokens_per_byte = found["tokens"] / found["bytes"]
    return found["loss"] * tokens_per_byte, found.get("se_per_byte", found["se"])
