"""The transformer that is trained: decoder-only, Llama/MiniCPM family.

RMSNorm before each sub-block, rotary positions; keys and values may be shared among query heads, the
MLP is SwiGLU or squared ReLU, the head is the embedding or a matrix of its own. All parameters that
learn alike lie in one flat buffer, so that the optimiser's update is one kernel a buffer: with models
this small, per-tensor updates cost more than the mathematics.
"""

import hashlib
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from scalinglab.ladder import Shape
from scalinglab.ladder.parametrisation import Parametrisation, TensorRule, tensor_rules

_LINE = 16  # floats in 64 bytes: every tensor starts on its own cache line, in every process alike
_EPSILON = 1e-6  # of RMSNorm


class FlatParameters:
    """Named tensors that learn alike, as views into one flat leaf tensor, their gradients likewise.

    `lr` times the run's learning rate is theirs; `decays` says whether weight decay applies.
    """

    def __init__(self, rules: dict[str, TensorRule], device: torch.device) -> None:
        (self.lr, self.decays) = next((rule.lr, rule.decays) for rule in rules.values())
        shapes = {name: rule.size for name, rule in rules.items()}
        offsets, size = {}, 0
        for name, shape in shapes.items():
            offsets[name] = size
            size += -(-torch.Size(shape).numel() // _LINE) * _LINE
        self.flat = torch.zeros(size, device=device, requires_grad=True)
        self.flat.grad = torch.zeros_like(self.flat)
        self._place = {name: (offsets[name], torch.Size(shape)) for name, shape in shapes.items()}
        self.tensors: dict[str, Tensor] = {}
        for name in shapes:
            view = self.view(self.flat.detach(), name).requires_grad_()
            view.grad = self.view(self.flat.grad, name)
            self.tensors[name] = view

    def view(self, flat: Tensor, name: str) -> Tensor:
        """The part of any flat tensor of this layout that belongs to `name`."""
        offset, shape = self._place[name]
        return flat[offset : offset + shape.numel()].view(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)


Watch = Callable[[str, Tensor], None]
"""Is shown what passes through the model: embedding, attention, mlp (a call a layer), residual, logits."""


class Transformer:
    """A shape with its weights. `parts` are the buffers that learn at different rates, the blocks' matrices first."""

    def __init__(self, shape: Shape, scales: Parametrisation, device: torch.device) -> None:
        self.shape, self.scales, self.device = shape, scales, device
        self.rules = tensor_rules(shape, scales)
        alike: dict[tuple[float, bool], dict[str, TensorRule]] = {}
        for name, rule in self.rules.items():
            alike.setdefault((rule.lr, rule.decays), {})[name] = rule
        self.parts = tuple(FlatParameters(rules, device) for rules in alike.values())
        self.p = {name: tensor for part in self.parts for name, tensor in part.tensors.items()}
        self.cos, self.sin = _rotary(shape.context, shape.head_width, device)

    def initialise(self, seed: int) -> None:
        """Draw the weights; each tensor from its own stream, so that no draw depends on another."""
        for name, tensor in self.p.items():
            std = self.rules[name].std
            with torch.no_grad():
                if std is None:
                    tensor.fill_(1.0)
                    continue
                key = hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7]
                draw = torch.Generator().manual_seed(int.from_bytes(key))
                tensor.copy_(torch.randn(tensor.shape, generator=draw) * std)

    def losses(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats of each token: (batch, context) integers to (batch, context) floats."""
        logits = self.logits(inputs)
        flat = F.cross_entropy(logits.flatten(0, 1), targets.reshape(-1), reduction="none")
        return flat.view(targets.shape)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy, nats per token."""
        return F.cross_entropy(self.logits(inputs).flatten(0, 1), targets.reshape(-1))

    def logits(self, inputs: Tensor, watch: Watch | None = None) -> Tensor:
        """(batch, context) token ids to (batch, context, vocab)."""
        p, scales = self.p, self.scales
        x = F.embedding(inputs, p["embedding"]) * scales.scale_embedding
        if watch:
            watch("embedding", x)
        for i in range(self.shape.layers):
            for name, branch in (("attention", self._attention), ("mlp", self._mlp)):
                added = scales.scale_residual * branch(i, _norm(x, p[f"layer{i}.norm_{name}"]))
                if watch:
                    watch(name, added)
                x = x + added
        head = p["embedding"] if self.shape.tied else p["head"]
        logits = F.linear(_norm(x, p["norm"]) * scales.scale_logits, head)
        if watch:
            watch("residual", x)
            watch("logits", logits)
        return logits

    def _attention(self, layer: int, x: Tensor) -> Tensor:
        batch, time, d = x.shape
        heads, kv = self.shape.heads, self.shape.kv_heads or self.shape.heads
        qkv = F.linear(x, self.p[f"layer{layer}.qkv"]).view(batch, time, heads + 2 * kv, -1).transpose(1, 2)
        qk, v = _rotate(qkv[:, : heads + kv], self.cos[:time], self.sin[:time]), qkv[:, heads + kv :]
        y = self._attend(qk[:, :heads], qk[:, heads:], v)
        return F.linear(y.transpose(1, 2).reshape(batch, time, d), self.p[f"layer{layer}.out"])

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention; softmax keeps 1/sqrt(head width), as in MiniCPM.

        In bf16 the CPU's fused kernel is slower than the products written out.
        """
        if not (torch.is_autocast_enabled("cpu") and self.device.type == "cpu"):
            shared = k.shape[1] != q.shape[1]
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=shared)
        k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], 1) for each in (k, v))
        time = q.shape[2]
        scores = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
        future = torch.ones(time, time, dtype=torch.bool, device=q.device).triu(1)
        return scores.masked_fill(future, -math.inf).softmax(-1).to(v.dtype) @ v

    def _mlp(self, layer: int, x: Tensor) -> Tensor:
        if self.shape.activation == "swiglu":
            gate, up = F.linear(x, self.p[f"layer{layer}.gate_up"]).chunk(2, dim=-1)
            hidden = F.silu(gate) * up
        else:
            hidden = F.relu(F.linear(x, self.p[f"layer{layer}.up"])).square()
        return F.linear(hidden, self.p[f"layer{layer}.down"])


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    return F.rms_norm(x, gain.shape, gain, _EPSILON)


def _rotary(context: int, head_width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of rotary positions (Su et al. 2021, base 10,000), (context, head_width)."""
    frequency = 10_000.0 ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angle = torch.outer(torch.arange(context, dtype=torch.float64), frequency)
    cos, sin = angle.cos().float(), angle.sin().float()
    return torch.cat((cos, cos), -1).to(device), torch.cat((-sin, sin), -1).to(device)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.roll(x, half, dims=-1) * sin
