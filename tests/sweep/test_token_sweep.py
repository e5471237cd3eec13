"""Studies whose tokens are not bytes, from their file to their table."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from scalinglab.corpus import tokeniser
from scalinglab.records import read_runs
from scalinglab.records.curves import read_trunk_curves
from scalinglab.sweep import prepare, run

STUDY = """
[data]
{data}
context = 32
heldout_windows = 24
[model]
width_base = 8
[training]
batch_tokens = 64
lr = 0.01
[schedule]
warmup_tokens = 640
decay_share = 0.25
[ladder]
horizons = [2560, 5120]
sizes = [
  {{ name = "a", width = 8, layers = 1, heads = 1, ff = 16 }},
  {{ name = "b", width = 16, layers = 1, heads = 2, ff = 32 }},
]
"""


def test_a_study_that_begins_with_a_bpe(
    tmp_path: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokeniser, "SAMPLE_BYTES", 200_000)
    monkeypatch.setenv("SCALINGLAB_CACHE", str(tmp_path / "cache"))
    path, out = tmp_path / "bpe.toml", tmp_path / "runs"
    path.write_text(STUDY.format(data='mix = "stdlib"\ntokens = "bpe-512"'), "utf-8")
    swept = run(prepare(path, out), path, 1)
    assert not swept.outcome.failed
    table = read_runs(out)
    assert len(table[table["kind"] == "branch"]) == 4
    assert set(table["loss_unit"]) == {"nats/byte"}
    assert table["bytes_per_token"].between(1.3, 3.0).all()
    assert table["bytes_per_token"].nunique() == 1  # the same windows for every model
    assert not table["repeated"].any()
    nothing = np.log(512) / table["bytes_per_token"].iloc[0]
    assert (table["loss"] < nothing).all()
    record = swept.prepared.folder.runs()[0].read_metrics().evals.popitem()[1]["sets"]["python"]
    assert record["loss_per_byte"] == pytest.approx(
        record["loss"] * record["tokens"] / record["bytes"], rel=1e-14
    )
    assert set(read_trunk_curves(out)["loss_unit"]) == {"nats/token"}
    assert set(read_trunk_curves(out, "python")["loss_unit"]) == {"nats/byte"}
    # another machine has the folder and no tokenizer of its own: the one that lies there goes on
    monkeypatch.setattr(tokeniser, "train_bpe", None)
    shutil.rmtree(tmp_path / "cache" / "tokenizers")
    shutil.rmtree(tmp_path / "cache" / "tokens")
    again = prepare(path, out)
    assert again.todo == []
    assert again.texts.fingerprint == swept.prepared.texts.fingerprint


def test_token_ids_without_a_tokenizer_have_losses_per_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALINGLAB_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    ids = np.cumsum(rng.integers(0, 3, 4000)).astype(np.uint32) % 700
    ids.astype("<u4").tofile(tmp_path / "ids.bin")
    path, out = tmp_path / "ids.toml", tmp_path / "runs"
    source = '{ path = "ids.bin", dtype = "uint32", heldout_share = 0.25, name = "made" }'
    path.write_text(STUDY.format(data=f"sources = [{source}]\nvocab = 700"), "utf-8")
    swept = run(prepare(path, out), path, 1)
    table = swept.table
    assert set(table["loss_unit"]) == {"nats/token"}
    assert set(table["eval_set"]) == {"made"}
    assert "bytes_per_token" not in table
    far = table[table["tokens"] == 5120]
    assert far["repeated"].all()  # 5,120 of 3,000 tokens
    assert (far["unique_tokens"] == 2976).all()
    (note,) = [note for note in swept.notes if "repeated text" in note]
    assert note.startswith("4 runs repeated text (column `repeated`)")  # the trunks too, at 3,840
