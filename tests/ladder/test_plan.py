"""The cost of a ladder against the general formula: furthest fork + Σ decays, against Σ ends."""

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import Study, ledger, plan, total


def study(horizons: list[int], share: float, batch: int = 100) -> Study:
    return Study.model_validate(
        {
            "data": {"mix": "stdlib", "context": batch},
            "training": {"batch_tokens": batch, "lr": 0.01},
            "schedule": {"warmup_tokens": 0, "decay_share": share},
            "ladder": {
                "horizons": horizons,
                "sizes": [{"name": "a", "width": 8, "layers": 1, "heads": 1, "ff": 16}],
            },
        }
    )


# Equally spaced horizons 1..n: n(n+1)/2 over (1−f)·n + f·n(n+1)/2, and MiniCPM's (10, 15, 20, 30, 40, 60)·N.
@pytest.mark.parametrize(
    ("units", "share", "published"),
    [(range(1, 7), 0.1, 2.80), (range(1, 21), 0.1, 5.38), ((10, 15, 20, 30, 40, 60), 0.1, 2.45)],
)
def test_ratio_is_the_published_one(units, share: float, published: float) -> None:
    trunks = plan(study([u * 1_000_000 for u in units], share))
    everything = ledger(trunks)[-1]
    assert everything.ratio == pytest.approx(published, abs=0.005)
    n = max(units)
    exact = sum(units) / ((1 - share) * n + share * sum(units))
    assert everything.ratio == pytest.approx(exact, rel=1e-12)
    assert everything.ratio_exact == pytest.approx(exact, rel=1e-12)


def test_the_ledger_counts_whole_updates() -> None:
    (trunk,) = plan(study([1_000, 1_700], 0.25))
    # 10 updates decay over round(2.5) = 2 of them, 17 over round(4.25) = 4
    assert [(b.fork, b.end) for b in trunk.branches] == [(8, 10), (13, 17)]
    assert trunk.steps == 13
    assert trunk.evaluations == [8, 10, 13]
    cost = ledger([trunk])[0]
    assert (cost.trunk_steps, cost.branch_steps, cost.scratch_steps) == (13, 6, 27)
    assert cost.trunk_flops == 13 * 100 * 6.0 * trunk.shape.params
    assert cost.scratch_flops_exact == 27 * 100 * trunk.shape.flops_exact()


def test_a_horizon_without_an_update_before_its_decay_is_named() -> None:
    with pytest.raises(
        InputError, match="horizon 100 of size 'a': a horizon of 1 update leaves no update before"
    ):
        plan(study([100, 1_000], 0.1))


def test_the_sum_of_a_ledger() -> None:
    rows = ledger(plan(study([1_000, 2_000], 0.2)))
    assert total(rows[:-1]) == rows[-1]
    assert rows[-1].scratch_steps == sum(row.scratch_steps for row in rows[:-1])


def test_the_quickstart_is_a_full_grid_without_a_second_epoch() -> None:
    from scalinglab.experiments.quickstart import STUDY
    from scalinglab.ladder import read_study

    quick = read_study(STUDY)
    trunks = plan(quick)
    horizons = [set(quick.horizons(size)) for size in quick.ladder.sizes]
    shared = set.intersection(*horizons)
    assert len(shared) >= 4
    assert max(shared) >= 8 * min(shared)
    assert len(horizons[0]) >= 8
    assert trunks[-1].shape.params >= 8 * trunks[0].shape.params
    assert trunks[0].shape.params >= 10_000
    shortest = trunks[0].branches[0]
    assert shortest.end >= 500
    assert shortest.steps >= 50
    assert 512 <= quick.training.batch_tokens <= 1024
    # the smallest source of its mix holds 1.6 MB, and each gets a sixth
    assert max(map(max, horizons)) / 6 < 1.6e6


def test_a_field_added_later_leaves_the_identity_of_older_runs() -> None:
    from dataclasses import dataclass

    from scalinglab.ladder.identity import digest, later, plain

    @dataclass(frozen=True)
    class Old:
        a: int = 1
        b: tuple[int, ...] = (2, 3)

    @dataclass(frozen=True)
    class New(Old):
        c: str = later("plain")

    assert plain(New()) == plain(Old()) == {"a": 1, "b": [2, 3]}
    assert digest(plain(New())) == digest(plain(Old())) != digest(plain(New(c="other")))


def test_shipped_runs_keep_their_ids() -> None:
    """The quickstart's records, trained by an earlier version, are still what its study plans."""
    from pathlib import Path

    from scalinglab.ladder import read_study
    from scalinglab.records.store import StudyFolder
    from scalinglab.sweep.study_run import begun

    folder = StudyFolder(Path(__file__).parents[2] / "notebooks" / "data" / "quickstart")
    planned = begun(read_study(folder.study_path), folder)
    ids = {run.id for trunk in planned for run in (trunk.run, *trunk.branches)}
    assert ids == {run.path.name for run in folder.runs()}
