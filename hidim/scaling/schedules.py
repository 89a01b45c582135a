"""How does the best final risk fall with the budget under each shape of learning-rate schedule?

Exponents of functional scaling laws for SGD on a power-law spectrum, and their signal and kernel in
intrinsic time T = sum of the rate. Source: arXiv 2509.19189, 2602.06797; conventions of
docs/notation.md (in those papers' letters beta_F = 2 alpha and
s = (2 alpha + 2 beta - 1) / (2 alpha)). Limits: exponents of large horizons, with label noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.decays import ExponentialDecay, PolynomialDecay
from hidim.algorithms.schedules import Constant, Schedule
from hidim.support.checks import choice, finite, positive
from hidim.support.results import Saved

SCHEDULES = ("constant", "exponential", "wsd", "optimal")


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


@dataclass(frozen=True, eq=False)
class ScheduleExponents(Saved, format="hidim-schedule-exponents/1"):
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
