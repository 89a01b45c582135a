"""The integral equation of one moment per mode that nothing moves, as SGD at a constant rate.

Forcing and kernel are sums of exponentials of the lag, so the equation is a convolution
(convolution.py); volterra.py says what it solves and for whom.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.engines.convolution import apply_kernel, solve_renewal
from hidim.systems.base import System

_PANEL = 256
_FASTEST_FALL = 1e-260


class Convolution:
    """One moment per mode that nothing moves: forcing and kernel are sums of exponentials."""

    def __init__(self, system: System) -> None:
        _, source, gains = system.linearised(np.zeros(1), system.start(), np.empty(0))
        ratio = system.retained(np.zeros(1))[0]
        change = system.change(np.zeros(1), np.zeros((1, 1)))[0, :, 0, 0]
        # log a_j, each form where it keeps its digits; where a step removes the mode at once, far
        # below any float instead of -inf.
        with np.errstate(divide="ignore"):
            self._log = np.maximum(np.where(change > -0.5, np.log1p(change), np.log(ratio)), -1e4)
        weights = system.weights[0, 0]
        self._level = 0.5 * float(system.offset[0])  # what the forcing falls to
        self._error = 0.5 * weights * system.start()[0]
        self._noise = weights * gains[0, :, 0, 0]
        if source is not None:
            # What comes in whatever the risk is no part of the loop: it fills each mode up as
            # 1 - a_j^t.
            full = 0.5 * weights * source[0, :, 0]
            full = np.divide(full, -change, out=np.zeros_like(full), where=change != 0)
            self._level, self._error = self._level + float(full.sum()), self._error - full

    def forcing(self, t: np.ndarray) -> np.ndarray:
        return self._level + _exponentials(self._error, self._log, t)

    def kernel(self, lag: np.ndarray) -> np.ndarray:
        return _exponentials(self._noise, self._log, lag)

    def solution(self, size: int) -> np.ndarray:
        """P(0..size-1), with its exponential growth or decay scaled out while solving."""
        growth = self._growth()
        forcing, kernel = self._tables(size, growth)
        scaled = solve_renewal(forcing, kernel)
        return scaled * np.exp(growth * np.arange(size))

    def series(self, size: int, terms: int) -> np.ndarray:
        growth = self._growth()
        forcing, kernel = self._tables(size, growth)
        total = forcing.copy()
        for _ in range(terms):
            total = forcing + apply_kernel(kernel, total)
        return total * np.exp(growth * np.arange(size))

    def _tables(self, size: int, growth: float) -> tuple[np.ndarray, np.ndarray]:
        forcing = _exponential_table(self._error, self._log - growth, size)
        if self._level != 0:  # then nothing is scaled up, see _growth
            forcing += self._level * np.exp(-growth * np.arange(size))
        # One factor exp(-growth) more: K(t - s - 1) spans t - s steps.
        kernel = _exponential_table(self._noise * math.exp(-growth), self._log - growth, size)
        return forcing, kernel

    def _growth(self) -> float:
        """Log growth per step of the slowest solution: sum_j noise_j / (q - a_j) = 1 at q.

        Positive above the stability threshold. With a floor the risk never decays to zero.
        """
        from scipy.optimize import brentq

        a = np.exp(self._log)
        seen = (self._noise != 0) | (self._error != 0)
        top = float(a[seen].max()) if seen.any() else 1.0
        width = float(np.abs(self._noise).sum())

        def excess(gap: float) -> float:
            return float(np.sum(self._noise / (gap + (top - a)))) - 1.0

        q = top
        low = 1e-14 * max(width, 1e-280)
        if width > 0 and excess(low) > 0 and excess(2.0 * width) < 0:
            q = top + float(brentq(excess, low, 2.0 * width, rtol=1e-14, xtol=low))
        # exp(-growth) must stay a float; a risk that falls faster is gone after the first step.
        growth = math.log(max(q, _FASTEST_FALL))
        return max(growth, 0.0) if self._level != 0 else growth


def _exponentials(weights: np.ndarray, log: np.ndarray, t: np.ndarray) -> np.ndarray:
    """sum_j weights_j exp(log_j t), shape of t."""
    flat = t.reshape(-1).astype(np.float64)
    panels = [
        np.exp(flat[i : i + _PANEL, None] * log) @ weights for i in range(0, flat.size, _PANEL)
    ]
    return np.concatenate(panels).reshape(t.shape) if panels else np.zeros(t.shape)


def _exponential_table(weights: np.ndarray, log: np.ndarray, size: int) -> np.ndarray:
    """The same at t = 0..size-1, as one matrix product over panels of steps."""
    starts = np.arange(0, size, _PANEL, dtype=np.float64)
    within = np.exp(np.multiply.outer(log, np.arange(_PANEL, dtype=np.float64)))
    table = np.empty((len(starts), _PANEL))
    for i in range(0, len(starts), _PANEL):
        part = slice(i, i + _PANEL)
        table[part] = (np.exp(np.multiply.outer(starts[part], log)) * weights) @ within
    return table.reshape(-1)[:size]
