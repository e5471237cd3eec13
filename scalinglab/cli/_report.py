"""`scalinglab report`: what a table or a study says, on one page."""

import os
from pathlib import Path
from typing import Annotated

import typer

from scalinglab.cli._app import By, Json, Table, app
from scalinglab.cli._console import in_options
from scalinglab.errors import InputError


@app.command(
    rich_help_panel="Ask a table",
    epilog="Examples:\n\n  scalinglab report runs/quickstart\n\n"
    "  scalinglab report table.csv --out report.html --pdf --md\n\n"
    "  scalinglab report table.csv --laws chinchilla,skaling --eval-set code --md",
)
@in_options()
def report(
    table: Table,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write (.html, .pdf or .md); default report.html."),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write a PDF of that name.")] = False,
    md: Annotated[
        bool, typer.Option("--md", help="Write Markdown of that name, its figures beside it.")
    ] = False,
    laws: Annotated[str, typer.Option(help="Laws to fit, with commas between.")] = "chinchilla,kaplan",
    eval_set: Annotated[
        str | None, typer.Option("--eval-set", help="One held-out set; default all of them.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option("--loss", help="As in fit; default the loss of the study's own fit, else huber:1e-3."),
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=10, help="Resamples behind the intervals.")] = 1000,
    by: By = None,
    level: Annotated[float, typer.Option(help="Of every interval.")] = 0.9,
    title: Annotated[str | None, typer.Option(help="What the report is called.")] = None,
    as_json: Json = False,
) -> None:
    """A report: summary, figures to ask, tables, doubts, method, sources, as one HTML file, PDF or Markdown.

    HTML is written unless --pdf or --md asks for another and --out names none.
    """
    from scalinglab import reporting
    from scalinglab.cli._console import print_json, say
    from scalinglab.cli._options import read_law, read_loss
    from scalinglab.cli._progress import steps
    from scalinglab.reporting.report import suffix

    asked = [read_law(name) for name in laws.split(",") if name.strip()]
    if not asked:
        raise InputError("--laws names no law; write --laws chinchilla, for example")
    endings = [suffix(out)] if out is not None else []
    endings += [ending for ending, wanted in ((".pdf", pdf), (".md", md)) if wanted and ending not in endings]
    paths = [(out or Path("report")).with_suffix(ending) for ending in endings or [".html"]]
    if ".html" in endings or not endings:
        reporting.need_report()
    with steps("Fitting") as progress:
        made = reporting.report(
            table, laws=asked, eval_set=eval_set, loss=None if loss is None else read_loss(loss), by=by,
            resamples=bootstrap, level=level, title=title, workers=os.cpu_count() or 1, progress=progress,
        )  # fmt: skip
    written = [made.write(path) for path in paths]
    if as_json:
        print_json({"written": [str(path) for path in written], **made.plain()})
        return
    for note in made.notes:
        say(note, "dim")
    for sentence in made.summary():
        say(f"• {sentence}")
    for path in written:
        say(f"Written: {path}")
