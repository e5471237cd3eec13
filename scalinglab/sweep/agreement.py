"""What may go on in a folder that holds runs already: the same maths, the same text, the same runs or more."""

from collections.abc import Iterable

from scalinglab.errors import StudyConflict
from scalinglab.ladder import Study, differences, read_study
from scalinglab.ladder.definition import MATHS, MATHS_CHANGES
from scalinglab.records.store import StudyFolder, read_json


def check_maths(folder: StudyFolder) -> None:
    """Raises StudyConflict when the runs were trained by code that computes otherwise."""
    for run in folder.runs()[:1]:
        maths = run.manifest()["definition"]["maths"]
        if maths == MATHS:
            continue
        older, newer = sorted((maths, MATHS))
        changes = [MATHS_CHANGES.get(n, "unknown to this version") for n in range(older + 1, newer + 1)]
        raise StudyConflict(
            f"{folder.path} was trained by a version whose training computes otherwise (maths {maths}, now {MATHS}: "
            f"{'; '.join(changes)}), and nothing was changed there. Take another folder with --out"
        )


def check_data(study: Study, folder: StudyFolder) -> None:
    """Raises StudyConflict when the study names other text than the folder's; opens none."""
    if folder.study_path.exists():
        changed = differences(read_study(folder.study_path), study)
        if any(line.startswith("data.") for line in changed) and folder.runs():
            raise _conflict(folder, changed)


def check_text(fingerprint: str, folder: StudyFolder) -> None:
    """Raises StudyConflict when the folder's runs were trained on other text."""
    if not (folder.data_path.exists() and folder.runs()):
        return
    begun_with = read_json(folder.data_path)["fingerprint"]
    if begun_with != fingerprint:
        raise StudyConflict(
            f"{folder.path} was trained on other text (fingerprint {begun_with[:12]}, now "
            f"{fingerprint[:12]}), and nothing was changed there. Take another folder with --out"
        )


def check_runs(study: Study, planned: Iterable[str], folder: StudyFolder) -> None:
    """A study may grow: what was trained for it must still be part of it.

    planned: ids of the runs that the study asks for. Raises StudyConflict, with what its file differs in, when the
    folder holds another run that a study file asked for.
    """
    if not folder.study_path.exists():
        return
    changed = differences(read_study(folder.study_path), study)
    if not changed:
        return
    wanted = set(planned)
    for run in folder.runs():
        if run.path.name not in wanted and run.manifest().get("origin", "study") == "study":
            raise _conflict(folder, changed)


def _conflict(folder: StudyFolder, changed: list[str]) -> StudyConflict:
    return StudyConflict(
        f"{folder.path} holds runs that this study does not ask for, and nothing was changed there. It "
        f"differs in: {'; '.join(changed)}. Sizes, seeds, horizons, branches, variants and runs from "
        "scratch may be added; for anything else take another folder with --out, or remove that one"
    )
