"""The report on paper: PDF and Markdown, with the figures that `scalinglab.plots` draws.

matplotlib writes PDF by itself, page by page, so that a report of figures and tables asks for no further library; one
that typesets text well (weasyprint, reportlab) would bring a C stack or a second way of drawing.
"""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from scalinglab import plots
from scalinglab.errors import InputError
from scalinglab.plots._canvas import root_figure
from scalinglab.records.files import write_atomic, write_through
from scalinglab.reporting import words
from scalinglab.reporting.report import Report
from scalinglab.reporting.tables import budget_table, constant_table, run_table
from scalinglab.reporting.views import View

_A4 = (8.27, 11.69)
_LINES = 62  # of text on a page
_ROWS = 45  # of a table on a page


def figures(view: View) -> Iterator[tuple[str, str, Callable[[], Axes]]]:
    """(file stem, caption, what draws it) of each figure."""
    fit, boot, level = view.fit, view.boot, view.level
    yield "runs", "The runs and the law", partial(plots.loss_vs_tokens, fit, boot=boot, interval=level)
    yield "frontier", "The best size at each budget", partial(plots.frontier, fit, boot=boot, interval=level)
    yield "contours", "Equal loss over N and D", partial(plots.contours, fit, boot=boot, interval=level)
    yield "residuals", "What the law leaves over", partial(plots.residuals, fit)


def drawn(view: View, style: Any) -> Iterator[tuple[str, str, Axes]]:
    """The figures of a view in a style; one that this fit cannot bear is left out."""
    for stem, caption, draw in figures(view):
        with plots.style(style), suppress(InputError):
            yield stem, caption, draw()


# ---- Markdown -------------------------------------------------------------------------------------


def write_markdown(report: Report, path: Path) -> Path:
    """The page and its figures; those are PNG in a folder of the page's name beside it."""
    folder = path.with_suffix("")
    parts = [f"# {report.title}"]
    if report.notes:
        parts.append(_items(report.notes))
    for i, view in enumerate(report.views):
        parts += [f"## {view.name}", _items(words.summary(report, view))]
        for stem, caption, ax in drawn(view, "notebook"):
            picture = plots.save(ax, folder / f"{i + 1}-{stem}", ("png",))[0]
            parts.append(f"![{caption}]({folder.name}/{picture.name})")
        parts += ["### Constants", markdown_table(constant_table(view))]
        parts += [f"### Budgets ({view.level:.0%} intervals)", markdown_table(budget_table(view))]
        runs = markdown_table(run_table(view))
        parts.append(f"<details><summary>The {len(view.fit.rows)} runs</summary>\n\n{runs}\n\n</details>")
        doubts = [f"**{code}** {says} {mend}." for code, says, mend in words.warnings_of(view)]
        parts += ["### What to beware of", _items(doubts)] if doubts else []
    parts += _review(report)
    first = report.views[0]
    parts += ["## How it was fitted", _items(f"**{what}:** {how}" for what, how in words.method(first))]
    cited = [
        f"{what}: [{source}]({address})" if address else f"{what}: {source}"
        for what, source, address in words.citations(report)
    ]
    parts += ["## How to cite", _items(cited), f"```bibtex\n{words.BIBTEX}\n```"]
    write_atomic(path, "\n\n".join(parts) + "\n")
    return path


def _review(report: Report) -> list[str]:
    found = [f"**{f.severity}: {f.code}** {f.says}. {f.meaning} {f.mend}" for f in report.reviewed.findings]
    if not report.reviewed.done:
        return []
    return ["## The table reviewed", _items(found) if found else "A review of the table found nothing."]


def _items(sentences: Any) -> str:
    return "\n".join(f"- {each}" for each in sentences)


def markdown_table(frame: pd.DataFrame) -> str:
    """A frame of text; a bar inside a cell would end it."""
    rows: list[Any] = [frame.columns, ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


# ---- PDF ------------------------------------------------------------------------------------------


def write_pdf(report: Report, path: Path) -> Path:
    """Pages of A4: the summaries, then figures and tables of each view, then method and sources."""
    write_through(path, lambda temporary: _pages(report, temporary))
    return path


def _pages(report: Report, path: Path) -> None:
    # without a date, the same report is the same file
    about = {"Title": report.title, "Creator": "scalinglab", "CreationDate": None}
    with (
        plots.style("paper"),
        PdfPages(path, metadata=about) as pages,
    ):  # fonts are written at the end, in its type
        opening = [("title", report.title), *(("item", note) for note in report.notes)]
        for view in report.views:
            opening += [("head", view.name), *(("item", said) for said in words.summary(report, view))]
        _text(pages, opening)
        for view in report.views:
            for _, caption, ax in drawn(view, "paper"):
                figure = root_figure(ax)
                figure.suptitle(f"{caption}: {view.name}", fontsize=9, x=0.02, ha="left")
                figure.set_size_inches(6.0, 4.2)
                pages.savefig(figure)
            _table(pages, constant_table(view), f"Constants: {view.name}", (0.1, 0.12, 0.2, 0.58))
            _table(pages, budget_table(view), f"Budgets, {view.level:.0%} intervals: {view.name}")
            _table(pages, run_table(view), f"Runs: {view.name}", (0.4, *[0.1] * 6))
        ending = []
        for view in report.views:
            doubts = words.warnings_of(view)
            ending += [("head", f"What to beware of: {view.name}")] if doubts else []
            ending += [("item", f"{code}: {says} {mend}.") for code, says, mend in doubts]
        if report.reviewed.done:
            ending.append(("head", "The table reviewed"))
            ending += [
                ("item", f"{f.severity}, {f.code}: {f.says}. {f.meaning} {f.mend}")
                for f in report.reviewed.findings
            ]
        ending.append(("head", "How it was fitted"))
        ending += [("item", f"{what}: {how}") for what, how in words.method(report.views[0])]
        ending.append(("head", "How to cite"))
        ending += [("item", f"{what}: {source}") for what, source, _ in words.citations(report)]
        _text(pages, ending)


def _text(pages: PdfPages, said: Sequence[tuple[str, str]]) -> None:
    """Headings and sentences down as many pages as they need."""
    lines: list[tuple[str, str]] = []
    for kind, text in said:
        text = text.replace("$", r"\$")
        if kind == "item":
            lines += [
                ("item", line)
                for line in textwrap.wrap(text, 105, initial_indent="•  ", subsequent_indent="    ")
            ]
        else:
            lines += [("item", ""), (kind, text)]
    for first in range(0, len(lines), _LINES):
        page = Figure(figsize=_A4)
        for i, (kind, line) in enumerate(lines[first : first + _LINES]):
            size = {"title": 15, "head": 10.5, "item": 8.5}[kind]
            weight = "normal" if kind == "item" else "bold"
            page.text(0.08, 0.94 - i * 0.0142, line, fontsize=size, fontweight=weight, va="top")
        pages.savefig(page)


def _table(pages: PdfPages, frame: pd.DataFrame, caption: str, widths: Sequence[float] | None = None) -> None:
    """A frame of text, so many rows a page."""
    for first in range(0, max(len(frame), 1), _ROWS):
        part = frame.iloc[first : first + _ROWS]
        page = Figure(figsize=(_A4[0], 1.1 + 0.21 * (len(part) + 1)))
        ax = page.add_axes((0.05, 0.02, 0.9, 0.9))
        ax.axis("off")
        ax.set_title(caption, loc="left", fontsize=9, fontweight="bold")
        cells = [[str(cell).replace("$", r"\$") for cell in row] for row in part.itertuples(index=False)]
        table = ax.table(
            cells,
            colLabels=list(part.columns),
            loc="upper left",
            cellLoc="right",
            edges="horizontal",
            colWidths=widths,
        )
        table.auto_set_font_size(False)
        table.set_fontsize(6.5)
        for (row, _), cell in table.get_celld().items():
            cell.set_linewidth(0.6 if row == 0 else 0.2)
        pages.savefig(page)
