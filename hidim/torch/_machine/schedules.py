"""A schedule's value at a time that may be a tensor, so that compiled steps need no read-back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hidim.algorithms import schedules as s


def value_at(schedule: Any, t: Any) -> Any:
    """The value of a number or schedule at `t`: a float, a NumPy array or a tensor.

    Raises:
        ValueError: `t` is a tensor and the schedule is not one of hidim's own.
    """
    if not isinstance(schedule, s.Schedule):
        return schedule
    if not isinstance(t, Tensor):
        value = np.asarray(schedule(t))
        return float(value) if value.ndim == 0 else value
    return _in_torch(schedule, t)


def _in_torch(schedule: s.Schedule, t: Tensor) -> Any:
    match schedule:
        case s.Constant(value=value):
            return value
        case s.PowerLaw(scale=scale, t_exponent=exponent):
            return scale * (1 + t) ** -exponent
        case s.Forgetting(delta=delta, offset=offset):
            return delta / ((delta if offset is None else offset) + t)
        case s.NesterovWeight(scale=scale):
            return scale * (t * ((t + 1) / (t + 2)))
        case s.AverageWeight(offset=offset):
            return 1 / (t + offset).clamp(min=1)
        case s.Complement(schedule=inner):
            return 1 - _in_torch(inner, t)
        case s.Warmup(steps=steps):
            return ((t + 1) / steps).clamp(max=1)
        case s.Cosine(steps=steps, final=final):
            return final + (1 - final) * torch.cos(0.5 * math.pi * (t / steps).clamp(max=1)) ** 2
        case s.WSD():
            return _wsd(schedule, t)
        case s.Table(steps=steps, values=values, interpolation=kind):
            return _table(t, steps, values, kind)
        case s.Product(factors=factors):
            return math.prod((_in_torch(f, t) for f in factors), start=1.0)
    raise ValueError(
        f"{type(schedule).__name__} cannot be evaluated inside torch.compile or with "
        "capturable=True; use one of hidim's schedules, for example a Table of its values."
    )


def _wsd(schedule: s.WSD, t: Tensor) -> Tensor:
    start = float(schedule.steps) * (1 - schedule.decay_fraction)
    share = ((t - start) / (schedule.steps - start)).clamp(0, 1)
    final = schedule.final
    down = 1 - (1 - final) * share if schedule.shape == "linear" else final**share
    return ((t + 1) / schedule.warmup).clamp(max=1) * down if schedule.warmup else down


def _table(t: Tensor, steps: Any, values: Any, kind: str) -> Tensor:
    xs = torch.tensor(steps, dtype=t.dtype, device=t.device)
    ys = torch.tensor(values, dtype=t.dtype, device=t.device)
    right = torch.searchsorted(xs, t.contiguous(), right=True).clamp(max=len(steps) - 1)
    left = (torch.searchsorted(xs, t.contiguous(), right=True) - 1).clamp(min=0)
    if kind == "previous":
        return ys[left]
    width = (xs[right] - xs[left]).clamp(min=torch.finfo(t.dtype).tiny)
    share = ((t - xs[left]) / width).clamp(0, 1)
    return ys[left] + (ys[right] - ys[left]) * share
