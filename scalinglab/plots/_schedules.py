"""Learning-rate schedules over the steps or tokens of a run, and all kinds side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scalinglab.errors import InputError
from scalinglab.ladder import (
    DECAYS,
    PRESETS,
    WSD,
    WSDS,
    Batches,
    Constant,
    Cosine,
    CosineLoop,
    Decay,
    DecaySpec,
    Linear,
    Noam,
    Schedule,
)
from scalinglab.plots._axes import TOKENS, count, key_above
from scalinglab.plots._canvas import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    SizeColours,
    canvas,
    root_figure,
)
from scalinglab.plots._panels import panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATE = "learning rate / peak"
BATCH = "batch (tokens)"

_LINES = [
    (colour, dashes)
    for dashes in ("-", (0, (5, 2)), (0, (1.5, 1.5)))
    for colour in (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
]
_SHADES = {"warmup": (ORANGE, 0.22), "decay": (SKY, 0.28), "rise": (GREEN, 0.18)}
_POINTS = 1500  # of a curve, beside both sides of every border between phases


def schedule(
    schedules: Schedule | Mapping[str, Schedule],
    *,
    steps: int | None = None,
    batches: Batches | Mapping[str, Batches] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """What the peak learning rate is multiplied with, for one schedule or several {name: schedule}.

    steps: how many updates are drawn; by default each schedule up to its own end, and one without an end as far as
        the others go (alone: ten warmups, or two falls and rises of a cosine loop).
    batches: the axis is then in tokens, and where the batch has a ramp, its steps stand on a second axis. By name
        where schedules differ in them; the first are then the axis' own.
    Of one schedule the warmup, decays and rises are shaded. Of several, the branches of a trunk that is among them
    are drawn from their forks on. Returns the Axes of the rate. Raises InputError where there is nothing to draw.
    """
    named = {schedules.name: schedules} if isinstance(schedules, Schedule) else dict(schedules)
    if not named:
        raise InputError("no schedule to draw; give one, or several by name")
    if steps is not None and steps < 1:
        raise InputError(f"steps={steps} draws nothing; give the number of updates, such as 10000")
    if isinstance(batches, Mapping):
        each_batches: dict[str, Batches | None] = dict(batches)
        batches = next(iter(batches.values()))
    else:
        each_batches = dict.fromkeys(named, batches)
    most = steps or _reach(named.values())
    with canvas(ax, height=0.8) as ax:
        if len(named) == 1:
            ((name, only),) = named.items()
            end = _own_end(only, most) if steps is None else most
            handles = _shade(ax, only, end, batches)
            handles.insert(0, _line(ax, only, (0, end), batches, color=INK, label=name))
        else:
            handles = _several(ax, named, most, steps is not None, each_batches)
        _axes(ax, most, batches)
        if batches is not None and batches.ramp:
            handles.append(_batch_axis(ax, batches, most, tokens=True))
        key_above(ax, handles=handles)
    return ax


def schedule_kinds(*, ax: Axes | None = None) -> Axes:
    """Every kind of schedule in a panel of its own, all over the same 10,000 updates, and a batch ramp.

    Warmup, decays and rises are shaded as `schedule` shades them; names stand in the panels. Returns the first
    panel's Axes; the others share its axes.
    """
    end, warmup = 10_000, 700
    own = ax is None
    with canvas(ax) as ax:
        figure = root_figure(ax)
        narrow = figure.get_figwidth() < 5
        if own:
            figure.set_figheight(6.4 if narrow else 5.6)
        panels = panel_grid(ax, 5 if narrow else 3, 2 if narrow else 3, 9)
        drawn: list[tuple[str, Sequence[Schedule]]] = [
            ("WSD", [WSD(warmup, DecaySpec("linear", 0.3).decay(end))]),
            ("trunk and branches", [WSD(warmup)]),
            ("decay shapes", []),
            ("WSD-S", [WSDS(warmup, tuple(_minicpm(each) for each in (2500, 5000, 9500)))]),
            ("cosine", [Cosine(warmup, 7500)]),
            ("cosine loop", [CosineLoop(warmup, 3500)]),
            ("linear", [Linear(warmup, 9000)]),
            ("Noam, constant", [Noam(warmup), Constant(warmup)]),
            ("batch ramp", [WSD(warmup, DecaySpec("1-sqrt", 0.2).decay(end))]),
        ]
        for panel, (title, shown) in zip(panels, drawn, strict=True):
            panel.set_title(title, loc="left", fontsize="medium")
            for each, dashes in zip(shown, ("-", (0, (4, 2))), strict=False):
                _line(panel, each, (0, end), None, color=INK, ls=dashes)
            if shown:
                _shade(panel, shown[0], end, None)
        _branches(panels[1], warmup, end)
        _shapes(panels[2], warmup)
        _write(panels[0], "warmup", 900, 0.5, "left")
        _write(panels[0], "stable", 3900, 0.9)
        _write(panels[0], "decay", 9900, 0.9, "right")
        _write(panels[4], "floor", 8750, 0.2)
        _write(panels[5], "fall", 2500, 0.97)
        _write(panels[5], "rise", 4500, 0.97)
        _write(panels[7], "constant", 5500, 0.88)
        _write(panels[7], "Noam", 2800, 0.28)
        columns = 2 if narrow else 3
        for i, panel in enumerate(panels):
            _axes(panel, end, None)
            below = i + columns < (8 if narrow else 9) and i != 8
            if below:
                panel.set_xlabel("")
            panel.tick_params(labelbottom=not below, labelleft=i % columns == 0)
            panel.set_ylabel(RATE if i == (4 if narrow else 3) else "")
        ramp = Batches(256_000, ((3000, 512_000), (6000, 1_024_000)))
        _batch_axis(panels[8], ramp, end, tokens=False)
    return ax


def _minicpm(end: int) -> Decay:
    return PRESETS["minicpm"].decay(end)


def _branches(ax: Axes, warmup: int, end: int) -> None:
    ends = [2500, 5000, 7500, end]
    colour = SizeColours(ends)
    for each in ends:
        decay = DecaySpec("1-sqrt", 0.2).decay(each)
        _line(ax, WSD(warmup, decay), (decay.start, each), None, color=colour(each))
        ax.plot(decay.start, 1.0, "o", mfc="white", mec=INK, zorder=4)


def _shapes(ax: Axes, warmup: int) -> None:
    _shade(ax, WSD(warmup), 9500, None)
    for i, shape in enumerate(DECAYS):
        colour, _ = _LINES[i]
        spec = DecaySpec(shape, 0.5, 0.1)
        _line(ax, WSD(warmup, spec.decay(9500)), (0, 9500), None, color=colour)
        ax.annotate(
            shape, (0.13, 0.8 - 0.15 * i), xycoords="axes fraction", color=colour, fontsize="x-small", va="top"
        )  # fmt: skip
    _line(ax, WSD(warmup), (0, DecaySpec("linear", 0.5).decay(9500).start), None, color=INK)


def _write(ax: Axes, text: str, x: float, y: float, side: str = "center") -> None:
    ax.annotate(text, (x, y), ha=side, va="center", fontsize="x-small", color=INK)


def _several(
    ax: Axes, named: dict[str, Schedule], most: int, everywhere: bool, each_batches: dict[str, Batches | None]
) -> list[Any]:
    trunks = [each for each in named.values() if isinstance(each, WSD) and each.decay is None]
    forks = {
        name: each
        for name, each in named.items()
        if isinstance(each, WSD) and each.decay is not None and WSD(each.warmup) in trunks
    }
    shade = SizeColours([max(each.end or 1, 1) for each in forks.values()] or [1])
    handles, looks = [], iter(_LINES * len(named))
    for name, each in named.items():
        batches = each_batches[name]
        end = most if everywhere else _own_end(each, most)
        if name in forks and each.end is not None and (decay := forks[name].decay) is not None:
            end = min(each.end, most)
            if decay.start <= end:
                handles.append(
                    _line(ax, each, (decay.start, end), batches, color=shade(end), label=name, zorder=3)
                )
                x = _x([decay.start], batches)
                ax.plot(x, [1.0], "o", mfc="white", mec=INK, zorder=4)
            continue
        colour, dashes = (INK, "-") if each in trunks else next(looks)
        if each in trunks and forks and not everywhere:
            end = max(each.decay.start for each in forks.values() if each.decay is not None)
        handles.append(_line(ax, each, (0, end), batches, color=colour, ls=dashes, label=name, zorder=2))
    return handles


def _reach(schedules: Any) -> int:
    """Updates that show what the schedules do."""
    every = list(schedules)
    ends = [_beyond(each, each.end) for each in every if each.end]
    if ends:
        return max(ends)
    alone = [
        each.warmup + 4 * (each.period - each.warmup)
        if isinstance(each, CosineLoop)
        else 10 * each.warmup or 1000
        for each in every
    ]
    return max(alone)


def _own_end(schedule: Schedule, most: int) -> int:
    return min(_beyond(schedule, schedule.end), most) if schedule.end else most


def _beyond(schedule: Schedule, end: int) -> int:
    """WSD-S returns to the full rate at its last end: a little of that is drawn."""
    return end + max(1, end // 20) if isinstance(schedule, WSDS) else end


def _x(steps: Sequence[int] | np.ndarray[Any, Any], batches: Batches | None) -> list[float]:
    return [float(step if batches is None else batches.tokens_at(int(step))) for step in steps]


def _line(
    ax: Axes, schedule: Schedule, span: tuple[int, int], batches: Batches | None, **look: Any
) -> Line2D:
    start, end = span
    borders = {at for phase in schedule.phases(end) for border in phase[1:] for at in (border - 1, border)}
    even = np.linspace(start, end, min(_POINTS, end - start) + 1).round().astype(int).tolist()
    steps = sorted({at for at in {*even, *borders} if start <= at <= end})
    (line,) = ax.plot(_x(steps, batches), [schedule.factor(step) for step in steps], **look)
    return line


def _shade(ax: Axes, schedule: Schedule, end: int, batches: Batches | None) -> list[Any]:
    found: dict[str, Any] = {}
    for name, start, stop in schedule.phases(end):
        if name in _SHADES:
            colour, alpha = _SHADES[name]
            lo, hi = _x([start, stop], batches)
            ax.axvspan(lo, hi, color=colour, alpha=alpha, lw=0, zorder=0)
            found[name] = Patch(color=colour, alpha=alpha, lw=0, label=name)
    return list(found.values())


def _axes(ax: Axes, end: int, batches: Batches | None) -> None:
    ax.set_xlim(0, 1.02 * _x([end], batches)[0])
    ax.set_ylim(-0.04, 1.08)
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    ax.set_xlabel("step (updates)" if batches is None else TOKENS)
    ax.set_ylabel(RATE)


def _batch_axis(ax: Axes, batches: Batches, end: int, *, tokens: bool) -> Line2D:
    """The batch as a dashed step curve against an axis on the right."""
    right = ax.twinx()
    steps = [0, *(step for step, _ in batches.ramp if step < end), end]
    sizes = [batches.at(step) for step in steps]
    (line,) = right.plot(
        _x(steps, batches if tokens else None), [*sizes[:-1], sizes[-2]], color=VERMILLION,
        ls=(0, (4, 1.5)), drawstyle="steps-post", label=BATCH,
    )  # fmt: skip
    top = max(sizes)
    right.set_ylim(-0.04 * top, 1.15 * top)
    ticks = sorted({0, *sizes})
    right.set_yticks(ticks, [count(size) if size else "0" for size in ticks])
    right.set_ylabel(BATCH, color=VERMILLION)
    right.tick_params(axis="y", colors=VERMILLION)
    right.spines["right"].set(visible=True, color=VERMILLION)
    right.grid(visible=False)
    return line
