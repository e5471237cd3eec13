"""The command line: parse, call, print. The work is done elsewhere."""

from scalinglab.cli import _ask, _ask_next  # noqa: F401  register their commands
from scalinglab.cli._app import main

__all__ = ["main"]
