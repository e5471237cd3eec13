"""The run table of a study, derived from its manifests and metrics alone."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalinglab.records.files import write_atomic
from scalinglab.records.store import RunFolder, StudyFolder

if TYPE_CHECKING:
    import pandas as pd

AVERAGE = "average"
"""Eval set: the plain mean over a study's held-out sets, as in MiniCPM's fits."""


@dataclass(frozen=True)
class Derived:
    """A run table and what was met on the way to it."""

    table: pd.DataFrame
    notes: tuple[str, ...]


def derive_table(folder: StudyFolder, write: bool = True, only: Collection[str] | None = None) -> Derived:
    """One row per measured point x eval set; a trunk's points are undecayed and marked `trunk`.

    only: ids of the runs to take, by default all there are. What lies beyond a divergence is left out and
    named in the notes, as are torn lines. Raises InputError when a manifest cannot be read.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    notes = []
    for run in folder.runs():
        if only is not None and run.path.name not in only:
            continue
        manifest, metrics = run.manifest(), run.read_metrics()
        if metrics.dropped:
            count = f"{metrics.dropped} torn line{'s' * (metrics.dropped > 1)}"
            notes.append(f"{run.metrics_path}: {count} dropped; no finished record is lost")
        if metrics.diverged is not None:
            notes.append(f"{manifest['id']} diverged at step {metrics.diverged} and is left out from there")
        for step in sorted(metrics.evals):
            if metrics.diverged is not None and step >= metrics.diverged:
                continue
            if manifest["kind"] == "branch" and step != manifest["end"]:
                continue
            rows += _rows(manifest, metrics.evals[step])
    table = pd.DataFrame(rows)
    if len(table):
        table = table.sort_values(["params", "seed", "kind", "tokens", "eval_set"], kind="stable")
        table = table.reset_index(drop=True)
    if write and len(table):
        write_atomic(folder.table_path, table.to_csv(index=False))
    return Derived(table, tuple(notes))


def _rows(manifest: dict[str, Any], record: dict[str, Any]) -> list[dict[str, Any]]:
    counts, definition = manifest["counts"], manifest["definition"]
    decay = definition["schedule"]["decay"]
    tokens = float(record["tokens"])
    common = {
        "run_id": manifest["id"],
        "trunk_id": manifest["parent"] or manifest["id"],
        "kind": manifest["kind"],
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
        "batch_tokens": definition["batch_tokens"],
        "schedule": f"wsd-{decay['shape']}" if decay else "constant",
        "decay_share": decay["steps"] / (decay["start"] + decay["steps"]) if decay else 0.0,
        "max_epochs": max(record["epochs"].values()),
    }
    sets = {name: (found["loss"], found["se"]) for name, found in record["sets"].items()}
    if len(sets) > 1:
        loss = sum(loss for loss, _ in sets.values()) / len(sets)
        sets[AVERAGE] = (loss, math.sqrt(sum(se**2 for _, se in sets.values())) / len(sets))
    return [
        {**common, "eval_set": name, "loss": loss, "loss_unit": "nats/byte", "loss_se": se, **settings}
        for name, (loss, se) in sets.items()
    ]


def trained_steps(run: RunFolder) -> int:
    """Updates of a run that its metrics show, each counted once."""
    steps = run.read_metrics().train
    return max(steps) - int(run.manifest()["start"]) if steps else 0
