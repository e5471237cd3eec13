"""The command that reads optima off runs of shared budgets."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import EvalSet, Json, app
from scalinglab.cli._ask import Figure, Level, Resamples
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError

PANEL = "Ask a table"


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab isoflop runs/quickstart\n\n"
    "  scalinglab isoflop table.csv --budgets 1e18,1e19,1e20 --figure isoflop.png\n\n"
    "  scalinglab isoflop table.csv --budget-column isoflop_budget --where dataset=dclm --json",
)
@in_options(column="--budget-column")
def isoflop(
    table: Annotated[
        Path, typer.Argument(help="A table of runs, or a study folder.", metavar="TABLE", show_default=False)
    ],
    budgets: Annotated[
        str | None,
        typer.Option(
            "--budgets", help="Read a ladder's sizes at these: 1e18,1e19; or from:to, one a decade."
        ),
    ] = None,
    budget_column: Annotated[
        str | None,
        typer.Option(
            "--budget-column", help="Column that names the budgets, or holds FLOPs that nearly repeat."
        ),
    ] = None,
    minimum: Annotated[
        str, typer.Option("--minimum", help="parabola, or interpolated (Akima between the sizes).")
    ] = "parabola",
    cost: Annotated[
        str | None,
        typer.Option("--cost", help="How C counts: 6ND or exact; default the table's flops, else 6ND."),
    ] = None,
    noise: Annotated[
        float | None, typer.Option("--noise", help="Standard deviation of a loss, where it is known.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", help="Take rows with COLUMN=VALUE (repeat for more).")
    ] = None,
    eval_set: EvalSet = None,
    bootstrap: Resamples = 2000,
    level: Level = 0.9,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """Approach 2: a parabola of loss over N at each budget, its vertex, and how the vertices grow with C."""
    from scalinglab import analysis, plots
    from scalinglab.analysis.source import read_ends
    from scalinglab.cli import _answers

    _answers.check_options(table, level=level, figure=figure)
    runs, _, notes = read_ends(table, eval_set)
    for each in where or []:
        runs = _taken(runs, each)
    given = None if budgets is None else _answers.read_budgets(budgets, "--budgets")
    how: Any = minimum
    answer = analysis.isoflop(
        runs,
        given,
        column=budget_column,
        minimum=how,
        cost=cost,
        noise=noise,
        level=level,
        resamples=bootstrap,
    )
    unit = runs[["loss_unit"]] if "loss_unit" in runs else None
    _answers.show(answer, as_json, figure, lambda: plots.isoflop(answer, runs=unit), notes)


def _taken(runs: Any, text: str) -> Any:
    """The rows whose column has the value, compared as text or as a number."""
    name, mark, value = (part.strip() for part in text.partition("="))
    if not (name and mark and value):
        raise InputError(f"--where {text}: write it as COLUMN=VALUE, for example --where dataset=dclm")
    if name not in runs:
        raise InputError(f"--where {text}: the table has no column {name!r}")
    same = runs[name].astype(str) == value
    with contextlib.suppress(TypeError, ValueError):
        same |= runs[name].astype(float) == float(value)
    if not same.any():
        there = list(map(str, runs[name].dropna().unique()[:6]))
        raise InputError(f"--where {text}: no row has it; {name!r} holds {', '.join(there)}")
    return runs[same].reset_index(drop=True)
