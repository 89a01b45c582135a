"""The one place that touches torch's fused SGD kernel (`torch._fused_sgd_`, private).

`torch.optim.SGD` refuses nesterov together with dampening; the kernel does not:

    g <- g + weight_decay p;  b <- momentum b + (1 - dampening) g;  p <- p - lr (g + momentum b)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_KERNEL = getattr(torch, "_fused_sgd_", None)
_OTHER_DEVICES = ("cuda", "mps", "xpu")


def available(x: Tensor) -> bool:
    """Whether the kernel exists and takes tensors like `x`."""
    # The name of a device is slow to make: ten microseconds between other work.
    here = x.is_cpu or x.device.type in _OTHER_DEVICES
    return _KERNEL is not None and here and x.is_floating_point()


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
