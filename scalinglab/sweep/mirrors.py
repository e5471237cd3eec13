"""Metrics shown elsewhere too: TensorBoard and Weights & Biases. The files of the study stay the record.

A mirror is fed from the metrics files by the process that runs the study, so workers do not wait for it, and a run that
is trained twice after an interruption is written again under the same steps.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records.follow import Follower
from scalinglab.records.store import StudyFolder

_TRAIN = ("loss", "lr", "grad_norm", "tokens")


class Mirror(Protocol):
    """Takes numbers by name; x is the step."""

    def write(self, run_id: str, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files for TensorBoard, a folder a run. Raises EnvironmentProblem where the package is missing."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise EnvironmentProblem(
                "the mirror tensorboard needs the package tensorboard: pip install tensorboard"
            ) from None
        self._make, self._folder = SummaryWriter, folder
        self._writers: dict[str, Any] = {}

    def write(self, run_id: str, step: int, values: dict[str, float]) -> None:
        if run_id not in self._writers:
            self._writers[run_id] = self._make(str(self._folder / run_id))
        for name, value in values.items():
            self._writers[run_id].add_scalar(name, value, step)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class WeightsAndBiases:
    """Runs of a project, grouped by study. Raises EnvironmentProblem where the package is missing or not logged in."""

    def __init__(self, project: str, group: str) -> None:
        try:
            import wandb
        except ImportError:
            raise EnvironmentProblem("the mirror wandb needs the package wandb: pip install wandb") from None
        self._wandb, self._project, self._group = wandb, project, group
        self._runs: dict[str, Any] = {}

    def write(self, run_id: str, step: int, values: dict[str, float]) -> None:
        if run_id not in self._runs:
            self._runs[run_id] = self._wandb.init(
                project=self._project,
                group=self._group,
                id=run_id,
                name=run_id,
                resume="allow",
                reinit="create_new",
                settings=self._wandb.Settings(silent=True),
            )
        # steps may come again after an interruption, which their own counter refuses
        self._runs[run_id].log(values | {"step": step})

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()


def mirror_of(text: str, folder: StudyFolder) -> Mirror:
    """`tensorboard`, `tensorboard:FOLDER`, `wandb` or `wandb:PROJECT`. Raises InputError for anything else."""
    kind, _, where = text.partition(":")
    if kind == "tensorboard":
        return TensorBoard(Path(where) if where else folder.path / "tensorboard")
    if kind == "wandb":
        return WeightsAndBiases(where or "scalinglab", folder.path.name)
    raise InputError(f"--mirror {text}: choose tensorboard, tensorboard:FOLDER, wandb or wandb:PROJECT")


def feed(news: Iterable[tuple[str, dict[str, Any]]], mirrors: Iterable[Mirror]) -> None:
    """Write records to mirrors: training under train/, held-out losses under heldout/."""
    targets = list(mirrors)
    for run_id, record in news:
        if record["kind"] == "train":
            values = {f"train/{key}": float(record[key]) for key in _TRAIN if key in record}
        elif record["kind"] == "eval":
            values = {f"heldout/{name}": float(found["loss"]) for name, found in record["sets"].items()}
        else:
            continue
        for mirror in targets:
            mirror.write(run_id, int(record["step"]), values)


@contextmanager
def mirrored(texts: Iterable[str], folder: StudyFolder) -> Iterator[Any]:
    """While the context lasts, calling what it yields passes on what the metrics gained. Raises as `mirror_of`."""
    mirrors = [mirror_of(text, folder) for text in texts]
    follower = Follower(folder, from_start=False) if mirrors else None

    def pass_on() -> None:
        if follower is not None:
            feed(follower.news(), mirrors)

    try:
        yield pass_on
    finally:
        pass_on()
        for mirror in mirrors:
            mirror.close()
