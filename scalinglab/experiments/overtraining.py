"""Models that are not compute-optimal on purpose: published readings of published laws, computed anew."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scalinglab import laws
from scalinglab.analysis import data_limited, epoch_worth, inference_optimum, overtraining
from scalinglab.experiments.report import Beside, Report
from scalinglab.fitting import Fit

HOFFMANN = laws.PUBLISHED["hoffmann"]
UNROUNDED = {**HOFFMANN.constants, "alpha": 0.336, "beta": 0.283}
"""Hoffmann's α and β as de Vries 2023 took them to be before rounding (.34, .28): they meet Hoffmann's table A3."""
REPEATED = {
    "E": math.exp(0.6254804), "A": math.exp(6.255414), "alpha": 0.3526596, "B": math.exp(7.3049974),
    "beta": 0.3526596, "R_D": 15.387756, "R_N": 5.309743,
}  # fmt: skip
"""Muennighoff et al. 2023, appendix A."""
_TABLE = (  # de Vries 2023: C; N and D in 1e9 at k_N = 1, 0.5, 0.3
    (2.46e22, ("9.87", "415.53"), ("4.93", "1003.77"), ("2.96", "2847.27")),
    (1e23, ("18.73", "889.63"), ("9.37", "2149.02"), ("5.62", "6095.86")),
)


def report(
    folder: Path | None = None, progress: Callable[[str, int, int], None] = lambda *step: None
) -> Report:
    """The readings beside ours; needs no data."""
    law = Fit.from_constants(laws.Chinchilla(), UNROUNDED)
    printed = Fit.from_constants(HOFFMANN.law, HOFFMANN.constants)
    repeating = Fit.from_constants(laws.DataConstrained(), REPEATED)
    lines = [*_smaller(law), *_served(law, printed), *_repeated()]
    progress("readings", 1, 2)
    limited = data_limited(repeating, 9.3e21, 25e9)
    progress("readings", 2, 2)
    return Report(
        title="Smaller models, served models, repeated data",
        source="de Vries 2023, Go smol or go home; Sardana et al. 2024, arXiv 2401.00448; "
        "Muennighoff et al. 2023, arXiv 2305.16264",
        lines=tuple(lines),
        tables={"What epochs are worth (R_D* = 15.39)": epoch_worth([1, 2, 4, 8, 16, 40])},
        verdict="Every figure of de Vries and the example of Sardana et al. come back to the printed digits with "
        "alpha = 0.336 and beta = 0.283; with the exponents that Hoffmann et al. printed the example becomes "
        "another model. Both stand and fall with the third digit of two exponents. For repeated data the "
        "reading is of the formula, not of runs.",
        notes=(
            "de Vries cuts his overheads off where they would round up (20.8 to 20, 188.9 to 188).",
            f"By Muennighoff's law as printed: {limited.headline()}.",
        ),
        figures={
            "overtraining": lambda: _plots().overtraining(law, 1e23),
            "overtraining-inference": lambda: _plots().inference_optimum(law, 2e12, params=13e9),
            "overtraining-data-limited": lambda: _plots().data_limited(repeating, 9.3e21, 25e9),
        },
    )


def _plots() -> Any:
    from scalinglab import plots

    return plots


def _smaller(law: Fit) -> list[Beside]:
    lines = []
    for flops, *columns in _TABLE:
        found = overtraining(law, flops, [1.0, 2.0, 1 / 0.3])
        for (n, d), (_, row), part in zip(columns, found.rows.iterrows(), ("1", "0.5", "0.3"), strict=True):
            ours = f"{row['params'] / 1e9:.2f}B on {row['match_tokens'] / 1e9:.2f}B"
            lines.append(Beside(f"C = {flops:.3g}, N = {part}·N_opt", f"{n}B on {d}B", ours, "de Vries"))
    rows = overtraining(law, 1e23, [4 / 3, 2.0, 4.0]).rows
    for share, text, multiple in zip(
        ("75 %", "50 %", "25 %"), ("2.8 %", "20 %", "188 %"), rows["compute_multiple"], strict=True
    ):
        lines.append(
            Beside(f"compute overhead at {share} of N_opt", text, f"{100 * (multiple - 1):.1f} %", "de Vries")
        )
    return lines


def _served(law: Fit, printed: Fit) -> list[Beside]:
    lines = []
    for fit, note in ((law, "Sardana, figure 1"), (printed, "with alpha .34, beta .28 as printed")):
        found = inference_optimum(fit, 2e12, params=13e9)
        saved = found.chinchilla_total.value - found.total.value
        ours = f"{found.params.value / 1e9:.1f}B, {saved:.2g} FLOPs, {100 * found.saving.value:.0f} %"
        lines.append(Beside("instead of a 13B, 2T tokens served", "7B, 1.7e+22 FLOPs, 17 %", ours, note))
    return lines


def _repeated() -> list[Beside]:
    worth = epoch_worth([4, 16, 40])
    share, (_, later, last) = worth["share"].iloc[0], worth["last"]
    return [
        Beside(
            "4 epochs against as much new data", "negligible change", f"worth {share:.0%}",
            "Muennighoff, abstract",
        ),
        Beside(
            "one more token after 16, 40 epochs", "value decays to zero",
            f"{later:.0%}, {last:.0%} of a new one", "Muennighoff, abstract",
        ),
    ]  # fmt: skip
