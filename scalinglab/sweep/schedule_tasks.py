"""The scheduler: which task is next, what is tried again, what a failure leaves out. Any engine will do."""

import heapq
import itertools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from scalinglab.errors import EnvironmentProblem
from scalinglab.sweep.engine import Engine, Event, Needs, Report
from scalinglab.sweep.graph import Task, urgency

_ATTEMPTS = 2  # a failed or lost task is tried once more
_LOOK_EVERY = 1.0  # seconds between looks for Ctrl-C while no engine speaks

Watch = Callable[[Event], None]
"""Takes an engine's event, and ("start", task) when a task is handed out. A lost attempt is told as a failed one."""


@dataclass
class Outcome:
    """What became of the tasks."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Task id -> sentence, after the last attempt."""
    diverged: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Never begun, because what they start from failed or diverged."""
    stopped: bool = False
    """An interrupt ended the work; every task in progress was saved. What is named nowhere is still to do."""


def schedule(
    todo: Sequence[Task], engine: Engine, needs: Needs = Needs(), watch: Watch = lambda event: None
) -> Outcome:
    """Do all tasks, each after the one it needs, the most urgent first; closes the engine.

    todo: each after the one it needs, where that is among them.

    Ctrl-C or a request to terminate ends the work in good order: tasks are saved where they are. A second Ctrl-C does
    not wait for that. Raises EnvironmentProblem when the machine lacks something, as disk space.
    """
    book = _Book(todo, watch)
    with interrupts() as interrupted:
        try:
            while book.open or (book.most_urgent() and not book.outcome.stopped):
                if interrupted and not book.outcome.stopped:
                    book.outcome.stopped = True
                    watch(("stopping",))
                    engine.cancel()
                while not interrupted and book.most_urgent() and engine.has_room(needs):
                    task = book.take()
                    watch(("start", task))
                    book.handed_out(engine.submit(task, needs), task)
                for report in engine.wait(_LOOK_EVERY):
                    book.note(report)
        finally:
            engine.close()
    return book.closed()


class _Book:
    """Where every task and every attempt stands.

    An attempt is open from its hand-out to its last report. What comes of one that was given up for lost still counts
    if it is a result (equal definitions compute equal bits) and is passed over if it is not.
    """

    def __init__(self, todo: Sequence[Task], watch: Watch) -> None:
        self.outcome = Outcome()
        self.open: dict[int, Task] = {}
        self._given: dict[int, Task] = {}
        self._watch, self._todo, self._order = watch, todo, urgency(todo)
        self._count = itertools.count()
        self._failures: dict[str, int] = {}
        self._settled: set[str] = set()  # done or diverged
        self._after: dict[str, list[Task]] = {}
        self._ready: list[tuple[float, int, Task]] = []
        ids = {task.id for task in todo}
        self._waits = {task.id: ids.intersection(task.needs) for task in todo}
        for task in todo:
            for need in self._waits[task.id]:
                self._after.setdefault(need, []).append(task)
            if not self._waits[task.id]:
                self._push(task)

    def _push(self, task: Task) -> None:
        heapq.heappush(self._ready, (-self._order[task.id], next(self._count), task))

    def most_urgent(self) -> Task | None:
        """The next task to hand out, if any can be begun."""
        while self._ready and self._ready[0][2].id in self._settled:
            heapq.heappop(self._ready)  # a late report came before its second attempt
        return self._ready[0][2] if self._ready else None

    def take(self) -> Task:
        return heapq.heappop(self._ready)[2]

    def handed_out(self, ticket: int, task: Task) -> None:
        self.open[ticket] = self._given[ticket] = task

    def note(self, report: Report) -> None:
        """Take in a report, whether or not it comes in time."""
        ticket, event = report
        if ticket is None:
            self._watch(event)
            return
        task = self._given.get(ticket)
        in_time = ticket in self.open
        if task is None:
            return
        kind = event[0]
        if kind == "progress":
            if in_time:
                self._watch(event)
            return
        if kind == "unable" and in_time:
            raise EnvironmentProblem(event[2])
        self.open.pop(ticket, None)
        if task.id in self._settled:
            return
        if kind in ("done", "diverged"):
            self._settle(task, kind)
            self._watch(event)
        elif in_time and kind == "stopped" and self.outcome.stopped:
            self._watch(event)
        elif in_time:
            sentence = event[2] if len(event) > 2 else "it was stopped before its end"
            self._fail(task, sentence)
            self._watch(("failed", task.id, sentence))

    def _settle(self, task: Task, kind: str) -> None:
        self._settled.add(task.id)
        self.outcome.failed.pop(task.id, None)
        for ticket in [ticket for ticket, other in self.open.items() if other.id == task.id]:
            del self.open[ticket]  # a second attempt has nothing to add
        if kind == "diverged":
            self.outcome.diverged.append(task.id)
            return
        self.outcome.done.append(task.id)
        for after in self._after.get(task.id, []):
            self._waits[after.id].discard(task.id)
            if not self._waits[after.id]:
                self._push(after)

    def _fail(self, task: Task, sentence: str) -> None:
        self._failures[task.id] = self._failures.get(task.id, 0) + 1
        if self._failures[task.id] < _ATTEMPTS:
            self._push(task)
        else:
            self.outcome.failed[task.id] = sentence

    def closed(self) -> Outcome:
        """The outcome, with what a failure or a divergence left out."""
        broken = {*self.outcome.failed, *self.outcome.diverged}
        for task in self._todo:
            if broken.intersection(task.needs):
                broken.add(task.id)
                self.outcome.left_out.append(task.id)
        return self.outcome


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Yields a list that a first Ctrl-C fills; a second one raises KeyboardInterrupt as ever.

    An exception in the middle of reading an engine's message would lose the rest of it.
    """
    found: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in wanted}

    def note(number: int, frame: object) -> None:
        found.append(number)
        for which in wanted:
            signal.signal(which, before[which])

    for which in wanted:
        signal.signal(which, note)
    try:
        yield found
    finally:
        for which in wanted:
            signal.signal(which, before[which])
