"""A fit as a JSON file."""

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab import laws
from scalinglab.errors import InputError
from scalinglab.fitting import _loss
from scalinglab.fitting._constraints import Constraints
from scalinglab.fitting._status import FitWarning, Status
from scalinglab.laws._law import Law

if TYPE_CHECKING:
    from scalinglab.fitting._fit import Fit

FORMAT = "scalinglab fit"
VERSION = 1
MOST_ROWS = 20_000  # a larger table is left out: predictions stay, a new bootstrap needs the table again


def write(fit: "Fit", path: Path) -> Path:
    keep = [
        *fit.law.variables,
        fit.law.target,
        "flops_exact",
        "decay_share",
        "run_id",
        "trunk_id",
        "eval_set",
        "loss_unit",
    ]
    table = fit.rows[[c for c in keep if c in fit.rows.columns]]
    if len(table) > MOST_ROWS:
        table = table.iloc[:0]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "law": _law_to_json(fit.law),
        "loss": {
            "name": fit.loss.name,
            **{f.name: getattr(fit.loss, f.name) for f in dataclasses.fields(fit.loss) if f.init},
        },
        "constraints": {
            **dataclasses.asdict(fit.constraints),
            "bounds": {
                n: [_or_none(low), _or_none(high)] for n, (low, high) in fit.constraints.bounds.items()
            },
        },
        "constants": fit.constants,
        "objective": _or_none(fit.objective),
        "status": fit.status.value,
        "warnings": [dataclasses.asdict(w) for w in fit.warnings],
        "starts": dataclasses.asdict(fit.starts),
        "gradient": fit.gradient,
        "condition": _or_none(fit.condition),
        "domain": fit.domain,
        "noise": _or_none(fit.noise),
        "rows": table.astype(object).where(table.notna(), None).to_dict("list"),
        "weights": list(map(float, fit.weights)) if len(table) else [],
    }
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path


def read(path: Path, law: Law | None) -> "Fit":
    from scalinglab.fitting._fit import Fit, Starts

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise KeyError
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise InputError(f"{path} is not a fit written by scalinglab") from None
    if document["version"] != VERSION:
        raise InputError(
            f"{path} is a fit of version {document['version']}, this package reads version {VERSION}: fit again"
        )
    try:
        return Fit(
            law=law or _law(document["law"], path),
            loss=_named(_loss, document["loss"]),
            constraints=_constraints(document["constraints"]),
            constants=document["constants"],
            rows=pd.DataFrame(document["rows"]),
            weights=np.array(document["weights"], dtype=float),
            objective=_or_nan(document["objective"]),
            status=Status(document["status"]),
            warnings=tuple(
                FitWarning(**{**w, "about": tuple(w.get("about", ()))}) for w in document["warnings"]
            ),
            starts=Starts(**document["starts"]),
            gradient=document["gradient"],
            condition=_or_nan(document["condition"]),
            domain={v: (lo, hi) for v, (lo, hi) in document["domain"].items()},
            noise=_or_nan(document["noise"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: {error}") from None


def _law_to_json(law: Law) -> dict[str, Any]:
    """Its class and arguments; of a law that is not the package's own, its name alone."""
    name = type(law).__name__
    ours = name in laws.__all__ and not isinstance(law, laws.FunctionLaw)
    return {"name": name, **dataclasses.asdict(law)} if ours else {"name": law.name}  # type: ignore[call-overload]


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _law(document: dict[str, Any], path: Path) -> Law:
    if document["name"] not in laws.__all__:
        raise InputError(
            f"{path} holds a fit of the law {document['name']}, which is not scalinglab's: pass law="
        )
    return _named(laws, document)


def _constraints(document: dict[str, Any]) -> Constraints:
    bounds = {
        name: (-np.inf if low is None else low, np.inf if high is None else high)
        for name, (low, high) in document["bounds"].items()
    }
    return Constraints(document["held"], bounds, document["tied"])


def _named(module: Any, document: dict[str, Any]) -> Any:
    arguments = dict(document)
    return getattr(module, arguments.pop("name"))(**arguments)
