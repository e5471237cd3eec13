"""The Vega-Lite runtime that a page carries: bundled once by vl-convert, then kept in the cache."""

from importlib import import_module, util
from typing import Any

from scalinglab.corpus._cache import cache_folder
from scalinglab.errors import EnvironmentProblem
from scalinglab.records.files import write_atomic


def need_report() -> None:
    """Raises EnvironmentProblem where what a page needs is not installed."""
    if util.find_spec("vl_convert") is None:
        raise EnvironmentProblem(
            "the page for a browser needs vl-convert-python, which is not installed; install the extra: "
            'pip install "scalinglab[report]", or write Markdown (.md) or a PDF instead'
        )


def bundle() -> str:
    """JavaScript that gives a page `vegaEmbed`, with nothing left to load: about 0.9 MB.

    Bundling takes seconds, so it is done once a version. Raises EnvironmentProblem without the extra `report`.
    """
    need_report()
    vl_convert: Any = import_module("vl_convert")  # its stubs lack the version and ask for a snippet

    kept = cache_folder() / "report" / f"vega-{vl_convert.__version__}.js"
    if kept.is_file():
        return kept.read_text("utf-8")
    made: str = vl_convert.javascript_bundle()
    try:
        write_atomic(kept, made)
    except (OSError, EnvironmentProblem):  # a cache that cannot be written to only costs time
        return made
    return made
