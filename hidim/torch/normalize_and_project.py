"""Normalize and project: after each update, every weight goes back to its initial norm.

With normalisation before the nonlinearities a layer's output does not depend on the norm of its
weights, but its effective learning rate does (lr / norm^2 for SGD); projecting keeps it fixed.
Source: arXiv 2407.01800.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from hidim.torch._machine.layout import local_shard
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.wrapper import Wrapper


class NormalizeAndProject(Wrapper):
    """Any optimizer with its weights projected to their initial norms; AdamW by default.

    Build it after the weights are in place: the norms are those it finds, kept in the group as
    `norms`. A weight that starts at zero is left free.

    Args:
        params: an optimizer to wrap, or parameters, named parameters or groups for `base`.
        lr: learning rate of `base`; not used with an optimizer to wrap.
        min_dim: parameters of fewer dimensions (biases, gains) are not projected.
        weight_decay: `base`'s own weight decay.
        base: class of the optimizer to build from parameters.
        options: further options of `base`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> model = torch.nn.Linear(3, 2)
        >>> optimizer = NormalizeAndProject(torch.optim.SGD(model.parameters(), lr=0.1))
    """

    kept: ClassVar[tuple[str, ...]] = ("norms",)

    def __init__(
        self,
        params: Params | torch.optim.Optimizer,
        lr: float | Tensor = 1e-3,
        *,
        min_dim: int = 2,
        weight_decay: float = 0.0,
        base: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        **options: Any,
    ) -> None:
        own = {"min_dim": min_dim}
        super().__init__(params, own, base, {"lr": lr, "weight_decay": weight_decay, **options})

    @torch.no_grad()
    def _complete(self, group: dict[str, Any]) -> None:
        if "norms" not in group:
            group["norms"] = [
                float(_norm(p)) if p.dim() >= group["min_dim"] else 0.0 for p in group["params"]
            ]

    def after(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Rescale what moved."""
        for p, norm in zip(group["params"], group["norms"], strict=True):
            if p.grad is not None and norm > 0:
                size = _norm(p)
                local_shard(p).mul_(torch.where(size > 0, norm / size, 1.0))


def _norm(p: Tensor) -> Tensor:
    """Euclidean norm, of the whole parameter where this process holds a shard of it."""
    low = p.dtype in (torch.bfloat16, torch.float16)
    size: Any = torch.linalg.vector_norm(p, dtype=torch.float32 if low else None)
    return size.full_tensor() if hasattr(size, "full_tensor") else size
