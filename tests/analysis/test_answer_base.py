"""What all answers share: tables, text, JSON, intervals; and hardware."""

import json
import math
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import Answer, Estimate, ExtrapolationWarning, readable
from scalinglab.analysis.answer import asked, carried
from scalinglab.analysis.estimate import estimate
from scalinglab.analysis.hardware import HARDWARE, Hardware, hardware
from scalinglab.analysis.source import pooled_note, read_ends, read_fit
from scalinglab.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Size(Answer):
    source = "a book"

    params: Estimate = asked("parameters")
    loss: Estimate = asked("nats/token")
    extra: float = 0.0

    def headline(self) -> str:
        return f"N < {self.params}"


ANSWER = Size(params=Estimate(1.2e9, 1e9, 2e9), loss=Estimate(2.0), notes=("Take <care>.",))


def test_an_answer_tabulates_itself_with_units() -> None:
    table = ANSWER.table()
    assert list(table.index) == ["params", "loss"]
    assert table.loc["params"].tolist() == [1.2e9, 1e9, 2e9, "parameters"]
    text = readable(table)
    assert text.iloc[0].tolist() == ["params", "1.2B", "1B – 2B", "parameters"]
    assert text.iloc[1].tolist() == ["loss", "2", "", "nats/token"]  # no interval where there is none


def test_an_answer_prints_and_is_frozen() -> None:
    assert str(ANSWER).splitlines()[1] == "  Take <care>."
    html = ANSWER._repr_html_()
    assert "Take &lt;care&gt;." in html
    assert "N &lt; " in html
    assert "a book" in html
    with pytest.raises(FrozenInstanceError):
        ANSWER.extra = 1.0  # type: ignore[misc]


def test_plain_values_go_to_json_and_back() -> None:
    plain = json.loads(json.dumps(ANSWER.plain()))
    assert plain["params"] == {"value": 1.2e9, "lo": 1e9, "hi": 2e9}
    assert plain["notes"] == ["Take <care>."]
    assert plain["source"] == "a book"


def test_many_rows_carry_their_intervals_in_one_cell() -> None:
    frame = pd.DataFrame(
        {
            "flops": [1e21],
            "params": [1e9],
            "params_lo": [9e8],
            "params_hi": [1.15e9],
            "name": ["a"],
            "ratio": [20.0],
        }
    )
    text = readable(frame)
    assert text.columns.tolist() == ["flops", "params", "name", "ratio"]
    assert text.iloc[0].tolist() == ["1e+21", "1B (900M–1.1B)", "a", "20"]


def test_draws_that_are_no_number_speak_for_neither_side() -> None:
    draws = np.concatenate([np.full(20, np.nan), np.arange(1.0, 181.0)])
    counted = estimate(90.0, draws, 0.9)  # half of the 10 % reach each end: the interval is open at both
    assert (counted.lo, counted.hi) == (0.0, math.inf)
    signed = estimate(0.0, np.concatenate([np.full(20, np.nan), np.arange(-90.0, 90.0)]), 0.9)
    assert (signed.lo, signed.hi) == (-math.inf, math.inf)
    few = estimate(90.0, np.concatenate([np.full(4, np.nan), np.arange(1.0, 197.0)]), 0.9)
    assert 1 < few.lo < few.hi < 196


def test_doubts_about_the_fit_reach_every_answer() -> None:
    rng = np.random.default_rng(0)
    n, d = (a.ravel() for a in np.meshgrid([1e7, 1e8], np.geomspace(1e9, 1e11, 6)))
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(rng.normal(0, 1e-3, n.size))
    runs = pd.DataFrame({"params": n, "tokens": d, "loss": loss, "loss_unit": "nats/token"})
    fit = sl.fit(sl.laws.Chinchilla(), runs)
    fit.bootstrap(50)
    assert "few-values" in [warning.code for warning in fit.warnings]
    answers = (
        fit.optimum(1e19, beyond=9),
        fit.frontier([1e18, 1e19], beyond=9),
        fit.equivalent_size(params=5e7, tokens=1e10, tokens_per_param=20),
        fit.overtraining(1e18, [2], beyond=9),
        fit.inference_optimum(1e9, flops=1e18, beyond=9),
        fit.data_limited(1e18, 1e12, beyond=9),
    )
    for answer in answers:
        assert any("few-values" in note for note in answer.notes), type(answer).__name__
        assert answer.loss_unit == "nats/token"
    assert answers[0].table().loc["loss", "unit"] == "nats/token"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda fit: fit.optimum(1e21, unique_tokens=1e3), "has no variable 'unique_tokens'"),
        (lambda fit: fit.optimum(1e21, costs="exact"), "did you mean cost="),
        (lambda fit: fit.overtraining(1e21, time=[2]), "has no variable 'time'"),
        (lambda fit: fit.equivalent_size(params="1e9", tokens=1e12), "params is a positive number"),
        (lambda fit: fit.equivalent_size(params=-1e9, loss=2.0), "params is a positive number"),
        (lambda fit: fit.equivalent_size(loss=2.2, tokens_per_param=True), "not True"),
        (
            lambda fit: fit.equivalent_size(loss=2.2, tokens_per_param=20, bytes_per_token="4"),
            "bytes_per_token",
        ),
    ],
)
def test_what_no_answer_takes_is_refused(ask, said: str) -> None:
    law = sl.laws.PUBLISHED["besiroglu"]
    with pytest.raises(InputError, match=said):
        ask(sl.Fit.from_constants(law.law, law.constants))


def test_a_vanished_term_is_said() -> None:
    fit = sl.Fit.from_constants(
        sl.laws.Chinchilla(), {"E": 1.7, "A": 400.0, "alpha": 0.3, "B": 0.0, "beta": 0.3}
    )
    best = fit.optimum(1e21)
    assert best.params.value == math.inf
    assert "has vanished" in best.notes[0]
    assert "90%" not in best.headline()  # constants that were given have no interval
    with pytest.raises(InputError, match="has vanished"):
        fit.inference_optimum(1e12, flops=1e21)
    with pytest.raises(InputError, match="has vanished"):
        fit.equivalent_size(loss=2.0)


def test_what_was_asked_far_outside_the_runs_is_said_too() -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(np.random.default_rng(0).normal(0, 1e-3, n.size))
    fit = sl.fit(sl.laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    fit.bootstrap(50)
    with pytest.warns(ExtrapolationWarning, match="the model asked about"):
        found = fit.equivalent_size(params=1e8, tokens=1e13, tokens_per_param=20)
    assert any(note.startswith("The model asked about lies 2.0 decades") for note in found.notes)
    with pytest.raises(InputError, match="does not pay for serving"):
        fit.inference_optimum(1e20, budget=1e18)
    with pytest.raises(InputError, match="negative for some N and D"):
        fit.optimum(1e19, cost=lambda n, d: -n * d)


def test_repeats_that_no_run_has_are_not_believed() -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(np.random.default_rng(0).normal(0, 1e-3, n.size))
    runs = pd.DataFrame({"params": n, "tokens": d, "unique_tokens": d, "loss": loss})
    held = {"R_D": 15.4, "R_N": 5.3, "alpha": 0.35, "beta": 0.37}  # for speed: none is what is asked here
    fit = sl.fit(sl.laws.DataConstrained(), runs, constraints=held)
    with pytest.raises(InputError, match="no fitted run repeats its data"):
        fit.data_limited(1e20, 1e9)


def test_corpora_taken_together_are_said() -> None:
    runs = pd.DataFrame(
        {"params": [1e7, 2e7], "tokens": 1e9, "loss": [3.0, 2.9], "dataset": ["comma", "dclm"]}
    )
    assert "dataset (comma, dclm)" in pooled_note(runs)[0]
    assert pooled_note(runs[:1]) == ()


def test_numpy_numbers_are_numbers() -> None:
    law = sl.laws.PUBLISHED["besiroglu"]
    fit = sl.Fit.from_constants(law.law, law.constants)
    plain = fit.equivalent_size(params=1e9, tokens=1e12, tokens_per_param=20)
    assert fit.equivalent_size(np.int64(2), tokens_per_param=np.int64(20)).loss == 2.0
    given = fit.equivalent_size(
        params=np.int64(10**9), tokens=np.float64(1e12), tokens_per_param=np.int64(20)
    )
    assert given.params.value == plain.params.value
    assert hardware(9e14).peak == 9e14


def test_intervals_are_carried_through_every_draw() -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(np.random.default_rng(0).normal(0, 1e-3, n.size))
    fit = sl.fit(sl.laws.Chinchilla(), pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    boot = fit.bootstrap(200)
    found = carried(fit, boot, 0.8, lambda c: {"alpha": c["alpha"], "gone": np.log(c["E"] - c["E"])})
    ordered = np.sort(boot.constants["alpha"])
    assert found["alpha"].value == fit.constants["alpha"]
    # the draws themselves are the ends, 10 % of 200 on each side
    assert found["alpha"].lo in ordered[18:22]
    assert found["alpha"].hi in ordered[178:182]
    assert found["gone"].value == -math.inf
    with pytest.raises(InputError, match="between 0 and 1"):
        carried(fit, boot, 90, lambda c: {"alpha": c["alpha"]})


def test_a_given_law_has_values_without_intervals() -> None:
    published = sl.laws.PUBLISHED["hoffmann"]
    fit = sl.Fit.from_constants(published.law, published.constants)
    best = fit.optimum(1e21)
    assert math.isnan(best.params.lo)
    assert readable(best.table()).iloc[:, 2].tolist() == [""] * 4


def test_published_laws_are_the_printed_ones() -> None:
    for law in sl.laws.PUBLISHED.values():
        assert set(law.constants) == set(law.law.constant_names)
        assert law.source
    fit = sl.Fit.from_constants(sl.laws.PUBLISHED["minicpm"].law, sl.laws.PUBLISHED["minicpm"].constants)
    assert fit.optimum(1e21).ratio.value == pytest.approx(191.87, rel=0.06)  # as far as rounding allows


# ---- from a path ----------------------------------------------------------------------------------


def test_ends_of_one_eval_set(tmp_path) -> None:
    frame = pd.DataFrame(
        {
            "params": 1e6,
            "tokens": [1e8, 2e8, 1e8, 2e8],
            "loss": [3.0, 2.9, 2.0, 1.9],
            "eval_set": ["a", "a", "average", "average"],
        }
    )
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    rows, chosen, notes = read_ends(path)
    assert (chosen, rows["loss"].tolist()) == ("average", [2.0, 1.9])
    assert "the others are a" in notes[0]
    assert read_ends(path, "a")[2] == ()
    frame.drop(columns="eval_set").to_csv(path, index=False)
    with pytest.raises(InputError, match="no column eval_set"):
        read_ends(path, "a")


def test_a_studys_own_fit_is_taken_unless_something_else_is_asked(tmp_path) -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    frame = pd.DataFrame({"params": n, "tokens": d, "loss": 1.8 + 480 * n**-0.35 + 2000 * d**-0.37})
    frame.to_csv(tmp_path / "table.csv", index=False)
    own = sl.fit(sl.laws.Chinchilla(), frame, loss=sl.Huber(1e-2))
    own.to_json(tmp_path / "fit.json")
    found, notes = read_fit(tmp_path, resamples=20)
    assert found.loss == sl.Huber(1e-2)
    assert "fit.json" in notes[0]
    assert read_fit(tmp_path, loss=sl.Squared(), resamples=20)[0].loss == sl.Squared()


# ---- hardware -------------------------------------------------------------------------------------


def test_hours_and_money() -> None:
    # Llama 3 405B (arXiv 2407.21783): 3.8e25 FLOPs at 41 % MFU; Meta reports 30.84M H100 hours in all
    h100 = hardware("H100", mfu=0.41, price=2.0)
    assert h100.hours(3.8e25) == pytest.approx(26.0e6, rel=0.01)
    assert h100.money(3.8e25) == pytest.approx(2 * h100.hours(3.8e25))
    assert hardware("1.5e14").hours(1.5e14 * 3600 * 0.4) == pytest.approx(1.0)
    assert hardware(h100, mfu=0.2).hours(1e20) == pytest.approx(2 * h100.hours(1e20) * 0.41 / 0.4)
    assert "41% MFU" in str(h100)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: hardware("h1000"), "did you mean 'h100'"),
        (lambda: hardware("toaster"), "is not known; known: "),
        (lambda: hardware("-1e14"), "positive number"),
        (lambda: hardware("a100", mfu=40), "share between 0 and 1"),
        (lambda: hardware("a100", price=-1), "cannot be -1"),
        (lambda: HARDWARE["a100"].money(1e20), "has no price"),
        (lambda: Hardware("own", math.inf), "positive number"),
    ],
)
def test_impossible_hardware_is_refused(make, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()
