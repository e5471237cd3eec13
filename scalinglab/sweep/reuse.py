"""Runs of other studies that this one asks for too: equal definitions compute equal bits, so they are taken over."""

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
    recipes = {task.run.id: task.recipe for task in prepared.tasks}
    taken: dict[str, int] = {}
    for other in others:
        if other.path.resolve() == folder.path.resolve():
            continue
        unpack(other)
        for run_id, recipe in recipes.items():
            theirs, ours = other.run(run_id), folder.run(run_id)
            if (
                (ours.path / "manifest.json").exists()
                or not (theirs.path / "manifest.json").exists()
                or theirs.busy
                or (prepared.study.probe is not None and not theirs.read_metrics().probed)
            ):
                continue
            _copy(theirs, ours, recipe)
            taken[other.path.name] = taken.get(other.path.name, 0) + 1
    if taken:
        with folder.locked():
            write_study(folder, study_path, prepared)
        prepared = replace(prepared, todo=outstanding(prepared.tasks, folder))
    return prepared, taken


def _copy(theirs: RunFolder, ours: RunFolder, recipe: str) -> None:
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
        write_atomic(ours.metrics_path, theirs.metrics_path.read_bytes())
    ours.create(theirs.manifest() | {"recipe": recipe})
