"""`scalinglab reproduce`: published results beside ours, with the figures redrawn."""

from pathlib import Path

from rich.markup import escape

from scalinglab.analysis import Estimate, number_text
from scalinglab.cli._answers import print_frame
from scalinglab.cli._app import fail_unknown
from scalinglab.cli._console import console, print_json, say
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.experiments.catalogue import EXPERIMENTS
from scalinglab.experiments.published_fits import FITS, find_data
from scalinglab.experiments.report import Report

FITS_NAME = "published-fits"
_FITS_WHAT = "laws in N and D and with repeated data, refitted to the authors' rows"


def reproduce_command(
    name: str | None, data: Path | None, figures: Path, listing: bool, as_json: bool
) -> None:
    if listing or name is None:
        _print_list(as_json)
        return
    if name == FITS_NAME:
        from scalinglab.cli._published import published_fits

        published_fits(data, as_json)
        return
    if name not in EXPERIMENTS:
        raise fail_unknown("experiment", name, [FITS_NAME, *EXPERIMENTS])
    experiment = EXPERIMENTS[name]
    folder = find_data(data) if experiment.needs == "data" else None
    with steps(name) as progress:
        report = experiment.run(folder, progress)
    with steps("Figures") as progress:
        drawn = _draw(report, figures, progress)
    if as_json:
        print_json({"name": name, **report.plain(), "figures": drawn})
        return
    print_report(report)
    for path in drawn:
        say(f"Drawn: {path}")


def _draw(report: Report, folder: Path, progress: "object") -> list[str]:
    from scalinglab import plots

    drawn = []
    with plots.style("paper"):
        for done, (stem, draw) in enumerate(report.figures.items()):
            progress(stem, done, len(report.figures))  # type: ignore[operator]
            drawn += plots.save(draw(), folder / stem, ("png",))
    return [str(path) for path in drawn]


def print_report(report: Report) -> None:
    """Published beside ours, tables, verdict."""
    console.print(f"[bold]{escape(report.title)}[/] [dim]({escape(report.source)})[/]")
    noted = any(line.note for line in report.lines)
    shown = table("", "", "published", "ours", *(["note"] if noted else []))
    shown.title = None
    for column in shown.columns:
        column.no_wrap = False
    if noted:
        shown.columns[3].justify = "left"
    for line in report.lines:
        cells = [line.what, line.published, _ours(line.ours), *([line.note] if noted else [])]
        shown.add_row(*(escape(cell) for cell in cells))
    console.print(shown)
    for title, frame in report.tables.items():
        print_frame(frame, title=title)
    for note in report.notes:
        console.print(f"[yellow]note:[/] {escape(note)}")
    console.print(f"[bold]Verdict:[/] {escape(report.verdict)}")


def _ours(value: object) -> str:
    if isinstance(value, Estimate):
        return value.text()
    return number_text(float(value)) if isinstance(value, int | float) else str(value)


def _print_list(as_json: bool) -> None:
    if as_json:
        listed = {name: {"what": one.what, "needs": one.needs} for name, one in EXPERIMENTS.items()}
        print_json({FITS_NAME: {"what": _FITS_WHAT, "needs": "data", "fits": list(FITS)}, **listed})
        return
    shown = table("Experiments", "name", "needs", "what is reproduced")
    shown.columns[1].justify = shown.columns[2].justify = "left"
    shown.columns[2].no_wrap = False
    shown.columns[0].no_wrap = True
    for name, (needs, what) in {
        FITS_NAME: ("data", _FITS_WHAT),
        **{name: (one.needs, one.what) for name, one in EXPERIMENTS.items()},
    }.items():
        shown.add_row(name, needs, what)
    console.print(shown)
    console.print(
        "needs data: the folder of real runs, --data DIR; needs training: scalinglab\\[train] installed."
    )
