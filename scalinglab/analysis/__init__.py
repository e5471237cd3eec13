"""What is asked of a fit or a run table: a module a question, each answer a small frozen object."""

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.answer import Answer, ExtrapolationWarning, readable
from scalinglab.analysis.continual import Continual, continual
from scalinglab.analysis.convention import CONVENTIONS, SIX_ND, Convention, convention, ladder_convention
from scalinglab.analysis.equivalent import EquivalentSize, equivalent_size
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.hyperparameters import BatchLr, Setting, batch_lr
from scalinglab.analysis.iso_loss import IsoLoss, iso_loss
from scalinglab.analysis.optimum import Frontier, Optimum, Scaling, frontier, optimum, scaling

__all__ = [
    "CONVENTIONS",
    "SIX_ND",
    "Answer",
    "BatchLr",
    "Continual",
    "Convention",
    "EquivalentSize",
    "Estimate",
    "ExtrapolationWarning",
    "Frontier",
    "IsoLoss",
    "Optimum",
    "Scaling",
    "Setting",
    "batch_lr",
    "continual",
    "convention",
    "count_text",
    "equivalent_size",
    "frontier",
    "iso_loss",
    "ladder_convention",
    "number_text",
    "optimal_params_tokens",
    "optimum",
    "readable",
    "scaling",
]
