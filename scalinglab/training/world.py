"""Several processes on one run: each takes its part of every batch, and all end with the same weights.

A process outside any group is a world of one and communicates with nobody.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from scalinglab.errors import InputError


class World:
    """The processes of a run: those of torch's default group where one was set up, else this one alone.

    Every process holds the whole state and makes the same calls. Batches and held-out windows are shared out; files
    are the first process's to write. device: where messages are, for the groups that speak on an accelerator only.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        joined = dist.is_available() and dist.is_initialized()
        self.rank: int = dist.get_rank() if joined else 0
        self.size: int = dist.get_world_size() if joined else 1

    def part(self, count: int) -> tuple[int, int]:
        """(first, count) of the samples of a batch that are this process's; in order of ranks they are the batch.

        Raises InputError when the batch cannot be dealt out evenly.
        """
        own, over = divmod(count, self.size)
        if over:
            raise InputError(
                f"a batch of {count} sequences cannot be shared evenly by {self.size} processes; "
                f"choose a number of processes that divides {count}"
            )
        return self.rank * own, own

    def average(self, tensors: list[Tensor]) -> None:
        """Replace every tensor by its mean over the processes, in place."""
        if self.size == 1:
            return
        for tensor in tensors:
            self.total(tensor)
            tensor.div_(self.size)

    def total(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def agreed(self, choice: bool) -> bool:
        """The first process's choice, in all."""
        if self.size == 1:
            return choice
        told = torch.tensor(float(choice), device=self._device)
        dist.broadcast(told, 0)
        return bool(told)

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.total(torch.zeros(1, device=self._device))
