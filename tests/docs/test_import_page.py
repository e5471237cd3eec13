"""The page about importing: its table is imported as it shows, its map is one, and every key stands on it."""

import re
from collections.abc import Callable
from pathlib import Path

from scalinglab.records.importers import FORMATS, read_map
from scalinglab.records.importers import _map as maps
from scalinglab.records.importers._quantities import COUNT_UNITS, LOSS_UNITS

PAGE = (Path(__file__).parents[2] / "docs" / "import.md").read_text("utf-8")


def test_the_five_minutes_print_what_the_page_shows(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (table,) = re.findall(r"```csv\n(.*?)```", PAGE, re.S)
    (tmp_path / "my_runs.csv").write_text(table)
    code, said, _ = cli("import", tmp_path / "my_runs.csv", "--out", tmp_path / "table.csv", "--yes")
    assert code == 0
    shown = re.search(r"```\n(my_runs.csv: a table.*?)```", PAGE, re.S)
    assert shown is not None
    printed = said.replace(f"{tmp_path}/", "")
    assert [line.rstrip() for line in printed.splitlines()] == [
        line.rstrip() for line in shown[1].splitlines()
    ]


def test_the_map_of_the_page_is_one_and_every_key_is_on_it(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(format.*?)```", PAGE, re.S)
    (tmp_path / "page.toml").write_text(block, "utf-8")
    assert len(read_map(tmp_path / "page.toml").losses) == 2
    words = [*maps._MAP_KEYS, *maps._ENTRY_KEYS, *maps.POINTS, *FORMATS, *COUNT_UNITS, *LOSS_UNITS]
    found = {
        word: re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", PAGE) for word in words if word != "1"
    }
    assert [word for word, place in found.items() if place is None] == []
