"""Profile likelihood of two constants, and the valley in which they trade off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglab.errors import InputError
from scalinglab.plots._axes import Written, key_above, log_axis
from scalinglab.plots._canvas import BLUE, GREY, INK, VERMILLION, canvas, marker_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Bootstrap, Fit, Profile

_GREEK = {"alpha": "α", "beta": "β"}
_LOOK = ((BLUE, "-"), (VERMILLION, (0, (5, 1.5))))
_WIDE = 20.0  # a constant that spans more than this factor is drawn on a log axis


def profile(
    fit: Fit,
    constants: tuple[str, str] | None = None,
    *,
    interval: float = 0.9,
    boot: Bootstrap | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Above, how much worse the fit becomes when a constant is held beside its best value; below, the valley.

    constants: which two; by default the law's first two exponents, alpha and beta where it has them.
    Above: |z|, the root of the likelihood ratio, against the constant; it is inside its `interval` below the grey line.
        A V with straight, steep sides is a constant that the rows determine; a shallow or bent one is a flat direction.
    Below: for each value of one constant the best value of the other (lines, solid inside the interval), and bootstrap
        refits (dots; by default the fit's own). A long narrow cloud along a line is a trade-off.
    Returns the upper Axes; the valley's are the figure's latest. A constant whose profile cannot be had, because the
    rows leave a direction open, has no curve. Raises InputError for a fit without rows, or where neither has one.
    """
    names = constants or _exponents(fit)
    boot = boot or fit.boot()
    found: dict[str, Profile] = {}
    for name in names:
        try:
            found[name] = fit.profile(name, interval)
        except InputError:
            if name not in fit.law.constant_names:
                raise
    if not found:
        raise InputError(
            f"neither {names[0]} nor {names[1]} can be profiled: the rows leave a direction of the constants open; "
            "hold a constant first"
        )
    best = {name: fit.constants[name] for name in names}
    with canvas(ax, height=1.75) as ax:
        valley = _panel_below(ax)
        alike = all(c.unit == "1" for c in fit.law.constants if c.name in names)
        for name, (colour, dashes) in zip(names, _LOOK, strict=True):
            if name not in found:
                ax.plot([], [], color=colour, label=f"{_short(name)}: no profile, a direction is open")
                continue
            one = found[name]
            scale = 1.0 if alike else best[name]
            curve = one.curve[one.curve["z"].abs() < 2.2 * one.limit]
            ax.plot(
                curve["value"] / scale, curve["z"].abs(), color=colour, ls=dashes,
                label=f"{_short(name)} = {one.value:.3g} {_ends(one)}",
            )  # fmt: skip
            for end, is_open in ((one.lo, one.open_lo), (one.hi, one.open_hi)):
                if not is_open:
                    ax.plot([end / scale] * 2, [0, one.limit], color=colour, lw=0.8, ls=":", zorder=1)
        limit = max(one.limit for one in found.values())
        ax.axhline(limit, color=GREY, lw=0.9)
        ax.set_ylim(0, 2.0 * limit)
        ax.set_ylabel("|z|")
        both = " and ".join(_short(name) for name in names)
        ax.set_xlabel(both if alike else f"{both}, over their best values")
        ax.plot([], [], color=GREY, lw=0.9, label=f"{interval:.0%} limit")
        ax.xaxis.set_major_formatter(Written())

        draws = boot.constants[list(names)].to_numpy(dtype=float)
        draws = draws[np.isfinite(draws).all(axis=1)]
        shown = draws[np.linspace(0, len(draws) - 1, min(len(draws), 1500)).astype(int)]
        valley.plot(
            shown[:, 0], shown[:, 1], ".", color=INK, alpha=0.3, ms=0.8 * marker_size(), mew=0, zorder=1,
            rasterized=True,
        )  # fmt: skip
        for name, (colour, dashes) in zip(names, _LOOK, strict=True):
            if name in found:
                one = found[name]
                path = one.curve[one.curve["z"].abs() <= 1.02 * one.limit]
                valley.plot(path[names[0]], path[names[1]], color=colour, ls=dashes, zorder=3)
        valley.plot(
            best[names[0]], best[names[1]], "*", color="white", mec=INK, ms=2 * marker_size(), zorder=4
        )
        for axis, i in ((valley.xaxis, 0), (valley.yaxis, 1)):
            _span(axis, names[i], draws[:, i], found, best[names[i]])
        handles, labels = ax.get_legend_handles_labels()
        (dot,) = valley.plot([], [], ".", color=INK, alpha=0.5, label="bootstrap refits")
        (star,) = valley.plot([], [], "*", color="white", mec=INK, ms=1.5 * marker_size(), label="best fit")
        del labels
        key_above(ax, handles=[*handles, dot, star])
    return ax


def _exponents(fit: Fit) -> tuple[str, str]:
    """alpha and beta; else the first two constants that are not linear; else the last two."""
    known = fit.law.constant_names
    if "alpha" in known and "beta" in known:
        return "alpha", "beta"
    curved = [c.name for c in fit.law.constants if not c.linear]
    picked = curved if len(curved) > 1 else list(known)[-2:]
    if len(picked) < 2:
        raise InputError(f"{fit.law.name} has one constant, so no two trade off")
    return picked[0], picked[1]


def _short(name: str) -> str:
    return _GREEK.get(name, name)


def _ends(one: Profile) -> str:
    lo = "open" if one.open_lo else f"{one.lo:.3g}"
    hi = "open" if one.open_hi else f"{one.hi:.3g}"
    return f"[{lo}, {hi}]"


def _span(axis: Any, name: str, draws: np.ndarray, found: dict[str, Profile], best: float) -> None:
    """Limits that hold the middle 98 % of the draws and the paths, logarithmic where they span decades."""
    lo, hi = np.quantile(draws, [0.01, 0.99])
    for one in found.values():
        path = one.curve.loc[one.curve["z"].abs() <= one.limit, name]
        lo, hi = min(lo, path.min()), max(hi, path.max())
    lo, hi = min(lo, best), max(hi, best)
    if lo > 0 and hi / lo > _WIDE:
        log_axis(axis, _short(name), (lo / 1.3, hi * 1.3), lambda v: f"{v:.3g}")
        return
    margin = 0.06 * (hi - lo) or 0.1 * abs(best) or 1.0
    axis.set_view_interval(max(lo - margin, 0.0) if lo >= 0 else lo - margin, hi + margin, ignore=True)
    axis.set_label_text(_short(name))
    axis.set_major_formatter(Written())


def _panel_below(ax: Axes) -> Axes:
    """Give the lower part of the place that `ax` has to Axes of its own."""
    figure = ax.get_figure()
    assert figure is not None
    place = ax.get_subplotspec()
    if place is not None:
        grid = place.subgridspec(2, 1, height_ratios=(1, 1.35))
        ax.set_subplotspec(grid[0])
        return figure.add_subplot(grid[1])
    left, bottom, width, height = ax.get_position().bounds
    ax.set_position((left, bottom + 0.62 * height, width, 0.38 * height))
    return figure.add_axes((left, bottom, width, 0.48 * height))
