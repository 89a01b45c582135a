"""Is a step stable? The exact kernel norm, with the coefficients frozen at one time.

Noise injected into a mode is amplified by its transfer T_j before it reaches the risk again,
and the risk makes the noise. The loop is stable in mean square if and only if every mode is
stable alone and the loop's gain, the kernel norm, is below one:

    N = (1/B) sum_j n_j T_j / (1 - T_j/B) < 1,        T_j < B for every j;

and for elliptical rows, with `shared` and `own` of problems/law.py in place of 1/B,

    N = sum_j n_j shared T_j / (1 - own T_j) < 1,          own T_j < 1 for every j.

With a = gamma_2 lambda, b = gamma_1 gamma_3 lambda, D = 1 - forgetting, p = a forgetting + b:

    T = [p (1 + D (1 - a)) + 2 D a (a + b)] / [(1 - D (1 - a)) ((2 - a)(2 - forgetting) - b)].

T is lambda^2 sum_k h_k^2 for h the impulse response of the mode's 2 x 2 map. Exact for Gaussian
data at any batch size; derivation and checks in docs/theory/stability.md. Coefficients that
move are taken as if they stood still, so over a run N is a warning and no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hidim.algorithms.gradients import plain_gradient
from hidim.algorithms.momentum import Momentum
from hidim.problems.spectrum import Spectrum
from hidim.support.roots import bracketed_root

_SMALLEST_LOG_GROWTH = -70.0
_HALVINGS = 52
_CHUNK = 1 << 18  # entries of a (times, modes) block: a few MB, however long the grid is


def kernel_norm(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: np.ndarray | float
) -> np.ndarray:
    """The exact kernel norm N(t) with the coefficients frozen at each time.

    Args:
        t: times >= 0, any shape.

    Returns:
        Array of the shape of `t`: below 1 is stable, infinite where a mode is unstable by
        itself. For batch_size=inf there is no noise: 0, or infinite.

    Example:
        >>> from hidim.algorithms import sgd
        >>> round(float(kernel_norm(Spectrum([1.0], [1.0], 0.0), sgd(0.5), 1, 0.0)), 12)
        0.5
    """
    return _over_times(_exact_norm, spectrum, algorithm, batch_size, t)


def small_step_norm(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: np.ndarray | float
) -> np.ndarray:
    """The small-step expansion of N(t): for insight only, it errs both ways.

    (1/B) sum_j n_j [gamma_2 lambda_j / 2 + gamma_3 lambda_j / (2 (gamma_2 lambda_j + Delta))]

    Returns:
        Array of the shape of `t`; infinite where momentum is held for ever.
    """
    return _over_times(_expanded_norm, spectrum, algorithm, batch_size, t)


def loop_gain(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: np.ndarray | float
) -> np.ndarray:
    """The gain nu of the loop at each time: 1 / nu is the factor by which noise may still grow.

    1 where the kernel norm is, and nearer to 1 elsewhere: the root of

        1 = sum_j n_j kurtosis T'_j / (nu - 2 kurtosis T'_j),      T' = (T / B) / (1 + T / B).

    On measured rows row_gain.py has the same number of the rows themselves.

    Returns:
        Array of the shape of `t`; infinite where a mode is unstable by itself.

    >>> from hidim.algorithms import sgd
    >>> round(float(loop_gain(Spectrum([1.0], [1.0], 0.0), sgd(2 / 3), 1, 0.0)), 9)
    1.0
    """
    return _over_times(_root_gain, spectrum, algorithm, batch_size, t)


@np.errstate(over="ignore", invalid="ignore")
def growth_rate(spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: float) -> float:
    """By how much the second moments grow per step, coefficients frozen at `t`.

    The spectral radius of the complete map of second moments, minus one; 0.0 when it is
    stable. The map keeps the cone of covariances, so the radius z is an eigenvalue: the
    largest root of 1 = (1/B) sum_j n_j T_j(z) / (1 - T_j(z)/B), or the radius of one mode's
    map. Computed from z - 1 directly, so that a growth of 1e-10 per step is resolved.

    Momentum that never reaches the parameters (gamma_1 gamma_3 = 0) is left out.
    """
    modes = _modes(spectrum.eigenvalues, algorithm, np.atleast_1d(np.asarray(t, dtype=np.float64)))
    alone = max(0.0, float(np.max(modes.growth)))
    if batch_size == math.inf:
        return alone

    def room(log_w: float) -> float:
        """1/N - 1 at z = 1 + alone + w: nearly straight where N has its pole."""
        gain = float(_loop_gain(spectrum, modes, batch_size, alone + math.exp(log_w))[0])
        return -1.0 if gain == math.inf else 1.0 / max(gain, 1e-3) - 1.0

    if alone == 0.0 and _loop_gain(spectrum, modes, batch_size, 0.0)[0] < 1.0:
        return 0.0
    low = high = -7.0
    while room(high) <= 0.0:
        low, high = high, high + 3.5
    while room(low) >= 0.0:
        low, high = low - 3.5, low
        if low < _SMALLEST_LOG_GROWTH:
            return alone
    return alone + math.exp(bracketed_root(room, low, high))


def grows_faster(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, t: float, rate: float
) -> bool:
    """Whether `growth_rate` exceeds `rate` > 0, for the price of one sum over the modes."""
    modes = _modes(spectrum.eigenvalues, algorithm, np.atleast_1d(np.asarray(t, dtype=np.float64)))
    if float(np.max(modes.growth)) >= rate:
        return True
    return batch_size != math.inf and not _loop_gain(spectrum, modes, batch_size, rate)[0] < 1.0


def gain(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, times: np.ndarray, w: float = 0.0
) -> np.ndarray:
    """The kernel norm N at the times, and its continuation N(1 + w) to growth by w per step.

    N(1 + w) < 1 exactly where nothing grows by more than w per step; infinite where a mode does
    so by itself.
    """

    def norm(
        spectrum: Spectrum, algorithm: Momentum, batch_size: float, times: np.ndarray
    ) -> np.ndarray:
        return _loop_gain(spectrum, _modes(spectrum.eigenvalues, algorithm, times), batch_size, w)

    return _over_times(norm, spectrum, algorithm, batch_size, times)


def mode_transfer(a: np.ndarray, b: np.ndarray, forgetting: np.ndarray) -> np.ndarray:
    """Transfer T of modes with a = gamma_2 lambda, b = gamma_1 gamma_3 lambda.

    Infinite where the mode is unstable without any noise. Arrays broadcast.
    """
    modes = _Modes(*np.broadcast_arrays(*_effective(a, b, forgetting)))
    return _transfer(modes, 0.0)


def mode_growth(a: np.ndarray, b: np.ndarray, forgetting: np.ndarray) -> np.ndarray:
    """Squared radius of each mode's 2 x 2 map minus 1: positive where it runs away alone."""
    return _Modes(*np.broadcast_arrays(*_effective(a, b, forgetting))).growth


def transfers(
    eigenvalues: np.ndarray, algorithm: Momentum, times: np.ndarray, w: float = 0.0
) -> np.ndarray:
    """T of modes, (times, modes), for growth by w per step; infinite where a mode grows faster."""
    return _transfer(_modes(eigenvalues, algorithm, times), w)


class _Modes(NamedTuple):
    """Modes' coefficients and what the formulas are made of; every array (times, modes)."""

    a: np.ndarray
    b: np.ndarray
    forgetting: np.ndarray

    @property
    def determinant_gap(self) -> np.ndarray:
        """1 - D (1 - a), free of cancellation for small steps."""
        return self.a + self.forgetting * (1.0 - self.a)

    @property
    def at_plus_one(self) -> np.ndarray:
        """Characteristic polynomial of the 2 x 2 map at 1: p."""
        return self.a * self.forgetting + self.b

    @property
    def at_minus_one(self) -> np.ndarray:
        """The same at -1: (2 - a)(2 - forgetting) - b."""
        return (2.0 - self.a) * (2.0 - self.forgetting) - self.b

    @property
    def growth(self) -> np.ndarray:
        """Squared radius of the 2 x 2 map minus 1: positive where a mode runs away alone.

        No real root exceeds +1 because p >= 0, so it leaves through -1 or as a complex pair.
        """
        # Roots -1 - x: x^2 + (2 + trace) x + q = 0.
        slope = 4.0 - self.a - self.b - self.forgetting
        q = self.at_minus_one
        discriminant = slope**2 - 4.0 * q
        root = np.sqrt(np.maximum(discriminant, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.where(slope > 0, -2.0 * q / (slope + root), 0.5 * (root - slope))
        return np.where(discriminant < 0, -self.determinant_gap, x * (2.0 + x))


def _effective(a: np.ndarray, b: np.ndarray, forgetting: np.ndarray) -> tuple[np.ndarray, ...]:
    # With b = 0 the momentum never acts (or the mode never moves): any forgetting gives SGD.
    return a, b, np.where(np.asarray(b) == 0, 1.0, forgetting)


def _modes(eigenvalues: np.ndarray, algorithm: Momentum, times: np.ndarray) -> _Modes:
    algorithm, t = plain_gradient(algorithm), times[:, None]
    gamma_3 = algorithm.gamma_1(t) * algorithm.gamma_3(t)
    a = algorithm.gamma_2(t) * eigenvalues
    b = gamma_3 * eigenvalues
    return _Modes(*np.broadcast_arrays(*_effective(a, b, algorithm.forgetting(t))))


def _transfer(modes: _Modes, w: float) -> np.ndarray:
    """T(z) at z = 1 + w, in powers of w whose coefficients are sums of like signs."""
    a, b, forgetting = modes
    D, step = 1.0 - forgetting, a + b
    held = D * a
    gap, p, q = modes.determinant_gap, modes.at_plus_one, modes.at_minus_one
    two = 2.0 - gap  # 1 + determinant
    stable = (gap + w > 0) & (modes.growth < w if w else (q > 0) & (p >= 0))
    if w:
        slope = p * (1.0 + 0.5 * q - 0.25 * p)
        slope = slope + 0.25 * q * (2.0 * (a + forgetting) - a * forgetting + b)
        above = p * (p * two + 2.0 * held * step) + w * (
            p * (p + step * two + 2.0 * step * held) + step * held * gap + w * step**2
        )
        below = (w + gap) * (p * q + w * (slope + w))
    else:
        above, below = p * two + 2.0 * held * step, gap * q
    # A mode that never moves (a = b = 0) injects nothing.
    moves = step > 0
    safe = np.where(stable & moves & (below > 0), below, 1.0)
    return np.where(moves, np.where(stable & (below > 0), above / safe, np.inf), 0.0)


def _loop_gain(spectrum: Spectrum, modes: _Modes, batch_size: float, w: float) -> np.ndarray:
    transfer = _transfer(modes, w)
    # An infinite batch carries no noise, and leaves the modes their own stability.
    finite = np.isfinite(transfer)
    transfer = np.where(finite, transfer, 0.0)
    own = np.where(finite, spectrum.law.own(batch_size, transfer), np.inf)
    alive = (own < 1.0).all(axis=-1)
    own = np.where(own < 1.0, own, 0.0)
    passed_on = spectrum.law.shared(batch_size, transfer)
    return np.where(alive, (passed_on / (1.0 - own)) @ spectrum.counts, np.inf)


def _exact_norm(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, times: np.ndarray
) -> np.ndarray:
    return _loop_gain(spectrum, _modes(spectrum.eigenvalues, algorithm, times), batch_size, 0.0)


def _root_gain(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, times: np.ndarray
) -> np.ndarray:
    transfer = _transfer(_modes(spectrum.eigenvalues, algorithm, times), 0.0)
    alive = np.isfinite(transfer).all(axis=-1)
    passed = np.where(np.isfinite(transfer), transfer, 0.0) / batch_size
    passed = spectrum.law.kurtosis * passed / (1.0 + passed)  # kurtosis T'
    # Every other root is below the largest pole; this one is above, by the whole sum at most.
    pole = 2.0 * passed.max(axis=-1)
    low, high = pole.copy(), pole + np.abs(passed) @ np.abs(spectrum.counts)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = (passed / (middle[..., None] - 2.0 * passed)) @ spectrum.counts
        above = left > 1.0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(alive, high, np.inf)


def _expanded_norm(
    spectrum: Spectrum, algorithm: Momentum, batch_size: float, times: np.ndarray
) -> np.ndarray:
    a, b, forgetting = _modes(spectrum.eigenvalues, algorithm, times)
    damping = a + forgetting
    held = np.divide(b, damping, out=np.zeros_like(damping), where=damping > 0)
    damped = ((damping > 0) | (b == 0)).all(axis=-1)
    passed_on = spectrum.law.shared(batch_size, 0.5 * (a + held))
    return np.where(damped, passed_on @ spectrum.counts, np.inf)


def _over_times(
    norm: Callable[[Spectrum, Momentum, float, np.ndarray], np.ndarray],
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    t: np.ndarray | float,
) -> np.ndarray:
    times = np.asarray(t, dtype=np.float64)
    flat = times.ravel()
    rows = max(1, _CHUNK // len(spectrum))
    # Absurd rates overflow to an infinite norm, which is what they have.
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [
            norm(spectrum, algorithm, batch_size, flat[i : i + rows])
            for i in range(0, flat.size, rows)
        ]
    return np.concatenate(parts or [np.zeros(0)]).reshape(times.shape)
