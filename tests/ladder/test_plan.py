"""The cost of a ladder against the general formula: furthest fork + Σ decays, against Σ ends."""

import pytest

from scalinglab.errors import InputError
from scalinglab.ladder import Study, ledger, plan, plan_full, total


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
    assert trunk.stations == [8, 10, 13]
    cost = ledger([trunk])[0]
    assert (cost.trunk.steps, cost.branch.steps, cost.scratch.steps) == (13, 6, 27)
    assert cost.trunk.flops == 13 * 100 * 6.0 * trunk.shape.params
    assert cost.scratch.flops_exact == 27 * 100 * trunk.shape.flops_exact()


def test_a_horizon_without_an_update_before_its_decay_is_named() -> None:
    with pytest.raises(InputError, match="horizon 100 of size 'a' leaves no update before its decay"):
        plan(study([100, 1_000], 0.1))


def test_the_sum_of_a_ledger() -> None:
    rows = ledger(plan(study([1_000, 2_000], 0.2)))
    assert total(rows[:-1]) == rows[-1]
    assert rows[-1].scratch.steps == sum(row.scratch.steps for row in rows[:-1])


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


def full_study(**sections: object) -> Study:
    found = study([10_000, 20_000], 0.25).model_dump(exclude_none=True)
    return Study.model_validate({**found, **sections})


def test_a_branch_with_its_own_batch_forks_between_updates_and_ends_at_its_horizon() -> None:
    spec = full_study(branches=[{"name": "big", "batch_tokens": 300}, {"name": "small", "batch_tokens": 40}])
    (trunk,) = plan(spec)
    for branch in trunk.branches:
        assert trunk.horizon(branch) in (10_000, 20_000)
        assert trunk.batches.tokens_at(branch.fork) + branch.tokens == trunk.horizon(branch)
        assert branch.tokens == pytest.approx(0.25 * trunk.horizon(branch), rel=0.05)
        assert branch.batches.at(branch.fork) == {"big": 300, "small": 40}[branch.recipe]
        assert branch.batches.at(branch.fork - 1) == 100


def test_a_ramped_trunk_is_counted_in_tokens() -> None:
    ramp = [{"from_tokens": 4_000, "batch_tokens": 200}, {"from_tokens": 12_000, "batch_tokens": 400}]
    training = {"batch_tokens": 100, "lr": 0.01, "batch_ramp": ramp}
    (trunk,) = plan(full_study(training=training))
    assert [trunk.horizon(b) for b in trunk.branches] == [10_000, 20_000]
    assert [b.end for b in trunk.branches] == [40 + 30, 40 + 40 + 20]
    # a quarter of the tokens, to the nearest update
    assert [trunk.batches.tokens_at(b.fork) for b in trunk.branches] == [7_400, 14_800]
    with pytest.raises(InputError, match="the nearest are 19600 and 20000"):
        plan(full_study(training=training, ladder={**full_study().ladder.model_dump(), "horizons": [19_700]}))


def test_runs_from_scratch_end_at_every_horizon() -> None:
    kinds = ["cosine", "linear", "noam", "constant", "wsd-s"]
    schedule = {"warmup_tokens": 500, "decay_share": 0.25}
    spec = full_study(schedule=schedule, full=[{"name": kind, "schedule": kind} for kind in kinds])
    found = plan_full(spec)
    assert [(run.recipe, run.ends) for run in found] == [
        ("cosine", (100,)), ("cosine", (200,)), ("linear", (100,)), ("linear", (200,)),
        ("noam", (100, 200)), ("constant", (100, 200)), ("wsd-s", (100, 200)),
    ]  # fmt: skip
    assert [run.schedule.factor(199) for run in found if run.recipe == "constant"] == [1.0]
    wsds = found[-1].schedule
    assert wsds.factor(99) < 0.1 < wsds.factor(100) == 1.0


def test_horizons_in_tokens_per_parameter_are_whole_batches() -> None:
    sizes = [{"shape": "tiny-10k"}, {"shape": "tiny-47k"}]
    spec = full_study(ladder={"tokens_per_param": [10, 20.5], "sizes": sizes})
    for trunk in plan(spec):
        for branch, ratio in zip(trunk.branches, (10, 20.5), strict=True):
            assert abs(trunk.horizon(branch) - ratio * trunk.shape.params) <= 50


def test_a_preset_is_a_start_that_single_keys_replace() -> None:
    spec = full_study(schedule={"warmup_tokens": 0, "preset": "minicpm", "decay_share": 0.2})
    (trunk,) = plan(spec)
    decays = [branch.schedule.decay for branch in trunk.branches]
    assert [(d.shape, d.steps, d.floor) for d in decays] == [
        ("exponential", 20, 0.1),
        ("exponential", 40, 0.1),
    ]


def test_a_definition_is_read_back_as_it_was() -> None:
    """Every kind of run through JSON and back: the same run, the same identity."""
    import json

    from scalinglab.ladder.definition import root_run, run_of

    spec = full_study(
        training={"batch_tokens": 100, "lr": 0.01, "batch_ramp": [{"from_tokens": 4_000, "batch_tokens": 200}],
                  "optimiser": "muon", "compile": True},
        model={"scale_emb": 10.0, "embedding_as": "matrix"},
        branches=[{"name": "own", "weights": {"a": 1.0}, "clip": 0.5, "beta2": 0.99, "batch_tokens": 400}],
        full=[{"name": "loop", "schedule": "cosine-loop"}, {"name": "s", "schedule": "wsd-s"}],
    )  # fmt: skip
    roots = [
        root_run(spec, root, "text", (("a", 1.0), ("b", 2.0))) for root in (*plan(spec), *plan_full(spec))
    ]
    branches = [roots[0].branch(branch) for branch in plan(spec)[0].branches]
    for run in (*roots, *branches):
        back = run_of(json.loads(json.dumps(run.definition())), run.shape.name)
        assert (back, back.id) == (run, run.id)
    assert branches[0].mixtures == ((branches[0].start, (("a", 1.0), ("b", 0.0))),)
    assert (branches[0].clip, branches[0].betas) == (0.5, (0.9, 0.99))
    assert len({run.id for run in (*roots, *branches)}) == len(roots) + len(branches)
