"""What a column's name says: the quantity, its unit, whether embeddings count, and what a loss was measured on."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"k": "k", "thousand": "k", "thousands": "k", "m": "M", "mm": "M", "million": "M", "millions": "M"}
_UNITS |= {
    "b": "B",
    "bn": "B",
    "g": "B",
    "billion": "B",
    "billions": "B",
    "t": "T",
    "trillion": "T",
    "trillions": "T",
}
_UNITS |= {
    "1e3": "k",
    "1e6": "M",
    "1e9": "B",
    "1e12": "T",
    "10^6": "M",
    "10^9": "B",
    "10^12": "T",
    "mtok": "M",
    "gtok": "B",
}
_AROUND = (
    r"^(config|summary|summary_metrics|model|train|trainer|training|data|perf|throughput|optim|hparams|args|params|"
    r"metrics)_"
)


def words_of(name: str) -> str:
    """`trainer/globalStep` and `Global step` as `global_step`-like words, with underscores between."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def split_unit(name: str) -> tuple[str, str | None]:
    """(words without the unit, unit of COUNT_UNITS or None): "Tokens (B)" -> ("tokens", "B")."""
    for found in re.finditer(r"[\(\[]([^\)\]]*)[\)\]]", name):
        inside = re.sub(
            r"\b(in|of|tokens?|toks?|params?|parameters?|x)\b|[#×]", " ", found[1].lower()
        ).strip()
        if inside in _UNITS:
            return words_of(name[: found.start()] + " " + name[found.end() :]), _UNITS[inside]
    return words_of(name), None


def bare(words: str) -> str:
    """Without the folders that trackers put in front: `throughput_total_tokens` is `total_tokens`."""
    while re.match(_AROUND, words):
        words = re.sub(_AROUND, "", words, count=1)
    return words


_SIZE = r"(n|num|number_of|count_of)?_?(params?|parameters?|model_size|size|weights?)(_?(count|num|n))?"
_COUNTS = (
    ("nonemb", r".*(non_?emb|(excl|excluding|without|wo|w_o|no)_emb).*|n_?ne|params?_ne"),
    ("scaling", r"(num_|n_)?scaling_params"),
    ("total", (rf"((total|all)_(number_of_|num_|n_)?(params?|parameters?|model_size)(_count)?|{_SIZE}_?(total|all|"
        r"(with|incl|including|w)_(emb|head).*|full)|n_total|total_size)")),
    ("size", rf"{_SIZE}|n|n_model|(trainable|active|model)_(params?|parameters?)|params?_(trainable|active)"),
    ("ratio", (r"tokens?_?(per|to|/)_?(params?|parameters?)(_ratio)?|tpp|d_?n|d_over_n|d_n_ratio|(param_data|"
        r"data_param|token_param|tokens?_params?)(_ratio)?|target_param_data_ratio")),
    ("multiple", r"chinchilla(_multiple|_multiplier|_ratio|s)?|x_?c|(multiple|times)_(of_)?chinchilla"),
    ("tokens", (r"d|((num|n|number_of|total|train|training|consumed|seen|processed|all)_)*(input_)?(tokens?|toks)(_("
        r"seen|trained|processed|consumed|total|count|num|so_far|trained_on))*|data(set)?_size(_tokens)?")),
    ("unique_tokens", r"(unique|distinct)_tokens|tokens_unique"),
    ("batch_tokens", (r".*batch(_size)?(_in)?_(tokens?|toks)|tokens?_(per|a|in)_(step|batch|update|iter(ation)?)|"
        r"(global_)?token_batch(_size)?|batch_size_tok")),
    ("batch", (r"(global_|total_|effective_)?(train_)?batch(_size)?(_(seqs?|sequences?|examples|samples))?|g?bs|"
        r"(seqs|sequences)_per_(step|batch)")),
    ("device_batch", r"per_device_(train_)?batch_size|device_batch_size|micro_batch_size|mbs"),
    ("accumulation", r"(gradient|grad)_acc(um(ulation)?)?(_steps)?|accumulate_grad_batches"),
    ("devices", r"world_size|num_(gpus|devices)|n_gpus|gpus|nproc"),
    ("context", r"(max_)?seq(uence)?_?len(gth)?|(context|ctx)(_(len(gth)?|size|window))?|n_ctx|block_size|max_length"),
    ("step", r"_?((global|total|num|n|max|training|optimi[sz]er)_)?(steps?|iters?|iterations?|updates?)|step_count|it"),
    ("flops", (r"(total_|train(ing)?_)?(flops?|flos|compute)(_(budget|total|6nd))?|c|flops_budget|isoflop_budget|"
        r"(compute|training)_flops?")),
    ("lr", r"(peak_|max_|base_)?(lr|learning_rate)(_(peak|max))?"),
    ("seed", r"(random_|global_)?seed"),
    ("run", r"run(_?(id|name))?|id|name|(experiment|exp|display|model|job)(_(id|name))?|model"),
    ("trunk", r"trunk(_(run_)?id)?|parent(_run)?(_id)?|forked_from|base_run(_id)?"),
    ("schedule", r"(lr_?)?(schedule|scheduler)(_(type|name|kind))?|lr_schedule"),
    ("decay_share", r"(decay|cooldown|anneal)_(share|frac(tion)?|ratio)"),
    ("eval_set", r"(eval|val|valid|validation|test|heldout)_?(set|data(set)?|name|domain)|eval_?set"),
    ("state", r"(run_)?(state|status)"),
    ("phase", r"phase|stage|kind|point_kind"),
)  # fmt: skip
_PATTERNS = [(kind, re.compile(pattern)) for kind, pattern in _COUNTS]


@dataclass(frozen=True)
class Named:
    """A column whose name says something: kind of _COUNTS, and the unit in the name, if there is one."""

    column: str
    kind: str
    unit: str | None


def named(column: str) -> Named | None:
    """What a name says of anything but losses; None where it says nothing."""
    words, unit = split_unit(column)
    tries = [(words, unit), (bare(words), unit)]
    tail = re.fullmatch(r"(.+?)_(?:in_)?([a-z]+|1e\d+)", words)
    if unit is None and tail and tail[2] in _UNITS:
        tries += [(tail[1], _UNITS[tail[2]]), (bare(tail[1]), _UNITS[tail[2]])]
    for text, found in tries:
        for kind, pattern in _PATTERNS:
            if pattern.fullmatch(text) and not (
                kind == "nonemb" and re.search(r"flop|token|loss|per_", text)
            ):
                return Named(column, kind, found)
    return None


# Losses ---------------------------------------------------------------------------------------------------

_METRICS = (
    ("bits/byte", r"bpb|bits_(per_|a_)?byte"),
    ("nats/byte", r"nats_(per_|a_)?byte|loss_per_byte"),
    ("bits/token", r"bpt|bits_(per_|a_)?token"),
    ("perplexity", r"ppl|perplexity"),
    ("nats/token", r"loss(es)?|(cross_?)?entropy(_?loss)?|ce(_loss)?|nll|xent|l|nats(_per_token)?"),
)
_NO_LOSS = (
    r"aux|z|zloss|router|balanc\w*|moe|se|std|stderr|var|variance|kind|unit|scale|scaler|raw|wa|ema|delta|diff|kl|min|"
    r"max|mean|pred|predicted|fit|fitted|target|fn|function|type|name|weight|mask|acc|accuracy|time|count|best|sum|"
    r"reducible|irreducible|gap|ratio|step|tokens|bytes|reward|policy|value|log|distill\w*"
)
_HELD_OUT = r"val|valid|validation|eval|evaluation|test|held_?out|held|out|dev"
_TRAIN = r"train|training"
_FILLER = r"final|end|last|on|the|mean|avg|average|set|lm|of|metrics|summary|nats|per|token|byte|total"


@dataclass(frozen=True)
class NamedLoss:
    """rank: 0 held out, 1 not said, 2 training. eval_set: what else the name says, "" if nothing. unit_said: whether
    the name gives the unit."""

    column: str
    unit: str
    unit_said: bool
    rank: int
    eval_set: str
    role: str


def named_loss(column: str) -> NamedLoss | None:
    """What a name says of a loss; None where it names none."""
    words = words_of(column)
    if re.match(r"heldout_\w+$", words) and "/" in column:
        words += "_loss"  # as this package's own mirrors write them
    for unit, pattern in _METRICS:
        found = re.search(rf"(?:^|_)(?:{pattern})(?=$|_)", words)
        if found is None:
            continue
        rest = (words[: found.start()] + "_" + words[found.end() :]).strip("_")
        parts = [part for part in rest.split("_") if part]
        if any(re.fullmatch(_NO_LOSS, part) for part in parts):
            return None
        rank, role = 1, ""
        if any(re.fullmatch(_HELD_OUT, part) for part in parts):
            rank = 0
            role = next(part for part in parts if re.fullmatch(_HELD_OUT, part))
        elif any(re.fullmatch(_TRAIN, part) for part in parts):
            rank, role = 2, "train"
        left = [part for part in parts if not re.fullmatch(f"{_HELD_OUT}|{_TRAIN}|{_FILLER}", part)]
        if words == "l" or len(left) <= 4:
            said = unit != "nats/token" or "nats" in words
            return NamedLoss(column, unit, said, rank, "_".join(left), role)
    return None
