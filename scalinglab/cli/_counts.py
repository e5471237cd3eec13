"""Counts as people write them on a command line."""

import re

from scalinglab.errors import InputError

_TIMES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}


def read_count(text: str, option: str) -> int:
    """`1_024_000`, `1,024,000`, `1.024e6` or `1.024M` as a whole number. Raises InputError naming the option."""
    found = re.fullmatch(r"([0-9][0-9_,]*\.?[0-9]*(?:e\+?[0-9]+)?)([kmbgt]?)", text.strip().lower())
    if found:
        value = float(found[1].replace("_", "").replace(",", "")) * _TIMES[found[2]]
        if abs(value - round(value)) < 1e-6 and value > 0:
            return round(value)
    raise InputError(f"{option} {text}: give a whole number of tokens, such as 1024000, 1.024e6 or 1.024M")
