"""The explorer's figure: the law's contours, drawn once as far as the budgets go, with marks that move over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from scalinglab import plots
from scalinglab.analysis.convention import Convention
from scalinglab.explorer._question import RULES, Found, Question
from scalinglab.plots._axes import count, power_of_ten
from scalinglab.plots._canvas import INK, ORANGE, marker_size, root_figure

if TYPE_CHECKING:
    from scalinglab.fitting import Fit


class Scene:
    """`plots.contours` of a fit up to a budget: its star and its line of equal compute follow the question.

    Raises InputError where the law has no optimum at that budget.
    """

    def __init__(self, fit: Fit, cost: Convention, furthest: float, level: float) -> None:
        # constants that were given have no runs to say what to draw: a decade about each budget
        self._redrawn = not len(fit.rows)
        self._ask = lambda flops: plots.contours(fit, flops=flops, cost=cost, interval=level)
        self._cost = cost
        self._take(self._ask(furthest))

    def _take(self, ax: Axes) -> None:
        self.ax = ax
        self._star = next(line for line in ax.lines if line.get_marker() == "*")
        self._budget = next(line for line in ax.lines if line.get_linestyle() == ":")
        key = ax.get_legend()
        assert key is not None
        names = [text.get_text() for text in key.get_texts()]
        own = names.index(str(self._star.get_label()))
        self._said = key.get_texts()[own]
        self._sign: Any = key.legend_handles[own]
        (self._diamond,) = ax.plot([], [], "D", color=ORANGE, mec=INK, ms=1.6 * marker_size(), zorder=7)
        self._view = ax.get_xlim(), ax.get_ylim()
        figure = root_figure(ax)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the marks move, the rest stays where it is

    def show(self, asked: Question, found: Found) -> Axes:
        """The Axes, with the question's answer marked: a star where the loss is least, a diamond for another rule."""
        if self._redrawn:
            self._take(self._ask(asked.flops))
        n, d = found.point
        least = asked.rule == RULES[0]
        for mark, shown in ((self._star, least), (self._diamond, not least)):
            mark.set_data(([n], [d]) if shown else ([], []))
        sizes = np.asarray(self._budget.get_xdata(), dtype=float)
        self._budget.set_data(sizes, self._cost.tokens_at(sizes, asked.flops))
        name = "" if least else f"{asked.rule}, "
        self._said.set_text(f"{name}{power_of_ten(asked.flops)} FLOPs: N = {count(n)}, D = {count(d)}")
        self._sign.update_from(self._star if least else self._diamond)
        (left, right), (bottom, top) = self._view
        self.ax.set_xlim(min(left, n / 1.3), max(right, 1.3 * n))
        self.ax.set_ylim(min(bottom, d / 1.3), max(top, 1.3 * d))
        return self.ax
