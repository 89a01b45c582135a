"""DANA: stochastic momentum whose forgetting and rate follow the dimension and log-time.

    y <- (1 - Delta) y + g,   p <- p - lr g - gamma_3(t) y,   Delta = delta / (delta + t)

Source: arXiv 2505.16098. The recipe: lr is SGD's learning rate, c_3 = 1, delta = 8, and kappa_3
the smallest stable value of a sweep (1 / (2 alpha) on power-law random features).
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from hidim.algorithms.schedules import Schedule
from hidim.torch._machine import gain
from hidim.torch._machine.momentum import MomentumFamily
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.schedules import cooldown_at


class DANADecaying(MomentumFamily):
    """DANA-decaying: gamma_3(t) = c_3 lr (1+t)^-kappa_3, a drop-in replacement of SGD.

    Args:
        params: parameters, named parameters or groups, as for every torch optimizer.
        lr: SGD's learning rate, gamma_2; a number or a 0-D tensor. A scheduler on it scales
            gamma_3 alike.
        c_3: gamma_3 / gamma_2 at t = 0.
        kappa_3: how fast the momentum rate decays; sweep for the smallest stable one, it
            transfers across model sizes. 0 keeps it constant; "auto" is gain="measured", under
            which `hidim.torch.monitor` says what exponent came of it.
        delta: forgetting constant, Delta = delta / (delta + t); the theory needs more than 5.
        weight_decay: coupled as in torch's SGD (added to the gradient).
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        initial_step: where t starts for a fresh state; 0 replays the transient.
        maximize, foreach, fused, capturable, differentiable: as in torch.optim, save that a step
            on a CPU is one pass over memory (`fused=True`) unless `foreach` or `fused` is given.
        stochastic_rounding: round bfloat16 parameters and state without bias.
        state_dtype: dtype of the momentum, the parameter's by default (float32 for float16).
        cooldown: number of updates of the run, at which the momentum's rate has gone to 0
            (`hidim.CoolDown(cooldown)`), or any schedule that multiplies it.
        gain: "measured" sets gamma_3 = c_3 lr min(C / N, 1) during the run, N the effective
            dimension of the gradients' covariance at the momentum's memory and C what the share
            of noise in the momentum allows; kappa_3 is not used. One more buffer, and lists where
            `fused` is asked for.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = DANADecaying(model.parameters(), lr=0.1, kappa_3=0.75)
        >>> model(torch.ones(2, 3)).pow(2).mean().backward()
        >>> optimizer.step()
    """

    scale_keys: ClassVar[tuple[str, ...]] = ("c_3", "kappa_3", "delta", "cooldown")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        c_3: float = 1.0,
        kappa_3: float | str = 0.85,
        delta: float = 8.0,
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
        cooldown: float | Schedule | None = None,
        gain: str | None = None,
    ) -> None:
        super().__init__(params, locals())

    @staticmethod
    def rule(group: dict[str, Any], t: Any) -> tuple[Any, Any, Any, Any]:
        """1, 1, c_3 (1+t)^-kappa_3, delta / (delta + t)."""
        delta = group["delta"]
        factor = group["c_3"] * cooldown_at(group.get("cooldown"), t)
        decay = gain.ratio(group, t) if gain.asked(group) else (1 + t) ** -group["kappa_3"]
        return 1.0, 1.0, factor * decay, delta / (delta + t)

    def _scale_values(self, group: dict[str, Any]) -> tuple[Any, ...]:
        if gain.asked(group):  # a ratio that no formula foretells: the buffer is y itself
            return (0.0, 0.0, group["delta"], None)
        return super()._scale_values(group)

    def coefficients(self, group: dict[str, Any], t: Any, lr: Any) -> tuple[Any, ...]:
        """As in the family; with a measured gain not as one call of torch's kernel."""
        numbers = super().coefficients(group, t, lr)
        return (*numbers[:4], None, numbers[5]) if gain.asked(group) else numbers


class DANAConstant(MomentumFamily):
    """DANA-constant: gamma_3 = c_3 lr / dimension.

    Args:
        params: parameters, named parameters or groups.
        lr: SGD's learning rate, gamma_2.
        c_3: gamma_3 dimension / gamma_2.
        dimension: the number of parameters by default, a complex one counted twice; with several
            groups, of all that the optimizer had when the group was added. An optimizer that holds
            a part of the model (one of several, ZeroRedundancyOptimizer, one per parameter in the
            backward pass) sees only its own: give the model's number there. What was counted is
            in the group and in the log "hidim.torch" at level INFO.
        delta: forgetting constant, Delta = delta / (delta + t).
        weight_decay, decoupled_weight_decay, initial_step, maximize, foreach, fused, capturable,
            differentiable, stochastic_rounding, state_dtype, cooldown: as in `DANADecaying`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = DANAConstant([torch.nn.Parameter(torch.zeros(10))], lr=0.1)
        >>> optimizer.param_groups[0]["dimension"]
        10
    """

    scale_keys: ClassVar[tuple[str, ...]] = ("c_3", "dimension", "delta", "cooldown")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        c_3: float = 1.0,
        dimension: float | None = None,
        delta: float = 8.0,
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
        cooldown: float | Schedule | None = None,
    ) -> None:
        options = dict(locals())
        self._building = True
        super().__init__(params, options)
        del self._building
        # Only now are all groups known: the groups of one model share its dimension.
        for group in self.param_groups:
            if group["dimension"] is None:
                group["dimension"] = total = self._number_of_reals()
                group["scaled_by"] = self._scale_values(group)
                _say_counted(self, total)

    def _complete(self, group: dict[str, Any]) -> None:
        if group["dimension"] is None and not hasattr(self, "_building"):
            group["dimension"] = total = self._number_of_reals()
            _say_counted(self, total)
        super()._complete(group)

    def _number_of_reals(self) -> int:
        tensors = [p for group in self.param_groups for p in group["params"]]
        if any(map(is_lazy, tensors)):
            raise ValueError(
                "`dimension` cannot be counted before lazy parameters have their shapes: run the "
                "model once before, or give `dimension`."
            )
        return max(sum(p.numel() * (2 if p.is_complex() else 1) for p in tensors), 1)

    @staticmethod
    def rule(group: dict[str, Any], t: Any) -> tuple[Any, Any, Any, Any]:
        """1, 1, c_3 / dimension, delta / (delta + t)."""
        delta = group["delta"]
        factor = group["c_3"] * cooldown_at(group.get("cooldown"), t)
        return 1.0, 1.0, factor / group["dimension"], delta / (delta + t)


def _say_counted(optimizer: DANAConstant, total: int) -> None:
    tensors = sum(len(group["params"]) for group in optimizer.param_groups)
    logging.getLogger("hidim.torch").info(
        "DANAConstant: dimension=%d, counted over the %d tensors of this optimizer; give "
        "`dimension` where it holds a part of the model.",
        total,
        tensors,
    )
