"""Runs of other software become a run table: files that it made (data/make.py), against what was written into them."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records import read_runs
from scalinglab.records.importers import import_runs, propose, read_source

DATA = Path(__file__).parent / "data"
STEP_TOKENS = 64 * 1024
SIZES = {"gpt-12M": 12e6, "gpt-48M": 48e6}


def loss(n: float, tokens: float) -> float:
    return 1.8 + 400 / n**0.35 + 900 / tokens**0.37


def test_tensorboard_with_its_settings() -> None:
    made = import_runs(DATA / "tensorboard").table
    assert made["run_id"].tolist() == ["gpt-12M"]  # the folder that add_hparams made is not a run
    assert made[["params", "tokens", "batch_tokens"]].loc[0].tolist() == [
        12e6,
        300 * STEP_TOKENS,
        STEP_TOKENS,
    ]
    assert made["loss"].to_numpy() == pytest.approx(
        loss(12e6, 300 * STEP_TOKENS), rel=1e-7
    )  # event files hold float32


def test_tensorboard_scalars_of_tensorflow_2(tmp_path: Path) -> None:
    source = read_source(DATA / "tensorboard_tf2")
    assert source.frame["val/loss"].to_numpy() == pytest.approx(
        [loss(48e6, step * STEP_TOKENS) for step in (100, 200, 300)], rel=1e-7
    )
    assert propose(source).columns["params"].find is not None  # the only place of the size is the run's name
    with pytest.raises(
        InputError, match=r'tokens: steps are there \("step"\) but not the tokens of one; write tokens = '
    ):
        read_runs(DATA / "tensorboard_tf2", map="guess")
    how = {"points": "both", "run": "run", "order": "step"}
    how["columns"] = {
        "params": {"from": "run", "find": "([0-9]+M)"},
        "tokens": {"product": ["step", STEP_TOKENS]},
        "loss": "val/loss",
    }
    runs = read_runs(DATA / "tensorboard_tf2", map=how)
    assert runs["kind"].tolist() == ["trunk", "trunk", "full"]
    assert runs["trunk_id"].tolist() == ["gpt-48M"] * 3
    assert runs["tokens"].tolist() == [step * STEP_TOKENS for step in (100, 200, 300)]


def test_offline_runs_of_wandb() -> None:
    made = import_runs(DATA / "wandb").table.set_index("run_id").loc[list(SIZES)]
    assert made["params"].tolist() == list(SIZES.values())
    assert made["tokens"].tolist() == [300 * STEP_TOKENS] * 2
    assert made["loss"].tolist() == [loss(n, 300 * STEP_TOKENS) for n in SIZES.values()]  # to the last bit
    assert made["lr"].tolist() == [3e-3] * 2  # the setting, not the highest that was logged
    assert made["schedule"].tolist() == ["cosine"] * 2


@pytest.mark.parametrize("folder", ["wandb", "tensorboard"])
def test_a_log_cut_off_anywhere_gives_its_beginning(folder: str, tmp_path: Path) -> None:
    (file,) = [path for path in (DATA / folder).rglob("*") if path.suffix in (".wandb", ".0")][:1]
    whole, content = read_source(file).frame, file.read_bytes()
    cut = tmp_path / file.name
    lengths, said = set(), set()
    for size in range(60, len(content), 41):
        cut.write_bytes(content[:size])
        try:
            frame = read_source(cut).frame
        except InputError as error:
            said.add("with a logged metric" in str(error))
            continue
        lengths.add(len(frame))
        assert frame["step"].tolist() == whole["step"].tolist()[: len(frame)]
    assert lengths == {1, 2, 3}
    assert said == {True}  # too short for one


def _sqlite(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as store:
        store.executescript((DATA / "mlflow.sql").read_text())
    store.close()
    return path


def test_both_stores_of_mlflow_give_one_table(tmp_path: Path) -> None:
    files = import_runs(DATA / "mlruns").table.sort_values("run_id", ignore_index=True)
    assert files["run_id"].tolist() == ["s1", "s2"]  # the failed one is left out
    assert files["params"].tolist() == [1.2e6, 4.8e6]
    assert files["tokens"].tolist() == [200 * 32 * 256] * 2
    assert files["loss"].tolist() == [2 + 30 / 200 + 100 / n**0.5 for n in (1.2e6, 4.8e6)]
    assert files["lr"].tolist() == [0.01] * 2
    pd.testing.assert_frame_equal(import_runs(_sqlite(tmp_path)).table, files)


def gpt2_params(width: int, layers: int) -> int:
    """Of a GPT-2 outside its embeddings: 12·w² of matrices and 13·w of biases and gains a block, the last norm."""
    return layers * (12 * width**2 + 13 * width) + 2 * width


def test_the_trainer_of_hugging_face(tmp_path: Path) -> None:
    made = import_runs(DATA / "trainer").table.set_index("run_id")
    for name, width in (("small", 8), ("large", 16)):
        row = made.loc[name]
        assert row["params"] == gpt2_params(width, 2)
        assert row["params_total"] == gpt2_params(width, 2) + (64 + 16) * width
        assert row["tokens"] == 20 * 4 * 16  # counted by the one, of the other from total_flos = 6·N·D
        state = json.loads((DATA / "trainer" / name / "trainer_state.json").read_text())
        assert row["loss"] == [line["eval_loss"] for line in state["log_history"] if "eval_loss" in line][-1]
    shutil.copy(DATA / "trainer/small/trainer_state.json", tmp_path)
    alone = import_runs(tmp_path / "trainer_state.json").table
    assert alone["params"].tolist() == [gpt2_params(8, 2)]  # without the model: total_flos / 6·D


def test_excel_and_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "openpyxl", None)
        with pytest.raises(
            EnvironmentProblem, match=r"package openpyxl; install it \(pip install openpyxl\)"
        ):
            read_source(DATA / "runs.xlsx")
    pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    made = import_runs(DATA / "runs.xlsx").table
    assert made["params"].tolist() == list(SIZES.values())
    assert made["tokens"].to_numpy() == pytest.approx(300 * STEP_TOKENS)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_one_table_in_every_format(suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"run": ["a", "b"], "n_params": [10**7, 10**8], "D": [2e8, 2e9], "val_loss": [3.25, 2.75]}
    )
    path = tmp_path / f"runs.{suffix}"
    write: dict[str, Callable[[], Any]] = {
        "csv": lambda: frame.to_csv(path),
        "tsv": lambda: frame.to_csv(path, sep="\t", index=False),
        "json": lambda: frame.to_json(path, orient="records"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }
    write[suffix]()
    made = import_runs(path).table
    assert made["params"].tolist() == [1e7, 1e8]
    assert made["tokens"].tolist() == [2e8, 2e9]
    assert made["loss"].tolist() == [3.25, 2.75]


def test_a_chart_and_a_table_of_runs_exported_from_wandb(tmp_path: Path) -> None:
    chart = tmp_path / "chart.csv"
    chart.write_text(
        '"Step","gpt-12M - eval/loss","gpt-12M - eval/loss__MIN","gpt-12M - eval/loss__MAX","gpt-48M - eval/loss",'
        '"gpt-48M - eval/loss__MIN","gpt-48M - eval/loss__MAX"\n"100","4.5","4.5","4.5","","",""\n'
        '"200","4.1","4.1","4.1","3.9","3.9","3.9"\n'
    )
    frame = read_source(chart).frame
    assert frame[["run", "Step", "eval/loss"]].to_numpy().tolist() == [
        ["gpt-12M", 100, 4.5],
        ["gpt-12M", 200, 4.1],
        ["gpt-48M", 200, 3.9],
    ]
    runs = tmp_path / "runs.json"  # as api.runs() is usually saved
    one = {
        "name": "a",
        "state": "finished",
        "config": {"n_params": 1e7},
        "summary": {"eval/loss": 3.5, "tokens": 1e9},
    }
    runs.write_text(json.dumps([one, one | {"name": "b", "state": "crashed"}]))
    made = import_runs(runs).table
    assert made[["run_id", "params", "tokens", "loss"]].to_numpy().tolist() == [["a", 1e7, 1e9, 3.5]]


def test_the_server_of_wandb_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(EnvironmentProblem, match="pip install wandb, then wandb login"):
        read_source("wandb:lab/ladder")
    with pytest.raises(InputError, match="write wandb:ENTITY/PROJECT"):
        read_source("wandb:ladder")


def test_nanochats_results(tmp_path: Path) -> None:
    """The header that its scaling_laws.sh writes; one row of made-up counts."""
    path = tmp_path / "results.csv"
    path.write_text(
        "flops_budget,depth,model_dim,params_wte,params_value_embeds,params_lm_head,params_transformer,params_scalars,"
        "params_total,num_iterations,tokens_trained,val_bpb,core_score,train_time_sec\n"
        "1e18,8,512,16777216,8388608,16777216,25165824,16,67108880,2000,1048576000,0.98,0.1,300\n"
    )
    row = import_runs(path).table.loc[0]
    assert row["params"] == 25165824 + 16
    assert row["params_total"] == 67108880
    assert row["tokens"] == 1048576000
    assert row["loss"] == pytest.approx(0.98 * np.log(2), rel=1e-15)
    assert row["loss_unit"] == "nats/byte"


def test_layouts_of_gemstones_and_the_olmo_ladder(data_folder: Path) -> None:
    gemstones = import_runs(data_folder / "gemstones.csv").table
    assert gemstones["kind"].value_counts().to_dict() == {"trunk": 542, "branch": 100}
    assert gemstones["trunk_id"].nunique() == 42
    assert (gemstones["params"] < gemstones["params_total"]).all()
    olmo = import_runs(data_folder / "olmo_ladder.csv").table
    assert len(olmo) == 28 * 11  # a row a run and eval set
    wide = pd.read_csv(data_folder / "olmo_ladder.csv").set_index("run_id")
    pile = olmo[olmo["eval_set"] == "pile"].set_index("run_id")["loss"]
    assert pile.to_dict() == wide["loss_pile"].to_dict()
    assert set(olmo["eval_set"]) >= {"c4_en", "pile", "wikitext_103"}


def test_a_study_is_taken_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(
        "run_id,kind,params,tokens,loss,loss_unit,eval_set\na,branch,1e6,2e7,1.5,nats/byte,w\n"
    )
    made = import_runs(tmp_path).table
    pd.testing.assert_frame_equal(made, read_runs(tmp_path), check_like=True)


def test_what_is_no_table_of_ours_is_sent_to_import(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds TensorBoard event files; make a run table of it first: scalinglab import"
    ):
        read_runs(DATA / "tensorboard")
    with pytest.raises(InputError, match="holds no runs that are known"):
        read_source(tmp_path)
    (tmp_path / "x.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"a folder with tables \(x.csv\); give one of them"):
        read_source(tmp_path)


BROKEN = {
    "run.wandb": (b"nothing", "is no run of Weights & Biases"),
    "events.out.tfevents.1": (b"\x05\0\0\0\0\0\0\0abcd\xff\xff\xff\xff\xffefgh", "no TensorBoard event file"),
    "mlflow.db": (b"SQLite format 3\0" + b"?" * 100, "no SQLite store of MLflow"),
    "trainer_state.json": (b'{"log_history": 3}', "log_history is no list"),
    "a.json": (b"{", "is not JSON"),
    "b.jsonl": (b'{"a": 1}\n[]\n', "line 2 is no JSON object"),
    "c.csv": (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields where the header has 2"),
    "d.parquet": (b"PAR1", "is not a Parquet file or is damaged"),
    "e.csv": (b"a,b\n\xff,2\n", "is not UTF-8"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_file_is_named_in_one_sentence(name: str, tmp_path: Path) -> None:
    content, said = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_source(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_without_a_loss_and_rows_not_kept_are_counted(tmp_path: Path) -> None:
    """One blank loss among good rows is left out and named; blank cells are kept by ""."""
    path = tmp_path / "sheet.csv"
    path.write_text(
        "params,tokens,loss,notes\n1e8,2e9,3.1,\n1e8,4e9,,\n2e8,4e9,2.9,long run\n2e8,8e9,2.8,half way\n",
        "utf-8",
    )
    source = read_source(path)
    made = import_runs(source, propose(source))
    assert made.table["loss"].tolist() == [3.1, 2.9, 2.8]
    assert "1 row without a loss left out: line 3." in made.notes
    kept = import_runs(source, replace(propose(source), keep={"notes": ("", "long run")}))
    assert kept.table["loss"].tolist() == [3.1, 2.9]
    assert "1 of 4 rows left out by [keep] of the map." in kept.notes
