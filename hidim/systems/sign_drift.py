"""How far does the sign of a batch's gradient lean, given the excess risk and the noise?

E sign g_i = mu(S) (K r)_i / sqrt(K_ii) for signals small beside the noise, S twice the excess:

    B = 1:        mu = (2 / pi) E exp(-eps^2 / (2 S)) / sqrt(S),
    Gaussian:     mu = sqrt(2 / pi) E chi_B / sqrt(2P),
    any B >= 2:   mu = (sqrt(2) / pi) (B - 1) int_0^inf tau^(-1/2) L(tau)^B dtau,
                  L(tau) = (1 + 2 tau S)^(-1/2) E exp(-tau eps^2 / (1 + 2 tau S)).

The last is costly, so it is tabulated (tabulated.py).
Source: derived for this project, docs/theory/sign.md.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from hidim.problems.noise import Gaussian, Law, Mixture
from hidim.systems.tabulated import Tabulated

Array = np.ndarray

# log(tau S), for the trapezoidal rule: the integrand is analytic, and this errs by e^-39.
_LOG_TAU = np.arange(-90.0, 75.0, 0.25)
_SMALLEST = 1e-280  # an excess that is none


def chi_mean(batch: float) -> float:
    """E chi_B, close to sqrt(B).

    >>> round(chi_mean(1) ** 2 * 3.141592653589793 / 2, 12)
    1.0
    """
    return math.sqrt(2.0) * math.exp(math.lgamma(0.5 * (batch + 1.0)) - math.lgamma(0.5 * batch))


class SignDrift:
    """mu as a function of twice the excess.

    Args:
        law: of the whole residual but for the signal, the Gaussian floor included.
        batch: samples per step, finite.

    >>> drift = SignDrift(Gaussian(1.0).mixture, 1)
    >>> bool(abs(drift(np.array([1.0]))[0] - 2 / np.pi / np.sqrt(2)) < 1e-15)
    True
    """

    def __init__(self, law: Mixture, batch: float) -> None:
        self._law, self._batch = law, batch
        self._table = Tabulated(self._integral)

    def __call__(self, excess: Array) -> Array:
        """mu, of the shape of `excess`, (n,)."""
        law, batch = self._law, self._batch
        excess = np.maximum(excess, _SMALLEST)
        if len(law.weights) == 1 and law.means[0] == 0.0:
            variance = excess + law.variances[0]
            return np.asarray(math.sqrt(2.0 / math.pi) * chi_mean(batch) / np.sqrt(variance))
        if batch == 1:
            return np.asarray((2.0 / math.pi) * blurred(law, 0.5 / excess) / np.sqrt(excess))
        return self._table(excess)[:, 0]

    def _integral(self, excess: Array) -> Array:
        scaled = np.exp(_LOG_TAU)
        wide = 1.0 + 2.0 * scaled
        found = np.empty(len(excess))
        for i, S in enumerate(excess.tolist()):
            power = (blurred(self._law, scaled / (wide * S)) / np.sqrt(wide)) ** self._batch
            found[i] = power @ np.sqrt(scaled) / math.sqrt(S)
        step = float(_LOG_TAU[1] - _LOG_TAU[0])
        return (math.sqrt(2.0) / math.pi * (self._batch - 1.0) * step * found)[:, None]


def blurred(law: Mixture, q: Array) -> Array:
    """E exp(-q eps^2), (n,).

    >>> bool(abs(blurred(Gaussian(1.0).mixture, np.array([1.5]))[0] - 0.5) < 1e-15)
    True
    """
    wide = 1.0 + 2.0 * q[:, None] * law.variances
    if not law.means.any():
        return np.asarray((1.0 / np.sqrt(wide)) @ law.weights)
    return np.asarray((np.exp(-q[:, None] * law.means**2 / wide) / np.sqrt(wide)) @ law.weights)


@lru_cache(maxsize=64)
def sign_drift(noise: Law | None, floor: float, batch: float) -> SignDrift:
    """The drift for a law of noise on top of a Gaussian floor, with what it has computed so far."""
    law = (noise or Gaussian(0.0)).mixture
    return SignDrift(law.wider(2.0 * floor), batch)
