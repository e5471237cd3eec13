"""What is asked of a fit or a run table: a module a question, each answer a small frozen object."""

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.answer import Answer, ExtrapolationWarning, readable
from scalinglab.analysis.continual import Continual, continual
from scalinglab.analysis.convention import CONVENTIONS, SIX_ND, Convention, convention, ladder_convention
from scalinglab.analysis.equivalent import EquivalentSize, equivalent_size
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.next_runs import NextRuns, next_runs
from scalinglab.analysis.next_simulation import NextSimulation, simulate_next
from scalinglab.analysis.optimum import Frontier, Optimum, Scaling, frontier, optimum, scaling

__all__ = [
    "CONVENTIONS",
    "SIX_ND",
    "Answer",
    "Continual",
    "Convention",
    "EquivalentSize",
    "Estimate",
    "ExtrapolationWarning",
    "Frontier",
    "NextRuns",
    "NextSimulation",
    "Optimum",
    "Scaling",
    "continual",
    "convention",
    "count_text",
    "equivalent_size",
    "frontier",
    "ladder_convention",
    "next_runs",
    "number_text",
    "optimal_params_tokens",
    "optimum",
    "readable",
    "scaling",
    "simulate_next",
]
