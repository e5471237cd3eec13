"""A sweep before it runs: its ledger against the general formula, its time against the order of work."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scalinglab.ladder import named_shape, read_study, state_bytes
from scalinglab.records.store import StudyFolder
from scalinglab.sweep import throughput
from scalinglab.sweep.forecast import _makespan, forecast, timed_runs
from scalinglab.sweep.graph import planned_trunks, tasks
from scalinglab.sweep.throughput import Throughput

GRID = """
data = { mix = "small" }
training = { batch_tokens = 512, lr = 0.006 }
schedule = { warmup_tokens = 25_600, decay_share = 0.1 }
[ladder]
tokens_per_param = [10, 15, 20, 30, 40, 60]
sizes = [{ shape = "tiny-10k" }, { shape = "tiny-20k" }, { shape = "tiny-47k" }, { shape = "tiny-100k" },
         { shape = "tiny-200k" }, { shape = "tiny-500k" }]
"""


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(GRID, "utf-8")
    return path


def test_six_sizes_by_six_horizons_cost_what_the_formula_says(grid: Path, tmp_path: Path) -> None:
    """Per size the furthest fork + Σ decay_i, against Σ end_i; MiniCPM's grid saves 2.45 times."""
    found = forecast(read_study(grid), StudyFolder(tmp_path / "none"), Throughput({}, "none"), 2)
    assert found.cost.ratio == pytest.approx(2.448, abs=0.002)
    assert (found.seconds, found.outstanding) == (None, found.tasks)
    for size in found.sizes:
        updates = [end // 512 for end in size.horizons]
        decays = [max(1, round(0.1 * end)) for end in updates]
        per_token = named_shape(f"tiny-{size.size}").flops_exact()
        assert size.cost.trunk.steps == max(end - decay for end, decay in zip(updates, decays, strict=True))
        assert size.cost.branch.steps == sum(decays)
        assert size.cost.scratch.flops_exact == sum(size.horizons) * per_token
        assert (size.trunks, size.branches) == (1, 6)


def test_merges_are_counted_apart_and_keep_nothing(grid: Path, tmp_path: Path) -> None:
    """They add what their trunk needs for them: states of it, and the way to the last one."""
    merges = '[[merges]]\nname = "mean"\ndecay = "linear"\ndecay_share = 0.2\ncheckpoints = 5\n'
    merged = grid.with_name("merged.toml")
    merged.write_text(grid.read_text("utf-8").replace("[ladder]", f"{merges}[ladder]"), "utf-8")
    plain, found = (
        forecast(read_study(path), StudyFolder(tmp_path / "none"), Throughput({}, "none"), 2)
        for path in (grid, merged)
    )
    trunks = {each.run.shape.name: each for each in planned_trunks(read_study(merged), "text", (("a", 1.0),))}
    for before, size in zip(plain.sizes, found.sizes, strict=True):
        assert (size.branches, size.merges, before.merges) == (6, 6, 0)
        assert size.cost.branch == before.cost.branch
        assert size.cost.scratch == before.cost.scratch
        assert size.cost.trunk.tokens == max(size.horizons)
        trunk = trunks[size.size]
        assert size.disk_bytes == (len(trunk.plan.stations) + 6) * state_bytes(trunk.run.shape)


def test_the_dry_run_opens_neither_torch_nor_text(grid: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from scalinglab.cli import main\n"
        f"sys.argv = ['scalinglab', 'sweep', {str(grid)!r}, '--dry-run', '--json', '--out', 'out']\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cost"]["ratio"] == pytest.approx(2.448, abs=0.002)
    assert not (tmp_path / "out").exists()


def test_a_speed_is_the_measured_one_or_lies_between_its_neighbours(tmp_path: Path) -> None:
    small, middle, large = (named_shape(f"tiny-{name}") for name in ("10k", "47k", "200k"))
    throughput.store([(small, 512, False, "", 0.004), (large, 512, False, "", 0.02)], tmp_path)
    throughput.store([(large, 512, False, "", 0.03)], tmp_path)
    known = throughput.stored(tmp_path)
    assert known.rate(large, 512) == throughput.Rate(0.03, "measured")
    between = known.rate(middle, 512)
    assert between is not None
    assert between.source == "interpolated"
    assert 0.004 < between.seconds_per_step < 0.03
    beyond = known.rate(named_shape("tiny-1m"), 512)
    assert beyond is not None
    assert (beyond.source, beyond.seconds_per_step > 0.03) == ("extrapolated", True)
    assert known.rate(middle, 512, compiled=True) is None
    (tmp_path / "throughput.json").write_text("{", "utf-8")
    assert throughput.stored(tmp_path).rate(small, 512) is None


def test_the_time_of_a_sweep_lies_between_its_bounds(grid: Path) -> None:
    every = tasks(planned_trunks(read_study(grid), "text", (("a", 1.0),)))
    seconds = {task.id: float(1 + i % 7) for i, task in enumerate(every)}
    whole = sum(seconds.values())
    longest: dict[str, float] = {}
    for task in every:
        longest[task.id] = seconds[task.id] + max((longest[need] for need in task.needs), default=0.0)
    assert _makespan(every, seconds, 1) == pytest.approx(whole)
    assert _makespan(every, seconds, len(every)) == pytest.approx(max(longest.values()))
    times = [_makespan(every, seconds, workers) for workers in (1, 2, 3, 4)]
    for workers, time in enumerate(times, 1):
        assert time is not None
        # Graham 1966: no list schedule is longer than this, and none shorter than its bounds
        assert max(whole / workers, max(longest.values())) <= time
        assert time <= whole / workers + max(longest.values())
    assert all(one >= other for one, other in itertools.pairwise(times))


def test_what_stands_is_not_counted_again_and_speeds_are_kept(
    tiny_study: Path, tmp_path: Path, in_process: object
) -> None:
    from scalinglab.sweep import prepare, run

    folder = StudyFolder(tmp_path / "runs")
    study = read_study(tiny_study)
    assert forecast(study, folder, throughput.stored(), 1).outstanding > 0
    run(prepare(tiny_study, folder.path), tiny_study, 2)
    known = throughput.stored()
    found = forecast(study, folder, known, 1)
    assert (found.outstanding, found.seconds) == (0, 0.0)
    for one in timed_runs(study, folder):
        rate = known.rate(one.shape, one.batch_tokens)
        assert rate is not None
        assert rate.source == "measured"
        assert 1e-4 < rate.seconds_per_step < 1.0
