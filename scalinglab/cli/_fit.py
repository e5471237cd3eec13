"""`scalinglab fit`: a law for anyone's table."""

from pathlib import Path
from typing import Any

from rich.markup import escape

from scalinglab.analysis import optimum, scaling
from scalinglab.analysis.source import read_ends
from scalinglab.cli._console import console, print_json, say
from scalinglab.cli._progress import steps
from scalinglab.cli._summary import open_constants, print_fit
from scalinglab.errors import InputError
from scalinglab.fitting import Fit, FitWarning, fit
from scalinglab.laws import Law


def fit_command(
    source: Path,
    law: Law,
    eval_set: str | None,
    how: dict[str, Any],
    resample: dict[str, Any],
    out: Path | None,
    flops: float | None,
    as_json: bool,
) -> None:
    """`how` goes to `fit`, `resample` (n, by, method) to the bootstrap; `flops` asks for the optimum there."""
    notes: tuple[str, ...] = ()
    if source.suffix.lower() == ".json":
        found = Fit.from_json(source)
        if not len(found.rows):
            raise InputError(f"{source} holds given constants: there is no fit to show")
    else:
        runs, eval_set, notes = read_ends(source, eval_set)
        found = fit(law, runs, eval_set=eval_set, **how)
    with steps("Bootstrap") as progress:
        found.bootstrap(**resample, progress=lambda done, of: progress("", done, of))
    if out is not None:
        save(found, out)
    if as_json:
        answer = {} if flops is None else {"optimum": optimum(found, flops).plain()}
        print_json(fit_json(found) | answer | {"notes": notes})
        return
    for note in notes:
        console.print(f"[dim]{escape(note)}[/]")
    print_fit(found)
    if hasattr(found.law, "standard") and found.law.target == "loss":
        asked = scaling(found)
        console.print(
            f"Compute-optimal under C = 6·N·D: N ∝ C^{asked.a.value:.3f}, D ∝ C^{asked.b.value:.3f} "
            f"(90% intervals {asked.a.lo:.2f}–{asked.a.hi:.2f}, {asked.b.lo:.2f}–{asked.b.hi:.2f})"
        )
    if flops is not None:
        say(optimum(found, flops))
    if out is not None:
        say(f"Saved to {out}")


def fit_json(found: Fit) -> dict[str, Any]:
    """A fit and its bootstrap for machines."""
    boot = found.boot()
    interval = boot.interval(0.9)
    unsure = {*open_constants(found), *(name for warning in found.warnings for name in warning.about)}
    return {
        "law": found.law.name,
        "status": found.status.value,
        "reason": found.status.reason,
        "rows": len(found.rows),
        "objective": found.objective,
        "constants": {
            name: {
                "value": value,
                "lo": interval.loc[name, "lo"],
                "hi": interval.loc[name, "hi"],
                "identified": name not in unsure,
            }
            for name, value in found.constants.items()
        },
        "bootstrap": {"method": boot.method, "by": boot.by, "resamples": len(boot.constants)},
        "warnings": warnings_json((*found.warnings, *boot.warnings)),
    }


def warnings_json(warnings: tuple[FitWarning, ...]) -> list[dict[str, str]]:
    return [{"code": w.code, "sentence": w.sentence, "mend": w.mend} for w in warnings]


def save(found: Fit, out: Path) -> None:
    """Write a fit; InputError where the place cannot be written to."""
    try:
        found.to_json(out)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror or error}") from error
