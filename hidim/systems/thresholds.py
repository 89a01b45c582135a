"""Which threshold should residuals be clipped at, and what does that gain?

With e the residual, P(|e| <= c) = mu is what is left of the mean gradient and E min(e^2, c^2) = nu
of its noise. At the best rate descent is as fast as mu^2 / nu, so the best threshold of a law of
noise at an excess R is the c that makes this largest; for light tails, as Gaussian ones, that is
c = infinity, 1 / 2P, and clipping never helps.
Source: arXiv 2406.11733 for the criterion; derived for this project,
docs/theory/clipping.md. Limits: Gaussian rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hidim.problems import noise as laws
from hidim.problems.noise import Gaussian, Law, Mixture
from hidim.support import checks
from hidim.support.roots import bracketed_root
from hidim.systems.tabulated import Tabulated

Array = np.ndarray

# A gain that rounding alone could be is none.
_NO_GAIN = 1e-8
# Thresholds that are tried first, in standard deviations of the narrowest residuals: few for laws
# with one hill at 0, more for points apart.
_TRIED = np.geomspace(1e-6, 1e6, 241)
_OF_A_HILL = _TRIED[::4]
_TOGETHER = 8  # parts of a law that a first look takes for one


@dataclass(frozen=True)
class BestThreshold:
    """The best threshold of residuals, and what it does.

    Attributes:
        threshold: c; infinite where clipping never helps.
        mu: share of the mean gradient that is left, P(|e| <= c).
        nu: E min(e^2, c^2).
        gain: 2P mu^2 / nu, how many times faster descent is at its best rate; infinite where the
            noise has no variance, 1 where clipping never helps.
    """

    threshold: float
    mu: float
    nu: float
    gain: float


def best_threshold(noise: Any, excess: float) -> BestThreshold:
    """The threshold of residuals at which descent is fastest, at its best rate.

    Args:
        noise: a law of `hidim.noise`, all of what no parameter explains.
        excess: risk above that of the noise, with the one half; positive.

    Raises:
        ValueError: no law, or an excess that is not positive.

    >>> best_threshold(laws.Gaussian(1.0), 0.5)
    BestThreshold(threshold=inf, mu=1.0, nu=2.0, gain=1.0)
    >>> round(best_threshold(laws.StudentT(2.2, 1.0), 0.05).gain, 3)
    5.98
    """
    law = laws.checked(noise)
    if law is None:
        raise ValueError("`noise` must be a law of hidim.noise, such as hidim.noise.Laplace(0.5).")
    return best_at(law.mixture, law.variance, checks.positive("excess", excess))


def best_at(law: Mixture, variance: float, excess: float) -> BestThreshold:
    """The same for a mixture whose variance is known in closed form."""
    twice = 2.0 * excess + variance
    c = best_of(law, 2.0 * excess)
    mu, nu, _ = (float(v[0]) for v in clip_numbers(law, *_one(2.0 * excess, c)))
    gain = twice * mu**2 / nu
    if gain <= 1.0 + _NO_GAIN:
        return BestThreshold(math.inf, 1.0, twice, 1.0)
    return BestThreshold(c, mu, nu, gain)


def best_of(law: Mixture, excess: float, rough: Mixture | None = None) -> float:
    """The c of largest mu^2 / nu at twice the excess; a very large one where none is best.

    `rough`, the law in fewer parts, says quicker between which thresholds it lies.
    """
    scale = math.sqrt(excess + float(np.min(law.variances)))
    tried = scale * (_TRIED if law.means.any() else _OF_A_HILL)

    def slope(log_c: float) -> float:
        """d log(mu^2 / nu) / d log c."""
        c = math.exp(log_c)
        mu, nu, kappa = (float(v[0]) for v in clip_numbers(law, *_one(excess, c)))
        edge = 2.0 * mu - kappa  # c times twice the density at both ends
        return edge / mu - 2.0 * c**2 * (1.0 - mu) / nu

    for looked in (law,) if rough is None else (rough, law):
        mu, nu, _ = clip_numbers(looked, np.full(len(tried), excess), tried)
        best = int(np.argmax(mu**2 / nu))
        low, high = np.log(tried[[max(best - 1, 0), min(best + 1, len(tried) - 1)]]).tolist()
        if slope(low) > 0.0 > slope(high):
            return math.exp(bracketed_root(slope, low, high))
    return float(tried[best])  # flat, to rounding: an end is as good


def in_fewer_parts(law: Mixture) -> Mixture | None:
    """A law of many centred parts with neighbours in width taken together; None for any other.

    >>> law = Mixture(np.full(80, 1 / 80), np.zeros(80), np.linspace(1.0, 2.0, 80))
    >>> len(in_fewer_parts(law).weights), in_fewer_parts(Gaussian(1.0).mixture)
    (10, None)
    """
    if law.means.any() or len(law.weights) < 8 * _TOGETHER:
        return None
    order, starts = np.argsort(law.variances), np.arange(0, len(law.weights), _TOGETHER)
    weights = np.add.reduceat(law.weights[order], starts)
    moments = np.add.reduceat((law.weights * law.variances)[order], starts)
    kept = weights > 0
    weights, moments = weights[kept], moments[kept]
    return Mixture(weights, np.zeros(len(weights)), moments / weights)


class BestClip:
    """What clipping at the best threshold does along a run, with the rate times mu / (nu / 2P).

    Then descent at the rate gamma is plain descent on the clock d tau = (2P mu^2 / nu) dt.

    Args:
        law: of the residual but for the signal.
        variance: of that law, in closed form and finite.
        unit: what nu is measured in, in place of 2P, where there is no variance.
    """

    def __init__(self, law: Mixture, variance: float, unit: float | None = None) -> None:
        self._law, self._variance, self._unit = law, variance, unit
        self._rough = in_fewer_parts(law)
        self._table = Tabulated(self._numbers)

    def __call__(self, excess: Array) -> tuple[Array, Array, Array, Array]:
        """mu, nu and kappa of one sample at twice the excess, and the factor of the rate."""
        return tuple(self._table(excess).T)

    def _numbers(self, excess: Array) -> Array:
        c = np.array([best_of(self._law, value, self._rough) for value in excess.tolist()])
        mu, nu, kappa = clip_numbers(self._law, excess, c)
        unit = excess + self._variance if self._unit is None else self._unit
        return np.stack([mu, nu, kappa, mu * unit / nu], axis=1)


@lru_cache(maxsize=16)
def best_clip(noise: Law | None, floor: float, unit: float | None = None) -> BestClip:
    """The best clipping for a law on top of a Gaussian floor, with what it has computed so far."""
    law = noise or Gaussian(0.0)
    return BestClip(law.mixture.wider(2.0 * floor), law.variance + 2.0 * floor, unit)


def _one(excess: float, c: float) -> tuple[Array, Array]:
    return np.array([excess]), np.array([c])


def clip_numbers(law: Mixture, excess: Array, c: Array) -> tuple[Array, Array, Array]:
    """mu, nu and kappa of one sample, each of the shape of `excess`, twice the excess risk.

    >>> law = Gaussian(1.0).mixture
    >>> [float(v[0]) for v in clip_numbers(law, np.array([1.0]), np.array([1e9]))]
    [1.0, 2.0, 2.0]
    """
    from scipy.special import erf, erfc  # on use: importing hidim imports no SciPy

    spread = excess[:, None] + law.variances  # of e around -mean, given the component
    sd = np.sqrt(np.maximum(spread, 1e-300))
    if not law.means.any():
        x = c[:, None] / sd
        inside, outside = erf(x / math.sqrt(2)), erfc(x / math.sqrt(2))
        density = 2.0 * np.exp(-0.5 * x**2) / (sd * math.sqrt(2 * math.pi))
        square = spread * _gamma_3_2(0.5 * x**2, inside)
    else:
        above, below = ((c[:, None] + law.means) / sd, (-c[:, None] + law.means) / sd)
        inside = 0.5 * (erf(above / math.sqrt(2)) - erf(below / math.sqrt(2)))
        outside = 0.5 * (erfc(above / math.sqrt(2)) + erfc(-below / math.sqrt(2)))
        up, down = (np.exp(-0.5 * x**2) / (sd * math.sqrt(2 * math.pi)) for x in (above, below))
        density = up + down
        square = (spread + law.means**2) * inside
        square += sd**3 * (below * down - above * up) + 2.0 * law.means * sd**2 * (up - down)
    mu = inside @ law.weights
    # Not 1 - mu, of which far out rounding alone is left, times c^2.
    nu = square @ law.weights + c**2 * (outside @ law.weights)
    return mu, nu, 2.0 * (mu - c * (density @ law.weights))


def _gamma_3_2(y: Array, error: Array) -> Array:
    """The regularised lower incomplete gamma function at 3/2; `error` is erf(sqrt(y)).

    E e^2 on |e| <= c over the variance. By a series where the difference would cancel.
    """
    found = np.asarray(error - (2.0 / math.sqrt(math.pi)) * np.sqrt(y) * np.exp(-y))
    near = y < 0.25
    if near.any():
        small = y[near]
        series = np.ones_like(small)
        for k in range(9, 0, -1):
            series = 1.0 + small / (1.5 + k) * series
        scale = 4.0 / (3.0 * math.sqrt(math.pi))
        found[near] = series * (small * np.sqrt(small) * np.exp(-small) * scale)
    return found
