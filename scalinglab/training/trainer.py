"""Training one run: state in, updates, state out. The schedule and the data follow from the step alone."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalinglab.ladder.definition import Run
from scalinglab.ladder.merge import merge_weights
from scalinglab.ladder.needs import EVALUATION_BATCH, LOG_EVERY
from scalinglab.ladder.parametrisation import parametrise
from scalinglab.training import checkpoint
from scalinglab.training.data import Mixture, Stream, evaluation_windows
from scalinglab.training.model import Transformer
from scalinglab.training.optimiser import Optimiser
from scalinglab.training.probe import Probe
from scalinglab.training.world import World

_COMPILED_SHAPES = 4096
"""Shapes and batches that one process may compile: more than any study has."""


@dataclass(frozen=True)
class Streams:
    """The corpus as the trainer needs it: token streams by source, for training and held out."""

    train: dict[str, Stream]
    heldout: dict[str, Stream]
    token_bytes: dict[str, NDArray[np.float64] | None] | None = None
    """Bytes of text by token id; None where nobody knows, and of all where a token is a byte."""


@dataclass(frozen=True)
class Evaluation:
    """Held-out loss of one set, nats per token and per byte, with the standard errors over its windows."""

    loss: float
    se: float
    tokens: int
    bytes: int
    """Of text that these tokens are; 0 where nobody knows."""
    se_per_byte: float = 0.0

    @classmethod
    def of_windows(cls, losses: NDArray[np.float64], tokens: int, sizes: NDArray[np.float64] | None) -> Self:
        """losses: of each window, the mean over its tokens. sizes: bytes of each window; None where nobody knows.

        The loss per byte is a ratio of two sums over windows, Σ loss / Σ bytes, and its standard error that of a ratio
        estimator (Cochran 1977, chapter 6): the spread of how far each window's loss lies off ratio · bytes. Where
        windows hold equally many bytes that is the error per token over bytes per token.
        """
        count = len(losses)
        loss, se = float(losses.mean()), float(losses.std(ddof=1) / math.sqrt(count))
        if sizes is None:
            return cls(loss, se, tokens, 0)
        bytes_ = round(float(sizes.sum()))
        if (sizes == sizes[0]).all():
            return cls(loss, se, tokens, bytes_, se * (tokens / bytes_))
        sums = losses * (tokens / count)
        off = sums - sums.sum() / sizes.sum() * sizes
        spread = math.sqrt(float((off**2).sum()) / (count - 1) / count)
        return cls(loss, se, tokens, bytes_, spread / float(sizes.mean()))

    def record(self) -> dict[str, float]:
        """For the metrics, per token and per byte."""
        found = {"loss": self.loss, "se": self.se, "tokens": self.tokens, "bytes": self.bytes}
        if not self.bytes:
            return found
        tokens_per_byte = self.tokens / self.bytes
        return found | {"loss_per_byte": self.loss * tokens_per_byte, "se_per_byte": self.se_per_byte}


def software(run: Run) -> dict[str, str]:
    """What computes: on another version or processor the same run differs in its last bits."""
    return {
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "code": "compiled" if run.compiled else "eager",
    }


class Trainer:
    """A run's model, optimiser and data at some step. One single thread on a CPU.

    In a group of processes (torch.distributed) each has a Trainer of its own and all make the same calls. Their
    weights and figures are the same in all, bit for bit; beside those of one process they differ in the last digits.
    probe: of how many updates one is looked at more closely, which records then tell of; 0 of none. It changes nothing
    of what is trained. Raises InputError where a batch of the run cannot be shared evenly by the processes.
    """

    def __init__(self, run: Run, streams: Streams, device: str = "cpu", probe: int = 0) -> None:
        self.run = run
        self.device = torch.device(device)
        self.world = World(self.device)
        for batch in (run.batch_tokens, *(batch for _, batch in run.ramp)):
            self.world.part(batch // run.shape.context)  # refused here, not in the midst of a ramp
        scales = parametrise(run.parametrisation, run.shape, run.width_base, run.scaling, run.optimiser)
        self.model = Transformer(run.shape, scales, self.device)
        names = [name for name, _ in run.weights]
        self.mixture = Mixture(
            [streams.train[name] for name in names],
            [weight for _, weight in run.weights],
            run.shape.context,
            run.seed,
            [
                (run.batches.samples_before(step, run.shape.context), [weight for _, weight in weights])
                for step, weights in run.mixtures
            ],
        )
        self._loss = _compiled(self._mean_loss) if run.compiled else self._mean_loss
        self._heldout = {
            name: evaluation_windows(streams.heldout[name], run.shape.context, run.heldout_windows)
            for name in names
        }
        self._sizes = {
            name: _window_bytes(targets, streams.token_bytes, name)
            for name, (_, targets) in self._heldout.items()
        }
        self.optimiser = Optimiser(self.model, run.optimiser, run.lr, run.weight_decay, run.betas)
        weights = [part.flat for part in self.model.parts]
        self._probe = Probe(weights, self._gradients, probe) if probe else None
        self.reset()

    def reset(self) -> None:
        """Back to fresh weights at step 0."""
        self.model.initialise(self.run.seed)
        self.optimiser.clear()
        self.step = 0

    def train(
        self,
        end: int,
        log: Callable[[dict[str, float]], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Update until `end` updates are finished. False when `should_stop` said so before.

        `log` takes a record every LOG_EVERY updates and at the end: step, tokens, mean training loss
        since the last one, learning rate, norm of the last gradient before clipping, seconds; of a probed run also
        what `Probe.record` tells.
        Raises Diverged when a loss is not a number.
        """
        run, batches, probe = self.run, self.run.batches, self._probe
        losses: list[Tensor] = []
        if probe:
            probe.start()
        began = time.perf_counter()
        while self.step < end:
            loss = self._backward(self.step)
            if probe:
                if probe.open:
                    probe.end(self._averaged(loss))
                if self.step % probe.every == 0:
                    probe.begin(lambda: self._averaged(self._backward(self.step + 1)))
            norm = self._clip()
            factor = run.schedule.factor(self.step)
            self.optimiser.step(factor)
            self.step += 1
            losses.append(loss)
            if self.step % LOG_EVERY == 0 or self.step == end:
                seen = torch.stack(losses).double()
                self.world.average([seen])
                mean = float(seen.mean())
                losses.clear()
                if not math.isfinite(mean):
                    raise Diverged(self.step, "the training loss is not a finite number")
                if probe and probe.open:  # here, so that no record depends on where a run was interrupted
                    probe.end(self._averaged(self._backward(self.step)))
                now = time.perf_counter()
                log(
                    {
                        "step": self.step,
                        "tokens": batches.tokens_at(self.step),
                        "loss": mean,
                        "lr": factor * run.lr,
                        "grad_norm": float(norm),
                        "seconds": round(now - began, 4),
                        **(probe.record() if probe else {}),
                    }
                )
                began = now
                if self.step < end and self.world.agreed(should_stop()):
                    return False
        return True

    def evaluate(self) -> dict[str, Evaluation]:
        """Held-out loss of every set: the mean over its windows and the error of that mean.

        Processes share the windows, in the same parts whatever their number, and all know the result.
        Raises Diverged when a loss is not a number.
        """
        found = {}
        for name, (inputs, targets) in self._heldout.items():
            means = torch.zeros(len(inputs), dtype=torch.float64, device=self.device)
            rank, size = self.world.rank, self.world.size
            with torch.no_grad():
                for i in range(rank * EVALUATION_BATCH, len(inputs), size * EVALUATION_BATCH):
                    part = slice(i, i + EVALUATION_BATCH)
                    losses = self.model.losses(self._put(inputs[part]), self._put(targets[part]))
                    means[part] = losses.double().mean(1)
            self.world.total(means)
            windows = means.cpu().numpy()
            if not np.isfinite(windows).all():
                raise Diverged(self.step, f"the loss on {name} is not a finite number")
            found[name] = Evaluation.of_windows(windows, inputs.size, self._sizes[name])
        return found

    def save(self, path: Path) -> None:
        """Write the whole state: weights, the optimiser's moments by tensor name, the step.

        Of several processes the first writes, and all return when the file stands.
        """
        if self.world.rank == 0:
            state = {f"model.{name}": tensor for name, tensor in self.model.p.items()}
            checkpoint.save(path, state | self.optimiser.state(), self.run.id, self.step)
        self.world.wait()

    def load(self, path: Path) -> None:
        """Take over a state that `save` wrote, of this run or of the trunk it forks from."""
        state, self.step = checkpoint.load(path)
        with torch.no_grad():
            for name, tensor in self.model.p.items():
                tensor.copy_(state[f"model.{name}"])
        self.optimiser.load(state, self.step)

    def average(self, paths: Sequence[Path]) -> None:
        """Take over the average of the states that a merge names, weighed as its schedule's decay would.

        Weights alone: an average is not trained on, and the optimiser's moments stay clear.
        Raises InputError where a state is missing.
        """
        run = self.run
        weights = merge_weights(run.schedule, run.averaged)
        total = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in self.model.p.items()}
        for path, weight in zip(paths, weights, strict=True):
            state, _ = checkpoint.load(path)
            for name, tensor in total.items():
                tensor += weight * state[f"model.{name}"].to(tensor.device, torch.float64)
        with torch.no_grad():
            for name, tensor in self.model.p.items():
                tensor.copy_(total[name])
        self.step = run.end

    def _backward(self, step: int) -> Tensor:
        """Put the gradient of an update's batch into the buffers; returns the loss of this process's part of it."""
        context = self.run.shape.context
        first, count = self.world.part(self.run.batches.at(step) // context)
        first += self.run.batches.samples_before(step, context)
        inputs, targets = self.mixture.batch(first, count)
        self.optimiser.zero()
        loss = self._loss(self._put(inputs), self._put(targets))
        loss.backward()
        self.world.average(self._gradients)
        return loss.detach()

    def _averaged(self, loss: Tensor) -> Tensor:
        """Of the whole batch."""
        whole = loss.clone()
        self.world.average([whole])
        return whole

    @property
    def _gradients(self) -> list[Tensor]:
        return [part.flat.grad for part in self.model.parts if part.flat.grad is not None]

    def _mean_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Nats per token. In bf16 matrix products are; weights, residual stream, norms and losses stay fp32."""
        with self._precision():
            return self.model.loss(inputs, targets)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.run.precision == "bf16")

    def _clip(self) -> Tensor:
        """Scale all gradients down together when their norm exceeds the run's limit."""
        gradients = self._gradients
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        scale = (self.run.clip / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
        return norm

    def _put(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)


def _compiled(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Compiled for each shape and batch by itself.

    Beyond a number of shapes in one process torch goes on uncompiled, with other last digits, and says so in a log
    alone: one worker would then train other bits than several. The limits are raised, and passing them is an error.
    """
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, _COMPILED_SHAPES)
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, _COMPILED_SHAPES)
    return torch.compile(loss, dynamic=False, fullgraph=True)


def _window_bytes(
    targets: NDArray[np.int64], token_bytes: dict[str, NDArray[np.float64] | None] | None, source: str
) -> NDArray[np.float64] | None:
    """Bytes that the targets of each window are."""
    if token_bytes is None:
        return np.full(len(targets), float(targets.shape[1]))
    table = token_bytes[source]
    return None if table is None else table[targets].sum(1)


class Diverged(RuntimeError):
    """A run is given up: its loss is no number any more, or has gone up to stay."""

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(f"at step {step} {reason}; lower training.lr")
        self.step, self.reason = step, reason
