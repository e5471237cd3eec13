"""Batch and learning-rate laws: known laws recovered, bounds called bounds, intervals against simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scalinglab.analysis import ExtrapolationWarning, batch_lr, iso_loss
from scalinglab.analysis.cell_regression import Draws, regression
from scalinglab.analysis.sweep_cells import Surface, read_sweep
from scalinglab.errors import InputError

LR, BATCH = (2.0, -0.7, 0.3), (0.5, 0.58)
NAMES = ("lr_c", "lr_params", "lr_tokens", "batch_c", "batch_tokens")
CELLS = [(n, n * ratio) for n in (1e8, 2e8, 4e8) for ratio in (10.0, 40.0, 150.0)]


def lr_of(n: float, d: float) -> float:
    return LR[0] * n ** LR[1] * d ** LR[2]


def batch_of(n: float, d: float) -> float:
    return BATCH[0] * d ** BATCH[1]


def sweep(
    noise: float = 0.0, seed: int = 0, spread: float = 0.0, cells=CELLS, best_batch=batch_of
) -> pd.DataFrame:
    """Valleys tilted in (ln lr, ln batch) on a grid of powers of two that misses their bottoms."""
    rng = np.random.default_rng(seed)
    rows = []
    for n, d in cells:
        u0 = math.log(lr_of(n, d)) + rng.normal(0, spread)
        v0 = math.log(best_batch(n, d)) + rng.normal(0, spread)
        for lr in 2.0 ** np.arange(-13, -4.5):
            for batch in 2.0 ** np.arange(14, 24):
                u, v = math.log(lr) - u0, math.log(batch) - v0
                if max(abs(u), abs(v)) < 2.2:
                    rise = 0.008 * u * u - 0.004 * u * v + 0.006 * v * v
                    rows.append((n, d, (2 + 30 * n**-0.2) * math.exp(rise + rng.normal(0, noise)), lr, batch))
    return pd.DataFrame(rows, columns=["params", "tokens", "loss", "lr", "batch_tokens"])


# ---- cells ------------------------------------------------------------------------------------------


def test_the_smooth_minimum_lies_between_the_runs() -> None:
    """The grid misses the optimum by up to a step; without noise the surface finds it to 1e-6."""
    cells = batch_lr(sweep()).cells
    np.testing.assert_allclose(cells["lr"], [lr_of(*cell) for cell in CELLS], rtol=1e-6)
    np.testing.assert_allclose(cells["batch_tokens"], [batch_of(*cell) for cell in CELLS], rtol=1e-6)
    least = batch_lr(sweep(), "grid").cells
    assert np.abs(np.log(least["lr"] / cells["lr"])).max() > 0.2
    assert np.abs(np.log(least["lr"] / cells["lr"])).max() < math.log(2)


def test_a_cells_interval_covers_its_optimum() -> None:
    """90 % intervals of 9 cells in 20 sweeps: 180 of them hold the truth in 83 to 96 %."""
    inside = []
    for seed in range(20):
        cells = batch_lr(sweep(0.002, seed), resamples=10).cells
        truth = np.array([lr_of(*cell) for cell in CELLS])
        inside += list((cells["lr_lo"] <= truth) & (truth <= cells["lr_hi"]))
    assert 0.83 <= np.mean(inside) <= 0.96


def test_an_optimum_at_the_edge_is_a_bound() -> None:
    runs = sweep()
    cut = runs[(runs["tokens"] != CELLS[0][1]) | (runs["batch_tokens"] > 1.3 * batch_of(*CELLS[0]))]
    for where in ("smooth", "grid"):
        found = batch_lr(cut, where)  # type: ignore[arg-type]
        row = found.cells.iloc[0]
        assert row["edge"] == "batch low"
        assert not row["used"]
        assert row["batch_tokens"] == pytest.approx(
            cut.loc[cut["tokens"] == CELLS[0][1], "batch_tokens"].min()
        )
        assert found.cells["used"].sum() == len(CELLS) - 1
        assert any("edge of their grid (batch low 1)" in note for note in found.notes)
    assert batch_lr(cut, edges="keep").cells["used"].all()


def test_a_grid_bounded_by_divergence_has_no_edge_there() -> None:
    """Runs beyond the best learning rate that diverged were tried: they bracket the optimum."""
    runs = sweep()
    high = (
        np.log(runs["lr"] / [lr_of(n, d) for n, d in zip(runs["params"], runs["tokens"], strict=True)]) > 0.4
    )
    burst = runs.assign(loss=runs["loss"].where(~high, 9.0))
    found = batch_lr(burst, "grid", diverged=5.0)
    assert found.notes[0] == f"{high.sum()} of {len(runs)} runs diverged (loss above 5): left out."
    assert (found.cells["edge"] == "").all()


def test_replicates_and_rounded_grids_are_one() -> None:
    """Learning rates and tokens that differ by rounding share a cell and a column of the grid."""
    runs = sweep()
    other = runs.assign(lr=runs["lr"] * 1.001, tokens=runs["tokens"] * 0.999)
    cells = read_sweep(pd.concat([runs, other])).cells
    assert [len(cell.log_loss) for cell in cells] == [len(cell.log_loss) for cell in read_sweep(runs).cells]


# ---- Step Law ---------------------------------------------------------------------------------------


def test_a_known_law_is_recovered_exactly() -> None:
    found = batch_lr(sweep())
    for name, true in (
        ("lr_c", 2.0),
        ("lr_params", -0.7),
        ("lr_tokens", 0.3),
        ("batch_c", 0.5),
        ("batch_tokens", 0.58),
    ):
        assert getattr(found, name).value == pytest.approx(true, rel=1e-4)
    assert found.batch_params.value == pytest.approx(0, abs=1e-6)
    at = found.at(3e8, 1e10)
    assert at.lr.value == pytest.approx(lr_of(3e8, 1e10), rel=1e-5)
    assert at.batch_tokens.value == pytest.approx(batch_of(3e8, 1e10), rel=1e-5)
    assert at.steps.value == pytest.approx(1e10 / batch_of(3e8, 1e10), rel=1e-5)
    with pytest.warns(ExtrapolationWarning, match="decades beyond"):
        assert found.at(1e11, 1e10).extrapolation == pytest.approx(math.log10(1e11 / 4e8))


def test_an_exponent_of_n_in_the_batch_is_found_where_it_is() -> None:
    def with_n(n: float, d: float) -> float:
        return batch_of(n, d) * (n / 2e8) ** -0.3

    found = batch_lr(sweep(0.0005, best_batch=with_n))
    assert found.batch_params.lo < -0.3 < found.batch_params.hi < 0
    assert found.without_params < -10
    assert any("the cells do need it" in note for note in found.notes)
    full = batch_lr(sweep(0.0005, best_batch=with_n), params_in_batch=True)
    assert full.at(3e8, 1e10).batch_tokens.value == pytest.approx(with_n(3e8, 1e10), rel=0.03)
    none = batch_lr(sweep(0.0005))
    assert none.batch_params.lo < 0 < none.batch_params.hi


def test_intervals_of_the_law_cover() -> None:
    """24 sweeps whose cells scatter by 10 % about the law: 90 % intervals of a, b and m hold the truth."""
    hits = []
    for seed in range(24):
        found = batch_lr(sweep(0.001, seed, spread=0.1), resamples=200)
        hits.append(
            [
                e.lo <= t <= e.hi
                for e, t in ((found.lr_params, -0.7), (found.lr_tokens, 0.3), (found.batch_tokens, 0.58))
            ]
        )
    assert 0.78 <= np.mean(hits) <= 1.0
    assert min(np.mean(hits, axis=0)) >= 0.7


def test_few_cells_take_students_t() -> None:
    """Below eight cells the intervals are those of ordinary least squares: scipy's for one size."""
    one = [(1e8, d) for d in (1e9, 2e9, 4e9, 8e9, 16e9)]
    found = batch_lr(sweep(0.0, spread=0.1, cells=one), level=0.9, resamples=60_000)
    line = stats.linregress(np.log(found.cells["tokens"]), np.log(found.cells["batch_tokens"]))
    half = stats.t.ppf(0.95, 3) * line.stderr
    assert found.batch_tokens.value == pytest.approx(line.slope, rel=1e-9)
    assert found.batch_tokens.hi - line.slope == pytest.approx(half, rel=0.03)
    assert line.slope - found.batch_tokens.lo == pytest.approx(half, rel=0.03)
    assert math.isnan(found.lr_params.value)
    assert any("One size only" in note for note in found.notes)


def test_n_and_d_in_step_are_not_told_apart() -> None:
    found = batch_lr(sweep(cells=[(n, 20 * n) for n in np.geomspace(1e8, 8e8, 8)]))
    assert math.isnan(found.lr_params.value)
    assert found.lr_tokens.value == pytest.approx(LR[1] + LR[2], rel=1e-4)
    assert any("cannot be told apart" in note for note in found.notes)


def test_too_few_optima_give_no_law() -> None:
    runs = sweep()
    cut = runs[runs["batch_tokens"] > 1.3 * batch_of(0, runs["tokens"].max())]
    cut = pd.concat([cut, runs[runs["tokens"] == runs["tokens"].max()]]).drop_duplicates()
    found = batch_lr(cut)
    assert not found.known
    assert math.isnan(found.lr_c.value)
    assert found.headline().startswith("no law: 1 of ")
    with pytest.raises(InputError, match="too few optima"):
        found.at(1e8, 1e10)


@pytest.mark.parametrize("where", ["smooth", "grid", "near"])
def test_one_horizon_gives_no_law(where) -> None:
    """Both laws go by D: over sizes at one D neither is known, and the cells' optima still are."""
    one = [(n, 1e10) for n in (1e8, 2e8, 4e8, 8e8)]
    found = batch_lr(sweep(cells=one), where)
    assert not found.known
    assert found.headline() == f"no law: the 4 optima ({where}) inside their grid share one horizon"
    assert any("take a second horizon" in note for note in found.notes)
    if where == "smooth":
        np.testing.assert_allclose(found.cells["lr"], [lr_of(*cell) for cell in one], rtol=1e-6)
    with pytest.raises(InputError, match="holds one horizon for a law"):
        found.at(1e8, 1e10)


def test_cells_of_one_horizon_are_no_regression() -> None:
    cells = [np.array([[0.0, 1.0, math.log(n), 23.0]]) for n in (1e8, 2e8, 4e8)]
    with pytest.raises(InputError, match="do not vary enough in tokens"):
        regression(cells, 1, ["tokens"], Draws(3, 10, np.random.default_rng(0)))


def test_a_line_or_a_cross_of_settings_has_no_surface() -> None:
    runs = sweep(0.001)
    at = [np.rint(np.log2(runs[name])).astype(int) for name in ("lr", "batch_tokens")]
    middle = [axis.groupby([runs["params"], runs["tokens"]]).transform("median").astype(int) for axis in at]
    u, v = (axis - centre for axis, centre in zip(at, middle, strict=True))
    half = runs.assign(lr=runs["lr"] * 2**0.5, batch_tokens=runs["batch_tokens"] * 2**0.5)
    for some in (pd.concat([runs[u == v], half[u == v]]), runs[(u == 0) | (v == 0)]):
        assert some.groupby(["params", "tokens"]).size().min() >= 8
        found = batch_lr(some)
        assert (found.cells["edge"] == "along a line").all()
        assert any("along a line or a cross" in note for note in found.notes)
        assert any("at each of several batches" in note for note in found.notes)
        assert batch_lr(some, "grid").cells["lr"].notna().all()


def test_draws_of_a_minimum_take_a_singular_covariance() -> None:
    """A direction without variance stays put; otherwise the draws have the covariance's spread."""
    q = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    covariance = np.diag([0.0, 1e-4, 0.0, 0.0, 0.0, 0.0])
    covariance[0, 0] = -1e-20  # as rounding leaves it
    drawn = Surface((0.0, 0.0), q, covariance, 200, 0.1).minima(20_000, np.random.default_rng(0))
    assert drawn[:, 0].std() == pytest.approx(0.005, rel=0.03)
    assert not drawn[:, 1].any()


def test_numbers_are_asked_for() -> None:
    laws, lines = batch_lr(sweep(0.001), resamples=20), iso_loss(equal_loss(), noise=1e-4, resamples=3)
    for call, message in (
        (lambda: laws.at(1e8, "1e9"), "tokens is a positive number, not '1e9'"),
        (lambda: laws.at(None, 1e9), "params is a positive number, not None"),
        (lambda: lines.at("3.0"), "a loss is a positive number, not '3.0'"),
        (lambda: lines.at([3.0]), "a loss is a positive number"),
        (lambda: batch_lr(sweep(), resamples=0), "resamples is how many draws"),
        (lambda: batch_lr(sweep(), resamples=True), "resamples is how many draws"),
        (lambda: batch_lr(sweep(), edges="kept"), "edges is one of leave out, keep, not 'kept'"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert laws.at(np.int64(200_000_000), np.float64(4e9)).lr.value > 0


def test_the_authors_rows(data_folder) -> None:
    """Step Law's dense runs: flags are the least runs; the regressions equal least squares done apart from ours."""
    from scalinglab.experiments.step_law import flags_agree, read_dense

    runs = read_dense(data_folder)
    grid, near, smooth = (batch_lr(runs, where, diverged=4.0) for where in ("grid", "near", "smooth"))
    assert grid.notes[0].startswith("181 of 1911 runs diverged")
    assert flags_agree(runs, grid) == (17, 17)
    flagged = runs[runs["best_for_ND"] == 1]
    close = runs[runs["loss"] < 1.0025 * runs.groupby(["params", "tokens"])["loss"].transform("min")]
    for found, rows in ((grid, flagged), (near, close)):
        X = np.column_stack([np.ones(len(rows)), np.log(rows["params"]), np.log(rows["tokens"])])
        c, a, b = np.linalg.lstsq(X, np.log(rows["lr"]), rcond=None)[0]
        line = stats.linregress(X[:, 2], np.log(rows["batch_tokens"]))
        # learning rates printed with three or four digits are one in ours
        assert [found.lr_params.value, found.lr_tokens.value] == pytest.approx([a, b], abs=2e-3)
        assert math.log(found.lr_c.value) == pytest.approx(c, abs=0.03)
        assert found.batch_tokens.value == pytest.approx(line.slope, rel=1e-9)
    # published: lr* = 1.79 N^-0.713 D^0.307, batch* = 0.58 D^0.571
    for each in (grid, smooth):
        for name, printed in zip(NAMES, (1.79, -0.713, 0.307, 0.58, 0.571), strict=True):
            assert getattr(each, name).lo < printed < getattr(each, name).hi
    # between runs the cells lie on one law three times as closely as their least runs do
    assert smooth.lr_scatter < grid.lr_scatter / 3
    assert smooth.loss_above(smooth.cells["lr_law"], smooth.cells["batch_law"]).max() < 0.001


# ---- lines of equal loss ----------------------------------------------------------------------------

K, P = 1.21e9, 6.24
SIZES = (9e6, 3e7, 1.7e8)


def equal_loss(
    noise: float = 0.0, seed: int = 0, n_exponent: float = 0.0, lrs=(0.005, 0.01, 0.02)
) -> pd.DataFrame:
    """Runs whose tokens to a loss are ln D = d(L, N) + 0.05·(ln batch − ln bs(L, N))²; three learning rates."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in SIZES:
        above = np.linspace(0.3, 4.0, 4001)
        losses, least = 1.4 + 4 * n**-0.1 + above, 22 - 8 * np.log(above)
        best = np.log(K) - P * np.log(losses) + n_exponent * np.log(n / 3e7)
        for batch in 2.0 ** np.arange(15, 23):
            need = least + 0.05 * (np.log(batch) - best) ** 2
            assert (np.diff(need) < 0).all()
            for d in np.geomspace(1e8, 6.4e9, 7):
                loss = np.interp(-np.log(d), -need, losses)
                for lr in lrs:
                    rise = 0.01 * math.log(lr / 0.01) ** 2 + rng.normal(0, noise)
                    rows.append((n, d, loss * math.exp(rise), lr, batch))
    return pd.DataFrame(rows, columns=["params", "tokens", "loss", "lr", "batch_tokens"])


def test_minicpms_law_is_recovered() -> None:
    """bs = 1.21e9 / L^6.24 behind the runs comes out of its lines of equal loss, whichever the learning rates."""
    for lr in (None, 0.01):
        found = iso_loss(equal_loss(), lr=lr, noise=1e-4, resamples=40)
        assert (found.minima["edge"] == "").sum() >= 15
        assert found.p.value == pytest.approx(P, abs=0.15)
        inside = found.minima[found.minima["edge"] == ""]
        np.testing.assert_allclose(inside["batch_tokens"], K * inside["loss"] ** -P, rtol=0.06)
        loss = float(inside["loss"].median())
        assert found.at(loss).value == pytest.approx(K * loss**-P, rel=0.03)
        assert abs(found.params_exponent.value) < 0.02


def test_noise_reaches_the_interval() -> None:
    inside = []
    for seed in range(6):
        found = iso_loss(equal_loss(0.001, seed), noise=0.001, resamples=40, seed=seed)
        inside.append(found.p.lo <= P <= found.p.hi)
        assert found.p.hi - found.p.lo > 0.05
    assert sum(inside) >= 4


def test_sizes_that_part_are_told() -> None:
    found = iso_loss(equal_loss(n_exponent=-0.4), noise=1e-4, resamples=40)
    assert found.params_exponent.value == pytest.approx(-0.4, abs=0.03)
    assert found.p_within.value == pytest.approx(P, abs=0.3)
    assert any("L alone does not decide" in note for note in found.notes)


def test_both_constructions_stand_on_one_ridge() -> None:
    """Fewest tokens to a loss and least loss at a budget meet where dL/d batch = 0."""
    runs = equal_loss(lrs=(0.0025, 0.005, 0.01, 0.02, 0.04))
    cells = batch_lr(runs, reach=3.0).cells
    cells = cells[cells["used"]]
    assert len(cells) >= 6
    np.testing.assert_allclose(cells["batch_tokens"], K * cells["loss"] ** -P, rtol=0.1)


def test_lines_without_a_minimum_are_said() -> None:
    runs = equal_loss()
    large = runs[runs["batch_tokens"] >= 2.0**20]
    found = iso_loss(large, noise=1e-4, resamples=5)
    assert (found.minima["edge"] == "low").sum() > len(found.minima) / 2
    assert any("smallest batch or below" in note for note in found.notes)
    asked = iso_loss(runs, [2.0, 3.3, 5.9], noise=1e-4, resamples=5).minima
    assert (asked.loc[asked["loss"].round(2) == 2.0, "edge"] == "not reached").all()
    assert (asked.loc[asked["loss"].round(2) == 5.9, "edge"] == "reached early").all()
    with pytest.raises(InputError, match="no loss is reached by 3 batches"):
        iso_loss(runs, [2.0, 5.9])


def test_what_is_no_sweep_is_refused() -> None:
    runs = sweep()
    with pytest.raises(InputError, match='no column "lr"'):
        batch_lr(runs.drop(columns="lr"))
    with pytest.raises(InputError, match="several eval sets"):
        batch_lr(pd.concat([runs.assign(eval_set="a"), runs.assign(eval_set="b")]))
    with pytest.raises(InputError, match="where is one of smooth, grid, near"):
        batch_lr(runs, "best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="every run has the batch"):
        batch_lr(runs[runs["batch_tokens"] == 2.0**18])
    with pytest.raises(InputError, match="loss above 1"):
        batch_lr(runs, diverged=1.0)
    with pytest.raises(InputError, match="two horizons or more"):
        iso_loss(runs[runs["tokens"] == runs["tokens"].min()])
    with pytest.raises(InputError, match="no run has learning rate"):
        iso_loss(runs, lr=0.5)


def test_losses_that_are_not_finite_count_as_diverged() -> None:
    runs = sweep()
    burst = runs.assign(loss=runs["loss"].where(~runs.index.isin([3, 40]), [math.nan] * len(runs)))
    burst.loc[90, "loss"] = math.inf
    found = batch_lr(burst)
    assert found.notes[0] == f"3 of {len(runs)} runs diverged (3 without a finite loss): left out."
    pd.testing.assert_frame_equal(found.cells, batch_lr(runs.drop(index=[3, 40, 90])).cells)
    burst.loc[91, "loss"] = 9.0
    said = batch_lr(burst, diverged=5.0).notes[0]
    assert said == f"4 of {len(runs)} runs diverged (loss above 5, 3 without a finite loss): left out."
    cell = (runs["params"] == 1e8) & (runs["tokens"] == 1e9)
    assert (
        "In 1 of 9 cells every run diverged: they are left out."
        in batch_lr(runs.assign(loss=runs["loss"].where(~cell))).notes
    )
    lines = equal_loss()
    lines.loc[5, "loss"] = math.nan
    assert "1 without a finite loss" in iso_loss(lines, noise=1e-4, resamples=5).notes[0]
    with pytest.raises(InputError, match="every run of the sweep diverged"):
        batch_lr(runs.assign(loss=math.nan))


@pytest.mark.parametrize("ask", [batch_lr, iso_loss])
def test_rows_of_a_sweep_that_cannot_be_used_are_named(ask) -> None:
    runs = sweep()
    for column, value in (("params", math.nan), ("tokens", math.inf), ("loss", -1.0)):
        with pytest.raises(InputError, match=f"row 7, column {column}: .* is no positive, finite number"):
            ask(runs.assign(**{column: runs[column].where(runs.index != 7, value)}))
    with pytest.raises(InputError, match="holds no decayed rows"):
        ask(runs.assign(kind="trunk"))
    with pytest.raises(InputError, match="losses in nats/byte and nats/token"):
        ask(runs.assign(loss_unit=np.where(runs.index < 5, "nats/byte", "nats/token")))
