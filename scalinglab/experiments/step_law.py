"""Step Law's regression on the authors' dense runs beside its printed constants; MiniCPM's construction on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.analysis import BatchLr, Estimate, IsoLoss, batch_lr, iso_loss
from scalinglab.errors import InputError
from scalinglab.experiments.report import Beside, Report
from scalinglab.records import read_runs

FILE = "steplaw_dense.csv"
DIVERGED = 4.0
LR = (1.79, -0.713, 0.307)
"""c, a, b of lr* = c·N^a·D^b, as printed."""
BATCH = (0.58, 0.571)
"""k, m of batch* = k·D^m, in tokens."""
MINICPM = (1.21e9, 6.24)
"""k, p of bs = k / L^p, as printed."""
_NAMES = {"params_nonemb": "params", "batch_size_tokens": "batch_tokens"}
_PRINTED = (
    ("lr*: c", "lr_c", "1.79"),
    ("lr*: exponent of N", "lr_params", "-0.713"),
    ("lr*: exponent of D", "lr_tokens", "0.307"),
    ("batch*: k", "batch_c", "0.58"),
    ("batch*: exponent of D", "batch_tokens", "0.571"),
    ("batch*: exponent of N, let in", "batch_params", "0 (left out)"),
)
_READINGS = {
    "grid": "least run",
    "near": "runs within 0.25 %",
    "smooth": "smooth minimum",
}


def read_dense(folder: Path) -> pd.DataFrame:
    """The authors' dense runs as a run table. Raises InputError where the file is missing or another."""
    path = folder / FILE
    try:
        found = pd.read_csv(path).rename(columns=_NAMES)
        return read_runs(found[["run_id", "params", "tokens", "loss", "lr", "batch_tokens", "best_for_ND"]])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, and step-law is fitted to it") from None
    except KeyError as error:
        raise InputError(f"{path} is not the table that step-law is fitted to: {error}") from None


def report(folder: Path | None, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """Printed constants beside the regression through each cell's optimum, read three ways."""
    from scalinglab import plots

    if folder is None:
        raise InputError("step-law needs the folder of real runs: give --data DIR")
    runs = read_dense(folder)
    found: dict[str, BatchLr] = {}
    for i, where in enumerate(_READINGS):
        progress(_READINGS[where], i, 4)
        found[where] = batch_lr(runs, where, diverged=DIVERGED)  # type: ignore[arg-type]
    progress("lines of equal loss", 3, 4)
    lines = iso_loss(runs, diverged=DIVERGED)
    smooth, cells = found["smooth"], found["smooth"].cells
    agree, of = flags_agree(runs, found["grid"])
    theirs = (
        LR[0] * cells["params"] ** LR[1] * cells["tokens"] ** LR[2],
        BATCH[0] * cells["tokens"] ** BATCH[1],
    )
    cost, own = smooth.loss_above(*theirs), smooth.loss_above(cells["lr_law"], cells["batch_law"])
    by_n = batch_lr(runs, params_in_batch=True, diverged=DIVERGED).cells
    with_n = smooth.loss_above(by_n["lr_law"], by_n["batch_law"])
    ratio = [
        float(np.exp(np.log(t / cells[name]).mean()))
        for t, name in zip(theirs, ("lr", "batch_tokens"), strict=True)
    ]
    lines_of = [Beside(what, printed, getattr(smooth, name)) for what, name, printed in _PRINTED]
    inside = [
        line for (_, name, printed), line in zip(_PRINTED[:5], lines_of, strict=False)
        if getattr(smooth, name).lo <= float(printed) <= getattr(smooth, name).hi
    ]  # fmt: skip
    unit = pd.DataFrame({"loss_unit": ["nats/token"]})
    return Report(
        title="Step Law: learning rate and batch",
        source="Li et al. 2025, arXiv 2503.04715",
        lines=(
            *lines_of,
            Beside(
                "best_for_ND flags that are the least run",
                f"{of}",
                agree,
                "the flags are the plain least run",
            ),
            Beside(
                "mean loss above the least, %",
                "",
                100 * float(cost.mean()),
                "printed law, by the cells' surfaces",
            ),
            Beside("worst cell, %", "", 100 * float(cost.max()), "printed law"),
            Beside("mean loss above the least, %", "", 100 * float(own.mean()), "our law"),
            Beside("worst cell, %", "", 100 * float(own.max()), "our law"),
            Beside("worst cell, %", "", 100 * float(with_n.max()), "our law, N let into batch*"),
        ),
        tables={
            "lr* = c·N^a·D^b by how a cell's optimum is read (90 % intervals)": readings(
                found, {"c": "lr_c", "a": "lr_params", "b": "lr_tokens"}, LR
            ),
            "batch* = k·D^m, and n of N if let in": readings(
                found, {"k": "batch_c", "m": "batch_tokens", "n": "batch_params"}, (*BATCH, 0.0)
            ),
            "Smooth minimum by the reach of its surface": reaches(runs),
        },
        verdict=(
            f"{len(inside)} of the 5 printed constants lie inside our 90 % intervals, but as a law the printed "
            f"one gives a learning rate {ratio[0]:.2f} times and a batch {ratio[1]:.2f} times the smooth minima "
            f"(geometric mean). It costs little, for the valley is flat. These runs do not bear out that N can be "
            f"left out of the batch: its exponent is {smooth.batch_params}. To the digit the printed constants cannot "
            "be had from this table: neither its flagged runs nor a regression through all runs within 0.25 % of the "
            "least, as in the authors' fitting code, gives them."
        ),
        notes=_notes(smooth, lines),
        figures={
            "step-law": lambda: plots.batch_lr(smooth, published=LR),
            "step-law-batch": lambda: plots.batch_lr(smooth, "batch", published=(BATCH[0], 0.0, BATCH[1])),
            "step-law-valley": lambda: plots.batch_lr_valley(smooth),
            "step-law-iso-loss": lambda: plots.iso_loss(lines, runs=unit),
            "step-law-iso-loss-law": lambda: plots.iso_loss_law(lines, runs=unit, published=MINICPM),
        },
    )


def flags_agree(runs: pd.DataFrame, grid: BatchLr) -> tuple[int, int]:
    """How many of the authors' flagged runs are the least run of their cell, and how many are flagged."""
    flagged = runs[runs["best_for_ND"] == 1]
    both = flagged.merge(grid.cells, on=["params", "tokens"], suffixes=("", "_cell"))
    same = np.isclose(both["lr"], both["lr_cell"], rtol=0.02) & np.isclose(
        both["batch_tokens"], both["batch_tokens_cell"], rtol=0.02
    )
    return int(same.sum()), len(flagged)


def readings(found: dict[str, BatchLr], names: dict[str, str], printed: tuple[float, ...]) -> pd.DataFrame:
    """A row a reading, the printed constants first; names: heading -> constant."""
    rows: list[dict[str, Any]] = [{"optimum": "printed", **dict(zip(names, printed, strict=True))}]
    for where, each in found.items():
        row: dict[str, Any] = {"optimum": _READINGS[where]}
        for heading, name in names.items():
            got: Estimate = getattr(each, name)
            row |= {heading: got.value, f"{heading}_lo": got.lo, f"{heading}_hi": got.hi}
        rows.append(row)
    return pd.DataFrame(rows)


def reaches(runs: pd.DataFrame) -> pd.DataFrame:
    """What the smooth minimum depends on: constants at several reaches of its surface."""
    rows = []
    for reach in (3.0, 4.0, 6.0):
        found = batch_lr(runs, diverged=DIVERGED, reach=reach, resamples=50)
        rows.append(
            {"reach (factor)": reach, "a": found.lr_params.value, "b": found.lr_tokens.value}
            | {"m": found.batch_tokens.value, "n": found.batch_params.value}
            | {"sd ln lr": found.lr_scatter, "sd ln batch": found.batch_scatter}
        )
    return pd.DataFrame(rows)


def _notes(smooth: BatchLr, lines: IsoLoss) -> tuple[str, ...]:
    together = (
        "Ours on the first lines is the smooth minimum. Constants move together: a larger exponent is made good by a "
        "smaller constant, so intervals are wide one by one where the law is not (bands in the figure)."
    )
    sizes = "".join(f"{note} " for note in lines.notes if note.startswith(("L alone", "Sizes share")))
    other = (
        f"MiniCPM's construction on these rows: {lines.headline()}. {sizes}Three or four horizons a size (two for the "
        f"largest) carry each line. The printed {MINICPM[0]:.3g} / L^{MINICPM[1]} is of another corpus and tokeniser, "
        "and its runs are not public."
    )
    return smooth.notes[0], together, other
