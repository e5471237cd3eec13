"""What pages list is complete: every key of a study, every word of a map, every law and published constant."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from scalinglab import laws
from scalinglab.cli._options import LAWS
from scalinglab.ladder import Study, plan, plan_full, read_study
from scalinglab.ladder import study as sections
from scalinglab.records import columns_markdown
from scalinglab.records.importers import FORMATS, read_map
from scalinglab.records.importers import _map as maps
from scalinglab.records.importers._quantities import COUNT_UNITS, LOSS_UNITS

from .blocks import ROOT, blocks_of

DRIVER, IMPORT, LAWS_PAGE = (ROOT / "docs" / name for name in ("driver.md", "import.md", "laws.md"))


def toml_of(page: Path) -> str:
    """The page's first block of TOML."""
    return next(block.text for block in blocks_of(page) if block.language == "toml")


def test_the_study_file_of_the_driver_is_planned_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "page.toml"
    path.write_text(toml_of(DRIVER), "utf-8")
    study = read_study(path)
    varied = 3 * 2 - 1  # learning rates x parametrisations, without the study's own
    assert [trunk.shape.name for trunk in plan(study)] == ["20k", "gqa", "gqa", "gqa"] + ["20k"] * varied
    assert [run.recipe for run in plan_full(study)] == ["cosine", "cosine"] * (1 + varied)
    commented = re.sub(r"^# (half_life_tokens|tokens_per_param)", r"\1", toml_of(DRIVER), flags=re.M)
    path.write_text(
        commented.replace('decay = "1-sqrt" ', 'decay = "exponential"').replace("floor = 0.0", "floor = 0.1")
    )
    assert len(plan(read_study(path))[0].branches) > len(plan(study)[0].branches)


def test_every_key_of_a_study_is_on_the_page() -> None:
    models = [
        each for each in vars(sections).values() if isinstance(each, type) and issubclass(each, BaseModel)
    ]
    keys = {key for model in models for key in model.model_fields}
    assert keys >= set(Study.model_fields)
    assert {key for key in keys if not re.search(rf"\b{key}\b", toml_of(DRIVER))} == set()


def test_every_key_of_a_map_and_every_column_is_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "page.toml").write_text(toml_of(IMPORT), "utf-8")
    assert len(read_map(tmp_path / "page.toml").losses) == 2
    words = [*maps._MAP_KEYS, *maps._ENTRY_KEYS, *maps.POINTS, *FORMATS, *COUNT_UNITS, *LOSS_UNITS]
    page = IMPORT.read_text("utf-8")
    found = {
        word: re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", page) for word in words if word != "1"
    }
    assert [word for word, place in found.items() if place is None] == []
    assert columns_markdown().strip() in page


@pytest.mark.parametrize("name", LAWS)
def test_the_page_of_laws_has_formula_source_and_constants(name: str) -> None:
    law, page = LAWS[name](), LAWS_PAGE.read_text("utf-8")
    found = re.search(rf"^### {law.name} \(`{name}`\)$(.*?)(?=^##)", page, re.M | re.S)
    assert found is not None, f"no section of {law.name}"
    section = " ".join(found[1].split())
    right = law.formula.split(",")[0].replace("R*", "R_D")
    assert right in section
    for number in re.findall(r"arXiv (\d{4}\.\d{5})", law.source):
        assert number in section
    names = [constant.name for constant in law.constants if not constant.name.startswith("e_")]
    assert [each for each in names if f"`{each}`" not in section] == []
    for constant in law.constants:
        if "`" + constant.name + "`" in section and constant.lower not in (0.0, 1e-3):
            assert f"{abs(constant.lower):g}" in section, f"{constant.name}: its bounds are not said"


def test_published_constants_stand_as_printed() -> None:
    page = LAWS_PAGE.read_text("utf-8")
    for key, published in laws.PUBLISHED.items():
        shown = ", ".join(f"{name} {printed}" for name, printed in published.printed.items())
        assert key in page
        assert shown in page
