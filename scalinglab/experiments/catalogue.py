"""The experiments by name: what `scalinglab reproduce --list` shows."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from scalinglab.experiments.report import Report
from scalinglab.experiments.wind_tunnel import Trained
from scalinglab.extras import need_training

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Experiment:
    """needs: "data" is the folder of real runs (`find_data`), "nothing" its published figures alone, "training" the
    packages that training needs, "runs" those of a packaged study, which are trained where they are missing.

    module: the one in this package that has `report(folder, progress) -> Report`, folder None where nothing is needed,
    or, of an experiment on runs, `report_of(trained, progress) -> Report`.
    """

    what: str
    needs: Literal["data", "nothing", "training", "runs"]
    module: str
    study: str = ""
    """The packaged study whose runs it takes (`wind_tunnel.study_path`)."""

    def run(self, folder: Path | None, progress: Progress = lambda *step: None) -> Report:
        """Compute it anew. Raises InputError where its data are missing, EnvironmentProblem where packages are."""
        if self.needs == "training":
            need_training()
        made: Report = import_module(f"scalinglab.experiments.{self.module}").report(folder, progress)
        return made

    def of_runs(self, trained: Trained, progress: Progress = lambda *step: None) -> Report:
        """What the runs of its study say."""
        made: Report = import_module(f"scalinglab.experiments.{self.module}").report_of(trained, progress)
        return made


EXPERIMENTS: dict[str, Experiment] = {
    "scaling-law": Experiment(
        "L(N, D) of a ladder trained here: D_opt/N_opt by held-out set, and the largest size predicted from the others",
        "runs",
        "scaling_law",
        "scaling-law",
    ),
    "continual": Experiment(
        "one small model trained on to 300 tokens a parameter: power law or exponential, and what it is worth",
        "runs",
        "continual",
        "scaling-law",
    ),
    "lr-transfer": Experiment(
        "whether the best learning rate stays put as the width grows, under MiniCPM's parametrisation and the standard",
        "runs",
        "lr_transfer",
        "lr-transfer",
    ),
    "search": Experiment(
        "constants of the parametrisation found by a search on the smallest size, against MiniCPM's at larger ones",
        "runs",
        "search",
        "search",
    ),
    "batch-size": Experiment(
        "how the best batch grows as the loss falls: lines of equal loss, their minima, bs = k / L^p",
        "runs",
        "batch_size",
        "batch-size",
    ),
    "wsd-vs-cosine": Experiment(
        "decays forked from one trunk against cosine runs made for each horizon: shapes and lengths",
        "runs",
        "wsd_vs_cosine",
        "wsd-vs-cosine",
    ),
    "cosine-horizon": Experiment(
        "cosine with T of half, all and twice the run, its loop, linear, Noam and constant, against decays of a trunk",
        "runs",
        "cosine_horizon",
        "cosine-horizon",
    ),
    "decay-dynamics": Experiment(
        "single updates of trunk and decay: their size, gradients, slope and curvature, with the trunk going on beside",
        "runs",
        "decay_dynamics",
        "decay-dynamics",
    ),
    "data-in-decay": Experiment(
        "good data in the decay or after it: MiniCPM's A-1 to B-3, the place against the amount, and what is forgotten",
        "runs",
        "data_in_decay",
        "data-in-decay",
    ),
    "batch-ramp": Experiment(
        "a larger batch on the trunk in place of a decay, and before one: what each gains, and the updates it saves",
        "runs",
        "batch_ramp",
        "batch-ramp",
    ),
    "merge": Experiment(
        "averages of trunk checkpoints in place of a decay: windows, weights and numbers, against real decays",
        "runs",
        "merging",
        "merge",
    ),
    "coordinate-check": Experiment(
        "activations that keep their size as the width grows: MiniCPM's scaling against none",
        "training",
        "coordinate_check",
    ),
    "minicpm-law": Experiment(
        "MiniCPM's six printed laws, their D/N within rounding, and a refit of its figure's losses",
        "nothing",
        "minicpm_law",
    ),
    "minicpm-continual": Experiment(
        "MiniCPM's continual training of 0.036B: both printed curves, and 0.17B at equal compute",
        "nothing",
        "minicpm_continual",
    ),
    "equivalent-size": Experiment(
        "the Chinchilla-optimal size that MiniCPM-2.4B's loss is worth", "nothing", "equivalent_size"
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
    "chinchilla": Experiment(
        "Hoffmann's three approaches: N_opt and D_opt against compute, on their digitised runs",
        "data",
        "chinchilla",
    ),
    "porian": Experiment(
        "from Kaplan's exponent 0.88 to Hoffmann's 0.50, one correction at a time", "data", "porian"
    ),
    "step-law": Experiment(
        "best learning rate and batch as laws in N and D, from 1911 dense runs", "data", "step_law"
    ),
}
"""Name -> experiment, those on runs of one's own first."""
