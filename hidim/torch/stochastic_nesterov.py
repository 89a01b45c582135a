"""Nesterov's method on stochastic gradients, for study: it diverges at every learning rate.

gamma_1 = t(t+1)/(t+2), gamma_2 = lr, gamma_3 = lr/(t+1), Delta = 1/(t+2). The sources put the
rate into gamma_1, which is the same at a constant rate; here a scheduler scales gamma_3.
Source: arXiv 2505.16098; divergence: Even et al. 2021, theorem 7.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.momentum import MomentumFamily
from hidim.torch._machine.optimizer import Params


class StochasticNesterov(MomentumFamily):
    """Stochastic Nesterov with rate `lr`.

    Args:
        params: parameters, named parameters or groups.
        lr: the rate.
        weight_decay, decoupled_weight_decay, initial_step, maximize, foreach, fused, capturable,
            differentiable, stochastic_rounding, state_dtype: as in `DANADecaying`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = StochasticNesterov([torch.nn.Parameter(torch.zeros(3))], lr=0.1)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
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

    @staticmethod
    def rule(group: dict[str, Any], t: Any) -> tuple[Any, Any, Any, Any]:
        """t(t+1)/(t+2), 1, 1/(t+1), 1/(t+2)."""
        return t * (t + 1) / (t + 2), 1.0, 1 / (t + 1), 1 / (t + 2)
