"""Log-time weight decay for any optimizer.

    p <- p (1 - (lr / peak_lr) omega / (t_0 + t)),   t = 1, 2, ...,   before each update

Decoupled and independent of the size of lr: only the schedule's shape lr/peak_lr enters.
Source: arXiv 2602.05298, whose runs take omega = 4 and t_0 = a tenth of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from hidim.torch._machine.ops import as_data
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.options import number
from hidim.torch._machine.wrapper import Wrapper


class LogTimeWeightDecay(Wrapper):
    """Any optimizer with log-time weight decay added; AdamW without its own decay by default.

    Args:
        params: an optimizer to wrap, or parameters, named parameters or groups for `base`.
        lr: learning rate of `base`; not used with an optimizer to wrap.
        omega: strength; 4 in the source.
        t_0: time before which the decay is flat; a tenth of the run in the source.
        peak_lr: the schedule's highest lr; by default the lr of the group when it is added.
        initial_step: where t starts, 0 by default; with a base that has the option, give it
            there. t is a group's number of updates, kept in the group as `decay_step`.
        weight_decay: `base`'s own weight decay.
        base: class of the optimizer to build from parameters.
        options: further options of `base`.

    Raises:
        ValueError: a value outside its range, or a base that has `omega` itself (ADANA and its
            relatives), naming the argument.

    Example:
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = LogTimeWeightDecay(torch.optim.SGD(model.parameters(), lr=0.1), t_0=100)
    """

    kept: ClassVar[tuple[str, ...]] = ("decay_step",)

    def __init__(
        self,
        params: Params | torch.optim.Optimizer,
        lr: float | Tensor = 1e-3,
        *,
        omega: float = 4.0,
        t_0: float = 1000.0,
        peak_lr: float | None = None,
        initial_step: int | None = None,
        weight_decay: float = 0.0,
        base: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        **options: Any,
    ) -> None:
        own = {"omega": omega, "t_0": t_0, "peak_lr": peak_lr, "initial_step": initial_step}
        super().__init__(params, own, base, {"lr": lr, "weight_decay": weight_decay, **options})

    def _complete(self, group: dict[str, Any]) -> None:
        if group["peak_lr"] is None:
            group["peak_lr"] = number(group["lr"])
        if group["omega"] > 0 and group["peak_lr"] == 0:
            raise ValueError("`peak_lr` must be positive when omega > 0: the decay is lr/peak_lr.")
        device = group["params"][0].device if group.get("capturable") and group["params"] else "cpu"
        start = torch.tensor(float(group["initial_step"] or 0), device=device)
        group.setdefault("decay_step", start)

    def before(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Shrink the old parameters."""
        group["decay_step"] += 1
        t: Any = group["decay_step"]
        lr = group["lr"]
        if not torch.compiler.is_compiling() and t.device.type == "cpu":
            t = t.item()
            lr = float(lr) if isinstance(lr, Tensor) and lr.device.type == "cpu" else lr
        elif torch.compiler.is_compiling():
            t = t.to(torch.float32 if t.device.type == "mps" else torch.float64)
            lr = as_data(lr, t)
        kept = 1 - lr / group["peak_lr"] * group["omega"] / (group["t_0"] + t)
        if group.get("foreach") or group.get("fused") or params[0].device.type == "cuda":
            torch._foreach_mul_(params, kept)
        else:
            for p in params:
                p.mul_(kept)
