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
from hidim.support.checks import choice, non_negative, positive

SHAPES = ("linear", "cosine", "exponential", "sqrt")
RISES = ("cosine", "linear")


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


@dataclass(frozen=True)
class Tail(Schedule):
    """A factor that is 1 until `start`, then falls to `final` at `steps`, and stays.

    Args:
        start: step at which it begins to fall.
        steps: step at which it has fallen.
        final: factor at the end, at most 1.
        shape: "linear", "cosine", "exponential" (which needs final > 0) or "sqrt", which falls as
            1 - sqrt(share).

    >>> Tail(50, 100, final=0.5)([0, 75, 100])
    array([1.  , 0.75, 0.5 ])
    """

    start: float
    steps: float
    final: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", non_negative("start", self.start))
        object.__setattr__(self, "steps", positive("steps", self.steps))
        object.__setattr__(self, "final", non_negative("final", self.final))
        choice("shape", self.shape, SHAPES)
        if self.start >= self.steps:
            raise ValueError(f"`start` ({self.start:g}) must be below `steps` ({self.steps:g}).")
        if self.final > 1:
            raise ValueError(f"`final` must be at most 1, a share of the peak; got {self.final:g}.")
        if self.shape == "exponential" and self.final == 0:
            raise ValueError("`final` must be positive for an exponential decay.")

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        share = xp.clip((as_time(t, xp) - self.start) / (self.steps - self.start), 0.0, 1.0)
        if self.shape == "exponential":
            return self.final**share
        if self.shape == "cosine":
            return self.final + (1.0 - self.final) * xp.cos(0.5 * math.pi * share) ** 2
        fallen = share if self.shape == "linear" else share**0.5
        return 1.0 - (1.0 - self.final) * fallen

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.start, self.steps) if self.start else (self.steps,)


@dataclass(frozen=True)
class PowerTail(Schedule):
    """A factor that is 1 until `start`, then final + (1 - final) (1 - share)^power until `steps`.

    >>> PowerTail(50, 100, final=0.0, power=2.0)([0, 75, 100])
    array([1.  , 0.25, 0.  ])
    """

    start: float
    steps: float
    final: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        Tail(self.start, self.steps, self.final)  # the same checks
        for name in ("start", "steps", "final"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "power", positive("power", self.power))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        left = xp.clip((self.steps - as_time(t, xp)) / (self.steps - self.start), 0.0, 1.0)
        return self.final + (1.0 - self.final) * left**self.power

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.start, self.steps) if self.start else (self.steps,)

    @property
    def roots(self) -> tuple[float, ...]:
        return () if self.power == int(self.power) else (self.steps,)


@dataclass(frozen=True)
class Rise(Schedule):
    """A factor that rises from `first` at step 0 to 1 at `steps`, and stays: how a cycle begins.

    `shape` is "cosine" or "linear".

    >>> Rise(100, first=0.5)([0, 50, 100])
    array([0.5 , 0.75, 1.  ])
    """

    steps: float
    first: float = 0.0
    shape: str = "cosine"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", positive("steps", self.steps))
        object.__setattr__(self, "first", non_negative("first", self.first))
        choice("shape", self.shape, RISES)
        if self.first > 1:
            raise ValueError(f"`first` must be at most 1, a share of the peak; got {self.first:g}.")

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        share = xp.clip(as_time(t, xp) / self.steps, 0.0, 1.0)
        if self.shape == "cosine":
            share = xp.sin(0.5 * math.pi * share) ** 2
        return self.first + (1.0 - self.first) * share

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.steps,)


@dataclass(frozen=True)
class PowerFall(Schedule):
    """A factor that is 1 until `start`, then falls as (t / start)^-exponent, until `until`.

    >>> PowerFall(100, 0.5)([0, 100, 400])
    array([1. , 1. , 0.5])
    """

    start: float
    exponent: float = 0.5
    until: float = math.inf

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", positive("start", self.start))
        object.__setattr__(self, "exponent", positive("exponent", self.exponent))
        if not self.until > self.start:
            raise ValueError(f"`until` must lie beyond `start` ({self.start:g}).")

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        last = self.until / self.start
        ratio = xp.clip(as_time(t, xp) / self.start, 1.0, last if math.isfinite(last) else None)
        return ratio**-self.exponent

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.start, self.until) if math.isfinite(self.until) else (self.start,)
