"""The study that follows a search: the one that asked for it, and again with the constants that it found."""

from collections.abc import Mapping
from pathlib import Path

from scalinglab.analysis.found_constants import found_constants, rounded
from scalinglab.errors import InputError
from scalinglab.records.files import write_atomic
from scalinglab.records.store import StudyFolder
from scalinglab.records.trials import Searched, read_search

_MARK = "\n# Found by the search of this study, from here on.\n"


def variants_text(constants: Mapping[str, float]) -> str:
    """The found constants as a study file takes them."""
    lines = (f"{name} = {float(value)!r}\n" for name, value in constants.items())
    return "[[variants]]\n" + "".join(lines)


def write_found_study(study_path: Path, folder: StudyFolder, found: Searched) -> Path:
    """Write the study with its found constants into the folder, beside what the sweep writes there, and return where.

    Raises InputError when the search finished too few trials to tell.
    """
    constants = rounded(found_constants(found.frame(), list(found.searched)))
    path = folder.path / "found.toml"
    write_atomic(path, study_path.read_text("utf-8") + _MARK + variants_text(constants))
    return path


def found_study_path(study_path: Path, folder: StudyFolder) -> Path:
    """The study with found constants that was trained in the folder.

    Raises InputError where none was, or one of another study.
    """
    if read_search(folder) is None:
        raise InputError(f"{folder.path} holds no search of {study_path.stem}; run it (scalinglab reproduce)")
    kept = folder.study_path.read_text("utf-8") if folder.study_path.exists() else ""
    before, mark, _ = kept.partition(_MARK)
    if not mark or before != study_path.read_text("utf-8"):
        raise InputError(
            f"{folder.path} holds no runs with constants that the search of {study_path.stem} found; train them "
            "(scalinglab reproduce)"
        )
    return folder.study_path
