"""Training curves of a study: every trunk's losses as one tidy frame, a measured point a row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalinglab.errors import InputError
from scalinglab.records.derive import AVERAGE
from scalinglab.records.measured import BYTE, TOKEN, loss_unit, measured_loss
from scalinglab.records.store import StudyFolder

if TYPE_CHECKING:
    import pandas as pd

TRAINING = "training"
"""Eval set: the training loss itself, recorded every few steps, in place of a held-out text."""


def read_trunk_curves(study: str | os.PathLike[str], eval_set: str = TRAINING) -> pd.DataFrame:
    """The curves of all trunks in a study's folder, one row a measured point, in order of (params, run, tokens).

    eval_set: "training" (dense, noisy), the name of a held-out set, or "average" over them (where a trunk was
        measured, at its forks).
    Returns a run table of kind `trunk`: run_id, kind, size, params, params_total, tokens, flops_6nd, flops_exact,
    eval_set, loss, loss_unit, seed, lr (of that step, where it is known), batch_tokens, schedule. What lies beyond a
    divergence is left out.
    Raises InputError for a folder without trunks, or where no trunk was measured on that set.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    trunks, measured = 0, set()
    for run in StudyFolder(Path(study)).runs():
        manifest = run.manifest()
        if manifest["kind"] != "trunk":
            continue
        trunks += 1
        metrics, counts, definition = run.read_metrics(), manifest["counts"], manifest["definition"]
        for record in metrics.evals.values():
            measured |= set(record["sets"])
        unit = _unit(manifest, metrics, eval_set)
        for step, tokens, loss, lr in _points(metrics, eval_set, unit):
            if metrics.diverged is not None and step >= metrics.diverged:
                continue
            rows.append(
                {
                    "run_id": manifest["id"],
                    "kind": "trunk",
                    "size": manifest["size"],
                    "params": float(counts["params"]),
                    "params_total": float(counts["params_total"]),
                    "tokens": tokens,
                    "flops_6nd": 6.0 * counts["params"] * tokens,
                    "flops_exact": counts["flops_per_token"] * tokens,
                    "eval_set": eval_set,
                    "loss": loss,
                    "loss_unit": unit,
                    "seed": definition["seed"],
                    "lr": lr,
                    "batch_tokens": definition["batch_tokens"],
                    "schedule": "constant",
                }
            )
    if not trunks:
        raise InputError(f"{study} holds no trained trunk; is it a study folder?")
    if not rows:
        names = [TRAINING, *sorted(measured), *([AVERAGE] if len(measured) > 1 else [])]
        raise InputError(f'no trunk of {study} has a loss on "{eval_set}"; there are {", ".join(names)}.')
    frame = pd.DataFrame(rows).sort_values(["params", "run_id", "tokens"], kind="stable", ignore_index=True)
    frame.attrs["source"] = str(study)
    return frame


def _unit(manifest: Any, metrics: Any, eval_set: str) -> str:
    """What the losses are measured in: training counts tokens, held-out sets bytes wherever they are known."""
    sets = [found for record in metrics.evals.values() for found in record["sets"].values()]
    if eval_set == TRAINING:
        sizes = [found.get("bytes", found["tokens"]) == found["tokens"] for found in sets]
        bytes_ = all(sizes) if sizes else manifest["definition"]["shape"]["vocab"] == 256
        return BYTE if bytes_ else TOKEN
    return loss_unit(sets)


def _points(metrics: Any, eval_set: str, unit: str) -> list[tuple[int, float, float, float]]:
    """(step, tokens, loss, lr) of one run, in order of steps; lr is NaN where it was not recorded."""
    train = metrics.train
    if eval_set == TRAINING:
        return [
            (s, float(train[s]["tokens"]), float(train[s]["loss"]), train[s]["lr"]) for s in sorted(train)
        ]
    found = []
    for step in sorted(metrics.evals):
        record = metrics.evals[step]
        losses = [
            measured_loss(each, unit)[0]
            for name, each in record["sets"].items()
            if eval_set in (name, AVERAGE)
        ]
        if losses:
            lr = train[step]["lr"] if step in train else float("nan")
            found.append((step, float(record["tokens"]), sum(losses) / len(losses), lr))
    return found
