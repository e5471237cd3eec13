"""Coordinate check: how large activations are, and how far a few updates move them, at several widths.

Yang & Hu 2021 ("Tensor Programs IV") and Yang et al. 2022 ("Tensor Programs V", appendix D.1). A
parametrisation under which hyper-parameters keep as the width grows keeps every coordinate of a
hidden activation, and every update of one, at one size. `scalinglab.analysis.coordinate_slopes` tells
with which power of the width they grow.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalinglab.errors import InputError
from scalinglab.ladder import Shape
from scalinglab.ladder.parametrisation import Scaling, parametrise
from scalinglab.training.model import Transformer
from scalinglab.training.optimiser import Optimiser

WIDTHS = (32, 64, 128, 256, 512)
MODULES = ("embedding", "attention", "mlp", "residual", "logits")
_SEED_OF_TEXT = 0


def coordinate_check(
    widths: Sequence[int] = WIDTHS,
    kind: str = "minicpm",
    *,
    steps: int = 4,
    seeds: Sequence[int] = (0, 1, 2),
    lr: float = 0.01,
    width_base: int = 64,
    layers: int = 2,
    head_width: int = 16,
    scaling: Scaling = Scaling(),
    optimiser: str = "adamw",
    text: bytes | None = None,
    sequences: int = 4,
    context: int = 32,
    progress: Callable[[str, int, int], None] = lambda *step: None,
) -> pd.DataFrame:
    """Activations of models of several widths before and after each of a few updates on one batch.

    widths: of the residual stream, multiples of head_width; the MLP is 2.5 times as wide, and heads keep their width,
        as in MiniCPM's sizes. kind, scaling, optimiser: of the parametrisation. lr: the learning rate at width_base,
        without warmup, decay of weights or clipping. text: what the batch is cut from; without it, random bytes of
        Zipf's frequencies, the same at every width. seeds: of the weights.
    Returns rows of parametrisation, width, seed, step (updates so far), module, activation (mean absolute value of its
    output) and change (mean absolute difference from step 0). Modules: embedding; attention and mlp as they are added
    to the residual stream, over all layers; residual, the stream after the last layer; logits.
    Raises InputError for widths that cannot be built or text that is too short.
    """
    if len(set(widths)) < 2:
        raise InputError("a coordinate check compares widths; give at least two different ones")
    for width in widths:
        if width < head_width or width % head_width:
            raise InputError(
                f"width {width} is not a whole number of heads of {head_width}; choose a multiple"
            )
    inputs, targets = _batch(text, sequences, context)
    rows: list[dict[str, object]] = []
    with _one_thread():
        for done, (width, seed) in enumerate((width, seed) for width in widths for seed in seeds):
            progress(f"{kind}, width {width}", done, len(widths) * len(seeds))
            shape = Shape(f"d{width}", width, layers, width // head_width, 5 * width // 2, context=context)
            scales = parametrise(kind, shape, width_base, scaling, optimiser)
            model = Transformer(shape, scales, torch.device("cpu"))
            model.initialise(seed)
            learner = Optimiser(model, optimiser, lr, 0.0, (0.9, 0.95))
            for step, module, activation, change in _watched(model, learner, inputs, targets, steps):
                rows.append(
                    {
                        "parametrisation": kind,
                        "width": width,
                        "seed": seed,
                        "step": step,
                        "module": module,
                        "activation": activation,
                        "change": change,
                    }
                )
    return pd.DataFrame(rows)


def _watched(
    model: Transformer, learner: Optimiser, inputs: Tensor, targets: Tensor, steps: int
) -> Iterator[tuple[int, str, float, float]]:
    """(step, module, mean |activation|, mean |change since step 0|) before and after each update on the batch."""
    start = _activations(model, inputs)
    for step in range(steps + 1):
        if step:
            learner.zero()
            model.loss(inputs, targets).backward()
            learner.step(1.0)
        now = _activations(model, inputs)
        for module in MODULES:
            yield (
                step,
                module,
                float(now[module].abs().mean()),
                float((now[module] - start[module]).abs().mean()),
            )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Models this small wait for a second thread longer than it saves, and one always sums alike."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _activations(model: Transformer, inputs: Tensor) -> dict[str, Tensor]:
    """What each module puts out, layers stacked."""
    seen: dict[str, list[Tensor]] = {module: [] for module in MODULES}
    with torch.no_grad():
        model.logits(inputs, lambda module, output: seen[module].append(output))
    return {module: torch.stack(outputs).double() for module, outputs in seen.items()}


def _batch(text: bytes | None, sequences: int, context: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, (sequences, context) each."""
    needed = sequences * (context + 1)
    if text is None:
        rng = np.random.default_rng(_SEED_OF_TEXT)
        frequency = 1.0 / np.arange(1, 257)
        drawn: NDArray[np.int64] = rng.choice(256, needed, p=frequency / frequency.sum())
    elif len(text) < needed:
        raise InputError(f"the text holds {len(text)} bytes; a batch of this check needs {needed}")
    else:
        drawn = np.frombuffer(text[:needed], np.uint8).astype(np.int64)
    rows = torch.from_numpy(drawn.reshape(sequences, context + 1))
    return rows[:, :-1], rows[:, 1:]
