"""How fast the driver trains, beside a plain loop of the same model: tokens a core-second, and their ratio.

The plain loop is what a small training script does: torch modules, fp32, scaled_dot_product_attention, AdamW tensor by
tensor, clip_grad_norm_, batches cut at random from the same bytes. Both have one thread, the same shape, batch and
parametrisation, and their turns alternate, so that a busy machine slows both.

    python benchmarks/training_speed.py                        # eager
    python benchmarks/training_speed.py --compiled             # and compiled
    python benchmarks/training_speed.py --sizes 200k,1m --rounds 9
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from scalinglab.ladder import WSD, Shape
from scalinglab.ladder.definition import Run
from scalinglab.ladder.parametrisation import Parametrisation, parametrise
from scalinglab.sweep.throughput import processor
from scalinglab.training import Streams, Trainer

SHAPES = {
    "25k": Shape("25k", 32, 2, 2, 88),
    "75k": Shape("75k", 56, 2, 2, 148),
    "200k": Shape("200k", 72, 3, 4, 208),
    "1m": Shape("1m", 128, 5, 4, 352),
}
BATCH = 4096


class Block(nn.Module):
    def __init__(self, shape: Shape, scale: float) -> None:
        super().__init__()
        d = shape.width
        self.heads, self.scale = shape.heads, scale
        self.norm1, self.norm2 = nn.RMSNorm(d, eps=1e-6), nn.RMSNorm(d, eps=1e-6)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.gate, self.up = nn.Linear(d, shape.ff, bias=False), nn.Linear(d, shape.ff, bias=False)
        self.down = nn.Linear(shape.ff, d, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).split(d, dim=2)
        q, k, v = (each.view(b, t, self.heads, -1).transpose(1, 2) for each in (q, k, v))
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
        x = x + self.scale * self.out(y)
        h = self.norm2(x)
        return x + self.scale * self.down(F.silu(self.gate(h)) * self.up(h))


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Plain(nn.Module):
    """The same model as modules."""

    def __init__(self, shape: Shape, scales: Parametrisation) -> None:
        super().__init__()
        self.scales = scales
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape, scales.scale_residual) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=1e-6)
        for name, tensor in self.named_parameters():
            if tensor.ndim == 2:
                std = scales.std_embedding if "embedding" in name else scales.std_matrix
                nn.init.normal_(tensor, std=std)
        frequency = 10_000.0 ** (-torch.arange(0, shape.head_width, 2) / shape.head_width)
        angle = torch.outer(torch.arange(shape.context), frequency)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids) * self.scales.scale_embedding
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.embedding.weight) * self.scales.scale_logits
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def plain_loop(run: Run, text: np.ndarray) -> Callable[[int], None]:
    """A function that makes so many updates."""
    shape, scales = run.shape, parametrise(run.parametrisation, run.shape, run.width_base)
    model = Plain(shape, scales)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embedding" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim == 1 or "embedding" in name]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "lr": run.lr * scales.lr_matrix},
            {"params": others, "lr": run.lr, "weight_decay": 0.0},
        ],
        betas=run.betas,
        weight_decay=run.weight_decay,
    )
    rng = np.random.default_rng(0)

    def update(count: int) -> None:
        for _ in range(count):
            starts = rng.integers(0, len(text) - shape.context - 1, BATCH // shape.context)
            ids = torch.stack(
                [torch.from_numpy(text[i : i + shape.context].astype(np.int64)) for i in starts]
            )
            targets = torch.stack(
                [torch.from_numpy(text[i + 1 : i + 1 + shape.context].astype(np.int64)) for i in starts]
            )
            loss = model(ids, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), run.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    return update


def driver_loop(run: Run, text: np.ndarray) -> Callable[[int], None]:
    trainer = Trainer(run, Streams({"text": text}, {"text": text}))
    return lambda count: void(trainer.train(trainer.step + count, lambda record: None))


def void(_: object) -> None:
    pass


def run_of(shape: Shape, compiled: bool) -> Run:
    return Run(
        kind="trunk", shape=shape, seed=0, data="benchmark", weights=(("text", 1.0),), batch_tokens=BATCH, lr=0.01,
        weight_decay=0.1, betas=(0.9, 0.95), clip=1.0, parametrisation="minicpm", width_base=64, heldout_windows=4,
        schedule=WSD(10), compiled=compiled,
    )  # fmt: skip


def seconds_each(update: Callable[[int], None], count: int) -> float:
    """Core-seconds of an update: time of this process, so that waiting for a core does not count."""
    began = time.process_time()
    update(count)
    return (time.process_time() - began) / count


def peak_flops(seconds: float = 1.0) -> float:
    """What one core reaches in fp32 on a large matrix product, FLOP/s."""
    a = torch.randn(768, 768)
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.process_time()
        for _ in range(4):
            a @ a
        best = max(best, 4 * 2 * 768**3 / (time.process_time() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    peak = peak_flops()
    print(f"{processor()}; {torch.backends.cpu.get_cpu_capability()}; torch {torch.__version__}")
    print(
        f"load {os.getloadavg()[0]:.1f}; fp32 peak of one core {peak / 1e9:.0f} GFLOP/s; batch {BATCH} tokens"
    )
    text = np.random.default_rng(0).integers(32, 127, 2_000_000, dtype=np.uint8)
    print(f"{'N':>6} {'plain':>9} {'eager':>9} {'ratio':>6}", end="")
    print(f" {'compiled':>9} {'ratio':>6} {'of peak':>8} {'compile':>8}" if options.compiled else "")
    for name in options.sizes.split(","):
        shape = SHAPES[name]
        loops = {
            "plain": plain_loop(run_of(shape, False), text),
            "eager": driver_loop(run_of(shape, False), text),
        }
        for update in loops.values():
            update(3)
        took = 0.0
        if options.compiled:
            loops["compiled"] = driver_loop(run_of(shape, True), text)
            began = time.perf_counter()
            loops["compiled"](3)
            took = time.perf_counter() - began
        count = max(2, round(1.0 / seconds_each(loops["eager"], 2)))
        rounds = [
            {kind: seconds_each(update, count) for kind, update in loops.items()}
            for _ in range(options.rounds)
        ]
        rate = {kind: BATCH / statistics.median(each[kind] for each in rounds) for kind in loops}

        def ratio(kind: str, rounds: list[dict[str, float]] = rounds) -> float:
            return statistics.median(each["plain"] / each[kind] for each in rounds)

        line = f"{name:>6} {rate['plain']:9,.0f} {rate['eager']:9,.0f} {ratio('eager'):5.2f}x"
        if options.compiled:
            share = rate["compiled"] * shape.flops_exact() / peak
            line += f" {rate['compiled']:9,.0f} {ratio('compiled'):5.2f}x {share:8.0%} {took:6.0f} s"
        print(line, flush=True)


if __name__ == "__main__":
    main()
