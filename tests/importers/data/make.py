"""Makes the files beside it with the software whose format they have. Run in an empty folder; not run by the tests.

    python3 -m venv venv && venv/bin/pip install wandb mlflow tensorboard transformers accelerate openpyxl torch
    venv/bin/python make.py

Made with wandb 0.31.0, mlflow 3.17.2, tensorboard 2.21.0, transformers 5.24.0, openpyxl 3.1.5, torch 2.13.0. The losses
are of L = 1.8 + 400/N^0.35 + 900/D^0.37 at the tokens of each step, if nothing else is said; the Trainer's are of
models that it trained. Afterwards paths and names of the machine were replaced in mlruns, mlflow.sql and file names.
"""

import os
import sqlite3
from pathlib import Path

BATCH, CONTEXT = 64, 1024
STEPS = (100, 200, 300)
SIZES = {"12M": 12_000_000, "48M": 48_000_000}


def loss(n: float, step: int) -> float:
    return 1.8 + 400 / n**0.35 + 900 / (step * BATCH * CONTEXT) ** 0.37


def tensorboard() -> None:
    """One run by torch's writer, with settings; one as TensorFlow 2 writes scalars, as tensors."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from torch.utils.tensorboard import SummaryWriter

    name, n = next(iter(SIZES.items()))
    torch_writer = SummaryWriter(f"tensorboard/gpt-{name}")
    for step in STEPS:
        torch_writer.add_scalar("train/loss", loss(n, step) - 0.1, step)
        torch_writer.add_scalar("val/loss", loss(n, step), step)
    torch_writer.add_hparams(
        {"non_embedding_params": n, "batch_size": BATCH, "seq_len": CONTEXT}, {"hparam/loss": 3.0}
    )
    torch_writer.close()
    tf_writer = EventFileWriter("tensorboard_tf2/gpt-48M")
    for step in STEPS:
        tf_writer.add_event(
            Event(step=step, wall_time=step, summary=scalar_pb("val/loss", loss(SIZES["48M"], step)))
        )
    tf_writer.close()


def wandb() -> None:
    """Two offline runs: evaluation at some steps only, the tokens logged, settings nested."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_DISABLE_CODE": "true", "WANDB_DISABLE_GIT": "true"}
    import wandb

    settings = wandb.Settings(
        x_disable_stats=True, x_disable_meta=True, console="off", silent=True, host="host"
    )
    for name, n in SIZES.items():
        config = {"model": {"n_params_non_embedding": n}, "lr": 3e-3, "lr_schedule": "cosine"}
        with wandb.init(
            project="ladder", name=f"gpt-{name}", dir=".", settings=settings, config=config
        ) as run:
            for step in STEPS:
                row = {
                    "train/loss": loss(n, step) - 0.1,
                    "tokens": step * BATCH * CONTEXT,
                    "lr": 3e-3 * (1 - step / 400),
                }
                run.log(row | ({"eval/loss": loss(n, step)} if step != 200 else {}), step=step)


def mlflow(uri: str) -> None:
    """Two runs that finished and one that failed; their losses are 2 + 30/step + 100/N^0.5."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("ladder")
    for name, n in (("s1", 1.2e6), ("s2", 4.8e6), ("broken", 9e6)):
        with mlflow.start_run(run_name=name) as run:
            mlflow.log_params(
                {"non_embedding_params": int(n), "batch_size": 32, "block_size": 256, "learning_rate": 0.01}
            )
            for step in range(50, 201, 50):
                mlflow.log_metric("val_loss", 2 + 30 / step + 100 / n**0.5, step=step)
                mlflow.log_metric("train_loss", 1.9 + 30 / step + 100 / n**0.5, step=step)
                if name == "broken" and step == 100:
                    break
        if name == "broken":
            mlflow.tracking.MlflowClient().set_terminated(run.info.run_id, status="FAILED")


def dump() -> None:
    """The tables of the SQLite store that hold runs, as SQL: the whole file has a megabyte of empty ones."""
    store = sqlite3.connect("mlflow.db")
    lines = []
    for table in ("experiments", "runs", "metrics", "params"):
        (create,) = store.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        lines.append(create + ";")
        for row in store.execute(f"SELECT * FROM {table}"):
            cells = ["NULL" if cell is None else repr(cell) for cell in row]
            lines.append(f"INSERT INTO {table} VALUES ({', '.join(cells)});")
    Path("mlflow.sql").write_text("\n".join(lines) + "\n")


def trainer() -> None:
    """Two models; only for the first the Trainer counts tokens. Optimiser states are deleted afterwards."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    class Data(torch.utils.data.Dataset):
        def __init__(self, n: int) -> None:
            self.x = torch.randint(0, 64, (n, 16), generator=torch.Generator().manual_seed(n))

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, i: int) -> dict:
            return {"input_ids": self.x[i], "labels": self.x[i]}

    for name, width in (("small", 8), ("large", 16)):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=width, n_layer=2, n_head=2))
        how = TrainingArguments(
            output_dir=f"trainer/{name}", max_steps=20, per_device_train_batch_size=4, logging_steps=5,
            eval_strategy="steps", eval_steps=10, save_steps=10, save_total_limit=2, report_to=[], use_cpu=True,
            include_num_input_tokens_seen=name == "small", learning_rate=1e-2,
        )  # fmt: skip
        work = Trainer(model=model, args=how, train_dataset=Data(200), eval_dataset=Data(40))
        work.train()
        work.save_state()
        sizes = sum(p.numel() for p in model.parameters()), model.num_parameters(exclude_embeddings=True)
        print(
            name, "all parameters and those outside embeddings:", sizes, "total_flos:", work.state.total_flos
        )
    # kept: each run's trainer_state.json and, of its last checkpoint, the header of model.safetensors
    for path in Path("trainer").rglob("*/checkpoint-20/model.safetensors"):
        content = path.read_bytes()
        path.write_bytes(content[: 8 + int.from_bytes(content[:8], "little")])


def excel() -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Run", "Non-embedding params (M)", "Tokens/param", "Val loss"])
    for name, n in SIZES.items():
        sheet.append([f"gpt-{name}", n / 1e6, STEPS[-1] * BATCH * CONTEXT / n, loss(n, STEPS[-1])])
    book.save("runs.xlsx")


if __name__ == "__main__":
    tensorboard()
    wandb()
    mlflow("file:./mlruns")
    mlflow("sqlite:///mlflow.db")
    dump()
    excel()
    trainer()
