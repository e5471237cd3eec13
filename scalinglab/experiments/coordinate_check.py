"""A coordinate check of MiniCPM's width scaling: slopes of activations against width, beside the standard ones."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from scalinglab.analysis.coordinate_slopes import BOUND, is_flat, judged, names_of, slopes
from scalinglab.experiments.report import Beside, Report, wide_axes
from scalinglab.ladder.parametrisation import Scaling

MINICPM, STANDARD = "minicpm", "standard"
MATRIX = "2-D embedding"
"""MiniCPM's table taken literally: the tied embedding, two-dimensional, follows the rule of the matrices."""
DRAWN = (MINICPM, STANDARD)
_WHY_BOUND = (
    "A wrong rule is wrong by a multiple of 1/2 in the exponent; a slope nearer to 0 than to 1/2 is a right one's at "
    "finite widths."
)
_WHICH_RULE = (
    "MiniCPM's rules with the tied embedding treated as one of the matrices, which its paper leaves open; minicpm "
    "treats it as standard muP does."
)
_WHY_CHANGE = (
    "Of the logits the change since initialisation is judged, not their size: under MiniCPM's rules they start as a "
    "random sum that shrinks as width^-1/2, by design, and what is learnt stays."
)


def report(folder: Path | None, progress: Callable[[str, int, int], None]) -> Report:
    """Trains for a few updates at five widths under each parametrisation; needs no data."""
    from scalinglab.training.coordinates import coordinate_check

    return report_of(
        pd.concat(
            [
                coordinate_check(kind=MINICPM, progress=progress),
                coordinate_check(kind=STANDARD, progress=progress),
                coordinate_check(
                    kind=MINICPM, scaling=Scaling(embedding_as="matrix"), progress=progress
                ).assign(parametrisation=MATRIX),
            ],
            ignore_index=True,
        )
    )


def report_of(frame: pd.DataFrame) -> Report:
    """What a coordinate check says; frame: its rows, of several parametrisations."""
    from scalinglab import plots

    found = slopes(frame)
    last = judged(found)
    lines = [
        Beside(
            f"{row['parametrisation']}: {_what(row)}",
            "0 by rule" if row["parametrisation"] == MINICPM else "",
            f"{row['slope']:+.3f} ± {row['se']:.3f}".replace("-", "−"),
            "flat" if row["flat"] else "not flat",
        )
        for _, row in last.iterrows()
    ]
    drawn = frame[frame["parametrisation"].isin(DRAWN)]
    steps, widths = int(found["step"].max()), sorted(frame["width"].unique())
    return Report(
        title=f"Coordinate check: slope of ln mean |activation| against ln width after {steps} updates",
        source="rules: MiniCPM, arXiv 2404.06395, table 7; check: Tensor Programs V, arXiv 2203.03466, appendix D.1",
        lines=tuple(lines),
        tables={"Slopes after each update": _by_step(found)},
        figures={"coordinate_check": lambda: plots.coordinate_check(drawn, ax=wide_axes(height=3.6))},
        notes=(
            f"flat: |slope| + 2 standard errors < {BOUND:g} over widths {widths[0]} to {widths[-1]}. "
            + _WHY_BOUND,
            _WHY_CHANGE,
            f"{MATRIX}: {_WHICH_RULE}",
        ),
        verdict=_verdict(found),
    )


def _what(row: "pd.Series") -> str:
    return f"change of {row['module']}" if row["quantity"] == "change" else str(row["module"])


def _by_step(found: pd.DataFrame) -> pd.DataFrame:
    """A row for each module's change and for the logits' own size, a column for each update."""
    shown = found[(found["step"] > 0) & ((found["quantity"] == "change") | (found["module"] == "logits"))]
    named = shown.assign(rules=shown["parametrisation"], what=[_what(row) for _, row in shown.iterrows()])
    table = named.pivot_table(index=["rules", "what"], columns="step", values="slope", sort=False)
    table.columns = [f"{step}" for step in table.columns]
    return table.round(3).reset_index()


def _verdict(found: pd.DataFrame) -> str:
    parts = []
    flat = is_flat(found)
    for name in names_of(found):
        mine = judged(found[found["parametrisation"] == name])
        worst = mine.iloc[0]
        where = f"{_what(worst)}, {worst['slope']:+.2f} ± {worst['se']:.2f}".replace("-", "−")
        failed = int((~mine["flat"]).sum())
        parts.append(
            f"{name} is flat (its steepest slope: {where})"
            if flat[name]
            else f"{name} is not: {failed} of {len(mine)} slopes fail, the worst {where}"
        )
    return "; ".join(parts) + "."
