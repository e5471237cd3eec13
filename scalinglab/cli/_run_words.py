"""What is said of a run on disk: its line, its details, its place in the family."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from scalinglab.units import count_text


def all_known(folder: Path) -> list[Any]:
    from scalinglab.records.store import StudyFolder
    from scalinglab.sweep.lineage import known_runs

    return known_runs(StudyFolder(folder))


def known_run(folder: Any, run_id: str) -> Any:
    """A run of a folder, or None where it was removed."""
    from scalinglab.sweep import lineage

    return lineage.known_run(folder, run_id)


def run_row(known: Any) -> dict[str, Any]:
    """The run in one line."""
    from scalinglab.sweep.lineage import last_loss, run_state

    metrics, batches = known.run.read_metrics(), known.definition.batches
    at = max([known.manifest["start"], *metrics.train])
    loss, unit = last_loss(metrics)
    sizes = _file_sizes(known.run.path)
    return {
        "run_id": known.id,
        "kind": known.kind,
        "size": known.manifest["size"],
        "recipe": known.manifest.get("recipe", ""),
        "origin": known.manifest.get("origin", "study"),
        "tokens": batches.tokens_at(at),
        "state": run_state(known.run, metrics, known.end),
        "loss": loss,
        "loss_unit": unit,
        "diverged": metrics.diverged,
        "checkpoints": len(known.run.checkpoints()),
        "disk_bytes": sum(sizes.values()),
        "checkpoint_bytes": sum(size for path, size in sizes.items() if path.parent.name == "checkpoints"),
    }


def _file_sizes(folder: Path) -> dict[Path, int]:
    """In bytes; a file that a training process has just renamed is left out."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                found[path] = path.stat().st_size
    return found


def run_details(known: Any) -> dict[str, Any]:
    """Everything about the run."""
    run, metrics = known.definition, known.run.read_metrics()
    counts = known.manifest["counts"]
    return run_row(known) | {
        "folder": str(known.run.path),
        "parent": known.manifest["parent"],
        "branches": [branch.id for branch in known.branches()],
        "fork_tokens": run.batches.tokens_at(run.start) if run.kind == "branch" else None,
        "averaged": [run.batches.tokens_at(step) for step in run.averaged],
        "end_tokens": None if known.end is None else run.batches.tokens_at(known.end),
        "params": counts["params"],
        "params_total": counts["params_total"],
        "schedule": run.schedule.name,
        "settings": run.definition(),
        "checkpoints": [run.batches.tokens_at(step) for step in known.run.checkpoints()],
        "updates": max([run.start, *metrics.train]) - run.start,
        "begins": metrics.begins,
        "seconds": metrics.seconds,
        "steps_wasted": metrics.wasted,
        "seconds_wasted": metrics.wasted_seconds,
        "reason": metrics.reason,
        "measured": [metrics.evals[step] for step in sorted(metrics.evals)],
    }


def run_leaf(known: Any, chosen: Any) -> str:
    """A run in the tree of its family."""
    row = run_row(known)
    parts = [f"[bold]{known.id}[/]" if known.id == chosen.id else known.id]
    if known.kind == "merge":
        states = known.definition.averaged
        since = known.definition.batches.tokens_at(states[0])
        parts.append(
            f"[dim]of {len(states)} states,[/] {count_text(since, 4)} [dim]to[/] {count_text(row['tokens'], 4)}"
        )
    elif known.kind == "branch":
        fork = known.definition.batches.tokens_at(known.manifest["start"])
        parts.append(f"[dim]from[/] {count_text(fork, 4)} [dim]to[/] {count_text(row['tokens'], 4)}")
    else:
        parts.append(count_text(row["tokens"], 4))
    if row["loss"] is not None:
        parts.append(f"[dim]loss[/] {row['loss']:.4f}")
    if row["recipe"]:
        parts.append(f"[dim]{row['recipe']}[/]")
    if row["state"] != "done":
        parts.append(f"[yellow]{row['state']}[/]")
    return "  ".join(parts)


def ends_text(known: Any) -> str:
    row = run_row(known)
    loss = "" if row["loss"] is None else f", {row['loss']:.4f} {row['loss_unit']}"
    return f"{count_text(row['tokens'], 4)} tokens{loss}"


def print_settings(run: Any, found: dict[str, Any]) -> None:
    """What the run was trained with, a branch's own changes of its trunk among it."""
    from scalinglab.cli._console import say

    batch = run.batches.at(run.start)
    later = "".join(f", {tokens:,} from step {step:,}" for step, tokens in run.ramp if step > run.start)
    say(
        f"N {found['params']:,} ({found['params_total']:,} in all), seed {run.seed}, learning rate {run.lr:g}, "
        f"batch {batch:,} tokens{later}"
    )
    decay = run.schedule.decay if run.kind in ("branch", "merge") else None
    if decay is not None:
        tokens = run.batches.tokens_at(decay.end) - run.batches.tokens_at(decay.start)
        told = f"decay {decay.shape} over {count_text(tokens, 4)} tokens to {decay.floor:g} of the peak"
        if run.averaged:
            told = f"average of {len(run.averaged)} states of its trunk, weighed as its updates by a {told}"
        say(told)
        beyond = (found["end_tokens"] or 0) - run.batches.tokens_at(decay.end)
        if beyond:
            say(f"then {count_text(beyond, 4)} tokens at that rate")
    elif run.kind == "full":
        say(f"schedule {run.schedule.name}")
    for step, weights in run.mixtures:
        since = "" if step == run.start else f"from {count_text(run.batches.tokens_at(step), 4)} tokens: "
        say(f"mixture {since}" + ", ".join(f"{name} {weight:g}" for name, weight in weights if weight))
