"""The experiments by name: what `scalinglab reproduce --list` shows."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from scalinglab.experiments.report import Report
from scalinglab.extras import need_training

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Experiment:
    """needs: "data" is the folder of real runs (`find_data`), "nothing" its published figures alone, "training" the
    packages that training needs.

    module: the one in this package that has `report(folder, progress) -> Report`, folder None where nothing is needed.
    """

    what: str
    needs: Literal["data", "nothing", "training"]
    module: str

    def run(self, folder: Path | None, progress: Progress = lambda *step: None) -> Report:
        """Compute it anew. Raises InputError where its data are missing, EnvironmentProblem where packages are."""
        if self.needs == "training":
            need_training()
        made: Report = import_module(f"scalinglab.experiments.{self.module}").report(folder, progress)
        return made


EXPERIMENTS: dict[str, Experiment] = {
    "chinchilla": Experiment(
        "Hoffmann's three approaches: N_opt and D_opt against compute, on their digitised runs",
        "data",
        "chinchilla",
    ),
    "porian": Experiment(
        "from Kaplan's exponent 0.88 to Hoffmann's 0.50, one correction at a time", "data", "porian"
    ),
    "llama2-ratio": Experiment(
        "MiniCPM's reading of D/N off Llama 2's loss curves, from both sides of each crossing",
        "nothing",
        "llama2_ratio",
    ),
    "overtraining": Experiment(
        "smaller models trained longer, served models, repeated data: published readings of Chinchilla's law",
        "nothing",
        "overtraining",
    ),
    "step-law": Experiment(
        "best learning rate and batch as laws in N and D, from 1911 dense runs", "data", "step_law"
    ),
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
    "coordinate-check": Experiment(
        "activations that keep their size as the width grows: MiniCPM's scaling against none",
        "training",
        "coordinate_check",
    ),
}
"""Name -> experiment."""
