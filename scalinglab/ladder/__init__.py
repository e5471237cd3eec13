"""Model shapes, exact counts, schedules, study files, plans and what they cost. No torch."""

from scalinglab.ladder.batches import Batches
from scalinglab.ladder.cost import Cost, Spent, ledger, scratch_cost, total, trunk_cost
from scalinglab.ladder.decay import DECAYS, Decay
from scalinglab.ladder.plan import Branch, Scratch, Trunk, plan, plan_full
from scalinglab.ladder.schedule import WSD
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.study import Study, differences
from scalinglab.ladder.study_file import read_study

__all__ = [
    "DECAYS",
    "WSD",
    "Batches",
    "Branch",
    "Cost",
    "Decay",
    "Scratch",
    "Shape",
    "Spent",
    "Study",
    "Trunk",
    "differences",
    "ledger",
    "plan",
    "plan_full",
    "read_study",
    "scratch_cost",
    "total",
    "trunk_cost",
]
