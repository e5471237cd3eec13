"""The commands that ask something of a fit. Their work is in `scalinglab.analysis`, imported inside."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import By, EvalSet, Json, app
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError

PANEL = "Ask a fit"

Source = Annotated[
    Path, typer.Argument(help="A saved fit (JSON), a table of runs, or a study folder.", metavar="SOURCE")
]
Law = Annotated[str | None, typer.Option("--law", help="Law to fit to a table; default chinchilla.")]
LossName = Annotated[
    str | None, typer.Option("--loss", help="huber:DELTA, likelihood:DELTA or squared; default huber:1e-3.")
]
Resamples = Annotated[int, typer.Option("--bootstrap", min=10, help="Resamples behind the intervals.")]
Level = Annotated[float, typer.Option("--level", help="Of the intervals.")]
Figure = Annotated[Path | None, typer.Option("--figure", help="Draw the answer here (.png, .svg, .pdf).")]
CostName = Annotated[
    str,
    typer.Option(
        "--cost",
        help="How C counts: 6ND, exact, 6ND+head or 6ND+attention (the last two need a study folder).",
    ),
]
Beyond = Annotated[
    float, typer.Option("--beyond", help="Decades outside the runs from which an answer warns.")
]


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab optimum fit.json --flops 1e21\n\n"
    "  scalinglab optimum runs/quickstart --flops 1e13 --cost exact --figure optimum.png\n\n"
    "  scalinglab optimum table.csv --flops 1e21 --json",
)
@in_options()
def optimum(
    source: Source,
    flops: Annotated[float, typer.Option("--flops", help="The budget C in FLOPs.")],
    cost: CostName = "6ND",
    law: Law = None,
    loss: LossName = None,
    eval_set: EvalSet = None,
    by: By = None,
    bootstrap: Resamples = 2000,
    level: Level = 0.9,
    beyond: Beyond = 1.0,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """The compute-optimal N and D at a budget, D/N and the loss there, with intervals."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers

    fit, notes = _answers.fit_of(
        source, law, loss, eval_set, by, bootstrap, cost=cost, level=level, figure=figure
    )
    counted = _answers.cost_of(cost, source, fit)
    answer = analysis.optimum(fit, flops, counted, level=level, beyond=beyond)
    _answers.show(
        answer, as_json, figure, lambda: plots.contours(fit, flops=flops, cost=counted, interval=level), notes
    )


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab frontier fit.json --flops 1e18:1e24\n\n"
    "  scalinglab frontier table.csv --flops 1e18,1e20,1e22 --figure frontier.png",
)
@in_options()
def frontier(
    source: Source,
    flops: Annotated[
        str, typer.Option("--flops", help="Budgets: 1e18,1e20,1e22; or from:to, a budget a decade.")
    ],
    cost: CostName = "6ND",
    law: Law = None,
    loss: LossName = None,
    eval_set: EvalSet = None,
    by: By = None,
    bootstrap: Resamples = 2000,
    level: Level = 0.9,
    beyond: Beyond = 1.0,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """The compute-optimal frontier: N, D, D/N and loss at several budgets, and the exponents between them."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers

    budgets = _answers.read_budgets(flops)
    fit, notes = _answers.fit_of(
        source, law, loss, eval_set, by, bootstrap, cost=cost, level=level, figure=figure
    )
    counted = _answers.cost_of(cost, source, fit)
    answer = analysis.frontier(fit, budgets, counted, level=level, beyond=beyond)
    _answers.show(
        answer,
        as_json,
        figure,
        lambda: plots.frontier(fit, flops=(budgets[0], budgets[-1]), cost=counted, interval=level),
        notes,
    )


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab equivalent fit.json --loss-value 2.41 --params 2.4e9 --tokens-per-param 20\n\n"
    "  scalinglab equivalent runs/quickstart --params 10000 --tokens 3.07e6\n\n"
    "  scalinglab equivalent runs/quickstart --params 10000 --tokens 3.07e6 --tokens-per-param 20 --bytes-per-token 4",
)
@in_options(loss="--loss-value")
def equivalent(
    source: Source,
    loss_value: Annotated[
        float | None, typer.Option("--loss-value", help="A measured loss, in the fit's unit.")
    ] = None,
    params: Annotated[
        float | None, typer.Option("--params", help="N of the model; with --tokens its loss is the fit's.")
    ] = None,
    tokens: Annotated[float | None, typer.Option("--tokens", help="D of the model.")] = None,
    tokens_per_param: Annotated[
        str, typer.Option("--tokens-per-param", help="The frontier's D/N, or optimal: the fit's own.")
    ] = "optimal",
    bytes_per_token: Annotated[
        float | None,
        typer.Option("--bytes-per-token", help="Where tokens are bytes: D/N is in tokens of so many."),
    ] = None,
    law: Law = None,
    loss: LossName = None,
    eval_set: EvalSet = None,
    by: By = None,
    bootstrap: Resamples = 2000,
    level: Level = 0.9,
    beyond: Beyond = 1.0,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """The compute-optimal model that a loss, or a model of N trained on D, is worth."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers

    try:
        rule: Any = "optimal" if tokens_per_param == "optimal" else float(tokens_per_param)
    except ValueError:
        raise InputError(
            f"--tokens-per-param {tokens_per_param}: write a number such as 20, or optimal"
        ) from None
    fit, notes = _answers.fit_of(source, law, loss, eval_set, by, bootstrap, level=level, figure=figure)
    answer = analysis.equivalent_size(
        fit,
        loss_value,
        params,
        tokens,
        rule,
        bytes_per_token=bytes_per_token,
        level=level,
        beyond=beyond,
    )
    drawn_rule = rule if bytes_per_token is None or isinstance(rule, str) else rule * bytes_per_token
    _answers.show(
        answer,
        as_json,
        figure,
        lambda: plots.equivalent_size(
            fit,
            loss_value,
            params,
            tokens,
            tokens_per_param=drawn_rule,
            interval=level,
        ),
        notes,
    )
