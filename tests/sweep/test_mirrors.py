"""Metrics shown elsewhere: what a mirror is told, and that the real one can be read back."""

from pathlib import Path

import pytest

from scalinglab.errors import InputError
from scalinglab.records.follow import Follower
from scalinglab.records.store import StudyFolder
from scalinglab.sweep.mirrors import feed, mirror_of, mirrored

NEWS = [
    ("a", {"kind": "begin", "step": 0}),
    (
        "a",
        {
            "kind": "train",
            "step": 10,
            "tokens": 640,
            "loss": 3.0,
            "lr": 0.1,
            "grad_norm": 0.5,
            "seconds": 1.0,
        },
    ),
    ("a", {"kind": "eval", "step": 10, "sets": {"wiki": {"loss": 2.5}, "code": {"loss": 1.5}}}),
]


class Seen:
    def __init__(self) -> None:
        self.lines: list[tuple[str, int, dict[str, float]]] = []

    def write(self, run_id: str, step: int, values: dict[str, float]) -> None:
        self.lines.append((run_id, step, values))

    def close(self) -> None: ...


def test_training_and_held_out_losses_are_passed_on() -> None:
    seen = Seen()
    feed(NEWS, [seen])
    assert seen.lines == [
        ("a", 10, {"train/loss": 3.0, "train/lr": 0.1, "train/grad_norm": 0.5, "train/tokens": 640.0}),
        ("a", 10, {"heldout/wiki": 2.5, "heldout/code": 1.5}),
    ]


def test_an_unknown_mirror_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--mirror mlflow: choose tensorboard, .* wandb or wandb:PROJECT"):
        mirror_of("mlflow", StudyFolder(tmp_path))


def test_without_a_mirror_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(follower: Follower) -> None:
        raise AssertionError("read for nobody")

    monkeypatch.setattr(Follower, "news", read)
    with mirrored([], StudyFolder(tmp_path)) as pass_on:
        pass_on()


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    mirror = mirror_of("tensorboard", StudyFolder(tmp_path))
    feed(NEWS, [mirror])
    mirror.close()
    events = EventAccumulator(str(tmp_path / "tensorboard" / "a"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("heldout/wiki")] == [(10, 2.5)]
