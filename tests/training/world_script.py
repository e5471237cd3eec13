"""Trains a run with as many processes as torchrun started, and writes what each of them found.

Arguments: a folder with run.json (its definition) and text.npz (its streams).
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from scalinglab.errors import InputError
from scalinglab.ladder.definition import run_of
from scalinglab.training import Streams, Trainer

folder = Path(sys.argv[1])
torch.set_num_threads(1)
dist.init_process_group("gloo")
text = np.load(folder / "text.npz")
streams = Streams(
    *({name: text[f"{part}-{name}"] for name in ("one", "two")} for part in ("train", "heldout"))
)
definition = json.loads((folder / "run.json").read_text())
trainer = Trainer(run_of(definition, "tiny"), streams)
batches, draw = [], trainer.mixture.batch


def watched(first: int, count: int):
    inputs, targets = draw(first, count)
    batches.append(inputs.tolist())
    return inputs, targets


trainer.mixture.batch = watched
records: list[dict[str, float]] = []
trainer.train(20, records.append)
rank = trainer.world.rank
heldout = {name: found.record() for name, found in trainer.evaluate().items()}
trainer.save(folder / "state.safetensors")
weights = hashlib.sha256(b"".join(part.flat.detach().numpy().tobytes() for part in trainer.model.parts))
standing = (folder / "state.safetensors").exists()
try:
    Trainer(run_of(definition | {"ramp": [[10, 96]]}, "tiny"), streams)
    refused = ""
except InputError as error:
    refused = str(error)
found = {"batches": batches, "losses": [record["loss"] for record in records], "heldout": heldout}
found |= {"weights": weights.hexdigest(), "standing": standing, "refused": refused}
(folder / f"rank{rank}.json").write_text(json.dumps(found))
dist.destroy_process_group()
