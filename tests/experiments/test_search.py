"""A search and what follows it: made-up trials and runs of known bowl and gains, which the report must tell."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglab.errors import InputError
from scalinglab.experiments.found_study import found_study_path, write_found_study
from scalinglab.experiments.search import report_of
from scalinglab.experiments.search_findings import comparison, findings
from scalinglab.experiments.search_words import claims_of
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.ladder import read_study
from scalinglab.ladder.trials import rungs, trial_horizon, trial_size
from scalinglab.records.store import StudyFolder
from scalinglab.records.trials import read_search, search_path
from scalinglab.sweep.graph import planned_trunks

MINICPM = {"lr": 0.01, "scale_emb": 12.0, "scale_depth": 1.4, "init_std": 0.1}
ELSEWHERE = {"lr": 0.02, "scale_emb": 5.0, "scale_depth": 1.4, "init_std": 0.1}
NOISE = 0.01
SEEDS = 3  # of the study's, those that are made up here


def a_search(folder: StudyFolder, bottom: dict[str, float]) -> None:
    """A search whose trials lie on a bowl with its bottom there; every fourth one was pruned, one diverged."""
    study = read_study(study_path("search", "small"))
    assert study.search is not None
    rng = np.random.default_rng(0)
    horizon, first = trial_horizon(study), rungs(study)[0]
    ranges = {name: list(ends) for name, ends in study.search.ranges.items()}
    lines = [
        {"kind": "search", "size": "13k", "params": study.shape(trial_size(study)).params, "horizon": horizon,
         "ranges": ranges, "rungs": rungs(study), "keep": 0.5, "startup": 16, "seed": 0, "run": "x"}
    ]  # fmt: skip
    for number in range(60):
        off = rng.uniform(-1.5, 1.5, 4)
        settings = {name: value * math.exp(x) for x, (name, value) in zip(off, bottom.items(), strict=True)}
        loss = 2.5 + 0.1 * float(off @ off)
        lines.append({"kind": "begin", "trial": number, "settings": settings, "run": f"r{number}"})
        measured = {"kind": "measured", "trial": number, "loss_unit": "nats/byte"}
        if number == 59:
            lines.append({"kind": "diverged", "trial": number, "tokens": 5120})
        elif number % 4 == 3:
            lines.append({**measured, "tokens": first, "loss": loss + 0.5, "then": "pruned"})
        else:
            lines.append({**measured, "tokens": first, "loss": loss + 0.5, "then": "running"})
            lines.append({**measured, "tokens": horizon, "loss": loss, "then": "complete"})
    folder.path.mkdir(parents=True, exist_ok=True)
    search_path(folder).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def trained(
    folder: StudyFolder, bottom: dict[str, float], gain: Callable[[float], float], alone: float = 0.1
) -> Trained:
    """Runs under both settings: seeds move both by -NOISE, 0, NOISE, and the difference by a share `alone` of it."""
    a_search(folder, bottom)
    search = read_search(folder)
    assert search is not None
    path = write_found_study(study_path("search", "small"), folder, search)
    folder.study_path.write_bytes(path.read_bytes())
    study = read_study(found_study_path(study_path("search", "small"), folder))
    trunks = planned_trunks(study, "text", (("wiki", 1.0), ("code", 1.0)))
    rows = []
    for trunk in trunks:
        for run in trunk.branches if trunk.run.seed < SEEDS else ():
            n, seed = run.shape.params, run.seed - 1
            loss = 2.4 - 0.1 * math.log(n / 13_000) + NOISE * seed
            if trunk.variant:
                loss += gain(n) + alone * NOISE * ((seed + round(math.log(n))) % 3 - 1)
            rows.append(
                {"run_id": run.id, "trunk_id": trunk.run.id, "kind": "branch", "eval_set": "average", "loss": loss,
                 "loss_unit": "nats/byte", "seed": run.seed, "tokens": run.batches.tokens_at(run.end)}
            )  # fmt: skip
    return Trained("small", study, folder, trunks, pd.DataFrame(rows))


def test_known_constants_and_gains_are_told(tmp_path: Path) -> None:
    made = trained(StudyFolder(tmp_path), ELSEWHERE, lambda n: -0.05)
    f = findings(made)
    assert f.surface is not None
    for name, value in ELSEWHERE.items():
        assert f.surface.optimum[name].value == pytest.approx(value, rel=1e-6)
        assert f.found[name].lo < value < f.found[name].hi
        assert f.surface.retuned[name].value == pytest.approx(0.1 * math.log(2) ** 2, rel=1e-6)
    assert f.compared.noise == pytest.approx(NOISE, rel=0.1)
    assert f.smallest.value == pytest.approx(-0.05)
    assert f.largest.lo < -0.05 < f.largest.hi < 0
    assert f.compared.trend().lo < 0 < f.compared.trend().hi
    report = report_of(made)
    assert "better than MiniCPM's (-0.05" in report.verdict
    assert "they serve the larger sizes" in report.verdict
    assert set(report.figures) == {"search", "search-progress", "search-sizes"}
    assert not [note for note in report.notes if "No surface" in note]


@pytest.mark.parametrize(
    ("bottom", "gain", "alone", "expected"),
    [
        # serves larger sizes, beats MiniCPM's, keeps its gain, comes out at MiniCPM's
        (ELSEWHERE, lambda n: -0.05, 0.1, ["confirmed", "confirmed", "confirmed", "contradicted"]),
        (MINICPM, lambda n: 0.0, 0.1, ["confirmed", "undecided", "undecided", "confirmed"]),
        # better where it was searched, worse above
        (ELSEWHERE, lambda n: 0.06 * math.log(n / 20_000), 0.1,
         ["contradicted", "confirmed", "contradicted", "contradicted"]),
        (ELSEWHERE, lambda n: 0.05, 0.1, ["contradicted", "contradicted", "contradicted", "contradicted"]),
        # differences that scatter more than they are large
        (MINICPM, lambda n: 0.005, 3.0, ["undecided", "undecided", "undecided", "undecided"]),
    ],
)  # fmt: skip
def test_claims_turn_with_the_numbers(
    tmp_path: Path,
    bottom: dict[str, float],
    gain: Callable[[float], float],
    alone: float,
    expected: list[str],
) -> None:
    claims = claims_of(findings(trained(StudyFolder(tmp_path), bottom, gain, alone)))
    assert [claim.verdict for claim in claims] == expected
    for claim in claims:
        assert bool(claim.decide) == (claim.verdict == "undecided")


def test_a_folder_without_the_runs_that_follow_is_refused(tmp_path: Path) -> None:
    packaged, folder = study_path("search", "small"), StudyFolder(tmp_path)
    with pytest.raises(InputError, match="holds no search of search-small"):
        found_study_path(packaged, folder)
    a_search(folder, MINICPM)
    folder.study_path.write_bytes(packaged.read_bytes())
    with pytest.raises(InputError, match="no runs with constants that the search of search-small found"):
        found_study_path(packaged, folder)
    made = Trained(
        "small", read_study(packaged), folder, [], pd.DataFrame({"kind": ["branch"], "eval_set": "a"})
    )
    with pytest.raises(InputError, match="no variant with found constants"):
        comparison(made)


def test_the_scales_ask_for_the_same() -> None:
    for scale in SCALES:
        study = read_study(study_path("search", scale))
        assert study.search is not None
        assert set(study.search.ranges) == set(MINICPM)
        own = {**study.training.model_dump(), **study.model.model_dump()}
        assert {name: own[name] for name in MINICPM} == MINICPM
        assert trial_size(study).label == study.ladder.sizes[0].label
        assert len(study.ladder.sizes) == 3
        assert len(study.seeds) >= 2
