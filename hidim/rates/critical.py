"""How large may gamma_3 be, as a power of the size?

For gamma_3(t) = A (1 + t)^-kappa_3 the largest A at which the risk never rises tenfold above its
lowest so far is found by bisection on the exact dynamics; over a ladder of sizes it falls like
d^-kappa_2, which theory puts on the line kappa_2 = max(0, 1 - 2 alpha kappa_3).

A rise is measured from the lowest risk and not from the start: climbing back over the start takes
longer the larger d is, which biases the power (0.981 instead of 1 at alpha = 1, d = 1e3..1e4).
Limits: a run that rises later than `horizon` counts as stable, so the amplitude is a little high,
by the same factor at every size.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.algorithms.kappas import sgd_kappa_1, stability_line
from hidim.algorithms.momentum import dana_decaying
from hidim.curve import log_steps
from hidim.engines.march import march
from hidim.measure.slopes import measure_exponent
from hidim.problems.power_law import spectra_at
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import MomentumSystem

_RISE = 10.0  # above the lowest risk so far: more than noise at a stable rate ever adds
_WIDEST = 40.0  # |log A| allowed beyond the starting guess


def critical_amplitude(
    spectrum: Spectrum,
    *,
    kappa_3: float,
    horizon: float,
    step: float = 0.5,
    delta: float = 8.0,
    guess: float = 1.0,
    precision: float = 0.01,
) -> float:
    """The largest A for which gamma_3(t) = A (1 + t)^-kappa_3 never lifts the risk tenfold.

    Args:
        spectrum: the problem.
        kappa_3: decay of gamma_3, at least 0.
        horizon: optimizer steps watched.
        step: gamma_2 x trace.
        delta: friction, Delta(t) = delta / (delta + t).
        guess: an amplitude near the answer; saves runs.
        precision: relative width of the last bracket.

    Raises:
        ValueError: no amplitude in e^40 around the guess changes the outcome.
    """
    at = log_steps(horizon)

    def holds(log_a: float) -> bool:
        algorithm = dana_decaying(step / spectrum.trace, math.exp(log_a), kappa_3, delta)
        risk = march(MomentumSystem(spectrum, algorithm, 1), at).columns["risk"]
        return bool(np.all(risk <= _RISE * np.minimum.accumulate(risk)))

    low = high = math.log(guess)
    width = 1.0
    while not holds(low):
        low, width = low - width, 2 * width
        _check_range(low, guess)
    width = 1.0
    while holds(high):
        low, high, width = high, high + width, 2 * width
        _check_range(high, guess)
    while high - low > precision:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return math.exp((low + high) / 2)


def _check_range(log_a: float, guess: float) -> None:
    if abs(log_a - math.log(guess)) > _WIDEST:
        raise ValueError(
            f"`guess` is {guess:g}, but no amplitude near it separates stable from unstable runs: "
            "check that the rest of the algorithm is stable and the horizon long enough."
        )


def critical_kappa_2(
    alpha: float,
    beta: float,
    kappa_3: float,
    *,
    sizes: tuple[float, ...] = (1e3, 1e4, 1e5, 1e6),
    reach: float = 10.0,
    step: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Critical amplitudes over a ladder of sizes, and the local powers kappa_2 between them.

    Args:
        alpha: exponent of the data, above 1/2.
        beta: exponent of the target.
        kappa_3: decay of gamma_3.
        sizes: parameters.
        reach: the horizon in units of d^(2 alpha).
        step: gamma_2 x trace.

    Returns:
        amplitudes (sizes,) and local kappa_2 (sizes - 1,).
    """
    line = stability_line(alpha, kappa_3)
    kappa_1 = sgd_kappa_1(alpha)
    amplitudes: list[float] = []
    guess = float(sizes[0]) ** -line
    for k, d in enumerate(sizes):
        spectrum = spectra_at(alpha, [beta], d, math.inf if 2 * alpha > 1 else 4.0)[0]
        if k:
            guess = amplitudes[-1] * (d / sizes[k - 1]) ** -line
        horizon = reach * d ** (2 * alpha + kappa_1)
        amplitudes.append(
            critical_amplitude(spectrum, kappa_3=kappa_3, horizon=horizon, step=step, guess=guess)
        )
    found = np.array(amplitudes)
    return found, -measure_exponent(np.array(sizes), found).local
