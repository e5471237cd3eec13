"""Bad tables and files: one clear sentence, the right exit code, and never a traceback or a silent NaN."""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scalinglab as sl
from scalinglab.cli import main
from scalinglab.errors import InputError
from scalinglab.records import TableWarning

Cli = Callable[..., tuple[int, str, str]]


def good(n: int = 5) -> pd.DataFrame:
    grid = np.meshgrid(np.geomspace(1e7, 1e9, n), np.geomspace(1e9, 1e11, n))
    params, tokens = (a.ravel() for a in grid)
    loss = 1.8 + 480 * params**-0.35 + 2000 * tokens**-0.37
    scatter = np.random.default_rng(0).normal(0, 1e-3, params.size)
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss * np.exp(scatter)})


def with_cell(column: str, value: Any) -> pd.DataFrame:
    frame = good().astype(object)
    frame.loc[3, column] = value
    return frame


REFUSED: dict[str, tuple[pd.DataFrame, tuple[str, ...], str]] = {
    "two units": (
        good().assign(loss_unit=["nats/token"] * 20 + ["nats/byte"] * 5),
        (),
        "one fit cannot mix the loss_units nats/token, nats/byte",
    ),
    "two eval sets": (
        good().assign(eval_set=["c4"] * 20 + ["wiki"] * 5),
        (),
        'several eval sets; choose "c4" or "wiki" with --eval-set (in Python eval_set=)',
    ),
    "an eval set it has not": (
        good().assign(eval_set="c4"),
        ("--eval-set", "c5"),
        'has no eval set "c5"; it has "c4"',
    ),
    "one size": (good().assign(params=1e8), (), "column 'params' is 1e+08 in every row"),
    "one horizon": (good().assign(tokens=1e10), (), "column 'tokens' is 1e+10 in every row"),
    "infinite loss": (with_cell("loss", np.inf), (), "loss"),
    "negative loss": (with_cell("loss", -2.5), (), "line 5"),
    "no loss": (with_cell("loss", None), (), "line 5"),
    "words": (with_cell("loss", "high"), (), '"high"'),
    "no size": (with_cell("params", 0), (), "params"),
    "beyond any count": (with_cell("tokens", 1e60), (), "between 1e-50 and 1e+50"),
    "overflowed 6ND": (good().assign(flops_6nd=-8446744073709551616), (), "flops_6nd"),
    "few rows": (good().iloc[:4], (), "4 rows cannot determine the 5 constants of Chinchilla"),
    "two clusters": (
        good().assign(trunk_id=["a"] * 12 + ["b"] * 13),
        ("--method", "clusters", "--by", "trunk_id"),
        "2 values of trunk_id are too few to resample",
    ),
    "an unknown law": (good(), ("--law", "chinchila"), "did you mean 'chinchilla'?"),
    "an unknown constant": (good(), ("--fix", "alhpa=0.3"), "did you mean 'alpha'?"),
    "an unknown column": (good().rename(columns={"tokens": "token"}), (), "token"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_fitted_is_refused_in_one_sentence(cli: Cli, tmp_path: Path, what: str) -> None:
    frame, options, said = REFUSED[what]
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    code, out, err = cli("fit", path, "--bootstrap", 10, *options)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "other", [{"version": 99}, {"format": "something"}, {"law": {"name": "Chincilla"}}, {"rows": 3}]
)
def test_a_saved_fit_of_another_kind_is_refused(cli: Cli, tmp_path: Path, other: dict[str, Any]) -> None:
    path = tmp_path / "fit.json"
    sl.fit(sl.laws.Chinchilla(), good()).to_json(path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | other), "utf-8")
    code, out, err = cli("compare", path, path)
    assert (code, out) == (2, "")
    assert "fit.json" in err
    assert err.count("\n") == 1


def test_repeated_rows_are_counted() -> None:
    twice = pd.concat([good(), good().iloc[:3]], ignore_index=True)
    found = sl.fit(sl.laws.Chinchilla(), twice)
    (warning,) = [w for w in found.warnings if w.code == "duplicate-rows"]
    assert warning.sentence.startswith("3 of 28 rows repeat")


def test_counts_whose_product_overflows_integers_are_fitted_as_floats() -> None:
    """6·N·D passes 2^63 from 1e19 FLOPs on."""
    counts = good().astype({"params": "int64", "tokens": "int64"})
    assert (6 * counts["params"].to_numpy() * counts["tokens"].to_numpy() < 0).any()
    law = sl.laws.Chinchilla()
    whole, plain = (sl.fit(law, frame) for frame in (counts, counts.astype(float)))
    assert whole.constants == plain.constants
    far = {"params": np.int64(7 * 10**11), "tokens": np.int64(2 * 10**13)}
    assert whole.predict(**far)["extrapolation"].iloc[0] > 0
    assert sl.backtest(law, counts, resamples=10).boundary > 2**63 / 6


def test_two_clusters_are_drawn_from_a_model() -> None:
    boot = sl.fit(sl.laws.Chinchilla(), good().assign(trunk_id=["a"] * 12 + ["b"] * 13)).bootstrap(20)
    assert boot.method == "parametric"
    assert np.isfinite(boot.interval().to_numpy()).all()


# ---- random tables --------------------------------------------------------------------------------

COUNTS = st.one_of(
    st.sampled_from([1e6, 1e7, 1e8, 1e9, 1e10]),
    st.floats(1.0, 1e15),
    st.integers(1, 2**62),
    st.floats(1e8, 1.00001e8),
)
LOSSES = st.one_of(st.floats(0.5, 5.0), st.just(2.5), st.floats(1e-300, 1e300, exclude_min=True))
WRONG = st.sampled_from([None, np.nan, np.inf, -np.inf, -1.0, 0.0, "high", "", 1e400])


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 25))
    column = st.one_of(st.lists(COUNTS, min_size=n, max_size=n), COUNTS.map(lambda one: [one] * n))
    frame = pd.DataFrame({"params": draw(column), "tokens": draw(column)})
    if draw(st.booleans()):
        size, data = (frame[c].to_numpy(dtype=float) for c in ("params", "tokens"))
        scatter = np.random.default_rng(n).normal(0, draw(st.sampled_from([0.0, 1e-12, 1e-3, 0.3])), n)
        frame["loss"] = (1.8 + 480 * size**-0.35 + 2000 * data**-0.37) * np.exp(scatter)
    else:
        frame["loss"] = draw(st.lists(LOSSES, min_size=n, max_size=n))
    for name, values in (
        ("trunk_id", ["a", "b", "c", "d"]),
        ("kind", ["branch", "trunk", "full"]),
        ("eval_set", ["x", "y"]),
        ("loss_unit", ["nats/token", "nats/byte"]),
        ("weight", [0.0, 1.0, 2.0]),
    ):
        if draw(st.integers(0, 4)) == 0:
            frame[name] = draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))
    if draw(st.integers(0, 3)) == 0:
        frame = frame.astype(object)
        frame.loc[draw(st.integers(0, n - 1)), draw(st.sampled_from(["params", "tokens", "loss"]))] = draw(
            WRONG
        )
    return frame


LAWS = st.sampled_from([sl.laws.Chinchilla(), sl.laws.PowerLaw("tokens"), sl.laws.Exponential("params")])
SLOW = settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck), derandomize=True)


@given(tables(), LAWS, st.sampled_from([sl.Huber(), sl.Squared(), sl.Squared(on="loss")]))
@SLOW
def test_random_tables_are_fitted_or_refused(frame: pd.DataFrame, law: sl.laws.Law, loss: Any) -> None:
    """Every number is one, or a warning says why it is not; every refusal is an InputError of one line."""
    refused = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        try:
            found = sl.fit(law, sl.read_runs(frame), loss=loss)
        except InputError as error:
            refused = str(error)
    if refused:
        assert "\n" not in refused
        return
    assert np.isfinite([*found.constants.values(), found.objective]).all()
    points = {v: [1e8, 1e11] for v in law.variables}
    assert np.isfinite(found.predict(**points).to_numpy()).all()
    try:
        boot = found.bootstrap(10)
    except InputError:
        return
    drawn = found.predict(**points, interval=0.9, boot=boot, interval_kind="run")
    if not (found.warnings or boot.warnings):
        assert np.isfinite(boot.interval().to_numpy()).all()
        assert np.isfinite(drawn.to_numpy()).all()


@given(tables(), st.sampled_from(["csv", "jsonl"]), st.sampled_from(["fit", "backtest"]))
@SLOW
def test_random_files_end_with_the_right_code(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, suffix: str, command: str
) -> None:
    """Code 0 with JSON, or code 2 with one sentence."""
    import contextlib
    import io

    path = tmp_path_factory.mktemp("random") / f"table.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    out, code = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        patch.setattr(sys, "argv", ["scalinglab", command, str(path), "--bootstrap", "10", "--json"])
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    if code == 0:
        found = json.loads(out.getvalue())
        assert found["status"]
        values = [v["value"] if isinstance(v, dict) else v for v in found["constants"].values()]
        assert None not in values
    else:
        assert (code, out.getvalue()) == (2, "")
