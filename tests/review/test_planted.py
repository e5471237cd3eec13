"""A fault planted in a table simulated from a known law is found, by its rows, and nothing else is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.analysis import epoch_worth

from .conftest import law, simulated

Planted = tuple[pd.DataFrame, set[int]]


def scaled(frame: pd.DataFrame, column: str, rows: Any, factor: Any) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[list(rows), column] *= factor
    return frame


def swapped(frame: pd.DataFrame, rows: Any) -> pd.DataFrame:
    frame = frame.copy()
    rows = list(rows)
    frame.loc[rows, ["params", "tokens"]] = frame.loc[rows, ["tokens", "params"]].to_numpy()
    return frame


def swapped_all(seed: int, sigma: float) -> Planted:
    return swapped(simulated(seed, sigma), range(36)), set()


def swapped_some(seed: int, sigma: float) -> Planted:
    rows = {4, 17, 26}
    return swapped(simulated(seed, sigma), rows), rows


def bits_scattered(seed: int, sigma: float) -> Planted:
    rows = set(np.random.default_rng(seed + 100).choice(36, 1 + 3 * seed, replace=False).tolist())
    return scaled(simulated(seed, sigma), "loss", rows, 1 / np.log(2)), rows


def bits_of_one_size(seed: int, sigma: float) -> Planted:
    """Of the smallest, a middle or the largest size: the fit could bend towards it."""
    first = (0, 12, 30)[seed % 3]
    rows = set(range(first, first + 6))
    return scaled(simulated(seed, sigma), "loss", rows, 1 / np.log(2)), rows


def per_byte(seed: int, sigma: float) -> Planted:
    rows = {2, 9, 16, 23, 35}
    return scaled(simulated(seed, sigma), "loss", rows, 1 / 4.2), rows


def millions(seed: int, sigma: float) -> Planted:
    rows = {1, 8, 20}
    return scaled(simulated(seed, sigma), "params", rows, 1e-6), rows


def labelled_undecayed(seed: int, sigma: float) -> Planted:
    rows = set(range(18, 24))
    frame = scaled(simulated(seed, sigma), "loss", rows, 1.03)
    return frame.assign(schedule=["constant" if i in rows else "wsd-1-sqrt" for i in range(36)]), rows


def unlabelled_undecayed(seed: int, sigma: float) -> Planted:
    rows = set(range(24, 30))
    return scaled(simulated(seed, sigma, seeds=2, trunk=sigma / 2), "loss", rows, 1 + 8 * sigma), rows


def copied(seed: int, sigma: float) -> Planted:
    frame = simulated(seed, sigma)
    return pd.concat([frame, frame.iloc[[13]].assign(run_id="again")], ignore_index=True), {13, 36}


def nearly_copied(seed: int, sigma: float) -> Planted:
    frame = simulated(seed, sigma)
    again = frame.iloc[[13]].assign(run_id="again", loss=lambda f: f["loss"] * (1 + 1e-6))
    return pd.concat([frame, again], ignore_index=True), {13, 36}


def restarted(seed: int, sigma: float) -> Planted:
    """Undecayed curves, a point a row; the fourth is resumed from its fifth point and logs three of them again."""
    frame = simulated(seed, sigma).sort_values(["params", "tokens"], ignore_index=True)
    frame = frame.assign(run_id=[f"run{i // 6}" for i in range(36)], kind="trunk")
    again = frame.iloc[[20, 21, 22]].assign(loss=lambda f: f["loss"] * np.exp([0.002, -0.001, 0.0015]))
    table = pd.concat([frame.iloc[:23], again, frame.iloc[23:]], ignore_index=True)
    return table, {20, 21, 22, 23, 24, 25}


def along_a_line(seed: int, sigma: float) -> Planted:
    rng = np.random.default_rng(seed)
    n = np.geomspace(3e7, 3e9, 14)
    d = 20 * n * np.exp(rng.normal(0, 0.1, n.size))
    return pd.DataFrame(
        {"params": n, "tokens": d, "loss": law(n, d) * np.exp(rng.normal(0, sigma, n.size))}
    ), set()


def lr_by_size(seed: int, sigma: float) -> Planted:
    """No rule: every size has a learning rate of its own."""
    frame = simulated(seed, sigma)
    rates = np.random.default_rng(seed + 5).permutation([3e-4, 1e-3, 3e-3, 6e-4, 6e-3, 2e-4])
    return frame.assign(lr=np.repeat(rates, 6)), set()


def repeated(seed: int, sigma: float) -> Planted:
    frame = simulated(seed, sigma)
    unique = np.minimum(frame["tokens"], 5e9)
    worth = epoch_worth(frame["tokens"] / unique)["worth"].to_numpy()
    noise = frame["loss"] / law(frame["params"], frame["tokens"])
    rows = set(np.flatnonzero(frame["tokens"] > 1.01 * unique).tolist())
    return frame.assign(unique_tokens=unique, loss=law(frame["params"], unique * worth) * noise), rows


def outlying(seed: int, sigma: float) -> Planted:
    row = (7 * seed + 3) % 36
    return scaled(simulated(seed, sigma), "loss", {row}, 1 + (-1) ** seed * 12 * sigma), {row}


def two_corpora(seed: int, sigma: float) -> Planted:
    frame = simulated(seed, sigma, seeds=2)
    second = frame["seed"] == 1
    frame = scaled(frame, "loss", np.flatnonzero(second), 1 + 6 * sigma)
    return frame.assign(dataset=np.where(second, "dclm", "c4")), set()


def two_units(seed: int, sigma: float) -> Planted:
    rows = {0, 1, 2}
    frame = scaled(simulated(seed, sigma), "loss", rows, 1 / 4.2)
    return frame.assign(loss_unit=["nats/byte" if i in rows else "nats/token" for i in range(36)]), rows


def one_size(seed: int, sigma: float) -> Planted:
    frame = simulated(seed, sigma)
    return frame[frame["params"] == frame["params"].iloc[0]].reset_index(drop=True), set()


FAULTS: dict[Callable[[int, float], Planted], tuple[str, str]] = {
    swapped_all: ("swapped-columns", "error"),
    swapped_some: ("swapped-rows", "error"),
    bits_scattered: ("bits-for-nats", "error"),
    bits_of_one_size: ("bits-for-nats", "error"),
    per_byte: ("per-byte-mixed", "error"),
    millions: ("scaled-rows", "error"),
    labelled_undecayed: ("undecayed", "warning"),
    unlabelled_undecayed: ("above-peers", "warning"),
    copied: ("duplicate", "error"),
    nearly_copied: ("near-duplicate", "warning"),
    restarted: ("counted-twice", "error"),
    along_a_line: ("collinear", "warning"),
    lr_by_size: ("lr-with-size", "warning"),
    repeated: ("repeated-data", "warning"),
    outlying: ("outlier", "warning"),
    two_corpora: ("pooled", "warning"),
    two_units: ("loss-units", "error"),
    one_size: ("few-sizes", "error"),
}
TRUE_BESIDE = {"restarted": {"all-undecayed"}}
"""Notes that are as true of the planted table as the fault."""


TABLES = ((0, 0.003), (2, 0.01))
"""Seeds and scatters of tables in which no row is an outlier by chance."""
SLOW = (per_byte, along_a_line, two_corpora, bits_of_one_size)


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_and_nothing_else(plant: Callable[[int, float], Planted]) -> None:
    code, severity = FAULTS[plant]
    for seed, sigma in TABLES[plant in SLOW :]:
        table, rows = plant(seed, sigma)
        report = sl.check(table)
        assert {f.code for f in report.findings} - TRUE_BESIDE.get(plant.__name__, set()) == {code}, report
        (found,) = report.of(code)
        assert set(found.rows) == rows
        assert found.severity == severity or (code == "collinear" and found.severity == "error")
        assert np.isfinite(found.number)
        if "run_id" in table and rows:
            assert set(found.runs) == set(table["run_id"].iloc[sorted(rows)])


def test_the_number_is_the_size_of_what_was_planted() -> None:
    for plant, expected, tolerance in (
        (bits_scattered, -np.log(np.log(2)), 0.01),
        (per_byte, -np.log(4.2), 0.01),
        (labelled_undecayed, np.log(1.03), 0.005),
        (unlabelled_undecayed, np.log(1.024), 0.005),
        (repeated, 40.0, 1e-6),
    ):
        table, _ = plant(0, 0.003)
        (found,) = sl.check(table).of(FAULTS[plant][0])
        assert found.number == pytest.approx(expected, abs=tolerance), plant.__name__


def test_a_learning_rate_by_a_rule_is_a_note() -> None:
    frame = simulated(0)
    found = sl.check(frame.assign(lr=0.3 * frame["params"] ** -0.25)).findings
    assert [(f.code, f.severity) for f in found] == [("lr-with-size", "note")]
    assert "lr ∝ N^-0.25" in found[0].says


def test_clean_tables_are_left_alone() -> None:
    """Of independent rows and of trunks that share noise: an alarm has a chance of 1 % a test of many rows."""
    alarms = [
        f.code
        for seed in (0, 2)
        for table in (simulated(seed, 0.01), simulated(seed, 0.003, seeds=2, trunk=0.003))
        for f in sl.check(table).findings
    ]
    assert alarms == []
