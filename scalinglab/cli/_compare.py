"""`scalinglab compare` and `scalinglab backtest`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from scalinglab.analysis import count_text
from scalinglab.analysis.source import read_ends
from scalinglab.cli._console import console, print_json
from scalinglab.cli._fit import warnings_json
from scalinglab.cli._options import read_law
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.errors import InputError
from scalinglab.fitting import Backtest, Comparison, Fit, Loss, backtest, compare, fit
from scalinglab.laws import Law

MOST_ROWS = 20  # held-out rows printed; --json gives all


def compare_command(
    sources: Sequence[Path], names: str | None, eval_set: str | None, loss: Loss, as_json: bool
) -> None:
    """Saved fits of the same rows, or several laws on one table."""
    saved = [path.suffix.lower() == ".json" for path in sources]
    if all(saved):
        if names is not None:
            raise InputError("--laws goes with a table; saved fits have their laws")
        fits = [Fit.from_json(path) for path in sources]
        notes: tuple[str, ...] = ()
    elif any(saved) or len(sources) > 1:
        raise InputError("compare saved fits (A.json B.json), or one table under several laws (--laws a,b)")
    else:
        laws = [read_law(name) for name in (names or "").split(",") if name]
        if len(laws) < 2:
            raise InputError(
                "comparing laws on a table needs at least two: --laws chinchilla,kaplan, for example"
            )
        runs, eval_set, notes = read_ends(sources[0], eval_set)
        fits = []
        with steps("Fitting") as progress:
            for i, law in enumerate(laws):
                progress(law.name, i, len(laws))
                fits.append(fit(law, runs, loss=loss, eval_set=eval_set))
    found = compare(fits)
    if as_json:
        print_json(_comparison_json(found, fits) | {"notes": notes})
        return
    for note in notes:
        console.print(f"[dim]{escape(note)}[/]")
    shown = table(
        f"{len(fits[0].rows)} rows, {fits[0].loss}",
        "law", "constants", "objective", "AICc", "left-out error", "status",
        caption="AICc: lower is better, 4 decides. Left-out error: root mean square residual of rows left out.",
    )  # fmt: skip
    for (name, row), one in zip(found.table.iterrows(), fits, strict=True):
        shown.add_row(
            str(name),
            f"{row['constants']:.0f}",
            f"{row['objective']:.4g}",
            f"{row['aicc']:.1f}",
            f"{row['loo']:.3g}",
            one.status.value,
        )
    console.print(shown)
    console.print(f"[bold]{found.best}[/]: {found.evidence}")


def _comparison_json(found: Comparison, fits: Sequence[Fit]) -> dict[str, Any]:
    rows = found.table.reset_index().to_dict("records")
    return {
        "best": found.best,
        "evidence": found.evidence,
        "fits": [
            row | {"status": one.status.value, "warnings": warnings_json(one.warnings)}
            for row, one in zip(rows, fits, strict=True)
        ],
    }


def backtest_command(
    source: Path, law: Law, eval_set: str | None, how: dict[str, Any], as_json: bool
) -> None:
    """Fit the smaller runs of a table, predict the largest."""
    runs, eval_set, notes = read_ends(source, eval_set)
    with steps("Bootstrap") as progress:
        found = backtest(
            law, runs, eval_set=eval_set, progress=lambda done, of: progress("", done, of), **how
        )
    if as_json:
        print_json(
            {
                "law": found.fit.law.name,
                "split": found.split,
                "boundary": found.boundary,
                "level": found.level,
                **found.summary().to_dict(),
                "constants": found.fit.constants,
                "status": found.fit.status.value,
                "table": found.table.to_dict("records"),
                "warnings": warnings_json(found.warnings),
                "notes": notes,
            }
        )
        return
    for note in notes:
        console.print(f"[dim]{escape(note)}[/]")
    _print_backtest(found)


def _print_backtest(found: Backtest) -> None:
    s, law = found.summary(), found.fit.law
    shown = table(
        f"{law.name}: {s['fitted']:.0f} rows fitted, the largest {s['held_out']:.0f} by {found.split} predicted",
        *law.variables, law.target, "predicted", f"{found.level:.0%} interval", "error", "",
    )  # fmt: skip
    for row in found.table.head(MOST_ROWS).to_dict("records"):
        shown.add_row(
            *(count_text(row[v]) for v in law.variables),
            f"{row[law.target]:.4g}",
            f"{row['predicted']:.4g}",
            f"{row['lo']:.4g}–{row['hi']:.4g}",
            f"{100 * row['error']:+.2f}%",
            "" if row["inside"] else "out",
        )
    console.print(shown)
    if len(found.table) > MOST_ROWS:
        console.print(f"[dim]{len(found.table) - MOST_ROWS} more rows; --json gives all.[/]")
    console.print(
        f"Mean log error {s['mean_error']:+.4f}, RMS {s['rms_error']:.4f} "
        f"(the fitted rows scatter by {found.fit.noise:.4f}); "
        f"{s['coverage']:.0%} of the {found.level:.0%} intervals hold."
    )
    for warning in found.warnings:
        console.print(
            f"[yellow]{warning.code}[/]: {escape(warning.sentence)}. [dim]{escape(warning.mend)}.[/]"
        )
