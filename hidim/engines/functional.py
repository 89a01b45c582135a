"""What does the functional scaling law say of SGD on a spectrum, under any schedule?

In intrinsic time T = sum of the rate, with signal e(T) = sum lambda error_sq e^(-2 lambda T) and
kernel K(T) = sum multiplicity lambda^2 e^(-2 lambda T),
    2 (P(T) - floor) = e(T) + int_0^T K(T - z) 2 P(z) rate(z) / batch dz
for Gaussian data; the law of the data (problems/law.py) says what stands for 2 P / batch otherwise.
`first_order` puts 2 floor + e(z) for 2 P(z) under the integral: the functional scaling law.
Source: arXiv 2509.19189, 2602.06797; constants from docs/notation.md conventions (P with the
1/2, data exponent alpha, target exponent beta; in those papers' letters
beta_F = 2 alpha and s = (2 alpha + 2 beta - 1) / (2 alpha)).
Limits: SGD in continuous time; rates are read `points_per_decade` times per decade of t and at
their breakpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.schedules import Schedule, as_schedule
from hidim.problems.spectrum import Spectrum
from hidim.support.checks import finite_array, positive, whole


@dataclass(frozen=True)
class FunctionalLaw:
    """The functional scaling law of one Spectrum.

    Example:
        >>> law = FunctionalLaw(Spectrum([1.0, 0.25], [1.0, 1.0], risk_floor=0.5))
        >>> float(law.signal(0.0)), float(law.kernel(0.0))
        (1.25, 1.0625)
    """

    spectrum: Spectrum

    def signal(self, time: Any) -> np.ndarray:
        """e(T) = sum lambda error_sq e^(-2 lambda T) at intrinsic times, any shape."""
        return self._sum(self.spectrum.eigenvalues * self.spectrum.error_sq, time)

    def kernel(self, time: Any) -> np.ndarray:
        """K(T) = sum multiplicity lambda^2 e^(-2 lambda T) at intrinsic times, any shape."""
        return self._sum(self._multiplicity * self.spectrum.eigenvalues**2, time)

    def risk(
        self,
        rate: Schedule | float,
        steps: Any,
        *,
        batch_size: float = 1.0,
        first_order: bool = False,
        points_per_decade: int = 200,
    ) -> np.ndarray:
        """Risk of SGD with learning-rate schedule `rate` after `steps` updates.

        Args:
            rate: gamma_2 as a schedule of the step, or a number.
            steps: where to evaluate, positive, shape (n,).
            batch_size: samples per step.
            first_order: noise driven by the signal alone instead of by the risk itself.
            points_per_decade: of the time grid, second order in its spacing.

        Returns:
            Risk with the 1/2, shape (n,).

        Raises:
            ValueError: steps or batch size out of range.
        """
        at = np.atleast_1d(finite_array("steps", steps))
        if np.any(at < 0):
            raise ValueError(f"`steps` must not be negative, got {at.min():g}.")
        batch = positive("batch_size", batch_size)
        schedule = as_schedule("rate", rate)
        if at.max() == 0:
            return np.full(len(at), self.spectrum.initial_risk)
        grid = _grid(at, schedule.breakpoints, int(whole("points_per_decade", points_per_decade)))
        risk = self._march(schedule, grid, batch, first_order)
        return risk[np.searchsorted(grid, at)]

    def _march(
        self, schedule: Schedule, grid: np.ndarray, batch: float, first_order: bool
    ) -> np.ndarray:
        """Risk on the grid: exponential steps per mode, the noise implicit in the end point."""
        lam, multiplicity = self.spectrum.eigenvalues, self._multiplicity
        width, mean_rate = _intervals(schedule, grid)
        law, noise_floor = self.spectrum.law, 2 * self.spectrum.risk_floor
        # By how much more than its risk the floor drives, where its noise has another kurtosis.
        more = law.constant(1.0, noise_floor) / law.shared(1.0)
        excess = self.spectrum.error_sq.astype(float).copy()
        signal = excess.copy()
        out = np.empty(len(grid))
        out[0] = (float(lam @ excess) + noise_floor) / 2
        drive = 2 * out[0] + more
        for i, (span, eta) in enumerate(zip(width, mean_rate, strict=True), start=1):
            keep = np.exp(-2 * lam * span)
            gain = law.shared(batch, eta) * multiplicity * -np.expm1(-2 * lam * span) / 2
            excess = excess * keep
            signal = signal * keep
            free, force = float(lam @ excess) + noise_floor, float(lam @ gain) / 2
            if first_order:
                after = float(lam @ signal) + noise_floor + more
                total = free + force * (drive + after)
            else:
                total = (free + force * (drive + more)) / (1 - force)
                after = total + more
            excess = excess + gain * (drive + after) / 2
            drive = after
            out[i] = total / 2
        return out

    @property
    def _multiplicity(self) -> np.ndarray:
        given = self.spectrum.multiplicity
        return np.ones(len(self.spectrum.eigenvalues)) if given is None else given

    def _sum(self, weights: np.ndarray, time: Any) -> np.ndarray:
        time = np.asarray(time, dtype=np.float64)
        decay = np.exp(-2 * np.multiply.outer(time, self.spectrum.eigenvalues))
        return decay @ weights


def _grid(at: np.ndarray, breakpoints: tuple[float, ...], per_decade: int) -> np.ndarray:
    """Steps dense in logarithm after the start and before the end, with kinks and requests."""
    end = float(at.max())
    first = min(1e-2, end / 10)
    count = int(per_decade * math.log10(end / first)) + 2
    forward = np.geomspace(first, end, count)
    inner = [b for b in breakpoints if 0 < b < end]
    return np.unique(np.concatenate([[0.0], forward, end - forward[:-1], at, inner]))


def _intervals(schedule: Callable[[Any], Any], grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intrinsic time across each interval, and the rate averaged over it."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    width = np.diff(grid)
    t = grid[:-1, None] + width[:, None] * (nodes + 1) / 2  # (intervals, 3)
    eta = np.asarray(schedule(t), dtype=np.float64)
    time = width * (eta @ weights) / 2
    square = width * (eta**2 @ weights) / 2
    mean = np.divide(square, time, out=np.zeros_like(time), where=time > 0)
    return time, mean
