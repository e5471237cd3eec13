"""The command line: parse, call, print. The work is done elsewhere."""

from scalinglab.cli import (  # noqa: F401  registers their commands
    _ask,
    _ask_batch_lr,
)
from scalinglab.cli._app import main

__all__ = ["main"]
