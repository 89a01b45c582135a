"""The one place that touches torch's fused SGD kernel (`torch._fused_sgd_`, private).

`torch.optim.SGD` refuses nesterov together with dampening; the kernel does not:

    g <- g + weight_decay p;  b <- momentum b + (1 - dampening) g;  p <- p - lr (g + momentum b)

Up to torch 2.13 its vectorised loop for bfloat16 and float16 on the CPU reads the buffer as if it
were float32, twice as far as the buffer goes: hence every dtype is tried once before it is used.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.layout import ORDINARY

_KERNEL = getattr(torch, "_fused_sgd_", None)
_OTHER_DEVICES = ("cuda", "mps", "xpu")
_TRIED = 131  # entries: whole vectors of every width, and some left over


def available(x: Tensor) -> bool:
    """Whether the kernel exists, takes tensors like `x` and does with them what it should."""
    # The name of a device is slow to make: ten microseconds between other work.
    here = x.is_cpu or x.device.type in _OTHER_DEVICES
    if type(x) not in ORDINARY:
        return False
    return _KERNEL is not None and here and x.is_floating_point() and _right(x.dtype, x.device)


@functools.cache
@torch.no_grad()
def _right(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether one update is that of the rule in float64, rounded once."""
    at = torch.linspace(0, 40, _TRIED, dtype=torch.float64, device="cpu")
    lr, momentum, gain, weight_decay = 0.3, 0.997, 0.9912, 0.0037
    g = torch.sin(at).to(dtype)
    # Terms nearly cancel, which shows whether the coefficients were rounded to 16 bits as well.
    b, p = -g, (lr * torch.sin(at)).to(dtype)
    wide_g = g.double() + weight_decay * p.double()
    new_b = momentum * b.double() + gain * wide_g
    new_p = p.double() - lr * (wide_g + momentum * new_b)
    p, g, b = (x.to(device, copy=True) for x in (p, g, b))
    options = {"lr": lr, "momentum": momentum, "dampening": 1 - gain}
    try:
        fused_nesterov([p], [g], [b], weight_decay=weight_decay, maximize=False, **options)
    except (RuntimeError, TypeError):  # not for this dtype
        return False
    once = torch.finfo(dtype).eps
    exact = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    return all(
        bool(((new.cpu().double() - old).abs() <= once * old.abs() + 8 * exact).all())
        for new, old in ((p, new_p), (b, new_b))
    )


def fused_nesterov(
    ps: list[Tensor],
    gs: list[Tensor],
    bs: list[Tensor],
    *,
    lr: Any,
    momentum: float,
    dampening: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One pass of the kernel over lists of one device and dtype, all contiguous."""
    assert _KERNEL is not None
    _KERNEL(
        ps,
        gs,
        bs,
        weight_decay=weight_decay,
        momentum=momentum,
        lr=lr,
        dampening=dampening,
        nesterov=True,
        maximize=maximize,
        # False even at t = 0: the buffers exist and are zero, and the kernel's own first step
        # would leave out the factor 1 - dampening.
        is_first_step=False,
        grad_scale=None,
        found_inf=None,
    )
    # The kernel does not say that it has changed them, and a backward pass through the old values
    # would take the new ones without a word.
    with suppress(RuntimeError):  # inference tensors count no changes
        torch.autograd.graph.increment_version(ps)
