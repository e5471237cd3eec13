"""MiniCPM's check of its D/N on Llama 2's curves: 70 to 100, and what the same crossings say from the other side."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import crossings, number_text, optimum
from scalinglab.experiments.report import Beside, Report
from scalinglab.fitting import Fit

READ = ((13e9, 34e9, 1e5), (34e9, 70e9, 5e5))
"""(N_small, N_large, EFLOPs) as MiniCPM read them off figure 5 of the Llama 2 paper: one digit of compute each."""
MINICPM, CHINCHILLA = 192.0, 20.0
"""D/N that MiniCPM's law gives at 1e21 FLOPs on average over its sets, and Chinchilla's rule."""
_EXA = 1e18
_BETWEEN = (
    "Both sizes have one loss at the crossing, so the optimal size lies between them, and the optimal D/N between the "
    "D/N each has spent there. MiniCPM quotes the smaller size's, which is the upper end."
)
_UNDECAYED = (
    "Llama 2 was trained under a cosine schedule: points before a run's end are not fully decayed, and decayed losses "
    "may cross elsewhere."
)


def report(folder: Path | None, progress: Callable[[str, int, int], None]) -> Report:
    """Both sides of both crossings; needs no data."""
    from scalinglab import plots

    found = crossings([(small, large, eflops * _EXA) for small, large, eflops in READ])
    rows = found.rows
    names = ("13B, 34B at 1e5 EFLOPs", "34B, 70B at 5e5 EFLOPs")
    # the only side that MiniCPM prints is the smaller size's: 1e5/(6·13²) and 5e5/(6·34²), N in 1e9
    lines = []
    for i, (name, printed) in enumerate(zip(names, ("99", "72"), strict=True)):
        lines += [
            Beside(f"{name}: at most", printed, float(rows["at_most"][i]), "smaller size"),
            Beside(f"{name}: at least", "", float(rows["at_least"][i]), "larger size; not printed"),
            Beside(f"{name}: middle", "", float(rows["middle"][i]), "of both; not printed"),
        ]
    return Report(
        title="Llama 2's loss curves read for D/N",
        source="MiniCPM, arXiv 2404.06395, section 4.5; curves: Llama 2, arXiv 2307.09288, figure 5",
        lines=tuple(lines),
        tables={"Read off with one digit: what the rounding of C alone allows": _rounding()},
        figures={
            "llama2-ratio": lambda: plots.crossings(
                found,
                references={
                    f"MiniCPM's law at 1e21 FLOPs: {MINICPM:g}": MINICPM,
                    f"Chinchilla's rule: {CHINCHILLA:g}": CHINCHILLA,
                },
            )
        },
        notes=(_BETWEEN, _UNDECAYED, "N are nominal sizes with embeddings, not N without them; C is 6·N·D."),
        verdict=_verdict(rows),
    )  # fmt: skip


def _rounding() -> pd.DataFrame:
    """D/N at either end of what rounds to the digit read: 1e5 is 0.95e5 to 1.5e5, 5e5 is 4.5e5 to 5.5e5."""
    out = []
    for small, large, eflops in READ:
        step = 10 ** math.floor(math.log10(eflops))
        # below a power of ten one digit is a tenth of the step
        low = eflops - (0.05 if eflops == step else 0.5) * step
        high = eflops + 0.5 * step
        ends = crossings([(small, large, c * _EXA) for c in (low, high)]).rows
        out.append(
            {
                "sizes": f"{small / 1e9:g}B, {large / 1e9:g}B",
                "EFLOPs": f"{low:.3g} to {high:.3g}",
                "at_least": f"{ends['at_least'][0]:.3g} to {ends['at_least'][1]:.3g}",
                "at_most": f"{ends['at_most'][0]:.3g} to {ends['at_most'][1]:.3g}",
            }
        )
    return pd.DataFrame(out)


def _verdict(rows: pd.DataFrame) -> str:
    least, most, middle = (rows[name].to_numpy(float) for name in ("at_least", "at_most", "middle"))
    printed = laws.PUBLISHED["minicpm"]
    law = Fit.from_constants(printed.law, printed.constants)
    at = np.array([optimum(law, float(c)).ratio.value for c in rows["flops"]])
    inside = "inside" if (least < CHINCHILLA).all() and (most > CHINCHILLA).all() else "not inside"
    above = "above" if (at > most).all() else "not above"
    first, second = (tuple(number_text(float(v[i]), 2) for v in (most, least, middle)) for i in (0, 1))
    return (
        f'The printed {first[0]} and {second[0]} ("70-100") follow from the crossings, as upper bounds. From below the '
        f"same crossings give {first[1]} and {second[1]}; Chinchilla's {CHINCHILLA:g} is {inside} both brackets, and "
        f"their middles are {first[2]} and {second[2]}. MiniCPM's own law gives {number_text(at[0])} and "
        f"{number_text(at[1])} at these budgets, {above} both brackets. A D/N that is the same at both budgets lies "
        f"between {number_text(float(least.max()), 2)} and {number_text(float(most.min()), 2)}; the crossings do not "
        "tell where."
    )
