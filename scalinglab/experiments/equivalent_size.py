"""The Chinchilla-optimal size that MiniCPM-2.4B is worth, from two printed points of the curve over N.

MiniCPM trains six sizes to D = 20·N, follows the loss on C4 over N, and reads 2.45 for 7B and 2.40 for 9B. Its 2.4B
model ended at 2.41. The six losses are not printed; two points leave a power law with no floor determined, and with
a floor a family, all of which pass through both points and differ little between them.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.analysis import EquivalentSize, count_text, equivalent_size
from scalinglab.experiments.report import Beside, Report, wide_axes
from scalinglab.experiments.rounding import rounded
from scalinglab.fitting import Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RULE = 20.0
OWN, LOSS = 2.4e9, "2.41"
SIZES = (7e9, 9e9)
PRINTED = {"7B": "2.45", "9B": "2.40"}
EXPONENT = 0.5
"""The steepest exponent of L(N) that is taken for possible: it sets the highest floor. Published ones are below 0.4."""


def through(first: float, second: float, floor: float = 0.0) -> Fit:
    """The power law over N with this floor through both points."""
    alpha = math.log((first - floor) / (second - floor)) / math.log(SIZES[1] / SIZES[0])
    constants = {"E": floor, "A": (first - floor) * SIZES[0] ** alpha, "alpha": alpha}
    return Fit.from_constants(laws.PowerLaw("params"), constants)


def highest_floor(first: float, second: float, alpha: float = EXPONENT) -> float:
    """The floor at which the power law through both points has the exponent `alpha`."""
    fall = (SIZES[1] / SIZES[0]) ** alpha
    return (fall * second - first) / (fall - 1)


def reading(floor: float = 0.0) -> EquivalentSize:
    """The size of `LOSS` on the curve through the printed points."""
    first, second = (float(text) for text in PRINTED.values())
    return equivalent_size(through(first, second, floor), float(LOSS), OWN, tokens_per_param=RULE)


def size_of(loss: Any, first: Any, second: Any, floor: Any = 0.0) -> Any:
    """The same in closed form: ln N is linear in ln(L − E) between the points; arrays broadcast."""
    share = np.log((first - floor) / (loss - floor)) / np.log((first - floor) / (second - floor))
    return SIZES[0] * (SIZES[1] / SIZES[0]) ** share


def report(
    folder: Path | None = None, progress: Callable[[str, int, int], None] = lambda *step: None
) -> Report:
    """Nothing is needed: the points are printed figures."""
    first, second = (float(text) for text in PRINTED.values())
    top = highest_floor(first, second)
    plain, high = reading(), reading(top)
    printed = {**PRINTED, "own": LOSS}

    def sizes(c: Any, floor: float) -> Any:
        own, first, second = (np.asarray(c[name], float) for name in ("own", "7B", "9B"))
        return size_of(own, first, second, floor)

    progress("rounding", 0, 1)
    allowed = rounded(printed, lambda c: sizes(c, 0.0))
    # the highest floor too belongs to the printed points: a floor above the rounded losses' would cross them
    allowed_high = rounded(printed, lambda c: sizes(c, top))
    lo, hi = min(allowed.lo, allowed_high.lo), max(allowed.hi, allowed_high.hi)
    lines = (
        Beside("worth, no floor", "about 9B", _size(allowed), "rounding of the losses"),
        Beside(f"worth, floor {top:.2f}", "", _size(allowed_high), f"exponent {EXPONENT}"),
        Beside("× its own N", "", rounded(printed, lambda c: sizes(c, 0.0) / OWN)),
        Beside("exponent of L(N), no floor", "", plain_exponent()),
    )
    rows = [
        {"curve": name, "floor": floor, "exponent": through(first, second, floor).constants["alpha"],
         "params": found.params.value, "× its own N": found.times.value}
        for name, floor, found in (("no floor", 0.0, plain), ("highest floor", top, high))
    ]  # fmt: skip
    inside = lo <= SIZES[1] <= hi * (1 + 1e-9)
    rounds = round(high.params.value / 1e9) == round(plain.params.value / 1e9) == 9
    verdict = (
        f"A loss of {LOSS} is worth {count_text(high.params.value)} to {count_text(plain.params.value)} for any floor "
        f"up to {top:.2f}, {'which rounds' if rounds else 'which does not round'} to the printed 9B; rounding of the "
        f"three printed losses allows {count_text(lo)} to {count_text(hi)}, 9B itself "
        f"{'being its upper end' if inside else 'being outside'}."
    )
    return Report(
        title="The Chinchilla-optimal size that MiniCPM-2.4B is worth",
        source="MiniCPM's blog, February 2024",
        lines=lines,
        verdict=verdict,
        tables={"Two curves through the printed points": pd.DataFrame(rows)},
        figures={"equivalent-size": figure},
        notes=(
            "Printed: models at D = 20·N reach 2.45 at 7B and 2.40 at 9B on C4, and MiniCPM-2.4B 2.41.",
            "The losses of the six sizes behind that curve are not printed.",
        ),
    )


def plain_exponent() -> Any:
    """The exponent of the power law without a floor, within rounding."""
    return rounded(PRINTED, lambda c: np.log(c["7B"] / c["9B"]) / math.log(SIZES[1] / SIZES[0]))


def _size(found: Any) -> str:
    return str(found.text(True))


def figure() -> "Axes":
    """The reading: both curves, the printed points, and the sizes that rounding allows."""
    from scalinglab import plots
    from scalinglab.analysis.equivalent import frontier_loss
    from scalinglab.plots._axes import key_above
    from scalinglab.plots._canvas import GREEN, INK

    first, second = (float(text) for text in PRINTED.values())
    ax = wide_axes()
    plots.equivalent_size(through(first, second), float(LOSS), OWN, tokens_per_param=RULE, ax=ax)
    ax.set_ylabel("loss on C4")
    allowed = rounded({**PRINTED, "own": LOSS}, lambda c: size_of(*(c[k] for k in ("own", "7B", "9B"))))
    bottom = ax.get_ylim()[0]
    ax.fill_between([allowed.lo, allowed.hi], bottom, float(LOSS), color="#D55E00", alpha=0.15, lw=0)
    left, right = (float(end) for end in ax.get_xlim())
    n = np.geomspace(left, right, 200)
    top = through(first, second, highest_floor(first, second))
    ax.plot(
        n, frontier_loss(top.law, top.constants, n, RULE), color=GREEN, ls=(0, (1, 1.5)),
        label=f"the same with a floor of {top.constants['E']:.2f}",
    )  # fmt: skip
    ax.errorbar(
        SIZES, [first, second], yerr=0.005, fmt="D", color=INK, mec="white", mew=0.5, label="printed, ± rounding",
        zorder=6,
    )  # fmt: skip
    key_above(ax)  # anew, with what was added
    return ax
