"""Data order, parametrisation, model, trainer and checkpoints. The only room that imports torch."""

from scalinglab.training.data import Mixture, evaluation_windows
from scalinglab.training.trainer import Diverged, Evaluation, Streams, Trainer, software

__all__ = [
    "Diverged",
    "Evaluation",
    "Mixture",
    "Streams",
    "Trainer",
    "evaluation_windows",
    "software",
]
