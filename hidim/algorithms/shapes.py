"""The shapes that rates, forgetting and weights take in time: rises, falls, tables.

Factors of one where they are of a learning rate, so that ``0.1 * Warmup(100) * Cosine(10_000)`` is
one. Imported from schedules.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.arrays import as_time, at_least, at_most, beside, interpolate, last_index
from hidim.algorithms.schedule import Schedule
from hidim.support import checks

KEPT_AS = "hidim.algorithms.schedules"  # what files call the classes of this module


@dataclass(frozen=True)
class Forgetting(Schedule):
    """delta / (offset + t): how much of the momentum a step forgets.

    `offset` is delta by default, which keeps the value in (0, 1]; a smaller one starts
    above 1 and flips the sign of the momentum in the first steps.

    >>> Forgetting(8.0)([0, 8])
    array([1. , 0.5])
    """

    delta: float
    offset: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", checks.positive("delta", self.delta))
        if self.offset is not None:
            object.__setattr__(self, "offset", checks.positive("offset", self.offset))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        offset = self.delta if self.offset is None else self.offset
        return self.delta / (offset + as_time(t, xp))


@dataclass(frozen=True)
class NesterovWeight(Schedule):
    """scale * t (t+1) / (t+2): the gradient weight of stochastic Nesterov's momentum."""

    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checks.non_negative("scale", self.scale))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        time = as_time(t, xp)
        return self.scale * (time * ((time + 1.0) / (time + 2.0)))


@dataclass(frozen=True)
class AverageWeight(Schedule):
    """1 / max(t + offset, 1): the share of the newest member in a running average."""

    offset: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", checks.non_negative("offset", self.offset))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return 1.0 / at_least(as_time(t, xp) + self.offset, 1.0, xp)


@dataclass(frozen=True)
class Complement(Schedule):
    """One minus another schedule."""

    schedule: Schedule

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return 1.0 - (self.schedule(t) if xp is np else self.schedule(t, xp))

    @property
    def numpy_only(self) -> Schedule | None:
        return self.schedule.numpy_only

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return self.schedule.breakpoints

    @property
    def roots(self) -> tuple[float, ...]:
        return self.schedule.roots

    @property
    def resolution(self) -> float:
        return self.schedule.resolution


@dataclass(frozen=True)
class Warmup(Schedule):
    """A factor that rises linearly, (t + 1) / steps, and is 1 from step `steps` - 1 on.

    >>> Warmup(4)([0, 1, 3, 9])
    array([0.25, 0.5 , 1.  , 1.  ])
    """

    steps: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return at_most((as_time(t, xp) + 1.0) / float(self.steps), 1.0, xp)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.steps) - 1.0,)

    @property
    def constant(self) -> float | None:
        return 1.0 if self.steps == 1 else None


@dataclass(frozen=True)
class Cosine(Schedule):
    """A factor that falls from 1 to `final` along half a cosine over `steps`, then stays.

    >>> Cosine(10, final=0.1)([0, 5, 10, 20])
    array([1.  , 0.55, 0.1 , 0.1 ])
    """

    steps: float
    final: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))
        object.__setattr__(self, "final", checks.non_negative("final", self.final))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        share = at_most(as_time(t, xp) / float(self.steps), 1.0, xp)
        # cos^2(pi x / 2) instead of (1 + cos(pi x)) / 2: no cancellation at the end.
        root = xp.cos(0.5 * math.pi * share)
        return self.final + (1.0 - self.final) * root**2

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.steps),)


@dataclass(frozen=True)
class WSD(Schedule):
    """Warm-up, stable, decay: up linearly, flat at 1, down to `final` at `steps`, then stays.

    Args:
        steps: step at which the decay ends.
        warmup: steps of linear warm-up, as in `Warmup`; 0 for none.
        decay_fraction: share of `steps` spent decaying, in (0, 1].
        final: factor at the end.
        shape: "linear" or "exponential" decay (the latter needs final > 0).

    >>> WSD(100, decay_fraction=0.5)([0, 50, 75, 100])
    array([1. , 1. , 0.5, 0. ])
    """

    steps: float
    warmup: float = 0
    decay_fraction: float = 0.2
    final: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))
        object.__setattr__(self, "warmup", checks.whole("warmup", self.warmup, minimum=0))
        fraction = checks.positive("decay_fraction", self.decay_fraction)
        if fraction > 1:
            raise ValueError(f"`decay_fraction` must be at most 1, got {fraction!r}.")
        object.__setattr__(self, "decay_fraction", fraction)
        object.__setattr__(self, "final", checks.non_negative("final", self.final))
        checks.choice("shape", self.shape, ("linear", "exponential"))
        if self.shape == "exponential" and self.final == 0:
            raise ValueError("`final` must be positive for an exponential decay.")
        if self.warmup > self._decay_start:
            raise ValueError(
                f"`warmup` ({self.warmup}) must end before the decay starts at step "
                f"{self._decay_start:g}."
            )

    @property
    def _decay_start(self) -> float:
        return float(self.steps) * (1.0 - self.decay_fraction)

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        time = as_time(t, xp)
        start = self._decay_start
        share = xp.clip((time - start) / (float(self.steps) - start), 0.0, 1.0)
        linear = self.shape == "linear"
        down = 1.0 - (1.0 - self.final) * share if linear else self.final**share
        if not self.warmup:
            return down
        return at_most((time + 1.0) / float(self.warmup), 1.0, xp) * down

    @property
    def breakpoints(self) -> tuple[float, ...]:
        edges = {self._decay_start, float(self.steps)}
        return tuple(sorted(edges | ({float(self.warmup) - 1.0} if self.warmup else set())))


@dataclass(frozen=True)
class CoolDown(Schedule):
    """A factor u / (u + u_0), u = 1 - t / steps: near 1 for long, a half at u = u_0, 0 at the end.

    For the momentum's rate: late in a run momentum carries more noise than signal.

    Args:
        steps: updates of the run; the factor stays 0 afterwards.
        u_0: share of the run that is left when the factor is a half.

    >>> CoolDown(100, 0.1)([0, 90, 100, 200]).round(3)
    array([0.909, 0.5  , 0.   , 0.   ])
    """

    steps: float
    u_0: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))
        object.__setattr__(self, "u_0", checks.positive("u_0", self.u_0))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        left = at_least(1.0 - as_time(t, xp) / float(self.steps), 0.0, xp)
        return left / (left + self.u_0)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.steps),)


@dataclass(frozen=True)
class Table(Schedule):
    """Any measured or designed schedule: values at given steps, held beyond both ends.

    Args:
        steps: strictly ascending steps, at least one.
        values: one value each, none negative.
        interpolation: "linear" between the points, or "previous" for a staircase whose
            value changes at each given step.

    >>> Table([0, 10], [1.0, 0.0])([5, 20])
    array([0.5, 0. ])
    """

    steps: tuple[float, ...]
    values: tuple[float, ...]
    interpolation: str = "linear"

    def __post_init__(self) -> None:
        steps = checks.finite_array("steps", self.steps, ndim=1)
        values = checks.finite_array("values", self.values, ndim=1)
        checks.choice("interpolation", self.interpolation, ("linear", "previous"))
        if steps.size == 0 or steps.shape != values.shape:
            raise ValueError(
                f"`steps` and `values` must have one length of at least 1, got {steps.size} "
                f"and {values.size}."
            )
        if np.any(np.diff(steps) <= 0) or steps[0] < 0:
            back = int(np.argmax(np.diff(steps, prepend=-1.0) <= 0))
            where = f"{steps[back - 1]:g} then {steps[back]:g}" if back else f"{steps[0]:g} first"
            raise ValueError(
                f"`steps` of a Table must ascend strictly from a step >= 0, not {where}."
            )
        if np.any(values < 0):
            raise ValueError("`values` of a Table must not be negative.")
        object.__setattr__(self, "steps", tuple(steps.tolist()))
        object.__setattr__(self, "values", tuple(values.tolist()))
        # Arrays beside the hashable tuples: a long measured table is looked up often.
        object.__setattr__(self, "_arrays", (steps, values))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        time = as_time(t, xp)
        if xp is np:
            steps, values = self._arrays  # type: ignore[attr-defined]
        else:
            steps, values = beside(self.steps, time, xp), beside(self.values, time, xp)
        if self.interpolation == "linear":
            return interpolate(time, steps, values, xp)
        return values[last_index(steps, time, xp)]

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return self.steps

    @property
    def constant(self) -> float | None:
        return self.values[0] if len(set(self.values)) == 1 else None
