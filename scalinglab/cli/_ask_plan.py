"""`scalinglab plan`: what a sweep would cost, before anything is trained."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import Json, app, fail_unknown
from scalinglab.cli._ask import Figure
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError


@app.command(
    rich_help_panel="Plan a ladder",
    epilog="Examples:\n\n  scalinglab plan my_study.toml --hardware h100 --mfu 0.4 --price 2.5\n\n"
    "  scalinglab plan runs/quickstart --figure cost.png\n\n"
    "  scalinglab plan --params 1e8,1e9 --tokens-per-param 10,20,40 --hardware h100",
)
@in_options(decay="--appended")
def plan(
    study: Annotated[
        Path | None, typer.Argument(help="A study file (TOML) or a study folder.", metavar="STUDY.toml")
    ] = None,
    params: Annotated[
        str | None, typer.Option("--params", help="Instead of a study: sizes N, with commas between.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option("--tokens", help="Horizons D of every size, with commas between.")
    ] = None,
    tokens_per_param: Annotated[
        str | None, typer.Option("--tokens-per-param", help="Horizons as multiples of each N.")
    ] = None,
    decay_share: Annotated[
        float | None, typer.Option("--decay-share", help="With --params: share of a decay; default 0.1.")
    ] = None,
    appended: Annotated[
        bool, typer.Option("--appended", help="With --params: decays lie beyond the horizon, not inside.")
    ] = False,
    cost: Annotated[
        str | None, typer.Option("--cost", help="FLOPs that count: exact (a study's default) or 6ND.")
    ] = None,
    hardware: Annotated[
        str | None, typer.Option("--hardware", help="Device: h100, a100, …, or its peak in FLOP/s (1.5e14).")
    ] = None,
    mfu: Annotated[
        float | None, typer.Option("--mfu", help="Share of the peak that training reaches; default 0.4.")
    ] = None,
    price: Annotated[float | None, typer.Option("--price", help="Of a device-hour.")] = None,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """What a ladder would cost: trunks and branches beside training each point from scratch. Needs no GPU."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers
    from scalinglab.cli._console import say

    if study is not None and params is not None:
        raise InputError(
            f"{study} and --params do not go together: a study file says its sizes itself; give one of the two"
        )
    if study is not None and study.is_file() and study.suffix.lower() != ".toml":
        raise InputError(
            f"{study} is no study file (TOML): plan takes one, a study folder, or --params with --tokens or "
            "--tokens-per-param"
        )
    if cost not in (None, "6ND", "exact"):
        raise fail_unknown("--cost", str(cost), ("6ND", "exact"))
    if study is None and params is None:
        raise InputError(
            "scalinglab plan needs a study file, or --params with --tokens or --tokens-per-param"
        )
    source: Any = study if params is None else _numbers("--params", params)
    answer = analysis.plan(
        source,
        tokens=None if tokens is None else _numbers("--tokens", tokens),
        tokens_per_param=None
        if tokens_per_param is None
        else _numbers("--tokens-per-param", tokens_per_param),
        decay_share=decay_share,
        decay="appended" if appended else "inside",
        cost=cost,  # type: ignore[arg-type]  # checked there
        hardware=hardware,
        mfu=mfu,
        price=price,
    )
    if not as_json:
        if answer.title:
            say(answer.title, "bold")
        _answers.print_frame(answer.counts())
    _answers.show(answer, as_json, figure, lambda: plots.ladder_cost(answer))


def _numbers(option: str, text: str) -> list[float]:
    """`1e8,1e9` as numbers. Raises InputError for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: write numbers with commas between, such as 1e8,1e9") from None
