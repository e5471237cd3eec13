"""Inside the decay: made-up records of known laws, which the report must find, and turn with."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from scalinglab import plots
from scalinglab.errors import InputError
from scalinglab.experiments.decay_dynamics import claims_of, report_of
from scalinglab.experiments.dynamics_findings import Findings
from scalinglab.experiments.dynamics_records import Dynamics
from scalinglab.experiments.wind_tunnel import SCALES, Trained, study_path
from scalinglab.ladder import plan, read_study
from scalinglab.ladder.definition import Run
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import planned_trunks

Law = dict[str, Callable[[float], float]]
"""Column -> its value at a learning rate, as a share of the trunk's."""

LAW: Law = {
    "update_max": lambda r: 0.02 * r,
    "update_norm": lambda r: 0.3 * r,
    "grad_norm_mean": lambda r: 0.4 + 0.1 * r,
    "grad_inner": lambda r: 0.02 + 0.02 * r,
    "cosine": lambda r: 0.2 - 0.4 * r,
    "cosine_positive": lambda r: 0.8 - 0.5 * r,
    "slope_own": lambda r: -0.1 * r,
    "slope": lambda r: -0.03 * r,
    "slope_next": lambda r: -0.02 * r,
    "curvature": lambda r: 0.3 - 0.1 * r,
    "curvature_consecutive": lambda r: 0.3 - 0.1 * r + 0.5 / r,
    "bend": lambda r: 0.3 - 0.1 * r,
    "bend_consecutive": lambda r: 0.3 - 0.1 * r + 0.5 / r,
    "loss_change": lambda r: -0.001,
}


def made_up(
    folder: Path, law: Law, fall: float = 0.1, trunk_fall: float = 0.01, probed: bool = True, recipes: int = 1
) -> Trained:
    """The small study's runs to its first horizon, of its first `recipes` decays; seeds differ by a hundredth.

    Held-out losses fall by `fall` in a decay, and by `trunk_fall` in 200 updates of a trunk.
    """
    study = read_study(study_path("decay-dynamics", "small"))
    short = study.ladder.model_copy(update={"horizons": [1_024_000], "checkpoints": [614_400, 1_024_000]})
    study = study.model_copy(update={"ladder": short, "branches": study.branches[:recipes]})
    trunks = planned_trunks(study, "text", (("wiki", 0.5), ("code", 0.5)))
    rows: list[dict[str, Any]] = []

    def train(run: Run, end: int) -> None:
        lines = []
        for step in range((run.start // 10 + 1) * 10, end + 1, 10):
            factors = [run.schedule.factor(each) for each in range(step - 10, step)]
            rate = sum(factors) / 10
            record = {
                "kind": "train",
                "step": step,
                "tokens": 1024 * step,
                "loss": 2.5,
                "lr": run.lr * factors[-1],
            }
            seen = {"probed": 10, "displacement": 0.5 * rate, "weight_norm": 30.0}
            seen |= {key: of(rate) * (1 + 0.01 * (run.seed - 1)) for key, of in law.items()}
            lines.append(json.dumps(record | (seen if probed else {})))
        path = folder / run.id / "metrics.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines), "utf-8")

    def measured(run: Run, step: int, kind: str, loss: float) -> None:
        common = {"run_id": run.id, "trunk_id": run.parent or run.id, "kind": kind, "tokens": 1024.0 * step}
        common |= {
            "loss": loss + 0.02 * run.seed,
            "eval_set": "average",
            "loss_unit": "nats/byte",
            "seed": run.seed,
        }
        rows.append(common)

    for trunk in trunks:
        train(trunk.run, trunk.plan.stations[-1])
        for station in trunk.plan.stations:
            measured(trunk.run, station, "trunk", 2.5 - trunk_fall * station / 200)
        for run in trunk.branches:
            train(run, run.end)
            measured(run, run.end, "branch", 2.5 - trunk_fall * run.start / 200 - fall)
    return Trained("small", study, StudyFolder(folder), trunks, pd.DataFrame(rows))


def verdicts(trained: Trained) -> list[str]:
    return [claim.verdict for claim in claims_of(Findings(Dynamics(trained)))]


def test_known_laws_are_recovered_and_judged(tmp_path: Path) -> None:
    trained = made_up(tmp_path, LAW)
    said = Findings(Dynamics(trained))
    assert said.follows.value == pytest.approx(1.0, abs=1e-6)
    # a decay by 1 − √x takes its share ∫(1 − √x)dx = 1/3 of the trunk's path, and late in it 2∫_½^1 of its rate
    assert said.path.value == pytest.approx(1 / 3, abs=5e-3)
    late = 2 * (0.5 - 2 / 3 * (1 - 0.5**1.5))
    assert said.rate == pytest.approx(late, abs=5e-3)
    assert said.fall.value == pytest.approx(0.1)
    # a decay of 200 updates, each of which changes the loss by a thousandth
    assert said.fall_trunk.value == pytest.approx(0.01)
    assert said.fall_before.value == pytest.approx(0.01)
    assert said.changes.value == pytest.approx(0.2)
    norm = said.ratio("grad_norm_mean")
    assert norm.against.value == pytest.approx((0.4 + 0.1 * late) / 0.5, abs=1e-3)
    assert norm.against.lo == pytest.approx(norm.against.hi)  # seeds scale decay and trunk alike
    assert norm.decay.lo < norm.decay.value < norm.decay.hi
    assert said.ratio("grad_inner", 0.5).against.value == pytest.approx(math.sqrt(0.5 * (1 + late)), abs=1e-3)
    assert said.differs("cosine").against.value == pytest.approx(0.4 * (1 - late), abs=2e-3)
    assert said.magnitude("slope_next").against.value == pytest.approx(late - 1, abs=5e-3)
    assert said.noise_share(False) == pytest.approx(1 - 0.04 / 0.25, abs=2e-3)
    assert said.ratio("curvature").against.value == pytest.approx((0.3 - 0.1 * late) / 0.2, abs=2e-3)
    assert verdicts(trained) == ["confirmed"] * 6 + ["contradicted"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"update_max": lambda r: 0.02}, [0]),
        ({"update_norm": lambda r: 0.3 / r}, [1]),
        ({"grad_norm_mean": lambda r: 0.5 - 0.1 * r}, [2]),
        ({"cosine_positive": lambda r: 0.9 - 0.2 * r}, [3]),  # so it is on the trunk already
        ({"slope_next": lambda r: 0.01 - 0.02 / math.sqrt(r)}, [4]),
        ({"slope_next": lambda r: 0.02 * r - 0.005}, [4]),  # smaller, but of the other sign
        # the paper's reading grows all the same
        ({"curvature": lambda r: 0.2 + 0.1 * r}, [5]),
    ],
)
def test_verdicts_turn_with_the_numbers(tmp_path: Path, changed: Law, expected: list[int]) -> None:
    found = verdicts(made_up(tmp_path, LAW | changed))
    assert [i for i, verdict in enumerate(found[:6]) if verdict == "contradicted"] == expected
    assert found[6] == "contradicted"


def test_a_loss_that_the_decay_does_not_lower_and_a_tenfold_bend(tmp_path: Path) -> None:
    trained = made_up(tmp_path, LAW | {"bend": lambda r: 0.3 / r**2}, fall=0.0)
    found = list(claims_of(Findings(Dynamics(trained))))
    assert found[1].verdict == "contradicted"
    assert found[6].verdict == "confirmed"


def test_seeds_that_disagree_leave_it_undecided(tmp_path: Path) -> None:
    trained = made_up(tmp_path, LAW)
    for trunk in trained.trunks:
        for run in trunk.branches:  # the norm rises in one seed's decays and falls in the others'
            path = trained.folder.run(run.id).metrics_path
            records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            scale = (0.8, 1.0, 1.6)[run.seed]
            records = [each | {"grad_norm_mean": scale * each["grad_norm_mean"]} for each in records]
            path.write_text("\n".join(map(json.dumps, records)), "utf-8")
    claim = list(claims_of(Findings(Dynamics(trained))))[2]
    assert claim.verdict == "undecided"
    assert claim.decide


def test_the_report_is_made_of_these_figures_and_its_figures_draw(tmp_path: Path) -> None:
    report = report_of(made_up(tmp_path, LAW, recipes=3))
    assert "confirmed" in report.verdict
    assert "loss falls by 0.1 [0.1, 0.1] nats/byte" in report.verdict
    table = next(iter(report.tables.values())).set_index("figure")
    assert float(table.loc["gradient norm of a batch", "trunk"]) == pytest.approx(0.5)
    assert len(next(reversed(report.tables.values()))) == 3
    for draw in report.figures.values():
        with plots.style("paper"):
            figure = draw().get_figure()
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()


def test_what_cannot_be_told_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trained without a probe; give the study a section \[probe\]"):
        Dynamics(made_up(tmp_path / "a", LAW, probed=False))
    short = made_up(tmp_path / "b", LAW)
    for trunk in short.trunks:  # its trunks end at the first fork
        path = short.folder.run(trunk.run.id).metrics_path
        path.write_text("\n".join(path.read_text("utf-8").splitlines()[:80]), "utf-8")
    with pytest.raises(
        InputError, match=r"no trunk goes on beside a decay to its end; name that horizon in ladder"
    ):
        Dynamics(short)


def test_the_three_studies_are_one_experiment() -> None:
    studies = {scale: read_study(study_path("decay-dynamics", scale)) for scale in SCALES}
    for study in studies.values():
        assert study.probe is not None
        assert [entry.name for entry in study.branches] == [entry.name for entry in studies["small"].branches]
        assert max(study.ladder.checkpoints) == max(
            study.ladder.horizons
        )  # the trunk goes on beside every decay
        for trunk in plan(study):
            for branch in trunk.branches:
                assert {branch.fork, branch.end} <= set(trunk.stations)
            main = [each for each in trunk.branches if each.recipe == "1-sqrt-20"]
            assert {each.fork - each.steps for each in main} <= set(trunk.stations)
