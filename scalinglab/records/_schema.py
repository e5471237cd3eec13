"""The run table's columns, as data: documentation, checks and the mends in messages derive from here."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One column of the run table.

    `kind` decides the dtype after reading: a number becomes float64 (counts too: 6·N·D overflows int64 at
    about 1e19 FLOPs), an integer Int64 (it may be missing), text a string. Numbers lie in [low, high], or in
    (low, high] where `above` is set. `also` lists the names other people's tables use for the same thing;
    they are suggested, never taken silently, because they often count something slightly different.
    """

    name: str
    kind: Literal["number", "integer", "text"]
    unit: str
    meaning: str
    demanded: bool = False
    low: float = float("-inf")
    high: float = float("inf")
    above: bool = False
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def dtype(self) -> str:
        return {"number": "float64", "integer": "Int64", "text": "str"}[self.kind]

    @property
    def bounds(self) -> str:
        """What a value must satisfy, in words: "above 0", "between 0 and 1", or "" where anything goes."""
        if self.low == float("-inf"):
            return ""
        if self.high < float("inf"):
            return f"between {self.low:g} and {self.high:g}"
        return f"above {self.low:g}" if self.above else f"{self.low:g} or more"


COLUMNS: tuple[Column, ...] = (
    Column("run_id", "text", "", "which run the row belongs to"),
    Column("trunk_id", "text", "", "the trunk it was forked from: rows of one trunk share its noise"),
    Column(
        "kind",
        "text",
        "",
        "branch: decayed from a trunk; trunk: undecayed; full: its own whole schedule; after: a branch trained on "
        "beyond its decay; merge: an average of trunk checkpoints",
        choices=("branch", "trunk", "full", "after", "merge"),
    ),
    Column(
        "params",
        "number",
        "parameters",
        "N, non-embedding parameters",
        demanded=True,
        low=0,
        above=True,
        also=(
            *(
                "n",
                "n_params",
                "params_nonemb",
                "n_nonemb",
                "non_embedding_params",
                "num_params",
                "parameters",
            ),
            *("num_parameters", "param_count", "model_params", "model_size", "params_total", "size"),
        ),
    ),
    Column(
        "params_total", "number", "parameters", "all parameters, embeddings and head too", low=0, above=True
    ),
    Column(
        "tokens",
        "number",
        "tokens",
        "D, the tokens seen at the end of the run, its decay inside",
        demanded=True,
        low=0,
        above=True,
        also=(
            *(
                "d",
                "n_tokens",
                "num_tokens",
                "train_tokens",
                "training_tokens",
                "tokens_seen",
                "total_tokens",
            ),
            *("token_count", "dataset_size", "data"),
        ),
    ),
    Column("unique_tokens", "number", "tokens", "how many of them are distinct", low=0, above=True),
    Column("flops_6nd", "number", "FLOPs", "6·N·D", low=0, above=True),
    Column("flops_exact", "number", "FLOPs", "training FLOPs counted from the shape", low=0, above=True),
    Column("eval_set", "text", "", "what the loss was measured on; a fit takes one"),
    Column(
        "loss",
        "number",
        "the unit in loss_unit",
        "L, mean cross-entropy on the eval set",
        demanded=True,
        low=0,
        above=True,
        also=(
            *("l", "val_loss", "valid_loss", "validation_loss", "eval_loss", "test_loss", "final_loss"),
            *("train_loss", "training_loss", "cross_entropy", "ce_loss", "nll"),
        ),
    ),
    Column("loss_unit", "text", "", "nats/token or nats/byte: losses in two units cannot share a fit"),
    Column("loss_se", "number", "the unit in loss_unit", "standard error of the loss on the eval set", low=0),
    Column("seed", "integer", "", "seed of initialisation and data order"),
    Column("lr", "number", "", "learning rate of the stable phase (its peak)", low=0),
    Column("batch_tokens", "number", "tokens", "tokens in one optimiser step", low=0, above=True),
    Column("schedule", "text", "", "learning-rate schedule, e.g. wsd-1sqrt"),
    Column("decay_share", "number", "", "share of tokens spent in the decay", low=0, high=1),
)
BY_NAME = {column.name: column for column in COLUMNS}
DEMANDED = tuple(column.name for column in COLUMNS if column.demanded)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def near_column(wanted: Column, present: Iterable[str]) -> str | None:
    """The column in `present` that most likely holds `wanted` under another name, or None."""
    by_plain: dict[str, str] = {}
    for name in present:
        if name not in BY_NAME or name in wanted.also:
            by_plain.setdefault(_plain(name), name)
    for alias in (wanted.name, *wanted.also):
        if _plain(alias) in by_plain:
            return by_plain[_plain(alias)]
    close = difflib.get_close_matches(_plain(wanted.name), list(by_plain), n=1, cutoff=0.75)
    return by_plain[close[0]] if close else None


def columns_markdown() -> str:
    """The schema as a Markdown table, one line a column, for the documentation."""
    lines = ["| column | dtype | unit | demanded | meaning |", "|---|---|---|---|---|"]
    for column in COLUMNS:
        demanded = "yes" if column.demanded else ""
        rule = f" ({column.bounds})" if column.bounds else ""
        lines.append(
            f"| `{column.name}` | {column.dtype} | {column.unit} | {demanded} | {column.meaning}{rule} |"
        )
    return "\n".join(lines)
