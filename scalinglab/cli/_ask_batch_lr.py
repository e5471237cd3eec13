"""`scalinglab batch-lr`: the best learning rate and batch of a sweep, as laws."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import EvalSet, Json, app, fail_unknown
from scalinglab.cli._ask import Figure, Level
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError

Table = Annotated[
    Path,
    typer.Argument(
        help="CSV, TSV, JSONL or Parquet with params, tokens, loss, lr, batch_tokens; or a study folder."
    ),
]


@app.command(
    "batch-lr",
    rich_help_panel="Ask a table",
    epilog="Examples:\n\n  scalinglab batch-lr sweep.csv\n\n"
    "  scalinglab batch-lr sweep.csv --params 7e9 --tokens 1.4e11 --figure lr.png\n\n"
    "  scalinglab batch-lr sweep.csv --where grid --diverged 4 --json\n\n"
    "  scalinglab batch-lr sweep.csv --construction iso-loss --figure iso.png",
)
@in_options()
def batch_lr(
    table: Table,
    construction: Annotated[
        str,
        typer.Option(
            help="step-law: the least loss of each (N, D), lr* and batch* as laws in N and D. iso-loss: the batch "
            "with the fewest tokens to a loss, as a law in the loss (MiniCPM)."
        ),
    ] = "step-law",
    where: Annotated[
        str,
        typer.Option(
            help="step-law: smooth (least point of a surface about the best run), grid (the best run) or near (all "
            "runs within 0.25 % of it)."
        ),
    ] = "smooth",
    params: Annotated[
        float | None, typer.Option("--params", help="step-law: ask for this N; with --tokens.")
    ] = None,
    tokens: Annotated[
        float | None, typer.Option("--tokens", help="step-law: ask for this D; with --params.")
    ] = None,
    loss: Annotated[
        float | None, typer.Option("--loss", help="iso-loss: ask for the batch at this loss.")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", help="iso-loss: runs of this learning rate; default each batch's best."),
    ] = None,
    params_in_batch: Annotated[
        bool, typer.Option("--params-in-batch", help="step-law: give batch* an exponent of N too.")
    ] = False,
    keep_edges: Annotated[
        bool, typer.Option("--keep-edges", help="step-law: keep cells whose optimum is a bound.")
    ] = False,
    diverged: Annotated[
        float | None, typer.Option("--diverged", help="Leave out runs whose loss is above this.")
    ] = None,
    eval_set: EvalSet = None,
    level: Level = 0.9,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """The best learning rate and batch from a sweep over both, as laws with intervals."""
    from scalinglab import analysis, plots
    from scalinglab.analysis.source import read_ends
    from scalinglab.cli import _answers
    from scalinglab.cli._batch_lr import show_sweep

    kinds = ("step-law", "iso-loss")
    if construction not in kinds:
        raise fail_unknown("construction", construction, kinds)
    other = (
        {"--loss": loss, "--lr": lr}
        if construction == "step-law"
        else {"--params": params, "--tokens": tokens}
    )
    for option, value in other.items():
        if value is not None:
            raise InputError(f"{option} goes with --construction {kinds[construction == 'step-law']}")
    if (params is None) != (tokens is None):
        raise InputError("--params and --tokens go together: the best learning rate depends on both")
    _answers.check_options(table, level=level, figure=figure)
    runs, _, notes = read_ends(table, eval_set)
    draw: Any
    if construction == "iso-loss":
        lines = analysis.iso_loss(runs, lr=lr, diverged=diverged, level=level)
        drawn, draw = ("minima", lines.minima), lambda: plots.iso_loss(lines, runs=runs)
        asked = None if loss is None else (f"L = {loss:g}: batch", lines.at(loss))
        show_sweep(lines, drawn, asked, as_json, figure, draw, notes)
        return
    if where not in ("smooth", "grid", "near"):
        raise fail_unknown("optimum", where, ("smooth", "grid", "near"))
    found = analysis.batch_lr(
        runs,
        where,  # type: ignore[arg-type]
        params_in_batch=params_in_batch,
        edges="keep" if keep_edges else "leave out",
        diverged=diverged,
        level=level,
    )
    if params is not None and tokens is not None:
        setting = found.at(params, tokens)
        _answers.show(
            setting, as_json, figure, lambda: plots.batch_lr(found), (*notes, found.headline(), *found.notes)
        )
        return
    show_sweep(found, ("cells", found.cells), None, as_json, figure, lambda: plots.batch_lr(found), notes)
