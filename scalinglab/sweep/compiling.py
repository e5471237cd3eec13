"""Which sizes of a study are compiled: as it says, or where compiling gains more time than it takes.

Compiled code rounds otherwise, so a choice is part of a run: it is made once, when a study begins with a size, and kept
in the study's folder.
"""

import os
import shutil
from collections.abc import Sequence

from scalinglab.errors import EnvironmentProblem
from scalinglab.ladder import Study, plan, plan_full
from scalinglab.ladder.plan import Scratch, Trunk
from scalinglab.records.store import StudyFolder, read_json
from scalinglab.sweep.throughput import Throughput, how_of

_MARGIN = 1.2
"""How many times over the time that compiling takes has to come back: speeds are measured on a busy machine."""


def compiler() -> str | None:
    """The C++ compiler that torch would call, where there is one."""
    names = [name for name in (os.environ.get("CXX"), "g++", "clang++") if name]
    return next((found for name in names if (found := shutil.which(name))), None)


def compiled_sizes(
    study: Study, folder: StudyFolder, known: Throughput, workers: int
) -> tuple[dict[str, bool], list[str]]:
    """Size -> whether it is compiled, and what the user should be told of it.

    With compile = "auto", a size is compiled where the updates left to each worker gain more than compiling takes, as
    this machine measured both (`sweep --dry-run --time`).
    """
    roots: list[Trunk | Scratch] = [*plan(study), *plan_full(study)]
    wanted = study.training.compile
    notes: list[str] = []
    found = {root.shape.name: wanted is True for root in roots}
    if wanted != "auto":
        return found, notes
    if compiler() is None:
        notes.append("Nothing is compiled: there is no C++ compiler (g++, clang++, or CXX).")
        return found | _kept(folder), notes
    how, unknown = how_of(study.training), []
    for name in found:
        own = [root for root in roots if root.shape.name == name]
        shape, batch = own[0].shape, own[0].batches.tokens
        eager, compiled = known.rate(shape, batch, False, how), known.rate(shape, batch, True, how)
        if eager is None or compiled is None:
            unknown.append(name)
            continue
        gain = _updates(own) * (eager.seconds_per_step - compiled.seconds_per_step)
        # each worker that may take a task of this size compiles for itself
        crew = min(workers, sum(1 + len(root.branches) for root in own))
        found[name] = gain > _MARGIN * compiled.compile_seconds * crew
    kept = _kept(folder)
    missing = [name for name in unknown if name not in kept]
    if missing:
        notes.append(
            f"Not compiled, as the gain was never measured here: {', '.join(missing)} "
            "(scalinglab sweep --dry-run --time measures it)."
        )
    return found | {name: choice for name, choice in kept.items() if name in found}, notes


def need_compiler() -> None:
    """Raises EnvironmentProblem where compiled runs are to be trained and there is no C++ compiler."""
    if compiler() is None:
        raise EnvironmentProblem(
            "runs of this study are compiled, which needs a C++ compiler, and none was found; install g++, or take "
            "compile = false and another folder"
        )


def _kept(folder: StudyFolder) -> dict[str, bool]:
    """What was chosen when the study began."""
    return dict(read_json(folder.compiled_path)) if folder.compiled_path.exists() and folder.runs() else {}


def _updates(roots: Sequence[Trunk | Scratch]) -> int:
    return sum(root.steps + sum(branch.steps for branch in root.branches) for root in roots)
