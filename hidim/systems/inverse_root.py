"""What is E[sum_l weight^l y_l / sqrt(sum_l memory^l y_l)] of independent y that are alike?

    1 / sqrt(u) = int_0^inf e^(-tau u) (pi tau)^(-1/2) dtau,

so that the mean is an integral over products of Laplace transforms; those of all samples, one seen
at tau, the next at tau memory, are running sums along a grid of log tau.
Source: derived for this project.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray

# log tau, and how finely the trapezoidal rule goes through it.
_LOWEST, _HIGHEST, _STEP = -46.0, 46.0, 0.05
# Memories longer than 1 / this are summed as integrals.
_SHORT = 0.02


def inverse_root(
    transform: Callable[[Array], tuple[Array, Array]], weight: float, memory: float
) -> float:
    """E[sum_l weight^l y_l / sqrt(sum_l memory^l y_l)] of independent y alike.

    Args:
        transform: s -> log E e^(-s y) and -d/ds of it, E y = 1.

    >>> one = lambda s: (-s, np.ones_like(s))  # y = 1
    >>> bool(abs(inverse_root(one, 0.5, 0.25) - 3.0**0.5) < 1e-9)
    True
    """
    gap = -math.log(memory) if memory > 0.0 else math.inf
    if gap < _SHORT:
        log_tau, log_phi, psi = _continued(transform, weight, gap)
    else:
        log_tau, log_phi, psi = _summed(transform, weight, memory, gap)
    integrand = np.exp(0.5 * log_tau + log_phi) * psi
    return float((log_tau[1] - log_tau[0]) * integrand.sum() / math.sqrt(math.pi))


def _summed(
    transform: Callable[[Array], tuple[Array, Array]], weight: float, memory: float, gap: float
) -> tuple[Array, Array, Array]:
    """Over all samples: one l steps back is seen at tau memory^l, some places down the grid."""
    stride = 1 if math.isinf(gap) else max(1, math.ceil(gap / _STEP))
    log_tau = np.arange(_LOWEST, _HIGHEST, _STEP if math.isinf(gap) else gap / stride)
    log_phi, psi = transform(np.exp(log_tau))
    if math.isinf(gap):
        return log_tau, log_phi, psi
    rows = -(-len(log_tau) // stride)
    pad = np.zeros(rows * stride - len(log_tau))
    log_phi, psi = (np.concatenate([v, pad]).reshape(rows, stride) for v in (log_phi, psi))
    # What lies below the first places is -s and 1, all of it: geometric series.
    below = -np.exp(log_tau[:stride]) * memory / (1.0 - memory)
    log_phi = below + np.cumsum(log_phi, axis=0)
    psi = _filtered(psi, weight)
    return log_tau, log_phi.ravel()[: len(log_tau)], psi.ravel()[: len(log_tau)]


def _continued(
    transform: Callable[[Array], tuple[Array, Array]], weight: float, gap: float
) -> tuple[Array, Array, Array]:
    """The same where memory is long, the sum of logarithms by Euler and Maclaurin."""
    from scipy.interpolate import CubicSpline  # on use: importing hidim imports no SciPy

    log_tau = np.arange(_LOWEST, _HIGHEST, _STEP)
    tau = np.exp(log_tau)
    one, psi = transform(tau)
    total = CubicSpline(log_tau, one).antiderivative()(log_tau) - tau[0]
    log_phi = total / gap + 0.5 * one - gap / 12.0 * tau * psi
    spline = CubicSpline(log_tau, psi)
    lags = np.arange(math.ceil(37.0 / -math.log(weight)) if weight > 0.0 else 1)
    found = np.zeros_like(psi)
    for lag in lags.tolist():
        found += weight**lag * spline(np.maximum(log_tau - gap * lag, _LOWEST))
    return log_tau, log_phi, found


def _filtered(rows: Array, weight: float) -> Array:
    """sum_l weight^l rows[i - l], all before the first being 1."""
    from scipy.signal import lfilter  # on use: importing hidim imports no SciPy

    beginning = np.full((1, rows.shape[1]), weight / (1.0 - weight))
    return np.asarray(lfilter([1.0], [1.0, -weight], rows, axis=0, zi=beginning)[0])
