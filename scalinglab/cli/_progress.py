"""Progress of a sweep: one bar of all work with the time left, and a line for each run in progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scalinglab.cli._console import console, say

if TYPE_CHECKING:
    from scalinglab.sweep import Outcome, Task

_KINDS = {"trunk": "trunk", "branch": "decay", "full": "whole", "merge": "merge"}
_TELLING = 0.02
"""Share of the work after which a guess of the time left is worth anything."""
_PLAIN_EVERY = 15.0  # seconds between lines where there is no terminal


class SweepProgress:
    """Takes the events of a sweep (`scalinglab.sweep.Watch`) and shows them."""

    def __init__(self, all_tasks: list[Task], todo: list[Task]) -> None:
        self._tasks = {task.id: task for task in todo}
        self._total = sum(task.cost for task in all_tasks)
        self._base = self._total - sum(task.cost for task in todo)
        self._done: dict[str, float] = {}
        self._began: float | None = None
        """Since training itself goes on: workers take seconds to start."""
        self._spoke = time.monotonic()
        self._rows: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=22),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[loss]}"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=60.0,
        )
        self._bar = self._progress.add_task("[bold]all runs", total=self._total, loss="")

    def __call__(self, event: tuple[Any, ...]) -> None:
        kind = event[0]
        if kind == "start":
            task: Task = event[1]
            label = f"  {task.run.shape.name} {_KINDS[task.run.kind]}"
            end = task.run.batches.tokens_at(task.end)
            self._rows[task.id] = self._progress.add_task(
                f"{label} to {end / 1e6:.2f}M", total=task.end - task.start, loss=""
            )
        elif kind == "stopping":
            say(
                "Stopping: every task is saved where it is. A second Ctrl-C does not wait for that.", "yellow"
            )
        elif kind == "progress":
            if self._began is None:
                self._began = time.monotonic()
            _, task_id, step, loss = event
            task = self._tasks[task_id]
            self._done[task_id] = (step - task.start) * task.cost_per_step
            if task_id in self._rows:
                self._progress.update(
                    self._rows[task_id], completed=step - task.start, loss=f"loss {loss:.3f}"
                )
        elif kind in ("done", "stopped", "failed", "diverged"):
            task = self._tasks[event[1]]
            if kind == "done":
                self._done[task.id] = task.cost
            if task.id in self._rows:
                self._progress.remove_task(self._rows.pop(task.id))
            if kind == "failed":
                say(f"{task.run.id}: {event[2].strip().splitlines()[-1]}", "red")
            elif kind == "diverged":
                rest = "; what starts from there is left out" if task.run.kind == "trunk" else ""
                say(f"{task.run.id} diverged at step {event[2]}{rest}", "yellow")
        self._advance()
        if not console.is_terminal:
            self._plain()

    def _advance(self) -> None:
        self._progress.update(self._bar, completed=self._base + sum(self._done.values()))

    def _plain(self) -> None:
        now = time.monotonic()
        worked = sum(self._done.values())
        if self._began is None or now - self._spoke < _PLAIN_EVERY or worked < _TELLING * self._total:
            return
        self._spoke = now
        left = (self._total - self._base - worked) / (worked / (now - self._began))
        console.print(f"trained {(self._base + worked) / self._total:.0%}, about {left:.0f} s left")

    def __enter__(self) -> SweepProgress:
        self._advance()
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()


@contextmanager
def steps(title: str) -> Iterator[Any]:
    """A bar for named steps, each with its own count and time left: yields a function (name, done, total)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=22),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        bar = progress.add_task(title, total=None)
        before, total_before = 0, 0
        began, first = time.monotonic(), 0
        spoke = began

        def show(name: str, done: int, total: int) -> None:
            nonlocal before, total_before, began, first, spoke
            now = time.monotonic()
            if total != total_before or done < before:  # a step that counts anew
                began, first = now, done
                progress.reset(bar, total=max(total, 1))
            before, total_before = done, total
            progress.update(bar, description=f"{title}: {name}")
            progress.update(bar, completed=done, total=max(total, 1))
            if not console.is_terminal and now - spoke >= _PLAIN_EVERY and done > first:
                spoke = now
                left = (total - done) * (now - began) / (done - first)
                console.print(f"{title}: {name} {done / total:.0%}, about {left:.0f} s left")

        yield show


def outcome_sentences(outcome: Outcome) -> list[str]:
    """What to do about runs that are left out."""
    count = len(outcome.diverged)
    if not count:
        return []
    return [f"{count} run{'s' if count > 1 else ''} diverged; a lower training.lr may help"]
