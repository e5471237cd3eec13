"""Whether what an optional part of the package needs is installed."""

from importlib import util

from scalinglab.errors import EnvironmentProblem


def need_training() -> None:
    """Raises EnvironmentProblem where a package that training needs is not installed."""
    missing = [name for name in ("torch", "safetensors", "filelock") if util.find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; "
            'install the extra: pip install "scalinglab[train]"'
        )


def need_widgets() -> None:
    """Raises EnvironmentProblem where ipywidgets, which the explorer is made of, is not installed."""
    if util.find_spec("ipywidgets") is None:
        raise EnvironmentProblem(
            "the explorer needs ipywidgets, which is not installed; install the extra: "
            'pip install "scalinglab[notebook]"'
        )
