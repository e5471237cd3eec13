"""Where a figure is drawn: axes of its own without pyplot, the two styles, colours, and saving."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from scalinglab.records.files import write_through

_DATED = {"svg": "Date", "pdf": "CreationDate"}  # formats that note when they were written
_STYLES = Path(__file__).with_name("styles")
_styled: ContextVar[bool] = ContextVar("styled", default=False)

# Okabe & Ito's palette: told apart under every common colour blindness
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
INK, GREY, FAINT = "#222222", "#777777", "#bbbbbb"


@contextmanager
def style(name: Literal["notebook", "paper"] = "notebook") -> Iterator[None]:
    """Figures made inside are drawn in this style; nothing outside changes."""
    with matplotlib.style.context(_STYLES / f"{name}.mplstyle"):
        token = _styled.set(True)
        try:
            yield
        finally:
            _styled.reset(token)


@contextmanager
def canvas(ax: Axes | None, height: float = 1.0) -> Iterator[Axes]:
    """The Axes given, in whatever style they have, or new ones on a figure of their own, `height` times as high.

    The figure is not known to pyplot: no backend is chosen, and it goes when the last reference does.
    """
    if ax is not None:
        yield ax
        return
    with nullcontext() if _styled.get() else style():
        figure = Figure(layout="constrained")
        figure.set_figheight(height * figure.get_figheight())
        yield figure.add_subplot()
        for each in figure.axes:
            _keep_ticks(each)


def _keep_ticks(ax: Axes) -> None:
    """Ticks are made when first drawn, long after the style's context has closed: hand them its values now."""
    rc: Any = matplotlib.rcParams
    for axis, name in ((ax.xaxis, "xtick"), (ax.yaxis, "ytick")):
        for which in ("major", "minor"):
            axis.set_tick_params(
                which=which,
                length=rc[f"{name}.{which}.size"],
                width=rc[f"{name}.{which}.width"],
                pad=rc[f"{name}.{which}.pad"],
                labelsize=rc[f"{name}.labelsize"],
                grid_color=rc["grid.color"],
                grid_linewidth=rc["grid.linewidth"],
            )


def save(ax: Axes, path: str | Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write the figure of `ax` as path.png, path.svg, …; returns the paths. The same figure, the same bytes.

    Raises EnvironmentProblem where the disk is full or the folder may not be written.
    """
    figure = root_figure(ax)
    paths = []
    for suffix in formats:
        target = Path(f"{path}.{suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        how: dict[str, Any] = {"format": suffix, "dpi": 200}
        if suffix in _DATED:
            how["metadata"] = {_DATED[suffix]: None}
        with matplotlib.rc_context({"svg.hashsalt": "scalinglab", "pdf.fonttype": 42, "ps.fonttype": 42}):
            write_through(target, partial(figure.savefig, **how))
        paths.append(target)
    return paths


def root_figure(ax: Axes) -> Figure:
    """The whole figure, where `ax` may be in a part of one."""
    figure: Any = ax.figure
    root: Figure = figure.canvas.figure
    return root


def marker_size() -> float:
    """Points across a marker in the style in force."""
    return float(matplotlib.rcParams["lines.markersize"])


# Sizes, ordered by colour: dark is small, and the palest end of the map is left out because it fades on white.
_SIZE_MAP = matplotlib.colors.ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, 256)))


class SizeColours:
    """A colour for each value of N (or of D, or of the loss) on one perceptually uniform, logarithmic map."""

    def __init__(self, values: ArrayLike) -> None:
        values = np.asarray(values, dtype=float)
        lo, hi = float(values.min()), float(values.max())
        if lo == hi:
            lo, hi = lo / 1.5, hi * 1.5
        self.limits = lo, hi
        self.norm = LogNorm(lo, hi)
        self.map = _SIZE_MAP

    def __call__(self, value: float) -> Any:
        return self.map(self.norm(value))
