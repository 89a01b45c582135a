"""Accelerated SGD of Jain et al. 2018, with the parameter at the point where gradients are taken.

    w <- q - lr g;  v <- b q + (1 - b) v - c xi lr g;  q <- a w + (1 - a) v,
    b = c^2 xi / kappa,  a = c / (c + b),  c = small_const

As a member of the momentum family: gamma_2 = lr, gamma_3 = lr (1 - a)(c xi - 1),
Delta = 1 - a (1 - b). Source: arXiv 1704.08227; parameters as in arXiv 1803.05591.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from hidim.torch._machine.momentum import MomentumFamily
from hidim.torch._machine.optimizer import Params


class AcceleratedSGD(MomentumFamily):
    """Accelerated SGD with constant short and long steps.

    Args:
        params: parameters, named parameters or groups.
        lr: the short step.
        kappa: condition number: the long step's averaging weight is small_const^2 xi / kappa.
        xi: statistical advantage, at most sqrt(kappa): the long step is small_const xi lr.
        small_const: the source's constant 0.7, below 1.
        weight_decay, decoupled_weight_decay, initial_step, maximize, foreach, fused, capturable,
            differentiable, stochastic_rounding, state_dtype: as in `DANADecaying`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = AcceleratedSGD([torch.nn.Parameter(torch.zeros(3))], lr=0.1, kappa=100.0)
    """

    scale_keys: ClassVar[tuple[str, ...]] = ("kappa", "xi", "small_const")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        kappa: float = 1000.0,
        xi: float = 10.0,
        small_const: float = 0.7,
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

    def _complete(self, group: dict[str, Any]) -> None:
        kappa, xi, c = group["kappa"], group["xi"], group["small_const"]
        if c * xi < 1:
            raise ValueError(f"`xi` must be at least 1/small_const = {1 / c:.3g}, got {xi}.")
        if c * c * xi > kappa:
            raise ValueError(f"`kappa` must be at least small_const^2 xi = {c * c * xi:.3g}.")
        super()._complete(group)

    @staticmethod
    def rule(group: dict[str, Any], t: Any) -> tuple[Any, Any, Any, Any]:
        """Constants: 1, 1, (1 - a)(c xi - 1), 1 - a (1 - b)."""
        c = group["small_const"]
        b = c * c * group["xi"] / group["kappa"]
        a = c / (c + b)
        return 1.0, 1.0, (1 - a) * (c * group["xi"] - 1), 1 - a * (1 - b)
