"""`scalinglab sweep --dry-run`: what would be trained, and what it takes, before anything runs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from scalinglab.cli._console import console, note, print_json, say
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.ladder import read_study
from scalinglab.records.store import StudyFolder
from scalinglab.sweep.forecast import Forecast, forecast, timed_runs
from scalinglab.sweep.text import check_sources
from scalinglab.sweep.throughput import cores, stored
from scalinglab.units import byte_text, count_text, duration_text


def dry_run(
    study_path: Path, out: Path, workers: int | None, measure: bool, as_json: bool, tail: bool = True
) -> None:
    """Print the forecast of a study; measure its sizes' speed first where asked to.

    tail: say at the end how to begin.
    """
    study, folder = read_study(study_path), StudyFolder(out)
    check_sources(study, study_path)
    if measure:
        from scalinglab.extras import need_training
        from scalinglab.sweep.timing import time_runs

        need_training()
        console.quiet = as_json
        with steps("Measuring") as progress:
            time_runs(timed_runs(study, folder), workers or cores(), progress)
        console.quiet = False
    found = forecast(study, folder, stored(), workers)
    if as_json:
        print_json(_json(found))
        return
    _print(found, study_path, out, tail)


def _print(found: Forecast, study_path: Path, out: Path, tail: bool) -> None:
    merges = any(size.merges for size in found.sizes)
    caption = "Runs: trunks + decay branches + from scratch. Updates and tokens: of all of them."
    if merges:
        caption += " Merges average states of their trunk: they train nothing, and keep nothing on disk."
    trained = table(
        found.title or study_path.stem, "size", "N", "N in all", "runs", *(["merges"] if merges else []), "updates",
        "tokens", "horizons", caption=caption,
    )  # fmt: skip
    for size in found.sizes:
        ends, spent = size.horizons, size.cost.ladder
        span = "–".join(count_text(end) for end in dict.fromkeys((ends[0], ends[-1]))) if ends else ""
        runs = f"{size.trunks} + {size.branches} + {size.full}"
        counts = [count_text(size.params), count_text(size.params_total), runs]
        counts += [str(size.merges)] if merges else []
        trained.add_row(size.size, *counts, f"{spent.steps:,}", count_text(spent.tokens), span)
    console.print(trained)
    cost = table(
        "Cost in FLOPs (exact), memory of a worker, disk of all checkpoints, time",
        "size", "trunks", "branches", "scratch", "saved", "memory", "disk", "one core",
        caption="Scratch: the same points, each trained alone. Memory: beside the 0.3 GB or so that Python and torch "
        "take; in the last row of all workers.",
    )  # fmt: skip
    for size in found.sizes:
        took = "?" if size.core_seconds is None else duration_text(size.core_seconds)
        guess = "" if size.rate is None or size.rate.source == "measured" else "~"
        needs = byte_text(size.memory_bytes), byte_text(size.disk_bytes)
        cost.add_row(*_flops(size.size, size.cost), *needs, guess + took)
    whole = "?" if found.core_seconds is None else duration_text(found.core_seconds)
    needs = byte_text(found.memory_bytes), byte_text(found.disk_bytes)
    cost.add_row(*_flops("all", found.cost), *needs, whole, style="bold")
    console.print(cost)
    unmeasured = [size.size for size in found.sizes if size.rate is None or size.rate.source != "measured"]
    done = found.tasks - found.outstanding
    if done:
        say(f"{done} of {found.tasks} parts stand already in {out}; the time is that of the rest.")
    if found.seconds is None:
        say("How long it takes here is not known: nothing was ever measured on this machine.")
    else:
        count = f"{found.workers} workers" if found.workers > 1 else "one worker"
        say(f"About {duration_text(found.seconds)} with {count} on {found.processor}.")
    if unmeasured:
        sizes = (
            ""
            if found.seconds is None
            else f"; ~ is guessed from other sizes, as for {', '.join(unmeasured)}"
        )
        note(f"scalinglab sweep {study_path} --dry-run --time measures each size for two seconds{sizes}.")
    if tail:
        say("Nothing was trained. Without --dry-run the study begins.")


def _flops(name: str, cost: Any) -> tuple[str, ...]:
    saved = f"{cost.ratio_exact:.2f}x" if cost.ladder.flops else ""
    parts = (cost.trunk, cost.branch, cost.scratch)
    return (name, *(f"{part.flops_exact:.2e}".replace("e+", "e") for part in parts), saved)


def _json(found: Forecast) -> dict[str, Any]:
    def plain(cost: Any) -> dict[str, Any]:
        return {"ratio": cost.ratio, "ratio_exact": cost.ratio_exact} | cost.flat()

    return {
        "title": found.title,
        "sizes": [
            asdict(size) | {"horizons": list(size.horizons), "cost": plain(size.cost)} for size in found.sizes
        ],
        "cost": plain(found.cost),
        "memory_bytes": found.memory_bytes,
        "disk_bytes": found.disk_bytes,
        "workers": found.workers,
        "tasks": found.tasks,
        "outstanding": found.outstanding,
        "seconds": found.seconds,
        "core_seconds": found.core_seconds,
        "processor": found.processor,
    }
