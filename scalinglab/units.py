"""Counts, numbers, bytes and times as people read them."""

import math

_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def count_text(value: float, digits: int = 3) -> str:
    """12,345 as 12.3k; powers of ten beyond T and below 0.01."""
    if math.isnan(value):
        return "not known"
    if not math.isfinite(value):
        return "unbounded" if value > 0 else "none"
    if value >= 1e15 or 0 < value < 0.01:
        return f"{value:.1e}"
    for size, suffix in _SUFFIXES:
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.0f}{suffix}" if scaled >= 10 ** (digits - 1) else f"{scaled:.{digits}g}{suffix}"
    return f"{value:.0f}" if value >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def number_text(value: float, digits: int = 3) -> str:
    """0.0347 as 0.0347, 12,345 as 1.23e+04; `digits` of them."""
    if math.isnan(value):
        return "not known"
    if not math.isfinite(value):
        return "unbounded" if value > 0 else "none"
    if value and not 1e-3 <= abs(value) < 1e4:
        return f"{value:.{digits - 1}e}"
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def byte_text(value: float) -> str:
    """12,345,678 as 12.3 MB."""
    for suffix in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {suffix}" if suffix == "B" or value >= 100 else f"{value:.1f} {suffix}"
        value /= 1000
    return f"{value:.1f} TB"


def duration_text(seconds: float) -> str:
    """95 as 1.6 min, 7,200 as 2 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    for size, suffix in ((60.0, "min"), (3600.0, "h")):
        if suffix == "h" or seconds < 90 * size:
            return f"{seconds / size:.3g} {suffix}"
    return ""
