"""Every code block of README and docs does what the page says."""

import re
from pathlib import Path

import pytest

from . import blocks


@pytest.mark.parametrize("page", blocks.PAGES, ids=lambda page: str(page.relative_to(blocks.ROOT)))
def test_the_blocks_of_the_page_run(page: Path, page_folder: Path) -> None:
    blocks.run_page(page)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    left = {
        block.where: block.not_run
        for page in blocks.PAGES
        for block in blocks.blocks_of(page)
        if block.not_run
    }
    print(left)
    assert len(left) <= 3, left
    parsed = [line for _, line in blocks.command_lines() if blocks.why_parsed_only(line.split()[1:] or [""])]
    run = [line for _, line in blocks.command_lines() if line not in parsed]
    assert len(parsed) < len(run), "most commands of the docs are to be run"


def test_no_command_stands_outside_a_fenced_block() -> None:
    for page in blocks.PAGES:
        text = re.sub(r"^( *)```.*?^\1```", "", page.read_text("utf-8"), flags=re.S | re.M)
        assert not re.findall(r"^ {4,}(?:scalinglab|pip|python|make) .*", text, re.M), page


@pytest.mark.parametrize(
    ("shown", "said", "same"),
    [
        ("a 1\n...\nb\n", "a 1\nx\ny\nb\n", True),
        ("a 1\n", "a 2\n", False),
        ("a (b) ...", "a (b) c  \n", True),
    ],
)
def test_what_is_shown_is_compared(shown: str, said: str, same: bool) -> None:
    block = blocks.Block(blocks.PAGES[0], 1, "text", "", shown, "")
    if same:
        blocks.assert_shown(block, said)
    else:
        with pytest.raises(AssertionError, match="was printed"):
            blocks.assert_shown(block, said)


def test_an_option_that_is_not_there_is_found() -> None:
    block = blocks.Block(blocks.PAGES[0], 1, "sh", "", "", "")
    blocks.parse(["sweep", "my_study.toml", "--workers", "2"], block)
    blocks.parse(["corpus", "build", "my_study.toml"], block)
    with pytest.raises(AssertionError, match="--wrokers"):
        blocks.parse(["sweep", "my_study.toml", "--wrokers", "2"], block)
