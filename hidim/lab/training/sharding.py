"""How do processes hold a model in parts, and save it as if one process held it all?

FSDP2, `torch.distributed.fsdp.fully_shard`: every process keeps 1/n of each parameter, gradient and
optimizer state (rows of its first dimension) and gathers a part of the model only while it is
computed. The parts here are each block of a transformer, the LSTM layers as one module, and the
rest: embeddings, last norm, output layer.
`gathered` and `scattered` turn state held in parts into whole tensors and back, so a checkpoint
does not depend on how many processes wrote it or whether they shared the model out.
Limits: nn.LSTM is one module, so its layers are gathered together; saving needs one whole tensor
at a time on the device and the whole state in the memory of the first process; at the start, and
when it resumes, every process holds the whole model in the memory of its host for a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hidim.lab.training.networks.modern import ModernBlock
from hidim.lab.training.networks.transformer import Block

State = dict[str, Any]


def shard(model: nn.Module, device: torch.device, processes: int) -> nn.Module:
    """Leave 1/n of every parameter on this process, on its device; changes `model` itself."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes,))
    for part in model.modules():
        if isinstance(part, nn.LSTM):
            # FSDP2 hooks into the output and warns of views, which batch_first returns.
            part.register_forward_hook(_copied)
        if isinstance(part, Block | ModernBlock | nn.LSTM):
            fully_shard(part, mesh=mesh)
    # The root too is given up after its forward: an evaluation has no backward that would do it.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    return model


@torch.no_grad()
def gathered(state: Any, *, keep: bool = True) -> Any:
    """The same state with whole tensors on the CPU; all processes must call it together.

    Args:
        state: nested dicts of tensors.
        keep: whether this process wants the result; None stands in for the tensors if not.
    """
    if _in_parts(state):
        whole = state.full_tensor()
        return whole.cpu() if keep else None
    if isinstance(state, Mapping):
        return {name: gathered(value, keep=keep) for name, value in state.items()}
    return state


def load_model(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole tensors into a model that may be held in parts."""
    own = model.state_dict()
    model.load_state_dict({name: scattered(x, own[name]) for name, x in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Load whole tensors into an optimizer whose parameters may be held in parts."""
    own = [p for group in optimizer.param_groups for p in group["params"]]
    names = [name for group in state["param_groups"] for name in group["params"]]
    held = dict(zip(names, own, strict=True))
    # Which kernel updates is this process's affair: not every one takes parts.
    groups = [
        {**group, **{key: mine[key] for key in ("foreach", "fused") if key in mine}}
        for group, mine in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    entries = {
        name: {key: scattered(x, held[name]) for key, x in entry.items()}
        for name, entry in state["state"].items()
    }
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


@torch.no_grad()
def scattered(value: Any, like: Tensor) -> Any:
    """A whole tensor in the parts of `like`; what has no parts, such as a step count, as it is."""
    if not _in_parts(like) or not isinstance(value, Tensor) or value.dim() == 0:
        return value
    from torch.distributed.tensor import Replicate, distribute_tensor

    held: Any = like
    # State of another shape than its parameter (a factored second moment) is kept whole.
    whole = [Replicate()] * held.device_mesh.ndim
    placements = held.placements if value.shape == held.shape else whole
    return distribute_tensor(value.to(held.device), held.device_mesh, placements)


def _in_parts(value: Any) -> bool:
    return isinstance(value, Tensor) and hasattr(value, "full_tensor")


def _copied(module: nn.Module, inputs: Any, output: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
    return output[0].clone(), output[1]
