"""The scheduler against an engine that loses, delays, repeats and reorders: nothing is trained, time is virtual."""

import heapq
import itertools
import random
import signal
from dataclasses import dataclass
from typing import Any

import pytest

from scalinglab.errors import EnvironmentProblem
from scalinglab.sweep.engine import Needs
from scalinglab.sweep.forecast import _makespan
from scalinglab.sweep.schedule_tasks import Outcome, schedule

LAST_WORDS = ("done", "stopped", "diverged", "failed", "lost")


@dataclass(frozen=True)
class Step:
    """What the scheduler knows of a task."""

    id: str
    needs: tuple[str, ...]
    cost: float


def forest(rng: random.Random, count: int) -> list[Step]:
    """Trees as studies have them, merges that need several, and one task that needs what is no longer to do."""
    steps = [Step("0", ("stands already",), rng.random())]
    for i in range(1, count):
        several = rng.choices((0, 1, 3), (15, 70, 15))[0]
        needs = tuple(sorted({str(rng.randrange(i)) for _ in range(several)}))
        steps.append(Step(str(i), needs, rng.random()))
    return steps


class Unreliable:
    """An engine whose attempts end as chance has it, and whose reports come late, twice and in any order.

    It keeps to what an engine has to keep: every attempt is spoken of in the end, if only as lost. An attempt that
    was given up for lost may still bring its result. All that must never happen is checked where it would.
    """

    def __init__(self, rng: random.Random, slots: int, trouble: float) -> None:
        self.rng, self.slots, self.trouble = rng, slots, trouble
        self.now = 0.0
        self.queue: list[tuple[float, int, int | None, tuple[Any, ...]]] = []
        self.count = itertools.count()
        self.attempts: dict[int, Step] = {}
        self.running: set[int] = set()
        self.done: set[str] = set()  # results that stand, told or not
        self.told: dict[str, list[str]] = {}  # last words of a task's attempts that have been told, in order
        self.cancelled = self.closed = False
        self.submitted: list[str] = []

    def say(self, delay: float, ticket: int | None, *event: Any) -> None:
        heapq.heappush(self.queue, (self.now + delay, next(self.count), ticket, event))
        if self.rng.random() < self.trouble:  # repeated, at some other time
            again = self.now + delay + self.rng.random()
            heapq.heappush(self.queue, (again, next(self.count), ticket, event))

    def has_room(self, needs: Needs) -> bool:
        return len(self.running) < self.slots

    def submit(self, task: Step, needs: Needs) -> int:
        assert not self.cancelled
        assert not self.closed
        assert len(self.running) < self.slots
        assert self.done >= {*task.needs} - {"stands already"}
        before = self.told.get(task.id, [])
        assert all(word not in ("done", "diverged") for word in before)
        assert len(before) >= self.submitted.count(task.id)  # never two attempts at once
        assert self.submitted.count(task.id) < 2
        ticket = next(self.count)
        self.submitted.append(task.id)
        self.attempts[ticket] = task
        self.running.add(ticket)
        took = task.cost * (1.0 + self.trouble * self.rng.random())
        self.say(self.rng.random() * 2.0, ticket, "progress", task.id, 10, 3.0)  # perhaps after its last word
        fate = self.rng.random() / self.trouble if self.trouble else 1.0
        if fate < 0.2:
            self.say(took, ticket, "failed", task.id, "it failed")
        elif fate < 0.4:
            self.say(took, ticket, "lost", task.id, "it vanished")
            if self.rng.random() < 0.5:  # and yet
                self.say(took + self.rng.random(), ticket, "done", task.id)
        elif fate < 0.5:
            self.say(took, ticket, "diverged", task.id, 7)
        elif fate < 0.6:
            self.say(took, ticket, "stopped", task.id)  # by whoever owns the machine
        else:
            self.say(took, ticket, "done", task.id)
        return ticket

    def wait(self, timeout: float) -> list[Any]:
        if not self.queue:
            assert self.cancelled or self.running or self.trouble
            return []
        found = []
        for _ in range(self.rng.randint(1, 3) if self.trouble else 1):
            if self.queue:
                self.now, _, ticket, event = heapq.heappop(self.queue)
                found.append((ticket, event))
        if self.trouble:
            self.rng.shuffle(found)
        for ticket, event in found:
            if event[0] in LAST_WORDS:
                self.running.discard(ticket)
                self.told.setdefault(event[1], []).append(event[0])
                if event[0] == "done":
                    self.done.add(event[1])
        if self.trouble and self.rng.random() < 0.1:
            found.insert(0, (99_999, ("done", "0")))  # of an attempt that nobody made
        return found

    def cancel(self) -> None:
        assert not self.cancelled
        self.cancelled = True
        for ticket in self.running:
            if self.rng.random() < 0.8:  # some end by themselves meanwhile
                self.say(self.rng.random(), ticket, "stopped", self.attempts[ticket].id)

    def close(self) -> None:
        assert not self.closed
        self.closed = True


def played(seed: int, interrupt: bool) -> tuple[list[Step], Unreliable, Outcome, list[tuple[Any, ...]]]:
    rng = random.Random(seed)
    todo = forest(rng, rng.randint(1, 30))
    engine = Unreliable(rng, rng.randint(1, 5), rng.choice([0.2, 0.6, 1.0]))
    seen: list[tuple[Any, ...]] = []
    at = rng.randint(1, 2 * len(todo)) if interrupt else -1

    def watch(event: tuple[Any, ...]) -> None:
        seen.append(event)
        if len(seen) == at:
            signal.raise_signal(signal.SIGINT)

    return todo, engine, schedule(todo, engine, Needs(), watch), seen


@pytest.mark.parametrize("interrupt", [False, True])
def test_every_task_ends_once_whatever_the_engine_does(interrupt: bool) -> None:
    events, kinds = 0, set()
    for seed in range(600):
        todo, engine, outcome, seen = played(seed, interrupt)
        assert engine.closed
        ids = [task.id for task in todo]
        ends = [*outcome.done, *outcome.failed, *outcome.diverged, *outcome.left_out]
        assert len(ends) == len(set(ends))
        assert outcome.stopped == engine.cancelled
        if not outcome.stopped:
            assert sorted(ends) == sorted(ids)
        assert set(outcome.done) <= engine.done
        needs = {task.id: task.needs for task in todo}
        broken = {*outcome.failed, *outcome.diverged, *outcome.left_out}
        assert all(broken & {*needs[id_]} and id_ not in engine.submitted for id_ in outcome.left_out)
        for id_ in outcome.failed:
            assert engine.submitted.count(id_) == 2
            assert "done" not in engine.told[id_]
        if not outcome.stopped:
            # tried again if and only if the first word of it was none of a result
            again = {id_ for id_ in engine.submitted if engine.submitted.count(id_) == 2}
            assert all(engine.told[id_][0] in ("failed", "lost", "stopped") for id_ in again)
        told = [event[1] for event in seen if event[0] in ("done", "diverged")]
        assert sorted(told) == sorted([*outcome.done, *outcome.diverged])
        starts = [event[1].id for event in seen if event[0] == "start"]
        assert starts == engine.submitted
        events += len(engine.submitted)
        kinds |= {kind for kind in ("failed", "diverged", "left_out", "stopped") if getattr(outcome, kind)}
    assert events > 3000
    assert kinds >= {"failed", "diverged", "left_out"}
    assert ("stopped" in kinds) == interrupt


def test_a_lost_task_is_tried_again_alone() -> None:
    class Loses(Unreliable):
        def submit(self, task: Step, needs: Needs) -> int:
            ticket = super().submit(task, needs)
            if self.submitted.count("1") == 1 and task.id == "1":
                self.queue = [entry for entry in self.queue if entry[2] != ticket]
                self.say(0.5, ticket, "lost", "1", "its worker vanished")
            return ticket

    todo = [Step("0", (), 1.0), Step("1", ("0",), 2.0), Step("2", ("0",), 1.5), Step("3", ("1",), 1.0)]
    engine = Loses(random.Random(0), 2, 0.0)
    seen: list[tuple[Any, ...]] = []
    outcome = schedule(todo, engine, Needs(), seen.append)
    assert sorted(outcome.done) == ["0", "1", "2", "3"]
    assert engine.submitted == ["0", "1", "2", "1", "3"]
    assert [event for event in seen if event[0] == "failed"] == [("failed", "1", "its worker vanished")]


def test_a_late_result_spares_the_second_attempt() -> None:
    class Late(Unreliable):
        def submit(self, task: Step, needs: Needs) -> int:
            ticket = super().submit(task, needs)
            self.queue.clear()
            self.say(0.1, ticket, "lost", task.id, "no word for long")
            self.say(0.2, ticket, "done", task.id)
            if len(self.submitted) > 1:
                self.queue.clear()  # nothing is ever heard of the second
                self.say(0.2, min(self.attempts), "done", task.id)
            return ticket

    engine = Late(random.Random(0), 1, 0.0)
    assert schedule([Step("0", (), 1.0)], engine) == Outcome(done=["0"])


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_the_most_urgent_first_takes_as_long_as_forecast(slots: int) -> None:
    for seed in range(40):
        todo = forest(random.Random(seed), 40)
        engine = Unreliable(random.Random(seed), slots, 0.0)
        schedule(todo, engine)
        assert engine.now == pytest.approx(_makespan(todo, {task.id: task.cost for task in todo}, slots))


def test_what_no_task_will_find_ends_the_work() -> None:
    class Full(Unreliable):
        def submit(self, task: Step, needs: Needs) -> int:
            ticket = super().submit(task, needs)
            self.say(0.0, ticket, "unable", task.id, "no space left on the disk")
            return ticket

    engine = Full(random.Random(0), 2, 0.0)
    with pytest.raises(EnvironmentProblem, match="no space left on the disk"):
        schedule(forest(random.Random(0), 9), engine)
    assert engine.closed
