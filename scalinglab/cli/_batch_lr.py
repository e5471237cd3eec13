"""What `scalinglab batch-lr` prints: the law's constants, then the optima it rests on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from scalinglab.analysis import BatchLr, Estimate, IsoLoss
from scalinglab.cli._answers import print_frame, save_figure, show
from scalinglab.cli._console import console, print_json, say

_CELL = [
    "params",
    "tokens",
    "lr",
    "lr_lo",
    "lr_hi",
    "batch_tokens",
    "batch_tokens_lo",
    "batch_tokens_hi",
    "edge",
]
_LINE = ["params", "loss", "batch_tokens", "batch_tokens_lo", "batch_tokens_hi", "tokens", "edge"]


def show_sweep(
    answer: BatchLr | IsoLoss,
    optima: tuple[str, pd.DataFrame],
    asked: tuple[str, Estimate] | None,
    as_json: bool,
    figure: Path | None,
    draw: Callable[[], Any],
    notes: tuple[str, ...],
) -> None:
    if as_json:
        drawn = save_figure(draw, figure) if figure is not None else None
        extra = (
            {}
            if asked is None
            else {"batch_tokens": {k: getattr(asked[1], k) for k in ("value", "lo", "hi")}}
        )
        print_json(answer.plain() | {"notes": [*notes, *answer.notes], "figure": drawn} | extra)
        return
    name, frame = optima
    wanted = _CELL if name == "cells" else _LINE
    shown = frame[wanted]
    if asked is not None:
        say(f"{asked[0]} {asked[1].text(True)} tokens")
    print_frame(
        shown, answer.level, "Optima of the cells" if name == "cells" else "Minima of the lines of equal loss"
    )
    if (frame["edge"] != "").any():
        console.print(
            "[dim]edge: which end of the grid the optimum lies on or beyond; it is a bound then.[/]"
        )
    show(answer, as_json, figure, draw, notes)
