"""The study file: everything that decides what is trained, checked key by key."""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scalinglab.errors import InputError
from scalinglab.ladder import identity
from scalinglab.ladder.decay import check_shape
from scalinglab.ladder.shapes import Shape

Positive = Annotated[int, Field(gt=0)]
Tokens = Annotated[int, Field(gt=0, description="tokens")]


class _Section(BaseModel):
    # strict: "12" is not a number here, and a misspelt key is an error rather than a default kept
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Source(_Section):
    """A text source: a registered name, or a path to a user's own .txt file or folder of them."""

    name: str | None = None
    path: str | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0


class Data(_Section):
    mix: str | None = None
    """A registered mix, every source of it with equal weight; or give `sources`."""
    sources: list[Source] = []
    context: Positive = 128
    """Tokens a training sequence holds."""
    heldout_windows: Annotated[int, Field(ge=2)] = 128
    """Windows of `context` bytes each held-out set is measured on, the same for every model."""


class Model(_Section):
    parametrisation: Literal["minicpm", "standard"] = "minicpm"
    width_base: Positive = 40
    """d_base, where MiniCPM's scaling equals the base model; near the ladder's middle width."""


class Training(_Section):
    batch_tokens: Tokens
    lr: Annotated[float, Field(gt=0)]
    """Peak learning rate of the matrices at width d_base."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient over all parameters."""


class Schedule(_Section):
    warmup_tokens: Annotated[int, Field(ge=0)]
    decay: str = "1-sqrt"
    decay_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of a branch's horizon that its decay takes."""
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.0


Seed = Annotated[int, Field(ge=0)]


class Replicates(_Section):
    seeds: Annotated[list[Seed], Field(min_length=1)]
    horizons: list[Tokens] | None = None
    """Horizons of the replicates instead of the size's: a few short ones estimate a trunk's noise."""


class Size(_Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._]*$")]
    width: Positive
    layers: Positive
    heads: Positive
    ff: Positive
    horizons: list[Tokens] | None = None
    """Horizons of this size instead of the ladder's."""
    replicates: Replicates | None = None
    """Further trunks of this size, which differ in their seed alone."""


class Ladder(_Section):
    horizons: Annotated[list[Tokens], Field(min_length=1)]
    """Tokens at which branches end, the decay inside; the same for every size makes a grid."""
    sizes: Annotated[list[Size], Field(min_length=1)]


class Study(_Section):
    """A study file, parsed. `shape(size)` and `trunks(size)` fill in what a size leaves open."""

    title: str = ""
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    """Of weights and data order: one trunk a size and seed."""
    data: Data
    model: Model = Model()
    training: Training
    schedule: Schedule
    ladder: Ladder

    def shape(self, size: Size) -> Shape:
        return Shape(size.name, size.width, size.layers, size.heads, size.ff, context=self.data.context)

    def horizons(self, size: Size) -> list[int]:
        return sorted(size.horizons if size.horizons is not None else self.ladder.horizons)

    def trunks(self, size: Size) -> list[tuple[int, list[int]]]:
        """(seed, horizons in tokens) of every trunk of a size."""
        found = [(seed, self.horizons(size)) for seed in self.seeds]
        if size.replicates is not None:
            own = size.replicates.horizons
            horizons = self.horizons(size) if own is None else sorted(own)
            found += [(seed, horizons) for seed in size.replicates.seeds]
        return found


def read_study(path: str | Path) -> Study:
    """Parse and check a study file.

    Raises InputError naming the file, the key and what was expected there.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the path of a study file"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    try:
        study = Study.model_validate(raw)
        _check(study)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return study


def differences(old: Study, new: Study) -> list[str]:
    """What two definitions differ in, a line `key: old -> new` each."""
    return identity.differences(old.model_dump(), new.model_dump(), ignore=("title",))


def _check(study: Study) -> None:
    """What holds between keys."""
    data, batch = study.data, study.training.batch_tokens
    if bool(data.mix) == bool(data.sources):
        raise InputError("data: give either `mix` or `sources`")
    for i, source in enumerate(data.sources):
        if bool(source.name) == bool(source.path):
            raise InputError(f"data.sources[{i}]: give either `name` or `path`")
    if batch % data.context:
        raise InputError(
            f"training.batch_tokens: {batch} is not a whole number of sequences of data.context = "
            f"{data.context} tokens; the nearest are {batch // data.context * data.context or data.context} "
            f"and {(batch // data.context + 1) * data.context}"
        )
    try:
        check_shape(study.schedule.decay, study.schedule.floor)
    except InputError as error:
        raise InputError(f"schedule.decay: {error}") from None
    names = [size.name for size in study.ladder.sizes]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"ladder.sizes: two sizes are named {name!r}; a name must be used once")
    for size in study.ladder.sizes:
        study.shape(size)
        for tokens in {tokens for _, horizons in study.trunks(size) for tokens in horizons}:
            if tokens % batch:
                raise InputError(
                    f"ladder horizon {tokens} of size {size.name!r} is not a whole number of batches of "
                    f"{batch} tokens; the nearest are {tokens // batch * batch or batch} and "
                    f"{(tokens // batch + 1) * batch}"
                )
        for _, horizons in study.trunks(size):
            if len(set(horizons)) < len(horizons):
                raise InputError(f"ladder: size {size.name!r} names a horizon twice")
        seeds = [seed for seed, _ in study.trunks(size)]
        if len(set(seeds)) < len(seeds):
            raise InputError(f"ladder: size {size.name!r} has two trunks of one seed; seeds are {seeds}")


def _sentence(error: ValidationError) -> str:
    """The first complaint of pydantic, as a sentence a study's author understands."""
    # a key that is not known comes first: it is often the misspelling of one that is then missing
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    place = ""
    for part in first["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    more = len(error.errors()) - 1
    tail = f" (and {more} more)" if more else ""
    if first["type"] == "extra_forbidden":
        known = _keys_beside(first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
        return f"key `{place}` is not a key of a study; {hint}{tail}"
    if first["type"] == "missing":
        return f"key `{place}` is missing{tail}"
    wanted = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"key `{place}` = {first['input']!r}: expected {wanted}{tail}"


def _keys_beside(loc: tuple[Any, ...]) -> list[str]:
    """The keys that are known where an unknown one was found."""
    section: type[BaseModel] = Study
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        inner: Any = section.model_fields[part].annotation
        for candidate in (inner, *getattr(inner, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                section = candidate
    return list(section.model_fields)
