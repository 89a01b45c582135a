"""AdEMAMix with its slow average in log-time.

    m_1 <- beta_1 m_1 + (1-beta_1) g;   v <- beta_2 v + (1-beta_2) g^2;   m_2 <- (1-a) m_2 + a g
    p <- p kept - lr (m_1/(1-beta_1^n) + alpha m_2) / (sqrt(v/(1-beta_2^n)) + eps)

a = delta/(delta+t), alpha = alpha_scale (1+t)^(1-kappa), n the updates of this state (t less
`initial_step`). Sources: arXiv 2409.03137 (AdEMAMix), 2602.05298 (log-time).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hidim.algorithms.schedules import Schedule
from hidim.torch._machine import gain
from hidim.torch._machine.adaptive import AdaptiveFamily
from hidim.torch._machine.one_pass import Kernel
from hidim.torch._machine.ops import (
    Tensors,
    as_data,
    foreach_add_scaled,
    foreach_average,
    foreach_average_squares,
    foreach_root,
)
from hidim.torch._machine.optimizer import Params


class LogTimeAdEMAMix(AdaptiveFamily):
    """AdEMAMix whose slow average forgets as delta / (delta + t).

    Args:
        params: parameters, named parameters or groups.
        lr: learning rate, a number or a 0-D tensor.
        betas: Adam's two constants, for the fast average and the squares.
        kappa, delta, alpha_scale: the slow average enters with alpha_scale (1+t)^(1-kappa).
        eps: added to the root of the squares.
        weight_decay, omega, t_0, peak_lr, decay_after, initial_step, maximize, foreach, fused,
            capturable, differentiable, stochastic_rounding, state_dtype, clock,
            cooldown: as in `ADANA`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = LogTimeAdEMAMix([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
    """

    buffers = ("exp_avg", "exp_avg_sq", "exp_avg_slow")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        kappa: float = 0.85,
        delta: float = 8.0,
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

    kernel = Kernel("ademamix")
    temporaries = 3

    def numbers(self, group: dict[str, Any], t: Any) -> tuple[Any, ...]:
        """a, 1 - beta_1, 1 - beta_2, 1/(1 - beta_1^n), 1/(1 - beta_2^n), alpha, eps."""
        weight = group["delta"] / (group["delta"] + t)
        beta_1, beta_2 = (as_data(beta, t) for beta in group["betas"])
        updates = t - group["initial_step"] + (group.get("clock") == "jax")
        first, second = 1 / (1 - beta_1**updates), 1 / (1 - beta_2**updates)
        alpha = gain.growth(group, t)
        return weight, 1.0 - beta_1, 1.0 - beta_2, first, second, alpha, group["eps"]

    def direction(
        self, group: dict[str, Any], gs: Tensors, state: list[Tensors], c: tuple[Any, ...]
    ) -> tuple[Tensors, Tensors | None]:
        """m_1 first + alpha m_2, over sqrt(v second) + eps."""
        fast, squares, slow = state
        a, a_1, a_2, first, second, alpha, eps = c
        foreach_average(fast, gs, a_1)
        foreach_average_squares(squares, gs, a_2)
        foreach_average(slow, gs, a)
        step = list(torch._foreach_mul(fast, first))
        foreach_add_scaled(step, slow, alpha)
        hat = list(torch._foreach_mul(squares, second))
        return step, foreach_root(hat, eps, alike=isinstance(second, float))
