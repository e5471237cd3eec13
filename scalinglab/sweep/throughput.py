"""How fast this machine trains: kept from every sweep and every `--time`, asked before the next one.

An update costs its FLOPs and a fixed part (`graph.STEP_OVERHEAD`), so a rate in FLOP/s with that part counted in varies
slowly with size; between two measured costs it is interpolated, on logarithmic axes.
"""

import itertools
import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalinglab.corpus import cache_folder
from scalinglab.ladder import Shape
from scalinglab.ladder.definition import Run
from scalinglab.ladder.identity import digest, plain
from scalinglab.ladder.study import Training
from scalinglab.records.files import write_json
from scalinglab.records.store import StudyFolder
from scalinglab.sweep.graph import Task, step_cost

_FILE = "throughput.json"


@dataclass(frozen=True)
class Rate:
    """Speed of one worker on one shape."""

    seconds_per_step: float
    source: str
    """measured, interpolated or extrapolated."""
    compile_seconds: float = 0.0
    """Of compiled code: what a worker waits for it once; of another shape, the longest seen on this machine."""


class Throughput:
    """The measurements of this machine.

    entries: key of (shape, batch, compiled) -> {cost: FLOPs an update with its fixed part, seconds: an update,
        compiled: whether}.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]], processor: str) -> None:
        self.entries, self.processor = entries, processor

    def rate(self, shape: Shape, batch_tokens: int, compiled: bool = False, how: str = "") -> Rate | None:
        """Seconds of an update, as measured for this very shape and batch, else between its neighbours in cost.

        None where nothing of the kind was ever measured here.
        """
        own = self.entries.get(_key(shape, batch_tokens, compiled, how))
        if own is not None:
            return Rate(float(own["seconds"]), "measured", float(own.get("compile", 0.0)))
        known = sorted(
            (math.log(each["cost"]), math.log(each["cost"] / each["seconds"]))
            for each in self.entries.values()
            if bool(each["compiled"]) == compiled and each.get("how", "") == how
        )
        if not known:
            return None
        alike = [
            each
            for each in self.entries.values()
            if each["compiled"] == compiled and each.get("how", "") == how
        ]
        waits = max(float(each.get("compile", 0.0)) for each in alike)
        cost = step_cost(shape, batch_tokens)
        at = math.log(cost)
        below = max((each for each in known if each[0] <= at), default=None)
        above = min((each for each in known if each[0] >= at), default=None)
        if below is None or above is None:
            nearest = below or above
            assert nearest is not None
            return Rate(cost / math.exp(nearest[1]), "extrapolated", waits)
        share = 0.0 if above[0] == below[0] else (at - below[0]) / (above[0] - below[0])
        return Rate(cost / math.exp(below[1] + share * (above[1] - below[1])), "interpolated", waits)


def stored(cache: str | Path | None = None) -> Throughput:
    """What is known of this machine; nothing where the file is missing or damaged."""
    name = processor()
    try:
        found = json.loads((cache_folder(cache) / _FILE).read_text("utf-8"))[name]
        entries = {key: each for key, each in found.items() if each["seconds"] > 0 and each["cost"] > 0}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        entries = {}
    return Throughput(entries, name)


def store(
    measured: Iterable[tuple[Shape, int, bool, str, float]],
    cache: str | Path | None = None,
    compile_seconds: Sequence[float] = (),
) -> None:
    """Keep (shape, batch in tokens, compiled, how, seconds an update); newer ones replace older ones.

    compile_seconds: of each in order, where they were measured.
    """
    path = cache_folder(cache) / _FILE
    try:
        everything = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        everything = {}
    if not isinstance(everything, dict):
        everything = {}
    own: dict[str, Any] = dict(stored(cache).entries)
    for i, (shape, batch, compiled, how, seconds) in enumerate(measured):
        key = _key(shape, batch, compiled, how)
        entry = {"cost": step_cost(shape, batch), "seconds": seconds, "compiled": compiled, "how": how}
        if i < len(compile_seconds):
            entry["compile"] = compile_seconds[i]
        own[key] = own.get(key, {}) | entry
    write_json(path, everything | {processor(): own})


def of_tasks(done: Iterable[Task], folder: StudyFolder) -> list[tuple[Shape, int, bool, str, float]]:
    """What finished tasks tell, in the way `store` takes it: the median over their metrics' records."""
    seconds: dict[tuple[Shape, int, bool, str], list[float]] = {}
    for task in done:
        run, train = task.run, folder.run(task.run.id).read_metrics().train
        if run.ramp or task.probe:
            continue  # its records are of several batches, or of more than updates
        steps = [task.start, *sorted(step for step in train if task.start < step <= task.end)]
        own = seconds.setdefault((run.shape, run.batch_tokens, run.compiled, how_of(run)), [])
        own += [train[step]["seconds"] / (step - before) for before, step in itertools.pairwise(steps)]
    return [(*key, statistics.median(found)) for key, found in seconds.items() if found]


def processor() -> str:
    """What computes here: the processor's name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{name}, {cores()} cores"


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def how_of(run: Run | Training) -> str:
    """What else than shape, batch and compiling decides the speed; empty as long as it is the default."""
    return "" if (run.precision, run.optimiser) == ("fp32", "adamw") else f"{run.precision} {run.optimiser}"


def _key(shape: Shape, batch_tokens: int, compiled: bool, how: str = "") -> str:
    definition = plain(shape)
    del definition["name"]
    return digest([definition, batch_tokens, compiled, *([how] if how else [])])
