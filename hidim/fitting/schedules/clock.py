"""Where is a run at the points asked for, in units that make a law's parameters of order one?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hidim.fitting.logs.rates import Events, Rate
from hidim.fitting.schedules.response import Pairs
from hidim.fitting.schedules.signal_time import SignalTime

# A drop sheds the noise there was at its time, or at this share of the time asked about if that is
# later: noise older than that is gone with or without the drop. Unbounded, T_k^-s makes a drop at
# time zero the best schedule of all.
MEMORY = 0.25
_SHOWN = 0.25  # of the largest change of rate, that a refit must feel


@dataclass(frozen=True)
class Clock:
    """What a law reads of a run, in units that make its parameters numbers of order one.

    Attributes:
        time: intrinsic time over the unit of the fit, shape (n,).
        steps: optimizer steps over the unit of the fit, shape (n,).
        events: changes of rate, their times and steps in the same units, rates over the peak.
        level: peak rate of this run over the peak rate of the fit.
        signal: the same run for clocks that move as a power of the rate.
    """

    time: np.ndarray
    steps: np.ndarray
    events: Events
    level: float
    signal: SignalTime

    @cached_property
    def lag(self) -> np.ndarray:
        """Intrinsic time since each event at each point, 0 before it, shape (n, events)."""
        return np.maximum(self.time[:, None] - self.events.time, 0.0)

    @cached_property
    def lag_steps(self) -> np.ndarray:
        """Steps since each event at each point, 0 before it, shape (n, events)."""
        return np.maximum(self.steps[:, None] - self.events.steps, 0.0)

    @cached_property
    def pairs(self) -> Pairs:
        """Points and the events before them, one by one."""
        return Pairs.of(self.time, self.steps, self.events, MEMORY)

    @property
    def felt(self) -> float:
        """The largest change of rate that happened before the last point, over the peak."""
        events = self.events
        new = events.new[events.time < self.time[-1]]
        return float(np.max(np.abs(new - events.old[:1]), initial=0.0)) if len(new) else 0.0

    def part(self, which: slice | np.ndarray) -> Clock:
        """The same run at some of the points."""
        signal = self.signal.part(which)
        return Clock(self.time[which], self.steps[which], self.events, self.level, signal)


def feel_alike(some: Iterable[Clock], every: Iterable[Clock]) -> bool:
    """Whether points of a refit feel changes of rate that are no trifle beside what all feel.

    A refit to less says what the response might be, and not how well it is known: of a WSD run
    without its decay, or of runs that stop before a drop, it is the priors alone.
    """
    most = max((clock.felt for clock in every), default=0.0)
    return max((clock.felt for clock in some), default=0.0) > _SHOWN * most


@dataclass(frozen=True)
class Units:
    """Scales of one fit: the longest intrinsic time, the longest run, the highest rate."""

    time: float
    steps: float
    rate: float

    @classmethod
    def of(cls, rates: list[Rate], last_steps: list[float]) -> Units:
        """Units in which the longest of the given runs has length one."""
        times = [float(r.time(np.array([s]))[0]) for r, s in zip(rates, last_steps, strict=True)]
        return cls(max(times), max(last_steps), max(r.peak for r in rates))

    def clock(self, rate: Rate, steps: np.ndarray) -> Clock:
        """The clock of a run at `steps`, shape (n,)."""
        events = rate.events()
        level = rate.peak / self.rate
        scaled = Events(events.steps / self.steps, events.time / self.time, events.old, events.new)
        time = np.maximum(rate.time(steps) / self.time, 1e-12)
        signal = SignalTime.of(rate, steps, unit=self.rate, time=self.time)
        return Clock(time, np.maximum(steps / self.steps, 1e-12), scaled, level, signal)
