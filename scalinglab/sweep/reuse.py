"""Runs of other studies that this one asks for too: equal definitions compute equal bits, so they are taken over."""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from scalinglab.records.files import write_atomic, write_through
from scalinglab.records.pack import unpack
from scalinglab.records.store import RunFolder, StudyFolder
from scalinglab.sweep.graph import outstanding
from scalinglab.sweep.study_run import Prepared, write_study


def reuse(
    prepared: Prepared, study_path: Path, others: Iterable[StudyFolder]
) -> tuple[Prepared, dict[str, int]]:
    """Copy runs that stand in other studies' folders under the same id; their states too, where they are kept.

    What a run lacks here, a horizon for example, is trained on from there as in a study that has grown. Runs that are
    being trained are left alone, as are those without a probe where this study has one. Returns the study with what is
    left to do, and folder name -> runs taken over.
    """
    folder = prepared.folder
    recipes: dict[str, dict[int, str]] = {}  # run -> end -> what this study calls it
    for task in prepared.tasks:
        recipes.setdefault(task.run.id, {})[task.end] = task.recipe
    taken: dict[str, int] = {}
    for other in others:
        if other.path.resolve() == folder.path.resolve():
            continue
        unpack(other)
        for run_id, ends in recipes.items():
            theirs, ours = other.run(run_id), folder.run(run_id)
            if (
                (ours.path / "manifest.json").exists()
                or not (theirs.path / "manifest.json").exists()
                or theirs.busy
                or (
                    prepared.study.probe is not None and not theirs.read_metrics().probed
                )  # merges are measured anew
            ):
                continue
            _copy(theirs, ours, ends)
            taken[other.path.name] = taken.get(other.path.name, 0) + 1
    if taken:
        with folder.locked():
            write_study(folder, study_path, prepared)
        prepared = replace(prepared, todo=outstanding(prepared.tasks, folder))
    return prepared, taken


def _copy(theirs: RunFolder, ours: RunFolder, ends: dict[int, str]) -> None:
    """The states and the records, measurements under this study's names; of a run from scratch its own ends alone."""
    for step in theirs.checkpoints():
        path = ours.checkpoint_path(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(theirs.checkpoint_path(step), path)
        except FileExistsError:
            pass
        except OSError:  # another disk, which cannot share the file
            write_through(path, partial(shutil.copyfile, theirs.checkpoint_path(step)))
    if theirs.metrics_path.exists():
        whole = theirs.manifest()["kind"] == "full"
        lines = theirs.metrics_path.read_text("utf-8").splitlines()
        own = [_renamed(line, ends) if whole else line for line in lines]
        write_atomic(ours.metrics_path, "".join(f"{line}\n" for line in own if line))
    ours.create(theirs.manifest() | {"recipe": next(iter(ends.values()))})


def _renamed(line: str, ends: dict[int, str]) -> str:
    """A line of a run from scratch; "" of a measurement that this study does not ask for."""
    try:
        record = json.loads(line)
    except ValueError:
        return ""  # torn
    if record.get("kind") != "eval":
        return line
    return json.dumps(record | {"recipe": ends[record["step"]]}) if record["step"] in ends else ""
