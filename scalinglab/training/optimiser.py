"""The optimisers: AdamW on whole buffers, or Muon on the blocks' matrices with AdamW on the rest."""

from collections.abc import Iterator

import torch
from torch import Tensor

from scalinglab.training.model import FlatParameters, Transformer

MUON_MOMENTUM = 0.95
_ADAM_EPSILON = 1e-8
_MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimiser:
    """Updates a model's weights from the gradients in its buffers, each at its own rate.

    kind: "adamw" (Loshchilov & Hutter 2019), one update a buffer; or "muon" (Jordan et al. 2024), which
        orthogonalises the momentum of each of the blocks' matrices, q, k, v, gate and up apart. Its update is scaled to
        the root mean square of AdamW's (Liu et al. 2025), so that learning rate and weight decay keep their meaning.
    lr, weight_decay: the run's; each buffer says its multiple and whether it decays. betas: AdamW's.
    """

    def __init__(
        self, model: Transformer, kind: str, lr: float, weight_decay: float, betas: tuple[float, float]
    ) -> None:
        matrices, *rest = model.parts
        self._adam_parts = model.parts if kind == "adamw" else tuple(rest)
        self._parts, self._rate = model.parts, lr
        self._adamw = torch.optim.AdamW(
            [self._group(part, [part.flat], weight_decay) for part in self._adam_parts],
            betas=betas,
            eps=_ADAM_EPSILON,
            fused=True,
        )
        self._muon: torch.optim.Muon | None = None
        self._momentum: Tensor | None = None
        self._muon_part = matrices
        if kind == "muon":
            self._momentum = torch.zeros_like(matrices.flat.detach())
            views = list(self._matrices(model, matrices.flat.detach()))
            gradients = self._matrices(model, _gradient(matrices))
            for view, gradient in zip(views, gradients, strict=True):
                view.grad = gradient
            self._muon = torch.optim.Muon(
                [self._group(matrices, views, weight_decay)],
                momentum=MUON_MOMENTUM,
                nesterov=True,
                adjust_lr_fn="match_rms_adamw",
            )
            for view, momentum in zip(views, self._matrices(model, self._momentum), strict=True):
                self._muon.state[view]["momentum_buffer"] = momentum

    def _matrices(self, model: Transformer, flat: Tensor) -> Iterator[Tensor]:
        """The blocks' matrices, one by one, as views into a flat tensor."""
        for name in self._muon_part:
            yield from self._muon_part.view(flat, name).split(model.rules[name].parts)

    def _group(self, part: FlatParameters, tensors: list[Tensor], weight_decay: float) -> dict[str, object]:
        decay = weight_decay if part.decays else 0.0
        return {
            "params": tensors,
            "lr": self._rate * part.lr,
            "peak": self._rate * part.lr,
            "weight_decay": decay,
        }

    def _groups(self) -> Iterator[dict[str, object]]:
        yield from self._adamw.param_groups
        if self._muon is not None:
            yield from self._muon.param_groups

    def zero(self) -> None:
        """Set all gradients to zero; they stay where they are."""
        for part in self._parts:
            _gradient(part).zero_()

    def step(self, factor: float) -> None:
        """One update at `factor` times each buffer's peak learning rate."""
        for group in self._groups():
            group["lr"] = factor * group["peak"]  # type: ignore[operator]
        self._adamw.step()
        if self._muon is not None:
            self._muon.step()

    def clear(self) -> None:
        """Forget all moments: as before the first update."""
        self._adamw.state.clear()
        if self._momentum is not None:
            self._momentum.zero_()

    def state(self) -> dict[str, Tensor]:
        """Moments by kind and tensor name, adam.exp_avg.NAME and the like; none before the first update."""
        found: dict[str, Tensor] = {}
        for part in self._adam_parts:
            moments = self._adamw.state.get(part.flat, {})
            for key in _MOMENTS:
                if key in moments:
                    found |= {f"adam.{key}.{name}": part.view(moments[key], name) for name in part}
        if found and self._momentum is not None:
            part = self._muon_part
            found |= {f"muon.momentum.{name}": part.view(self._momentum, name) for name in part}
        return found

    def load(self, state: dict[str, Tensor], step: int) -> None:
        """Take over moments that `state` gave after `step` updates; other keys are passed over."""
        self.clear()
        if step == 0:
            return
        for part in self._adam_parts:
            moments = {key: torch.zeros_like(part.flat) for key in _MOMENTS}
            for key, flat in moments.items():
                for name in part:
                    part.view(flat, name).copy_(state[f"adam.{key}.{name}"])
            moments["step"] = torch.tensor(float(step), device=part.flat.device)
            self._adamw.state[part.flat] = moments
        if self._momentum is not None:
            for name in self._muon_part:
                self._muon_part.view(self._momentum, name).copy_(state[f"muon.momentum.{name}"])


def _gradient(part: FlatParameters) -> Tensor:
    assert part.flat.grad is not None
    return part.flat.grad
