"""`scalinglab check`: a run table reviewed before it is fitted."""

from dataclasses import replace

import typer

from scalinglab.cli._app import EvalSet, Json, LawName, Table, app
from scalinglab.cli._ask import Figure

CODES = {None: 0, "note": 0, "warning": 1, "error": 4}
"""Exit code by the gravest finding. 2 and 3 stay what they are everywhere: bad input, and a machine's lack."""


@app.command(
    rich_help_panel="Ask a table",
    epilog="Examples:\n\n  scalinglab check table.csv\n\n  scalinglab check runs/quickstart --json\n\n"
    "  scalinglab check table.csv --figure review.png\n\n"
    "Exit code: 0 nothing or notes, 1 warnings, 4 errors; as everywhere 2 for input that cannot be read.",
)
def check(
    table: Table,
    law: LawName = "chinchilla",
    eval_set: EvalSet = None,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """Review a run table as a careful reader would: units, copies, undecayed runs, outliers, design."""
    from scalinglab import plots
    from scalinglab.cli import _answers
    from scalinglab.cli._console import console, print_json, say
    from scalinglab.cli._options import read_law
    from scalinglab.cli._summary import in_shell
    from scalinglab.review import check

    _answers.check_options(table, figure=figure)
    report = check(table, read_law(law), eval_set)
    found = tuple(replace(each, mend=in_shell(each.mend)) for each in report.findings)
    report = replace(report, findings=found)
    drawn = None if figure is None else _answers.save_figure(lambda: plots.review(report), figure)
    if as_json:
        print_json(report.plain() | ({"figure": drawn}))
    else:
        console.print(report)
        if drawn is not None:
            say(f"Drawn: {drawn}")
    raise typer.Exit(CODES[report.severity])
