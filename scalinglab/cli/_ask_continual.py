"""`scalinglab continual`: one size trained on. The work is in `scalinglab.analysis`, imported inside."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import EvalSet, Json, Table, app
from scalinglab.cli._ask import Figure, Level
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError


@app.command(
    rich_help_panel="Ask a table",
    epilog="Examples:\n\n  scalinglab continual runs/quickstart\n\n"
    "  scalinglab continual table.csv --params 3.6e7 --against fit.json --figure continual.png\n\n"
    "  scalinglab continual runs/quickstart --against runs/quickstart --larger 47000 --bytes-per-token 4",
)
@in_options()
def continual(
    table: Table,
    params: Annotated[
        float | None, typer.Option("--params", help="N of the size; default: the one with most horizons.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            help="Compare with a larger model at equal compute: a ladder's fit (JSON), table or study, or a table of "
            "the larger model's run ends. Repeat for more.",
        ),
    ] = None,
    against_loss: Annotated[
        float | None,
        typer.Option("--against-loss", help="Compare with this loss of a larger model (--larger)."),
    ] = None,
    larger: Annotated[
        float | None,
        typer.Option(
            "--larger",
            help="Its N; default: that of its runs, or whose frontier cost as much as the last run.",
        ),
    ] = None,
    tokens_per_param: Annotated[
        str,
        typer.Option("--tokens-per-param", help="How far it is trained, or optimal: by the ladder's law."),
    ] = "20",
    bytes_per_token: Annotated[
        float | None,
        typer.Option("--bytes-per-token", help="Where tokens are bytes: D/N is in tokens of so many."),
    ] = None,
    factor: Annotated[
        float,
        typer.Option("--factor", help="Training on pays until it gains 1/FACTOR of the frontier's gain."),
    ] = 2.0,
    eval_set: EvalSet = None,
    level: Level = 0.9,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """Train one size on: power law or exponential, its floor, and a larger model at equal compute."""
    from scalinglab import analysis, plots
    from scalinglab.analysis.source import read_ends
    from scalinglab.cli import _answers

    try:
        rule: Any = "optimal" if tokens_per_param == "optimal" else float(tokens_per_param)
    except ValueError:
        raise InputError(
            f"--tokens-per-param {tokens_per_param}: write a number such as 20, or optimal"
        ) from None
    _answers.check_options(table, level=level, figure=figure)
    runs, _, chosen = read_ends(table, eval_set)
    notes, beside = list(chosen), []
    for source in against or []:
        other, said = analysis.read_larger(source, eval_set)
        beside.append(other)
        notes += [each for each in said if each not in notes]
    if against_loss is not None:
        beside.append(against_loss)
    answer = analysis.continual(
        runs,
        params,
        against=beside or None,
        larger=larger,
        tokens_per_param=rule,
        bytes_per_token=bytes_per_token,
        factor=factor,
        level=level,
    )
    _answers.show(
        answer, as_json, figure, lambda: plots.continual(answer, runs, interval=level), tuple(notes)
    )
