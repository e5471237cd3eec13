"""Muon against torch's own on separate matrices and against a singular value decomposition; settings that change."""

import math
from dataclasses import replace

import pytest
import torch

from scalinglab.ladder import Shape
from scalinglab.ladder.identity import plain
from scalinglab.ladder.parametrisation import Scaling, parametrise
from scalinglab.training.model import Transformer
from scalinglab.training.optimiser import MUON_MOMENTUM, Optimiser

SHAPE = Shape("x", width=16, layers=2, heads=4, ff=24, kv_heads=2, tied=False)
ROWS = {"qkv": [16, 8, 8], "out": [16], "gate_up": [24, 24], "down": [16]}


def made(kind: str, weight_decay: float = 0.1, betas: tuple[float, float] = (0.9, 0.95)):
    model = Transformer(SHAPE, parametrise("minicpm", SHAPE, 8, Scaling(), kind), torch.device("cpu"))
    model.initialise(0)
    return model, Optimiser(model, kind, 0.01, weight_decay, betas)


def put_gradients(model: Transformer, step: int) -> None:
    for name in sorted(model.p):
        grad = model.p[name].grad
        grad.copy_(torch.randn(grad.shape, generator=torch.Generator().manual_seed(1000 * step + len(name))))


def test_muon_is_torchs_on_each_matrix_and_adamw_on_the_rest() -> None:
    model, ours = made("muon")
    pieces: dict[tuple[str, int], torch.nn.Parameter] = {}
    for name, tensor in model.p.items():
        rows = ROWS.get(name.split(".")[-1], [len(tensor)])
        for i, piece in enumerate(tensor.detach().clone().split(rows)):
            pieces[name, i] = torch.nn.Parameter(piece.clone())
    blocks = [piece for (name, _), piece in pieces.items() if name.split(".")[-1] in ROWS]
    rest = [piece for (name, _), piece in pieces.items() if name.split(".")[-1] not in ROWS]
    muon = torch.optim.Muon(blocks, weight_decay=0.1, momentum=MUON_MOMENTUM, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(rest, weight_decay=0.0, betas=(0.9, 0.95))
    for step in range(4):
        factor = (step + 1) / 4
        put_gradients(model, step)
        for name, tensor in model.p.items():
            for i, grad in enumerate(tensor.grad.split(ROWS.get(name.split(".")[-1], [len(tensor)]))):
                pieces[name, i].grad = grad.clone()
        ours.step(factor)
        # width 16 over a base of 8
        muon.param_groups[0]["lr"] = factor * 0.01 * (1 / math.sqrt(2))
        adamw.param_groups[0]["lr"] = factor * 0.01
        muon.step()
        adamw.step()
    for name, tensor in model.p.items():
        parts = [pieces[key].detach() for key in pieces if key[0] == name]
        exact = name.split(".")[-1] in ROWS
        torch.testing.assert_close(
            tensor.detach(), torch.cat(parts), rtol=0 if exact else 1e-5, atol=0 if exact else 1e-7
        )


def test_muons_first_update_has_the_singular_values_of_newton_schulz() -> None:
    """The gradient's, over its Frobenius norm, five times through the polynomial of Jordan et al.; in bfloat16."""
    model, ours = made("muon", weight_decay=0.0)
    before = {name: tensor.detach().clone() for name, tensor in model.p.items()}
    put_gradients(model, 0)
    ours.step(1.0)
    for name, tensor in model.p.items():
        rows = ROWS.get(name.split(".")[-1])
        for grad, update in zip(
            tensor.grad.split(rows) if rows else (),
            (before[name] - tensor.detach()).split(rows) if rows else (),
            strict=True,
        ):
            expected = torch.linalg.svdvals(grad.double())
            expected /= expected.square().sum().sqrt()
            for _ in range(5):
                expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
            # 0.2 · sqrt(larger side): the root mean square of AdamW's
            found = torch.linalg.svdvals(update.double())
            found /= 0.01 / math.sqrt(2) * 0.2 * math.sqrt(max(update.shape))
            # bfloat16 rounds to 2^-8 in each of five times three products, of matrices whose norm is about 1
            torch.testing.assert_close(
                found, expected.sort(descending=True).values, rtol=0, atol=15 * 2.0**-8
            )


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_an_aligned_update_moves_outputs_alike_at_every_width(kind: str) -> None:
    """Gradients that are one outer product with the input: what a layer's output moves by does not know the width."""
    moved = []
    for width in (16, 64):
        shape = replace(SHAPE, width=width, heads=width // 4, kv_heads=None, ff=2 * width)
        model = Transformer(shape, parametrise("minicpm", shape, 16, Scaling(), kind), torch.device("cpu"))
        model.initialise(0)
        weight = model.p["layer0.out"]
        before = weight.detach().clone()
        signs = torch.where(torch.arange(width) % 3 == 0, -1.0, 1.0)
        weight.grad.copy_(torch.outer(signs.flip(0), signs))
        Optimiser(model, kind, 0.01, 0.0, (0.9, 0.95)).step(1.0)
        moved.append(float(((weight.detach() - before) @ signs).square().mean().sqrt()))
    assert moved[0] == pytest.approx(moved[1], rel=0.01)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_cleared_is_fresh(kind: str) -> None:
    model, used = made(kind)
    put_gradients(model, 0)
    used.step(1.0)
    used.clear()
    assert used.state() == {}
    model.initialise(0)
    fresh_model, fresh = made(kind)
    for each, optimiser in ((model, used), (fresh_model, fresh)):
        put_gradients(each, 1)
        optimiser.step(1.0)
        optimiser.zero()
        assert all(not tensor.grad.any() for tensor in each.p.values())
    assert all(torch.equal(model.p[name], fresh_model.p[name]) for name in model.p)


def test_a_scaling_enters_the_definition_only_where_it_differs(run) -> None:
    assert not {"scaling", "optimiser"} & set(run.definition())
    other = replace(run, scaling=Scaling(embedding_as="matrix"), optimiser="muon")
    assert other.definition()["scaling"] == plain(Scaling(embedding_as="matrix"))
    assert len({run.id, other.id, replace(other, scaling=Scaling()).id}) == 3
