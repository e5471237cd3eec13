"""Model shapes, exact counts, schedules, study files, plans and what they cost. No torch."""

from scalinglab.ladder.batches import Batches
from scalinglab.ladder.decay import DECAYS, Decay
from scalinglab.ladder.from_scratch import Constant, Cosine, CosineLoop, Linear, Noam
from scalinglab.ladder.plan import Branch, Cost, Trunk, ledger, plan, total, trunk_cost
from scalinglab.ladder.presets import PRESETS, DecaySpec
from scalinglab.ladder.schedule import WSD, WSDS, Phase, Schedule
from scalinglab.ladder.schedule_kinds import SCHEDULES, schedule_of
from scalinglab.ladder.schedule_text import parse_schedule
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.study import Study, differences, read_study

__all__ = [
    "DECAYS",
    "PRESETS",
    "SCHEDULES",
    "WSD",
    "WSDS",
    "Batches",
    "Branch",
    "Constant",
    "Cosine",
    "CosineLoop",
    "Cost",
    "Decay",
    "DecaySpec",
    "Linear",
    "Noam",
    "Phase",
    "Schedule",
    "Shape",
    "Study",
    "Trunk",
    "differences",
    "ledger",
    "parse_schedule",
    "plan",
    "read_study",
    "schedule_of",
    "total",
    "trunk_cost",
]
