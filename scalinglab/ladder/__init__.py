"""Model shapes, exact counts, schedules, study files, plans and what they cost. No torch."""

from scalinglab.ladder.batches import Batches
from scalinglab.ladder.cost import Cost, Spent, ledger, scratch_cost, total, trunk_cost
from scalinglab.ladder.decay import DECAYS, Decay
from scalinglab.ladder.from_scratch import Constant, Cosine, CosineLoop, Linear, Noam
from scalinglab.ladder.named_shapes import NAMED_SHAPES, named_shape
from scalinglab.ladder.needs import memory_bytes, state_bytes
from scalinglab.ladder.plan import Branch, Scratch, Trunk, plan, plan_full
from scalinglab.ladder.presets import PRESETS, DecaySpec
from scalinglab.ladder.schedule import WSD, WSDS, Phase, Schedule
from scalinglab.ladder.schedule_kinds import SCHEDULES, schedule_of
from scalinglab.ladder.schedule_text import parse_schedule
from scalinglab.ladder.shapes import Shape
from scalinglab.ladder.study import Study, differences
from scalinglab.ladder.study_file import read_study

__all__ = [
    "DECAYS",
    "NAMED_SHAPES",
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
    "Scratch",
    "Shape",
    "Spent",
    "Study",
    "Trunk",
    "differences",
    "ledger",
    "memory_bytes",
    "named_shape",
    "parse_schedule",
    "plan",
    "plan_full",
    "read_study",
    "schedule_of",
    "scratch_cost",
    "state_bytes",
    "total",
    "trunk_cost",
]
