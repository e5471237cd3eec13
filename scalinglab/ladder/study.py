"""The study file: everything that decides what is trained. `study_file` reads and checks one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PrivateAttr

from scalinglab.errors import InputError
from scalinglab.ladder import identity
from scalinglab.ladder.named_shapes import named_shape
from scalinglab.ladder.presets import PRESETS, DecaySpec
from scalinglab.ladder.search import Search
from scalinglab.ladder.section import STRICT, Name, Positive, Seed, Share, Tokens
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.source_names import data_set_name, path_name
from scalinglab.ladder.tokens import BYTES, bpe_vocabulary, read_tokenizer_file, vocabulary_of

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Section(BaseModel):
    model_config = STRICT


class Source(_Section):
    """A source: a registered name, a path to a user's own text or token ids, or a data set of the hub."""

    name: str | None = None
    """Of a registered source; beside `path` or `hf`, what that source is to be called."""
    path: str | None = None
    """A .txt or .jsonl file, either of them also gzipped, a .bin file of token ids, or a folder of such files."""
    hf: str | None = None
    """A data set of the Hugging Face hub, NAME or NAME:CONFIGURATION."""
    split: str | None = None
    """Of the data set; "train" by default."""
    field: str | None = None
    """Of JSONL lines and of the data set's rows, the one that holds the text; "text" by default."""
    dtype: Literal["uint16", "uint32"] | None = None
    """Of token ids; "uint16" by default."""
    end: Annotated[int, Field(ge=0)] | None = None
    """The token id that ends a document."""
    heldout_share: Share | None = None
    """Of a source of one's own: share of its documents, or of its token ids, that is held out; 0.05 by default."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Share of the trunk's samples, relative to the others'; 0 for a source that only branches use."""

    @property
    def label(self) -> str:
        """What the source is called; without a name, after its data set or path.

        Raises InputError for a path that ends without a name.
        """
        return self.name or (data_set_name(self.hf) if self.hf else path_name(str(self.path)))


class Data(_Section):
    mix: str | None = None
    """A registered mix, every source of it with equal weight; or give `sources`."""
    sources: list[Source] = []
    tokens: str = "bytes"
    """"bytes", "bpe-4096" (trained on the training documents) or the path of a tokenizer.json."""
    vocab: Positive | None = None
    """Instead, of sources that are token ids of a tokenizer which is not at hand: how many ids there are."""
    context: Positive = 128
    """Tokens a training sequence holds."""
    heldout_windows: Annotated[int, Field(ge=2)] = 128
    """Windows of `context` tokens each held-out set is measured on, the same for every model."""


class Model(_Section):
    parametrisation: Literal["minicpm", "standard"] = "minicpm"
    width_base: Positive = 40
    """d_base, where MiniCPM's scaling equals the base model; near the ladder's middle width."""
    scale_emb: Annotated[float, Field(gt=0)] = 12.0
    scale_depth: Annotated[float, Field(gt=0)] = 1.4
    init_std: Annotated[float, Field(gt=0)] = 0.1
    embedding_as: Literal["vector", "matrix"] = "vector"
    """Whether embedding and head keep their own spread and rate as the width grows, or follow the matrices."""


class Ramp(_Section):
    from_tokens: Tokens
    batch_tokens: Tokens


class Training(_Section):
    batch_tokens: Tokens
    lr: Annotated[float, Field(gt=0)]
    """Peak learning rate of the matrices at width d_base."""
    batch_ramp: list[Ramp] = []
    """Batches of the trunk from later tokens on, instead of batch_tokens."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient over all parameters."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of matrix products; everything else is fp32."""
    compile: bool | Literal["auto"] = False
    """Compile each size before it trains: other bits than uncompiled. auto: where it gains more time than it takes."""


class _Decay(_Section):
    """A decay in shares of a horizon, so that one recipe serves every horizon."""

    preset: Literal["default", "minicpm"] | None = None
    """Where the keys below are not given."""
    decay: str | None = None
    decay_share: Share | None = None
    """Share of a branch's horizon that its decay takes."""
    floor: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Where the learning rate ends, as a share of its peak."""
    half_life_tokens: Tokens | None = None
    """Of an exponential decay; without it the decay reaches its floor at its end."""

    def spec(self, otherwise: DecaySpec = PRESETS["default"]) -> DecaySpec:
        """The decay, each key that is not given taken from the preset, or from `otherwise`."""
        base = PRESETS[self.preset] if self.preset else otherwise
        return DecaySpec(
            self.decay or base.shape,
            base.share if self.decay_share is None else self.decay_share,
            base.floor if self.floor is None else self.floor,
        )

    def half_life(self, otherwise: "_Decay") -> int | None:
        """Tokens in which an exponential decay halves: its own, or `otherwise`'s where neither preset nor shape is."""
        if self.half_life_tokens is None and self.preset is None and self.decay is None:
            return otherwise.half_life_tokens
        return self.half_life_tokens


class Schedule(_Decay):
    warmup_tokens: Annotated[int, Field(ge=0)]


class _Where(_Section):
    """To which part of the ladder an entry applies; all of it where nothing is said."""

    horizons: list[Tokens] | None = None
    sizes: list[Name] | None = None
    seeds: list[Seed] | None = None

    def applies(self, size: str, seed: int) -> bool:
        return (self.sizes is None or size in self.sizes) and (self.seeds is None or seed in self.seeds)


class After(_Section):
    """What a branch is trained on beyond its decay, at the floor of its learning rate."""

    tokens: Annotated[list[Tokens], Field(min_length=1)]
    """Beyond the horizon, where it is measured."""
    weights: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Source name -> weight from the horizon on; by default as in the decay."""


class Branches(_Decay, _Where):
    """One way of decaying: a branch for each horizon. What is not given is the trunk's."""

    name: Label
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = None
    clip: Annotated[float, Field(gt=0)] | None = None
    batch_tokens: Tokens | None = None
    weights: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Source name -> weight during the decay; sources that are not named weigh 0."""
    after: After | None = None


class Merges(_Decay, _Where):
    """Averages of trunk checkpoints in place of a decay (WSM, 2025): one for each horizon.

    The decay that is given is the one the average stands in for; what is not given is the trunk's.
    """

    name: Label
    checkpoints: Annotated[int, Field(ge=2)]
    """How many are averaged, evenly spread over the decay, its first and its last update among them."""


class Full(_Where):
    """Models trained from scratch under a schedule of their own, to compare with the branches."""

    name: Label
    schedule: Literal["cosine", "cosine-loop", "linear", "noam", "constant", "wsd-s"]
    period_share: Annotated[float, Field(gt=0)] = 1.0
    """Of cosine, cosine-loop and linear: T as a share of the horizon."""
    floor: Annotated[float, Field(ge=0, lt=1)] | None = None


Positives = Annotated[float, Field(gt=0)]
Portion = Annotated[float, Field(ge=0, lt=1)]


class Variants(_Where):
    """The ladder, or a part of it, trained again under other settings. A list asks for one of each value.

    Several lists ask for every combination. What is not given is the study's own.
    """

    lr: Positives | list[Positives] | None = None
    batch_tokens: Tokens | list[Tokens] | None = None
    batch_ramp: list[Ramp] | None = None
    """One ramp, not one of each."""
    optimiser: Literal["adamw", "muon"] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | list[Annotated[float, Field(ge=0)]] | None = None
    beta1: Portion | list[Portion] | None = None
    beta2: Portion | list[Portion] | None = None
    clip: Positives | list[Positives] | None = None
    precision: Literal["fp32", "bf16"] | None = None
    parametrisation: Literal["minicpm", "standard"] | list[Literal["minicpm", "standard"]] | None = None
    width_base: Positive | list[Positive] | None = None
    scale_emb: Positives | list[Positives] | None = None
    scale_depth: Positives | list[Positives] | None = None
    init_std: Positives | list[Positives] | None = None
    embedding_as: Literal["vector", "matrix"] | None = None

    def settings(self) -> Iterator[dict[str, Any]]:
        """Every combination of the values given."""
        keys = [key for key in type(self).model_fields if key not in _Where.model_fields]
        given = {key: value for key in keys if (value := getattr(self, key)) is not None}
        values = [
            value if isinstance(value, list) and key != "batch_ramp" else [value]
            for key, value in given.items()
        ]
        for chosen in product(*values):
            yield dict(zip(given, chosen, strict=True))


@dataclass(frozen=True)
class Variant:
    """A study under one set of settings."""

    study: "Study"
    settings: tuple[tuple[str, Any], ...] = ()
    """What differs from the study's own."""

    @property
    def name(self) -> str:
        """In words: `lr 0.004, standard`; "" of the study's own settings."""
        plain = ("parametrisation", "optimiser", "precision")
        return ", ".join(
            f"batch {_ramp_text(value)}"
            if key == "batch_ramp"
            else str(value)
            if key in plain
            else f"{key} {value:g}"
            if isinstance(value, float)
            else f"{key} {value}"
            for key, value in self.settings
        )


def _ramp_text(ramp: Iterable[Ramp]) -> str:
    return ", ".join(f"{each.batch_tokens} from {each.from_tokens}" for each in ramp) or "without a ramp"


class Replicates(_Section):
    seeds: Annotated[list[Seed], Field(min_length=1)]
    horizons: list[Tokens] | None = None
    """Horizons of the replicates instead of the size's: a few short ones estimate a trunk's noise."""


class Size(_Section):
    """A model size: the name of a known shape, or its dimensions."""

    name: Name | None = None
    shape: str | None = None
    width: Positive | None = None
    layers: Positive | None = None
    heads: Positive | None = None
    ff: Positive | None = None
    kv_heads: Positive | None = None
    """Fewer than heads: grouped-query attention."""
    tied: bool | None = None
    """Whether the output head is the embedding; yes by default."""
    activation: Literal["swiglu", "relu2"] | None = None
    horizons: list[Tokens] | None = None
    """Horizons of this size instead of the ladder's."""
    replicates: Replicates | None = None
    """Further trunks of this size, which differ in their seed alone."""

    @property
    def label(self) -> str:
        """The size's name; of a known shape, its last part."""
        return self.name or str(self.shape).rpartition("-")[2]


class Probe(_Section):
    """A closer look at single updates, written into the training records; no run is another for it."""

    every: Annotated[int, Field(ge=1, le=10)] = 1
    """Of how many updates one is looked at, at the cost of one gradient more. Records average over ten updates."""


class Ladder(_Section):
    horizons: list[Tokens] = []
    """Tokens at which branches end, the decay inside; the same for every size makes a grid."""
    tokens_per_param: list[Annotated[float, Field(gt=0)]] = []
    """Further horizons, in multiples of a size's N, to the nearest whole batch."""
    checkpoints: list[Tokens] = []
    """Further points of the trunks whose state is kept, to fork from later."""
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
    branches: list[Branches] = []
    """Ways of decaying; by default one, that of `schedule`."""
    merges: list[Merges] = []
    full: list[Full] = []
    variants: list[Variants] = []
    """The ladder again under other settings; the study's own are always trained."""
    search: Search | None = None
    """Constants to be found by many short runs of one size (`scalinglab search`); a sweep passes it over."""
    probe: Probe | None = None
    ladder: Ladder
    _tokenizer_vocab: int | None = PrivateAttr(None)
    _where: _Where = PrivateAttr(_Where())
    """Of a variant: the part of the ladder that it applies to."""

    @property
    def vocab(self) -> int:
        """Rows of the embedding: 256 bytes, or what the tokens' name or file says.

        Raises InputError when that file cannot be read.
        """
        if self.data.vocab is not None:
            return self.data.vocab
        if self.data.tokens == BYTES:
            return 256
        count = bpe_vocabulary(self.data.tokens)
        if count is not None:
            return count
        if self._tokenizer_vocab is None:
            path = Path(self.data.tokens)
            self._tokenizer_vocab = vocabulary_of(read_tokenizer_file(path), path)
        return self._tokenizer_vocab

    def shape(self, size: Size) -> Shape:
        """Raises InputError when the size names no known shape, or leaves a dimension open."""
        own: dict[str, Any] = {
            key: getattr(size, key)
            for key in ("width", "layers", "heads", "ff", "kv_heads", "tied", "activation")
            if getattr(size, key) is not None
        }
        if size.shape is None:
            missing = [key for key in ("width", "layers", "heads", "ff") if key not in own]
            if missing or size.name is None:
                raise InputError(
                    f"ladder.sizes: size {size.name or '?'} lacks {', '.join(missing) or 'its name'}; give name, "
                    'width, layers, heads and ff, or shape = "tiny-10k"'
                )
            return Shape(name=size.name, vocab=self.vocab, context=self.data.context, **own)
        if own:
            raise InputError(
                f"ladder.sizes: size {size.label!r} gives both shape and {', '.join(own)}; give one or the other"
            )
        try:
            known = named_shape(size.shape, vocab=self.vocab, context=self.data.context)
        except InputError as error:
            raise InputError(f"ladder.sizes: {error}") from None
        return replace(known, name=size.label)

    @property
    def recipes(self) -> list[tuple[Branches | None, DecaySpec, int | None]]:
        """The ways of decaying with their half-lives in tokens, the first the ladder's own.

        None where only `schedule` says it.
        """
        own = self.schedule.spec()
        return [(entry, entry.spec(own), entry.half_life(self.schedule)) for entry in self.branches] or [
            (None, own, self.schedule.half_life_tokens)
        ]

    def expanded(self) -> list[Variant]:
        """The study under its own settings, then under those of each variant, none of which has variants itself.

        A combination that repeats the study's own settings is left out.
        """
        bare = self.model_copy(update={"variants": []})
        found = [Variant(bare)]
        for entry in self.variants:
            for chosen in entry.settings():
                own = {**dict(self.training), **dict(self.model)}
                other = {key: value for key, value in chosen.items() if own[key] != value}
                if not other:
                    continue
                sections = {
                    name: section.model_copy(
                        update={
                            key: value for key, value in other.items() if key in type(section).model_fields
                        }
                    )
                    for name, section in (("training", self.training), ("model", self.model))
                }
                varied = bare.model_copy(update=sections)
                varied._where = entry
                settings = (
                    (key, tuple(value) if key == "batch_ramp" else value) for key, value in other.items()
                )
                found.append(Variant(varied, tuple(settings)))
        return found

    def horizons(self, size: Size) -> list[int]:
        if size.horizons is not None:
            return sorted(size.horizons)
        scaled = []
        if self.ladder.tokens_per_param:
            # imported here: a plan is made of a study
            from scalinglab.ladder.plan import study_batches

            batches, params = study_batches(self), self.shape(size).params
            scaled = [
                batches.tokens_at(max(1, batches.nearest_step(round(ratio * params))))
                for ratio in self.ladder.tokens_per_param
            ]
        return sorted({*self.ladder.horizons, *scaled} if scaled else self.ladder.horizons)

    def trunks(self, size: Size) -> list[tuple[int, list[int]]]:
        """(seed, horizons in tokens) of every trunk of a size under the study's own settings."""
        found = [(seed, self.horizons(size)) for seed in self.seeds]
        if size.replicates is not None:
            own = size.replicates.horizons
            horizons = self.horizons(size) if own is None else sorted(own)
            found += [(seed, horizons) for seed in size.replicates.seeds]
        where = self._where
        return [
            (seed, [each for each in horizons if where.horizons is None or each in where.horizons])
            for seed, horizons in found
            if where.applies(size.label, seed)
        ]


def differences(old: Study, new: Study) -> list[str]:
    """What two definitions differ in, a line `key: old -> new` each."""
    return identity.differences(old.model_dump(), new.model_dump(), ignore=("title",))
