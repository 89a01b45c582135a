"""Where is a run at the points asked for, in units that make a law's parameters of order one?"""

from __future__ import annotations

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

    def part(self, which: slice | np.ndarray) -> Clock:
        """The same run at some of the points."""
        signal = self.signal.part(which)
        return Clock(self.time[which], self.steps[which], self.events, self.level, signal)


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
