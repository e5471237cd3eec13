"""How results show themselves: text that reads in 80 columns, and HTML for a notebook, light or dark.

The HTML sets no colour, so that it takes the notebook's own; its tables carry a caption and say which cells are heads,
for screen readers; and every word from outside is escaped.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scalinglab.units import number_text

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80
"""Columns of a text."""


def wrapped(sentence: str, indent: str = "") -> str:
    """The sentence in lines of at most 80 columns, all but a first one without indent going two further in."""
    return textwrap.fill(
        sentence,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  " * bool(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def text_table(frame: pd.DataFrame, index: bool = True) -> str:
    """A table of text or numbers in lines of 80 columns: columns that find no room go below, the index with them."""
    if not index and len(frame.columns) > 1:  # what goes below needs a name beside it too
        first = str(frame.columns[0])
        frame = frame.set_index(first).rename_axis(None)
        frame = frame.set_axis([f"{first} {name}".strip() for name in frame.index.astype(str)])
    return frame.to_string(
        line_width=WIDTH, max_colwidth=WIDTH - 20, float_format=lambda v: f"{v:.5g}", na_rep=""
    )


def html_result(headline: str, *parts: str) -> str:
    """A result: its headline as a paragraph, and below it what there is of `parts`."""
    return "".join([f"<p>{html.escape(headline)}</p>", *parts])


def html_list(title: str, items: Iterable[str]) -> str:
    """Sentences under a title in bold; nothing where there are none."""
    listed = "".join(f"<li>{html.escape(each)}</li>" for each in items)
    return f"<p><strong>{html.escape(title)}</strong></p><ul>{listed}</ul>" if listed else ""


def html_small(text: str) -> str:
    """A line in small print; nothing for an empty one."""
    return f"<p><small>{html.escape(text)}</small></p>" if text else ""


def html_table(frame: pd.DataFrame, caption: str, index: bool = True) -> str:
    """A table whose first column (or index) heads its rows. Numbers get five digits, a missing one stays empty."""
    rows = frame.reset_index(names=frame.index.name or "") if index else frame
    heads = "".join(f'<th scope="col" style="{_align(rows, i)}">{_cell(c)}</th>' for i, c in enumerate(rows))
    body = []
    for row in rows.itertuples(index=False, name=None):
        head, *others = row
        cells = "".join(
            f'<td style="{_align(rows, i)}">{_cell(value)}</td>' for i, value in enumerate(others, 1)
        )
        body.append(f'<tr><th scope="row" style="text-align: left">{_cell(head)}</th>{cells}</tr>')
    return (
        f'<div role="region" tabindex="0" aria-label="{html.escape(caption)}" style="overflow-x: auto">'
        f'<table class="dataframe"><caption style="text-align: left">{html.escape(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _align(rows: pd.DataFrame, i: int) -> str:
    """Words to the left; numbers, and texts that begin with one, to the right."""
    column = rows.iloc[:, i]
    words = i == 0 or (
        column.dtype.kind not in "iufb"
        and not all(str(value)[:1].isdigit() or str(value)[:1] in ("", "-", "−", "+") for value in column)
    )
    return f"text-align: {'left' if words else 'right'}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else number_text(value, 5)
    return html.escape(str(value))
