"""The commands on models that are not compute-optimal on purpose: smaller, much served, or short of data."""

from typing import Annotated, Any

import typer

from scalinglab.cli._app import By, EvalSet, Json, app
from scalinglab.cli._ask import (
    PANEL,
    Beyond,
    CostName,
    Figure,
    Law,
    Level,
    LossName,
    Resamples,
    Source,
)
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab overtraining fit.json --flops 1e21\n\n"
    "  scalinglab overtraining runs/quickstart --flops 1e12 --times 2,4 --figure overtraining.png\n\n"
    "  scalinglab overtraining table.csv --flops 1e21 --params 1e8,3e8",
)
@in_options()
def overtraining(
    source: Source,
    flops: Annotated[float, typer.Option("--flops", help="The budget C in FLOPs.")],
    times: Annotated[
        str | None, typer.Option("--times", help="How many times smaller than the optimum: 2,4,8.")
    ] = None,
    params: Annotated[str | None, typer.Option("--params", help="Or sizes as they are: 1e8,3e8.")] = None,
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
    """What models smaller than the compute-optimal one lose at equal compute, or cost at equal loss."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers

    chosen: dict[str, Any] = {"times": _numbers("--times", times), "params": _numbers("--params", params)}
    fit, notes = _answers.fit_of(
        source, law, loss, eval_set, by, bootstrap, cost=cost, level=level, figure=figure
    )
    counted = _answers.cost_of(cost, source, fit)
    answer = analysis.overtraining(fit, flops, cost=counted, level=level, beyond=beyond, **chosen)
    _answers.show(
        answer,
        as_json,
        figure,
        lambda: plots.overtraining(fit, flops, cost=counted, interval=level),
        notes,
    )


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab inference fit.json --served 2e12 --params 13e9\n\n"
    "  scalinglab inference fit.json --served 2e12 --loss-value 2.05 --train-on h100 --train-price 2 "
    "--serve-mfu 0.1\n\n"
    "  scalinglab inference runs/quickstart --served 1e8 --flops 1e12 --figure inference.png\n\n"
    "One of --loss-value, --params, --flops and --budget says what is to be reached.",
)
@in_options(loss="--loss-value")
def inference(
    source: Source,
    served: Annotated[float, typer.Option("--served", help="Tokens served over the model's life.")],
    loss_value: Annotated[float | None, typer.Option("--loss-value", help="A loss to reach.")] = None,
    params: Annotated[
        float | None, typer.Option("--params", help="Or the loss of a compute-optimal model of this size.")
    ] = None,
    flops: Annotated[
        float | None, typer.Option("--flops", help="Or of a compute-optimal model of this training budget.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="Or the least loss for this much training and serving, in --unit."),
    ] = None,
    train_on: Annotated[
        str | None, typer.Option("--train-on", help="Hardware: h100, a100, …, or peak FLOP/s.")
    ] = None,
    train_mfu: Annotated[float | None, typer.Option("--train-mfu", help="Share of the peak reached.")] = None,
    train_price: Annotated[float | None, typer.Option("--train-price", help="Of a device-hour.")] = None,
    serve_on: Annotated[
        str | None, typer.Option("--serve-on", help="Hardware that serves; default: what trains.")
    ] = None,
    serve_mfu: Annotated[float | None, typer.Option("--serve-mfu", help="Its MFU in serving.")] = None,
    serve_price: Annotated[float | None, typer.Option("--serve-price", help="Of its device-hour.")] = None,
    unit: Annotated[
        str | None,
        typer.Option("--unit", help="FLOPs, device-hours or money; default: what the options allow."),
    ] = None,
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
    """The model that is cheapest to train and then to serve, beside the compute-optimal one of the same loss."""
    from scalinglab import analysis, plots
    from scalinglab.analysis.hardware import hardware
    from scalinglab.cli import _answers

    trains = None if train_on is None else hardware(train_on, train_mfu, train_price)
    serves = None if serve_on is None else hardware(serve_on, serve_mfu, serve_price)
    if trains is not None and serves is None and not (serve_mfu is None and serve_price is None):
        serves = hardware(trains, serve_mfu, serve_price)
    if trains is None and not (train_mfu is None and train_price is None):
        raise InputError("--train-mfu and --train-price need --train-on: say which hardware")
    if serves is None and not (serve_mfu is None and serve_price is None):
        raise InputError("--serve-mfu and --serve-price need --serve-on or --train-on: say which hardware")
    fit, notes = _answers.fit_of(
        source, law, loss, eval_set, by, bootstrap, cost=cost, level=level, figure=figure
    )
    counted = _answers.cost_of(cost, source, fit)
    same: dict[str, Any] = {
        "cost": counted, "train_on": trains, "serve_on": serves, "unit": unit,
    }  # fmt: skip
    answer = analysis.inference_optimum(
        fit, served, loss=loss_value, params=params, flops=flops, budget=budget, level=level, beyond=beyond,
        **same,
    )  # fmt: skip
    # a budget's figure is that of the loss it reaches
    drawn = answer.loss.value if budget is not None else loss_value
    _answers.show(
        answer,
        as_json,
        figure,
        lambda: plots.inference_optimum(
            fit, served or None, loss=drawn, params=params, flops=flops, interval=level, **same
        ),
        notes,
    )


@app.command(
    "data-limited",
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab data-limited fit.json --flops 1e22 --unique-tokens 25e9\n\n"
    "  scalinglab data-limited repeats.csv --law data-constrained --flops 1e21 --unique-tokens 1e9\n\n"
    "  scalinglab data-limited runs/quickstart --flops 1e13 --unique-tokens 1e6 --figure epochs.png",
)
@in_options(R_D="--r-d", R_N="--r-n")
def data_limited(
    source: Source,
    flops: Annotated[float, typer.Option("--flops", help="The budget C in FLOPs.")],
    unique_tokens: Annotated[float, typer.Option("--unique-tokens", help="U: how many tokens there are.")],
    r_d: Annotated[
        float | None,
        typer.Option(
            "--r-d", help="R_D*, where the fit has none: repeats until an epoch is worth 1/e; 15.39."
        ),
    ] = None,
    r_n: Annotated[
        float | None, typer.Option("--r-n", help="R_N*, the same for excess parameters; 5.31.")
    ] = None,
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
    """The best size and number of epochs when unique tokens are few, and what their lack costs."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers

    fit, notes = _answers.fit_of(
        source, law, loss, eval_set, by, bootstrap, cost=cost, level=level, figure=figure
    )
    same: dict[str, Any] = {"cost": _answers.cost_of(cost, source, fit), "R_D": r_d, "R_N": r_n}
    answer = analysis.data_limited(fit, flops, unique_tokens, level=level, beyond=beyond, **same)
    _answers.show(
        answer,
        as_json,
        figure,
        lambda: plots.data_limited(fit, flops, unique_tokens, interval=level, **same),
        notes,
    )


def _numbers(option: str, text: str | None) -> list[float] | None:
    """`2,4,8`. Raises InputError for anything else."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: write numbers with commas between, such as 2,4,8") from None
