"""The experiments by name: what `scalinglab reproduce --list` shows."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from scalinglab.experiments.report import Report

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Experiment:
    """needs: "data" is the folder of real runs (`find_data`), "nothing" its published figures alone.

    module: the one in this package that has `report(folder, progress) -> Report`, folder None where nothing is needed.
    """

    what: str
    needs: Literal["data", "nothing"]
    module: str

    def run(self, folder: Path | None, progress: Progress = lambda *step: None) -> Report:
        """Compute it anew. Raises InputError where its data are missing."""
        made: Report = import_module(f"scalinglab.experiments.{self.module}").report(folder, progress)
        return made


EXPERIMENTS: dict[str, Experiment] = {
    "minicpm-law": Experiment(
        "MiniCPM's six printed laws, their D/N within rounding, and a refit of its figure's losses",
        "nothing",
        "minicpm_law",
    ),
    "continual": Experiment(
        "MiniCPM's continual training of 0.036B: both printed curves, and 0.17B at equal compute",
        "nothing",
        "continual",
    ),
    "equivalent-size": Experiment(
        "the Chinchilla-optimal size that MiniCPM-2.4B's loss is worth", "nothing", "equivalent_size"
    ),
}
"""Name -> experiment."""
