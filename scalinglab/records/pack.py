"""A study's records in one small text file, to keep and to share: every measurement, and its curves thinned.

runs/<study>/records.jsonl holds a run a line: its manifest as it is, all its measurements, and of its training records
up to 120 (400 of a probed run), evenly spread, the seconds of those left out added to the next, column by column.
From it the run folders are laid out again where they are missing, so that a table is derived, and a study gone on with,
as from the runs themselves; only states (checkpoints) and what interruptions wasted are not in it.
"""

import json
from collections.abc import Iterator
from typing import Any

from scalinglab.errors import InputError
from scalinglab.records.files import write_atomic
from scalinglab.records.store import Metrics, RunFolder, StudyFolder

CURVE = {"trunk": 120, "full": 120, "branch": 12, "merge": 0}
"""Training records kept of a run of each kind."""
PROBED = {"trunk": 400, "full": 400, "branch": 60, "merge": 0}
"""The same of a probed run, whose records are what it was trained for."""
_DIGITS = 6  # of a thinned curve; measurements keep all of theirs


def pack(folder: StudyFolder) -> int:
    """Write the pack of everything in the folder; returns how many runs it holds."""
    unpack(folder)
    runs = folder.runs()
    lines = (json.dumps(_packed(run), separators=(",", ":"), ensure_ascii=False) for run in runs)
    write_atomic(folder.pack_path, "".join(f"{line}\n" for line in lines))
    return len(runs)


def unpack(folder: StudyFolder) -> int:
    """Lay out the runs of the pack that have no folder; returns how many. Without a pack there is nothing to do.

    Raises InputError naming the line that cannot be read.
    """
    if not folder.pack_path.exists():
        return 0
    made = 0
    for number, line in enumerate(folder.pack_path.read_text("utf-8").splitlines(), 1):
        try:
            found = json.loads(line)
            run = folder.run(found["manifest"]["id"])
            if (run.path / "manifest.json").exists():
                continue
            train = [
                dict(zip(found["train"], row, strict=True))
                for row in zip(*found["train"].values(), strict=True)
            ]
            every = sorted([*found["metrics"], *train], key=_place)
            records = "".join(json.dumps(record) + "\n" for record in every)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder.pack_path}, line {number}: cannot be read ({error}); restore the file"
            ) from None
        # the manifest last: with it the run stands
        write_atomic(run.metrics_path, records)
        run.create(found["manifest"])
        made += 1
    return made


def _packed(run: RunFolder) -> dict[str, Any]:
    metrics, manifest = run.read_metrics(), run.manifest()
    records = [*_last_begin(run), *metrics.evals.values()]
    if metrics.diverged is not None:
        records.append({"kind": "diverged", "step": metrics.diverged, "reason": metrics.reason})
    train = list(_thinned(metrics, (PROBED if metrics.probed else CURVE)[manifest["kind"]]))
    keys = dict.fromkeys(key for record in train for key in record)
    columns = {key: [record.get(key) for record in train] for key in keys}
    return {"manifest": manifest, "metrics": sorted(records, key=_place), "train": columns}


def _place(record: dict[str, Any]) -> tuple[int, int]:
    """The order of a run's records: by step, and at one step as they are written."""
    return record["step"], ("begin", "train", "eval", "diverged").index(record["kind"])


def _last_begin(run: RunFolder) -> list[dict[str, Any]]:
    """What the run was computed by, last."""
    lines = run.metrics_path.read_text("utf-8").splitlines() if run.metrics_path.exists() else []
    begins = [line for line in lines if line.startswith('{"kind": "begin"') and line.endswith("}")]
    return [json.loads(begins[-1])] if begins else []


def _thinned(metrics: Metrics, most: int) -> Iterator[dict[str, Any]]:
    """The first record, the last, and some between; what is kept of a file that is thin already is all of it."""
    steps = sorted(metrics.train)
    last = len(steps) - 1
    kept = {steps[round(i * last / (most - 1))] for i in range(most)} if last >= most else set(steps)
    seconds = 0.0
    for step in steps:
        record = metrics.train[step]
        seconds += float(record.get("seconds", 0.0))
        if step in kept:
            yield {key: _short(value) for key, value in (record | {"seconds": seconds}).items()}
            seconds = 0.0


def _short(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
