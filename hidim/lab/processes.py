"""How do several processes train one model? Each takes its rows of the same global batch.

Started by torchrun, which sets RANK and WORLD_SIZE; alone, everything here does nothing.
Gradients are averaged by DistributedDataParallel: with equal shares the mean of means is the mean.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hidim.lab.store import RunFolder


class Group:
    """The processes of this run."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        cuda = torch.cuda.is_available()
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo")
        local = int(os.environ.get("LOCAL_RANK", "0"))
        self.device = torch.device("cuda", local) if cuda else torch.device("cpu")

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @contextmanager
    def first_claims(self, folder: RunFolder) -> Iterator[None]:
        """Hold the folder by the first process; a refusal is raised in all of them."""
        with ExitStack() as held:
            problem: list[str | None] = [None]
            if self.first:
                try:
                    held.enter_context(folder.claim())
                except ValueError as error:
                    if self.size == 1:
                        raise
                    problem = [str(error)]
            if self.size > 1:
                dist.broadcast_object_list(problem)
            if problem[0] is not None:
                raise ValueError(problem[0])
            yield

    def share_of(self, batch_size: int, accumulation: int) -> range:
        """The rows of every micro-batch that are this process's.

        Raises:
            ValueError: the micro-batch does not divide among the processes.
        """
        size = batch_size // accumulation
        if size % self.size:
            raise ValueError(
                f"`batch_size` {batch_size} in {accumulation} micro-batches does not divide among "
                f"{self.size} processes."
            )
        share = size // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with its gradients averaged over the processes."""
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model)

    def quiet(self, model: nn.Module, wanted: bool) -> AbstractContextManager[Any]:
        """Leave gradients where they are until the last micro-batch."""
        if wanted and isinstance(model, nn.parallel.DistributedDataParallel):
            return model.no_sync()
        return nullcontext()

    def combine(self, loss: Tensor, stopping: bool) -> tuple[Tensor, bool]:
        """The mean loss over the processes, and whether any of them was asked to stop."""
        if self.size == 1:
            return loss, stopping
        both = torch.stack([loss, torch.full_like(loss, float(stopping))])
        dist.all_reduce(both)
        return both[0] / self.size, bool(both[1] > 0)

    def wait(self) -> None:
        """Wait for all."""
        if self.size > 1:
            dist.barrier()
