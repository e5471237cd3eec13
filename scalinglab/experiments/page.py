"""An experiment's page and the gallery of all of them, in Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from scalinglab.analysis import number_text
from scalinglab.experiments.report import Report


@dataclass(frozen=True)
class Shown:
    """A report with the pictures drawn of it. figures: file names, beside the page."""

    name: str
    report: Report
    figures: tuple[str, ...]
    command: str
    """What makes all of it anew."""


def page(shown: Shown) -> str:
    """One experiment: question, set-up, verdict, figures, published beside ours, tables, notes, the command."""
    parts = [*_head(shown.report), *(f"![{name.rpartition('.')[0]}]({name})" for name in shown.figures)]
    return "\n\n".join([*parts, *_body(shown.report), f"Made by `{shown.command}`."]) + "\n"


def markdown(report: Report) -> str:
    """A report without its pictures, as a notebook shows it."""
    return "\n\n".join([*_head(report), *_body(report)])


def _head(report: Report) -> list[str]:
    parts = [f"# {report.title}", f"*{report.source}*"]
    parts += [f"**Question.** {report.question}"] * bool(report.question)
    parts += [f"**Set-up.** {report.setup}"] * bool(report.setup)
    return [*parts, f"**Verdict.** {report.verdict}"]


def _body(report: Report) -> list[str]:
    parts = []
    if report.lines:
        noted = any(line.note for line in report.lines)
        rows = [
            [line.what, line.published, line.ours_text, *([line.note] if noted else [])]
            for line in report.lines
        ]
        parts.append(_table(["", "published", "ours", *([""] if noted else [])], rows))
    if report.claims:
        parts.append("## What the paper says, and what these runs say")
        parts.append(
            _table(
                ["claim", "verdict", "because", "what would decide it"],
                [[each.claim, each.verdict, each.because, each.decide] for each in report.claims],
            )
        )
    for title, frame in report.tables.items():
        parts += [f"## {title}", frame_table(frame)]
    if report.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in report.notes)]
    return parts


def gallery(all_shown: Sequence[Shown], command: str) -> str:
    """Every experiment with its first picture and its verdict, and the claims that were put to the test."""
    about = (
        f"Every figure here is made by `{command}`, from the records under `runs/` and from published figures. "
        "A page each tells the question, what was run, the result with its intervals and the paper's beside it."
    )
    parts = ["# Gallery", about]
    judged = [(shown, claim) for shown in all_shown for claim in shown.report.claims]
    if judged:
        parts.append("## The papers' claims at this scale")
        rows = [
            [each.claim, each.verdict, each.because, each.decide, f"[{shown.name}]({shown.name}.md)"]
            for shown, each in judged
        ]
        parts.append(_table(["claim", "verdict", "because", "what would decide it", "page"], rows))
    for shown in all_shown:
        parts.append(f"## [{shown.name}]({shown.name}.md)")
        parts.append(shown.report.question or f"{shown.report.title}.")
        parts += [f"[![{shown.name}]({shown.figures[0]})]({shown.name}.md)"] * bool(shown.figures)
        parts.append(shown.report.verdict)
    return "\n\n".join(parts) + "\n"


def frame_table(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table, numbers as the answers print them."""
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return _table([str(name) for name in frame.columns], rows)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else number_text(value)
    return str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(re.sub(r"\|", r"\\|", str(cell)) for cell in row) + " |" for row in lines
    )
