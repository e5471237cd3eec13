"""The local engine: one single-thread worker process a core, tasks handed out most urgent first."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from scalinglab.corpus.streams import SourceFiles
from scalinglab.errors import EnvironmentProblem
from scalinglab.sweep.graph import Task, urgency
from scalinglab.sweep.worker import STOP

# two threads a core wait for each other; read by the numeric libraries at their first import
SINGLE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
_WORKER = "from scalinglab.sweep.worker import main; main()"
_ATTEMPTS = 2  # a failed task is tried once more

SAVE_EVERY = 30.0
"""Seconds between a worker's rolling checkpoints: what a kill can cost, and a few updates."""

Watch = Callable[[tuple[Any, ...]], None]
"""Takes a worker's event, and ("start", task) when a task is handed out."""


@dataclass
class Outcome:
    """What became of the tasks."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Task id -> sentence, after the last attempt."""
    diverged: list[str] = field(default_factory=list)
    stopped: bool = False
    """An interrupt ended the work; every task in progress was saved."""


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    pipe: Connection
    task: Task | None = None
    ready: bool = False


def run_tasks(
    todo: Sequence[Task],
    folder: Path,
    streams: Mapping[str, SourceFiles],
    workers: int,
    watch: Watch = lambda event: None,
    save_every: float = SAVE_EVERY,
) -> Outcome:
    """Do all tasks, each after the one it needs; returns when all are done, failed or stopped.

    Ctrl-C or a request to terminate ends the work in good order: workers save where they are. A second
    Ctrl-C does not wait for them. A task that is left out because the one it needs failed or diverged
    appears nowhere in the outcome. Raises EnvironmentProblem when the machine lacks something, as disk space.
    """
    outcome, order = Outcome(), urgency(todo)
    pending = {task.id: task for task in todo}
    waiting_for = {task.id: task.needs for task in todo if task.needs in pending}
    attempts: dict[str, int] = {}
    crew: list[_Worker] = []

    def ready() -> list[Task]:
        return [task for id_, task in pending.items() if id_ not in waiting_for]

    def start_worker() -> _Worker:
        # a plain process of its own, not multiprocessing's: that one runs the caller's script once more
        ours, theirs = Pipe()
        command = [sys.executable, "-c", _WORKER, str(theirs.fileno())]
        process = subprocess.Popen(
            command,
            env=os.environ | SINGLE_THREAD,
            pass_fds=[theirs.fileno()],
            process_group=0,  # a Ctrl-C in the terminal is for the parent alone
        )
        theirs.close()
        ours.send((folder.resolve(), dict(streams), save_every))
        worker = _Worker(process, ours)
        crew.append(worker)
        return worker

    def hand_out() -> None:
        for worker in crew:
            candidates = ready()
            if worker.ready and worker.task is None and candidates and not outcome.stopped:
                worker.task = pending.pop(max(candidates, key=lambda task: order[task.id]).id)
                watch(("start", worker.task))
                with suppress(OSError):  # one that has just died is found by drain
                    worker.pipe.send(worker.task)

    def settle(worker: _Worker, event: tuple[Any, ...]) -> None:
        """Take in one event of a worker."""
        kind, task = event[0], worker.task
        if kind == "ready":
            worker.ready = True
        elif kind == "unable":
            raise EnvironmentProblem(event[2])
        elif task is not None and kind != "progress":
            worker.task = None
            if kind == "done":
                outcome.done.append(task.id)
                for id_ in [id_ for id_, needed in waiting_for.items() if needed == task.id]:
                    del waiting_for[id_]
            elif kind == "diverged":
                outcome.diverged.append(task.id)
            elif kind == "failed":
                attempts[task.id] = attempts.get(task.id, 0) + 1
                if attempts[task.id] < _ATTEMPTS:
                    pending[task.id] = task
                else:
                    outcome.failed[task.id] = event[2]
        watch(event)

    def lost(worker: _Worker) -> None:
        """A worker process ended by itself, killed for memory perhaps."""
        crew.remove(worker)
        if worker.task is None and not worker.ready:
            raise EnvironmentProblem(
                "a worker process ended before it began (see above); is the extra `train` installed?"
            )
        if worker.task is not None:
            sentence = f"its worker process ended (exit code {worker.process.returncode})"
            settle(worker, ("failed", worker.task.id, sentence))
        if ready() and not outcome.stopped:
            start_worker()

    def drain() -> None:
        """Wait for some worker to speak or end, and take it in."""
        sources: dict[Any, _Worker] = {worker.pipe: worker for worker in crew}
        for pipe in wait(list(sources), timeout=1.0):
            worker = sources[pipe]
            try:
                settle(worker, worker.pipe.recv())
            except (EOFError, OSError):
                _end(worker.process)
                lost(worker)

    with _interrupts() as interrupted:
        try:
            for _ in range(min(workers, len(todo))):
                start_worker()
            while any(worker.task for worker in crew) or (ready() and not outcome.stopped):
                if interrupted and not outcome.stopped:
                    outcome.stopped = True
                    for worker in crew:
                        with suppress(OSError):
                            worker.pipe.send(STOP)
                hand_out()
                drain()
        finally:
            _dismiss(crew)
    return outcome


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Yields a list that a first Ctrl-C fills; a second one raises KeyboardInterrupt as ever.

    An exception in the middle of reading a worker's message would lose the rest of it.
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


def _dismiss(crew: Sequence[_Worker]) -> None:
    for worker in crew:
        worker.pipe.close()  # a worker ends when nobody is left to speak to
    for worker in crew:
        _end(worker.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that should be ending; kill it when it does not."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
