"""Coordinate check: mean |activation| against width, a panel for each parametrisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.ticker import FixedLocator

from scalinglab.plots._axes import log_axis
from scalinglab.plots._canvas import BLUE, GREEN, INK, ORANGE, VERMILLION, canvas, marker_size
from scalinglab.plots._panels import panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOK = {
    "embedding": (INK, "o"),
    "attention": (BLUE, "s"),
    "mlp": (VERMILLION, "^"),
    "residual": (GREEN, "D"),
    "logits": (ORANGE, "v"),
}


def coordinate_check(frame: pd.DataFrame, *, step: int | None = None, ax: Axes | None = None) -> Axes:
    """Mean |activation| against width after `step` updates (the last), with the slope of each module in the key.

    frame: rows of `scalinglab.training.coordinates.coordinate_check`, of one parametrisation or more. Lines are
    geometric means over seeds, faint points single seeds. Of the logits what the updates changed is drawn (dashed):
    their own size shrinks with the width by design. Returns the first panel; all have one y axis. Raises InputError for
    a table that is not a coordinate check's.
    """
    from scalinglab.analysis.coordinate_slopes import names_of, slopes

    found = slopes(frame)
    step = int(found["step"].max()) if step is None else step
    names = names_of(frame)
    widths = sorted(frame["width"].unique().tolist())
    with canvas(ax, height=1.35) as ax:
        panels = panel_grid(ax, 1, len(names), len(names))
        sizes: list[float] = []
        for panel, name in zip(panels, names, strict=True):
            for module, (colour, marker) in _LOOK.items():
                quantity = "change" if module == "logits" else "activation"
                here = (
                    (frame["parametrisation"] == name) & (frame["module"] == module) & (frame["step"] == step)
                )
                row = found[
                    (found["parametrisation"] == name) & (found["module"] == module)
                    & (found["step"] == step) & (found["quantity"] == quantity)
                ].iloc[0]  # fmt: skip
                mean = np.exp(np.log(frame[here][quantity]).groupby(frame[here]["width"]).mean())
                label = f"{'Δ logits' if module == 'logits' else module} {_signed(row['slope'], row['se'])}"
                # the embedding shows from under what has the same size
                wide = 1.5 if module == "embedding" else 1.0
                panel.plot(
                    mean.index, mean, marker=marker, color=colour, mec="white", mew=0.5, zorder=3,
                    lw=wide * rcParams["lines.linewidth"], ms=wide * marker_size(),
                    ls="--" if module == "logits" else "-", label=label,
                )  # fmt: skip
                panel.plot(
                    frame[here]["width"], frame[here][quantity], ".", color=colour, alpha=0.35,
                    ms=0.7 * marker_size(), mew=0, zorder=2,
                )  # fmt: skip
                sizes += frame[here][quantity].tolist()
            log_axis(panel.xaxis, "width d", (widths[0] / 1.25, widths[-1] * 1.25), lambda v: f"{v:.0f}")
            panel.xaxis.set_major_locator(FixedLocator(widths[:: -(-len(widths) // 3)]))
            panel.xaxis.set_minor_locator(FixedLocator(widths))
            panel.legend(
                title=f"{name}: slope", loc="lower left", bbox_to_anchor=(-0.02, 1.0), alignment="left",
                borderaxespad=0.2, handlelength=1.3, handletextpad=0.4,
            )  # fmt: skip
        limits = min(sizes) / 1.6, max(sizes) * 1.6
        for panel in panels:
            log_axis(panel.yaxis, f"mean |activation| after {step} updates", limits, lambda v: f"{v:g}")
            if panel is not ax:
                panel.set_ylabel("")
                panel.tick_params(labelleft=False)
    return ax


def _signed(slope: float, se: float) -> str:
    return "not a number" if np.isnan(slope) else f"{slope:+.2f}±{se:.2f}".replace("-", "−")
