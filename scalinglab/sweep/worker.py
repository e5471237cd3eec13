"""One worker: a single-thread process that does one task after another, alone or as one of a team.

It is sent (folder, streams, seconds between rolling checkpoints), then tasks, or STOP, and ends when the pipe does.
It answers in tuples whose first entry names the event:
("ready", process id), ("progress", task id, step, loss), ("done", task id), ("stopped", task id),
("diverged", task id, step), ("failed", task id, sentence), ("unable", task id, sentence) where the
machine lacks something that no other task will find either.

Of a team, every process is sent the same tasks and trains its part of each; the first alone is sent STOP, writes and
tells. The others are silent unless they fail. A process of a team that fails ends: its partners may be anywhere.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from scalinglab.corpus.streams import SourceFiles, open_files
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.ladder.definition import Run
from scalinglab.records.store import RunFolder, StudyFolder
from scalinglab.sweep.divergence import LossWatch
from scalinglab.sweep.graph import Task

STOP = "stop"
"""Sent by the parent: save where you are and take no further task."""


@dataclass(frozen=True)
class Place:
    """Where a worker computes, and its rank in a team of `size`."""

    device: str = "cpu"
    """As torch names it; a GPU only if torch has one here."""
    rank: int = 0
    size: int = 1
    meeting: str = ""
    """The file by which a team finds itself."""


def work(pipe: Connection, place: Place = Place()) -> None:
    """Take tasks off the pipe until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    folder: Path
    streams: dict[str, SourceFiles]
    save_every: float
    _end_with(os.getppid())
    folder, streams, save_every = pipe.recv()
    import torch

    from scalinglab.training import Streams

    torch.set_num_threads(1)
    device = _join(place)
    text = Streams(*open_files(streams))

    def should_stop() -> bool:
        if place.rank:
            return False  # the first one's answer counts
        try:
            return pipe.poll() and pipe.recv() == STOP
        except (EOFError, OSError):
            os._exit(1)  # the parent was killed; another process may own the folder by now

    store = StudyFolder(folder)

    def tell(event: tuple[object, ...]) -> None:
        try:
            pipe.send(event)
        except OSError:
            os._exit(1)

    def tell_first(event: tuple[object, ...]) -> None:
        if place.rank == 0:
            tell(event)

    tell(("ready", os.getpid()))
    while True:
        try:
            task: Task | str = pipe.recv()
        except (EOFError, OSError):
            return
        if not isinstance(task, Task):
            return
        try:
            tell_first(perform(task, store, text, save_every, tell_first, should_stop, device, place.rank))
            continue
        except EnvironmentProblem as error:
            tell(("unable", task.id, str(error)))
        except InputError as error:
            tell(("failed", task.id, str(error)))
        except Exception:
            tell(("failed", task.id, traceback.format_exc()))
        if place.size > 1:
            os._exit(1)  # without the farewells of a group that hangs


def _join(place: Place) -> str:
    """Become one of the team. Returns the device to compute on."""
    import torch
    import torch.distributed as dist

    on_gpu = place.device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(place.device)
    if place.size > 1:
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            init_method=f"file://{place.meeting}",
            rank=place.rank,
            world_size=place.size,
        )
    return place.device if on_gpu else "cpu"


def _end_with(parent: int) -> None:
    """End this process when its parent was killed: another one may want to train the run at once.

    The pipe tells so too, but only every few updates, which can be minutes.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def perform(
    task: Task,
    store: StudyFolder,
    text: "Streams",  # type: ignore[name-defined] # noqa: F821 (torch stays unimported until work begins)
    save_every: float,
    tell: Callable[[tuple[object, ...]], None],
    should_stop: Callable[[], bool],
    device: str = "cpu",
    rank: int = 0,
) -> tuple[object, ...]:
    """Train a task to its end, or to where it is stopped, and say which.

    The measurement is written last: a task without it is done again, from its rolling checkpoint
    where there is one. In a team every process makes this call, and only that of rank 0 changes files. While another
    process is training the run, as `fork` and `extend` may between two tasks of a sweep, it waits for that to end.
    """
    folder = store.run(task.run.id)
    if rank:
        return _train(task, store, folder, text, save_every, tell, should_stop, device)
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(folder.locked())  # waits a moment by itself
                break
            except InputError:  # a process that died holds no lock: this one is at work
                if should_stop():
                    return ("stopped", task.id)
        folder.create(manifest(task))
        folder.sweep_up()
        return _train(task, store, folder, text, save_every, tell, should_stop, device)


def _train(
    task: Task,
    store: StudyFolder,
    folder: RunFolder,
    text: "Streams",  # type: ignore[name-defined] # noqa: F821
    save_every: float,
    tell: Callable[[tuple[object, ...]], None],
    should_stop: Callable[[], bool],
    device: str,
) -> tuple[object, ...]:
    from scalinglab.training import Diverged, Trainer, software

    trainer = Trainer(task.run, text, device, task.probe)
    world, first = trainer.world, trainer.world.rank == 0
    if not first:
        world.wait()  # what is damaged has been removed by then
    _load(trainer, task, store, folder)
    if first:
        world.wait()
    _same_place(task, trainer, store)
    before = folder.read_metrics().train
    watch = LossWatch(task.run.shape.vocab)
    for step in sorted(step for step in before if step <= trainer.step):
        watch.spiked(step, before[step]["loss"])
    saved = time.monotonic()

    with ExitStack() as stack:
        log = stack.enter_context(folder.open_log()) if first else None

        def note(kind: str, entry: dict[str, Any]) -> None:
            if log is not None:
                log.append(kind, entry)

        def flush() -> None:
            if log is not None:
                log.flush()

        def record(entry: dict[str, float]) -> None:
            note("train", entry)
            tell(("progress", task.id, entry["step"], entry["loss"]))
            if watch.spiked(int(entry["step"]), entry["loss"]):
                raise Diverged(watch.since, watch.reason)

        def pause() -> bool:
            nonlocal saved
            stop = world.agreed(should_stop())
            # clocks differ, and all have to save together
            if world.agreed(stop or time.monotonic() - saved >= save_every):
                flush()
                trainer.save(folder.resume_path)
                saved = time.monotonic()
            return stop

        note("begin", {"step": trainer.step, **software(task.run), **_where(trainer)})
        if task.run.averaged:
            note("eval", _measurement(task, trainer, trainer.evaluate()))
            flush()
            return ("done", task.id)
        try:
            finished = trainer.train(task.end, record, pause)
            if not finished:
                return ("stopped", task.id)
            sets = trainer.evaluate()
        except Diverged as error:
            note("diverged", {"step": error.step, "reason": error.reason})
            flush()
            if first:
                folder.resume_path.unlink(missing_ok=True)
            return ("diverged", task.id, error.step)
        trainer.save(folder.checkpoint_path(task.end))
        if first:
            folder.resume_path.unlink(missing_ok=True)  # before the record: nobody comes back here after it
        note("eval", _measurement(task, trainer, sets))
        flush()
    return ("done", task.id)


def _same_place(task: Task, trainer: "Trainer", store: StudyFolder) -> None:  # type: ignore[name-defined] # noqa: F821
    """Raises InputError where the run, or the trunk it forks from, was computed in a way that rounds otherwise."""
    here = (trainer.device.type, trainer.world.size)
    for run_id in dict.fromkeys((task.run.id, task.source[0] if task.source else task.run.id)):
        metrics = store.run(run_id).read_metrics()
        if metrics.begins and (metrics.device, metrics.processes) != here:
            there = f"{metrics.device} with {metrics.processes} process(es) a task"
            raise InputError(
                f"{run_id} was trained on {there}, and here it would be {here[0]} with {here[1]}, which rounds "
                "otherwise; give --device and --processes-per-task as they were, or take another folder"
            )


def _where(trainer: "Trainer") -> dict[str, object]:  # type: ignore[name-defined] # noqa: F821
    """What `software` does not say of where a run is computed: nothing, for one process on a CPU."""
    found: dict[str, object] = {}
    if trainer.device.type == "cuda":
        import torch

        found["device"] = f"cuda: {torch.cuda.get_device_name(trainer.device)}"
    if trainer.world.size > 1:
        found["processes"] = trainer.world.size
    return found


def _measurement(task: Task, trainer: "Trainer", sets: dict[str, Any]) -> dict[str, Any]:  # type: ignore[name-defined] # noqa: F821
    """The record of a held-out measurement, and of the text that the model has seen by then."""
    run, batches = task.run, task.run.batches
    own = {"recipe": task.recipe} if run.kind == "full" else {}  # its ends may be of several recipes
    samples = batches.samples_before(task.end, run.shape.context)
    epochs = zip(run.weights, trainer.mixture.epochs(samples), strict=True)
    seen = batches.tokens_at(task.end)
    return {
        "step": task.end,
        "tokens": seen,
        "unique_tokens": trainer.mixture.unique_tokens(samples),
        "epochs": {name: round(epochs, 6) for (name, _), epochs in epochs},
        "batch_tokens": batches.at(task.end - 1),
        "decay_share": _decay_share(run, task.end),
        **own,
        "sets": {name: found.record() for name, found in sets.items()},
    }


def _decay_share(run: Run, end: int) -> float:
    """Share of the tokens up to `end` that the decay took which ends there, or at the floor before it."""
    phases = [phase for phase in run.schedule.phases(end) if phase.name != "floor"]
    if not phases or phases[-1].name != "decay":
        return 0.0
    batches = run.batches
    return (batches.tokens_at(phases[-1].end) - batches.tokens_at(phases[-1].start)) / batches.tokens_at(end)


def manifest(task: Task) -> dict[str, object]:
    """What is written of a run before its first step."""
    from scalinglab._version import __version__

    run, shape = task.run, task.run.shape
    return {
        "id": run.id,
        "kind": run.kind,
        "size": shape.name,
        "recipe": task.recipe,
        "origin": task.origin,
        "parent": run.parent,
        "start": run.start,
        "end": run.end if run.kind in ("branch", "merge") else None,
        "schedule_name": run.schedule.name.replace("wsd", "merge") if run.averaged else run.schedule.name,
        "counts": {
            "params": shape.params,
            "params_total": shape.params_total,
            **{f"params_{part}": count for part, count in shape.counts().items()},
            "flops_per_token": shape.flops_exact(),
        },
        "definition": run.definition(),
        "code": __version__,
    }


def _load(trainer: "Trainer", task: Task, store: StudyFolder, folder: RunFolder) -> None:  # type: ignore[name-defined] # noqa: F821
    """Bring the trainer as far as the task was ever taken: to its end, an interruption, or its start."""
    if task.run.averaged:
        trunk = store.run(str(task.run.parent))
        trainer.average([trunk.checkpoint_path(step) for step in task.run.averaged])
        return
    for path in (folder.checkpoint_path(task.end), folder.resume_path):
        if not path.exists():
            continue
        try:
            trainer.load(path)
        except InputError:
            path.unlink()  # damaged: what lies before it is as good, only further back
        else:
            if task.start < trainer.step <= task.end:
                return
    if task.source is None:
        trainer.reset()
    else:
        run_id, step = task.source
        trainer.load(store.run(run_id).checkpoint_path(step))


def main() -> None:
    """`python -c … FILE_DESCRIPTOR [DEVICE [RANK SIZE MEETING]]`: the pipe's end that was inherited from the engine."""
    descriptor, device, rank, size, meeting = [*sys.argv[1:], *["cpu", "0", "1", ""][len(sys.argv) - 2 :]]
    work(Connection(int(descriptor)), Place(device, int(rank), int(size), meeting))
