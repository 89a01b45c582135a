"""signSGD, for study: p <- p (1 - lr weight_decay) - lr sign(g).

Source: arXiv 2411.12135, whose step is lr = eta / d. It keeps no state but the step count.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.ops import Tensors, foreach_add_scaled, minus
from hidim.torch._machine.optimizer import HidimOptimizer, Params


class SignSGD(HidimOptimizer):
    """Step by the sign of every entry (of both parts of a complex one).

    Args:
        params: parameters, named parameters or groups.
        lr: size of every entry's step.
        weight_decay: decoupled: p is multiplied by 1 - lr weight_decay.
        initial_step, maximize, foreach, fused, capturable, differentiable, stochastic_rounding,
            state_dtype: as in `DANADecaying`; fused=True uses lists.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = SignSGD([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        weight_decay: float = 0.0,
        initial_step: int = 0,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        stochastic_rounding: bool = False,
        state_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(params, locals())

    def kept(self, group: dict[str, Any], t: Any, lr: Any) -> Any:
        """1 - lr weight_decay."""
        return 1 - lr * group["weight_decay"]

    def coefficients(self, group: dict[str, Any], t: Any, lr: Any) -> tuple[Any, ...]:
        """The kept factor and lr."""
        return self.kept(group, t, lr), lr

    def update(
        self, group: dict[str, Any], ps: Tensors, gs: Tensors, state: list[Tensors], c: Any
    ) -> None:
        """p <- p kept - lr sign(g)."""
        if group["weight_decay"]:
            torch._foreach_mul_(ps, c[0])
        foreach_add_scaled(ps, list(torch._foreach_sign(gs)), minus(c[1]))
