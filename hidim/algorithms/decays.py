"""The decaying learning rates that functional scaling laws compare, as schedules.

Held as data like every schedule, smooth up to their `breakpoints`, so engines take long blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.arrays import as_time
from hidim.algorithms.schedules import Schedule
from hidim.support.checks import non_negative, positive


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """peak (1 - t/steps)^power, zero afterwards.

    >>> PolynomialDecay(0.5, steps=100, power=2.0)([0, 50])
    array([0.5  , 0.125])
    """

    peak: float
    steps: float
    power: float

    def __post_init__(self) -> None:
        for name in ("peak", "steps"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        object.__setattr__(self, "power", non_negative("power", self.power))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        left = xp.clip(1.0 - as_time(t, xp) / self.steps, 0.0, 1.0)
        return self.peak * left**self.power

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.steps,)

    @property
    def roots(self) -> tuple[float, ...]:
        return () if self.power == int(self.power) else (self.steps,)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """peak until `start`, then peak * final^((t - start)/(steps - start)) down to peak * final.

    `start` = 0 is exponential decay, start > 0 warm-up-stable-decay.

    >>> ExponentialDecay(1.0, steps=100, final=0.01, start=50)([0, 75, 100])
    array([1.  , 0.1 , 0.01])
    """

    peak: float
    steps: float
    final: float
    start: float = 0.0

    def __post_init__(self) -> None:
        for name in ("peak", "steps", "final"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        object.__setattr__(self, "start", non_negative("start", self.start))
        if self.start >= self.steps:
            raise ValueError(f"`start` ({self.start:g}) must be below `steps` ({self.steps:g}).")
        if self.final > 1:
            raise ValueError(f"`final` must be at most 1, a share of the peak; got {self.final:g}.")

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        share = (as_time(t, xp) - self.start) / (self.steps - self.start)
        left = xp.exp(math.log(self.final) * xp.clip(share, 0.0, 1.0))
        return self.peak * left

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.start, self.steps) if self.start else (self.steps,)
