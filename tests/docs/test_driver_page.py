"""The page about the driver: its study file is a study, and names every key there is."""

import re
from pathlib import Path

from pydantic import BaseModel

from scalinglab.ladder import Study, plan, plan_full, read_study
from scalinglab.ladder import study as sections

PAGE = Path(__file__).parents[2] / "docs" / "driver.md"


def documented() -> str:
    return blocks()[0]


def blocks() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.S)


def test_the_study_file_of_the_page_is_one(tmp_path: Path) -> None:
    path = tmp_path / "page.toml"
    path.write_text(documented(), "utf-8")
    study = read_study(path)
    varied = 3 * 2 - 1  # learning rates x parametrisations, without the study's own
    assert [trunk.shape.name for trunk in plan(study)] == ["20k", "gqa", "gqa", "gqa"] + ["20k"] * varied
    assert [run.recipe for run in plan_full(study)] == ["cosine", "cosine"] * (1 + varied)
    commented = re.sub(r"^# (half_life_tokens|tokens_per_param)", r"\1", documented(), flags=re.M)
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
    assert {key for key in keys if not re.search(rf"\b{key}\b", documented())} == set()


def test_the_short_studies_are_planned_as_the_page_says(tmp_path: Path) -> None:
    planned = []
    for i, block in enumerate(blocks()[1:]):
        path = tmp_path / f"{i}.toml"
        path.write_text(block, "utf-8")
        study = read_study(path)
        planned.append((plan(study), plan_full(study)))
    ((tuned,), _), ((merged,), _), (ramps, _), (_, wholes) = planned
    assert [len(branch.after) for branch in tuned.branches] == [0, 2]
    assert [len(branch.averaged) for branch in merged.branches] == [0, 0, 11, 11]
    assert [len(trunk.batches.ramp) for trunk in ramps] == [0, 1]
    assert [len(whole.ends) for whole in wholes] == [2, 2, 1, 1]
