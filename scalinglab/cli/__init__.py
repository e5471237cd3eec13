"""The command line: parse, call, print. The work is done elsewhere."""

from scalinglab.cli import _ask  # noqa: F401  registers its commands
from scalinglab.cli._app import main

__all__ = ["main"]
