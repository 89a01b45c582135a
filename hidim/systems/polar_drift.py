"""How far does the polar factor of a noisy gradient lean along each mode, and how long is it there?

With G = U S V^T the gradient of a batch of B on a matrix of m rows (problems/matrix.py), dominated
by noise,

    E (U V^T) q_i = lambda_i F_i r_i / sqrt(2P),        E |U V^T q_i|^2 = q_i,

by a deterministic equivalent of (G^T G + t^2)^-1: for every t > 0 the one root s(t) of

    s tau = B E[z f^2 / (1 + z f^2)],   tau = sum_j n_j lambda_j / (1 + s lambda_j),
    z = y tau / B^2,   y = (m - s tau) / t^2,   f normal,

    F_i = (2 B / (pi m)) int_0^inf s / (1 + s lambda_i) dt,   q_i = 1 - 1 / (1 + s_0 lambda_i),

with s_0 = s(0), so that sum n q = min(m, B, d). Large batches: F ~ lambda^(-1/2); B = 1: F is the
same for all modes. Between, modes with lambda > 1 / s_0 are preconditioned.
Source: derived for this project, docs/theory/muon.md. Limits: Gaussian residuals, small signals.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from hidim.problems.matrix import checked_outputs
from hidim.problems.spectrum import Spectrum
from hidim.support import checks
from hidim.systems.tabulated import Tabulated

Array = np.ndarray

# log t about its middle, for the trapezoidal rule.
LOG_T = np.arange(-20.0, 20.0 + 0.025, 0.05)
_HALVINGS = 64


class MuonDrift(NamedTuple):
    """Drift and noise of SignSVD, each (modes,), of a mode that occurs several times that of one.

    Attributes:
        F: factor of the drift, E (U V^T) q_i = lambda_i F_i r_i / sqrt(2P).
        q: squared length of U V^T along a mode.
    """

    F: Array
    q: Array


def muon_drift(spectrum: Any, outputs: Any = None, batch_size: Any = None) -> MuonDrift:
    """Drift factors and noise of SignSVD where noise dominates the gradient.

    Args:
        spectrum: of the rows x.
        outputs: rows of the matrix.
        batch_size: samples per step, finite.

    Raises:
        ValueError: an argument missing or out of range.

    >>> found = muon_drift(Spectrum(1.0 / np.arange(1.0, 61), np.ones(60), 0.0), 60, 300)
    >>> found.F[[0, 9, 59]].round(4).tolist(), float(found.q.sum().round(6))
    ([2.1677, 6.1233, 12.0525], 60.0)
    """
    if not isinstance(spectrum, Spectrum):
        raise ValueError(f"`spectrum` must be a hidim.Spectrum, got {type(spectrum).__name__}.")
    outputs = checked_outputs(outputs)
    if batch_size is None:
        raise ValueError("`batch_size` is missing: give the samples per step, a finite number.")
    batch = checks.whole("batch_size", batch_size, minimum=1)
    # Searches of rates ask for the same ones again and again.
    found = _found(spectrum.eigenvalues.tobytes(), spectrum.multiplicity.tobytes(), outputs, batch)
    return MuonDrift(*(values.copy() for values in found))


@lru_cache(maxsize=16)
def _found(modes: bytes, counts: bytes, outputs: int, batch: float) -> tuple[Array, Array]:
    """F and q, (modes,) each, of eigenvalues and their multiplicities."""
    along, count = np.frombuffer(modes), np.frombuffer(counts)
    t = _times(along, count, outputs, batch)
    s = _roots(along, count, outputs, batch, t)
    # dt = t dlog t; the piece below the first t by a rectangle, s being level there.
    weights = _weights(t)
    F = np.array([weights @ (s / (1.0 + s * value)) for value in along.tolist()])
    last = _at_zero(along, count, min(outputs, batch))
    q = np.ones_like(along) if math.isinf(last) else last * along / (1.0 + last * along)
    q = np.where(along > 0, q, 0.0)
    return 2.0 * batch / (math.pi * outputs) * F, q


def muon_transition(spectrum: Spectrum, outputs: Any = None) -> Array:
    """From which batch does SignSVD precondition each mode? (modes,), infinite where from none.

    The batch at which a mode keeps half the length that it can have, q = 1/2: the effective
    dimension sum_j n_j lambda_j / (lambda_j + lambda) at its eigenvalue, as far as the outputs
    allow. Modes above, with larger eigenvalues, move as under an inverse square root of the
    covariance, those below as under SGD.

    >>> muon_transition(Spectrum([1.0, 1.0, 1e-6], np.ones(3), 0.0), 60).round(3).tolist()
    [1.0, 1.0, 2.5]
    """
    if not isinstance(spectrum, Spectrum):
        raise ValueError(f"`spectrum` must be a hidim.Spectrum, got {type(spectrum).__name__}.")
    outputs = checked_outputs(outputs)
    along = spectrum.eigenvalues
    held = np.array(
        [
            float(spectrum.multiplicity @ (along / (along + value))) if value > 0 else math.inf
            for value in along.tolist()
        ]
    )
    return np.where(held <= outputs, held, math.inf)


def centre(along: Array, count: Array, outputs: int, batch: float) -> float:
    """Where in log t the integrals have their weight."""
    trace, modes = float(count @ along), float(count.sum())
    return 0.5 * math.log(outputs * trace / (modes * batch))


def mean_share(z: Array) -> Array:
    """E[z f^2 / (1 + z f^2)], f normal.

    >>> mean_share(np.array([0.0, 1e-9, 1e300])).round(9).tolist()
    [0.0, 1e-09, 1.0]
    """
    from scipy.special import erfcx  # on use: importing hidim imports no SciPy

    small = np.minimum(z, 1e-4)
    series = small * (1.0 - small * (3.0 - small * (15.0 - small * (105.0 - 945.0 * small))))
    x = 1.0 / np.sqrt(2.0 * np.maximum(z, 1e-4))
    return np.where(z < 1e-4, series, 1.0 - math.sqrt(math.pi) * x * erfcx(x))


def _times(along: Array, count: Array, outputs: int, batch: float) -> Array:
    return np.exp(LOG_T + centre(along, count, outputs, batch))


def _weights(t: Array) -> Array:
    weights = (LOG_T[1] - LOG_T[0]) * t
    weights[0] += 0.5 * t[0]
    return np.asarray(weights)


def _roots(along: Array, count: Array, outputs: int, batch: float, t: Array) -> Array:
    """s at every t, by halving in log s: left rises, right falls."""
    held = Tabulated(lambda s: _trace(along, count, s)[:, None])
    # s lies below s(0), and above what the far field B m / (t^2 tr K ...) leaves of it.
    high = np.full(len(t), 60.0 - math.log(float(count @ along)))
    low = np.full(len(t), -140.0 - math.log(float(count @ along)))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        s = np.exp(middle)
        left = s * held(s)[:, 0]
        z = np.maximum(outputs - left, 0.0) / t**2 * (left / s) / batch**2
        above = left > batch * mean_share(z)
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    return np.exp(0.5 * (low + high))


def _trace(along: Array, count: Array, s: Array) -> Array:
    """tau at every s."""
    found = np.empty(len(s))
    for i, value in enumerate(s.tolist()):
        found[i] = count @ (along / (1.0 + value * along))
    return found


def _at_zero(along: Array, count: Array, rank: float) -> float:
    """s(0): infinite where the polar factor has full rank in the modes."""
    if rank >= float(count[along > 0].sum()) * (1.0 - 1e-12):
        return math.inf
    low, high = -200.0, 200.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        s = math.exp(middle)
        if s * float(count @ (along / (1.0 + s * along))) > rank:
            high = middle
        else:
            low = middle
    return math.exp(0.5 * (low + high))
