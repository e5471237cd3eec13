"""Writes wandb_export.csv, the table that notebook 04 begins with: runs as somebody's tracker exports them.

The losses are drawn from a known law, Besiroglu et al.'s constants of Chinchilla's form, with 0.4 % of scatter, so that
the notebook can end with the truth. What goes wrong in real tables is in it: a run that crashed, one that was exported
twice, one whose learning rate was too high. Run it in this folder: python make_export.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

from scalinglab import laws

SIZES = {"40M": 41.3e6, "80M": 83.9e6, "160M": 159.7e6, "320M": 318.2e6, "640M": 644.0e6, "1.2B": 1213.0e6}
PER_PARAM = (5, 10, 20, 40, 80)
DEAREST = 5e20
"""FLOPs from which a run was not affordable."""
STEP_TOKENS = 524_288
SCATTER = 0.004


def export() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    law = laws.PUBLISHED["besiroglu"]
    rows = []
    for name, n in SIZES.items():
        for ratio in PER_PARAM:
            steps = round(ratio * n / STEP_TOKENS)
            tokens = steps * STEP_TOKENS
            if 6 * n * tokens > DEAREST:
                continue
            loss = float(law.law.predict(law.constants, params=n, tokens=tokens)) * np.exp(
                rng.normal(0, SCATTER)
            )
            rows.append([f"{name}-{ratio}x", "finished", n, STEP_TOKENS, steps, 3e-3, loss])
    table = pd.DataFrame(
        rows,
        columns=["Name", "State", "model.non_embedding_params", "data.batch_size_in_tokens", "train/steps",
                 "optim.max_lr", "eval/c4_en/loss"],
    )  # fmt: skip
    hot = table["Name"] == "320M-20x"
    table.loc[hot, "optim.max_lr"], table.loc[hot, "eval/c4_en/loss"] = 3e-2, 3.47
    crashed = table.iloc[[-1]].assign(Name="1.2B-20x-first-try", State="crashed")
    crashed["train/steps"], crashed["eval/c4_en/loss"] = 3100, 4.61
    twice = table[table["Name"] == "80M-40x"]
    return pd.concat([table, crashed, twice], ignore_index=True).round({"eval/c4_en/loss": 4})


if __name__ == "__main__":
    export().to_csv(Path(__file__).with_name("wandb_export.csv"), index=False)
