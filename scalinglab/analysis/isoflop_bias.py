"""Beside Approach 2: the law fitted to the same rows, its optimum at each budget, and the parabola's bias."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.convention import Convention
from scalinglab.analysis.estimate import Estimate
from scalinglab.analysis.isoflop_groups import Points
from scalinglab.analysis.isoflop_minimum import Found, leading_shift, line, minimum_of
from scalinglab.analysis.optimum import frontier
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

Array = NDArray[np.float64]


def fitted_law(runs: pd.DataFrame) -> "tuple[Fit | None, str]":
    """Chinchilla's law of the rows where every term plays a part; else None and why."""
    from scalinglab import laws
    from scalinglab.fitting import Status, fit

    try:
        found = fit(laws.Chinchilla(), runs)
    except InputError as error:
        return None, str(error)
    if found.status in (Status.AT_BOUND, Status.NOT_CONVERGED):
        return None, found.status.reason
    return found, ""


def law_beside(
    law: "Fit | None", boot: "Bootstrap | None", points: Points, groups: list[Any], found: list[Found],
    cost: Convention, minimum: str, level: float,
) -> tuple[pd.DataFrame, dict[str, Any], float]:  # fmt: skip
    """The law's optimum at each budget with the parabola's predicted bias; its exponents; the bias of a."""
    k = len(groups)
    columns = (
        "law_params",
        "law_params_lo",
        "law_params_hi",
        "law_tokens",
        "law_loss",
        "bias",
        "bias_leading",
    )
    beside = pd.DataFrame(math.nan, index=range(k), columns=list(columns))
    if law is None:
        return beside, {"law_a": Estimate(math.nan), "law_b": Estimate(math.nan)}, math.nan
    best = frontier(law, points.flops, cost, level=level, boot=boot, beyond=math.inf)
    for end in ("", "_lo", "_hi"):
        beside[f"law_params{end}"] = best.rows[f"params{end}"]
    beside["law_tokens"], beside["law_loss"] = best.rows["tokens"], best.rows["loss"]
    law_any: Any = law.law
    c = law_any.standard(law.constants)
    ideal = np.asarray(law.predict(params=points.params, tokens=points.tokens)["loss"], float)
    with np.errstate(all="ignore"):
        log_best = np.log(best.rows["params"].to_numpy())
    log_best[~np.isfinite(log_best)] = np.nan
    predicted = np.full(k, np.nan)
    for i, g in enumerate(groups):
        u = np.log(points.params[g])
        each = minimum_of(u, ideal[g], None, None, minimum)
        predicted[i] = each.at if each.note != "opens downward" else np.nan
        beside.loc[i, "bias_leading"] = leading_shift(u - log_best[i], c.alpha, c.beta)
    beside["bias"] = predicted - log_best
    kept = np.array([not each.note for each in found]) & np.isfinite(predicted - log_best)
    a_bias = math.nan
    if kept.sum() >= 2:
        weight = np.array([[each.weight for each in found]])[:, kept]
        a_bias = float(line(np.log(points.flops[kept]), beside["bias"].to_numpy()[None, kept], weight)[0][0])
    return beside, {"law_a": best.a, "law_b": best.b}, a_bias


def law_notes(
    law: "Fit | None", why_not: str, rows: pd.DataFrame, a_bias: float, minimum: str
) -> tuple[str, ...]:
    if law is None:
        return (f"No law beside: a Chinchilla fit of the same rows does not succeed ({why_not}).",)
    law_any: Any = law.law
    c = law_any.standard(law.constants)
    kept = rows[rows["note"] == ""] if (rows["note"] == "").any() else rows
    bias, leading = (100 * np.expm1(kept[name]) for name in ("bias", "bias_leading"))
    name = "parabola" if minimum == "parabola" else "interpolant"
    said = [
        f"Bias of Approach 2: {name}s through noise-free losses of the law fitted to the same rows "
        f"(α {float(c.alpha):.3g}, β {float(c.beta):.3g}) at these runs miss its optimum N by {bias.min():+.2g} to "
        f"{bias.max():+.2g} %" + (f", which moves a by {a_bias:+.2g}" if a_bias == a_bias else "") + "."
    ]
    if minimum == "parabola":
        said.append(
            f"On sizes that lie symmetrically about the optimum it is -(β-α)/6·m4/m2 to leading order, here "
            f"{leading.min():+.2g} to {leading.max():+.2g} %: what differs from that comes of sizes off centre."
        )
    if law.status.value != "ok":
        said.append(f"The law beside: {law.status.reason}.")
    return tuple(said)
