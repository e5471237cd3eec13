"""Protocol buffers as bytes: the few lines it takes to read a message's fields without its software.

Event files and offline runs are protocol buffers in a framing of their own. Their field numbers never change (the
format forbids it), while the packages that read them do: `tensorboard` brings a web server and its dependencies, and
`wandb` has no reader of offline files in Python any more. So a user needs neither to have a table.
"""

import struct
from collections.abc import Iterator
from typing import Any


class Torn(ValueError):
    """The bytes end or bend inside a message: a writer that was stopped."""


def fields(message: Any) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field: an int for varints, bytes for what has a length, 4 or 8 raw bytes for fixed ones.

    Raises Torn where the bytes are no message.
    """
    if not isinstance(message, bytes):
        raise Torn("a number where a message belongs")
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Torn(f"no such kind of field: {kind}")
        if at + size > end:
            raise Torn("a field is longer than its message")
        yield number, message[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Torn("a number has no end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def signed(value: Any) -> int:
    """A varint as the int64 it stands for. Raises Torn for anything else, as do the others."""
    if not isinstance(value, int):
        raise Torn("bytes where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def real(value: Any) -> float:
    """A fixed field of 4 or 8 bytes as the float or double it is."""
    if not isinstance(value, bytes) or len(value) not in (4, 8):
        raise Torn("no float")
    return float(struct.unpack("<f" if len(value) == 4 else "<d", value)[0])


def text(value: Any) -> str:
    """UTF-8."""
    if not isinstance(value, bytes):
        raise Torn("a number where a text belongs")
    return value.decode("utf-8", "replace")
