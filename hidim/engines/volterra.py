"""The risk as the solution of an integral equation: what falls by itself, and what noise adds.

    P(t) = F(t) + sum_{s<t} K(t, s) P(s)

F (the forcing) is the risk of the same run without gradient noise, K(t, s) the risk at step t
that noise of unit risk at step s leaves behind. Both come from the spectrum alone. For SGD at
a constant rate gamma, K(t, s) = K(t - s - 1):

    a_j = 1 - 2 gamma lambda_j + (1 + own) gamma^2 lambda_j^2
    F(t) = risk_floor + 1/2 sum_j lambda_j error_sq_j a_j^t
    K(m) = gamma^2 shared sum_j n_j lambda_j^2 a_j^m

with own = shared = 1/B for Gaussian rows (problems/law.py; what the law adds for the floor alone is
part of F).

With momentum, or rates that move, both are products of the 3x3 step maps of
`hidim.systems.momentum`. Discrete steps and full curvature: the solution is the exact expected
risk, not a continuous-time limit.
Source: arXiv 2405.15074 (SGD), arXiv 2505.16098 (momentum), in the project's conventions.
Limits: `CONVOLUTION_STEPS` for SGD at a constant rate, `TWO_TIME_STEPS` otherwise. Rounding is all
that is lost, except that more than 600 modes under momentum or moving rates are put on fewer nodes
where forcing and kernel stay within 1e-9 of what they are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import Schedule
from hidim.curve import DIVERGENCE_FACTOR, Curve
from hidim.engines.convolution import apply_kernel, solve_renewal
from hidim.engines.two_time import TwoTime
from hidim.problems.spectrum import Spectrum
from hidim.support import checks

CONVOLUTION_STEPS = 4_000_000
TWO_TIME_STEPS = 20_000
SUPPORTS = (
    f"SGD at a constant rate up to {CONVOLUTION_STEPS:,} steps; every other member and schedule "
    f"up to {TWO_TIME_STEPS:,}, at a cost that grows with the square of the steps"
)

_COMPRESS_ABOVE = 600
_COMPRESSION_ERROR = 1e-9
_PANEL = 256
_FASTEST_FALL = 1e-260


def supports(algorithm: Momentum, last: float, weight: Schedule | None = None) -> str | None:
    """Why this engine cannot reach step `last` with `algorithm`, or None if it can.

    Args:
        weight: of the point that is read; None for the iterate.
    """
    limit = CONVOLUTION_STEPS if _is_convolution(algorithm, weight) else TWO_TIME_STEPS
    if last <= limit:
        return None
    return (
        f"engine 'volterra' reaches step {limit:,} with {algorithm.name}, got {last:g}. "
        "Use engine='exact', which solves the same equation at any horizon."
    )


def solve(
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    at: np.ndarray,
    *,
    moments: bool = False,
    readout: str = "gradient",
) -> Curve:
    """Curve at the steps `at` (ascending).

    Raises:
        ValueError: too many steps for this engine, or `moments`, which it does not carry.
    """
    if moments:
        raise ValueError("engine 'volterra' follows the risk alone; use engine='exact' for moments")
    weight = algorithm.readout(readout)
    last = _last_step(algorithm, at, weight)
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_convolution(algorithm, weight):
            risk = _Convolution(spectrum, algorithm, batch_size).solution(last + 1)
            shown = risk[at.astype(np.int64)]
        else:
            equation = _equation(spectrum, algorithm, batch_size, last + 1)
            risk = equation.solution(last + 1)
            shown = risk[at.astype(np.int64)]
            if weight.constant != 0.0:
                shown = equation.read(risk, at, weight)
    return _curve(at, shown, risk, spectrum.initial_risk)


def forcing(spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: Any) -> np.ndarray:
    """F at the steps `t`: the expected risk without gradient noise.

    Args:
        t: whole steps, any shape.

    Returns:
        Same shape as `t`.

    Example:
        >>> import hidim
        >>> spectrum = hidim.Spectrum([1.0], [2.0], 0.1)
        >>> forcing(spectrum, hidim.sgd(0.5), math.inf, [0, 1, 2])
        array([1.1   , 0.35  , 0.1625])
    """
    steps = _steps("t", t)
    last = _last_step(algorithm, steps)
    if _is_convolution(algorithm):
        return _Convolution(spectrum, algorithm, batch_size).forcing(steps)
    return TwoTime(spectrum, algorithm, batch_size).forcing(last + 1)[steps]


def kernel(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: Any, s: int = 0
) -> np.ndarray:
    """K(t, s) at the steps `t`: the weight of the risk at step s in the risk at step t.

    Args:
        t: whole steps, any shape; zero weight for t <= s.
        s: the earlier step. For SGD at a constant rate only t - s - 1 matters.

    Example:
        >>> import hidim
        >>> spectrum = hidim.Spectrum([1.0], [2.0], 0.1)
        >>> kernel(spectrum, hidim.sgd(0.5), 1, [0, 1, 2])
        array([0.   , 0.25 , 0.125])
    """
    steps = _steps("t", t)
    s = int(checks.whole("s", s))
    last = _last_step(algorithm, steps)
    if _is_convolution(algorithm):
        lag = np.maximum(steps - s - 1, 0)
        return np.where(steps > s, _Convolution(spectrum, algorithm, batch_size).kernel(lag), 0.0)
    return TwoTime(spectrum, algorithm, batch_size).response(s, last + 1)[steps]


def renewal_series(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, at: Any, terms: int
) -> Curve:
    """F + K F + K K F + ...: the risk from noise that was passed on at most `terms` times.

    Rises to the solution as `terms` grows, since F and K are positive.

    Args:
        at: whole steps to report.
        terms: powers of the kernel kept, 0 for the forcing alone.

    Example:
        >>> import hidim
        >>> spectrum = hidim.Spectrum([1.0], [2.0], 0.1)
        >>> exact = hidim.predict(spectrum, hidim.sgd(0.5), at=[50]).risk[0]
        >>> series = renewal_series(spectrum, hidim.sgd(0.5), 1, [50], terms=60)
        >>> bool(abs(series.risk[0] / exact - 1) < 1e-12)
        True
    """
    steps = np.atleast_1d(_steps("at", at))
    terms = int(checks.whole("terms", terms))
    last = _last_step(algorithm, steps)
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_convolution(algorithm):
            equation = _Convolution(spectrum, algorithm, batch_size)
            risk = equation.series(last + 1, terms)
        else:
            risk = _equation(spectrum, algorithm, batch_size, last + 1).series(last + 1, terms)
    return _curve(steps, risk[steps], risk, spectrum.initial_risk)


class _Convolution:
    """SGD at a constant rate: forcing and kernel are sums of exponentials of the lag."""

    def __init__(self, spectrum: Spectrum, algorithm: Momentum, batch_size: float) -> None:
        gamma = algorithm.gamma_2.constant or 0.0
        rate, law = gamma * spectrum.eigenvalues, spectrum.law
        # log a_j, each form where it keeps its digits; where a step removes the mode at once, far
        # below any float instead of -inf.
        with np.errstate(divide="ignore"):
            slow = np.log1p(-np.minimum(rate, 0.5) * (2.0 - rate * (1.0 + law.own(batch_size))))
            fast = np.log((1.0 - rate) ** 2 + law.own(batch_size, rate**2))
        self._log = np.maximum(np.where(rate < 0.5, slow, fast), -1e4)
        self._level = spectrum.risk_floor  # what the forcing falls to
        self._error = 0.5 * spectrum.eigenvalues * spectrum.error_sq
        self._noise = law.shared(batch_size, spectrum.counts * rate**2)
        if not law.gaussian:
            # The floor's own noise is no part of the loop: it fills each mode up as 1 - a_j^t.
            gap = -np.expm1(self._log)
            full = law.constant(batch_size, spectrum.counts * rate**2) * self._level
            full = np.divide(full, gap, out=np.zeros_like(gap), where=gap != 0)
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


def _is_convolution(algorithm: Momentum, weight: Schedule | None = None) -> bool:
    return (
        not algorithm.has_momentum
        and (weight is None or weight.constant == 0.0)
        and algorithm.gamma_2.constant is not None
    )


def _equation(spectrum: Spectrum, algorithm: Momentum, batch_size: float, size: int) -> TwoTime:
    """The equation on fewer nodes, where these have the forcing and the kernel of all modes."""
    full = TwoTime(spectrum, algorithm, batch_size)
    if len(spectrum) <= _COMPRESS_ABOVE:
        return full
    few = TwoTime(spectrum.compress(), algorithm, batch_size)
    forcing, kernel = full.forcing(size), full.response(0, size)
    missed = np.abs(few.forcing(size) - forcing)
    # The kernel counts by what the first risk, the largest, leaves behind.
    missed += np.abs(few.response(0, size) - kernel) * forcing[0]
    return few if np.all(missed <= _COMPRESSION_ERROR * forcing) else full


def _steps(name: str, t: Any) -> np.ndarray:
    steps = checks.finite_array(name, t)
    if np.any(steps < 0) or np.any(steps != np.floor(steps)):
        raise ValueError(f"`{name}` must hold whole steps, none negative.")
    return steps.astype(np.int64)


def _last_step(algorithm: Momentum, at: np.ndarray, weight: Schedule | None = None) -> int:
    last = float(np.max(at, initial=0))
    reason = supports(algorithm, last, weight)
    if reason is not None:
        raise ValueError(reason)
    return int(last)


def _curve(at: np.ndarray, shown: np.ndarray, risk: np.ndarray, start: float) -> Curve:
    """`risk` is the whole solution 0..last, which decides the status."""
    risk = np.where(np.isnan(risk), math.inf, risk)
    high = risk > DIVERGENCE_FACTOR * start
    diverged = bool(high[-1])
    return Curve(
        steps=at,
        risk=np.where(np.isnan(shown), math.inf, shown),
        status="diverged" if diverged else "ok",
        diverged_at=float(np.argmax(high)) if diverged else None,
    )
