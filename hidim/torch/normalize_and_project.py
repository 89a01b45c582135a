"""Normalize and project: after each update, every weight goes back to its initial norm.

With normalisation before the nonlinearities a layer's output does not depend on the norm of its
weights, but its effective learning rate does (lr / norm^2 for SGD); projecting keeps it fixed.
Source: arXiv 2407.01800.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from hidim.torch._machine.layout import local_shard
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.wrapper import Wrapper, options_of_base


class NormalizeAndProject(Wrapper):
    """Any optimizer with its weights projected to their initial norms; AdamW by default.

    Build it after the weights are in place: the norms are those it finds, kept in the group as
    `norms`; of weights on the meta device, and of lazy ones, those found at the first update. A
    weight that starts at zero is left free.

    Args:
        params: an optimizer to wrap, or parameters, named parameters or groups for `base`.
        lr: learning rate of `base`; not used with an optimizer to wrap.
        min_dim: parameters of fewer dimensions (biases, gains) are not projected.
        weight_decay: `base`'s own weight decay.
        base: class of the optimizer to build from parameters.
        betas, eps, maximize, foreach, fused, capturable, differentiable: of `base`; its own
            default where left out.
        options: further options of `base`, such as SGD's momentum.

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
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        maximize: bool | None = None,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool | None = None,
        differentiable: bool | None = None,
        **options: Any,
    ) -> None:
        settings = options_of_base(locals())
        super().__init__(params, {"min_dim": min_dim}, base, settings)

    @torch.no_grad()
    def _complete(self, group: dict[str, Any]) -> None:
        if "norms" not in group:
            group["norms"] = [_start(group, p) for p in group["params"]]

    def refuse_kept(self, group: dict[str, Any], count: int) -> str | None:
        """Whether `norms` has a norm, or None, for each parameter."""
        norms = group["norms"]
        if not isinstance(norms, list | tuple) or len(norms) != count:
            return f"`norms` must be of {count} parameters, got {norms!r}"
        if not all(x is None or 0 <= x < math.inf for x in norms):
            return f"`norms` must be finite and not negative, got {norms!r}"
        return None

    def before(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Measure what has come from the meta device since."""
        if None in group["norms"]:
            pairs = zip(group["params"], group["norms"], strict=True)
            group["norms"] = [_start(group, p) if norm is None else norm for p, norm in pairs]

    def after(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Rescale what moved."""
        for p, norm in zip(group["params"], group["norms"], strict=True):
            if norm and p.grad is not None:
                size = _norm(p.clone() if group.get("differentiable") else p)  # autograd needs it
                local_shard(p).mul_(torch.where(size > 0, norm / size, 1.0))


def _start(group: dict[str, Any], p: Tensor) -> float | None:
    """The norm to keep: 0 for none, None while the weight has no memory yet."""
    if is_lazy(p):
        return None
    if p.dim() < group["min_dim"]:
        return 0.0
    return None if p.is_meta else float(_norm(p))


def _norm(p: Tensor) -> Tensor:
    """Euclidean norm, of the whole parameter where this process holds a shard of it."""
    low = p.dtype in (torch.bfloat16, torch.float16)
    size: Any = torch.linalg.vector_norm(p, dtype=torch.float32 if low else None)
    return size.full_tensor() if hasattr(size, "full_tensor") else size
