"""One size's trunk and its branches: the schedule and what it does to the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from scalinglab.errors import InputError
from scalinglab.plots._axes import count, key_above
from scalinglab.plots._canvas import INK, VERMILLION, SizeColours, canvas
from scalinglab.plots._panels import panel_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Curve = pd.DataFrame | Mapping[str, Any]

_SMOOTHED = 9  # records in the running mean, fewer for short branches
_WARMUP_SHARE = 0.04  # of the trunk: its loss falls so far there that nothing later could be told apart


def schedule_and_loss(
    trunk: Curve,
    branches: Sequence[Curve] | Mapping[str, Curve] = (),
    *,
    loss_unit: str = "nats/byte",
    ax: Axes | None = None,
) -> Axes:
    """Learning rate (above) and training loss of one size's trunk and its decay branches, against tokens.

    trunk, branches: curves with columns `tokens`, `loss` and `lr` in order of training, and, where the run was
        measured on held-out text, `eval_loss` (NaN elsewhere). A branch begins at its fork: at its first row, or where
        the frame's attrs say `fork_tokens`.
    Returns the loss Axes; those of the learning rate are the figure's latest. Loss is drawn as recorded (faint)
    and as a running mean of at most nine records. The first 4 % of the trunk may leave the plot at the top.
    Raises InputError for a curve without one of its columns.
    """
    stem = _curve(trunk, "trunk")
    named = branches.items() if isinstance(branches, Mapping) else enumerate(branches, 1)
    forks = sorted(
        (_curve(branch, f"branch {name}") for name, branch in named), key=lambda each: each["tokens"].iloc[-1]
    )
    with canvas(ax, height=1.35) as ax:
        rate = panel_above(ax)
        ends = [branch["tokens"].iloc[-1] for branch in forks]
        colour = SizeColours(ends or [1.0])
        ax.plot(stem["tokens"], stem["loss"], color=INK, alpha=0.2, lw=0.7, zorder=1)
        for axes, column in ((rate, "lr"), (ax, "smooth")):
            origin = [0.0] if axes is rate else []  # the warmup begins there
            axes.plot(
                [*origin, *stem["tokens"]], [*origin, *stem[column]], color=INK, label="trunk", zorder=2
            )
            for i, branch in enumerate(forks):
                end = branch.iloc[-1]
                shade = colour(end["tokens"])
                start = branch.attrs.get("fork_tokens", branch["tokens"].iloc[0])
                joint = float(np.interp(start, stem["tokens"], stem[column]))
                tokens, values = [start, *branch["tokens"]], [joint, *branch[column]]
                first = i == 0  # one entry each in the legend
                if axes is ax:
                    ax.plot(branch["tokens"], branch["loss"], color=shade, alpha=0.3, lw=0.7, zorder=1)
                axes.plot(
                    tokens, values, color=shade, label="branch (dark: short)" if first else None, zorder=3
                )
                axes.plot(start, joint, "o", mfc="white", mec=INK, label="fork" if first else None, zorder=4)
                axes.plot(
                    end["tokens"], end[column], "o", color=shade, mec="white",
                    label="branch end" if first else None, zorder=5,
                )  # fmt: skip
        measured = pd.concat([_measured(curve) for curve in (stem, *forks)])
        if len(measured):
            ax.plot(
                measured["tokens"], measured["eval_loss"], "x", color=VERMILLION, mew=1.5,
                label="held-out loss", zorder=6,
            )  # fmt: skip

        late = stem["tokens"] >= _WARMUP_SHARE * stem["tokens"].iloc[-1]
        seen = np.concatenate(
            [stem["smooth"][late], *(branch["smooth"] for branch in forks), measured["eval_loss"]]
        )
        margin = 0.06 * np.ptp(seen) or 0.1
        ax.set_ylim(seen.min() - margin, seen.max() + margin)
        ax.set_xlim(0, 1.02 * max([stem["tokens"].iloc[-1], *ends]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        ax.set_xlabel("tokens")
        ax.set_ylabel(f"training loss ({loss_unit})")
        peak = max(curve["lr"].max() for curve in (stem, *forks))
        rate.set_ylim(-0.08 * peak, 1.12 * peak)
        rate.set_yticks([0, peak], ["0", f"{peak:.3g}"])
        rate.set_ylabel("learning rate")
        rate.tick_params(labelbottom=False)
        key_above(rate, handles=ax.get_legend_handles_labels()[0])
    return ax


def _curve(metrics: Curve, what: str) -> pd.DataFrame:
    curve = pd.DataFrame(metrics)
    for column in ("tokens", "lr", "loss"):
        if column not in curve:
            raise InputError(
                f'the metrics of the {what} have no column "{column}"; they need tokens, lr and loss.'
            )
    if curve.empty:
        raise InputError(f"the metrics of the {what} are empty; has it been trained?")
    window = 1 + 2 * (min(len(curve) // 3, _SMOOTHED) // 2)
    smooth = curve.assign(smooth=curve["loss"].rolling(window, center=True, min_periods=1).mean())
    smooth.attrs |= getattr(metrics, "attrs", {})
    return smooth


def _measured(curve: pd.DataFrame) -> pd.DataFrame:
    if "eval_loss" not in curve:
        return pd.DataFrame({"tokens": [], "eval_loss": []}, dtype=float)
    return curve.loc[curve["eval_loss"].notna(), ["tokens", "eval_loss"]]


def read_curves(study: str | Path, size: str | None = None) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The trunk of one size in a study folder and its branches {run_id: curve}, as `schedule_and_loss` takes them.

    size: its name; by default the size with the most branches, the smaller of equals. `eval_loss` is the mean
    over the held-out sets. Raises InputError for a folder without runs, or without that size.
    """
    from scalinglab.ladder.definition import run_of
    from scalinglab.records.store import StudyFolder

    runs = [(run.manifest(), run) for run in StudyFolder(Path(study)).runs()]
    trunks: dict[str, Any] = {}
    for found, run in runs:
        if found["kind"] == "trunk":
            trunks.setdefault(found["size"], (found, run))  # the first seed, where there are several
    if not trunks:
        raise InputError(f"{study} holds no trained trunk; is it a study folder?")
    forks = {
        name: [(found, run) for found, run in runs if found["parent"] == trunk["id"]]
        for name, (trunk, _) in trunks.items()
    }
    if size is None:
        size = min(trunks, key=lambda name: (-len(forks[name]), trunks[name][0]["counts"]["params"]))
    if size not in trunks:
        raise InputError(f'{study} has no size "{size}"; it has {", ".join(trunks)}.')
    branches = {found["id"]: read_run(run) for found, run in forks[size]}
    for found, _ in forks[size]:
        if "definition" not in found:
            continue  # of another tool's making: a branch then begins at its first record
        batches = run_of(found["definition"], found["size"]).batches
        branches[found["id"]].attrs["fork_tokens"] = float(batches.tokens_at(found["start"]))
    return read_run(trunks[size][1]), branches


def read_run(run: Any) -> pd.DataFrame:
    metrics = run.read_metrics()
    train = pd.DataFrame(list(metrics.train.values()), columns=["tokens", "lr", "loss"]).astype(float)
    measured = [
        (record["tokens"], np.mean([found["loss"] for found in record["sets"].values()]))
        for record in metrics.evals.values()
    ]
    evals = pd.DataFrame(measured, columns=["tokens", "eval_loss"]).astype(float)
    curve = train.merge(evals, on="tokens", how="outer").sort_values("tokens", ignore_index=True)
    if curve.empty:
        raise InputError(f"{run.metrics_path} holds no training record; has the run begun?")
    return curve
