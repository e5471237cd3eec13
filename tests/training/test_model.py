"""The model against an independent forward pass, its counts against the shape's, its update against torch's."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from scalinglab.ladder import Shape
from scalinglab.ladder.parametrisation import Scaling, parametrise
from scalinglab.training import Trainer
from scalinglab.training.model import Transformer

CPU = torch.device("cpu")
PLAIN = Shape("tiny", width=12, layers=2, heads=2, ff=24, context=32)
FOUR_HEADS = Shape("tiny", width=16, layers=2, heads=4, ff=24, context=32)
SHAPES = [PLAIN] + [
    replace(FOUR_HEADS, kv_heads=kv_heads, tied=tied, activation=activation)
    for kv_heads in (1, 2, None)
    for tied in (True, False)
    for activation in ("swiglu", "relu2")
]
every_shape = pytest.mark.parametrize(
    "shape", SHAPES, ids=lambda s: f"{s.heads}/{s.kv_heads}-{'tied' if s.tied else 'untied'}-{s.activation}"
)


def model_of(kind: str = "minicpm", shape: Shape = PLAIN, **scaling: Any) -> Transformer:
    model = Transformer(shape, parametrise(kind, shape, 16, Scaling(**scaling)), CPU)
    model.initialise(0)
    return model


@every_shape
def test_tensors_hold_the_counted_parameters(shape: Shape) -> None:
    sizes = {name: tensor.numel() for name, tensor in model_of(shape=shape).p.items()}
    held = dict.fromkeys(shape.counts(), 0)
    for name, size in sizes.items():
        kind = name.split(".")[-1]
        held[
            "norms" if kind.startswith("norm")
            else "attention" if kind in ("qkv", "out")
            else "mlp" if kind in ("gate_up", "up", "down")
            else kind
        ] += size  # fmt: skip
    assert held == shape.counts()
    assert sum(sizes.values()) == shape.params_total


def test_a_checkpoint_names_tensors_as_it_always_did() -> None:
    blocks = {f"layer{i}.{what}" for i in (0, 1) for what in ("qkv", "out", "gate_up", "down")}
    gains = {f"layer{i}.norm_{what}" for i in (0, 1) for what in ("attention", "mlp")}
    assert set(model_of().p) == blocks | gains | {"embedding", "norm"}
    assert [set(part) for part in model_of().parts] == [blocks, gains | {"embedding", "norm"}]


def logits_by_hand(model: Transformer, ids: np.ndarray) -> np.ndarray:
    """The formulas of the architecture, in float64 and loops: one sequence (time,) to (time, vocab)."""
    p = {name: tensor.detach().double().numpy() for name, tensor in model.p.items()}
    shape, scales = model.shape, model.scales
    time, heads, hw = len(ids), shape.heads, shape.head_width
    shared = shape.kv_heads or heads

    def norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * gain

    def rotate(v: np.ndarray, position: int) -> np.ndarray:
        out = v.copy()
        for i in range(hw // 2):
            angle = position * 10_000.0 ** (-2 * i / hw)
            a, b = v[i], v[i + hw // 2]
            out[i] = a * math.cos(angle) - b * math.sin(angle)
            out[i + hw // 2] = a * math.sin(angle) + b * math.cos(angle)
        return out

    x = p["embedding"][ids] * scales.scale_embedding
    for layer in range(shape.layers):
        h = norm(x, p[f"layer{layer}.norm_attention"])
        w_q, w_k, w_v = np.split(p[f"layer{layer}.qkv"], [heads * hw, (heads + shared) * hw])
        queries, keys, values = ((h @ w.T).reshape(time, -1, hw) for w in (w_q, w_k, w_v))
        y = np.zeros((time, heads, hw))
        for head in range(heads):
            group = head * shared // heads
            q = np.stack([rotate(queries[t, head], t) for t in range(time)])
            k = np.stack([rotate(keys[t, group], t) for t in range(time)])
            for t in range(time):
                score = q[t] @ k[: t + 1].T / math.sqrt(hw)
                weight = np.exp(score - score.max())
                y[t, head] = weight @ values[: t + 1, group] / weight.sum()
        x = x + scales.scale_residual * y.reshape(time, -1) @ p[f"layer{layer}.out"].T
        h = norm(x, p[f"layer{layer}.norm_mlp"])
        if shape.activation == "swiglu":
            gate, up = np.split(h @ p[f"layer{layer}.gate_up"].T, 2, axis=-1)
            hidden = gate / (1 + np.exp(-gate)) * up
        else:
            hidden = np.maximum(h @ p[f"layer{layer}.up"].T, 0) ** 2
        x = x + scales.scale_residual * hidden @ p[f"layer{layer}.down"].T
    return norm(x, p["norm"]) * scales.scale_logits @ p["embedding" if shape.tied else "head"].T


@every_shape
@pytest.mark.parametrize("kind", ["minicpm", "standard"])
def test_logits_are_those_of_the_formulas(kind: str, shape: Shape) -> None:
    model = model_of(kind, shape)
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 256, (2, 16))
    ours = model.logits(torch.from_numpy(ids)).detach().numpy()
    for row, mine in zip(ids, ours, strict=True):
        np.testing.assert_allclose(mine, logits_by_hand(model, row), rtol=2e-4, atol=2e-5)


def test_the_model_looks_only_back() -> None:
    model = model_of()
    ids = torch.randint(0, 256, (1, 32), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 20:] = 7
    before, after = model.logits(ids), model.logits(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20], rtol=0, atol=1e-6)
    assert (before[:, 20] - after[:, 20]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "scaling"),
    [("minicpm", {}), ("minicpm", {"init_std": 0.05, "embedding_as": "matrix"}), ("standard", {})],
    ids=["minicpm", "minicpm-matrix", "standard"],
)
def test_initial_spread_is_the_rule_of_each_tensor(kind: str, scaling: dict[str, Any]) -> None:
    shape = Shape("wide", width=64, layers=2, heads=4, ff=160, kv_heads=2, tied=False)
    model = model_of(kind, shape, **scaling)
    for name, tensor in model.p.items():
        if (std := model.rules[name].std) is None:
            assert bool((tensor == 1).all())
        else:
            # four standard errors of a standard deviation
            assert float(tensor.std().detach()) == pytest.approx(std, rel=4 / math.sqrt(2 * tensor.numel()))
    assert not torch.equal(model.p["embedding"], model.p["head"])


def test_updates_are_those_of_torch_on_separate_tensors(run, streams) -> None:
    """Twelve updates against torch's unfused AdamW, tensor by tensor, with its own clipping."""
    trainer = Trainer(run, streams)
    reference = Transformer(run.shape, trainer.model.scales, CPU)
    reference.initialise(run.seed)
    reference.p = {name: torch.nn.Parameter(t.detach().clone()) for name, t in reference.p.items()}
    matrices, others = ([reference.p[name] for name in part] for part in reference.parts)
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=run.lr,
        betas=run.betas,
    )
    for step in range(12):
        inputs, targets = trainer.mixture.batch(step * 2, 2)
        optimiser.zero_grad()
        loss = reference.losses(torch.from_numpy(inputs.copy()), torch.from_numpy(targets.copy())).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*matrices, *others], run.clip)
        warm = min(1.0, (step + 1) / 5)
        for group, scale in zip(optimiser.param_groups, (16 / 12, 1.0), strict=True):
            group["lr"] = run.lr * warm * scale
        optimiser.step()
    records: list[dict[str, float]] = []
    trainer.train(12, records.append)
    for name, tensor in trainer.model.p.items():
        torch.testing.assert_close(tensor.detach(), reference.p[name].detach(), rtol=2e-4, atol=2e-6)
    assert [record["step"] for record in records] == [10, 12]
    assert records[-1]["loss"] < math.log(256)


@pytest.mark.parametrize("kv_heads", [None, 1])
def test_in_bf16_the_losses_are_those_of_fp32_to_its_eight_bits(kv_heads: int | None) -> None:
    """Attention is written out there: against the fused kernel in fp32."""
    model = model_of(shape=replace(PLAIN, kv_heads=kv_heads))
    ids = torch.randint(0, 256, (4, 32), generator=torch.Generator().manual_seed(0))
    exact = model.losses(ids, ids.roll(-1, 1)).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.losses(ids, ids.roll(-1, 1)).detach()
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.std()


def test_a_bf16_run_is_another_run_and_learns(run, streams) -> None:
    rounded = replace(run, precision="bf16")
    assert rounded.id != run.id
    records: dict[str, list[float]] = {}
    for each in (run, rounded):
        own = records.setdefault(each.precision, [])
        Trainer(each, streams).train(60, lambda record, own=own: own.append(record["loss"]))
    assert records["bf16"] != records["fp32"]
    assert records["bf16"][-1] < records["bf16"][0] - 1.0
    np.testing.assert_allclose(records["bf16"], records["fp32"], rtol=0.02)
