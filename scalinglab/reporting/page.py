"""The page for a browser: the template filled with words, tables, figures and the numbers behind the inputs."""

import json
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from scalinglab._version import __version__
from scalinglab.analysis.hardware import HARDWARE, MFU
from scalinglab.analysis.source import loss_unit
from scalinglab.records.files import write_atomic
from scalinglab.reporting import charts, words
from scalinglab.reporting.bundle import bundle
from scalinglab.reporting.report import Report
from scalinglab.reporting.tables import budget_table, constant_table, run_table
from scalinglab.reporting.views import View


def write_page(report: Report, path: Path) -> Path:
    """Write the page. Raises EnvironmentProblem without the extra `report`, or where the disk will not have it."""
    write_atomic(path, page(report, bundle()))
    return path


def page(report: Report, runtime: str) -> str:
    """The page as text; runtime: JavaScript that gives `vegaEmbed`."""
    unit = loss_unit(report.views[0].fit.rows)
    first = report.views[0]
    data = {
        "budgets": charts.budgets(first),
        "start": charts.number(first.now.flops),
        "devices": {name: each.peak for name, each in HARDWARE.items()},
        "specs": charts.specs(
            f"loss ({unit})" if unit else "loss (unit not given)", first.fit.rows["params"]
        ),
        "views": [charts.payload(view) for view in report.views],
    }
    devices = "".join(
        f"<option{' selected' if name == 'h100' else ''}>{escape(name)}</option>" for name in HARDWARE
    )
    filled = {
        "title": escape(report.title),
        "version": __version__,
        "css": _part("page.css"),
        "choices": _menu("set", "Eval set", report.eval_sets) + _menu("law", "Law", report.laws),
        "summaries": _each(report, lambda view: _list(words.summary(report, view))),
        "notes": _list(report.notes, "small") if report.notes else "",
        "devices": devices,
        "mfu": f"{MFU:g}",
        "level": f"{first.level:.0%}",
        "unit": escape(f" ({unit})" if unit else ""),
        "tables": _each(report, _tables),
        "doubts": _each(report, _doubts),
        "review": _review(report),
        "methods": _each(report, _method),
        "cite": _cite(report),
        # a name in the table must not end the script it stands in
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "bundle": runtime.replace("</script", "<\\/script"),
        "script": _part("page.js"),
    }
    return Template(_part("page.html")).substitute(filled)


def _part(name: str) -> str:
    return resources.files("scalinglab.reporting").joinpath(name).read_text("utf-8")


def _menu(name: str, label: str, values: list[Any]) -> str:
    """A native menu; nothing where there is no choice."""
    if len(values) < 2:
        return ""
    options = "".join(f"<option>{escape(str(value))}</option>" for value in values)
    return f'<label>{label}\n<select id="{name}">{options}</select></label>\n'


def _each(report: Report, draw: Any) -> str:
    """One part a view; the script shows that of the view chosen, and without it all stand under their names."""
    several = len(report.views) > 1
    return "\n".join(
        f'<div data-view="{i}">{f"<h3>{escape(view.name)}</h3>" if several else ""}{draw(view)}</div>'
        for i, view in enumerate(report.views)
    )


def _list(sentences: Any, of: str = "") -> str:
    items = "".join(f"<li>{escape(each)}</li>" for each in sentences)
    return f'<ul{f""" class="{of}" """ if of else ""}>{items}</ul>'


def _tables(view: View) -> str:
    constants, runs = constant_table(view), run_table(view)
    grid = budget_table(view)
    return (
        f"<p>L = {escape(str(view.law.formula))}</p>"
        + _table(constants, "Constants, with their intervals", "constants", out="without the run left out")
        + _table(
            grid, f"The compute-optimal model at rising budgets ({view.level:.0%} intervals)", scroll=True
        )
        + _table(runs, f"The {len(runs)} runs, and what the law says of each", "runs", scroll=True, rows=True)
    )


def _table(
    frame: pd.DataFrame, caption: str, of: str = "", scroll: bool = False, rows: bool = False, out: str = ""
) -> str:
    """A frame of text; `out` adds a column that the script fills, `rows` numbers the rows for it."""
    more = f'<th scope="col" class="out" hidden>{out}</th>' if out else ""
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in frame.columns) + more
    body = []
    for i, cells in enumerate(frame.itertuples(index=False)):
        first, *rest = (escape(str(cell)) for cell in cells)
        data = "".join(f"<td>{cell}</td>" for cell in rest) + ('<td class="out" hidden></td>' if out else "")
        body.append(f'<tr{f" data-row={i}" if rows else ""}><th scope="row">{first}</th>{data}</tr>')
    made = (
        f'<table class="{of}"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )
    if not scroll:
        return made
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">{made}</div>'


def _doubts(view: View) -> str:
    found = words.warnings_of(view)
    if not found:
        return "<p>The fit and its intervals warn of nothing.</p>"
    items = "".join(
        f"<li><b>{escape(code)}</b> {escape(says)} <em>{escape(mend)}.</em></li>"
        for code, says, mend in found
    )
    return f"<ul>{items}</ul>"


def _review(report: Report) -> str:
    if not report.reviewed.done:
        return ""
    heading = "<h3>The table reviewed</h3>"
    if not report.reviewed.findings:
        return f"{heading}<p>A review of the table found nothing.</p>"
    items = "".join(
        f"<li><b>{escape(f.severity)}: {escape(f.code)}</b> {escape(f.says)}. {escape(f.meaning)} "
        f"<em>{escape(f.mend)}</em></li>"
        for f in report.reviewed.findings
    )
    return f"{heading}<ul>{items}</ul>"


def _method(view: View) -> str:
    items = "".join(f"<dt>{escape(what)}</dt><dd>{escape(how)}</dd>" for what, how in words.method(view))
    return f"<dl>{items}</dl>"


def _cite(report: Report) -> str:
    items = []
    for what, source, address in words.citations(report):
        shown = f'<a href="{escape(address)}">{escape(source)}</a>' if address else escape(source)
        items.append(f"<li>{escape(what)}: {shown}</li>")
    return f'<ul>{"".join(items)}</ul><pre tabindex="0">{escape(words.BIBTEX)}</pre>'
