"""The local engine: worker processes on this machine, single-thread ones a core, or one a GPU.

Workers are plain processes, not multiprocessing's: those run the caller's script once more. Several that train one
model form a team: each is given every task, the first speaks and writes, the others only compute.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from scalinglab.corpus.streams import SourceFiles
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.sweep.devices import visible_devices
from scalinglab.sweep.engine import Event, Needs, Report
from scalinglab.sweep.graph import Task
from scalinglab.sweep.schedule_tasks import Outcome, Watch, schedule
from scalinglab.sweep.throughput import cores
from scalinglab.sweep.worker import STOP

# two threads a core wait for each other; read by the numeric libraries at their first import
SINGLE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
_WORKER = "from scalinglab.sweep.worker import main; main()"
_PATIENCE = 5.0  # seconds that a process has to end by itself

SAVE_EVERY = 30.0
"""Seconds between a worker's rolling checkpoints: what a kill can cost, and a few updates."""


def run_tasks(
    todo: Sequence[Task],
    folder: Path,
    streams: Mapping[str, SourceFiles],
    workers: int | None,
    watch: Watch = lambda event: None,
    save_every: float = SAVE_EVERY,
    processes_per_task: int = 1,
    device: str | None = None,
) -> Outcome:
    """Do all tasks on this machine, each after the one it needs; returns when all are done, failed or stopped.

    workers: processes to train with, by default one a GPU where there are any that torch can use, else one a core.
    processes_per_task: how many of them share a task. device: "cuda" for a GPU a task, else the CPU.
    Interrupts as in `schedule`. Raises InputError where a batch cannot be shared evenly, EnvironmentProblem when the
    machine lacks something, as disk space or a GPU for each process of a task.
    """
    check_shares(todo, processes_per_task)
    devices = visible_devices() if device == "cuda" and todo else ()
    if device == "cuda" and not devices and todo:
        raise EnvironmentProblem("torch finds no GPU on this machine; leave out --device cuda")
    if 0 < len(devices) < processes_per_task:
        raise EnvironmentProblem(
            f"{processes_per_task} processes a task need a GPU each and there are {len(devices)}; "
            "take fewer, or --device cpu"
        )
    engine = LocalEngine(folder, streams, workers or len(devices) or cores(), save_every, devices)
    return schedule(todo, engine, Needs(processes_per_task, processes_per_task if devices else 0), watch)


def check_shares(todo: Sequence[Task], processes: int) -> None:
    """Raises InputError for a run with a batch that so many processes cannot share evenly."""
    for run in {task.run.id: task.run for task in todo}.values():
        for tokens in (run.batch_tokens, *(batch for _, batch in run.ramp)):
            sequences = tokens // run.shape.context
            if sequences % processes:
                raise InputError(
                    f"{run.id}: a batch of {sequences} sequences cannot be shared evenly by {processes} processes; "
                    f"choose a number that divides {sequences}"
                )


@dataclass(eq=False)
class _Team:
    """The processes that work on one task at a time; mostly a single one."""

    needs: Needs
    devices: tuple[str, ...]
    meeting: Path | None
    """Folder in which several find each other."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    pipes: list[Connection] = field(default_factory=list)
    ready: bool = False
    ticket: int | None = None
    task: Task | None = None

    def close(self, kill: bool = False) -> None:
        """End the processes: by themselves when nobody is left to speak to, or at once."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            if kill:
                process.kill()
        for process in self.processes:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.meeting is not None:
            shutil.rmtree(self.meeting, ignore_errors=True)


class LocalEngine:
    """An `Engine` of at most `workers` busy processes, started as tasks ask for them and kept for the next ones.

    folder: the study's. streams: source -> its files. devices: GPUs as CUDA_VISIBLE_DEVICES names them; a process that
    needs one takes the least used. A task that needs more processes than there are workers runs alone.
    """

    def __init__(
        self,
        folder: Path,
        streams: Mapping[str, SourceFiles],
        workers: int,
        save_every: float = SAVE_EVERY,
        devices: Sequence[str] = (),
    ) -> None:
        self._first_message = (folder.resolve(), dict(streams), save_every)
        self._workers, self._devices = workers, tuple(devices)
        self._teams: list[_Team] = []
        self._tickets = itertools.count()
        self._told: list[Report] = []  # what came of `cancel`, for the next `wait`

    def has_room(self, needs: Needs) -> bool:
        busy = sum(team.needs.processes for team in self._teams if team.task is not None)
        return busy == 0 or busy + needs.processes <= self._workers

    def submit(self, task: Task, needs: Needs) -> int:
        idle = (team for team in self._teams if team.task is None and team.needs == needs)
        team = next(idle, None) or self._start(needs)
        team.task, team.ticket = task, next(self._tickets)
        for pipe in team.pipes:
            with suppress(OSError):  # one that has just died is found by `wait`
                pipe.send(task)
        return team.ticket

    def wait(self, timeout: float) -> list[Report]:
        told, self._told = self._told, []
        if told:
            return told
        sources: dict[Any, tuple[_Team, int]] = {
            pipe: (team, rank) for team in self._teams for rank, pipe in enumerate(team.pipes)
        }
        # the first of a team before the others: what they say is often only that it has gone
        spoke = sorted((sources[pipe] for pipe in wait(list(sources), timeout)), key=lambda source: source[1])
        for team, rank in spoke:
            if team not in self._teams:
                continue
            try:
                event = team.pipes[rank].recv()
            except (EOFError, OSError):
                told += self._vanished(team, rank)
            else:
                told += self._heard(team, rank, event)
        return told

    def cancel(self) -> None:
        for team in list(self._teams):
            if team.task is not None and not team.ready and not team.pipes[0].poll():
                self._told.append((team.ticket, ("stopped", team.task.id)))  # it has not begun
                self._drop(team)
                continue
            with suppress(OSError):
                team.pipes[0].send(STOP)

    def close(self) -> None:
        for team in self._teams:
            for pipe in team.pipes:
                pipe.close()  # a worker ends when nobody is left to speak to
        for team in self._teams:
            team.close()
        self._teams.clear()

    def _start(self, needs: Needs) -> _Team:
        several = needs.processes > 1
        meeting = Path(tempfile.mkdtemp(prefix="scalinglab-")) if several else None
        team = _Team(needs, self._least_used(needs.devices), meeting)
        self._teams.append(team)  # before its processes, so that an interrupt leaves none behind
        environment = os.environ | SINGLE_THREAD
        if team.devices:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(team.devices)
        for rank in range(needs.processes):
            device = f"cuda:{rank}" if needs.devices else "cpu"
            place = [str(rank), str(needs.processes), str(meeting / "store")] if meeting else []
            ours, theirs = Pipe()
            team.pipes.append(ours)
            process = subprocess.Popen(
                [sys.executable, "-c", _WORKER, str(theirs.fileno()), device, *place],
                env=environment,
                pass_fds=[theirs.fileno()],
                process_group=0,  # a Ctrl-C in the terminal is for the parent alone
            )
            team.processes.append(process)
            theirs.close()
            with suppress(OSError):
                ours.send(self._first_message)
        return team

    def _least_used(self, count: int) -> tuple[str, ...]:
        used = [device for team in self._teams for device in team.devices]
        return tuple(sorted(self._devices, key=used.count)[:count])

    def _heard(self, team: _Team, rank: int, event: Event) -> list[Report]:
        kind = event[0]
        if kind == "ready":
            if rank:
                return []
            team.ready = True
            return [(None, event)]
        if team.task is None:
            return []
        report = (team.ticket, event)
        if kind != "progress":
            team.task = team.ticket = None
        if kind in ("failed", "unable") and team.needs.processes > 1:
            self._drop(team)  # the others may be waiting for a partner that has given up
        return [report]

    def _vanished(self, team: _Team, rank: int) -> list[Report]:
        """A process ended by itself, killed for memory perhaps; the others of its team can do nothing without it."""
        with suppress(subprocess.TimeoutExpired):
            team.processes[rank].wait(_PATIENCE)
        code, task, ticket = team.processes[rank].poll(), team.task, team.ticket
        self._drop(team)
        if not team.ready:
            raise EnvironmentProblem(
                "a worker process ended before it began (see above); is the extra `train` installed?"
            )
        if task is None:
            return []
        return [(ticket, ("lost", task.id, f"its worker process ended (exit code {code})"))]

    def _drop(self, team: _Team) -> None:
        self._teams.remove(team)
        team.close(kill=True)
