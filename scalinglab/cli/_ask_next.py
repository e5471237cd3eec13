"""The command that asks a fit which runs to train next."""

from typing import Annotated, Any

import typer

from scalinglab.cli._app import By, EvalSet, Json, app
from scalinglab.cli._ask import PANEL, Beyond, CostName, Figure, Law, Level, LossName, Resamples, Source
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError


@app.command(
    "next",
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab next runs/quickstart --budget 3e12\n\n"
    "  scalinglab next table.csv --budget 1e21 --answer a --runs 2 --mode scratch\n\n"
    "  scalinglab next table.csv --budget 1e21 --answer 7e9,1.4e11 --figure next.png\n\n"
    "  scalinglab next runs/quickstart --budget 3e12 --simulate 40",
)
@in_options()
def next_command(
    source: Source,
    budget: Annotated[float, typer.Option("--budget", help="FLOPs to spend, all runs together.")],
    answer: Annotated[
        str,
        typer.Option(
            "--answer",
            help="What to know better: ratio, params, tokens or loss of the optimum at --flops; a or b; a constant "
            "of the law; or N,D: the loss of a planned model.",
        ),
    ] = "ratio",
    flops: Annotated[
        float | None,
        typer.Option("--flops", help="The optimum's budget; default: ten times the dearest run."),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Suggest at most so many.")] = 4,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            help="scratch: every run from its start; trunk: branches of WSD trunks. Default: as the rows are.",
        ),
    ] = None,
    decay_share: Annotated[
        float | None,
        typer.Option(
            "--decay-share", help="Share of a branch's tokens that its decay takes; default: the rows'."
        ),
    ] = None,
    reach: Annotated[
        float, typer.Option("--reach", min=0.0, help="Decades of N and D beyond the runs that are tried.")
    ] = 1.0,
    simulate: Annotated[
        int | None,
        typer.Option(
            "--simulate",
            min=2,
            help="Instead: compare this choice with the default grid on so many simulated ladders.",
        ),
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
    """Which runs to train next: the N and D that narrow an answer's interval most for a budget."""
    from scalinglab import analysis, plots
    from scalinglab.cli import _answers
    from scalinglab.cli._progress import steps

    asked = _read_answer(answer)
    if isinstance(asked, str):
        _answers.check_answer(asked, source, law)
    fit, notes = _answers.fit_of(
        source, law, loss, eval_set, by, bootstrap, cost=cost, level=level, figure=figure
    )
    counted = _answers.cost_of(cost, source, fit)
    how: dict[str, Any] = {
        "flops": flops,
        "cost": counted,
        "mode": mode,
        "decay_share": decay_share,
        "reach": reach,
    }
    if simulate is not None:
        if figure is not None:
            raise InputError("--figure draws the runs to train next: leave it out with --simulate")
        with steps("Simulated ladders") as progress:
            found: Any = analysis.simulate_next(
                fit, budget, asked, repeats=simulate, runs=runs, level=level,
                progress=lambda done, of: progress(f"{done} of {of}", done, of), **how,
            )  # fmt: skip
        _answers.show(found, as_json, notes=notes)
        return
    with steps("Designs") as progress:
        found = analysis.next_runs(
            fit, budget, asked, runs=runs, level=level, beyond=beyond,
            progress=lambda done, of: progress("", done, of), **how,
        )  # fmt: skip
    _answers.show(
        found, as_json, figure, lambda: plots.next_runs(fit, found, cost=counted, interval=level), notes
    )


def _read_answer(text: str) -> str | tuple[float, float]:
    """`ratio`, a constant's name, or `7e9,1.4e11`. Raises InputError for a comma between what are no numbers."""
    if "," not in text:
        return text
    try:
        n, d = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--answer {text}: write a planned model as N,D, such as 7e9,1.4e11") from None
    return n, d
