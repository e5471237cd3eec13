"""The folder in which a page's blocks run: a table from a known law, its fit, a study, the runs of the notebooks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglab import fitting, laws, read_runs
from scalinglab.experiments import catalogue
from scalinglab.ladder import DECAYS, SCHEDULES
from scalinglab.records.importers import FORMATS

from .blocks import ROOT

KNOWN = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages speak of, to be copied."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    grid = [(n, d) for n in (5e7, 1.5e8, 4e8, 1.1e9, 3e9) for d in (2e9, 5e9, 1.2e10, 3e10)]
    runs = pd.DataFrame(grid, columns=["params", "tokens"])
    runs["loss"] = laws.Chinchilla().predict(KNOWN, params=runs["params"], tokens=runs["tokens"])
    runs["loss"] *= np.exp(rng.normal(0.0, 0.003, len(runs)))
    runs.to_csv(folder / "table.csv", index=False)
    fitting.fit(laws.Chinchilla(), read_runs(folder / "table.csv")).to_json(folder / "fit.json")
    shutil.copytree(ROOT / "notebooks" / "data", folder / "notebooks" / "data")
    shutil.copytree(ROOT / "notebooks" / "data" / "quickstart", folder / "runs" / "quickstart")
    study = (ROOT / "scalinglab" / "experiments" / "quickstart.toml").read_text("utf-8")
    (folder / "my_study.toml").write_text(study, "utf-8")
    return folder


@pytest.fixture
def page_folder(
    filled_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: None
) -> Iterator[Path]:
    """The current folder of one page, a copy of its own; what a page adds to the package's catalogues is taken back."""
    folder = tmp_path / "page"
    shutil.copytree(filled_folder, folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("COLUMNS", "80")
    catalogues = [DECAYS, SCHEDULES, FORMATS, catalogue.EXPERIMENTS]
    before = [dict(each) for each in catalogues]
    yield folder
    for each, entries in zip(catalogues, before, strict=True):
        each.clear()
        each.update(entries)
