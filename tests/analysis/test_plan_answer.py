"""What a ladder would cost, against closed forms, the ladder's own ledger and MiniCPM's grid."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from scalinglab.analysis import ladder_saving, plan
from scalinglab.errors import InputError
from scalinglab.ladder import ledger, read_study
from scalinglab.ladder import plan as trunks_of

QUICK = Path(__file__).resolve().parents[2] / "scalinglab" / "experiments" / "quickstart.toml"
MINICPM = [0.031e9, 0.11e9, 0.25e9, 0.49e9, 0.85e9, 2.0e9]
GRID = [10, 15, 20, 30, 40, 60]


# n(n+1)/2 over (1−f)·n + f·n(n+1)/2 at f = 0.1, and (1+f)·n(n+1)/2 over n + f·n(n+1)/2 where decays are appended
@pytest.mark.parametrize(
    ("horizons", "decay", "published"),
    [
        (range(1, 7), "inside", 2.80),
        (range(1, 21), "inside", 5.38),
        (GRID, "inside", 2.45),
        (range(1, 7), "appended", 2.85),
        (range(1, 21), "appended", 5.63),
        (GRID, "appended", 2.48),
    ],
)
def test_savings_are_the_published_ones(horizons, decay: str, published: float) -> None:
    assert ladder_saving(horizons, 0.1, decay) == pytest.approx(published, abs=0.005)
    found = plan([1e8, 1e9], tokens_per_param=horizons, decay=decay)
    assert found.saved == pytest.approx(ladder_saving(horizons, 0.1, decay), rel=1e-12)
    assert (found.rows["saved"] - found.saved).abs().max() < 1e-12


@pytest.mark.parametrize(("decay", "limit"), [("inside", 1 / 0.1), ("appended", 1.1 / 0.1)])
def test_the_saving_tends_to_the_share_and_not_to_the_number(decay: str, limit: float) -> None:
    many = [ladder_saving(range(1, n + 1), 0.1, decay) for n in (10, 100, 1000, 100_000)]
    assert many == sorted(many)
    assert many[-1] < limit
    assert many[-1] == pytest.approx(limit, rel=2e-3)
    assert ladder_saving([7], 0.3, decay) == pytest.approx(1.0)


def test_minicpms_grid_in_flops_by_hand() -> None:
    found = plan(MINICPM, tokens_per_param=GRID)
    # a horizon of k·N costs 6·k·N²; the furthest fork is 54·N, the decays are 17.5·N in all
    squares = sum(n**2 for n in MINICPM)
    assert found.flops == pytest.approx(6 * (54 + 17.5) * squares, rel=1e-12)
    assert found.all["scratch_flops"] == pytest.approx(6 * 175 * squares, rel=1e-12)
    assert found.all["trunk_tokens"] == pytest.approx(54 * sum(MINICPM))
    assert math.isnan(found.all["flops_exact"])
    assert list(found.rows["horizons"]) == [6] * 6 + [36]


def test_a_study_costs_what_its_ledger_says() -> None:
    study = read_study(QUICK)
    found = plan(QUICK)
    whole = ledger(trunks_of(study))[-1]
    assert found.flops == whole.ladder.flops_exact
    assert found.saved == whole.ratio_exact
    assert plan(study, cost="6ND").saved == whole.ratio
    for part in (whole.trunk, whole.branch, whole.scratch):
        assert part.tokens == 512 * part.steps
    tokens = [float(part.tokens) for part in (whole.trunk, whole.branch, whole.scratch)]
    assert [found.all[f"{part}_tokens"] for part in ("trunk", "branch", "scratch")] == tokens
    for column in ("flops", "flops_exact", "branch_tokens", "horizons", "trunks"):
        assert found.rows[column].iloc[:-1].sum() == found.all[column]
        assert found.trunks[column].sum() == found.all[column]
    assert len(found.trunks) == 8


def test_hours_and_money_are_flops_over_what_the_devices_do() -> None:
    found = plan(QUICK, hardware="1.5e11", mfu=0.3, price=2.5)
    assert found.hours == pytest.approx(found.flops / (1.5e11 * 0.3) / 3600, rel=1e-12)
    assert found.money == pytest.approx(2.5 * found.hours, rel=1e-12)
    assert found.all["scratch_hours"] == pytest.approx(found.hours * found.saved, rel=1e-12)
    h100 = plan(MINICPM, tokens_per_param=GRID, hardware="h100")
    assert h100.hours == pytest.approx(h100.flops / (989e12 * 0.4) / 3600)
    assert math.isnan(h100.money)
    assert "device-hours on h100 at 40% MFU" in h100.headline()
    assert math.isnan(plan(QUICK).hours)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ("h1000.toml", {}, "cannot be read"),
        (QUICK, {"hardware": "h1000"}, "did you mean 'h100'"),
        (QUICK, {"hardware": "h100", "mfu": 0.0}, "MFU is a share between 0 and 1"),
        (QUICK, {"hardware": "h100", "mfu": 1.2}, "MFU is a share between 0 and 1"),
        (QUICK, {"hardware": "0"}, "peak FLOP/s must be a positive number"),
        (QUICK, {"mfu": 0.4}, "mfu needs hardware"),
        (QUICK, {"price": 2.0}, "price needs hardware"),
        (QUICK, {"hardware": "h100", "price": -1.0}, "a price per hour cannot be"),
        (QUICK, {"tokens": [1e9]}, "tokens= goes with plain sizes"),
        (QUICK, {"decay": "appended"}, "decay= goes with plain sizes"),
        (QUICK, {"cost": "7ND"}, 'cost="6ND" or "exact"'),
        (QUICK.parent, {}, "a folder without a study.toml"),
        ([0.0], {"tokens": [1e9]}, "a size in parameters is a positive number"),
        ([1e9], {"tokens": [0.0]}, "a horizon is a positive number"),
        ([1e9], {"tokens": []}, "at least one horizon"),
        ([], {"tokens": [1e9]}, "at least one size"),
        ([1e9, 1e9], {"tokens": [1e9]}, "name one twice"),
        ([1e9], {}, "give either tokens= or tokens_per_param="),
        ([1e9], {"tokens": [1e9], "decay_share": 1.0}, "decay_share is a share"),
        ([1e9], {"tokens": [1e9], "decay": "before"}, 'not \'before\''),
        ([1e9], {"tokens": [1e9], "cost": "exact"}, "needs the shapes of a study file"),
        (None, {"tokens": [1e9]}, "a size in parameters is a positive number"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_said(arguments, options, said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan(arguments, **options)


def test_a_study_that_does_not_parse_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(QUICK.read_text("utf-8").replace("decay_share", "decay_shore"), "utf-8")
    with pytest.raises(InputError, match=r"study\.toml: key `schedule.decay_shore` is not a key"):
        plan(path)


def test_the_command_prints_and_writes(cli, tmp_path: Path) -> None:
    picture = tmp_path / "cost.png"
    code, out, err = cli("plan", QUICK, "--hardware", "1.5e11", "--price", 2, "--figure", picture)
    assert (code, err) == (0, "")
    assert "4 sizes, 8 trunks, 28 branches" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert picture.stat().st_size > 0
    code, out, err = cli("plan", "--params", "1e8,1e9", "--tokens-per-param", "10,20,40", "--json")
    found = json.loads(out)
    assert found["rows"][-1]["saved"] == pytest.approx(ladder_saving([10, 20, 40], 0.1))
    assert found["rows"][-1]["params"] is None
    for arguments in ([], [QUICK, "--params", "1e8"], ["--params", "big", "--tokens", "1e9"]):
        code, out, err = cli("plan", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")


def test_planning_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from scalinglab.analysis import plan\n"
        f"plan({str(QUICK)!r}, hardware='h100')\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
        "from scalinglab.cli import main\n"
        f"sys.argv = ['scalinglab', 'plan', {str(QUICK)!r}, '--figure', {str(tmp_path / 'cost.png')!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
