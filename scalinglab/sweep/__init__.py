"""A study as a graph of tasks, and the engine that runs them. Torch is imported by the workers only."""

from scalinglab.sweep.graph import PlannedTrunk, Task, outstanding, planned_trunks, tasks
from scalinglab.sweep.local_engine import run_tasks
from scalinglab.sweep.schedule_tasks import Outcome
from scalinglab.sweep.study_run import Prepared, Swept, prepare, run
from scalinglab.sweep.throughput import cores

__all__ = [
    "Outcome",
    "PlannedTrunk",
    "Prepared",
    "Swept",
    "Task",
    "cores",
    "outstanding",
    "planned_trunks",
    "prepare",
    "run",
    "run_tasks",
    "tasks",
]
