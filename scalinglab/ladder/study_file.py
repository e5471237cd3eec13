"""Reading and checking a study file: one sentence for what is wrong, with the key and the mend."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from scalinglab.errors import InputError
from scalinglab.ladder.plan import Branch, plan, plan_full
from scalinglab.ladder.presets import PRESETS
from scalinglab.ladder.source_names import suffix
from scalinglab.ladder.study import Branches, Full, Merges, Source, Study, Variants
from scalinglab.ladder.tokens import (
    BYTES,
    bpe_vocabulary,
    check_tokens,
    read_tokenizer_file,
    vocabulary_of,
)
from scalinglab.ladder.trials import check_search


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
        _check_data(study)
        study._tokenizer_vocab = _tokenizer_vocab(study, path)
        _check(study)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return study


def tokenizer_path(study: Study, study_path: Path) -> Path | None:
    """Where the study's tokenizer file lies: as named from its file's folder; a study that has begun keeps a copy."""
    if study.data.tokens == BYTES or bpe_vocabulary(study.data.tokens) is not None:
        return None
    named = study_path.parent / Path(study.data.tokens).expanduser()
    kept = study_path.parent / "tokenizer.json"
    return kept if not named.exists() and (study_path.parent / "data.json").exists() else named


def _tokenizer_vocab(study: Study, study_path: Path) -> int | None:
    path = tokenizer_path(study, study_path)
    return None if path is None else vocabulary_of(read_tokenizer_file(path), path)


# Which kind of source each key is for; `name` and `weight` are for all.
_KEYS = {
    "field": ("JSONL lines or a data set (hf)", lambda source: _is(source, ".jsonl", ".ndjson") or source.hf),
    "split": ("a data set (hf)", lambda source: source.hf),
    "dtype": ("token ids (.bin)", lambda source: _is(source, ".bin")),
    "end": ("token ids (.bin)", lambda source: _is(source, ".bin")),
    "heldout_share": ("a source of your own (path or hf)", lambda source: source.path or source.hf),
}


def _is(source: Source, *suffixes: str) -> bool:
    """Whether a path has one of these suffixes; a folder's files are known once it is opened."""
    return bool(source.path) and suffix(str(source.path)) in (*suffixes, "")


def _check_data(study: Study) -> None:
    """What the text is, and what its tokens are."""
    data = study.data
    if bool(data.mix) == bool(data.sources):
        raise InputError("data: give either `mix` or `sources`")
    for i, source in enumerate(data.sources):
        if source.path and source.hf:
            raise InputError(f"data.sources[{i}]: give either `path` or `hf`")
        if not (source.path or source.hf or source.name):
            raise InputError(f"data.sources[{i}]: give `name`, `path` or `hf`")
        try:
            _ = source.label
        except InputError as error:
            raise InputError(f"data.sources[{i}]: {error}") from None
        for key, (what, fits) in _KEYS.items():
            if getattr(source, key) is not None and not fits(source):
                raise InputError(f"data.sources[{i}]: key `{key}` is for {what} alone; leave it out")
    if data.sources and not any(source.weight for source in data.sources):
        raise InputError("data.sources: every weight is 0; give the trunk one source at least")
    if data.vocab is not None and data.tokens != BYTES:
        raise InputError(
            "data: give either `tokens` or `vocab`, which is for token ids without their tokenizer"
        )
    try:
        check_tokens(data.tokens)
    except InputError as error:
        raise InputError(f"data.{error}") from None


def _check(study: Study) -> None:
    """What holds between keys. Whether horizons fit the batches and the warmup, the plan itself tells."""
    data, batch = study.data, study.training.batch_tokens
    batches = {"training.batch_tokens": batch}
    batches |= {
        f"training.batch_ramp[{i}].batch_tokens": e.batch_tokens
        for i, e in enumerate(study.training.batch_ramp)
    }
    batches |= {f"branches[{i}].batch_tokens": e.batch_tokens or batch for i, e in enumerate(study.branches)}
    varied = [
        (f"variants[{i}].{key}", tokens)
        for i, entry in enumerate(study.variants)
        for settings in entry.settings()
        for key, tokens in (
            ("batch_tokens", settings.get("batch_tokens", batch)),
            *(("batch_ramp", each.batch_tokens) for each in settings.get("batch_ramp", ())),
        )
    ]
    for key, tokens in [*batches.items(), *varied]:
        if tokens % data.context:
            raise InputError(
                f"{key}: {tokens} is not a whole number of sequences of data.context = "
                f"{data.context} tokens; the nearest are {tokens // data.context * data.context or data.context} "
                f"and {(tokens // data.context + 1) * data.context}"
            )
    _check_decays(study)
    names = [size.label for size in study.ladder.sizes]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"ladder.sizes: two sizes are named {name!r}; a name must be used once")
    for size in study.ladder.sizes:
        study.shape(size)
        for _, horizons in study.trunks(size):
            if not horizons:
                raise InputError(
                    f"ladder: size {size.label!r} has no horizon; give ladder.horizons or ladder.tokens_per_param"
                )
            if len(set(horizons)) < len(horizons):
                raise InputError(f"ladder: size {size.label!r} names a horizon twice")
        seeds = [seed for seed, _ in study.trunks(size)]
        if len(set(seeds)) < len(seeds):
            raise InputError(f"ladder: size {size.label!r} has two trunks of one seed; seeds are {seeds}")
    _check_variants(study)
    if not plan(study) and not plan_full(study):
        raise InputError(
            "the study asks for no run: its branches and full entries apply to no trunk of the ladder"
        )
    for variant in study.expanded():
        _check_twins(variant.study)
    check_search(study)


def _check_decays(study: Study) -> None:
    """The decays, and to what part of the ladder the entries that name one apply."""
    for where, given in (
        ("schedule", study.schedule),
        *((f"branches[{i}]", entry) for i, entry in enumerate(study.branches)),
        *((f"merges[{i}]", entry) for i, entry in enumerate(study.merges)),
    ):
        try:
            spec = given.spec(study.schedule.spec() if where != "schedule" else PRESETS["default"])
        except InputError as error:
            raise InputError(f"{where}.decay: {error}") from None
        if given.half_life_tokens is not None and spec.shape != "exponential":
            raise InputError(
                f"{where}.half_life_tokens: goes with an exponential decay, not with {spec.shape}; leave it out or "
                'give decay = "exponential"'
            )
    entries: list[Branches | Merges | Full] = [*study.branches, *study.merges, *study.full]
    names = [entry.name for entry in entries]
    for entry in entries:
        if names.count(entry.name) > 1:
            raise InputError(
                f"two entries of branches, merges and full are named {entry.name!r}; use a name once"
            )
        _check_where(study, entry)
    for entry in study.branches:
        if entry.weights is not None:
            _check_weights(study, entry.name, entry.weights)
        if entry.after is not None:
            _check_after(study, entry)
    for i, merge in enumerate(study.merges):
        if merge.half_life_tokens is not None:
            raise InputError(f"merges[{i}].half_life_tokens: does not go with a merge; leave it out")
    for whole in study.full:
        given_up = [key for key in ("period_share", "floor") if key in whole.model_fields_set]
        if given_up and whole.schedule not in ("cosine", "cosine-loop", "linear"):
            raise InputError(
                f"entry {whole.name!r}: {given_up[0]} goes with cosine, cosine-loop and linear, not with "
                f"{whole.schedule}; leave it out"
            )


def _check_after(study: Study, entry: Branches) -> None:
    """What follows a decay: at a rate above zero, at points each named once."""
    if entry.after is None:
        return
    if entry.spec(study.schedule.spec()).floor == 0.0:
        raise InputError(
            f"entry {entry.name!r}: after: the learning rate is 0 where its decay ends, so that nothing would be "
            "learned; give the decay a floor above 0"
        )
    if len(set(entry.after.tokens)) < len(entry.after.tokens):
        raise InputError(f"entry {entry.name!r}: after.tokens names a point twice")
    if entry.after.weights is not None:
        _check_weights(study, entry.name, entry.after.weights)


def _check_where(study: Study, entry: Branches | Merges | Full | Variants, called: str = "") -> None:
    """The part of the ladder that an entry applies to."""
    called = called or f"entry {entry.name!r}"  # type: ignore[union-attr]
    known: dict[str, list[Any]] = {
        "sizes": [size.label for size in study.ladder.sizes],
        "seeds": list(dict.fromkeys(seed for size in study.ladder.sizes for seed, _ in study.trunks(size))),
    }
    if not isinstance(entry, Full):
        trunks = [trunk for size in study.ladder.sizes for trunk in study.trunks(size)]
        known["horizons"] = sorted({tokens for _, horizons in trunks for tokens in horizons})
    for key in ("sizes", "seeds", "horizons"):
        named = getattr(entry, key)
        if named == []:
            raise InputError(f"{called}: {key} is empty; name one, or leave the key out for all")
        for each in named or ():
            if named.count(each) > 1:
                raise InputError(f"{called} names {key.removesuffix('s')} {each} twice")
            if each not in known.get(key, [each]):
                raise InputError(
                    f"{called} names {key.removesuffix('s')} {each!r}; the ladder has "
                    f"{', '.join(map(str, known[key]))}"
                )


def _check_variants(study: Study) -> None:
    """Each entry says something, applies somewhere, and asks for nothing that another one asks for."""
    for i, entry in enumerate(study.variants):
        where = f"variants[{i}]"
        for key in entry.model_fields_set:
            if getattr(entry, key) == [] and key != "batch_ramp":  # an empty ramp is one: none
                raise InputError(f"{where}.{key}: is an empty list; name one value, or leave the key out")
        if not any(entry.settings()):
            keys = [key for key in type(entry).model_fields if key not in ("sizes", "seeds", "horizons")]
            raise InputError(f"{where}: names no setting; give one of {', '.join(keys)}")
        _check_where(study, entry, where)
    asked = set()
    for variant in study.expanded()[1:]:
        for size in study.ladder.sizes:
            for seed, _ in variant.study.trunks(size):
                run = frozenset(variant.settings), size.label, seed
                if run in asked:
                    raise InputError(
                        f"variants: {variant.name} is asked for twice for size {size.label!r}, seed {seed}; leave one "
                        "out"
                    )
                asked.add(run)


def _check_weights(study: Study, name: str, weights: Mapping[str, float]) -> None:
    """A branch's mixture. Of a registered mix the sources are known only where its text is."""
    if not any(weights.values()):
        raise InputError(f"entry {name!r}: every weight is 0; give one source a weight above 0")
    known = [source.label for source in study.data.sources]
    for source in weights:
        if known and source not in known:
            raise InputError(f"entry {name!r} weighs source {source!r}; data.sources has {', '.join(known)}")


def _check_twins(study: Study) -> None:
    """Entries that would train the same: one run on disk, and two names for it."""
    for trunk in plan(study):
        known: dict[Branch, str] = {}
        for branch in trunk.branches:
            other = known.setdefault(replace(branch, recipe="", after=()), branch.recipe)
            if other != branch.recipe:
                raise InputError(
                    f"entries {other!r} and {branch.recipe!r} of branches decay alike to {trunk.horizon(branch)} "
                    f"tokens of size {trunk.label!r}; let them differ, or leave one out"
                )
    plan_full(study)  # refuses two names for one model


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
    if first["type"] == "string_pattern_mismatch":
        return (
            f"key `{place}` = {first['input']!r}: expected letters, digits and dots, a letter or digit first, without "
            f"spaces{tail}"
        )
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
