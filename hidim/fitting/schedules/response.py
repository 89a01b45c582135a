"""What have the changes of a rate given back so far, and what does that depend on?

sum_k (change of rate at k) w_k G(lag since k), over the pairs of a point and an event before it.
Only half of all pairs are such, and every array here has one entry for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hidim.fitting.logs.rates import Events

Slopes = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """The pairs of a point and an event before it, point by point.

    Attributes:
        event: which event, shape (pairs,).
        lag: intrinsic time since it, shape (pairs,).
        lag_steps: steps since it, shape (pairs,).
        log_since: log time of the event, or of a share of the point's if that is later, (pairs,).
        points: how many points there are.
        some: points that have events before them, shape (m,).
        begins: first pair of each of these, shape (m,).
    """

    event: np.ndarray
    lag: np.ndarray
    lag_steps: np.ndarray
    log_since: np.ndarray
    points: int
    some: np.ndarray
    begins: np.ndarray

    @classmethod
    def of(cls, time: np.ndarray, steps: np.ndarray, events: Events, memory: float) -> Pairs:
        """Pairs of points at `time` and `steps`, each (n,), with events of the same units.

        Args:
            time: intrinsic time, positive.
            steps: optimizer steps.
            events: the changes of rate.
            memory: share of a point's time before which every event counts as if it were then.
        """
        point, event = np.nonzero(steps[:, None] > events.steps)
        since = np.maximum(events.time[event], memory * time[point])
        some, begins = np.unique(point, return_index=True)
        return cls(
            event,
            np.maximum(time[point] - events.time[event], 0.0),
            steps[point] - events.steps[event],
            np.log(np.maximum(since, 1e-12)),
            len(time),
            some,
            begins,
        )

    def sums(self, columns: list[np.ndarray]) -> np.ndarray:
        """The sum over the events before each point of each column (pairs,), (columns, n)."""
        out = np.zeros((len(columns), self.points))
        if len(self.begins):
            for row, column in zip(out, columns, strict=True):
                row[self.some] = np.add.reduceat(column, self.begins)
        return out


def released(
    value: dict[str, float], pairs: Pairs, events: Events, level: float, *, exponential: bool
) -> tuple[np.ndarray, Slopes]:
    """Sum over changes of rate of weight times response, (n,), and its slopes, each (n,).

    Args:
        value: parameters of the law; those it lacks have no part in it.
        pairs: of points and events.
        events: the changes of rate.
        level: highest rate of the run over that of the fit.
        exponential: the response is 1 - e^-x of steps, not 1 - (1+x)^-g of intrinsic time.
    """
    weight, weight_slope = _weights(value.get("noise_exponent", 1.0), events, level)
    weight = weight[pairs.event]
    share: np.ndarray | float = 1.0
    if "noise_signal" in value:
        # What of the noise was left by the signal at the time it was shed.
        h, signal = value["noise_signal"], np.exp(-value["decay_exponent"] * pairs.log_since)
        share = 1.0 - h + h * signal
    shed = share * weight
    respond = _by_steps if exponential else _by_time
    response, columns = respond(value, pairs, events.level * level, shed)
    columns["gain"] = response * shed
    if "noise_exponent" in value:
        columns["noise_exponent"] = response * share * weight_slope[pairs.event]
    if "noise_signal" in value:
        followed = response * signal * weight
        columns["noise_signal"] = followed - response * weight
        columns["decay_exponent"] = -h * followed * pairs.log_since
    sums = dict(zip(columns, pairs.sums(list(columns.values())), strict=True))
    return sums.pop("gain"), sums


def _by_time(
    value: dict[str, float], pairs: Pairs, level: np.ndarray, shed: np.ndarray
) -> tuple[np.ndarray, Slopes]:
    """Response of each pair, (pairs,), and the slopes of `shed` times it."""
    log_level, gamma = np.log(level), value.get("slowing_exponent", 0.0)
    g = math.exp(value["response_exponent"])
    x = pairs.lag * np.exp(value["response_rate"] - gamma * log_level)[pairs.event]
    one = 1.0 + x
    log_1x = np.log(one)
    left = np.exp(-g * log_1x)
    moved = g * left * shed
    slopes = {"response_exponent": log_1x * moved}
    moved *= x / one
    slopes["response_rate"] = moved
    if "slowing_exponent" in value:
        slopes["slowing_exponent"] = -moved * log_level[pairs.event]
    return 1.0 - left, slopes


def _by_steps(
    value: dict[str, float], pairs: Pairs, level: np.ndarray, shed: np.ndarray
) -> tuple[np.ndarray, Slopes]:
    """The same of a response that is exponential in steps, whatever the rate."""
    x = math.exp(value["response_rate"]) * pairs.lag_steps
    left = np.exp(-x)
    return 1.0 - left, {"response_rate": x * left * shed}


def _weights(q: float, events: Events, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Stationary noise, the rate to the power q, that each change sheds, and its slope in q, each
    (events,)."""
    old, new = events.old * level, events.new * level
    return old**q - new**q, _power_slope(old, q) - _power_slope(new, q)


def _power_slope(x: np.ndarray, q: float) -> np.ndarray:
    """Slope of x^q in q, 0 at x = 0, shape (n,)."""
    safe = np.maximum(x, 1e-300)
    return np.where(x > 0, safe**q * np.log(safe), 0.0)
