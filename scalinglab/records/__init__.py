"""Run records and the run table: the schema, its checks, and reading anyone's table."""

from scalinglab.records._schema import COLUMNS, Column, columns_markdown
from scalinglab.records.curves import read_trunk_curves
from scalinglab.records.read import read_runs
from scalinglab.records.table import TableWarning, check_table

__all__ = [
    "COLUMNS",
    "Column",
    "TableWarning",
    "check_table",
    "columns_markdown",
    "read_runs",
    "read_trunk_curves",
]
