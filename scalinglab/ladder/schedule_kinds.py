"""The kinds of schedule by name, and a schedule back from its definition."""

from dataclasses import fields
from typing import Any

from scalinglab.errors import InputError
from scalinglab.ladder.decay import Decay
from scalinglab.ladder.from_scratch import Constant, Cosine, CosineLoop, Linear, Noam
from scalinglab.ladder.schedule import WSD, WSDS, Schedule

SCHEDULES: dict[str, type[Schedule]] = {
    "wsd": WSD,
    "wsd-s": WSDS,
    "cosine": Cosine,
    "cosine-loop": CosineLoop,
    "linear": Linear,
    "noam": Noam,
    "constant": Constant,
}
"""Kind, as definitions say it -> class. A definition without a kind is WSD's."""


def schedule_of(definition: dict[str, Any]) -> Schedule:
    """The schedule whose `identity.plain` this is.

    Raises InputError for a kind or a key that is not known, a key that is missing, or values no schedule can have.
    """
    given = dict(definition)
    kind = given.pop("kind", "wsd")
    if not isinstance(kind, str) or kind not in SCHEDULES:
        raise InputError(f"schedule kind {kind!r} is not known; known: {', '.join(SCHEDULES)}")
    if given.get("decay") is not None:
        given["decay"] = _made(Decay, given["decay"], "the decay")
    if "decays" in given:
        decays = given["decays"] if isinstance(given["decays"], list) else [given["decays"]]
        given["decays"] = tuple(_made(Decay, each, "a decay") for each in decays)
    schedule: Schedule = _made(SCHEDULES[kind], given, f"the {kind} schedule")
    return schedule


def _made(cls: type[Any], given: Any, what: str) -> Any:
    known = [each.name for each in fields(cls) if each.init]
    if not isinstance(given, dict):
        raise InputError(f"the definition of {what} is {given!r}; it needs {', '.join(known)} by name")
    unknown = [key for key in given if key not in known]
    if unknown:
        raise InputError(
            f"the definition of {what} has {', '.join(unknown)}, which is not known; known: {', '.join(known)}"
        )
    try:
        return cls(**given)
    except TypeError:
        raise InputError(
            f"the definition of {what} is {given!r}; it needs the numbers {', '.join(known)}"
        ) from None
