"""The look of every table on the command line."""

from rich import box
from rich.markup import escape
from rich.table import Table


def table(title: str, *columns: str, caption: str | None = None) -> Table:
    """An empty table in the house's look; the first column reads left, the others right."""
    made = Table(
        title=escape(title), caption=caption and escape(caption), box=box.SIMPLE_HEAD,
        title_justify="left", caption_justify="left", title_style="bold",
        pad_edge=False, padding=(0, 1), min_width=min(len(title), 79),
    )  # fmt: skip
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if i == 0 else "right", no_wrap=i > 0)
    return made
