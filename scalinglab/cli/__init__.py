"""The command line: parse, call, print. The work is done elsewhere."""

from scalinglab.cli import (  # noqa: F401  each registers its commands, in the order of --help
    _ask,
    _ask_batch_lr,
    _ask_continual,
    _ask_curves,
    _ask_isoflop,
    _ask_next,
    _ask_overtraining,
    _ask_paired,
    _ask_plan,
    _check,
    _import,
    _report,
    _runs,
    _search,
)
from scalinglab.cli._app import main

__all__ = ["main"]
