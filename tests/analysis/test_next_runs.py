"""Which run next: against Gaussian closed forms, a ladder's own ledger, brute force, least squares and simulation."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import SIX_ND, Convention, NextSimulation, next_runs, optimum, simulate_next
from scalinglab.analysis.candidate_runs import Candidates, find_candidates
from scalinglab.analysis.estimate import Estimate
from scalinglab.analysis.next_runs import efficiency, shrunk
from scalinglab.analysis.run_design import Beliefs, choose
from scalinglab.errors import InputError
from scalinglab.ladder import Batches, Branch, Shape, Trunk, trunk_cost
from scalinglab.ladder.schedule import WSD, Decay

TRUTH = {"E": 1.82, "A": 478.0, "alpha": 0.347, "B": 2143.0, "beta": 0.367}
LAW = sl.laws.Chinchilla()


def grid(sizes: int = 4, horizons: int = 4) -> pd.DataFrame:
    axes = np.meshgrid(np.geomspace(1e8, 8e8, sizes), np.geomspace(2e9, 1.6e10, horizons), indexing="ij")
    n, d = (axis.ravel() for axis in axes)
    return pd.DataFrame({"params": n, "tokens": d, "trunk_id": [f"{size:.3g}" for size in n]})


def noisy(ladder: pd.DataFrame, sd: float, seed: int = 0) -> pd.DataFrame:
    clean = LAW.predict(TRUTH, params=ladder["params"], tokens=ladder["tokens"])
    return ladder.assign(loss=clean * np.exp(np.random.default_rng(seed).normal(0, sd, len(ladder))))


@pytest.fixture(scope="module")
def scratch() -> sl.Fit:
    """Sixteen runs from scratch."""
    fit = sl.fit(LAW, noisy(grid(), 2e-3).drop(columns="trunk_id"))
    fit.bootstrap(300, method="parametric")
    return fit


@pytest.fixture(scope="module")
def trunks() -> sl.Fit:
    """Four trunks of four branches."""
    fit = sl.fit(LAW, noisy(grid(), 2e-3))
    fit.bootstrap(300)
    return fit


# ---- the design -----------------------------------------------------------------------------------


def gaussian(seed: int, k: int = 40_000, m: int = 6) -> tuple[Beliefs, np.ndarray, np.ndarray, np.ndarray]:
    """Beliefs over draws of five normal constants; weights of the answer and of the losses, and the covariance."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 5))
    theta = rng.normal(size=(k, 5)) @ root.T
    g, x = rng.normal(size=5), rng.normal(size=(5, m))
    own, shared = np.full(m, 2.0), np.full(m, 1.5)
    trunk = np.array([-1, 0, 0, 1, 1, -1])
    return Beliefs(theta @ g, theta @ x, own, shared, trunk), g, x, root @ root.T


def test_conditioning_is_the_gaussian_closed_form() -> None:
    """var(z | y) = gᵀCg − gᵀCX (XᵀCX + R)⁻¹ XᵀCg, R with the trunks' shared deviation off its diagonal too."""
    for seed in range(4):
        beliefs, g, x, c = gaussian(seed)
        trunk = beliefs.trunk
        r = 2.0 * np.eye(6) + 1.5 * ((trunk[:, None] == trunk) & (trunk >= 0) | np.eye(6, dtype=bool))
        for chosen in ([0], [1, 2], [0, 1, 2, 3, 5]):
            seen = x[:, chosen]
            gain = (
                g @ c @ seen @ np.linalg.solve(seen.T @ c @ seen + r[np.ix_(chosen, chosen)], seen.T @ c @ g)
            )
            left = 1 - gain / (g @ c @ g)
            assert beliefs.given(chosen)[0] == pytest.approx(left, abs=0.02)
            # one after the other is all at once
            assert beliefs.after(chosen[:-1])[1][chosen[-1]] == pytest.approx(
                beliefs.given(chosen)[0], rel=1e-9
            )


def test_infinite_answers_count_by_their_rank() -> None:
    beliefs = gaussian(0, k=2000)[0]
    monotone = np.exp(3 * beliefs.answer)
    open_ended = np.where(beliefs.answer > np.quantile(beliefs.answer, 0.9), np.inf, monotone)
    left = [
        Beliefs(answer, beliefs.losses, beliefs.own, beliefs.shared, beliefs.trunk).given([0, 3])[0]
        for answer in (beliefs.answer, monotone, open_ended)
    ]
    assert left[0] == left[1]
    assert left[2] == pytest.approx(left[0], abs=0.06)
    # the tenth that is infinite leaves the interval when it narrows enough
    assert not np.isfinite(shrunk(open_ended, 0.9, 1.0)[1])
    assert np.isfinite(shrunk(open_ended, 0.9, 0.4)[1])
    assert shrunk(beliefs.answer, 0.9, 1.0)[0] == np.quantile(beliefs.answer, 0.05, method="lower")


@pytest.mark.parametrize(
    ("c", "share"), [(1.345, 0.95), (math.inf, 1.0), (0.0, 2 / math.pi), (1e-3, 2 / math.pi)]
)
def test_efficiency_of_hubers_estimate(c: float, share: float) -> None:
    """k = 1.345 gives 95 % at the normal (Huber 1964), the median 2/π."""
    loss = sl.Squared() if c == math.inf else sl.Huber(max(c * 0.01, 1e-12))
    assert efficiency(loss, 0.01) == pytest.approx(share, abs=6e-4)


def test_what_one_run_leaves_agrees_with_least_squares() -> None:
    """Of a well-determined fit under squared error: gᵀ(JᵀJ + jjᵀ)⁻¹g over gᵀ(JᵀJ)⁻¹g, J by the law's derivatives."""
    ladder = grid(8, 8).drop(columns="trunk_id")
    fit = sl.fit(LAW, noisy(ladder, 1e-4), loss=sl.Squared())
    boot = fit.bootstrap(4000, method="parametric")
    found = next_runs(fit, 1e23, "a", mode="scratch", boot=boot).candidates

    def slopes(rows: pd.DataFrame) -> np.ndarray:
        at = {"params": rows["params"], "tokens": rows["tokens"]}
        return LAW.derivatives(fit.constants, **at) / LAW.predict(fit.constants, **at)[:, None]

    scale = np.array([fit.constants[name] for name in LAW.constant_names])
    J, j = slopes(ladder) * scale, slopes(found) * scale
    a, b = fit.constants["alpha"], fit.constants["beta"]
    g = np.array([0.0, 0.0, -b / (a + b) ** 2, 0.0, a / (a + b) ** 2]) * scale
    inverse = np.linalg.inv(J.T @ J)
    before = g @ inverse @ g
    with_it = before - (j @ inverse @ g) ** 2 / (1 + np.einsum("ij,jk,ik->i", j, inverse, j))
    np.testing.assert_allclose(found["width"], np.sqrt(with_it / before), atol=0.03)
    assert found["width"].min() < 0.8  # and there is something to agree on


def test_the_choice_is_near_the_best_set() -> None:
    rng = np.random.default_rng(5)
    for seed in range(6):
        beliefs = gaussian(seed, k=1500, m=6)[0]
        losses = np.hstack([beliefs.losses, beliefs.losses @ rng.normal(size=(6, 6))])
        m = losses.shape[1]
        own, trunk = np.full(m, 2.0), np.full(m, -1)
        beliefs = Beliefs(beliefs.answer, losses, own, np.zeros(m), trunk)
        price = rng.uniform(1, 6, m)
        runs = Candidates(price, np.ones(m), trunk, np.empty(0), (), 0.1, Convention("N", lambda n, d: n * d))
        sets = [s for s in itertools.combinations_with_replacement(range(m), 3) if price[list(s)].sum() <= 9]
        best = min(beliefs.given(s)[0] for s in sets)
        chosen = choose(beliefs, runs, 9.0, 3)
        assert runs.cost_of(chosen) <= 9.0 + 1e-9
        assert beliefs.given(chosen)[0] <= 1.03 * best


# ---- what runs cost -------------------------------------------------------------------------------


def test_trunk_costs_are_the_ladders_own_ledger() -> None:
    """A new trunk with three branches, against `ladder.plan`, in any order."""
    shape, batch = Shape("s", 64, 2, 2, 176), 1000
    ends = [100, 200, 400]
    batches = Batches(batch)
    branches = [
        Branch(end - end // 10, end, WSD(1, Decay("linear", end - end // 10, end // 10)), batches)
        for end in ends
    ]
    ledger = trunk_cost(Trunk(shape, 0, batches, WSD(1), tuple(branches)))
    n, d = np.full(3, float(shape.params)), np.array(ends) * float(batch)
    runs = Candidates(n, d, np.zeros(3, int), np.zeros(1), (None,), 0.1, SIX_ND)
    for order in itertools.permutations(range(3)):
        assert runs.cost_of(order) == pytest.approx(ledger.ladder.flops, rel=1e-12)
    scratch = Candidates(n, d, np.full(3, -1), np.empty(0), (), 0.1, SIX_ND)
    assert scratch.cost_of(range(3)) == pytest.approx(ledger.scratch.flops)


def test_an_old_trunk_costs_its_extension_and_the_decay(trunks: sl.Fit) -> None:
    runs = find_candidates(trunks, SIX_ND, "trunk", 0.2, 1.0)
    old = [i for i, t in enumerate(runs.trunk) if runs.label[t] is not None]
    assert {runs.label[runs.trunk[i]] for i in old} == set(trunks.rows["trunk_id"])
    cost = runs.marginal([])
    for i in old[:: len(old) // 6]:
        n, d = runs.params[i], runs.tokens[i]
        furthest = trunks.rows.loc[trunks.rows["trunk_id"] == runs.label[runs.trunk[i]], "tokens"].max()
        assert d > furthest
        # stable from 0.8 of the furthest horizon to 0.8 of this one, then a decay of 0.2 of it
        assert cost[i] == pytest.approx(6 * n * ((0.8 * d - 0.8 * furthest) + 0.2 * d), rel=1e-12)


# ---- the answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["ratio", "params", "loss", "a", "E", (1e9, 5e10)])
def test_runs_within_the_budget_that_narrow_the_answer(scratch: sl.Fit, answer: Any) -> None:
    found = next_runs(scratch, 3e20, answer, runs=3, density=5, mode="scratch")
    rows = found.rows
    assert 1 <= len(rows) <= 3
    assert rows["flops"].sum() == found.spent <= 3e20 * (1 + 1e-9)
    np.testing.assert_allclose(rows["flops"], 6 * rows["params"] * rows["tokens"])
    assert list(rows["rank"]) == list(range(1, len(rows) + 1))
    widths = [found.width(found.now), *rows["width"]]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.95 * widths[0]
    assert widths[-1] == found.width(found.after)
    assert (rows["run_loss_lo"] < rows["run_loss"]).all()
    assert (rows["gain_per_flop"] > 0).all()
    assert found.plain()["rows"][0]["params"] == rows["params"][0]
    assert "candidates" not in found.plain()
    assert "the law is right" in str(found)


def test_a_larger_budget_narrows_more_and_more_noise_less(scratch: sl.Fit) -> None:
    small, large = (next_runs(scratch, c, density=5) for c in (1e20, 1e21))
    assert large.width(large.after) < small.width(small.after) < small.width(small.now)


def test_of_given_candidates_only_those(trunks: sl.Fit) -> None:
    shapes = pd.DataFrame({"params": [1.6e9, 1.6e9, 2e8], "tokens": [2e9, 4e9, 3.2e10]})
    found = next_runs(trunks, 1e21, candidates=shapes, runs=6)
    assert found.mode == "trunk"
    pairs = set(zip(found.rows["params"].round(), found.rows["tokens"], strict=True))
    assert pairs <= {(1.6e9, 2e9), (1.6e9, 4e9), (2e8, 3.2e10)}
    # a branch of one trunk is trained once
    assert not found.rows.duplicated(["params", "tokens", "trunk"]).any()


def test_an_answer_follows_flat_directions_and_vanished_terms() -> None:
    """Two decades too few: a tenth of the draws has no finite D/N, and there still is a next run."""
    ladder = grid(3, 3).assign(params=lambda t: t["params"] ** 0.3 * 1e6).drop(columns="trunk_id")
    fit = sl.fit(LAW, noisy(ladder, 3e-3, seed=3))
    boot = fit.bootstrap(300, method="parametric")
    found = next_runs(fit, 1e23, boot=boot, density=4)
    assert not math.isfinite(found.width(found.now)) or found.width(found.now) > 30
    assert found.rows["width"].iloc[-1] < found.width(found.now)
    assert any("no finite" in note or "flat directions" in note for note in found.notes)


def test_an_interval_from_zero_is_open(scratch: sl.Fit) -> None:
    """D/N is 0 in draws without a data term: its interval is an infinite factor wide."""
    found = next_runs(scratch, 3e20, runs=np.int64(1), density=4)
    open_ended = replace(found, now=Estimate(20.0, 0.0, 40.0))
    assert open_ended.width(open_ended.now) == math.inf
    assert "20, 0 – 40 (open)" in open_ended.headline()
    assert open_ended.plain()["width_now"] == math.inf


@pytest.fixture(scope="module")
def repeated() -> sl.Fit:
    law = sl.laws.DataConstrained()
    n, d, u = (a.ravel() for a in np.meshgrid([1e8, 2e8, 4e8], [1e9, 4e9, 1.6e10], [1e9, 4e9]))
    runs = pd.DataFrame({"params": n, "tokens": d, "unique_tokens": np.minimum(u, d)})
    clean = law.predict(TRUTH | {"R_D": 15.0, "R_N": 5.0}, **{v: runs[v] for v in runs})
    noise = np.random.default_rng(0).normal(0, 1e-3, len(runs))
    fit = sl.fit(law, runs.assign(loss=clean * np.exp(noise)))
    fit.bootstrap(20, method="parametric")
    return fit


def test_a_law_with_further_variables_is_asked_at_them(repeated: sl.Fit) -> None:
    found = next_runs(repeated, 1e20, unique_tokens=1e9, density=3, runs=1)
    best = optimum(repeated, found.flops or 0.0, unique_tokens=1e9, beyond=math.inf)
    assert found.now.value == pytest.approx(best.ratio.value)
    assert next_runs(repeated, 1e20, "alpha", unique_tokens=1e9, density=3, runs=1).width
    for answer in ("ratio", "alpha", (1e9, 1e10)):
        with pytest.raises(InputError, match="needs 'unique_tokens' too: give unique_tokens="):
            next_runs(repeated, 1e20, answer)  # type: ignore[arg-type]


def test_bad_input_is_refused_in_a_sentence(scratch: sl.Fit, trunks: sl.Fit) -> None:
    given = sl.Fit.from_constants(LAW, TRUTH)
    one = sl.Fit.from_constants(sl.laws.PowerLaw("tokens"), {"E": 1.0, "A": 1.0, "alpha": 0.3})
    cases: list[tuple[str, Any]] = [
        ("positive number of FLOPs", lambda: next_runs(scratch, 0.0)),
        (r"the cheapest, N 100M on D 2B, costs 1.2e\+18", lambda: next_runs(scratch, 1e17, mode="scratch")),
        ("were given, so there is no interval", lambda: next_runs(given, 1e21)),
        ("not a law in params and tokens", lambda: next_runs(one, 1e21)),
        ("answer 'rato' is not known", lambda: next_runs(scratch, 1e21, "rato")),
        ("planned model", lambda: next_runs(scratch, 1e21, (1e9, -1.0))),
        ("how many runs", lambda: next_runs(scratch, 1e21, runs=0)),
        ("how many runs", lambda: next_runs(scratch, 1e21, runs=True)),
        ("how many runs", lambda: next_runs(scratch, 1e21, runs=2.0)),  # type: ignore[arg-type]
        ("decay_share", lambda: next_runs(trunks, 1e21, decay_share=1.0)),
        ("decay_share.*not '0.1'", lambda: next_runs(trunks, 1e21, decay_share="0.1")),  # type: ignore[arg-type]
        ("mode is", lambda: next_runs(scratch, 1e21, mode="wsd")),  # type: ignore[arg-type]
        ("tokens is missing", lambda: next_runs(scratch, 1e21, candidates=pd.DataFrame({"params": [1e9]}))),
        ("starts from a ladder", lambda: simulate_next(given, 1e21)),
    ]
    for match, call in cases:
        with pytest.raises(InputError, match=match):
            call()


# ---- the simulation -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated() -> NextSimulation:
    truth = sl.fit(LAW, noisy(grid(), 0.0), loss=sl.Squared())
    ladder = grid().drop(columns="trunk_id")
    how: dict[str, Any] = {"row_sd": 3e-3, "method": "parametric", "resamples": 100}
    return simulate_next(truth, ladder=ladder, repeats=6, **how)


def test_choosing_beats_carrying_the_ladder_on(simulated: NextSimulation) -> None:
    """From the truth: narrower intervals than both default grids and random runs, at no more FLOPs."""
    rows = simulated.rows.set_index("way")
    assert set(rows.index) == {"next_runs", "next horizon", "next size", "random"}
    assert (rows["flops"] <= simulated.budget * (1 + 1e-9)).all()
    # one step of a ladder with equal steps in N and D costs the same either way
    assert rows["flops"]["next horizon"] == pytest.approx(simulated.budget)
    assert rows["flops"]["next size"] == pytest.approx(simulated.budget)
    for way in ("next horizon", "next size", "random"):
        assert rows["width_ratio_hi"][way] < 1
        assert rows["error"]["next_runs"] < rows["error"][way]


def test_the_width_expected_is_the_width_found(simulated: NextSimulation) -> None:
    found = simulated.each[simulated.each["way"] == "next_runs"]
    assert np.log(found["width"].median()) / np.log(simulated.expected) == pytest.approx(1.0, abs=0.3)


def test_a_simulation_on_trunks_repeats_itself() -> None:
    truth = sl.fit(LAW, noisy(grid(), 0.0), loss=sl.Squared())
    how: dict[str, Any] = {"row_sd": 1e-3, "trunk_sd": 1e-3, "repeats": 2, "resamples": 20, "runs": 2}
    a, b = (simulate_next(truth, 1e20, "a", **how) for _ in range(2))
    pd.testing.assert_frame_equal(a.each, b.each)
    assert (a.each["flops"] <= 1e20 * (1 + 1e-9)).all()
    assert "after next_runs is" in a.headline()
    assert "covered" in a.plain()["rows"][0]
