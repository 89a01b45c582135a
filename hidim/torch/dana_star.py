"""Dana-Star: ADANA with a clock and a scale of its own for entries that are seldom seen.

    tau <- (1-a) tau + a |g|/(|g|+s);   tau_hat = max(min(tau, 1/2)/(1 - min(tau, 1/2)), 1/(1+t))
    n = sqrt(tau_hat)/s;   extra = alpha_scale max(tau t, 1)^(1-kappa) |m| n / tau_hat
    p <- p kept - lr [g n + sign(m) (tau_hat min(extra, clip) + |m| n)]

`DanaStar` has no clip, `DanaStarMK4` clips at 2. Source: arXiv 2602.05298.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hidim.algorithms.schedules import Schedule
from hidim.torch._machine.adaptive import AdaptiveFamily
from hidim.torch._machine.one_pass import Kernel
from hidim.torch._machine.ops import Tensors, foreach_average, foreach_clip, writable
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.schedules import cooldown_at
from hidim.torch.adana import average


class DanaStar(AdaptiveFamily):
    """ADANA for entries of different frequency.

    Args:
        params: parameters, named parameters or groups.
        lr: learning rate, a number or a 0-D tensor.
        kappa, delta, eps, alpha_scale: as in `ADANA`.
        weight_decay, omega, t_0, peak_lr, decay_after, initial_step, maximize, foreach, fused,
            capturable, differentiable, stochastic_rounding, state_dtype, clock,
            cooldown: as in `ADANA`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = DanaStar([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
    """

    buffers = ("exp_avg", "exp_avg_sq", "tau")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
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

    kernel = Kernel("star")
    temporaries = 7

    def numbers(self, group: dict[str, Any], t: Any) -> tuple[Any, ...]:
        """a, t, 1 - kappa, alpha_scale, clip, eps."""
        weight = group["delta"] / (group["delta"] + t)
        clip = float(group.get("clip", "inf"))
        scale = group["alpha_scale"] * cooldown_at(group.get("cooldown"), t)
        return weight, t, 1 - group["kappa"], scale, clip, group["eps"]

    def direction(
        self, group: dict[str, Any], gs: Tensors, state: list[Tensors], c: tuple[Any, ...]
    ) -> tuple[Tensors, Tensors | None]:
        """g n + sign(m) (tau_hat min(extra, clip) + |m| n), sign(m) taken into `extra`."""
        ms, vs, taus = state
        a, t, power, alpha_scale, clip, eps = c
        scale = average(gs, ms, vs, a, eps)
        seen = list(torch._foreach_abs(gs))
        rest = list(torch._foreach_add(seen, scale))
        seen = writable(seen)
        torch._foreach_div_(seen, rest)
        foreach_average(taus, seen, a)
        hat = list(torch._foreach_clamp_max(taus, 0.5))
        rest = list(torch._foreach_neg(hat))
        torch._foreach_add_(rest, 1.0)
        torch._foreach_div_(hat, rest)
        del rest
        floor = [1 / (1 + x) for x in t] if isinstance(t, list) else 1 / (1 + t)
        if isinstance(floor, Tensor):
            floor = [floor] * len(hat)
        if isinstance(floor, list):
            hat = [h.clamp(min=f) for h, f in zip(hat, floor, strict=True)]
        else:
            torch._foreach_clamp_min_(hat, floor)
        norm = writable(torch._foreach_sqrt(hat))
        torch._foreach_div_(norm, scale)
        normed = list(torch._foreach_mul(ms, norm))
        extra = list(torch._foreach_mul(taus, t))
        torch._foreach_clamp_min_(extra, 1.0)
        torch._foreach_pow_(extra, [power] * len(extra) if isinstance(power, Tensor) else power)
        torch._foreach_mul_(extra, alpha_scale)
        torch._foreach_mul_(extra, normed)
        if group.get("clip", math.inf) != math.inf:
            torch._foreach_div_(extra, hat)
            foreach_clip(extra, clip)
            torch._foreach_mul_(extra, hat)
        torch._foreach_add_(extra, normed)
        torch._foreach_add_(extra, torch._foreach_mul(gs, norm))
        return extra, None

    def fused(
        self, group: dict[str, Any], ps: Tensors, gs: Tensors, state: list[Tensors], c: Any
    ) -> list[int]:
        """One pass, within the range of the loop's arithmetic."""
        if group["eps"] < 1e-15 or abs(1 - group["kappa"]) > 4:
            return list(range(len(ps)))
        return super().fused(group, ps, gs, state, c)


class DanaStarMK4(DanaStar):
    """`DanaStar` whose growing term is clipped at `clip`.

    Args:
        params: parameters, named parameters or groups.
        lr: learning rate, a number or a 0-D tensor.
        kappa, delta, eps, alpha_scale: as in `ADANA`.
        clip: bound on the inner term `extra` of an entry; inf for none.
        weight_decay, omega, t_0, peak_lr, decay_after, initial_step, maximize, foreach, fused,
            capturable, differentiable, stochastic_rounding, state_dtype, clock,
            cooldown: as in `ADANA`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> optimizer = DanaStarMK4([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
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
        AdaptiveFamily.__init__(self, params, {**locals()})
