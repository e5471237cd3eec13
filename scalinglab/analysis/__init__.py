"""What is asked of a fit or a run table: a module a question, each answer a small frozen object."""

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.answer import Answer, ExtrapolationWarning, readable
from scalinglab.analysis.continual import Continual, continual
from scalinglab.analysis.convention import CONVENTIONS, SIX_ND, Convention, convention, ladder_convention
from scalinglab.analysis.crossing import Crossing, Crossings, crossing, crossings
from scalinglab.analysis.data_limited import DataLimited, data_limited, data_limited_curve
from scalinglab.analysis.envelope import Envelope, envelope
from scalinglab.analysis.equal_compute import EqualCompute, equal_compute, read_larger
from scalinglab.analysis.equivalent import EquivalentSize, equivalent_size
from scalinglab.analysis.estimate import Estimate, count_text, number_text
from scalinglab.analysis.hyperparameters import BatchLr, Setting, batch_lr
from scalinglab.analysis.inference import InferenceOptimum, inference_curve, inference_optimum
from scalinglab.analysis.influence import Influence, influence
from scalinglab.analysis.iso_loss import IsoLoss, iso_loss
from scalinglab.analysis.isoflop import IsoFlop, isoflop
from scalinglab.analysis.lr_transfer import LrTransfer, drift_difference, lr_transfer
from scalinglab.analysis.next_runs import NextRuns, next_runs
from scalinglab.analysis.next_simulation import NextSimulation, simulate_next
from scalinglab.analysis.optimum import Frontier, Optimum, Scaling, frontier, optimum, scaling
from scalinglab.analysis.overtraining import Overtraining, overtraining
from scalinglab.analysis.paired import Paired, paired
from scalinglab.analysis.plan import Plan, ladder_saving, plan
from scalinglab.analysis.repetition import epoch_worth

__all__ = [
    "CONVENTIONS",
    "SIX_ND",
    "Answer",
    "BatchLr",
    "Continual",
    "Convention",
    "Crossing",
    "Crossings",
    "DataLimited",
    "Envelope",
    "EqualCompute",
    "EquivalentSize",
    "Estimate",
    "ExtrapolationWarning",
    "Frontier",
    "InferenceOptimum",
    "Influence",
    "IsoFlop",
    "IsoLoss",
    "LrTransfer",
    "NextRuns",
    "NextSimulation",
    "Optimum",
    "Overtraining",
    "Paired",
    "Plan",
    "Scaling",
    "Setting",
    "batch_lr",
    "continual",
    "convention",
    "count_text",
    "crossing",
    "crossings",
    "data_limited",
    "data_limited_curve",
    "drift_difference",
    "envelope",
    "epoch_worth",
    "equal_compute",
    "equivalent_size",
    "frontier",
    "inference_curve",
    "inference_optimum",
    "influence",
    "iso_loss",
    "isoflop",
    "ladder_convention",
    "ladder_saving",
    "lr_transfer",
    "next_runs",
    "number_text",
    "optimal_params_tokens",
    "optimum",
    "overtraining",
    "paired",
    "plan",
    "read_larger",
    "readable",
    "scaling",
    "simulate_next",
]
