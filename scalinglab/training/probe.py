"""What single updates do: how far they move the weights, and gradient, slope and curvature at both of their ends.

An update takes the weights from θ to θ' = θ + v by the gradient g of its own batch. Two more gradients are those of the
*next* batch, which v knows nothing of: h at θ and g' at θ'. The next update needs g' anyway, so a probed update costs
one gradient more. With u = v/|v|:

    g·u             slope of the loss along the update as its own batch sees it, whose noise v has followed
    h·u, g'·u       the slope at its beginning and at its end, unbiased; MiniCPM (Hu et al. 2024, section 4.3) has g'·u
    (g' − h)·u/|v|  the curvature u'Hu along it, unbiased, and without the batch's noise where that is additive
    (g' − g)·u/|v|  the same as MiniCPM reads it from consecutive gradients: they are of different batches, so that
                    −ε·u/|v| is added for the noise ε of g. Updates step against their own noise, which makes that
                    positive, and the larger the smaller the step
    g·h             |∇L(θ)|² in the mean, as the noises of two batches are independent
    loss of the next batch at θ' less at θ: what the update changes, unbiased
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_COLUMNS = (
    "update_max",
    "update_norm",
    "grad_norm_mean",
    "grad_inner",
    "cosine",
    "cosine_positive",
    "slope_own",
    "slope",
    "slope_next",
    "curvature",
    "curvature_consecutive",
    "bend",
    "bend_consecutive",
    "loss_change",
)


class Probe:
    """Looks at every `every`-th update of a run and changes nothing of it.

    weights, gradients: a run's buffers, in the same order; they are read, and gradients are put back as they were.
    The means of a record are over the updates looked at since the last one; those that moved nothing are left out of
    the means that divide by |v|.
    """

    def __init__(self, weights: Sequence[Tensor], gradients: Sequence[Tensor], every: int = 1) -> None:
        self._weights, self._gradients, self.every = weights, gradients, every
        self.start()

    def start(self) -> None:
        """Begin a record where the weights are now."""
        self._rows: list[Tensor] = []
        self._before: tuple[list[Tensor], list[Tensor], list[Tensor], Tensor] | None = None
        self._mark = _copies(self._weights)

    @property
    def open(self) -> bool:
        """Whether an update was begun and is not ended."""
        return self._before is not None

    def begin(self, next_batch: Callable[[], Tensor]) -> None:
        """Before an update whose gradient is in the buffers, not yet clipped.

        next_batch: puts the gradient of the batch after it there instead, and returns its loss.
        """
        own = _copies(self._gradients)
        loss = next_batch()
        fresh = _copies(self._gradients)
        for gradient, kept in zip(self._gradients, own, strict=True):
            gradient.copy_(kept)
        self._before = own, fresh, _copies(self._weights), loss

    def end(self, loss: Tensor) -> None:
        """After the update, when the gradient of the next batch at the new weights is in the buffers; its loss."""
        assert self._before is not None
        own, fresh, weights, loss_before = self._before
        self._before = None
        with torch.no_grad():
            after = [gradient.detach() for gradient in self._gradients]
            step = [new - old for new, old in zip(self._weights, weights, strict=True)]
            moved, inner = _norm(step), _dot(own, after)
            cosine = inner / (_norm(own) * _norm(after))
            largest = torch.stack([part.abs().max() for part in step]).max()
            slopes = [_dot(gradient, step) / moved for gradient in (own, fresh, after)]
            curved, consecutive = (
                _dot([a - b for a, b in zip(after, before, strict=True)], step) / moved**2
                for before in (fresh, own)
            )
            steepness = (1.0 + slopes[-1] ** 2) ** 1.5
            row = [
                largest,
                moved,
                _norm(own),
                _dot(own, fresh),
                cosine,
                (cosine > 0).to(cosine.dtype),
                *slopes,
                curved,
                consecutive,
                curved.abs() / steepness,
                consecutive.abs() / steepness,
                loss - loss_before,
            ]
            self._rows.append(torch.stack(row))

    def record(self) -> dict[str, float]:
        """The means since the last record, and where the weights are; the next record begins here.

        update_max: largest |v| of one weight. update_norm: |v|. grad_norm_mean: |g|. grad_inner: g·h. cosine: of g
        and g'; cosine_positive: in which share of the updates it was. slope_own, slope, slope_next: g·u, h·u, g'·u.
        curvature: (g' − h)·u/|v|. curvature_consecutive: (g' − g)·u/|v|. bend, bend_consecutive: |D2|/(1 + D1²)^1.5 of
        the two with D1 = g'·u, MiniCPM's curvature of the path. loss_change: of the next batch. displacement: from the
        weights at the last record to those now, and weight_norm their norm; probed: updates looked at.
        """
        with torch.no_grad():
            net = [new - old for new, old in zip(self._weights, self._mark, strict=True)]
            found = {
                "probed": len(self._rows),
                "displacement": float(_norm(net)),
                "weight_norm": float(_norm([part.detach() for part in self._weights])),
            }
        if self._rows:
            means = torch.stack(self._rows).double().nanmean(0).tolist()
            found |= {name: mean for name, mean in zip(_COLUMNS, means, strict=True) if mean == mean}
        self.start()
        return found


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return torch.stack([torch.dot(x, y) for x, y in zip(a, b, strict=True)]).sum()


def _norm(a: Sequence[Tensor]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(x) for x in a]))
