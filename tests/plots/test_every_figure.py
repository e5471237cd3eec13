"""Every figure of the catalogue: it draws on given axes and on its own, in both styles, and no text is cut off."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import scalinglab as sl
from scalinglab import laws, plots
from scalinglab.analysis import Estimate
from scalinglab.analysis.found_constants import found_constants
from scalinglab.experiments.quickstart import STUDY
from scalinglab.ladder import Batches, parse_schedule

NAMES = sorted(
    {*plots.KINDS, "paired", "schedule_kinds", "coordinate_check", "lr_valleys", "lr_drift"}
    | {"search_trials", "search_progress", "search_gains"}
)


@pytest.fixture(scope="module")
def figures(fit: sl.Fit, runs: pd.DataFrame, training_records: Any) -> dict[str, Callable[..., Any]]:
    """Name -> draw(ax=…), the answers already found."""
    trunk, branches = training_records()
    found = sl.continual(runs)
    valleys = sl.isoflop(runs, resamples=50)
    curves = many_sizes()
    enveloped, crossed = sl.envelope(curves, resamples=50), sl.crossings(curves)
    swept = sweep()
    settings, lines = sl.batch_lr(swept, resamples=50), sl.iso_loss(swept, resamples=20)
    planned, following = sl.plan(STUDY), sl.next_runs(fit, 2e12, density=4, beyond=np.inf)
    compared = sl.paired(runs, runs.assign(loss=0.995 * runs["loss"]), resamples=50)
    influences = sl.influence(fit, flops=1e13)
    reviewed = sl.check(pd.concat([runs, runs.iloc[:2]]))
    transfer = {name: sl.analysis.lr_transfer(own) for name, own in valleys_of_widths().items()}
    trials, ranges = a_search(), {"lr": (0.001, 0.1), "scale_emb": (1.0, 100.0), "init_std": (0.01, 1.0)}
    best = found_constants(trials, list(ranges))
    ramp = Batches(256_000, ((3000, 512_000), (6000, 1_024_000)))
    return {
        "schedule": lambda **ax: plots.schedule(parse_schedule("default:total=10000"), batches=ramp, **ax),
        "schedule_kinds": lambda **ax: plots.schedule_kinds(**ax),
        "schedule_and_loss": lambda **ax: plots.schedule_and_loss(trunk, branches, **ax),
        "loss_vs_tokens": lambda **ax: plots.loss_vs_tokens(fit, **ax),
        "residuals": lambda **ax: plots.residuals(fit, **ax),
        "review": lambda **ax: plots.review(reviewed, **ax),
        "leverage": lambda **ax: plots.leverage(fit, found=influences, **ax),
        "profile": lambda **ax: plots.profile(fit, **ax),
        "contours": lambda **ax: plots.contours(fit, flops=1e13, **ax),
        "frontier": lambda **ax: plots.frontier(fit, **ax),
        "continual": lambda **ax: plots.continual(found, runs, **ax),
        "equivalent_size": lambda **ax: plots.equivalent_size(fit, 1.75, 11_000.0, **ax),
        "isoflop": lambda **ax: plots.isoflop(valleys, **ax),
        "isoflop_optima": lambda **ax: plots.isoflop_optima(valleys, **ax),
        "envelope": lambda **ax: plots.envelope(enveloped, **ax),
        "crossings": lambda **ax: plots.crossings(crossed, **ax),
        "overtraining": lambda **ax: plots.overtraining(fit, 1e12, **ax),
        "inference_optimum": lambda **ax: plots.inference_optimum(fit, 1e8, flops=1e12, **ax),
        "data_limited": lambda **ax: plots.data_limited(fit, 1e13, 1e6, **ax),
        "batch_lr": lambda **ax: plots.batch_lr(settings, **ax),
        "batch_lr_valley": lambda **ax: plots.batch_lr_valley(settings, **ax),
        "iso_loss": lambda **ax: plots.iso_loss(lines, **ax),
        "iso_loss_law": lambda **ax: plots.iso_loss_law(lines, **ax),
        "ladder_cost": lambda **ax: plots.ladder_cost(planned, **ax),
        "next_runs": lambda **ax: plots.next_runs(fit, following, **ax),
        "paired": lambda **ax: plots.paired(compared, **ax),
        "lr_valleys": lambda **ax: plots.lr_valleys(transfer, **ax),
        "lr_drift": lambda **ax: plots.lr_drift(transfer, **ax),
        "search_trials": lambda **ax: plots.search_trials(trials, best, ranges, {"lr": 0.01}, **ax),
        "search_progress": lambda **ax: plots.search_progress(trials, 1e4, Estimate(2.53, 2.51, 2.55), **ax),
        "search_gains": lambda **ax: plots.search_gains(gains(), **ax),
        "coordinate_check": lambda **ax: plots.coordinate_check(activations(), **ax),
    }


def many_sizes() -> pd.DataFrame:
    """Noise-free curves of twelve sizes under a known law."""
    law = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
    parts = []
    for n in np.geomspace(1e7, 1e10, 12):
        d = np.geomspace(n, 400 * n, 40)
        loss = laws.Chinchilla().predict(law, params=n, tokens=d)
        parts.append(pd.DataFrame({"run_id": f"{n:.4g}", "params": n, "tokens": d, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def a_search() -> pd.DataFrame:
    """Trials about a bowl: finished, pruned and diverged ones, some far above."""
    rng = np.random.default_rng(0)
    off = rng.uniform(-2, 2, (40, 3))
    states = np.array(["complete", "complete", "pruned", "complete", "diverged"])[np.arange(40) % 5]
    loss = np.where(states == "complete", 2.5 + 0.2 * (off**2).sum(1), np.nan)
    constants = np.exp(off) * [0.01, 10.0, 0.1]
    frame = pd.DataFrame(constants, columns=["lr", "scale_emb", "init_std"]).assign(state=states, loss=loss)
    return frame.assign(
        trial=range(40), tokens=np.where(states == "complete", 1e5, 3e4), loss_unit="nats/byte"
    )


def gains() -> pd.DataFrame:
    return pd.DataFrame(
        {"params": n, "tokens": d, "difference": 1e-3 * (i - 1), "lo": 1e-3 * (i - 3), "hi": 1e-3 * (i + 1),
         "seeds": (-0.002, 0.001 * i), "loss_unit": "nats/byte"}
        for i, n in enumerate((1e4, 4e4, 1e5))
        for d in (256e3, 512e3)
    )  # fmt: skip


def activations() -> pd.DataFrame:
    """A coordinate check in which one parametrisation is flat and the other grows as the width."""
    modules = ("embedding", "attention", "mlp", "residual", "logits")
    return pd.DataFrame(
        {"parametrisation": name, "width": d, "seed": seed, "step": 4, "module": module,
         "activation": (1 + i) * d**power * (1 + 0.1 * seed), "change": 0.1 * d**power * (1 + 0.1 * seed)}
        for name, power in (("minicpm", 0.0), ("standard", 1.0))
        for d in (32, 64, 128, 256, 512)
        for seed in range(2)
        for i, module in enumerate(modules)
    )  # fmt: skip


def sweep() -> pd.DataFrame:
    """Learning rate × batch in eight cells, each a quadratic valley with its optimum inside."""
    rng = np.random.default_rng(0)
    n, d, lr, batch = (
        a.ravel()
        for a in np.meshgrid(
            [1e4, 4e4], 1e6 * 2.0 ** np.arange(4), 2.0 ** np.arange(-10, -4), 2.0 ** np.arange(7, 13)
        )
    )
    u, v = np.log(lr) - np.log(3 * n**-0.6), np.log(batch) - np.log(0.5 * d**0.5)
    loss = (1 + 8 * n**-0.3 + 60 * d**-0.35) * np.exp(0.01 * (u * u + v * v) + rng.normal(0, 5e-4, n.size))
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss, "lr": lr, "batch_tokens": batch})


def valleys_of_widths() -> dict[str, pd.DataFrame]:
    """Learning rate × width: flat, and with an optimum that falls off the grid, where the highest rate diverges."""
    width, lr, seed = (a.ravel() for a in np.meshgrid([32, 64, 128], 0.001 * 2.0 ** np.arange(6), [0, 1]))
    found = {}
    for name, power in (("MiniCPM's", 0.0), ("standard", -1.5)):
        v = np.log(lr / 0.006) - power * np.log(width / 32)
        loss = 2.1 + 9 / width + 0.06 * v**2 + 0.01 * np.sin(99 * lr + seed)
        loss[(lr > 0.02) & (power < 0)] = np.nan
        found[name] = pd.DataFrame(
            {"width": width, "lr": lr, "seed": seed, "loss": loss, "loss_unit": "nats/byte"}
        )
    return found


def test_the_catalogue_is_covered(figures: dict[str, Any]) -> None:
    assert sorted(figures) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_on_given_axes_and_in_the_paper_style(figures: dict[str, Any], name: str) -> None:
    ax = Figure().add_subplot()
    assert figures[name](ax=ax) is ax
    draws_without_complaint(ax)
    with plots.style("paper"):
        paper = figures[name]()
    assert paper.figure.get_figwidth() == 3.4
    nothing_is_cut_off(paper)


@pytest.mark.parametrize("name", NAMES)
def test_in_the_notebook_style_no_text_is_cut_off(figures: dict[str, Any], name: str) -> None:
    ax = figures[name]()
    assert ax.figure.get_figwidth() == 7
    nothing_is_cut_off(ax)


def draws_without_complaint(ax: Any) -> None:
    """Layout included: text too large for the figure would warn, and warnings are errors here."""
    ax.figure.canvas.figure.draw_without_rendering()


def nothing_is_cut_off(ax: Any) -> None:
    draws_without_complaint(ax)
    page = ax.figure.bbox.padded(3)
    for each in ax.figure.axes:
        for axis in (each.xaxis, each.yaxis):
            boxes = tick_label_boxes(axis)
            along = sorted((box.x0, box.x1) if axis is each.xaxis else (box.y0, box.y1) for box in boxes)
            assert all(end < start for (_, end), (start, _) in itertools.pairwise(along))
            for box in [*boxes, axis.label.get_window_extent()]:
                assert page.contains(box.x0, box.y0)
                assert page.contains(box.x1, box.y1)
        if each.get_legend():
            key = each.get_legend().get_window_extent()
            assert page.contains(key.x0, key.y0)
            assert page.contains(key.x1, key.y1)
            assert not key.overlaps(each.get_window_extent().padded(-3))


def tick_label_boxes(axis: Any) -> list[Any]:
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [
        tick.label1.get_window_extent()
        for tick in ticks
        if tick.label1.get_visible() and tick.label1.get_text()
    ]
