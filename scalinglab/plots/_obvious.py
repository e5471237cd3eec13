"""Which figure a fit asks for by itself."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalinglab.errors import InputError
from scalinglab.plots._kinds import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalinglab.fitting import Fit

OF_FITS = tuple(sorted(name for name, kind in KINDS.items() if kind.takes == "fit" and name != "bootstrap"))
"""The figures that are drawn from a fit."""


def obvious(fit: Fit) -> str:
    """The figure that shows most of what this law says."""
    from scalinglab.laws import DataConstrained, PowerProduct

    variables = tuple(fit.law.variables)
    # a product has no optimum between an edge and the other, so no line across its contours
    if (
        variables == ("params", "tokens")
        and fit.law.target == "loss"
        and not isinstance(fit.law, PowerProduct)
    ):
        return "contours"
    if isinstance(fit.law, DataConstrained) and (fit.rows["tokens"] > fit.rows["unique_tokens"]).any():
        return "data_limited"
    return "curve" if len(variables) == 1 else "measured"


def plot_fit(fit: Fit, kind: str | None, ax: Axes | None, **options: Any) -> Axes:
    """The figure of a fit that is named, else the obvious one. Raises InputError for a name that is none."""
    name = obvious(fit) if kind is None else kind.replace("-", "_")
    if name not in OF_FITS:
        near = difflib.get_close_matches(name, OF_FITS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"no figure of a fit is called {kind!r}; there are {', '.join(OF_FITS)}{hint}")
    draw: Callable[..., Axes] = KINDS[name].function
    return draw(fit, ax=ax, **options)
