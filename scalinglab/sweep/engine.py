"""What an engine is: whatever can run a study's tasks and say what became of them.

The scheduler (`schedule_tasks`) decides which task is next and what a failure means; an engine only runs what it is
given. docs/driver.md says what a new one has to keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scalinglab.sweep.graph import Task


@dataclass(frozen=True)
class Needs:
    """What one task takes while it runs."""

    processes: int = 1
    """On one model; each takes its part of every batch."""
    devices: int = 0
    """Accelerators: none, or one a process."""


Event = tuple[Any, ...]
"""Its first entry names it, its second is the task's id: ("progress", id, step, loss), and as the last of an attempt
("done", id), ("stopped", id), ("diverged", id, step), ("failed", id, sentence), ("lost", id, sentence) where whoever
ran it has vanished, or ("unable", id, sentence) where the machine lacks something that no task would find."""

Report = tuple[int | None, Event]
"""(ticket of the attempt, event). The ticket is None for what concerns no task, as ("ready", process id)."""


class Engine(Protocol):
    """Runs tasks, each in an attempt of its own with its own ticket."""

    def has_room(self, needs: Needs) -> bool:
        """Whether a task with these needs would be begun now; the scheduler holds tasks back until then."""
        ...

    def submit(self, task: Task, needs: Needs) -> int:
        """Run a task, whose own needs are done. Returns a ticket, never given twice; does not wait."""
        ...

    def wait(self, timeout: float) -> Sequence[Report]:
        """What has happened since the last call; waits for `timeout` seconds at most when there is nothing.

        Reports may be repeated, late or out of order. Raises EnvironmentProblem where the engine cannot run at all.
        """
        ...

    def cancel(self) -> None:
        """Have every task saved where it is; each still ends with a report. Nothing is submitted afterwards."""
        ...

    def close(self) -> None:
        """End everything that is left, and let go of all that is held. Called once, whatever happened."""
        ...
