"""How much privacy do noisy gradients leave? Two accountants, and which is which.

Poisson sampling at the rate q, T steps, noise multiplier sigma = std x batch / clipping norm:
Renyi divergences at the integer orders 2 to 63,

    eps_a = T log sum_k C(a, k) (1 - q)^(a - k) q^k e^((k^2 - k) / (2 sigma^2)) / (a - 1),
    eps = min_a eps_a + log(1 - 1/a) - log(delta a) / (a - 1).

One pass in which every sample is used once and every iterate is released: a Gaussian mechanism,
mu = 2 C / (B std) where a sample is replaced, C / (B std) where one is added or removed, and

    delta(eps) = Phi(-eps / mu + mu / 2) - e^eps Phi(-eps / mu - mu / 2).

Source: Mironov et al. 2019 and Dong et al. 2019. Both want a bound C on every sample's gradient,
as `hidim.clipped(..., kind="norm")` gives; without one there is no such guarantee.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, log_ndtr, logsumexp

from hidim.support import checks
from hidim.support.roots import bracketed_root

ORDERS = np.arange(2.0, 64.0)


def rdp_epsilon(sampling_rate: float, noise_multiplier: float, steps: float, delta: float) -> float:
    """eps of (eps, delta) privacy under Poisson sampling, by Renyi divergences.

    Args:
        sampling_rate: probability that a sample is in a batch, 0 to 1.
        noise_multiplier: standard deviation of the noise on the sum of the clipped gradients, over
            the clipping norm.
        steps: how many batches.
        delta: between 0 and 1.

    Raises:
        ValueError: a number out of range.

    >>> round(rdp_epsilon(0.01, 1.0, 1000, 1e-5), 6)
    2.107753
    """
    q = checks.non_negative("sampling_rate", sampling_rate)
    if q > 1:
        raise ValueError(f"`sampling_rate` is a probability, at most 1, got {q:g}.")
    sigma, delta = checks.positive("noise_multiplier", noise_multiplier), _delta(delta)
    steps = checks.whole("steps", steps, minimum=0)
    if q == 0 or steps == 0:
        return 0.0
    found = []
    for order in ORDERS.tolist():
        k = np.arange(order + 1.0)
        choose = gammaln(order + 1.0) - gammaln(k + 1.0) - gammaln(order - k + 1.0)
        left = (order - k) * math.log1p(-q) if q < 1 else np.where(k == order, 0.0, -math.inf)
        terms = choose + left + k * math.log(q) + k * (k - 1.0) / (2.0 * sigma**2)
        renyi = steps * float(logsumexp(terms)) / (order - 1.0)
        found.append(renyi + math.log1p(-1.0 / order) - math.log(delta * order) / (order - 1.0))
    return max(0.0, min(found))


def gdp_epsilon(mu: float, delta: float) -> float:
    """eps of (eps, delta) privacy of a Gaussian mechanism, exact.

    Args:
        mu: sensitivity over the standard deviation of the noise.
        delta: between 0 and 1.

    Raises:
        ValueError: a number out of range.

    >>> round(gdp_epsilon(1.0, 1e-5), 5)
    4.37718
    """
    mu, delta = checks.positive("mu", mu), _delta(delta)

    def log_delta(eps: float) -> float:
        first, second = log_ndtr(-eps / mu + mu / 2.0), eps + log_ndtr(-eps / mu - mu / 2.0)
        return float(first + np.log(-np.expm1(min(second - first, -1e-300))))

    def above(eps: float) -> float:
        return log_delta(eps) - math.log(delta)

    if above(0.0) <= 0.0:
        return 0.0
    high = 1.0
    while above(high) > 0.0:
        high *= 2.0
    return bracketed_root(above, 0.0, high)


def _delta(delta: float) -> float:
    found = checks.positive("delta", delta)
    if found >= 1:
        raise ValueError(f"`delta` must lie between 0 and 1, got {found:g}.")
    return found
