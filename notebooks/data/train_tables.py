"""Train the two further tables that notebook 02 asks its questions of, on the quickstart's text and driver.

    python notebooks/data/train_tables.py decay20     # the quickstart's ladder with decays twice as long
    python notebooks/data/train_tables.py lr_batch    # three sizes x five learning rates x five batches

Each writes NAME/table.csv beside this file and keeps its runs in runs/NAME; started again, it goes on where it was.
"""

import sys
from pathlib import Path

import pandas as pd

from scalinglab.experiments.quickstart import STUDY
from scalinglab.records.files import write_atomic
from scalinglab.sweep import prepare, run

HERE = Path(__file__).resolve().parent
RUNS = HERE.parents[1] / "runs"
LR = (0.002, 0.004, 0.008, 0.016, 0.032)
BATCH = (128, 256, 512, 1024, 2048)
HORIZONS = (131_072, 262_144, 524_288, 1_048_576)
SIZES = ("10k", "20k", "47k")


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with each first string, which must be there, replaced by the second."""
    for old, new in pairs:
        if old not in text:
            sys.exit(f"{STUDY}: {old!r} is not there any more; adapt {Path(__file__).name}")
        text = text.replace(old, new)
    return text


def decay20() -> pd.DataFrame:
    """Recipe B of the paired comparison: the same trunks, decays over 20 % of each horizon instead of 10 %."""
    return trained(
        "decay20", replaced(STUDY.read_text("utf-8"), ("decay_share = 0.1 ", "decay_share = 0.2 "))
    )


def lr_batch() -> pd.DataFrame:
    """A sweep of learning rate and batch: one study each, four horizons a trunk."""
    head, *sizes = STUDY.read_text("utf-8").split("[[ladder.sizes]]")
    kept = [size.split("horizons =")[0].split("replicates =")[0].split("# the")[0] for size in sizes]
    kept = [size for size in kept if any(f'name = "{name}"' in size for name in SIZES)]
    head = replaced(
        head,
        ("decay_share = 0.1 ", "decay_share = 0.2 "),
        ("[256_000, 512_000, 1_024_000, 2_048_000]", str(list(HORIZONS))),
        ("warmup_tokens = 25_600", "warmup_tokens = 24_576"),
    )
    tables = []
    for batch in BATCH:
        for lr in LR:
            own = replaced(
                head, ("lr = 0.006", f"lr = {lr}"), ("batch_tokens = 512", f"batch_tokens = {batch}")
            )
            text = "[[ladder.sizes]]".join([own, *kept])
            tables.append(trained(f"lr_batch/b{batch}-lr{lr}", text))
    return pd.concat(tables, ignore_index=True)


def trained(name: str, text: str) -> pd.DataFrame:
    """The run table of a study file's text, trained in runs/NAME."""
    study = RUNS / f"{name}.toml"
    write_atomic(study, text)
    prepared = prepare(study, RUNS / name)
    print(f"{name}: {len(prepared.todo)} of {len(prepared.tasks)} parts to train", flush=True)
    return run(prepared, study).table


if __name__ == "__main__":
    chosen = {"decay20": decay20, "lr_batch": lr_batch}
    if len(sys.argv) != 2 or sys.argv[1] not in chosen:
        sys.exit(f"usage: python {sys.argv[0]} {' | '.join(chosen)}")
    table = chosen[sys.argv[1]]()
    # run ends alone, and of the held-out sets their average: what the notebook reads
    table = table[(table["kind"] != "trunk") & (table["eval_set"] == "average")]
    write_atomic(HERE / sys.argv[1] / "table.csv", table.to_csv(index=False))
