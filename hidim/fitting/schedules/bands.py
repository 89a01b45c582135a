"""How far may a measured run lie from what a fitted law predicts?

The variance of the log loss has five parts, none from the run that is asked about: rows about
their smoothed curve, two runs of one configuration, refits with a group of points left out
(jackknife), the other laws that fit as well, and what grows with time beyond the fitted runs.
Limits: refits and laws that predict no loss at all (zero or below) do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.fitting.logs.rates import Rate
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.laws import ScheduleLaw

# Two runs of one configuration differ by about this fraction of the loss (measured between two
# constant-rate runs of a 25M-parameter model).
RUN_TO_RUN = 1e-3
_DENSE = 4000  # points beyond which a prediction is interpolated


@dataclass(frozen=True)
class Member:
    """Another law fitted to the same runs.

    Attributes:
        law: its form.
        vector: its parameters as searched, shape (p,).
        weight: its share among all laws, by their errors on what was left out.
    """

    law: ScheduleLaw
    vector: np.ndarray
    weight: float


def loss_at(
    law: ScheduleLaw, vector: np.ndarray, units: Units, rate: Rate, at: np.ndarray
) -> np.ndarray:
    """Loss of a law at steps, shape (n,), whatever their number."""
    if len(at) <= _DENSE:
        return law.loss(vector, units.clock(rate, at))
    # A row per step says no more than some thousands of them: between these the loss is
    # a straight line to 1e-5, away from jumps of the rate, which get rows of their own.
    distinct = at if np.all(np.diff(at) > 0) else np.unique(at)
    some = distinct[_telling(distinct, rate.steps)]
    return np.interp(at, some, law.loss(vector, units.clock(rate, some)))


def slopes_at(
    law: ScheduleLaw, vector: np.ndarray, units: Units, rate: Rate, at: np.ndarray
) -> np.ndarray:
    """Gradient of the loss in the parameters at steps, shape (n, p)."""
    if len(at) <= _DENSE:
        return law.evaluate(vector, units.clock(rate, at))[1]
    distinct = np.unique(at)
    some = distinct[_telling(distinct, rate.steps)]
    slope = law.evaluate(vector, units.clock(rate, some))[1]
    return np.stack([np.interp(at, some, column) for column in slope.T], axis=1)


def jackknife(refits: Sequence[np.ndarray], middle: np.ndarray) -> np.ndarray:
    """Variance of the log loss by refits without a group each, shape (n,).

    Args:
        refits: loss of every refit, each (n,).
        middle: loss of the law itself, shape (n,).
    """
    good = [loss for loss in refits if possible(loss)]
    if not good:
        return np.zeros(len(middle))
    # What a refit that predicts no loss would have said is taken to be like the others.
    scale = (len(refits) - 1) / len(good)
    with np.errstate(invalid="ignore"):
        return np.asarray(scale * np.sum([np.log(loss / middle) ** 2 for loss in good], axis=0))


def between_laws(others: Sequence[tuple[float, np.ndarray]], middle: np.ndarray) -> np.ndarray:
    """Variance of the log loss by other laws, (weight, loss (n,)) each, shape (n,)."""
    variance = np.zeros(len(middle))
    for weight, loss in others:
        if possible(loss):
            with np.errstate(invalid="ignore"):
                variance += weight * np.log(loss / middle) ** 2
    return variance


def possible(loss: np.ndarray) -> bool:
    """Whether these are losses: positive wherever they are numbers."""
    known = loss[~np.isnan(loss)]
    return bool(len(known) == 0 or known.min() > 0)


def _telling(steps: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Indices of steps evenly, after the start and after every knot of the rate in log."""
    last = len(steps) - 1
    after = np.concatenate([[0], np.geomspace(1, max(last, 1), 60).astype(np.int64)])
    starts = np.unique(np.concatenate([[0], np.searchsorted(steps, knots[:40])]))
    near = (starts[:, None] + np.concatenate([-after[:8], after])).ravel()
    even = np.linspace(0, last, _DENSE // 2).astype(np.int64)
    return np.unique(np.clip(np.concatenate([even, near]), 0, last))
