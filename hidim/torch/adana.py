"""ADANA: DANA's log-time momentum on Adam's normalised gradient.

    p <- p kept - lr [gradient_scale g/s + alpha(t) m/s],   s = sqrt(v) + eps

Source: arXiv 2602.05298. The authors' code has alpha = 1 + (1+t)^(1-kappa), their page
(1+t)^(1-kappa); the code's form is the default. Link to DANA: kappa = kappa_3 = 1/(2 alpha).
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
    foreach_add_scaled,
    foreach_average,
    foreach_average_squares,
    foreach_root,
)
from hidim.torch._machine.optimizer import Params


class ADANA(AdaptiveFamily):
    """ADANA, a drop-in replacement of AdamW.

    Args:
        params: parameters, named parameters or groups, as for every torch optimizer.
        lr: learning rate, a number or a 0-D tensor.
        kappa: alpha grows as (1+t)^(1-kappa); 0.75 to 0.9 in the source.
        delta: both averages have weight delta / (delta + t), t = 1, 2, ..., without bias
            correction.
        eps: added to sqrt(v).
        alpha_scale: factor on (1+t)^(1-kappa).
        alpha_form: "code" for 1 + alpha_scale (1+t)^(1-kappa), the authors' code with its factor
            1, "whole" for alpha_scale (1 + (1+t)^(1-kappa)), where alpha_scale is their
            gamma_3_factor, or "readme" without the 1.
        gradient_scale: factor on g/s; 0 together with alpha_scale=0 is Adam with
            beta_1 = beta_2 = 1 - delta/(delta+t) and no bias correction.
        weight_decay: decoupled, as AdamW's: p is multiplied by 1 - lr weight_decay.
        omega: log-time weight decay: p is multiplied by 1 - (lr/peak_lr) omega/(t_0+t); the
            source takes 4. Adds to weight_decay; a group given `"weight_decay": 0` of its own
            (biases and norms of `param_groups`) has none unless it gives `omega` too.
        t_0: a tenth of the run in the source.
        peak_lr: the schedule's highest lr; by default read from the scheduler ("max_lr" of
            OneCycleLR, "initial_lr" of all others), else the lr given here or a higher one met.
        decay_after: shrink the new parameter instead of the old one, as the authors' code.
        initial_step: where t starts for a fresh state, whose first updates are then
            sqrt(initial_step / delta) lr long (v begins at 0): warm lr up, or leave it out.
        maximize, foreach, fused, capturable, differentiable: as in torch.optim, save that a step
            on a CPU is one pass over memory (`fused=True`) unless `foreach` or `fused` is given.
        stochastic_rounding: round bfloat16 parameters and state without bias.
        state_dtype: dtype of the averages, the parameter's by default (float32 for float16).
        clock: "torch", t = 1 in the first update, or "jax", t = 0 as in the authors' JAX code.
        cooldown: number of updates of the run, after which the growing term has gone
            (`hidim.CoolDown(cooldown)`), or any schedule that multiplies it.
        gain: "measured" takes the growing term from the gradients' covariance, measured during
            the run, and not from kappa: as in `DANADecaying`. One more buffer.

    Raises:
        ValueError: a value outside its range, naming the argument; by a step, a decay that would
            take a whole weight or more (omega of t_0 + t at the peak rate).

    Example:
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = ADANA(model.parameters(), lr=1e-3, omega=4.0, t_0=1000)
        >>> model(torch.ones(2, 3)).pow(2).mean().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        kappa: float = 0.85,
        delta: float = 8.0,
        eps: float = 1e-8,
        alpha_scale: float = 1.0,
        alpha_form: str = "code",
        gradient_scale: float = 1.0,
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
        gain: str | None = None,
    ) -> None:
        super().__init__(params, locals())

    biased = True
    kernel = Kernel("adana")

    def numbers(self, group: dict[str, Any], t: Any) -> tuple[Any, ...]:
        """a, alpha, gradient_scale, eps."""
        weight = group["delta"] / (group["delta"] + t)
        alpha = gain.growth(group, t)
        if group["alpha_form"] != "readme":
            alpha = alpha + (1 if group["alpha_form"] == "code" else group["alpha_scale"])
        return weight, alpha, group["gradient_scale"], group["eps"]

    def direction(
        self, group: dict[str, Any], gs: Tensors, state: list[Tensors], c: tuple[Any, ...]
    ) -> tuple[Tensors, Tensors | None]:
        """gradient_scale g + alpha m, over s."""
        a, alpha, gradient_scale, eps = c
        scale = average(gs, state[0], state[1], a, eps)
        if isinstance(alpha, float) and gradient_scale == 1:
            return list(torch._foreach_add(gs, state[0], alpha=alpha)), scale
        step = list(torch._foreach_mul(state[0], alpha))
        foreach_add_scaled(step, gs, gradient_scale)
        return step, scale


def average(gs: Tensors, ms: Tensors, vs: Tensors, a: Any, eps: float) -> Tensors:
    """Update m and v with weight `a` in place and return s = sqrt(v) + eps."""
    foreach_average(ms, gs, a)
    foreach_average_squares(vs, gs, a)
    return foreach_root(vs, eps, alike=isinstance(a, float))
