"""How far has the signal come after a schedule, if it does not move as the rate?

x_c = integral of (rate / unit)^c over the steps before. At c = 1 this is intrinsic time, the clock
of gradient descent; measured language models go somewhat further at low rates (c < 1). A warm-up
counts by the share of its last rate that it has reached, as at c = 1: counted as rate^c it would
begin the signal early, which runs contradict (docs/log.md). Limits: rates are straight pieces, as
everywhere here; why c differs from 1 is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.fitting.logs.rates import Rate

_NARROW = 0.02  # relative change over a piece, below which its mean is taken by quadrature
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_LEAST = 1e-12


@dataclass(frozen=True)
class SignalTime:
    """Straight pieces of a rate from step 0 on, and the points between them that are asked for.

    Attributes:
        low: rate at the beginning of each piece over the unit of rates, shape (..., pieces).
        high: likewise at its end.
        width: length of each piece in units of time over rate, shape (pieces,).
        at: how many pieces lie before each point, shape (n,); None asks for the end of each row
            of pieces (n, pieces).
    """

    low: np.ndarray
    high: np.ndarray
    width: np.ndarray
    at: np.ndarray | None

    @classmethod
    def of(cls, rate: Rate, steps: np.ndarray, *, unit: float, time: float) -> SignalTime:
        """Of one run at `steps`, shape (n,), in units of rate and of intrinsic time."""
        knots, before, after = _from_zero(rate)
        edges = np.unique(np.concatenate([knots, np.maximum(steps, 0.0)]))
        width = np.diff(knots)
        slope = np.append((before[1:] - after[:-1]) / np.where(width > 0, width, 1.0), 0.0)

        def rate_at(side: str, some: np.ndarray) -> np.ndarray:
            i = np.maximum(np.searchsorted(knots, some, side=side) - 1, 0)  # type: ignore[call-overload]
            return np.asarray(after[i] + slope[i] * (some - knots[i])) / unit

        low, high = rate_at("right", edges[:-1]), rate_at("left", edges[1:])
        width = np.diff(edges) * unit / time
        warm = edges[1:] <= rate.ready_step
        ready = float(rate_at("left", np.array([rate.ready_step]))[0]) if warm.any() else 1.0
        width[warm] *= (low[warm] + high[warm]) / (2.0 * ready)
        low[warm] = high[warm] = ready
        return cls(low, high, width, np.searchsorted(edges, steps))

    def part(self, which: slice | np.ndarray) -> SignalTime:
        """The same pieces at some of the points."""
        return SignalTime(self.low, self.high, self.width, np.asarray(self.at)[which])

    def log(self, c: float) -> tuple[np.ndarray, np.ndarray]:
        """log x_c at each point and its slope in c, each (n,).

        >>> rate = Rate(np.array([0.0, 2.0]), np.array([1.0, 0.25]), np.array([1.0, 0.25]))
        >>> signal = SignalTime.of(rate, np.array([2.0, 6.0]), unit=1.0, time=1.0)
        >>> np.exp(signal.log(1.0)[0]).round(12), np.exp(signal.log(0.5)[0]).round(6)
        (array([1.25, 2.25]), array([1.555556, 3.555556]))
        """
        mean, slope = _mean_power(self.low, self.high, c)
        x, by_c = self._sums(mean * self.width), self._sums(slope * self.width)
        x = np.maximum(x, _LEAST)
        return np.log(x), by_c / x

    def _sums(self, pieces: np.ndarray) -> np.ndarray:
        if self.at is None:
            return np.asarray(pieces.sum(axis=-1))
        return np.append(0.0, np.cumsum(pieces))[self.at]


def _from_zero(rate: Rate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Knots of a rate from step 0 on, with what its own leave out: the warm-up, and the first
    rate until the first knot."""
    first, warmup = rate.before[0], rate.warmup_steps
    begin = first if warmup == 0 else 0.0
    return (
        np.concatenate([[0.0, warmup], rate.steps]),
        np.concatenate([[begin, first], rate.before]),
        np.concatenate([[begin, first], rate.after]),
    )


def _mean_power(a: np.ndarray, b: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean of r^c over r from a to b, and its slope in c, of the shape of both."""
    rise = b - a
    narrow = np.abs(rise) <= _NARROW * np.maximum(a, b)
    safe = np.where(narrow, 1.0, rise)
    (p, p_slope), (q, q_slope) = _power(a, c + 1.0), _power(b, c + 1.0)
    mean = (q - p) / (safe * (c + 1.0))
    slope = (q_slope - p_slope) / (safe * (c + 1.0)) - mean / (c + 1.0)
    near, near_slope = np.zeros_like(mean), np.zeros_like(mean)
    for node, weight in zip(_NODES, _WEIGHTS / 2.0, strict=True):
        value, by_c = _power(a + rise * (node + 1.0) / 2.0, c)
        near, near_slope = near + weight * value, near_slope + weight * by_c
    return np.where(narrow, near, mean), np.where(narrow, near_slope, slope)


def _power(r: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """r^c and its slope in c, 0 at r = 0."""
    safe = np.maximum(r, 1e-300)
    value = np.where(r > 0, safe**c, 0.0)
    return value, value * np.log(safe)
