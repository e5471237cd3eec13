"""`scalinglab paired`: is recipe B better than recipe A on one ladder?"""

from pathlib import Path
from typing import Annotated

import typer

from scalinglab.cli._app import EvalSet, Json, app
from scalinglab.cli._ask import Beyond, Figure, Level, LossName, Resamples
from scalinglab.cli._console import in_options


@app.command(
    rich_help_panel="Ask a table",
    epilog="Examples:\n\n  scalinglab paired recipe_a.csv recipe_b.csv\n\n"
    "  scalinglab paired runs/quickstart runs/longer_decay --figure paired.png\n\n"
    "  scalinglab paired a.csv b.csv --eval-set code --loss huber:1e-2 --json",
)
@in_options()
def paired(
    a: Annotated[Path, typer.Argument(help="Runs of recipe A: a table or a study folder.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Runs of recipe B, the same N and D.", metavar="B")],
    eval_set: EvalSet = None,
    loss: LossName = None,
    bootstrap: Resamples = 2000,
    level: Level = 0.9,
    beyond: Beyond = 1.0,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """Is recipe B better than A? Loss of equal runs compared, and what A would have to spend to match B."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers, _options

    _answers.check_options(a, level=level, figure=figure)
    answer = analysis.paired(
        a,
        b,
        eval_set=eval_set,
        loss=None if loss is None else _options.read_loss(loss),
        level=level,
        resamples=bootstrap,
        beyond=beyond,
    )
    _answers.show(answer, as_json, figure, lambda: plots.paired(answer))
