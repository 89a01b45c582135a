"""How is a member of the DANA family stepped? With one rescaled buffer, in every path.

    y <- (1 - Delta) y + gamma_1 g,   p <- p - lr (gamma_2 g + gamma_3 y)

The state is b = s_t y with s_t = sqrt(r_t s_{t-1} / (1 - Delta_t)), r_t = gamma_3 / gamma_2. Then

    b <- m b + gamma_1 s_t g,   p <- p - lr gamma_2 (g + m b),   m = r_t / s_t,

which is one call of torch's fused Nesterov kernel: one pass over memory. Where the recursion has
no solution (gamma_2 or gamma_3 zero, Delta > 1) s_t = 1. There, for 16 bits and for decoupled
decay a loop of our own makes the pass.

The recursion halves the memory of log s with each step, so s_t is a function of the time and of
the last 64 values of r and Delta alone: nothing need be stored, parameters may be at different
times, and all paths share one state. Only if a hyperparameter in `scale_keys` is edited does the
buffer change scale; `scaled_by` in the group records which values it is scaled with.
"""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hidim.torch._machine.fused_sgd import available, fused_nesterov
from hidim.torch._machine.layout import LOW, flat_lists, local_shard, on_accelerator
from hidim.torch._machine.one_pass import Kernel
from hidim.torch._machine.ops import (
    Tensors,
    as_data,
    foreach_add_scaled,
    foreach_scale,
    minus,
    writable,
)
from hidim.torch._machine.optimizer import HidimOptimizer

# What lr multiplies, unless `rates` in the group says otherwise.
_RATES = frozenset({"gamma_2", "gamma_3"})
_KERNEL = Kernel("dana")
_WINDOW = 64  # 2^-64 of the older history is below float64's rounding


class MomentumFamily(HidimOptimizer):
    """A member gives `rule(group, t)`: gamma_1, gamma_2, gamma_3 (without lr) and forgetting."""

    buffers: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    scale_keys: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def rule(group: dict[str, Any], t: Any) -> tuple[Any, Any, Any, Any]:
        """gamma_1, gamma_2 / lr, gamma_3 / lr and Delta at `t` (float, array or tensor)."""
        raise NotImplementedError

    def _complete(self, group: dict[str, Any]) -> None:
        group["scaled_by"] = self._scale_values(group)

    def _scale_values(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return tuple([group[key] for key in self.scale_keys])

    def _scales(self, values: tuple[Any, ...], t: Any) -> tuple[Any, Any]:
        """s_{t-1} and s_t."""
        member: Any = type(self)
        if isinstance(t, Tensor):
            before, s = _scale_tensor(member, values, torch.cat([t - 1, t])).chunk(2)
            return before, s
        block, place = divmod(int(t), _WINDOW)
        scales = _scale_block(member, values, block)
        return scales[place], scales[place + 1]

    def before_group(self, group: dict[str, Any]) -> None:
        """Rescale the buffers if the values they are scaled with have been edited."""
        new = self._scale_values(group)
        old = tuple(group.get("scaled_by", new))
        old += (None,) * (len(new) - len(old))  # version 0.1 had no cool-down
        if old != new:
            for p in group["params"]:
                entry = self.state.get(p)
                if entry:
                    t = float(entry["step"])
                    factor = self._scales(new, t)[0] / self._scales(old, t)[0]
                    local_shard(entry["momentum_buffer"]).mul_(factor)
        if group.get("scaled_by") != new:
            group["scaled_by"] = new

    def kept(self, group: dict[str, Any], t: Any, lr: Any) -> Any:
        """1 - lr weight_decay if that is decoupled."""
        if group["decoupled_weight_decay"] and group["weight_decay"]:
            return 1 - lr * group["weight_decay"]
        return 1.0

    def coefficients(self, group: dict[str, Any], t: Any, lr: Any) -> tuple[Any, ...]:
        """decay and gain of b, rates of g and b, the kernel's momentum or None, kept share of p."""
        values = self._scale_values(group)
        gamma_1, gamma_2, gamma_3, forgetting = self.rule(group, t)
        before, s = self._scales(values, t)
        decay = (1 - forgetting) * s / before
        momentum = None
        rates = frozenset(group.get("rates", _RATES))
        real = rates == _RATES and not isinstance(t, Tensor) and not isinstance(gamma_3, Tensor)
        if real and gamma_2 > 0 and gamma_3 > 0 and forgetting <= 1:
            momentum = gamma_3 / gamma_2 / s
        kept = self.kept(group, t, lr)
        gamma_1 = lr * gamma_1 if "gamma_1" in rates else as_data(gamma_1, t)
        gamma_2 = lr * gamma_2 if "gamma_2" in rates else as_data(gamma_2, t)
        gamma_3 = lr * gamma_3 if "gamma_3" in rates else as_data(gamma_3, t)
        return decay, gamma_1 * s, gamma_2, gamma_3 / s, momentum, kept

    def update(
        self, group: dict[str, Any], ps: Tensors, gs: Tensors, state: list[Tensors], c: Any
    ) -> None:
        """y <- (1 - Delta) y + gamma_1 g; p <- p - gamma_2 g - gamma_3 y, with b = s y."""
        (bs,) = state
        decay, gain, rate_g, rate_b, _, kept = c
        if group["weight_decay"]:
            if group["decoupled_weight_decay"]:
                foreach_scale(ps, kept)
            else:
                decayed = torch._foreach_add(gs, writable(ps), alpha=group["weight_decay"])
                gs = list(decayed)
        foreach_scale(bs, decay)
        foreach_add_scaled(bs, gs, gain)
        foreach_add_scaled(ps, gs, minus(rate_g))
        foreach_add_scaled(ps, bs, minus(rate_b))

    def fused(
        self, group: dict[str, Any], ps: Tensors, gs: Tensors, state: list[Tensors], c: Any
    ) -> list[int]:
        """One call of torch's kernel where it does the update in one pass, else of our own."""
        decay, gain, rate_g, rate_b, momentum, kept = c
        weight_decay = group["weight_decay"]
        shrinks = weight_decay and group["decoupled_weight_decay"]
        same = ps[0].dtype == gs[0].dtype == state[0][0].dtype
        # A decay of its own is another pass: better in a loop of ours if there is one, and in
        # low precision it would round twice.
        twice = shrinks and (ps[0].dtype in LOW or _KERNEL.available(ps[0], state[0][0]))
        if momentum is None or twice or not same or not available(ps[0]):
            if on_accelerator(c):
                return list(range(len(ps)))
            sign = -1.0 if group["maximize"] else 1.0
            coupled = 0.0 if shrinks else weight_decay
            numbers = [sign, kept, 1.0, 0.0, decay, gain, rate_g, rate_b, coupled]
            return _KERNEL.update(group, ps, gs, state, [float(x) for x in numbers])
        lists, left = flat_lists(ps, gs, state, strides=not ps[0].is_cpu)  # torch's on a GPU does
        if not lists[0]:
            return left
        if decay == 0:
            torch._foreach_zero_(lists[2])
        if shrinks:
            torch._foreach_mul_(lists[0], kept)
            weight_decay = 0.0
        fused_nesterov(
            *lists,
            lr=rate_g,
            momentum=momentum,
            dampening=1 - gain,
            weight_decay=weight_decay,
            maximize=group["maximize"],
        )
        return left


@functools.lru_cache(maxsize=256)
def _scale_block(member: Any, values: tuple[Any, ...], block: int) -> tuple[float, ...]:
    """s_t for the block's steps and the one before: the recursion, started a block earlier.

    Always from the same start, so that a resumed run finds the same bits.
    """
    begin = max(block - 1, 0) * _WINDOW
    times = np.arange(begin, (block + 1) * _WINDOW, dtype=np.float64)
    group = dict(zip(member.scale_keys, values, strict=True))
    _, gamma_2, gamma_3, forgetting = (
        np.broadcast_to(np.asarray(x, dtype=np.float64), times.shape).tolist()
        for x in member.rule(group, times)
    )
    log_s, logs = 0.0, [0.0]
    for i, (rate_2, rate_3, loss) in enumerate(zip(gamma_2, gamma_3, forgetting, strict=True)):
        if not (rate_2 > 0 and rate_3 > 0 and loss <= 1):
            log_s = 0.0
        elif loss == 1 or begin + i == 0:  # nothing is kept: the buffer starts here
            log_s = 0.5 * math.log(rate_3 / rate_2)
        else:
            log_s = 0.5 * (math.log(rate_3 / rate_2) - math.log1p(-loss) + log_s)
        logs.append(log_s)
    return tuple(math.exp(x) for x in logs[-_WINDOW - 1 :])


def _scale_tensor(member: Any, values: tuple[Any, ...], t: Tensor) -> Tensor:
    """s_t for a vector of times, without reading them back."""
    back = torch.arange(_WINDOW, dtype=t.dtype, device=t.device)
    times = t.unsqueeze(1) - back  # (parameters, window)
    group = dict(zip(member.scale_keys, values, strict=True))
    _, gamma_2, gamma_3, forgetting = (
        x * torch.ones_like(times) for x in member.rule(group, times.clamp(min=0))
    )
    moving = (gamma_2 > 0) & (gamma_3 > 0) & (forgetting <= 1) & (times >= 0)
    plain = moving.logical_not()
    start = (forgetting >= 1) | (times <= 0)
    log_keep = torch.log1p(-torch.where(start, torch.zeros_like(times), forgetting))
    ratio = torch.where(plain, torch.ones_like(times), gamma_3 / gamma_2)
    term = torch.log(ratio) - log_keep
    going = torch.cumprod((plain | start).logical_not().to(t.dtype), dim=1)
    first = torch.ones_like(t).unsqueeze(1)
    alive = torch.cat([first, going.narrow(1, 0, _WINDOW - 1)], dim=1)
    kept = torch.where(plain, torch.zeros_like(term), term)
    return torch.exp((kept * alive * 0.5 ** (back + 1)).sum(dim=1))
