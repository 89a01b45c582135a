"""A schedule's value at a time that may be a tensor, so that compiled steps need no read-back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hidim.algorithms import schedules as s
from hidim.algorithms.decays import ExponentialDecay, PolynomialDecay


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
    formula = _FORMULAS.get(type(schedule).__call__)
    if formula is None:
        raise ValueError(
            f"{type(schedule).__name__} cannot be evaluated inside torch.compile or with "
            "capturable=True; use one of hidim's schedules, for example a Table of its values."
        )
    return formula(schedule, t)


def _constant(schedule: s.Constant, t: Tensor) -> float:
    return schedule.value


def _power_law(schedule: s.PowerLaw, t: Tensor) -> Tensor:
    return schedule.scale * (1 + t) ** -schedule.t_exponent


def _forgetting(schedule: s.Forgetting, t: Tensor) -> Tensor:
    offset = schedule.delta if schedule.offset is None else schedule.offset
    return schedule.delta / (offset + t)


def _nesterov_weight(schedule: s.NesterovWeight, t: Tensor) -> Tensor:
    return schedule.scale * (t * ((t + 1) / (t + 2)))


def _average_weight(schedule: s.AverageWeight, t: Tensor) -> Tensor:
    return 1 / (t + schedule.offset).clamp(min=1)


def _complement(schedule: s.Complement, t: Tensor) -> Any:
    return 1 - _in_torch(schedule.schedule, t)


def _warmup(schedule: s.Warmup, t: Tensor) -> Tensor:
    return ((t + 1) / schedule.steps).clamp(max=1)


def _cosine(schedule: s.Cosine, t: Tensor) -> Tensor:
    share = (t / schedule.steps).clamp(max=1)
    return schedule.final + (1 - schedule.final) * torch.cos(0.5 * math.pi * share) ** 2


def _polynomial(schedule: PolynomialDecay, t: Tensor) -> Tensor:
    return schedule.peak * (1 - t / schedule.steps).clamp(0, 1) ** schedule.power


def _exponential(schedule: ExponentialDecay, t: Tensor) -> Tensor:
    share = ((t - schedule.start) / (schedule.steps - schedule.start)).clamp(0, 1)
    return schedule.peak * torch.exp(math.log(schedule.final) * share)


def _wsd(schedule: s.WSD, t: Tensor) -> Tensor:
    start = float(schedule.steps) * (1 - schedule.decay_fraction)
    share = ((t - start) / (schedule.steps - start)).clamp(0, 1)
    final = schedule.final
    down = 1 - (1 - final) * share if schedule.shape == "linear" else final**share
    return ((t + 1) / schedule.warmup).clamp(max=1) * down if schedule.warmup else down


def _table(schedule: s.Table, t: Tensor) -> Tensor:
    xs = torch.tensor(schedule.steps, dtype=t.dtype, device=t.device)
    ys = torch.tensor(schedule.values, dtype=t.dtype, device=t.device)
    after = torch.searchsorted(xs, t.contiguous(), right=True)
    right, left = after.clamp(max=len(xs) - 1), (after - 1).clamp(min=0)
    if schedule.interpolation == "previous":
        return ys[left]
    width = (xs[right] - xs[left]).clamp(min=torch.finfo(t.dtype).tiny)
    share = ((t - xs[left]) / width).clamp(0, 1)
    return ys[left] + (ys[right] - ys[left]) * share


def _product(schedule: s.Product, t: Tensor) -> Any:
    value = _in_torch(schedule.factors[0], t)
    for factor in schedule.factors[1:]:  # a loop: torch.compile cannot follow a generator
        value = value * _in_torch(factor, t)
    return value


# By the function that NumPy runs, so that a class with a formula of its own is not taken for its
# parent.
_FORMULAS: dict[Any, Callable[[Any, Tensor], Any]] = {
    s.Constant.__call__: _constant,
    s.PowerLaw.__call__: _power_law,
    s.Forgetting.__call__: _forgetting,
    s.NesterovWeight.__call__: _nesterov_weight,
    s.AverageWeight.__call__: _average_weight,
    s.Complement.__call__: _complement,
    s.Warmup.__call__: _warmup,
    s.Cosine.__call__: _cosine,
    s.WSD.__call__: _wsd,
    s.Table.__call__: _table,
    s.Product.__call__: _product,
    PolynomialDecay.__call__: _polynomial,
    ExponentialDecay.__call__: _exponential,
}
