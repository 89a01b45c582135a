"""Dana-MK4: ADANA whose growing momentum term is clipped entry by entry.

    p <- p kept - lr [g/s + sign(m) min(alpha_scale (1+t)^(1-kappa) |m|/s, clip) + m/s]

s = sqrt(v) + eps. Only the extra, growing term is clipped. Source: arXiv 2602.05298.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hidim.algorithms.schedules import Schedule
from hidim.torch._machine import gain
from hidim.torch._machine.adaptive import AdaptiveFamily
from hidim.torch._machine.one_pass import Kernel
from hidim.torch._machine.ops import Tensors, foreach_add_scaled, foreach_clip
from hidim.torch._machine.optimizer import Params
from hidim.torch.adana import average


class DanaMK4(AdaptiveFamily):
    """ADANA with its extra term clipped at `clip`.

    Args:
        params: parameters, named parameters or groups.
        lr: learning rate, a number or a 0-D tensor.
        kappa, delta, eps, alpha_scale: as in `ADANA`.
        clip: bound on the extra term of an entry, in units of lr; inf for none.
        weight_decay, omega, t_0, peak_lr, decay_after, initial_step, maximize, foreach, fused,
            capturable, differentiable, stochastic_rounding, state_dtype, clock,
            cooldown: as in `ADANA`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = DanaMK4([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        kappa: float = 0.85,
        delta: float = 8.0,
        clip: float = 2.0,
        eps: float = 1e-8,
        alpha_scale: float = 1.0,
        weight_decay: float = 0.0,
        omega: float = 0.0,
        t_0: float = 1000.0,
        peak_lr: float | None = None,
        decay_after: bool = False,
        initial_step: int = 0,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        stochastic_rounding: bool = False,
        state_dtype: torch.dtype | None = None,
        clock: str = "torch",
        cooldown: float | Schedule | None = None,
    ) -> None:
        super().__init__(params, locals())

    biased = True
    kernel = Kernel("mk4")
    temporaries = 3

    def numbers(self, group: dict[str, Any], t: Any) -> tuple[Any, ...]:
        """a, the extra term's factor, clip, eps."""
        weight = group["delta"] / (group["delta"] + t)
        alpha = gain.growth(group, t)
        return weight, alpha, float(group["clip"]), group["eps"]

    def direction(
        self, group: dict[str, Any], gs: Tensors, state: list[Tensors], c: tuple[Any, ...]
    ) -> tuple[Tensors, Tensors | None]:
        """(g + m)/s + sign(m) min(alpha |m|/s, clip)."""
        a, alpha, clip, eps = c
        scale = average(gs, state[0], state[1], a, eps)
        extra = list(torch._foreach_mul(state[0], alpha))
        torch._foreach_div_(extra, scale)
        foreach_clip(extra, clip)
        foreach_add_scaled(extra, list(torch._foreach_add(gs, state[0])), 1.0, over=scale)
        return extra, None
