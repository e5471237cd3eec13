"""`scalinglab reproduce`: experiments made anew, published results beside ours, a page and the figures of each."""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import typer
from rich.markup import escape

from scalinglab.cli._answers import print_frame
from scalinglab.cli._app import fail_unknown
from scalinglab.cli._console import console, note, print_json, say
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.errors import InputError, StudyConflict
from scalinglab.experiments.catalogue import EXPERIMENTS, Progress
from scalinglab.experiments.found_study import write_found_study
from scalinglab.experiments.page import Shown, gallery, page
from scalinglab.experiments.published_fits import FITS, find_data
from scalinglab.experiments.report import Report
from scalinglab.experiments.wind_tunnel import (
    SCALES,
    SHIPPED,
    Trained,
    read_trained,
    study_folder,
    study_path,
)
from scalinglab.ladder import read_study
from scalinglab.records.files import write_atomic
from scalinglab.records.pack import pack
from scalinglab.records.store import StudyFolder
from scalinglab.records.trials import read_search

FITS_NAME = "published-fits"
_FITS_WHAT = "laws in N and D and with repeated data, refitted to the authors' rows"
ALL = "scalinglab reproduce --all"


def reproduce_command(
    name: str,
    data: Path | None,
    figures: Path | None,
    scale: str,
    runs: Path,
    workers: int | None,
    yes: bool,
    as_json: bool,
) -> bool:
    """One experiment: its runs where it needs some, its figures, its page. True when it was interrupted."""
    if name == FITS_NAME:
        from scalinglab.cli._published import published_fits

        published_fits(data, as_json)
        return False
    if name not in EXPERIMENTS:
        raise fail_unknown("experiment", name, [FITS_NAME, *EXPERIMENTS])
    if scale not in SCALES:
        raise fail_unknown("scale", scale, list(SCALES))
    experiment = EXPERIMENTS[name]
    if scale != SHIPPED and not experiment.study:
        raise InputError(f"--scale {scale}: {name} trains no study of its own; leave it out")
    figures = figures or Path("figures") / ("" if scale == SHIPPED else scale)
    console.quiet = as_json
    if experiment.study:
        trained = _trained(experiment.study, scale, runs, workers, yes)
        if trained is None:
            return True
        with steps(name) as progress:
            report = experiment.of_runs(trained, progress)
        for fit_name, fit in report.fits.items():
            fit.to_json(trained.folder.path / f"fit-{fit_name}.json")
    else:
        folder = find_data(data) if experiment.needs == "data" else None
        with steps(name) as progress:
            report = experiment.run(folder, progress)
    with steps("Figures") as progress:
        shown = _written(name, report, figures, _command(name, scale), progress)
    console.quiet = False
    if as_json:
        drawn = [str(figures / each) for each in shown.figures]
        print_json({"name": name, **report.plain(), "figures": drawn})
        return False
    print_report(report)
    say(f"Page {figures / name}.md, figures {', '.join(shown.figures)}")
    return False


def _command(name: str, scale: str) -> str:
    return f"scalinglab reproduce {name}" + (f" --scale {scale}" if EXPERIMENTS[name].study else "")


# ---- runs of its own ---------------------------------------------------------------------------------


def _trained(study: str, scale: str, runs: Path, workers: int | None, yes: bool) -> Trained | None:
    """The runs of a study, those that are missing trained first; None when that was stopped or declined."""
    path, folder = study_path(study, scale), study_folder(study, scale, runs)
    if _complete(study, scale, runs):
        say(f"All runs of {path.stem} stand in {folder.path}; nothing is trained.")
        return read_trained(study, scale, runs)
    from scalinglab.cli._forecast import dry_run
    from scalinglab.cli._study import train
    from scalinglab.extras import need_training

    need_training()
    search = read_study(path).search
    found = read_search(folder) if search is not None else None
    if search is not None and found is not None and len(found.finished) >= search.trials:
        path, search = write_found_study(path, folder, found), None  # what follows from it is left to train
    dry_run(path, folder.path, workers, False, False, tail=False)
    if search is not None:
        say(
            f"Before it {search.trials} trials of its search, and after it the same again with what they find."
        )
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("nothing was trained; add --yes where nobody can be asked")
        if not typer.confirm("Train what is missing?"):
            say("Nothing was trained.")
            return None
    others = [StudyFolder(found.parent) for found in sorted(runs.glob("*/data.json"))]
    try:
        if search is not None:
            from scalinglab.cli._search import run_trials

            found = run_trials(path, folder.path, workers)
            if found is None:
                return None
            path = write_found_study(path, folder, found)
        swept = train(path, folder.path, workers, others=others)
    except KeyboardInterrupt:
        swept = None
    if swept is None:
        return None
    for sentence in swept.notes:
        note(sentence)
    pack(folder)
    return read_trained(study, scale, runs)


def _complete(study: str, scale: str, runs: Path) -> bool:
    """Whether nothing is missing. A folder that holds other runs is for the training to refuse."""
    try:
        read_trained(study, scale, runs)
    except StudyConflict:
        raise
    except InputError:
        return False
    return True


# ---- everything that is there ------------------------------------------------------------------------


def everything(data: Path | None, figures: Path, runs: Path, as_json: bool) -> None:
    """Every figure, every page and the gallery, from shipped records and published figures, on all cores."""
    console.quiet = as_json
    shown, left_out = {}, {}
    with (
        steps("Experiments") as progress,
        # fresh processes: what a library has set up here is not copied half
        ProcessPoolExecutor(mp_context=get_context("spawn")) as pool,
    ):
        jobs = {pool.submit(_from_records, name, data, figures, runs): name for name in _longest_first()}
        for done, job in enumerate(as_completed(jobs)):
            name = jobs[job]
            progress(name, done + 1, len(jobs))
            try:
                shown[name] = job.result()
            except InputError as error:
                left_out[name] = str(error)
    ordered = [shown[name] for name in EXPERIMENTS if name in shown]
    write_atomic(figures / "README.md", gallery(ordered, ALL))
    console.quiet = False
    drawn = [figure for each in ordered for figure in each.figures]
    if as_json:
        print_json({"figures": [str(figures / each) for each in drawn], "left_out": left_out})
        return
    made = table("Remade", "experiment", "figures", "")
    for each in ordered:
        made.add_row(each.name, str(len(each.figures)), "")
    console.print(made)
    for name, why in left_out.items():
        note(f"{name} is left out: {why}")
    say(f"{len(drawn)} figures, a page an experiment and {figures / 'README.md'}")


def _longest_first() -> Iterator[str]:
    """The names, those first that take long: one of them begun last would be waited for."""
    slow = ("porian", "scaling-law", "minicpm-law", "coordinate-check")
    yield from slow
    yield from (name for name in EXPERIMENTS if name not in slow)


def _from_records(name: str, data: Path | None, figures: Path, runs: Path) -> Shown:
    """One experiment in a process of its own, without training. Raises InputError where something is missing."""
    experiment = EXPERIMENTS[name]
    if experiment.study:
        report = experiment.of_runs(read_trained(experiment.study, SHIPPED, runs))
    else:
        report = experiment.run(find_data(data) if experiment.needs == "data" else None)
    return _written(name, report, figures, _command(name, SHIPPED))


def _written(
    name: str, report: Report, folder: Path, command: str, progress: Progress = lambda *step: None
) -> Shown:
    """Draw the figures of a report and write its page."""
    from scalinglab import plots

    drawn: list[str] = []
    with plots.style("paper"):
        for done, (stem, draw) in enumerate(report.figures.items()):
            progress(stem, done, len(report.figures))
            drawn += [path.name for path in plots.save(draw(), folder / stem, ("png",))]
    plain = Report(**{key: getattr(report, key) for key in report.__dataclass_fields__ if key not in _LIVE})
    shown = Shown(name, plain, tuple(drawn), command)
    write_atomic(folder / f"{name}.md", page(shown))
    return shown


_LIVE = ("figures", "fits")
"""What a report draws with; a finished page has no need of it, and it does not travel between processes."""


# ---- on the screen -----------------------------------------------------------------------------------


def print_report(report: Report) -> None:
    """Published beside ours, tables, claims, verdict."""
    console.print(f"[bold]{escape(report.title)}[/] [dim]({escape(report.source)})[/]")
    for what, text in (("Question", report.question), ("Set-up", report.setup)):
        if text:
            console.print(f"[bold]{what}:[/] {escape(text)}")
    if report.lines:
        _print_lines(report)
    for title, frame in report.tables.items():
        print_frame(frame, title=title)
    for claim in report.claims:
        decide = f" To decide: {claim.decide}." if claim.decide else ""
        console.print(
            f"[bold]{claim.verdict}[/]: {escape(claim.claim)} [dim]{escape(claim.because + decide)}[/]"
        )
    for sentence in report.notes:
        console.print(f"[yellow]note:[/] {escape(sentence)}")
    console.print(f"[bold]Verdict:[/] {escape(report.verdict)}")


def _print_lines(report: Report) -> None:
    noted = any(line.note for line in report.lines)
    shown = table("", "", "published", "ours", *(["note"] if noted else []))
    shown.title = None
    for column in shown.columns:
        column.no_wrap = False
    if noted:
        shown.columns[3].justify = "left"
    for line in report.lines:
        cells = [line.what, line.published, line.ours_text, *([line.note] if noted else [])]
        shown.add_row(*(escape(cell) for cell in cells))
    console.print(shown)


def print_list(as_json: bool) -> None:
    if as_json:
        listed = {
            name: {"what": one.what, "needs": one.needs, "scales": list(SCALES) if one.study else []}
            for name, one in EXPERIMENTS.items()
        }
        print_json({FITS_NAME: {"what": _FITS_WHAT, "needs": "data", "fits": list(FITS)}, **listed})
        return
    shown = table("Experiments", "name", "needs", "what is reproduced")
    shown.columns[1].justify = shown.columns[2].justify = "left"
    shown.columns[2].no_wrap = False
    shown.columns[0].no_wrap = True
    for name, (needs, what) in {
        **{name: (one.needs, one.what) for name, one in EXPERIMENTS.items()},
        FITS_NAME: ("data", _FITS_WHAT),
    }.items():
        shown.add_row(name, needs, what)
    console.print(shown)
    console.print(
        "needs runs: of a study packaged here, shipped in runs/ at the scale small, trained where they are missing "
        "(scalinglab\\[train] installed); training: the same packages; data: the folder of real runs, --data DIR."
    )
