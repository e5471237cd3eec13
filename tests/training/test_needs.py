"""The planned memory against what torch keeps, tensor by tensor."""

from dataclasses import replace

import pytest
import torch

from scalinglab.ladder import memory_bytes, named_shape, state_bytes
from scalinglab.ladder.needs import activation_bytes
from scalinglab.ladder.parametrisation import parametrise
from scalinglab.training import Trainer
from scalinglab.training.model import Transformer


@pytest.mark.parametrize("name", ["tiny-10k", "tiny-200k"])
@pytest.mark.parametrize("change", [{}, {"kv_heads": 1}, {"activation": "relu2"}, {"tied": False}])
def test_activations_are_what_autograd_keeps(name: str, change: dict[str, object]) -> None:
    shape = replace(named_shape(name), **change)  # type: ignore[arg-type]
    model = Transformer(shape, parametrise("minicpm", shape, 40), torch.device("cpu"))
    own = {tensor.untyped_storage().data_ptr() for tensor in model.p.values()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.zeros(4, shape.context, dtype=torch.int64)
    targets = torch.ones(4, shape.context, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.loss(ids, targets)
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    # beside them a single number: the count of targets
    assert found - activation_bytes(shape, 4 * shape.context) == pytest.approx(4, abs=4)
    assert memory_bytes(shape, 512) > activation_bytes(shape, 512) + 16 * shape.params_total


def test_a_checkpoint_is_as_large_as_planned(run, streams, tmp_path) -> None:
    trainer = Trainer(run, streams)
    trainer.train(2, lambda record: None)
    trainer.save(tmp_path / "state.safetensors")
    size = (tmp_path / "state.safetensors").stat().st_size
    header = size - state_bytes(run.shape)
    assert 0 < header < 8_000
