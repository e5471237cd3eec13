"""The two ways the package says no: both end the command line with one sentence and no traceback."""

import inspect


class InputError(ValueError):
    """What the user gave cannot be used; the message names the place and the mend (exit code 2)."""


class StudyConflict(InputError):
    """A run folder holds the runs of another study definition; nothing was overwritten."""


class EnvironmentProblem(RuntimeError):
    """The machine lacks something: a package, disk space, the network (exit code 3)."""


def callers_level() -> int:
    """The stacklevel at which a warning raised by our caller points at the user's own line."""
    level, frame = 1, inspect.currentframe()
    while frame := frame and frame.f_back:
        if not frame.f_globals.get("__name__", "").startswith("scalinglab."):
            break
        level += 1
    return level
