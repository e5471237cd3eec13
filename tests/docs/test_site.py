"""The site is built without a warning, loads nothing from elsewhere, and shows every public name."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import scalinglab

from .blocks import ROOT

LONGEST = 25.0
"""Seconds of processor time that building may take."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    before = os.times()
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    after = os.times()
    took = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"built in {took:.1f} s of processor time, {time.strftime('%H:%M')}")
    assert built.returncode == 0, built.stdout + built.stderr
    assert built.stdout + built.stderr == ""
    assert took < LONGEST
    return out


class Links(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("img", "script", "source") and "src" in given:
            self.loads.append(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loads.append(given["href"])


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text("utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def inside(pages: dict[Path, Links]) -> Iterator[tuple[Path, str, Path, str]]:
    """(page, link, file, place) of every link that stays in the site."""
    for page, found in pages.items():
        for link in found.links + found.loads:
            parts = urlsplit(link)
            if not parts.scheme:
                target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
                yield page, link, target, unquote(parts.fragment)


def test_links_lead_somewhere(pages: dict[Path, Links], site: Path) -> None:
    seen = 0
    for page, link, target, place in inside(pages):
        target = target / "index.html" if target.is_dir() else target
        assert target.is_file(), f"{page.relative_to(site)}: {link}"
        if place and target in pages:
            assert place in pages[target].places or place.startswith("__"), (
                f"{page.relative_to(site)}: {link}"
            )
        seen += 1
    assert seen > 1000


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Links], site: Path) -> None:
    for found in pages.values():
        assert [each for each in found.loads if urlsplit(each).scheme] == []
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?https?:", styles)


def test_every_page_and_picture_of_the_gallery_is_there(pages: dict[Path, Links], site: Path) -> None:
    start = pages[site / "index.html"]
    reached = {(site / urlsplit(link).path).resolve() for link in start.links}
    sources = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "figures").glob("*.md")]
    for source in sources:
        base = ROOT if source.parent.name == "figures" else ROOT / "docs"
        name = source.relative_to(base).with_suffix(".html")
        name = name.with_name("index.html") if name.name == "README.html" else name
        assert (site / name).resolve() in reached or (site / name.parent).resolve() in reached, name
    for picture in (ROOT / "figures").glob("*.png"):
        assert (site / "figures" / picture.name).read_bytes() == picture.read_bytes()


def shown(home: str, name: str, places: set[str]) -> bool:
    """Whether the API describes it; a function may have the name of its module and stand under that."""
    return f"{home}.{name}" in places or f"{home}.{name}.{name}" in places


def test_every_public_name_is_on_the_pages_of_the_api(pages: dict[Path, Links], site: Path) -> None:
    places = set().union(*(found.places for path, found in pages.items() if path.parent.name == "api"))
    index = (site / "api" / "index.html").read_text("utf-8")
    for name in scalinglab.__all__:
        assert f"sl.{name}</code>" in index, name
        home, _, attribute = scalinglab._FACE.get(name, "").partition(":")
        if attribute:
            assert shown(home, attribute, places), name
    for room in ("analysis", "fitting", "laws", "plots", "records"):
        module = getattr(scalinglab, room, None) or __import__(f"scalinglab.{room}", fromlist=["x"])
        lacking = [each for each in module.__all__ if not shown(f"scalinglab.{room}", each, places)]
        assert lacking == [], room
