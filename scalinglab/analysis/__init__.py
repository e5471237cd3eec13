"""What is asked of a fit or a run table: a module a question, each answer a small frozen object."""

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.answer import Answer, ExtrapolationWarning, readable
from scalinglab.analysis.continual import Continual, continual
from scalinglab.analysis.convention import CONVENTIONS, SIX_ND, Convention, convention, ladder_convention
from scalinglab.analysis.equal_compute import EqualCompute, equal_compute, read_larger
from scalinglab.analysis.equivalent import EquivalentSize, equivalent_size
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.influence import Influence, influence
from scalinglab.analysis.optimum import Frontier, Optimum, Scaling, frontier, optimum, scaling

__all__ = [
    "CONVENTIONS",
    "SIX_ND",
    "Answer",
    "Continual",
    "Convention",
    "EqualCompute",
    "EquivalentSize",
    "Estimate",
    "ExtrapolationWarning",
    "Frontier",
    "Influence",
    "Optimum",
    "Scaling",
    "continual",
    "convention",
    "count_text",
    "equal_compute",
    "equivalent_size",
    "frontier",
    "influence",
    "ladder_convention",
    "number_text",
    "optimal_params_tokens",
    "optimum",
    "read_larger",
    "readable",
    "scaling",
]
