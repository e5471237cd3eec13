"""The page's figures as Vega-Lite, and the numbers behind them.

A figure names its data sets and the page fills them: `runs`, `curves`, `front`, `at` (the budget asked), `out` (the
frontier without a run). So that one figure serves every eval set, law and colour scheme, text and axes are drawn in
currentColor and the marks in colours that stand out on white and on black.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalinglab.plots._fits import nearest_sizes
from scalinglab.reporting.views import View, coarse
from scalinglab.reporting.words import run_name

Spec = dict[str, Any]
RAMP = ["#3f6fd8", "#a25bc4", "#e0588c", "#f39c12"]
"""Small to large N: apart under every common colour blindness, and from both backgrounds."""
LINE, MARK = "#3f8fd8", "#d9662b"
_POINTS = 40  # of a curve
_COUNT = "replace(format(datum.value, '.3~s'), 'G', 'B')"
"""10k and 3M; SI's G is said as B here."""
FRONT = ("params", "tokens", "ratio", "loss", "reach")


def specs(loss_label: str, params: pd.Series) -> dict[str, Spec]:
    """Name -> figure, without its data; params: of the runs, to name some sizes beside their colours."""
    sizes = rounded(nearest_sizes(params))
    return {"fit": _fit(loss_label, sizes), "frontier": _frontier(sizes), "residuals": _residuals(sizes)}


def _axis(title: str | None, kind: str, of: str) -> Spec:
    """A logarithmic axis `of` x or y: counts as 10k and 3M, compute as powers of ten, and round numbers only."""
    power = "replace(format(datum.value, '.0e'), '+', '')"
    label = {"count": _COUNT, "flops": power, "number": "format(datum.value, '.3~r')"}[kind]
    mantissa = "round(datum.value / pow(10, floor(log(datum.value) / LN10 + 1e-6)) * 10)"
    decades = f"log(domain('{of}')[1] / domain('{of}')[0]) / LN10"
    # powers of ten; 1, 2, 5 where there are few of them; within a decade every tick
    round_ = (
        f"({decades} < 1 || {mantissa} == 10 || ({decades} < 3 && ({mantissa} == 20 || {mantissa} == 50)))"
    )
    grid: Spec = {"condition": {"test": round_, "value": 1}, "value": 0}  # of the faint ones of the config
    return {
        "title": title,
        "labelExpr": f"{round_} ? {label} : ''",
        "labelOverlap": "greedy",
        "labelSeparation": 6,
        "gridOpacity": grid,
        "tickOpacity": {"condition": {"test": round_, "value": 1}, "value": 0.4},
    }


def _x(field: str, title: str, kind: str) -> Spec:
    scale: Spec = {"type": "log", "nice": False, "padding": 10}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": _axis(title, kind, "x")}


def _y(field: str, title: str | None, kind: str) -> Spec:
    scale: Spec = {"type": "log", "nice": False, "padding": 8}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": _axis(title, kind, "y")}


def _colour(told: Sequence[Any] = ()) -> Spec:
    """The colour of a size. Those `told` stand in a legend, for which points alone ask: lines make symbols of it."""
    legend: Spec = {
        "title": "N (parameters)",
        "type": "gradient",
        "labelExpr": _COUNT,
        "values": list(told),
        "labelOverlap": "greedy",
        "orient": "top",
        "gradientLength": 220,
    }
    scale: Spec = {"type": "log", "range": RAMP}
    return {"field": "N", "type": "quantitative", "scale": scale, "legend": legend if told else None}


_CHOSEN = {"test": "datum.id === chosen", "value": 3}
_TOOLTIP = [
    {"field": "id", "title": "run"},
    {"field": "N_", "title": "N"},
    {"field": "D_", "title": "D"},
    {"field": "loss_", "title": "loss"},
    {"field": "fit_", "title": "fit"},
    {"field": "left_", "title": "residual"},
]


def _runs(x: Spec, y: Spec, sizes: Sequence[Any]) -> Spec:
    """The runs as points; the chosen one ringed and crossed out."""
    return {
        "data": {"name": "runs"},
        "mark": {
            "type": "point",
            "filled": True,
            "opacity": 1,
            "stroke": "currentColor",
            "cursor": "pointer",
        },
        "encoding": {
            "x": x,
            "y": y,
            "color": _colour(sizes),
            "tooltip": _TOOLTIP,
            "shape": {"condition": {**_CHOSEN, "value": "cross"}, "value": "circle"},
            "size": {"condition": {**_CHOSEN, "value": 190}, "value": 62},
            "strokeWidth": {"condition": {**_CHOSEN, "value": 2}, "value": 0.5},
            "description": {"field": "says"},
        },
    }


def _chart(layers: list[Spec], description: str, height: int) -> Spec:
    axis: Spec = {
        "labelColor": "currentColor", "titleColor": "currentColor", "domainColor": "currentColor",
        "tickColor": "currentColor", "gridColor": "currentColor", "gridOpacity": 0.12, "titleFontWeight": "normal",
        "labelFontSize": 12, "titleFontSize": 13,
    }  # fmt: skip
    legend: Spec = {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": "normal"}
    return {
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "transparent",
        "params": [{"name": "chosen", "value": -1}],
        "layer": layers,
        "resolve": {"legend": {"color": "independent"}},
        "config": {"axis": axis, "legend": legend, "view": {"stroke": None}, "font": "system-ui, sans-serif"},
    }


def _fit(loss_label: str, sizes: Sequence[Any]) -> Spec:
    x, y = _x("D", "training tokens D", "count"), _y("loss", loss_label, "number")
    line: Spec = {
        "data": {"name": "curves"},
        "encoding": {"x": x, "color": _colour(), "detail": {"field": "N"}},
    }
    band: Spec = {"mark": {"type": "area", "opacity": 0.16, "tooltip": False}}
    band["encoding"] = {"y": {**y, "field": "lo"}, "y2": {"field": "hi"}}
    curve: Spec = {"mark": {"type": "line", "strokeWidth": 2, "tooltip": False}, "encoding": {"y": y}}
    return _chart(
        [{**line, "layer": [band, curve]}, _runs(x, y, sizes)],
        "Loss against training tokens: a point a run, coloured by model size, and the fitted curve of each size with "
        "its interval. The run table below has the same numbers.",
        360,
    )


def _frontier(sizes: Sequence[Any]) -> Spec:
    x = _x("C", "compute C = 6·N·D (FLOPs)", "flops")
    y = _y("y", None, "count")
    front: Spec = {"data": {"name": "front"}, "encoding": {"x": x}}
    band: Spec = {"mark": {"type": "area", "opacity": 0.2, "color": LINE}}
    band["encoding"] = {"y": {**y, "field": "lo"}, "y2": {"field": "hi"}}
    inside: Spec = {"mark": {"type": "line", "color": LINE, "strokeWidth": 2.5}, "encoding": {"y": y}}
    inside["transform"] = [{"filter": "datum.far <= 0"}]
    beyond: Spec = {"mark": {"type": "line", "color": LINE, "strokeDash": [6, 4]}, "encoding": {"y": y}}
    out: Spec = {
        "data": {"name": "out"},
        "mark": {"type": "line", "color": MARK, "strokeWidth": 2, "strokeDash": [2, 3]},
        "encoding": {"x": x, "y": y},
    }
    asked: Spec = {
        "data": {"name": "at"},
        "encoding": {"x": x},
        "layer": [
            {"mark": {"type": "rule", "color": "currentColor", "opacity": 0.5}},
            {
                "mark": {"type": "rule", "strokeWidth": 4, "color": LINE},
                "encoding": {"y": {**y, "field": "lo"}, "y2": {"field": "hi"}},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 110,
                    "color": LINE,
                    "stroke": "currentColor",
                },
                "encoding": {"y": y},
            },
        ],
    }
    return _chart(
        [{**front, "layer": [band, inside, beyond]}, out, _runs(x, y, sizes), asked],
        "The compute-optimal choice against compute, with its interval: solid where runs lie, dashed beyond them. "
        "Points are the runs. The table of budgets below has the same numbers.",
        340,
    )


def _residuals(sizes: Sequence[Any]) -> Spec:
    x = _x("C", "compute C = 6·N·D (FLOPs)", "flops")
    y: Spec = {
        "field": "left",
        "type": "quantitative",
        "axis": {"title": "residual, ln(loss / fit) (%)", "tickCount": 5},
        "scale": {"zero": True, "padding": 8},
    }
    zero: Spec = {"data": {"values": [{"left": 0}]}, "mark": {"type": "rule", "color": "currentColor"}}
    zero["encoding"] = {"y": {"field": "left", "type": "quantitative"}}
    return _chart(
        [zero, _runs(x, y, sizes)],
        "What the fit leaves over of each run, in percent, against compute: a trend is something the law misses.",
        250,
    )


# ---- the numbers ----------------------------------------------------------------------------------


def payload(view: View) -> Spec:
    """A view as columns of numbers, rounded to what a figure or a readout can show."""
    rows, fit = view.fit.rows, view.fit
    fitted = fit.predict(params=rows["params"], tokens=rows["tokens"])["loss"].to_numpy()
    left = 100 * np.log(rows["loss"].to_numpy(dtype=float) / fitted)
    grid, without = view.grid, view.without
    front: Spec = {name: [rounded(grid[name + end]) for end in ("", "_lo", "_hi")] for name in FRONT}
    return {
        "set": view.eval_set,
        "law": view.law.name,
        "runs": {
            "id": [run_name(view, i) for i in range(len(rows))],
            "N": rounded(rows["params"]),
            "D": rounded(rows["tokens"]),
            "loss": rounded(rows["loss"], 6),
            "fit": rounded(fitted, 6),
            "left": rounded(left, 4),
        },
        "curves": _curves(view),
        "front": front,
        "far": rounded(grid["extrapolation"], 3),
        "constants": {
            name: [
                number(fit.constants[name]),
                *map(number, view.interval().loc[name].to_numpy(float).tolist()),
            ]
            for name in fit.law.constant_names
        },
        "without": {
            "row": [int(i) for i in without.rows],
            "N": [rounded(line) for line in without.params],
            "loss": [rounded(line, 6) for line in without.loss],
            "constants": [rounded(line) for line in without.constants.to_numpy()],
        },
    }


def budgets(view: View) -> Spec:
    """The grid that the fronts of all views are given at."""
    flops = view.grid["flops"].to_numpy()
    return {"flops": rounded(flops, 8), "coarse": [int(i) for i in coarse(len(flops))]}


def _curves(view: View) -> Spec:
    """Loss over tokens for eight sizes at most, with its interval, as columns."""
    rows = view.fit.rows
    tokens = np.geomspace(rows["tokens"].min() / 1.15, 1.5 * rows["tokens"].max(), _POINTS)
    out: dict[str, list[Any]] = {"N": [], "D": [], "loss": [], "lo": [], "hi": []}
    for size in nearest_sizes(rows["params"]):
        band = view.fit.predict(interval=view.level, boot=view.boot, params=size, tokens=tokens)
        out["N"] += [number(size)] * _POINTS
        out["D"] += rounded(tokens)
        for name, column in (("loss", "loss"), ("lo", "loss_lo"), ("hi", "loss_hi")):
            out[name] += rounded(band[column])
    return out


def number(value: float, digits: int = 5) -> float | None:
    """To so many digits; None where JSON has no such number."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def rounded(values: Any, digits: int = 5) -> list[float | None]:
    """`number` of each."""
    return [number(float(value), digits) for value in values]
