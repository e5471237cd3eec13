"""A fit against its rows: curves of loss over tokens for each size, and what the fit leaves over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from scalinglab.analysis.source import Runs, as_table
from scalinglab.errors import InputError
from scalinglab.plots._axes import (
    FLOPS,
    TOKENS,
    count,
    key_above,
    key_beside,
    log_axis,
    loss_label,
    power_of_ten,
)
from scalinglab.plots._canvas import GREY, INK, SizeColours, canvas

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes

    from scalinglab.fitting import Bootstrap, Fit

_CURVES = 8  # more sizes than this: a colour bar, and curves for eight of them
_SAME_SIZE = 0.02  # N read off a figure scatters by about a hundredth


def loss_vs_tokens(
    fit: Fit,
    runs: Runs | None = None,
    *,
    boot: Bootstrap | None = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Loss against training tokens, one colour a model size: runs as points, the fitted L(N, D) as curves.

    runs: what to draw, by default the rows fitted; error bars are ±1 `loss_se` where the table has it. A curve
        is solid over the tokens its size was trained on and dashed beyond.
    boot: draws the curves' bands (`interval` of the mean); by default the fit's own bootstrap, and none for
        constants that were given.
    With more than eight sizes a colour bar tells N, and eight of them get a curve. N within 2 % is one size.
    Raises InputError for a law not in params and tokens, or where there is no row to draw.
    """
    rows = runs_of(fit, runs)
    sizes, of_row = _sizes(rows["params"])
    with canvas(ax) as ax:
        colour = SizeColours(sizes)
        lo, hi = rows["tokens"].min(), rows["tokens"].max()
        reach = np.geomspace(lo / 1.15, 1.5 * hi, 200)
        chosen = _shown(sizes)
        lowest = rows["loss"].min()
        for i in chosen:
            own = rows.loc[of_row == i, "tokens"]
            band = fitted_band(fit, boot, interval, params=sizes[i], tokens=reach)
            draw_curve(ax, reach, band, (own.min(), own.max()), colour(sizes[i]))
            lowest = min(lowest, band["loss"].min())
        handles = [
            draw_points(ax, rows[of_row == i], "tokens", colour(size), count(size))
            for i, size in enumerate(sizes)
        ]
        log_axis(ax.xaxis, TOKENS, (reach[0], reach[-1]), count)
        log_axis(ax.yaxis, loss_label(rows, fit.rows), (0.985 * lowest, 1.015 * rows["loss"].max()))
        beyond = Line2D([], [], color=GREY, ls=(0, (3, 2)), lw=1.1, label="beyond\nthe runs")
        if len(sizes) > _CURVES:
            size_bar(ax, colour)
            key_above(ax, handles=[beyond])
        else:
            key_beside(ax, "model size N", handles=[*handles[::-1], beyond])
    return ax


def residuals(fit: Fit, runs: Runs | None = None, *, ax: Axes | None = None) -> Axes:
    """What the fit leaves over, ln(L / L̂) in percent, against compute: a trend here is something it misses.

    runs: by default the rows fitted. The grey band is ±1 standard deviation of the fit's residuals.
    """
    rows = runs_of(fit, runs)
    sizes, of_row = _sizes(rows["params"])
    predicted = fit.predict(params=rows["params"], tokens=rows["tokens"])["loss"].to_numpy()
    left = 100 * np.log(rows["loss"].to_numpy() / predicted)
    flops = (6 * rows["params"] * rows["tokens"]).to_numpy()
    with canvas(ax) as ax:
        colour = SizeColours(sizes)
        spread = float(np.std(left))
        ax.axhspan(-spread, spread, color=GREY, alpha=0.15, lw=0)
        ax.set_title(f"grey: ±1 standard deviation, {spread:.2g} %", loc="left", color=GREY, fontsize="small")
        ax.axhline(0, color=INK, lw=0.8)
        handles = []
        for i, size in enumerate(sizes):
            mine = of_row == i
            handles += ax.plot(
                flops[mine], left[mine], "o", color=colour(size), mec="white", mew=0.5, label=count(size)
            )
        log_axis(ax.xaxis, FLOPS, (flops.min() / 1.3, flops.max() * 1.3), power_of_ten)
        ax.set_ylabel("residual, ln(loss / fit) (%)")
        reach = 1.15 * max(np.abs(left).max(), spread)
        ax.set_ylim(-reach, reach)
        if len(sizes) > _CURVES:
            size_bar(ax, colour)
        else:
            key_beside(ax, "model size N", handles=handles[::-1])
    return ax


# Pieces that the other figures share -----------------------------------------------------------------------


def runs_of(fit: Fit, runs: Runs | None) -> pd.DataFrame:
    """The rows to draw: those given, else those fitted. Raises InputError where they cannot be drawn."""
    if tuple(fit.law.variables) != ("params", "tokens"):
        raise InputError(
            f"{fit.law.name} is a law in {', '.join(fit.law.variables)}, not in params and tokens."
        )
    rows = fit.rows if runs is None else as_table(runs, "runs")
    if rows.empty:
        raise InputError("there is no run to draw: this fit's constants were given, so pass runs=.")
    for column in ("params", "tokens", "loss"):
        if column not in rows:
            raise InputError(f'the runs have no column "{column}"; read them with scalinglab.read_runs.')
    return rows


def fitted_band(fit: Fit, boot: Bootstrap | None, interval: float, **variables: Any) -> pd.DataFrame:
    """`fit.predict` with the interval of the mean where the fit has one."""
    if len(fit.rows) or boot is not None:
        return fit.predict(interval=interval, boot=boot, **variables)
    return fit.predict(**variables)


def draw_curve(
    ax: Axes, x: Any, band: pd.DataFrame, seen: tuple[float, float], colour: Any, label: str | None = None
) -> None:
    """The predicted loss over x: solid where the runs lie (`seen`), dashed beyond, its interval shaded."""
    loss = band["loss"].to_numpy()
    if "loss_lo" in band:
        ends = band["loss_lo"], band["loss_hi"]
        ax.fill_between(x, *ends, color=colour, alpha=0.12, lw=0, zorder=1)
        for end in ends:  # edges tell wide bands apart where they lie on each other
            ax.plot(x, end, color=colour, lw=0.6, alpha=0.5, zorder=1)
    inside = (x >= seen[0]) & (x <= seen[1])
    ax.plot(x, np.where(inside, loss, np.nan), color=colour, label=label, zorder=2)
    ax.plot(x, loss, color=colour, ls=(0, (3, 2)), lw=1.1, alpha=0.9, zorder=2)


def draw_points(ax: Axes, rows: pd.DataFrame, x: str, colour: Any, label: str | None = None) -> Any:
    """The runs themselves, ±1 standard error where it is known."""
    known = "loss_se" in rows and rows["loss_se"].notna().any()
    return ax.errorbar(
        rows[x],
        rows["loss"],
        yerr=rows["loss_se"] if known else None,
        fmt="o",
        color=colour,
        mec="white",
        mew=0.5,
        elinewidth=1.0,
        label=label,
        zorder=3,
    )


def _sizes(params: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """(k,) sizes in order, and (rows,) which of them each row has; N closer than 2 % is one size."""
    distinct, of_row = np.unique(params.to_numpy(dtype=float), return_inverse=True)
    group = np.concatenate([[0], np.cumsum(np.diff(np.log(distinct)) > _SAME_SIZE)])
    sizes = np.array([np.exp(np.log(distinct[group == g]).mean()) for g in range(group[-1] + 1)])
    return sizes, group[of_row]


def _shown(sizes: np.ndarray) -> np.ndarray:
    """Which of many sizes get a curve: the ones nearest to evenly spaced in log N."""
    if len(sizes) <= _CURVES:
        return np.arange(len(sizes))
    wanted = np.geomspace(sizes[0], sizes[-1], _CURVES)
    return np.unique([np.argmin(np.abs(np.log(sizes / size))) for size in wanted])


def nearest_sizes(params: pd.Series) -> np.ndarray:
    """The sizes (k,) that get a curve: all of them, or eight spread evenly in log N."""
    sizes = _sizes(params)[0]
    return sizes[_shown(sizes)]


def size_bar(ax: Axes, colour: SizeColours) -> None:
    from matplotlib.cm import ScalarMappable

    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(ScalarMappable(colour.norm, colour.map), ax=ax, pad=0.02)
    log_axis(bar.ax.yaxis, "model size N (parameters)", colour.limits, count)


def optimum_to_draw(fit: Fit, params: Any) -> None:
    """Raises InputError where no N_opt, a number or several, is positive and finite: a term of the law has vanished."""
    n = np.ravel(params)
    if not (np.isfinite(n) & (n > 0)).any():
        constants = {name: float(value) for name, value in fit.constants.items()}
        zero = [name for name, value in constants.items() if value == 0 and name not in ("E", "L0")]
        listed = ", ".join(f"{name} = {constants[name]:.3g}" for name in zero or constants)
        raise InputError(
            f"a term of this {fit.law.name} law has vanished ({listed}), so there is no optimum to draw"
        )
