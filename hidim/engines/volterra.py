"""The risk as the solution of an integral equation: what falls by itself, and what noise adds.

    P(t) = F(t) + sum_{s<t} K(t, s) P(s)

F (the forcing) is the risk of the same run without the noise that the risk feeds, K(t, s) the
risk at step t that noise of unit risk at step s leaves behind. Both come from the spectrum alone.
For SGD at a constant rate gamma, K(t, s) = K(t - s - 1):

    a_j = 1 - 2 gamma lambda_j + (1 + own) gamma^2 lambda_j^2
    F(t) = risk_floor + 1/2 sum_j lambda_j error_sq_j a_j^t
    K(m) = gamma^2 shared sum_j n_j lambda_j^2 a_j^m

with own = shared = 1/B for Gaussian rows (problems/law.py; what the law adds for the floor alone is
part of F).

With momentum, or rates that move, both are products of the step maps of the system. Discrete steps
and full curvature: the solution is the exact expected risk, not a continuous-time limit. Any affine
system whose one order is twice the risk has this equation.
Source: arXiv 2405.15074 (SGD), arXiv 2505.16098 (momentum), in the project's conventions; derived
in docs/theory/integral-equation.md.
Limits: `CONVOLUTION_STEPS` for one moment per mode that nothing moves, as SGD at a constant rate,
`TWO_TIME_STEPS` otherwise. Rounding is all that is lost, except that more than 600 modes under
momentum or moving rates are put on fewer nodes where forcing and kernel stay within 1e-9 of what
they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.curve import DIVERGENCE_FACTOR, Curve
from hidim.engines.control import Controlled
from hidim.engines.exponentials import Convolution
from hidim.engines.record import Record
from hidim.engines.two_time import TwoTime
from hidim.problems.spectrum import Spectrum
from hidim.support import checks
from hidim.systems.base import System
from hidim.systems.builders import system_of

CONVOLUTION_STEPS = 4_000_000
TWO_TIME_STEPS = 20_000

_COMPRESS_ABOVE = 600
_COMPRESSION_ERROR = 1e-9
_ERROR = 1e-9  # of the equation, on fewer nodes or by Fourier transforms


def refuses(system: System, last: float) -> str | None:
    """Why this engine cannot follow a system up to step `last`, or None if it can."""
    one = system.affine and system.driver is None and len(system.orders) == 1
    if not one or not _is_half_the_order(system):
        return (
            "engine 'volterra' solves for the risk alone, which closes on itself for Gaussian and "
            "elliptical data under the momentum family; this theory, as that of measured rows, "
            "follows more. Use engine='exact'."
        )
    start = system.start()
    for name in _others(system):
        if system.reading(np.zeros(1), start[None], name) is None:
            return (
                f"engine 'volterra' cannot read {name!r}: this theory does not say how the state "
                "enters it. Use engine='exact'."
            )
    limit = CONVOLUTION_STEPS if _is_convolution(system) else TWO_TIME_STEPS
    if last <= limit:
        return None
    return (
        f"engine 'volterra' reaches step {limit:,} here, got {last:g}. "
        "Use engine='exact', which solves the same equation at any horizon."
    )


def solve(
    system: System,
    at: np.ndarray,
    *,
    rtol: float,
    shown: str = "risk",
    moments: bool = False,
    sensitivity: Sequence[str] = (),
) -> Controlled:
    """What is read of the system at the steps `at` (ascending).

    Raises:
        ValueError: moments or sensitivities, which this engine does not carry.
    """
    if moments:
        raise ValueError("engine 'volterra' follows the risk alone; use engine='exact' for moments")
    if sensitivity:
        raise ValueError("engine 'volterra' has no sensitivities; use engine='exact'.")
    steps = np.asarray(at).astype(np.int64)
    last = int(steps[-1])
    columns = {}
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_convolution(system):
            risk = Convolution(system).solution(last + 1)
        else:
            equation = _equation(system, last + 1)
            twice = equation.solution(last + 1)
            risk = 0.5 * twice
            for name in _others(system):
                columns[name] = 0.5 * equation.read(twice, steps, name)
    columns["risk"] = risk[steps]
    columns = {name: np.where(np.isnan(v), math.inf, v) for name, v in columns.items()}
    start = float(risk[0])
    high = ~(risk <= DIVERGENCE_FACTOR * start)
    record = Record(
        np.asarray(at, dtype=np.float64),
        DIVERGENCE_FACTOR * np.asarray(max(start, 1e-300)),
        columns=columns,
        crossed_at=float(np.argmax(high)) if high[-1] else None,
        last_risk=np.asarray(np.where(np.isnan(risk[-1]), math.inf, risk[-1])),
    )
    return Controlled(record, _ERROR, rtol >= _ERROR)


def forcing(spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: Any) -> np.ndarray:
    """F at the steps `t`: the expected risk without the noise that the risk feeds.

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
    system, last = _checked(spectrum, algorithm, batch_size, steps)
    if _is_convolution(system):
        return Convolution(system).forcing(steps)
    return 0.5 * TwoTime(system).forcing(last + 1)[steps]


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
    system, last = _checked(spectrum, algorithm, batch_size, steps)
    if _is_convolution(system):
        lag = np.maximum(steps - s - 1, 0)
        return np.where(steps > s, Convolution(system).kernel(lag), 0.0)
    return TwoTime(system).response(s, last + 1)[steps]


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
    system, last = _checked(spectrum, algorithm, batch_size, steps)
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_convolution(system):
            risk = Convolution(system).series(last + 1, terms)
        else:
            risk = 0.5 * _equation(system, last + 1).series(last + 1, terms)
    return _curve(steps, risk[steps], risk, spectrum.initial_risk)


def _is_convolution(system: System) -> bool:
    one = system.kinds == 1 and system.steady and not _others(system)
    # Powers of a mode that flips its sign are no exponentials.
    return one and bool(np.all(system.retained(np.zeros(1)) >= 0.0))


def _is_half_the_order(system: System) -> bool:
    """Whether the risk is half the order, at the start and away from it."""
    x = np.stack([system.start(), 0.5 * system.start() + 0.1])
    q = np.asarray(system.order(x))
    risk = system.readouts(np.array([0.0, 1.0]), x, q)["risk"]
    return bool(np.allclose(risk, 0.5 * q[:, 0], rtol=1e-12, atol=0.0))


def _others(system: System) -> list[str]:
    """Readouts beside the risk."""
    x = system.start()
    seen = system.readouts(np.zeros(1), x[None], np.asarray(system.order(x))[None])
    return [name for name in seen if name != "risk"]


def _equation(system: System, size: int) -> TwoTime:
    """The equation on fewer nodes, where these have the forcing and the kernel of all modes."""
    full, fewer = TwoTime(system), system.fewer()
    if fewer is system or system.start().shape[-1] <= _COMPRESS_ABOVE:
        return full
    few = TwoTime(fewer)
    forcing, kernel = full.forcing(size), full.response(0, size)
    missed = np.abs(few.forcing(size) - forcing)
    # The kernel counts by what the first risk, the largest, leaves behind.
    missed += np.abs(few.response(0, size) - kernel) * forcing[0]
    return few if np.all(missed <= _COMPRESSION_ERROR * forcing) else full


def _checked(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, steps: np.ndarray
) -> tuple[System, int]:
    """The system, if this engine reaches the steps."""
    system, last = system_of(spectrum, algorithm, batch_size), float(np.max(steps, initial=0))
    reason = refuses(system, last)
    if reason is not None:
        raise ValueError(reason)
    return system, int(last)


def _steps(name: str, t: Any) -> np.ndarray:
    steps = checks.finite_array(name, t)
    if np.any(steps < 0) or np.any(steps != np.floor(steps)):
        raise ValueError(f"`{name}` must hold whole steps, none negative.")
    return steps.astype(np.int64)


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
