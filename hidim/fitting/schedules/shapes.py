"""Which shapes of schedule has a law seen, and how far from them is another?

A shape is the rate over its peak against the share of the run after the warm-up, so that runs of
different lengths compare. Two shapes lie apart by the mean of the absolute difference of their
logarithms: 0.69 where one runs at half the rate of the other throughout.
Limits: rates below a hundredth of the peak count as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hidim.fitting.logs.rates import Rate
from hidim.support.checks import finite_array, non_negative

_LEAST = 1e-2  # rates below this fraction of the peak count as this: the run hardly moves
_ROUND = 0.01  # difference of log rates below which shapes count as alike


def shape_of(rate: Rate, last: float, share: np.ndarray) -> np.ndarray:
    """Rate over its peak at shares of the steps between the warm-up and `last`, shape (n,)."""
    ready = min(rate.ready_step, last)
    return _at(rate, ready + share * (last - ready)) / rate.peak


def stretched(rate: Rate, last: float, steps: float, *, warmup: float, peak: float) -> Rate:
    """The shape of a run of `last` steps on one of `steps` steps and another peak and warm-up."""
    ready = min(rate.ready_step, last)
    inside = (rate.steps > ready) & (rate.steps < last)
    share = (rate.steps[inside] - ready) / (last - ready)
    knots = warmup + np.concatenate([[0.0], share, [1.0]]) * (steps - warmup)
    first, end = _at(rate, np.array([ready, last]))
    after = np.concatenate([[first], rate.after[inside], [end]]) * peak / rate.peak
    before = np.concatenate([[first], rate.before[inside], [end]]) * peak / rate.peak
    return Rate(knots, before, after, warmup)


def apart(shapes: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """How far shapes (m, n) lie from another (n,): mean absolute difference of logarithms, (m,)."""
    log, base = (np.log(np.maximum(one, _LEAST)) for one in (shapes, other))
    # Rounded within a hundredth, so that a search feels no kink where they meet.
    size = np.sqrt((log - base) ** 2 + _ROUND**2) - _ROUND
    return np.asarray(np.trapezoid(size, share, axis=-1))


def distances(
    shape: np.ndarray, share: np.ndarray, fitted: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """How far a shape (n,) at shares (n,) of its run lies from those of the fitted ones, (n,)."""
    return {name: float(apart(shape, other, share)) for name, other in fitted.items()}


def to_dict(schedules: Mapping[str, Rate]) -> dict[str, Any]:
    """Plain JSON data, from which `from_dict` makes equal schedules."""
    return {
        label: {
            "steps": rate.steps.tolist(),
            "before": rate.before.tolist(),
            "after": rate.after.tolist(),
            "warmup_steps": rate.warmup_steps,
        }
        for label, rate in schedules.items()
    }


def from_dict(data: Mapping[str, Any]) -> dict[str, Rate]:
    """The schedules behind `to_dict`.

    Raises:
        ValueError: knots that do not increase, negative rates, or columns of different lengths.
    """
    out = {}
    for label, one in data.items():
        steps, before, after = (
            finite_array(f"schedules {key}", one[key], ndim=1)
            for key in ("steps", "before", "after")
        )
        if not len(steps) == len(before) == len(after) > 0 or np.any(np.diff(steps) <= 0):
            raise ValueError(f"the schedule of {label} has knots that do not increase.")
        if min(before.min(), after.min()) < 0 or max(before.max(), after.max()) <= 0:
            raise ValueError(f"the schedule of {label} has rates that are no rates.")
        out[str(label)] = Rate(
            steps, before, after, non_negative("warmup_steps", one["warmup_steps"])
        )
    return out


def _at(rate: Rate, steps: np.ndarray) -> np.ndarray:
    """Rate just after each step, (n,)."""
    if len(rate.steps) == 1:
        return np.full(len(steps), rate.after[0])
    i = np.clip(np.searchsorted(rate.steps, steps, side="right") - 1, 0, len(rate.steps) - 2)
    share = np.clip((steps - rate.steps[i]) / (rate.steps[i + 1] - rate.steps[i]), 0.0, 1.0)
    value = rate.after[i] + share * (rate.before[i + 1] - rate.after[i])
    return np.where(share >= 1.0, rate.after[i + 1], value)
