"""Schedules as short texts for a command line: `wsd:total=10000,decay=1000,shape=linear,warmup=100`."""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

from scalinglab.errors import InputError
from scalinglab.ladder.decay import Decay
from scalinglab.ladder.from_scratch import Constant, Cosine, CosineLoop, Linear, Noam
from scalinglab.ladder.presets import PRESETS, DecaySpec
from scalinglab.ladder.schedule import WSD, WSDS, Schedule


def parse_schedule(text: str) -> Schedule:
    """The schedule that `kind:key=value,...` says; keys count updates, floors and shares are fractions.

    wsd: total, decay or share, shape (1-sqrt), floor (0), half_life, warmup (0); without a decay it is a trunk.
    wsd-s: ends (2000/4000/8000), share or decay, shape (inverse-linear), floor (0.1), half_life, warmup.
    cosine, cosine-loop: period, floor (0.1), warmup. linear: total, floor (0), warmup. noam: warmup.
    constant: warmup. A preset's name (default, minicpm): total, warmup.
    Whole numbers may be written 10_000 or 1e4. Raises InputError, one sentence with an example that works.
    """
    name, _, rest = text.strip().partition(":")
    name = name.strip()
    if name not in TEXTS:
        near = difflib.get_close_matches(name, TEXTS, n=1)
        hint = f"did you mean {near[0]}" if near else f"known are {', '.join(TEXTS)}"
        example = TEXTS[near[0] if near else "wsd"].example
        raise InputError(f"schedule {name!r} is not known; {hint}, for example {example}")
    kind = TEXTS[name]
    try:
        return kind.make(_Values(kind, rest))
    except InputError as error:
        raise InputError(f"schedule {text.strip()!r}: {error}; for example {kind.example}") from None


class _Values:
    """The key=value pairs of one text, each checked where it is asked for."""

    def __init__(self, kind: "_Text", text: str) -> None:
        self._found: dict[str, str] = {}
        for part in filter(None, (each.strip() for each in text.split(","))):
            key, equals, value = (each.strip() for each in part.partition("="))
            if not equals or not value:
                raise InputError(f"{part!r} is not key=value")
            if key not in kind.keys:
                near = difflib.get_close_matches(key, kind.keys, n=1)
                hint = f"did you mean {near[0]}" if near else f"known are {', '.join(kind.keys)}"
                raise InputError(f"key {key!r} is not known, {hint}")
            if key in self._found:
                raise InputError(f"{key} is given twice")
            self._found[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def need(self, key: str) -> str:
        if key not in self._found:
            raise InputError(f"{key}= is missing")
        return self._found[key]

    def count(self, key: str, default: int | None = None) -> int:
        """A number of updates; needed where there is no default."""
        if default is not None and key not in self._found:
            return default
        return _whole(key, self.need(key))

    def counts(self, key: str) -> list[int]:
        return [_whole(key, each) for each in self.need(key).split("/")]

    def number(self, key: str, default: float | None = None) -> float:
        if default is not None and key not in self._found:
            return default
        return _number(key, self.need(key))

    def shape(self, default: str) -> str:
        return self._found.get("shape", default)

    def half_life(self) -> float | None:
        return self.number("half_life") if "half_life" in self else None


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{key}={text} is not a number")
    return value


def _whole(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        value = _number(key, text)
    if value != int(value):
        raise InputError(f"{key}={text} is not a whole number of updates")
    return int(value)


def _decay(values: _Values, end: int, shape: str, floor: float) -> Decay:
    """The decay before `end`, from decay= (updates) or share= (of `end`)."""
    shape, floor = values.shape(shape), values.number("floor", floor)
    if ("decay" in values) == ("share" in values):
        raise InputError("give either decay= (updates) or share= (of the total)")
    if "share" in values:
        found = DecaySpec(shape, values.number("share"), floor).decay(end)
        start, steps = found.start, found.steps
    else:
        steps = values.count("decay")
        start = end - steps
        if steps > end:
            raise InputError(f"a decay of {steps} updates does not fit before update {end}")
    return Decay(shape, start, steps, floor, values.half_life())


def _wsd(values: _Values) -> Schedule:
    warmup = values.count("warmup", 0)
    decaying = [key for key in ("total", "decay", "share", "shape", "floor", "half_life") if key in values]
    if not decaying:
        return WSD(warmup)
    return WSD(warmup, _decay(values, values.count("total"), "1-sqrt", 0.0))


def _wsd_s(values: _Values) -> Schedule:
    decays = [_decay(values, end, "inverse-linear", 0.1) for end in values.counts("ends")]
    return WSDS(values.count("warmup", 0), tuple(decays))


def _cosine(cls: Callable[..., Schedule]) -> Callable[[_Values], Schedule]:
    return lambda v: cls(v.count("warmup", 0), v.count("period"), v.number("floor", 0.1))


def _preset(name: str) -> Callable[[_Values], Schedule]:
    return lambda v: WSD(v.count("warmup", 0), PRESETS[name].decay(v.count("total")))


@dataclass(frozen=True)
class _Text:
    """A kind of schedule as a text: its keys, how it is made of their values, and a text that works."""

    keys: tuple[str, ...]
    make: Callable[[_Values], Schedule]
    example: str


_OF_DECAY = ("decay", "share", "shape", "floor", "half_life", "warmup")
TEXTS: dict[str, _Text] = {
    "wsd": _Text(("total", *_OF_DECAY), _wsd, "wsd:total=10000,decay=1000,shape=linear,warmup=100"),
    "wsd-s": _Text(("ends", *_OF_DECAY), _wsd_s, "wsd-s:ends=2000/4000/8000,share=0.1,warmup=100"),
    "cosine": _Text(
        ("period", "floor", "warmup"), _cosine(Cosine), "cosine:period=10000,warmup=100,floor=0.1"
    ),
    "cosine-loop": _Text(
        ("period", "floor", "warmup"), _cosine(CosineLoop), "cosine-loop:period=2000,warmup=100,floor=0.1"
    ),
    "linear": _Text(
        ("total", "floor", "warmup"),
        lambda v: Linear(v.count("warmup", 0), v.count("total"), v.number("floor", 0.0)),
        "linear:total=10000,warmup=100",
    ),
    "noam": _Text(("warmup",), lambda v: Noam(v.count("warmup")), "noam:warmup=500"),
    "constant": _Text(("warmup",), lambda v: Constant(v.count("warmup", 0)), "constant:warmup=100"),
    **{name: _Text(("total", "warmup"), _preset(name), f"{name}:total=10000,warmup=100") for name in PRESETS},
}
"""Name in a text -> how it is read."""
