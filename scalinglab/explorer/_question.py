"""What the sliders ask, without a slider: a question, its answer, and the figures shown of it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalinglab.analysis.answer import Answer, ExtrapolationWarning, readable
from scalinglab.analysis.convention import Convention, Cost, convention
from scalinglab.analysis.estimate import Estimate
from scalinglab.analysis.inference import inference_optimum
from scalinglab.analysis.optimum import optimum
from scalinglab.analysis.overtraining import overtraining
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Fit

Rule = Literal["least loss", "tokens per parameter", "training and serving"]
RULES: tuple[Rule, ...] = ("least loss", "tokens per parameter", "training and serving")
"""How N is chosen at a budget: the compute-optimal one; at a D/N of one's own; the cheapest to train and serve of the
models that have the compute-optimal one's loss."""


@dataclass(frozen=True)
class Question:
    """A budget in FLOPs, how it is counted, and how N is chosen at it, with the D/N or the tokens served that takes."""

    flops: float
    cost: Cost = "6ND"
    rule: Rule = "least loss"
    tokens_per_param: float = 20.0
    served: float = 0.0


@dataclass(frozen=True)
class Found:
    """answer: what the analysis room says; params, tokens, ratio, loss: the figures shown; point: (N, D) to mark."""

    answer: Answer
    params: Estimate
    tokens: Estimate
    ratio: Estimate
    loss: Estimate

    @property
    def point(self) -> tuple[float, float]:
        return self.params.value, self.tokens.value

    def table(self) -> pd.DataFrame:
        """The figures as an answer's table has them: value, lo, hi, unit."""
        units = ("parameters", "tokens", "tokens/parameter", self.answer.loss_unit or "loss")
        rows = {
            name: (found.value, found.lo, found.hi, unit)
            for (name, found), unit in zip(
                (("N", self.params), ("D", self.tokens), ("D/N", self.ratio), ("loss", self.loss)),
                units,
                strict=True,
            )
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "lo", "hi", "unit"])

    def readable(self) -> pd.DataFrame:
        return readable(self.table(), self.answer.level)


def ask(fit: Fit, question: Question, level: float = 0.9) -> Found:
    """The answer to a question, by the functions that answer it elsewhere; far budgets are said in its notes.

    Raises InputError where the fit has no such answer.
    """
    with warnings.catch_warnings():  # the notes say it too
        warnings.simplefilter("ignore", ExtrapolationWarning)
        if question.rule == "least loss":
            return _of_figures(optimum(fit, question.flops, question.cost, level=level))
        if question.rule == "tokens per parameter":
            return _at_ratio(fit, question, level)
        if question.rule == "training and serving":
            return _of_figures(
                inference_optimum(fit, question.served, flops=question.flops, cost=question.cost, level=level)
            )
    raise InputError(f"N is chosen by {', '.join(RULES)}, not by {question.rule!r}")


def _of_figures(answer: Any) -> Found:
    if not (0 < answer.params.value < math.inf and 0 < answer.tokens.value < math.inf):
        raise InputError("a term of the law has vanished in this fit, so no size is the best")
    return Found(answer, answer.params, answer.tokens, answer.ratio, answer.loss)


def _at_ratio(fit: Fit, question: Question, level: float) -> Found:
    """The model of this D/N that spends the budget: its N and D are counted, so only its loss has an interval."""
    n = size_at_ratio(convention(question.cost, fit.rows), question.flops, question.tokens_per_param)
    answer = overtraining(fit, question.flops, params=[n], cost=question.cost, level=level)
    row = answer.rows.iloc[0]
    loss = Estimate(float(row["loss"]), float(row["loss_lo"]), float(row["loss_hi"]))
    return Found(answer, Estimate(n), Estimate(float(row["tokens"])), Estimate(float(row["ratio"])), loss)


def size_at_ratio(cost: Convention, flops: float, tokens_per_param: float) -> float:
    """N whose training on D = r·N tokens spends `flops`. Raises InputError for a ratio that is not positive."""
    if not (tokens_per_param > 0 and math.isfinite(tokens_per_param)):
        raise InputError(f"D/N is a positive number such as 20, not {tokens_per_param!r}")
    lo, hi = -50.0, 150.0  # ln N: the cost rises with N along D = r·N
    for _ in range(100):
        middle = 0.5 * (lo + hi)
        n = math.exp(middle)
        with np.errstate(all="ignore"):
            dear = float(cost(n, tokens_per_param * n)) > flops
        lo, hi = (lo, middle) if dear else (middle, hi)
    return math.exp(0.5 * (lo + hi))
