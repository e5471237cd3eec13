"""`scalinglab reproduce` on runs of its own: the plan first, training once, a page, the gallery."""

import json
import re
import shutil
from pathlib import Path

import pytest

from scalinglab.experiments import catalogue, ladder_report, wind_tunnel
from scalinglab.experiments.catalogue import EXPERIMENTS
from scalinglab.ladder import plan, plan_full, read_study


@pytest.fixture
def small_experiment(tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scaling-law experiment on the tiny study; the folder of runs."""
    text = tiny_study.read_text("utf-8").replace("[2560, 3840, 5120]", "[1600, 1920, 2560, 3200, 3840, 5120]")
    path = tiny_study.with_name("scaling-law-tiny.toml")
    text += '\n[[ladder.sizes]]\nname = "c"\nwidth = 24\nlayers = 1\nheads = 2\nff = 48\n'
    path.write_text(text.replace("horizons = [2560, 5120]", "horizons = [1600, 2560, 3840, 5120]"), "utf-8")
    monkeypatch.setattr(wind_tunnel, "_STUDIES", path.parent)
    monkeypatch.setattr(ladder_report, "RESAMPLES", 100)  # intervals are not what is looked at here
    return tmp_path / "runs"


def test_an_experiment_trains_once_and_writes_its_page(
    cli, in_process, small_experiment: Path, tmp_path: Path
) -> None:
    asked = (
        "reproduce",
        "scaling-law",
        "--scale",
        "tiny",
        "--runs",
        small_experiment,
        "--figures",
        tmp_path / "f",
    )
    code, out, err = cli(*asked)
    assert code == 2
    assert "add --yes" in err
    assert "Cost in FLOPs" in out
    assert not small_experiment.exists() or not list(small_experiment.glob("*/*/manifest.json"))
    code, out, err = cli(*asked, "--yes")
    assert code == 0, err
    page = (tmp_path / "f" / "scaling-law.md").read_text("utf-8")
    for figure in re.findall(r"!\[.*?\]\((.*?)\)", page):
        assert (tmp_path / "f" / figure).stat().st_size > 5000
    assert "**Verdict.**" in page
    assert "`scalinglab reproduce scaling-law --scale tiny`" in page
    folder = small_experiment / "scaling-law-tiny"
    assert json.loads((folder / "fit-average.json").read_text("utf-8"))
    # from the packed records alone, without a question
    for run in folder.glob("*/manifest.json"):
        shutil.rmtree(run.parent)
    code, out, err = cli(*asked, "--json")
    assert code == 0, err
    assert json.loads(out)["claims"][0]["verdict"] in {"confirmed", "contradicted", "undecided"}
    assert (tmp_path / "f" / "scaling-law.md").read_text("utf-8") == page
    # the same runs carry a second experiment, which wants them longer
    code, out, err = cli("reproduce", "continual", *asked[2:])
    assert code == 2
    assert "nothing is trained" in " ".join(out.split())
    assert "only to 8 tokens a parameter" in " ".join(err.split())


def test_everything_is_remade_into_pages_and_a_gallery(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {name: EXPERIMENTS[name] for name in ("equivalent-size", "scaling-law")}
    monkeypatch.setattr(catalogue, "EXPERIMENTS", kept)
    monkeypatch.setattr("scalinglab.cli._reproduce.EXPERIMENTS", kept)
    monkeypatch.setattr("scalinglab.cli._reproduce._longest_first", lambda: iter(kept))
    code, out, err = cli(
        "reproduce", "--all", "--figures", tmp_path / "f", "--runs", tmp_path / "none", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert list(found["left_out"]) == ["scaling-law"]
    gallery = (tmp_path / "f" / "README.md").read_text("utf-8")
    assert "[equivalent-size](equivalent-size.md)" in gallery
    for figure in found["figures"]:
        assert Path(figure).stat().st_size > 5000


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("scaling-law", "--scale", "huge"), "scale 'huge' is not known"),
        (("minicpm-law", "--scale", "tiny"), "trains no study of its own"),
        (("minicpm-law", "--all"), "--all takes no experiment"),
        (("scaling-lew",), "did you mean 'scaling-law'?"),
    ],
)
def test_what_cannot_be_is_one_sentence(cli, asked: tuple[str, ...], says: str) -> None:
    code, _, err = cli("reproduce", *asked)
    assert code == 2
    assert says in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize("name", [name for name, one in EXPERIMENTS.items() if one.needs == "runs"])
def test_every_scale_is_the_same_experiment(name: str) -> None:
    """Each scale plans, asks for the same ways of training, and holds each size of the smaller scale's kind."""
    kinds = []
    for scale in wind_tunnel.SCALES:
        study = read_study(wind_tunnel.study_path(EXPERIMENTS[name].study, scale))
        assert plan(study) or plan_full(study)
        kinds.append(
            (
                {entry.name for entry in (*study.branches, *study.full)},
                {key for variant in study.expanded() for key, _ in variant.settings},
                study.schedule.decay,
            )
        )
    assert all(kind[:2] == kinds[0][:2] for kind in kinds)
