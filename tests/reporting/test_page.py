"""The page as a file: nothing to load, everything escaped, and what happens without the extra."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from known_law import runs_of

from scalinglab.errors import EnvironmentProblem
from scalinglab.reporting import Report, bundle
from scalinglab.reporting.page import page

Cli = Callable[..., tuple[int, str, str]]


class Elements(HTMLParser):
    """Every element with its attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def text(made: Report) -> str:
    return page(made, "")


def test_nothing_is_loaded(text: str) -> None:
    for tag, attributes in Elements(text).found:
        assert "src" not in attributes
        if tag != "a":
            assert (attributes.get("href") or "data:").startswith("data:")
    # addresses stand in the links to papers alone
    links = [a["href"] or "" for a in Elements(text).all("a") if str(a["href"]).startswith("http")]
    assert links
    assert text.count("http") == len(links)
    assert "url(" not in text
    assert "@import" not in text


def test_every_input_has_a_label_and_every_table_a_caption(text: str) -> None:
    found = Elements(text)
    assert text.count("<label") == len(found.all("select")) + len(found.all("input"))
    assert len(found.all("caption")) == len(found.all("table"))
    assert all("scope" in cell for cell in found.all("th"))


def test_names_from_the_table_are_text(text: str) -> None:
    assert "run <0>" not in text
    assert "run &lt;0&gt;" in text
    assert "Known &amp; fitted" in text


def test_the_same_report_is_the_same_page(made: Report, text: str) -> None:
    assert page(made, "") == text


def test_without_the_extra_the_page_is_refused_and_markdown_is_not(
    cli: Cli, made: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"scalinglab\[report\]"):
        made.html(tmp_path / "r.html")
    table = tmp_path / "table.csv"
    runs_of(2e-3).to_csv(table, index=False)
    options = ("--laws", "chinchilla", "--eval-set", "web", "--bootstrap", 20)
    code, _, error = cli("report", table, "-o", tmp_path / "r.html", *options)
    assert code == 3
    assert "scalinglab[report]" in error
    code, out, _ = cli("report", table, "-o", tmp_path / "r.md", *options)
    assert code == 0
    assert "20 runs of 10M to 1B parameters" in " ".join(out.split())
    assert (tmp_path / "r.md").is_file()
