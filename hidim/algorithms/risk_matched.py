"""Which rise of the rate injects the same noise at every step, while the risk falls?

Imported from schedules.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hidim.algorithms.arrays import as_time, at_most
from hidim.algorithms.schedule import Schedule
from hidim.support import checks

KEPT_AS = "hidim.algorithms.schedules"  # what files call the classes of this module


@dataclass(frozen=True)
class RiskMatched(Schedule):
    """A rate that rises to `cap` at step `length` so that every step injects the same noise.

    rate^2 risk is constant while the risk falls as (1 + eigenvalue tau)^-s in the intrinsic time
    tau, the sum of the rates; the start of the best schedule of SGD where the early risk falls
    steeply. Before `length` the rate grows as (1 + c t)^(s / (2 - s)), linearly at s = 1 and
    exponentially at s = 2.

    Args:
        cap: rate from `length` on; 1 makes it a factor.
        length: steps of the rise.
        s: power at which the risk falls, beyond its floor.
        eigenvalue: the largest, times the largest rate where `cap` is 1.

    >>> RiskMatched(1.0, 100, s=1.0)([0, 50, 100, 200]).round(3)
    array([0.132, 0.566, 1.   , 1.   ])
    """

    cap: float
    length: float
    s: float
    eigenvalue: float = 1.0
    _rise: ClassVar[float]  # log(cap / first rate)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cap", checks.positive("cap", self.cap))
        object.__setattr__(self, "length", checks.whole("length", self.length, minimum=1))
        object.__setattr__(self, "s", checks.positive("s", self.s))
        object.__setattr__(self, "eigenvalue", checks.positive("eigenvalue", self.eigenvalue))
        # Kept, so that a compiled step need not solve for it: no field, as it follows from them.
        object.__setattr__(self, "_rise", _risk_matched_rise(self.s, self._log_span()))

    def _log_span(self) -> float:
        """log(eigenvalue cap length), in the range in which every rate is a number."""
        if not 1e-12 <= self.s <= 1e12:
            raise ValueError(f"`s` must lie in [1e-12, 1e12], got {self.s!r}; 1 is usual.")
        factors = (self.eigenvalue, self.cap, float(self.length))
        span = sum(math.log(factor) for factor in factors)  # the product itself may overflow
        if abs(span) > _LARGEST_LOG_SPAN:
            raise ValueError(
                f"`eigenvalue` times cap times length must lie in [1e-280, 1e280], got "
                f"{self.eigenvalue!r} * {self.cap!r} * {self.length!r}; bring them nearer 1."
            )
        return span

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        bend, rise = 2.0 / self.s - 1.0, self._rise
        x = at_most(as_time(t, xp) / float(self.length), 1.0, xp)
        if bend == 0:
            return self.cap * xp.exp(rise * (x - 1.0))
        end = rise * bend
        # log(1 - x + x exp(end)), the first form without cancellation where `end` is small.
        log = xp.log1p(x * math.expm1(end)) if end > -1 else xp.log(1.0 - x + x * math.exp(end))
        return self.cap * xp.exp(log / bend - rise)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.length),)


_LARGEST_LOG_SPAN = 280.0 * math.log(10.0)


def _risk_matched_rise(s: float, log_span: float) -> float:
    """log(cap / first rate), z of (exp(z b) - 1) exp(z) = span (1 - s / 2), b = 2 / s - 1."""
    half, bend = 1.0 - s / 2.0, 2.0 / s - 1.0

    def over(z: float) -> bool:
        steep = z if bend == 0 else math.expm1(min(z * bend, 700.0)) / half
        return steep > 0 and math.log(steep) + z > log_span

    high = 1.0
    while not over(high):
        high *= 2.0
    low = 0.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if over(middle) else (middle, high)
    return 0.5 * (low + high)
