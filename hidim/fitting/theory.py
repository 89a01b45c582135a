"""What do functional scaling laws say of SGD on a power-law spectrum, schedule by schedule?

In intrinsic time T = sum of the rate, with signal e(T) = sum lambda error_sq e^(-2 lambda T) and
kernel K(T) = sum multiplicity lambda^2 e^(-2 lambda T),
    2 (P(T) - floor) = e(T) + int_0^T K(T - z) 2 P(z) rate(z) / batch dz.
`first_order` puts 2 floor + e(z) for 2 P(z) under the integral: the functional scaling law.
Source: arXiv 2509.19189, 2602.06797; constants from docs/notation.md conventions (P with the
1/2, data exponent alpha, target exponent beta; in those papers' letters
beta_F = 2 alpha and s = (2 alpha + 2 beta - 1) / (2 alpha)).
Limits: SGD in continuous time; the exponents are those of large horizons, with label noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.schedules import Constant, Schedule, as_schedule
from hidim.fitting.decays import ExponentialDecay, PolynomialDecay
from hidim.problems.spectrum import Spectrum
from hidim.support.checks import choice, finite, finite_array, positive, whole

SCHEDULES = ("constant", "exponential", "wsd", "optimal")


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
        noise_floor = 2 * self.spectrum.risk_floor
        excess = self.spectrum.error_sq.astype(float).copy()
        signal = excess.copy()
        drive = float(lam @ excess) + noise_floor
        out = np.empty(len(grid))
        out[0] = drive / 2
        for i, (span, eta) in enumerate(zip(width, mean_rate, strict=True), start=1):
            keep = np.exp(-2 * lam * span)
            gain = eta / batch * multiplicity * -np.expm1(-2 * lam * span) / 2
            excess = excess * keep
            signal = signal * keep
            free, force = float(lam @ excess) + noise_floor, float(lam @ gain) / 2
            if first_order:
                after = float(lam @ signal) + noise_floor
                total = free + force * (drive + after)
            else:
                total = after = (free + force * drive) / (1 - force)
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


def asymptotic_signal(alpha: float, beta: float, time: Any) -> np.ndarray:
    """e(T) of a power-law spectrum without end: Gamma(r) (2T)^-r / (2 alpha), r = rho/(2 alpha)."""
    r = _source(alpha, beta)
    x = 2 * np.asarray(time, dtype=np.float64)
    return math.gamma(r) * x**-r / (2 * alpha)


def asymptotic_kernel(alpha: float, time: Any) -> np.ndarray:
    """K(T) of a power-law spectrum: Gamma(q) (2T)^-q / (2 alpha), q = 2 - 1/(2 alpha) > 0."""
    if positive("alpha", alpha) <= 0.25:
        raise ValueError(f"`alpha` must exceed 1/4 for this form, got {alpha:g}.")
    q = 2 - 1 / (2 * alpha)
    x = 2 * np.asarray(time, dtype=np.float64)
    return math.gamma(q) * x**-q / (2 * alpha)


@dataclass(frozen=True)
class ScheduleExponents:
    """How the best final excess risk falls under one shape of schedule, with label noise.

    excess ~ budget^-eta * (log budget)^log_power, at a peak rate ~ steps^-peak.

    Attributes:
        schedule: "constant", "exponential" decay, "wsd" or "optimal".
        regime: "data" (budget = steps, size unlimited) or "compute" (budget = size x steps).
        difficulty: "easy" when s >= 1 - 1/(2 alpha), else "hard".
        eta: exponent of the budget.
        log_power: exponent of the logarithm.
        peak: best peak rate ~ steps^-peak; zero where the largest stable rate is best.
    """

    schedule: str
    regime: str
    difficulty: str
    eta: float
    log_power: float
    peak: float


def schedule_exponents(
    alpha: float, beta: float, schedule: str, regime: str = "data"
) -> ScheduleExponents:
    """Exponents of the final excess risk for a schedule shape.

    Args:
        alpha: data exponent, 2 alpha > 1.
        beta: target exponent, 2 alpha + 2 beta > 1.
        schedule: "constant", "exponential", "wsd" or "optimal".
        regime: "data" or "compute". The compute column takes a size of M exact features with
            floor M^-rho; random features have that floor for 2 beta < 1 only.

    Source: arXiv 2509.19189; the optimal shape from 2602.06797.

    >>> schedule_exponents(1.0, 0.3, "constant").eta
    0.4444444444444445
    """
    choice("schedule", schedule, SCHEDULES)
    choice("regime", regime, ("data", "compute"))
    if positive("alpha", alpha) <= 0.5:
        raise ValueError(f"`alpha` must exceed 1/2 for these laws, got {alpha:g}.")
    b, s = 2 * alpha, _source(alpha, beta)
    easy = s >= 1 - 1 / b
    eta_data, log_data, peak = _data_exponents(s, b, schedule, easy)
    if regime == "data":
        eta, log_power = eta_data, log_data
    else:
        # Size exponent 1/(s b) and data exponent 1/eta share the budget M * D.
        eta = 1 / (1 / (s * b) + 1 / eta_data)
        log_power = eta * log_data / eta_data
    return ScheduleExponents(schedule, regime, "easy" if easy else "hard", eta, log_power, peak)


def exponent_table(alpha: float, beta: float) -> list[ScheduleExponents]:
    """All schedules in both regimes, for one problem."""
    return [
        schedule_exponents(alpha, beta, schedule, regime)
        for regime in ("data", "compute")
        for schedule in SCHEDULES
    ]


def schedule_of(
    alpha: float, beta: float, schedule: str, steps: float, *, peak: float | None = None
) -> Schedule:
    """The member of a schedule family that the theory has in mind for a run of `steps`.

    "constant"; "exponential" decay to 1/steps of the peak; "wsd", the same decay over the last
    half; "optimal": peak (1 - t/steps)^(4 alpha - 1) for easy problems, and for hard ones the
    peak with a decay over a vanishing last share (here steps^(-1/3)).

    Args:
        alpha, beta: exponents of the problem, 2 alpha > 1.
        steps: length of the run, above 2.
        peak: highest rate; default steps^-peak of `schedule_exponents`, constants left at one.

    Source: arXiv 2509.19189, 2602.06797.

    >>> float(schedule_of(1.0, 0.3, "optimal", 1000, peak=0.5)(500.0))
    0.0625
    """
    law = schedule_exponents(alpha, beta, schedule)
    steps = positive("steps", steps)
    if steps <= 2:
        raise ValueError(f"`steps` must exceed 2, got {steps:g}.")
    top = steps**-law.peak if peak is None else positive("peak", peak)
    if schedule == "constant":
        return Constant(top)
    if schedule == "exponential":
        return ExponentialDecay(top, steps, 1 / steps)
    if schedule == "wsd":
        return ExponentialDecay(top, steps, 1 / steps, start=steps / 2)
    if law.difficulty == "easy":
        return PolynomialDecay(top, steps, 4 * alpha - 1)
    return ExponentialDecay(top, steps, 1 / steps, start=steps * (1 - steps ** (-1 / 3)))


def _data_exponents(s: float, b: float, schedule: str, easy: bool) -> tuple[float, float, float]:
    """eta, power of the logarithm and peak exponent when size is no limit."""
    if schedule == "constant":
        return s / (s + 1), 0.0, s / (s + 1)
    if not easy:
        return s, (s if schedule == "exponential" else 0.0), 0.0
    eta = s * b / (1 + s * b)
    peak = (s - 1 + 1 / b) / (s + 1 / b)
    if schedule == "exponential":
        return eta, eta, peak
    if schedule == "wsd":
        return eta, (s * b - s) / (1 + s * b), peak
    return eta, 0.0, peak


def _source(alpha: float, beta: float) -> float:
    alpha, beta = positive("alpha", alpha), finite("beta", beta)
    rho = 2 * alpha + 2 * beta - 1
    if rho <= 0:
        raise ValueError(f"`beta` must exceed 1/2 - alpha = {0.5 - alpha:g}, got {beta:g}.")
    return rho / (2 * alpha)


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
