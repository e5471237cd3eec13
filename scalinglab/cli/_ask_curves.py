"""The commands that read training curves: the envelope and the crossings of two sizes."""

from pathlib import Path
from typing import Annotated

import typer

from scalinglab.cli._app import EvalSet, Json, app
from scalinglab.cli._ask import Figure, Level
from scalinglab.cli._console import in_options

PANEL = "Ask a table"

Curves = Annotated[
    Path,
    typer.Argument(
        help="A table of curves (run_id, params, tokens, loss; a measured point a row), or a study folder.",
        metavar="CURVES",
    ),
]
CostName = Annotated[
    str, typer.Option("--cost", help="How C counts: 6ND; exact, 6ND+head or 6ND+attention of a study folder.")
]
Smooth = Annotated[
    float, typer.Option("--smooth", help="Width of the running mean in decades of tokens; 0 for none.")
]
Smoothing = Annotated[str, typer.Option("--smoothing", help="mean, or median against spikes.")]


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab envelope runs/quickstart --cost exact\n\n"
    "  scalinglab envelope curves.csv --smooth 0.3 --figure envelope.png\n\n"
    "  scalinglab envelope runs/quickstart/table.csv --json",
)
@in_options()
def envelope(
    curves: Curves,
    cost: CostName = "6ND",
    through: Annotated[
        str,
        typer.Option(
            "--through", help="The power law's points: middles (one a size) or budgets (all, as published)."
        ),
    ] = "middles",
    budgets: Annotated[int, typer.Option("--budgets", min=2, help="How many budgets C, log-spaced.")] = 300,
    smooth: Smooth = 0.1,
    smoothing: Smoothing = "mean",
    eval_set: EvalSet = None,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", min=10, help="Resamples of the sizes behind the intervals.")
    ] = 1000,
    level: Level = 0.9,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """Approach 1: which size has the lowest loss at each compute, and how N_opt and D_opt grow.

    A study folder's trunks are read by their training loss, undecayed; its table.csv by its decayed branch ends.
    """
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers

    _answers.check_options(curves, cost, level, figure)
    answer = analysis.envelope(
        curves,
        _answers.study_cost(cost, curves) or cost,
        budgets=budgets,
        through=through,  # type: ignore[arg-type]
        smooth=smooth,
        smoothing=smoothing,  # type: ignore[arg-type]
        eval_set=eval_set,
        level=level,
        resamples=bootstrap,
    )
    _answers.show(answer, as_json, figure, lambda: plots.envelope(answer))


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab crossings --at 13e9,34e9,1e23 --at 34e9,70e9,5e23\n\n"
    "  scalinglab crossings runs/quickstart/table.csv --figure crossings.png\n\n"
    "  scalinglab crossings fit.json --sizes 1e9,3e9,1e10",
)
@in_options()
def crossings(
    source: Annotated[
        Path | None,
        typer.Argument(help="A table of curves, a study folder, or a saved fit (JSON).", metavar="[SOURCE]"),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="A crossing that is known: N_SMALL,N_LARGE,FLOPS (repeat for more)."),
    ] = None,
    sizes: Annotated[
        str | None, typer.Option("--sizes", help="Sizes to compare, each with the next: 1e9,3e9,1e10.")
    ] = None,
    cost: CostName = "6ND",
    smooth: Smooth = 0.1,
    smoothing: Smoothing = "mean",
    eval_set: EvalSet = None,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", min=10, help="Of a fit: resamples behind the intervals.")
    ] = 2000,
    level: Level = 0.9,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """D/N from curves that cross: two sizes with one loss at C have the optimum between them."""
    from typing import Any

    from scalinglab import analysis, plots
    from scalinglab.cli import _answers
    from scalinglab.errors import InputError

    if (source is None) == (not at):
        raise InputError("crossings needs either a SOURCE, or --at N_SMALL,N_LARGE,FLOPS")
    if source is not None:
        _answers.check_options(source, cost, level, figure)
    notes: tuple[str, ...] = ()
    taken: Any = [_numbers(each, "--at", "13e9,34e9,1e23", 3) for each in at or ()] or source
    if source is not None and source.suffix.lower() == ".json":
        taken, notes = _answers.fit_of(source, None, None, eval_set, None, bootstrap)
    answer = analysis.crossings(
        taken,
        None if sizes is None else _numbers(sizes, "--sizes", "1e9,3e9,1e10"),
        (source and _answers.study_cost(cost, source)) or cost,
        smooth=smooth,
        smoothing=smoothing,  # type: ignore[arg-type]
        eval_set=eval_set,
        level=level,
    )
    _answers.show(answer, as_json, figure, lambda: plots.crossings(answer), notes)


def _numbers(text: str, option: str, example: str, length: int | None = None) -> list[float]:
    from scalinglab.errors import InputError

    try:
        found = [float(part) for part in text.split(",")]
        if length not in (None, len(found)):
            raise ValueError
    except ValueError:
        raise InputError(f"{option} {text}: write it as {example}") from None
    return found
