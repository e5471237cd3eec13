"""The probe: closed forms on quadratic losses, plain numpy on a model, and no bit of a run changed by it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scalinglab.training import Trainer
from scalinglab.training.probe import Probe


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {**trainer.model.p, **trainer.optimiser.state()}


def quadratic(lr: float, updates: int, spread: float, start: float) -> list[dict[str, float]]:
    """Records of single SGD updates, all from one point, on batches of loss ½θ'H_b θ + ε_b'θ.

    H_b = diag(h)·(1 + spread·n_b) and ε_b ~ N(0, diag(s²)): known mean curvature and known noise of the gradient.
    """
    rng = np.random.default_rng(1)
    weights, gradient = torch.full((3,), start, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    probe = Probe([weights], [gradient])
    found = []
    for _ in range(updates):
        own, following = ((rng.normal() * spread, rng.normal(size=3) * NOISE) for _ in range(2))

        def put(batch) -> torch.Tensor:
            shift, noise = batch
            curved = torch.from_numpy(HESSIAN * (1 + shift))
            gradient.copy_(curved * weights + torch.from_numpy(noise))
            return 0.5 * (curved * weights**2).sum() + (torch.from_numpy(noise) * weights).sum()

        weights.fill_(start)
        probe.start()
        put(own)
        before = gradient.clone()
        probe.begin(lambda batch=following: put(batch))
        assert torch.equal(gradient, before)
        weights.sub_(lr * gradient)
        probe.end(put(following))
        found.append(probe.record())
    return found


HESSIAN = np.array([1.0, 4.0, 0.25])
NOISE = np.array([1.0, 2.0, 0.5])


def mean(records: list[dict[str, float]], key: str) -> tuple[float, float]:
    """With its standard error."""
    values = np.array([record[key] for record in records])
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("lr", [0.1, 0.025])
def test_consecutive_gradients_read_the_curvature_with_a_bias_of_one_over_the_rate(lr: float) -> None:
    """At the minimum a gradient is its noise alone, g = ε, and v = −lr·ε.

    Then (g' − g)·v/|v|² = v'Hv/|v|² + (ε − ε')·ε/(lr·|ε|²), whose mean is the curvature and 1/lr. The mean of
    v'Hv/|v|² is that of Σ h s² z²/Σ s² z² over normal z, here by quadrature of its own draws.
    """
    records = quadratic(lr, 500, 0.3, 0.0)
    z = np.random.default_rng(2).normal(size=(200_000, 3)) * NOISE
    truth = float(((z**2 * HESSIAN).sum(1) / (z**2).sum(1)).mean())
    ours, error = mean(records, "curvature")
    assert ours == pytest.approx(truth, abs=4 * error)
    assert error < 0.1
    theirs, error = mean(records, "curvature_consecutive")
    assert theirs == pytest.approx(truth + 1 / lr, abs=4 * error)
    assert theirs - truth > 8 * error


def test_slopes_inner_products_and_changes_of_a_quadratic_loss() -> None:
    """Away from the minimum: g·h is |∇L|² in the mean, and the change of the loss is h·v + v'H_b v/2, exactly."""
    lr, start = 0.1, 2.0
    records = quadratic(lr, 500, 0.0, start)
    true = HESSIAN * start
    inner, error = mean(records, "grad_inner")
    assert inner == pytest.approx(float(true @ true), abs=4 * error)
    squared, error = np.mean([each["grad_norm_mean"] ** 2 for each in records]), 0.05 * float(true @ true)
    assert squared == pytest.approx(float(true @ true + NOISE @ NOISE), abs=error)
    change, error = mean(records, "loss_change")
    # E[∇L·v + v'Hv/2] with v = −lr·(∇L + ε)
    expected = -lr * true @ true + 0.5 * lr**2 * (HESSIAN @ (true**2 + NOISE**2))
    assert change == pytest.approx(float(expected), abs=4 * error)
    for each in records:
        trapezoid = 0.5 * (each["slope"] + each["slope_next"]) * each["update_norm"]
        assert each["loss_change"] == pytest.approx(trapezoid, rel=1e-9)
        curvature = (each["slope_next"] - each["slope"]) / each["update_norm"]
        assert each["curvature"] == pytest.approx(curvature, rel=1e-9)
        assert each["slope_own"] < 0
        assert each["displacement"] == pytest.approx(each["update_norm"], rel=1e-12)


def test_an_update_that_moves_nothing_spoils_no_mean() -> None:
    weights, gradient = torch.ones(2), torch.ones(2)
    probe = Probe([weights], [gradient])
    for shift in (0.0, 0.5):
        probe.begin(lambda: torch.tensor(1.0))
        weights.add_(shift)
        probe.end(torch.tensor(0.5))
    found = probe.record()
    assert found["probed"] == 2
    assert found["update_max"] == 0.25
    assert found["slope"] == pytest.approx(2**0.5)
    assert found["loss_change"] == -0.5


@pytest.mark.parametrize(("optimiser", "every"), [("adamw", 1), ("muon", 3)])
def test_a_probed_run_is_the_same_run_bit_for_bit(run, streams, optimiser: str, every: int) -> None:
    run = replace(run, optimiser=optimiser, ramp=((15, 128),))
    plain, probed, records = Trainer(run, streams), Trainer(run, streams, probe=every), {}
    for trainer in (plain, probed):
        own = records[trainer] = []
        trainer.train(24, own.append)
    ours, theirs = state(probed), state(plain)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for a, b in zip(records[probed], records[plain], strict=True):
        assert {key: a[key] for key in b if key != "seconds"} == {
            key: b[key] for key in b if key != "seconds"
        }
    looked = [sum(step % every == 0 for step in range(a, b)) for a, b in ((0, 10), (10, 20), (20, 24))]
    assert [record["probed"] for record in records[probed]] == looked
    assert "probed" not in records[plain][0]


def test_records_of_an_interrupted_run_are_those_of_the_whole_one(run, streams, tmp_path: Path) -> None:
    whole: list[dict[str, float]] = []
    Trainer(run, streams, probe=1).train(23, whole.append)
    parts: list[dict[str, float]] = []
    first = Trainer(run, streams, probe=1)
    assert not first.train(23, parts.append, lambda: first.step == 10)
    first.save(tmp_path / "state.safetensors")
    second = Trainer(run, streams, probe=1)
    second.load(tmp_path / "state.safetensors")
    second.train(23, parts.append)
    for a, b in zip(parts, whole, strict=True):
        assert a | {"seconds": 0} == b | {"seconds": 0}


def test_a_record_is_what_plain_numpy_makes_of_the_updates(run, streams) -> None:
    """Every gradient taken apart from the trainer's loop, at weights kept from it."""
    trainer = Trainer(run, streams, probe=1)
    records: list[dict[str, float]] = []
    weights, gradients, losses = [], [], []

    def flat(tensors) -> np.ndarray:
        return np.concatenate([tensor.detach().double().numpy().ravel() for tensor in tensors])

    other = Trainer(run, streams)
    for step in range(11):
        other.train(step, lambda record: None)
        weights.append(flat(other.model.p.values()))
        taken = {}
        for batch in (step, step + 1):  # of the batch that is next, and of the one after it
            inputs, targets = other.mixture.batch(2 * batch, 2)
            other.optimiser.zero()
            loss = other.model.loss(torch.from_numpy(inputs), torch.from_numpy(targets))
            loss.backward()
            taken[batch] = flat(tensor.grad for tensor in other.model.p.values()), loss.item()
        gradients.append({batch: gradient for batch, (gradient, _) in taken.items()})
        losses.append({batch: loss for batch, (_, loss) in taken.items()})
    trainer.train(10, records.append)
    rows = []
    for t in range(10):
        v, g, h, after = (
            weights[t + 1] - weights[t],
            gradients[t][t],
            gradients[t][t + 1],
            gradients[t + 1][t + 1],
        )
        size = np.linalg.norm
        cosine = g @ after / size(g) / size(after)
        rows.append(
            {
                "update_max": np.abs(v).max(),
                "update_norm": size(v),
                "grad_norm_mean": size(g),
                "grad_inner": g @ h,
                "cosine": cosine,
                "cosine_positive": float(cosine > 0),
                "slope_own": g @ v / size(v),
                "slope": h @ v / size(v),
                "slope_next": after @ v / size(v),
                "curvature": (after - h) @ v / size(v) ** 2,
                "curvature_consecutive": (after - g) @ v / size(v) ** 2,
                "bend": abs((after - h) @ v) / size(v) ** 2 / (1 + (after @ v / size(v)) ** 2) ** 1.5,
                "bend_consecutive": abs((after - g) @ v)
                / size(v) ** 2
                / (1 + (after @ v / size(v)) ** 2) ** 1.5,
                "loss_change": losses[t + 1][t + 1] - losses[t][t + 1],
            }
        )
    (found,) = records
    for key in rows[0]:
        expected = np.mean([row[key] for row in rows])
        scale = np.mean([abs(row[key]) for row in rows])
        assert found[key] == pytest.approx(expected, abs=2e-4 * scale), key
    assert found["displacement"] == pytest.approx(np.linalg.norm(weights[10] - weights[0]), rel=1e-5)
    assert found["weight_norm"] == pytest.approx(np.linalg.norm(weights[10]), rel=1e-5)
