"""The explorer itself: controls, a table, notes, a figure. The one module that imports ipywidgets."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from scalinglab.analysis.convention import Convention
from scalinglab.errors import InputError
from scalinglab.explorer._explore import costs_of
from scalinglab.explorer._question import RULES, Found, Question, ask
from scalinglab.explorer._scene import Scene
from scalinglab.shown import html_list, html_result, html_table

if TYPE_CHECKING:
    from scalinglab.fitting import Fit

_WIDE = {"description_width": "13em"}
_LAYOUT = {"width": "34em", "max_width": "100%"}


class Explorer(widgets.VBox):
    """A fit under sliders. Set `flops.value` and its like, or move them; `found` and `question` follow.

    fit, cost, rule, flops, tokens_per_param, served: the controls. words: table and notes. picture: the figure.
    """

    def __init__(
        self,
        fits: Mapping[str, Fit],
        span: tuple[float, float],
        costs: Mapping[str, Convention],
        level: float,
    ) -> None:
        self._fits, self._more, self._level = fits, costs, level
        self._costs: dict[str, Convention] = {}
        self._scenes: dict[tuple[str, str], Scene] = {}
        self.found: Found | None = None
        """What is shown; None where the fit has no such answer, which `words` then says."""
        lo, hi = math.log10(span[0]), math.log10(span[1])
        self.fit = widgets.Dropdown(options=list(fits), description="Fit", style=_WIDE, layout=_LAYOUT)
        self.cost = widgets.Dropdown(
            options=["6ND"], description="Compute counted as", style=_WIDE, layout=_LAYOUT
        )
        self.rule = widgets.Dropdown(options=RULES, description="N chosen by", style=_WIDE, layout=_LAYOUT)
        self.flops = _slider("Budget C (FLOPs)", lo, hi, 0.5 * (lo + hi), ".2e")
        self.tokens_per_param = _slider("Tokens per parameter", 0.0, 4.0, math.log10(20.0), ".3g")
        middle = 0.5 * (lo + hi) - math.log10(6.0)  # D of a compute-optimal model with N = D
        self.served = _slider(
            "Tokens served", max(0.5 * middle - 2, 0), 0.5 * middle + 6, 0.5 * middle + 2, ".2e"
        )
        self.words = widgets.HTML()
        self.picture = widgets.HTML()
        super().__init__([self.fit, self.cost, self.rule, self.flops, self.tokens_per_param, self.served,
                          self.words, self.picture])  # fmt: skip
        self.fit.layout.display = None if len(fits) > 1 else "none"
        self._take_fit()
        self.fit.observe(lambda change: self._take_fit(), "value")
        for control in (self.cost, self.rule, self.flops, self.tokens_per_param, self.served):
            control.observe(lambda change: self._show(), "value")

    def __repr__(self) -> str:
        return "Explorer: " + (self.found.answer.headline() if self.found else "no answer")

    @property
    def question(self) -> Question:
        """What the controls ask."""
        return Question(
            float(self.flops.value), self._costs[self.cost.value], self.rule.value,
            float(self.tokens_per_param.value), float(self.served.value),
        )  # fmt: skip

    def axes(self) -> Axes:
        """The figure that is shown, as Axes: equal-loss lines and the runs, the model chosen marked among them.

        Raises InputError where the fit has no such answer.
        """
        asked = self.question
        return self._scene().show(asked, ask(self._fits[self.fit.value], asked, self._level))

    def _picture(self, asked: Question, found: Found) -> str:
        return picture(self._scene().show(asked, found), found)

    def _scene(self) -> Scene:
        """The figure of this fit and cost, drawn once: only its marks move."""
        key = (self.fit.value, self.cost.value)
        if key not in self._scenes:
            fit, cost = self._fits[self.fit.value], self._costs[self.cost.value]
            self._scenes[key] = Scene(fit, cost, float(10**self.flops.max), self._level)
        return self._scenes[key]

    def _take_fit(self) -> None:
        self._costs = costs_of(self._fits[self.fit.value], self._more)
        chosen = self.cost.value
        with self.hold_trait_notifications():
            self.cost.options = list(self._costs)
            self.cost.value = chosen if chosen in self._costs else "6ND"
        self._show()

    def _show(self) -> None:
        self.tokens_per_param.layout.display = None if self.rule.value == RULES[1] else "none"
        self.served.layout.display = None if self.rule.value == RULES[2] else "none"
        fit, asked = self._fits[self.fit.value], self.question
        try:
            self.found = ask(fit, asked, self._level)
            self.words.value = said(self.found)
            self.picture.value = self._picture(asked, self.found)
        except InputError as error:  # of this question: the next one may have an answer
            self.found = None
            self.words.value, self.picture.value = html_result(f"No answer: {error}."), ""


def _slider(name: str, lo: float, hi: float, at: float, form: str) -> Any:
    """Over powers of ten, told when it is let go: each answer redraws the figure."""
    return widgets.FloatLogSlider(
        value=10.0**at, base=10, min=lo, max=hi, step=0.02, description=name, readout_format=form,
        continuous_update=False, style=_WIDE, layout=_LAYOUT,
    )  # fmt: skip


def said(found: Found) -> str:
    """The answer in a sentence, its figures, its notes."""
    return html_result(
        found.answer.headline(),
        html_table(found.readable(), "The model at this budget", index=False),
        html_list("Notes", found.answer.notes),
    )


def picture(ax: Axes, found: Found) -> str:
    """The figure as HTML, with the answer as its text for those who do not see it."""
    out = io.BytesIO()
    ax.figure.canvas.figure.savefig(out, format="png", dpi=110)
    code = base64.b64encode(out.getvalue()).decode()
    text = html.escape(
        f"Equal-loss lines over N and D with the model marked. {found.answer.headline()}", quote=True
    )
    return f'<img alt="{text}" style="max-width: 100%" src="data:image/png;base64,{code}">'
