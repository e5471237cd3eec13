"""The command line: parse, call, print. The work is done elsewhere."""

from scalinglab.cli import _ask, _ask_isoflop  # noqa: F401  registers their commands
from scalinglab.cli import _ask, _ask_curves  # noqa: F401  they register their commands
from scalinglab.cli import _ask, _ask_overtraining  # noqa: F401  they register their commands
from scalinglab.cli import _ask, _ask_paired, _ask_plan  # noqa: F401  register their commands
from scalinglab.cli import (  # noqa: F401  registers their commands
    _ask,
    _ask_batch_lr,
)
from scalinglab.cli import _ask, _ask_continual  # noqa: F401  register their commands
from scalinglab.cli import _ask, _ask_next  # noqa: F401  register their commands
from scalinglab.cli._app import main

__all__ = ["main"]
