"""Which learning rate is the schedule's highest, when nobody said so?

Log-time weight decay follows lr / peak_lr. Schedulers leave what they know in the group:
OneCycleLR its "max_lr", all others "initial_lr". Without either the peak is the rate the group was
built with; and a rate above what is known is itself the new peak, so that the decay is never more
than omega / (t_0 + t). A compiled step reads what the scheduler left, but remembers nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.options import number


def begin(group: dict[str, Any]) -> None:
    """Note in a new group whether its peak was given; a given peak of 0 is refused."""
    # Always there, since torch.distributed.checkpoint loads no key that is not.
    group["peak_given"], group["peak_from"] = group["peak_lr"] is not None, None
    if not group["peak_given"]:
        group["peak_lr"] = number(group["lr"])
    elif group["omega"] > 0 and group["peak_lr"] == 0:
        raise ValueError(
            "`peak_lr` must be positive when omega > 0: the decay is lr/peak_lr. Leave it out to "
            "have it read from the scheduler."
        )


def follow(group: dict[str, Any]) -> None:
    """Learn from what a scheduler left and from the present rate, unless the peak was given."""
    lr = group["lr"]
    if not group["omega"] or group.get("peak_given", True) or torch.compiler.is_compiling():
        return
    if isinstance(lr, Tensor) and lr.device.type != "cpu":
        return  # nothing is read back
    told = _told(group)
    if told is not None:
        told = number(told)
        if told != group.get("peak_from"):
            group["peak_lr"] = group["peak_from"] = told
    group["peak_lr"] = max(group["peak_lr"], number(lr))


def relative(group: dict[str, Any], lr: Any) -> Any:
    """lr / peak_lr: a float or a 0-D tensor, as `lr` is."""
    peak = group["peak_lr"]
    if group.get("peak_given", True):
        return lr / peak
    if not isinstance(lr, Tensor):
        return lr / peak if peak > 0 else 0.0
    told = _told(group)
    peak = told if told is not None and group.get("peak_from") is None else peak
    if not isinstance(peak, Tensor) and peak == 0:
        return lr.sign()
    return (lr / peak).clamp(max=1)


def _told(group: dict[str, Any]) -> Any:
    return group.get("max_lr", group.get("initial_lr"))
