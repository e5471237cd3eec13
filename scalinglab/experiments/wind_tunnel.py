"""Experiments on the project's own runs: each one a packaged study at several scales, and the records it left.

scale "tiny" is under two minutes, "small" what two CPU cores finish in about an hour and what the repository ships the
records of, "full" for a machine with GPUs and more text.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from scalinglab.errors import InputError
from scalinglab.experiments.found_study import found_study_path
from scalinglab.ladder import Study, read_study
from scalinglab.records.derive import AVERAGE, derive_table
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import PlannedTrunk, outstanding, tasks
from scalinglab.sweep.study_run import begun

SCALES = ("tiny", "small", "full")
SHIPPED = "small"
"""The scale whose records and figures the repository holds."""
_STUDIES = Path(__file__).with_name("studies")
_FOLDERS = {("scaling-law", "small"): "cpu-ladder", ("scaling-law", "full"): "gpu-ladder"}


def study_path(study: str, scale: str) -> Path:
    """The packaged study file. Raises InputError for a scale that it does not have."""
    path = _STUDIES / f"{study}-{scale}.toml"
    if not path.exists():
        known = sorted(found.stem.removeprefix(f"{study}-") for found in _STUDIES.glob(f"{study}-*.toml"))
        raise InputError(f"{study} has no scale {scale!r}; it has {', '.join(known)}")
    return path


def study_folder(study: str, scale: str, runs: Path) -> StudyFolder:
    """Where its runs lie below the folder of all runs."""
    own = study if scale == SHIPPED else f"{study}-{scale}"
    return StudyFolder(runs / _FOLDERS.get((study, scale), own))


@dataclass(frozen=True)
class Trained:
    """The finished runs of a study, as its records tell them; no text and no torch is needed to read them."""

    scale: str
    study: Study
    folder: StudyFolder
    trunks: list[PlannedTrunk]
    """Planned and trained; `variant` names settings other than the study's own."""
    table: pd.DataFrame
    """The run table: branch ends, trunk points and whole runs, of every variant and held-out set."""
    notes: tuple[str, ...] = ()

    @property
    def own(self) -> pd.DataFrame:
        """The rows under the study's own settings."""
        varied = {trunk.run.id for trunk in self.trunks if trunk.variant}
        return self.table[~self.table["trunk_id"].isin(varied)].reset_index(drop=True)


class Measured:
    """What the runs of a study were measured on, for a reading of them that holds them as `trained`."""

    trained: Trained

    @cached_property
    def eval_set(self) -> str:
        """The average where there is one, else the only set."""
        names = list(self.trained.table["eval_set"].unique())
        return AVERAGE if AVERAGE in names else str(names[0])

    @cached_property
    def eval_sets(self) -> list[str]:
        """The average first."""
        return sorted(self.trained.table["eval_set"].unique(), key=lambda name: (name != self.eval_set, name))

    @property
    def loss_unit(self) -> str:
        return str(self.trained.table["loss_unit"].iloc[0])


def read_trained(study: str, scale: str, runs: Path) -> Trained:
    """Read what stands; of a study with a search, the one that it led to.

    Raises InputError when some of the study's runs are missing.
    """
    path, folder = study_path(study, scale), study_folder(study, scale, runs)
    if not folder.data_path.exists():
        raise InputError(f"{folder.path} holds no runs of {path.stem}; train them (scalinglab reproduce)")
    definition = read_study(path)
    if definition.search is not None:
        definition = read_study(found_study_path(path, folder))
    trunks = begun(definition, folder)
    missing = outstanding(tasks(trunks), folder)
    if missing:
        raise InputError(
            f"{folder.path} lacks {len(missing)} parts of {path.stem}, {missing[0].run.id} first; train them "
            "(scalinglab reproduce)"
        )
    derived = derive_table(folder, write=False)
    wanted = {run.id for trunk in trunks for run in trunk.runs}
    table = derived.table[derived.table["run_id"].isin(wanted)].reset_index(drop=True)
    return Trained(scale, definition, folder, trunks, table, derived.notes)
