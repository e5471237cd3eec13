"""`scalinglab check`: exit codes by the gravest finding, JSON for machines, a picture."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import scalinglab as sl

Cli = Callable[..., tuple[int, str, str]]


def table(folder: Path, name: str, **columns: object) -> Path:
    rng = np.random.default_rng(0)
    n, d = (
        a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5), indexing="ij")
    )
    loss = (1.8 + 480 * n**-0.35 + 2000 * d**-0.37) * np.exp(rng.normal(0, 1e-3, n.size))
    frame = pd.DataFrame({"params": n, "tokens": d, "loss": loss, "run_id": [f"r{i}" for i in range(25)]})
    path = folder / f"{name}.csv"
    frame.assign(**columns).to_csv(path, index=False)
    return path


def test_the_exit_code_tells_the_gravest_finding_apart_from_bad_input(cli: Cli, tmp_path: Path) -> None:
    clean = table(tmp_path, "clean")
    assert cli("check", clean)[0] == 0
    note = table(tmp_path, "note", dataset=["a", "b"] * 12 + ["a"])
    code, out, _ = cli("check", note)
    assert code == 0
    assert "note pooled" in out
    warned = table(tmp_path, "warned", lr=np.repeat([1e-3, 4e-3, 2e-4, 8e-3, 5e-4], 5))
    assert cli("check", warned)[0] == 1
    grave = table(tmp_path, "grave", loss_unit="bits/token")
    assert cli("check", grave)[0] == 4
    broken = tmp_path / "broken.csv"
    broken.write_text("params,tokens\n1e9,2e10\n", "utf-8")
    code, out, err = cli("check", broken)
    assert (code, out) == (2, "")
    assert 'lacks the column "loss"' in err
    assert cli("check", clean, "--eval-set", "c4")[0] == 2


def test_json_holds_what_python_gives_and_the_picture_is_drawn(cli: Cli, tmp_path: Path) -> None:
    path = table(tmp_path, "doubled", unique_tokens=5e9)
    picture = tmp_path / "review.png"
    code, out, _ = cli("check", path, "--json", "--figure", picture)
    found = json.loads(out)
    report = sl.check(path)
    assert code == {"warning": 1, "note": 0, "error": 4}[found["severity"]]
    assert found.pop("figure") == str(picture)
    assert picture.stat().st_size > 1000
    written = report.to_json(tmp_path / "review.json")
    assert json.loads(written.read_text("utf-8")) == found
    assert set(found) == {"table", "rows", "severity", "counts", "findings", "checks"}
    assert set(found["findings"][0]) == {
        *("code", "severity", "says", "number", "of", "rows", "runs", "meaning", "mend")
    }
    (again,) = (f for f in found["findings"] if f["code"] == "repeated-data")
    assert again["rows"] == list(np.flatnonzero(sl.read_runs(path)["tokens"] > 5.05e9))
