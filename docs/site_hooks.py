"""What the site takes from beside docs/: the gallery and the notebooks, as they lie there, and links to them."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
BESIDE = {"figures": (".md", ".png"), "notebooks": (".ipynb",)}
_GALLERY = "figures/"


def on_config(config: Any) -> Any:
    """The gallery's pages stand in the navigation, whichever there are."""
    pages = sorted(path.name for path in (ROOT / "figures").glob("*.md") if path.name != "README.md")
    found: list[Any] = [f"figures/{name}" for name in ("README.md", *pages)]
    config.nav = [_with(entry, found) for entry in config.nav]
    return config


def _with(entry: Any, pages: list[Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, inside),) = entry.items()
    if isinstance(inside, list):
        return {title: [_with(each, pages) for each in inside]}
    return {title: pages if inside == _GALLERY else inside}


def on_files(files: Files, config: Any) -> Files:
    """The files beside docs/ appear in the site under their own folders."""
    for folder, suffixes in BESIDE.items():
        for path in sorted((ROOT / folder).iterdir()):
            if path.suffix in suffixes:
                files.append(File.generated(config, f"{folder}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that are right in the repository lead to the same files in the site, which is one folder flatter."""
    beside = "|".join(BESIDE)
    if page.file.src_uri.split("/")[0] in BESIDE:
        return re.sub(r"\]\(\.\./docs/", "](../", markdown)
    return re.sub(rf"\]\(\.\./((?:\.\./)*(?:{beside})/)", r"](\1", markdown)
