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
_BLOCK = 64  # of a recursion at once


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
    psi = remembered(weight, psi.T, 1.0 / (1.0 - weight)).T  # all before the first are 1
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


def remembered(decay: float, x: Array, before: float = 0.0) -> Array:
    """y_n = decay y_(n-1) + x_n along the last axis, from y_(-1) = before.

    Block by block, and from one block to the next by the same. To import scipy.signal for it takes
    longer than all that is asked of it here.

    >>> remembered(0.5, np.array([1.0, 0.0, 4.0]), 2.0).tolist()
    [2.0, 1.0, 4.5]
    """
    count = x.shape[-1]
    size = min(_BLOCK, count)
    blocks = -(-count // size)
    powers = decay ** np.arange(size + 1.0)
    back = np.subtract.outer(np.arange(size), np.arange(size))
    within = np.where(back >= 0, powers[np.maximum(back, 0)], 0.0)
    padded = np.zeros((*x.shape[:-1], blocks * size))
    padded[..., :count] = x
    found = padded.reshape(*x.shape[:-1], blocks, size) @ within.T
    into = np.full((*x.shape[:-1], blocks), before)
    if blocks > 1:
        into[..., 1:] = remembered(float(powers[-1]), found[..., :-1, -1], before)
    found += into[..., None] * powers[1:]
    return found.reshape(padded.shape)[..., :count]
