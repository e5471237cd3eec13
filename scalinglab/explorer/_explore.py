"""`explore`: the fits it takes, under names, and the budgets they may be asked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scalinglab.analysis.convention import Convention, convention, positive_budget
from scalinglab.errors import InputError
from scalinglab.extras import need_widgets

if TYPE_CHECKING:
    from scalinglab.explorer._widget import Explorer
    from scalinglab.fitting import Fit

BEYOND = 100.0
"""How far beyond the dearest run the budgets go, unless the caller says otherwise."""


def explore(
    fits: Fit | Sequence[Fit] | Mapping[Any, Fit],
    *,
    flops: tuple[float, float] | None = None,
    costs: Mapping[str, Convention] | None = None,
    level: float = 0.9,
) -> Explorer:
    """Sliders over a fit: N, D, D/N and loss at any budget with their intervals, marked among the runs.

    fits: one, several, or {name: fit} as `fit_groups` gives them; laws in params and tokens.
    flops: lowest and highest budget of the slider; by default from the cheapest run to a hundred times the dearest.
    costs: further ways to count compute, by name, beside 6ND and, where the runs tell it, exact.
    Returns a widget for a notebook's last line, whose `flops`, `cost`, `rule`, `tokens_per_param` and `served` can be
    set from Python too; `found` is what it shows. Raises EnvironmentProblem without ipywidgets, InputError for a law
    that is not in params and tokens, or constants that were given without `flops`.
    """
    named = name_fits(fits)
    span = (positive_budget(flops[0]), positive_budget(flops[1])) if flops is not None else _span(named)
    if not span[0] < span[1]:
        raise InputError(f"flops is (lowest, highest), such as (1e18, 1e21), not {flops!r}")
    need_widgets()
    from scalinglab.explorer._widget import Explorer

    return Explorer(named, span, {name: convention(cost) for name, cost in (costs or {}).items()}, level)


def name_fits(fits: Any) -> dict[str, Fit]:
    """The fits by name: the mapping's own, else law and eval set. Raises InputError for what is no fit of L(N, D)."""
    if isinstance(fits, Mapping):
        named = {str(name): fit for name, fit in fits.items()}
    else:
        listed = [fits] if hasattr(fits, "law") else list(fits)
        named = {}
        for fit in listed:
            sets = fit.rows["eval_set"].dropna().unique() if "eval_set" in fit.rows else []
            name = fit.law.name + (f", {sets[0]}" if len(sets) == 1 else "")
            again = sum(known == name or known.startswith(f"{name} (") for known in named)
            named[name if not again else f"{name} ({again + 1})"] = fit
    if not named:
        raise InputError("there is no fit to explore: give one, several, or {name: fit}")
    for name, fit in named.items():
        if tuple(fit.law.variables) != ("params", "tokens"):
            raise InputError(
                f"{name} is a law in {', '.join(fit.law.variables)}; what is explored is a law in params and tokens"
            )
    return named


def costs_of(fit: Fit, more: Mapping[str, Convention]) -> dict[str, Convention]:
    """The ways to count compute that a fit offers, by name."""
    found = {"6ND": convention("6ND")}
    if "flops_exact" in fit.rows and fit.rows["flops_exact"].notna().any():
        found["exact"] = convention("exact", fit.rows)
    return found | dict(more)


def _span(named: Mapping[str, Fit]) -> tuple[float, float]:
    """From the cheapest run of all fits to far beyond the dearest, in 6·N·D."""
    spent = [6 * fit.rows["params"] * fit.rows["tokens"] for fit in named.values() if len(fit.rows)]
    if not spent:
        raise InputError(
            "constants that were given have no runs: say which budgets by flops=(lowest, highest)"
        )
    return float(min(each.min() for each in spent)), BEYOND * float(max(each.max() for each in spent))
