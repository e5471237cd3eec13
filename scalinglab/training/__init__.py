"""Data order, parametrisation, model, trainer and checkpoints. The only room that imports torch."""

from scalinglab.training.data import Mixture, evaluation_windows
from scalinglab.training.trainer import LOG_EVERY, Diverged, Evaluation, Streams, Trainer, software

__all__ = [
    "LOG_EVERY",
    "Diverged",
    "Evaluation",
    "Mixture",
    "Streams",
    "Trainer",
    "evaluation_windows",
    "software",
]
