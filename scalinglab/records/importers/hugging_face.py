"""The Trainer of Hugging Face transformers: `trainer_state.json` of one run, or of all runs below a folder.

A run's folder holds `checkpoint-N` folders and, after `save_state`, a file of its own; the one that went furthest is
read. What lies beside it tells the size: `model.safetensors` begins with the shapes of all tensors, so parameters are
counted without torch. Otherwise the Trainer's own count of FLOPs does: `total_flos` is 6·N·D with N outside the
embeddings and D the tokens seen (`PreTrainedModel.floating_point_ops`).
"""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path
from typing import Any

from scalinglab.errors import InputError
from scalinglab.records.importers._map import Entry
from scalinglab.records.importers._source import (
    Logged,
    Source,
    bytes_of,
    files_named,
    from_runs,
    logged_number,
)

_FILE = "trainer_state.json"
# a mean over the whole training, or of speed: no loss of the end
_NOT_METRICS = ("train_loss", "runtime", "per_second", "total_flos")
_EMBEDDING = re.compile(r"(^|\.)(wte|wpe|embed\w*|\w*embeddings?|lm_head|embed_out|output_projection)(\.|$)")


def sniff(path: Path) -> bool:
    """A `trainer_state.json`, under any name, or a folder with some below it."""
    if path.is_dir():
        return next(path.rglob(_FILE), None) is not None
    return path.suffix == ".json" and b'"log_history"' in bytes_of(path)


def read(path: Path) -> Source:
    """One run, or all below a folder. Raises InputError where a file is no trainer state."""
    furthest: dict[Path, tuple[int, Path, dict[str, Any]]] = {}
    for file in files_named(path, _FILE) if path.is_dir() else [path]:
        state = _state(file)
        run = file.parent.parent if re.fullmatch(r"checkpoint-\d+", file.parent.name) else file.parent
        step = int(state.get("global_step") or 0)
        if run not in furthest or step >= furthest[run][0]:
            furthest[run] = (step, file, state)
    runs, files, counted = [], [], True
    for run in sorted(furthest):
        _, file, state = furthest[run]
        read_too, counts = _counts(run, file)
        files += [file, *read_too]
        counted &= bool(counts)
        runs.append(_logged(run, path, state, counts))
    source = from_runs(str(path), runs, files, "run of the Trainer")
    source.known = _known(source, counted)
    own = ("params", "params_total", "params_trainer", "params_from_flos", "flos_per_step", "tokens_per_step")
    source.constant = tuple(name for name in source.constant if name not in own)
    return source


def _state(file: Path) -> dict[str, Any]:
    try:
        state = json.loads(bytes_of(file))
        log = state["log_history"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is no trainer state: it needs the key log_history; give the file that Trainer.save_state wrote."
        ) from error
    if not isinstance(log, list) or not all(isinstance(line, dict) for line in log):
        raise InputError(f"{file}: log_history is no list of records; was it edited?")
    return dict(state)


def _logged(run: Path, path: Path, state: dict[str, Any], counts: dict[str, int]) -> Logged:
    points: dict[int, dict[str, Any]] = {}
    for line in state["log_history"]:
        point = points.setdefault(int(line.get("step") or 0), {})
        for key, value in line.items():
            if key != "step" and not any(word in key for word in _NOT_METRICS):
                number = logged_number(value)
                if number is not None:
                    point[key] = number
    settings: dict[str, Any] = dict(counts)
    steps, flos = float(state.get("global_step") or 0), float(state.get("total_flos") or 0)
    if flos and steps:
        settings["flos_per_step"] = flos / steps
    seen = float(state.get("num_input_tokens_seen") or 0)
    if seen and steps:
        settings["tokens_per_step"] = seen / steps
    elif flos and steps and counts.get("params_trainer"):
        settings["tokens_per_step"] = flos / steps / (6 * counts["params_trainer"])
    if seen and flos and not counts:
        settings["params_from_flos"] = flos / (6 * seen)
    root = path if path.is_dir() else run
    name = (
        run.relative_to(root).as_posix() if run != root and run.is_relative_to(root) else run.resolve().name
    )
    return Logged(name, settings, points)


def _counts(run: Path, file: Path) -> tuple[list[Path], dict[str, int]]:
    """Parameters by the shapes in the safetensors beside the state, or in the run's last checkpoint."""
    checkpoints = sorted(run.glob("checkpoint-*"), key=lambda folder: (len(folder.name), folder.name))
    for folder in (file.parent, run, *reversed(checkpoints)):
        shards = sorted(folder.glob("model*.safetensors"))
        if shards:
            total = embedding = table = 0
            for shard in shards:
                for name, size in _tensors(shard):
                    total += size
                    if _EMBEDDING.search(name):
                        embedding += size
                        table += 0 if re.search(r"lm_head|embed_out|output_projection", name) else size
            counts = {"params": total - embedding, "params_total": total, "params_trainer": total - table}
            return shards, counts
    return [], {}


def _tensors(path: Path) -> list[tuple[str, int]]:
    """(name, elements) of each tensor: the file begins with the length of a JSON header, and the header."""
    with path.open("rb") as handle:
        start = handle.read(8)
        try:
            header = json.loads(handle.read(struct.unpack("<Q", start)[0]))
            return [
                (name, math.prod(about["shape"])) for name, about in header.items() if name != "__metadata__"
            ]
        except (struct.error, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
            raise InputError(
                f"{path} is damaged or no safetensors file; delete it or copy it again."
            ) from error


def _known(source: Source, counted: bool) -> dict[str, Entry]:
    columns, known = set(source.frame.columns), {}
    if counted:
        known["params"] = Entry(
            source="params", reason="counted in model.safetensors, embeddings and head left out"
        )
        known["params_total"] = Entry(source="params_total", reason="counted in model.safetensors")
    elif "params_from_flos" in columns:
        known["params"] = Entry(
            source="params_from_flos",
            reason="total_flos / (6 · tokens): the Trainer counts N without embeddings",
        )
    if "num_input_tokens_seen" in columns and source.frame["num_input_tokens_seen"].notna().all():
        known["tokens"] = Entry(
            source="num_input_tokens_seen", reason="the Trainer's own count, padding in it"
        )
    elif "tokens_per_step" in columns:
        known["tokens"] = Entry(
            product=("step", "tokens_per_step"),
            reason="steps × the Trainer's tokens a step at the end of the run",
        )
    elif "flos_per_step" in columns:
        known["tokens"] = Entry(
            product=("step", "flos_per_step"), unit="flops", reason="the Trainer's total_flos is 6·N·D"
        )
    if "learning_rate" in columns:
        known["lr"] = Entry(source="learning_rate", reason="as logged; the highest of the run is its peak")
    return known
