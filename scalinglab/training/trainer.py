"""Training one run: state in, updates, state out. The schedule and the data follow from the step alone."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalinglab.ladder.definition import Run
from scalinglab.ladder.parametrisation import parametrise
from scalinglab.ladder.schedule import WSD
from scalinglab.training import checkpoint
from scalinglab.training.data import Mixture, evaluation_windows
from scalinglab.training.model import Transformer
from scalinglab.training.optimiser import Optimiser

LOG_EVERY = 10
"""Updates a metrics record averages over. A run can be stopped at multiples of it."""

_EVALUATION_BATCH = 32
"""Sequences measured at once; it bounds memory and has no effect on the figures."""


@dataclass(frozen=True)
class Streams:
    """The corpus as the trainer needs it: byte streams by source, for training and held out."""

    train: dict[str, NDArray[np.uint8]]
    heldout: dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Evaluation:
    """Held-out loss of one set, nats per byte, with the standard error over its windows."""

    loss: float
    se: float
    tokens: int


class Trainer:
    """A run's model, optimiser and data at some step. One single thread on a CPU."""

    def __init__(self, run: Run, streams: Streams, device: str = "cpu") -> None:
        self.run = run
        self.device = torch.device(device)
        scales = parametrise(run.parametrisation, run.shape, run.width_base, run.scaling, run.optimiser)
        self.model = Transformer(run.shape, scales, self.device)
        names = [name for name, _ in run.weights]
        self.mixture = Mixture(
            [streams.train[name] for name in names],
            [weight for _, weight in run.weights],
            run.shape.context,
            run.seed,
        )
        self._heldout = {
            name: evaluation_windows(streams.heldout[name], run.shape.context, run.heldout_windows)
            for name in names
        }
        self.optimiser = Optimiser(self.model, run.optimiser, run.lr, run.weight_decay, run.betas)
        self.reset()

    def reset(self) -> None:
        """Back to fresh weights at step 0."""
        self.model.initialise(self.run.seed)
        self.optimiser.clear()
        self.step = 0

    def train(
        self,
        end: int,
        schedule: WSD,
        log: Callable[[dict[str, float]], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Update until `end` updates are finished. False when `should_stop` said so before.

        `log` takes a record every LOG_EVERY updates and at the end: step, tokens, mean training loss
        since the last one, learning rate, norm of the last gradient before clipping, seconds.
        """
        sequences = self.run.batch_tokens // self.run.shape.context
        losses: list[Tensor] = []
        began = time.perf_counter()
        while self.step < end:
            inputs, targets = self.mixture.batch(self.step * sequences, sequences)
            self.optimiser.zero()
            loss = self.model.loss(self._put(inputs), self._put(targets))
            loss.backward()
            norm = self._clip()
            factor = schedule.factor(self.step)
            self.optimiser.step(factor)
            self.step += 1
            losses.append(loss.detach())
            if self.step % LOG_EVERY == 0 or self.step == end:
                mean = float(torch.stack(losses).double().mean())
                losses.clear()
                if not math.isfinite(mean):
                    raise Diverged(self.step)
                now = time.perf_counter()
                log(
                    {
                        "step": self.step,
                        "tokens": self.step * self.run.batch_tokens,
                        "loss": mean,
                        "lr": factor * self.run.lr,
                        "grad_norm": float(norm),
                        "seconds": round(now - began, 4),
                    }
                )
                began = now
                if self.step < end and should_stop():
                    return False
        return True

    def evaluate(self) -> dict[str, Evaluation]:
        """Held-out loss of every set: the mean over its windows and the error of that mean.

        Raises Diverged when a loss is not a number.
        """
        found = {}
        for name, (inputs, targets) in self._heldout.items():
            means = []
            with torch.no_grad():
                for i in range(0, len(inputs), _EVALUATION_BATCH):
                    part = slice(i, i + _EVALUATION_BATCH)
                    losses = self.model.losses(self._put(inputs[part]), self._put(targets[part]))
                    means.append(losses.double().mean(1).cpu().numpy())
            windows = np.concatenate(means)
            if not np.isfinite(windows).all():
                raise Diverged(self.step)
            error = float(windows.std(ddof=1) / math.sqrt(len(windows)))
            found[name] = Evaluation(float(windows.mean()), error, inputs.size)
        return found

    def save(self, path: Path) -> None:
        """Write the whole state: weights, the optimiser's moments by tensor name, the step."""
        state = {f"model.{name}": tensor for name, tensor in self.model.p.items()}
        checkpoint.save(path, state | self.optimiser.state(), self.run.id, self.step)

    def load(self, path: Path) -> None:
        """Take over a state that `save` wrote, of this run or of the trunk it forks from."""
        state, self.step = checkpoint.load(path)
        with torch.no_grad():
            for name, tensor in self.model.p.items():
                tensor.copy_(state[f"model.{name}"])
        self.optimiser.load(state, self.step)

    def _clip(self) -> Tensor:
        """Scale all gradients down together when their norm exceeds the run's limit."""
        gradients = [part.flat.grad for part in self.model.parts if part.flat.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        scale = (self.run.clip / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
        return norm

    def _put(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)


class Diverged(RuntimeError):
    """The training loss is no longer a number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}; lower training.lr")
        self.step = step
