"""A run table's rows over N and D, those that a review found something about marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglab.plots._axes import count, key_above, log_axis
from scalinglab.plots._canvas import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    canvas,
    marker_size,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.review import Report

# told apart by shape as well as by colour; open, so that several can be seen on one row
_MARKS = (
    *(("o", VERMILLION), ("s", BLUE), ("D", GREEN), ("^", ORANGE), ("v", PURPLE), ("P", SKY)),
    ("X", GREY),
)


def review(report: Report, *, ax: Axes | None = None) -> Axes:
    """The rows of a reviewed table over N and D; an open mark round those a finding is about, a shape a code.

    Findings about the whole table are in the key without a mark. Of more than seven codes the gravest are marked.
    """
    n, d = (report.runs[column].to_numpy(dtype=float) for column in ("params", "tokens"))
    codes: dict[str, list[int]] = {}
    graver: dict[str, str] = {}
    for found in report.findings:
        graver.setdefault(found.code, found.severity)
        codes.setdefault(found.code, []).extend(found.rows)
    with canvas(ax) as ax:
        keys = ax.plot(
            n, d, "o", color=FAINT, mec="white", mew=0.4, ms=0.8 * marker_size(), label="run", zorder=2
        )
        # each further code lies outside the last, so that none hides another
        marked = [code for code, rows in codes.items() if rows][: len(_MARKS)]
        for code, (shape, colour) in zip(marked, _MARKS, strict=False):
            rows = np.unique(codes[code])
            size = (1.3 + 0.25 * marked.index(code)) * marker_size()
            keys += ax.plot(
                n[rows], d[rows], shape, mfc="none", mec=colour, mew=1.3, ms=size, zorder=3,
                label=f"{graver[code]}: {code} ({len(rows)})",
            )  # fmt: skip
        for code in (code for code, rows in codes.items() if not rows):
            keys += ax.plot([], [], ls="", label=f"{graver[code]}: {code} (whole table)")
        log_axis(ax.xaxis, "model size N (parameters)", (n.min() / 1.4, n.max() * 1.4), count)
        log_axis(ax.yaxis, "training tokens D", (d.min() / 1.4, d.max() * 1.4), count)
        key_above(ax, handles=keys)
    return ax
