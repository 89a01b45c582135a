"""A schedule's value at a time that may be a tensor, so that compiled steps need no read-back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hidim.algorithms.schedules import CoolDown, Schedule


def value_at(schedule: Any, t: Any) -> Any:
    """The value of a number or schedule at `t`: a float, a NumPy array or a tensor.

    Raises:
        ValueError: `t` is a tensor and the schedule, or a factor of it, knows NumPy alone.
    """
    if not isinstance(schedule, Schedule):
        return schedule
    if not isinstance(t, Tensor):
        value = np.asarray(schedule(t))
        return float(value) if value.ndim == 0 else value
    unknown = schedule.numpy_only
    if unknown is not None:
        raise ValueError(
            f"{type(unknown).__name__} cannot be evaluated inside torch.compile or with "
            "capturable=True; use one of hidim's schedules, for example a Table of its values, or "
            "write it as __call__(self, t, xp=numpy)."
        )
    return schedule(t, torch)


def cooldown_at(cooldown: Any, t: Any) -> Any:
    """The factor on the momentum term at `t`: 1 for None, `CoolDown` for a number of updates."""
    if cooldown is None:
        return 1.0
    if not isinstance(cooldown, Schedule):
        cooldown = CoolDown(cooldown)
    return value_at(cooldown, t)
