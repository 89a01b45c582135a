"""How do several processes train one model? Each takes its rows of the same global batch.

Started by torchrun, which sets RANK and WORLD_SIZE; alone, everything here does nothing.
Gradients are averaged by DistributedDataParallel, every process holding the whole model, or by
FSDP2, every process holding a part of it: with equal shares the mean of means is the mean.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hidim.lab.training.sharding import shard
from hidim.lab.training.store import RunFolder
from hidim.support.checks import choice

PARALLEL = ("ddp", "fsdp")


class Group:
    """The processes of this run.

    Args:
        parallel: "ddp" (each holds the model) or "fsdp" (each holds a part of it).

    Raises:
        ValueError: an unknown `parallel`, or more processes than GPUs.
    """

    def __init__(self, parallel: str = "ddp") -> None:
        choice("parallel", parallel, PARALLEL)
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.sharded = parallel == "fsdp" and self.size > 1
        self.device = _own_device()
        if self.size > 1 and not dist.is_initialized():
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)  # NCCL and FSDP use the current one
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @contextmanager
    def first_claims(self, folder: RunFolder) -> Iterator[None]:
        """Hold the folder by the first process; a refusal is raised in all of them."""
        with ExitStack() as held:
            self.first_does(lambda: held.enter_context(folder.claim()))
            yield

    def first_does(self, action: Callable[[], Any]) -> None:
        """Let the first process do it while the others wait; a refusal is raised in all of them."""
        self.first_tells(lambda: action() and None)

    def first_tells(self, action: Callable[[], Any]) -> Any:
        """What the first process finds, in all of them; a refusal is raised in all of them."""
        if self.size == 1:
            return action()
        found: list[Any] = [None, None]
        if self.first:
            try:
                found = [None, action()]
            except (ValueError, OSError) as error:
                found = [str(error), None]
        dist.broadcast_object_list(found)
        if found[0] is not None:
            raise ValueError(found[0])
        return found[1]

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

    def place(self, model: nn.Module) -> nn.Module:
        """The model on this process's device, or only this process's part of it."""
        if self.sharded:
            return shard(model, self.device, self.size)
        return model.to(self.device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with its gradients averaged over the processes."""
        if self.size == 1 or self.sharded:
            return model
        return nn.parallel.DistributedDataParallel(model)

    def quiet(self, model: Any, wanted: bool) -> AbstractContextManager[Any]:
        """Leave gradients where they are until the last micro-batch."""
        if self.sharded:
            model.set_requires_gradient_sync(not wanted)
        elif wanted and self.size > 1:
            quiet: AbstractContextManager[Any] = model.no_sync()
            return quiet
        return nullcontext()

    def combine(self, loss: Tensor, *wishes: bool) -> tuple[Tensor, tuple[bool, ...]]:
        """The mean loss over the processes, and for every wish whether any of them has it."""
        if self.size == 1:
            return loss, wishes
        joint = torch.stack([loss, *(torch.full_like(loss, float(wish)) for wish in wishes)])
        dist.all_reduce(joint)
        return joint[0] / self.size, tuple(count > 0 for count in joint[1:].tolist())

    def wait(self) -> None:
        """Wait for all."""
        if self.size > 1:
            dist.barrier()


def _own_device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes > torch.cuda.device_count():
        raise ValueError(
            f"{processes} processes need a GPU each, this machine has {torch.cuda.device_count()}. "
            "Start fewer, or hide the GPUs (CUDA_VISIBLE_DEVICES=) to train on the CPU."
        )
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
