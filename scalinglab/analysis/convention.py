"""What training costs: the FLOP conventions an answer can be asked under.

A convention is a name and a function of (params, tokens). `6ND` needs nothing else. The others count what a shape
executes beyond its 6·N, so a ladder supplies them by interpolating its sizes:

    6ND             6·N·D, N non-embedding (Kaplan et al. 2020)
    6ND+head        and 6·vocab·d a token for the output head
    6ND+attention   and 12·layers·context·d a token for the scores (Chowdhery et al. 2022, appendix B)
    exact           matrices, head and attention as executed (`Shape.flops_exact`)
"""

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from scalinglab.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


class Counted(Protocol):
    """A shape, as far as its cost goes."""

    @property
    def params(self) -> int: ...
    @property
    def params_total(self) -> int: ...
    @property
    def params_embedding(self) -> int: ...
    @property
    def flops_attention(self) -> float: ...
    def flops_exact(self) -> float: ...


@dataclass(frozen=True)
class Convention:
    """Training FLOPs as a function of (params, tokens), rising in both, under a name that says how they are counted."""

    name: str
    function: Callable[[Any, Any], Any]

    def __call__(self, params: Any, tokens: Any) -> Array:
        """FLOPs of training on `tokens` with `params`; arrays broadcast."""
        spent = np.asarray(self.function(np.asarray(params, float), np.asarray(tokens, float)), float)
        if np.any(spent < 0):
            raise InputError(
                f"the cost {self.name!r} is negative for some N and D: FLOPs are above 0 and rise in both"
            )
        return spent

    def tokens_at(self, params: Any, flops: Any) -> Array:
        """D that spends `flops` at size `params`; arrays broadcast."""
        params, flops = np.broadcast_arrays(np.asarray(params, float), np.asarray(flops, float))
        with np.errstate(all="ignore"):
            tokens = flops / self(params, 1.0)  # what it is for every cost proportional to D
            if np.allclose(self(params, tokens), flops, rtol=1e-12, equal_nan=True):
                return np.asarray(tokens)
            lo, hi = (np.full(flops.shape, end) for end in (-150.0, 150.0))
            for _ in range(90):
                middle = 0.5 * (lo + hi)
                dear = self(params, np.exp(middle)) > flops
                lo, hi = np.where(dear, lo, middle), np.where(dear, middle, hi)
            return np.exp(0.5 * (lo + hi))


SIX_ND = Convention("6ND", lambda params, tokens: 6.0 * params * tokens)
"""C = 6·N·D (Kaplan et al. 2020)."""

Cost = str | Convention | Callable[[Any, Any], Any]
"""How an answer takes a convention: by name, as a Convention, or as a function of (params, tokens)."""

# name -> training FLOPs a token of a shape
_PER_TOKEN: dict[str, Callable[[Any], float]] = {
    "6ND": lambda shape: 6.0 * shape.params,
    "6ND+head": lambda shape: 6.0 * (shape.params + shape.params_embedding),
    "6ND+attention": lambda shape: 6.0 * shape.params + shape.flops_attention,
    "exact": lambda shape: shape.flops_exact(),
}
CONVENTIONS = tuple(_PER_TOKEN)
"""Names of the conventions of FLOPs a token, as `cost=` takes them."""


def ladder_convention(name: str, shapes: Iterable[Counted], count: str = "params") -> Convention:
    """A named convention of a ladder, interpolated between its sizes and continued beyond them.

    count: "params" or "params_total", what N stands for. Raises InputError for an unknown name, or fewer than two
    sizes.
    """
    if name not in _PER_TOKEN:
        raise _unknown(name)
    return _interpolated(name, [(getattr(shape, count), _PER_TOKEN[name](shape)) for shape in shapes])


def convention(cost: Cost, runs: "pd.DataFrame | None" = None) -> Convention:
    """A convention from what names it.

    runs: where "exact" is to come from: their `flops_exact` by size. The other names but "6ND" need a ladder's
    shapes: `ladder_convention`. Raises InputError for an unknown name, or one that these runs cannot tell.
    """
    if isinstance(cost, Convention):
        return cost
    if callable(cost):
        return Convention(getattr(cost, "__name__", "own").replace("<lambda>", "own"), cost)
    if cost == "6ND":
        return SIX_ND
    if cost not in _PER_TOKEN:
        raise _unknown(cost)
    if cost == "exact" and runs is not None and "flops_exact" in runs and runs["flops_exact"].notna().any():
        known = runs[runs["flops_exact"].notna()]
        return _interpolated(cost, zip(known["params"], known["flops_exact"] / known["tokens"], strict=True))
    raise InputError(
        f"the cost {cost!r} depends on the shapes of the models, which these runs do not tell; give a study folder, "
        'or use scalinglab.analysis.ladder_convention(name, shapes), or cost="6ND"'
    )


def _unknown(name: object) -> InputError:
    near = difflib.get_close_matches(str(name), _PER_TOKEN, n=1, cutoff=0.4)
    hint = (
        f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_PER_TOKEN)}, or a function of N and D"
    )
    return InputError(f"the cost {name!r} is not known; {hint}")


def _interpolated(name: str, per_token: Iterable[tuple[float, float]]) -> Convention:
    """From (N, FLOPs a token) of several sizes.

    What exceeds 6·N a token (less what N counts without computing, as the embedding table in params_total) is a
    ratio to 6·N, interpolated smoothly in log N (a kink at a trained size would hold optima there); beyond the ladder
    it goes on as N^-1/2, as it does when only the width grows.
    """
    by_size: dict[float, float] = {float(n): float(c) for n, c in per_token}
    if len(by_size) < 2:
        raise InputError(f"the cost {name!r} needs at least two sizes to interpolate between")
    n, flops = np.array(sorted(by_size.items())).T
    log_n, excess = np.log(n), flops / (6.0 * n) - 1.0
    between = PchipInterpolator(log_n, excess)

    def function(params: Any, tokens: Any) -> Any:
        u = np.log(params)
        beyond = np.maximum(u - log_n[-1], 0.0) + np.minimum(u - log_n[0], 0.0)
        grown, share = np.exp(-0.5 * beyond), between(np.clip(u, log_n[0], log_n[-1]))
        # what is counted but not computed takes ever more of N downwards, and never all of it
        left = np.exp(np.log1p(np.minimum(share, 0.0)) * grown)
        return 6.0 * params * (np.maximum(share, 0.0) * grown + left) * tokens

    return Convention(name, function)


def positive_budget(flops: float) -> float:
    """A compute budget as a number. Raises InputError where it is not one that could be spent."""
    try:
        value = float(flops)
    except (TypeError, ValueError):
        raise InputError(f"a compute budget is a number of FLOPs such as 1e21, not {flops!r}") from None
    if not (value > 0 and math.isfinite(value)):
        raise InputError(f"a compute budget must be a positive number of FLOPs, not {value:g}")
    return value
