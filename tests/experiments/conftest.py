"""Finished studies whose losses are made up from a known law: what a report must find is known too."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from scalinglab.experiments.wind_tunnel import Trained, study_path
from scalinglab.ladder import read_study
from scalinglab.ladder.definition import Run
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import planned_trunks

MakeTrained = Callable[..., Trained]
WEIGHTS = (("wiki", 0.5), ("code", 0.5))


@pytest.fixture
def made_up() -> MakeTrained:
    """(study, scale, loss(run, tokens, eval_set) -> float, sets) -> Trained, a row a run end and set."""

    def make(
        study: str, scale: str, loss: Callable[[Run, float, str], float], sets: Sequence[str] = ("average",)
    ) -> Trained:
        read = read_study(study_path(study, scale))
        trunks = planned_trunks(read, "text", WEIGHTS)
        rows = []
        for trunk in trunks:
            branches = getattr(trunk.plan, "branches", ())
            ends = [(run, run.end, plan.recipe) for run, plan in zip(trunk.branches, branches, strict=True)]
            if trunk.run.kind == "full":
                ends = [(trunk.run, end, trunk.plan.recipe) for end in trunk.plan.stations]  # type: ignore[union-attr]
            for run, end, recipe in ends:
                tokens, n = float(run.batches.tokens_at(end)), float(run.shape.params)
                decay = getattr(run.schedule, "decay", None)
                for name in sets:
                    rows.append(
                        {
                            "run_id": run.id,
                            "trunk_id": trunk.run.id,
                            "kind": run.kind,
                            "size": run.shape.name,
                            "params": n,
                            "params_total": float(run.shape.params_total),
                            "tokens": tokens,
                            "unique_tokens": tokens,
                            "flops_6nd": 6 * n * tokens,
                            "flops_exact": run.shape.flops_exact() * tokens,
                            "eval_set": name,
                            "loss": loss(run, tokens, name),
                            "loss_unit": "nats/byte",
                            "loss_se": 0.005,
                            "seed": run.seed,
                            "lr": run.lr,
                            "batch_tokens": run.batch_tokens,
                            "decay_share": decay.steps / end if decay else 0.0,
                            "recipe": recipe or run.schedule.name,
                            "max_epochs": 0.1,
                            "repeated": False,
                            "parametrisation": run.parametrisation,
                        }
                    )
        table = pd.DataFrame(rows).sort_values(["params", "seed", "kind", "tokens"], ignore_index=True)
        return Trained(scale, read, StudyFolder(Path("nowhere")), trunks, table)

    return make
