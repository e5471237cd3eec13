"""The run table of a study, derived from its manifests and metrics alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalinglab.records.files import write_atomic
from scalinglab.records.measured import TOKEN, loss_unit, measured_loss
from scalinglab.records.store import StudyFolder

if TYPE_CHECKING:
    import pandas as pd

AVERAGE = "average"
"""Eval set: the plain mean over a study's held-out sets, as in MiniCPM's fits."""


@dataclass(frozen=True)
class Derived:
    """A run table and what was met on the way to it."""

    table: pd.DataFrame
    notes: tuple[str, ...]


def derive_table(folder: StudyFolder, write: bool = True) -> Derived:
    """One row per measured point x eval set; a trunk's points are undecayed and marked `trunk`.

    What lies beyond a divergence is left out and named in the notes, as are torn lines. Raises InputError when a
    manifest cannot be read.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    notes = []
    known = [(run, run.manifest(), run.read_metrics()) for run in folder.runs()]
    spoilt = {
        manifest["id"]: metrics.diverged for _, manifest, metrics in known if metrics.diverged is not None
    }
    for run, manifest, metrics in known:
        if metrics.dropped:
            count = f"{metrics.dropped} torn line{'s' * (metrics.dropped > 1)}"
            notes.append(f"{run.metrics_path}: {count} dropped; no finished record is lost")
        if metrics.diverged is not None:
            notes.append(
                f"{manifest['id']} diverged at step {metrics.diverged} ({metrics.reason}) and is left out from there"
            )
        # a loss that has risen to stay is found out some updates later: a branch may have begun in between
        if manifest["parent"] in spoilt and manifest["start"] >= spoilt[manifest["parent"]]:
            notes.append(f"{manifest['id']} is left out: its trunk had diverged where it forks")
            continue
        for step in sorted(metrics.evals):
            if metrics.diverged is not None and step >= metrics.diverged:
                continue
            if manifest["kind"] == "branch" and step < manifest["end"]:
                continue
            rows += _rows(manifest, metrics.evals[step])
    table = pd.DataFrame(rows)
    if len(table):
        table = _varied(table, {manifest["id"]: manifest["definition"] for _, manifest, _ in known})
        table = table.sort_values(["params", "seed", "kind", "tokens", "eval_set"], kind="stable")
        table = table.reset_index(drop=True)
    if write and len(table):
        write_atomic(folder.table_path, table.to_csv(index=False))
    return Derived(table, tuple(notes))


VARIED: dict[str, Any] = {
    "parametrisation": "minicpm",
    "width_base": None,
    "scale_emb": 12.0,
    "scale_depth": 1.4,
    "init_std": 0.1,
    "embedding_as": "vector",
    "optimiser": "adamw",
    "weight_decay": None,
    "beta1": None,
    "beta2": None,
    "clip": None,
    "precision": "fp32",
    "compiled": False,
    "batch_ramp": "",
}
"""Settings that are a column where runs differ in them, and what a definition that leaves one out means."""


def _varied(table: pd.DataFrame, definitions: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The table with a column for every further setting that its runs do not share."""
    flat = {
        name: given
        | given.get("scaling", {})
        | dict(zip(("beta1", "beta2"), given["betas"], strict=True))
        | {"batch_ramp": ", ".join(f"{tokens} from step {step}" for step, tokens in given.get("ramp", ()))}
        for name, given in definitions.items()
    }
    for key, otherwise in VARIED.items():
        values = table["run_id"].map({name: given.get(key, otherwise) for name, given in flat.items()})
        if values.nunique(dropna=False) > 1:
            table[key] = values
    return table


def _rows(manifest: dict[str, Any], record: dict[str, Any]) -> list[dict[str, Any]]:
    counts, definition = manifest["counts"], manifest["definition"]
    schedule, decay_share = _schedule(manifest, record)
    tokens = float(record["tokens"])
    common = {
        "run_id": manifest["id"],
        "trunk_id": manifest["parent"] or manifest["id"],
        "kind": "after" if _beyond(manifest, record) else manifest["kind"],
        "size": manifest["size"],
        "params": float(counts["params"]),
        "params_total": float(counts["params_total"]),
        "tokens": tokens,
        "unique_tokens": float(record["unique_tokens"]),
        "flops_6nd": 6.0 * counts["params"] * tokens,
        "flops_exact": counts["flops_per_token"] * tokens,
    }
    settings = {
        "seed": definition["seed"],
        "lr": definition["lr"],
        "batch_tokens": record.get("batch_tokens", definition["batch_tokens"]),
        "schedule": schedule,
        "decay_share": decay_share,
        "recipe": record.get("recipe") or manifest.get("recipe") or schedule,
        "max_epochs": max(record["epochs"].values()),
        "repeated": max(record["epochs"].values()) > 1,
    }
    measured = record["sets"]
    unit = loss_unit(measured.values())
    sets = {name: measured_loss(found, unit) for name, found in measured.items()}
    sizes = {name: (found["tokens"], found.get("bytes", found["tokens"])) for name, found in measured.items()}
    if len(sets) > 1:
        loss = sum(loss for loss, _ in sets.values()) / len(sets)
        sets[AVERAGE] = (loss, math.sqrt(sum(se**2 for _, se in sets.values())) / len(sets))
        sizes[AVERAGE] = (
            sum(tokens for tokens, _ in sizes.values()),
            sum(size for _, size in sizes.values()),
        )
    tokens_are_bytes = all(tokens == size for tokens, size in sizes.values())
    return [
        {**common, "eval_set": name, "loss": loss, "loss_unit": unit, "loss_se": se, **settings}
        | ({} if tokens_are_bytes or unit == TOKEN else {"bytes_per_token": sizes[name][1] / sizes[name][0]})
        for name, (loss, se) in sets.items()
    ]


def _beyond(manifest: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether a branch had been trained on beyond its decay."""
    return manifest["kind"] == "branch" and record["step"] > manifest["end"]


def _schedule(manifest: dict[str, Any], record: dict[str, Any]) -> tuple[str, float]:
    """Its name, and the share of tokens spent in the decay up to a measurement."""
    if "schedule_name" in manifest:
        return manifest["schedule_name"], float(record["decay_share"])
    decay = manifest["definition"]["schedule"]["decay"]  # records of the first version
    if not decay:
        return "constant", 0.0
    return f"wsd-{decay['shape']}", decay["steps"] / (decay["start"] + decay["steps"])
