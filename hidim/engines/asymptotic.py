"""What does the scaling law say of this run, whatever the spectrum?

The theorem behind the laws: with F the risk of noiseless descent, K the noise kernel and
vartheta the effective time,

    P(t) ~ F(vartheta(t)) + (gamma/B) K(vartheta(t)),      kurtosis gamma / B for elliptical rows,
    2 F(x) = 2 P_inf + sum_j lambda_j error_sq_j e^(-lambda_j x),
    K(x) = sum_j n_j lambda_j^2 e^(-lambda_j x).

The effective time here is that of a mode that has just begun to move,

    vartheta(t) = 2 int_0^t (gamma_2 + gamma_3 M),   M' = gamma_1 - forgetting M,

which is 2 gamma_2 t for SGD, 2 (gamma_2 + gamma_3/delta) t for SGD with momentum, and
2 gamma_2 t + (int sqrt(gamma_3))^2 / (2 (nu + 1)) for DANA (scaling/amplitudes.py): it needs no
list of names and takes every schedule. K carries the area under F, and both the gain of the noise
built up so far, which makes the law of SGD right to its constant.

Source: arXiv 2505.16098, theorem and effective time; constants derived in
docs/theory/scaling.md. Limits: up to constants for momentum, none of which depends on d or t;
no account of how a run becomes unstable, so unstable rates are refused; rates are read 32 times
per octave of t and at their breakpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hidim.algorithms.gradients import plain_gradient
from hidim.algorithms.momentum import Momentum
from hidim.engines.control import Controlled
from hidim.engines.record import Record
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import System
from hidim.systems.momentum import MomentumSystem

_FIRST = 64  # steps taken one by one, before a grid in log t is fine enough
_PER_OCTAVE = 32
_CHUNK = 1 << 20


def refuses(system: System, last: float) -> str | None:
    """Why this engine cannot follow a system up to step `last`, or None if it can."""
    if not isinstance(system, MomentumSystem):
        return (
            "engine 'asymptotic' knows the law of the momentum family alone, and this is another "
            "theory. Use engine='exact'."
        )
    if system.readout != "gradient":
        return (
            f"`readout` must be 'gradient' with engine='asymptotic', got {system.readout!r}; "
            "for other points of the algorithm use engine='exact'."
        )
    norm = float(system.loop_gain(np.array([last]))[0])
    if not norm < 1:
        return (
            f"`engine` 'asymptotic' holds for stable rates only: the kernel norm at step {last:g} "
            f"is {norm:.3g}, not below 1. Lower the rates, or use engine='exact'."
        )
    return None


def solve(
    system: System,
    at: np.ndarray,
    *,
    rtol: float,
    shown: str = "risk",
    moments: bool = False,
    sensitivity: Sequence[str] = (),
) -> Controlled:
    """The law's risk at the steps `at`, for any spectrum and stable schedules.

    A law has no error to control: its estimate is infinite.

    Raises:
        ValueError: moments or sensitivities, of which no law speaks.

    >>> from hidim.algorithms import sgd
    >>> system = MomentumSystem(Spectrum([1.0, 0.1], [1.0, 1.0], 0.0), sgd(0.1), 1)
    >>> solve(system, np.array([0, 10]), rtol=1e-8).record.columns["risk"].round(3)
    array([0.55 , 0.118])
    """
    if moments:
        raise ValueError(
            "`moments` must be False with engine='asymptotic', which knows the risk alone; "
            "for every mode's moments use engine='exact'."
        )
    if sensitivity:
        raise ValueError("engine 'asymptotic' has no sensitivities; use engine='exact'.")
    assert isinstance(system, MomentumSystem)
    spectrum, algorithm, times = system.spectrum, system.algorithm, np.asarray(at, dtype=np.float64)
    theta = effective_time(algorithm, times)
    rate, law = _noise_rate(algorithm, times), spectrum.law
    noise, more = law.shared(system.batch_size, rate), law.constant(system.batch_size, rate)
    risk = np.empty(times.shape)
    rows = max(1, _CHUNK // len(spectrum))
    for start in range(0, len(times), rows):
        part = slice(start, start + rows)
        risk[part] = _risk(spectrum, theta[part], noise[part], more[part])
    record = Record(times, np.asarray(math.inf), columns={"risk": risk}, last_risk=risk[-1])
    return Controlled(record, math.inf, True)


def effective_time(algorithm: Momentum, at: np.ndarray) -> np.ndarray:
    """vartheta at the steps `at`, in units of 1 / eigenvalue; F falls like e^(-lambda vartheta).

    >>> from hidim.algorithms import sgd
    >>> effective_time(sgd(0.25), np.array([0, 10, 1000])).tolist()
    [0.0, 5.0, 500.0]
    """
    algorithm, at = plain_gradient(algorithm), np.asarray(at, dtype=np.float64)
    grid = _grid(algorithm, float(at.max(initial=0.0)))
    held, theta = 0.0, 0.0
    values = np.zeros(len(grid))
    gamma_1, gamma_2 = algorithm.gamma_1(grid), algorithm.gamma_2(grid)
    gamma_3, forgetting = algorithm.gamma_3(grid), algorithm.forgetting(grid)
    for k, start in enumerate(grid[:-1]):
        width = grid[k + 1] - start
        if k < _FIRST and width == 1:
            held = (1 - forgetting[k]) * held + gamma_1[k]
            theta += 2 * (gamma_2[k] + gamma_3[k] * held)
        else:
            decay = 0.5 * (forgetting[k] + forgetting[k + 1]) * width
            gained = 0.5 * (gamma_1[k] + gamma_1[k + 1]) * width
            # Exact for constant coefficients, however many memories a step of the grid spans.
            share = -np.expm1(-decay) / decay if decay > 0 else 1.0
            later = np.exp(-decay) * held + gained * share
            push = gamma_2[k] + gamma_3[k] * held + gamma_2[k + 1] + gamma_3[k + 1] * later
            held, theta = later, theta + push * width
        values[k + 1] = theta
    return np.interp(at, grid, values)


def _grid(algorithm: Momentum, last: float) -> np.ndarray:
    """Every step at first, then points evenly spread in log t, and every kink."""
    first = np.arange(0.0, min(_FIRST, last) + 1)
    if last <= _FIRST:
        return first
    octaves = np.log2(last / _FIRST)
    later = np.geomspace(_FIRST, last, 2 + int(octaves * _PER_OCTAVE))
    kinks = [b for b in algorithm.breakpoints if _FIRST < b < last]
    return np.unique(np.concatenate([first, later, kinks]))


def _noise_rate(algorithm: Momentum, times: np.ndarray) -> np.ndarray:
    """gamma of the kernel: gamma_2, and gamma_3 / delta where momentum is a longer step."""
    rate = algorithm.gamma_2(times)
    if algorithm.forgetting.constant:
        momentum = algorithm.gamma_1(times) * algorithm.gamma_3(times)
        return np.asarray(rate + momentum / algorithm.forgetting.constant)
    return np.asarray(rate)


def _risk(spectrum: Spectrum, theta: np.ndarray, noise: np.ndarray, more: np.ndarray) -> np.ndarray:
    """The law with `noise` per risk; the floor alone makes `more` than that."""
    values = spectrum.eigenvalues
    decay = np.exp(-theta[:, None] * values)  # (times, modes)
    forcing = spectrum.risk_floor + 0.5 * decay @ (values * spectrum.error_sq)
    kernel = decay @ (spectrum.counts * values**2)
    settled = 1 - decay
    area = 0.25 * settled @ spectrum.error_sq  # of F, times gamma
    seen = settled @ (spectrum.counts * values)
    built_up = 0.5 * noise * seen
    forcing = forcing + 0.5 * more * seen * spectrum.risk_floor
    gain = 1 / (1 - np.minimum(built_up, 0.9))
    return np.asarray(gain * forcing + gain**2 * noise * kernel * area)
