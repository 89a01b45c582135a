"""How large is each term of the law: constants, rates and the effective time with its factor?

For SGD the constants are exact as d grows (terms.py), with every term amplified by the noise,
F / (1 - N) and K |F|_1 / (1 - N)^2, where N is the kernel's norm and |F|_1 the area under F.
For DANA the forcing is known too: while momentum drives a mode of eigenvalue lambda, its error
is a Bessel function (gamma_2 no longer matters once momentum is ahead),

    r(t)/r(0) = Gamma(nu+1) (2/z)^nu J_nu(z),  z^2 = lambda (int_0^t sqrt(gamma_3))^2,
    nu = (delta + kappa_3 - 1) / (2 - kappa_3),

so a term that falls like vartheta^-p sees the time c_p (int sqrt(gamma_3))^2 with
c_p^-p = 4^p Gamma(nu+1)^2 Gamma(2nu+1-2p) / (Gamma(nu+1-p)^2 Gamma(2nu+1-p)), the Mellin
transform of J_nu^2. It exists for delta + kappa_3/2 > (2 - kappa_3) p only: with a smaller delta
the modes ring and the exponent is lost.

Sources: derived here from the continuous-time limit; rates by the rule in algorithms/records.py.
Limits: the noise that DANA's gamma_3 adds is kept to order of magnitude only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hidim.algorithms.kappas import Kappas
from hidim.algorithms.named import Named, Setting
from hidim.scaling.terms import Term, zeta

_LARGE = 1e30  # parameters: beyond every crossing of two powers of d


@dataclass(frozen=True)
class Rates:
    """The amplitudes beside the exponents of `Kappas`.

    Attributes:
        c_2: gamma_2 = c_2 d^-kappa_1.
        c_3: gamma_3 = c_3 d^-kappa_2 (1 + t)^-kappa_3; 0 without momentum.
        delta: Delta(t) = delta / (delta + t).
        c_b: batch = c_b d^kappa_b.
    """

    c_2: float
    c_3: float
    delta: float
    c_b: float = 1.0


def default_rates(
    record: Named, alpha: float, beta: float, kappas: Kappas, *, c_b: float, ratio: float
) -> Rates:
    """The limit for large d of the rates that `hidim.recommend` starts from.

    The record's own rule at a size where every minimum in it has been decided, times the powers
    of d that it falls with.
    """
    d = _LARGE
    spread = max(0.0, 1 - 2 * alpha)  # tr K ~ d^spread
    setting = Setting(
        alpha=alpha,
        beta=beta,
        d=d,
        batch_size=c_b * d**kappas.kappa_b,
        trace=trace_constant(alpha, ratio) * d**spread,
        curvature=1.0,
        eigenvalues=np.ones(1),
        counts=np.ones(1),
        given={f"kappa_{i}": getattr(kappas, f"kappa_{i}") for i in (1, 2, 3)},
        batch_exponent=kappas.kappa_b,
    )
    assert record.amplitudes is not None  # `Named` sees to it
    found = record.amplitudes(setting)
    longer = found.gamma_3 / found.delta if record.forgetting is not None else 0.0
    c_2 = (found.gamma_2 + longer) * d**kappas.kappa_1
    if math.isinf(kappas.kappa_2):
        return Rates(c_2, 0.0, found.delta, c_b)
    return Rates(c_2, found.gamma_3 * d**kappas.kappa_2, found.delta, c_b)


def trace_constant(alpha: float, ratio: float) -> float:
    """The limit of tr(K) d^-max(0, 1 - 2 alpha): zeta(2 alpha) above the line.

    >>> round(trace_constant(1.0, math.inf), 4)
    1.6449
    """
    if 2 * alpha > 1:
        return zeta(2 * alpha)
    if 2 * alpha == 1:
        return 1.0  # a logarithm of v; its coefficient
    return float(ratio ** (1 - 2 * alpha) / (1 - 2 * alpha))


def noise_norm(alpha: float, rates: Rates, kappas: Kappas, ratio: float) -> float:
    """The kernel norm of gamma_2 as d grows: below 1 exactly for stable rates."""
    c_2, batch = rates.c_2, rates.c_b
    if 2 * alpha <= 1 or kappas.kappa_b > 0:
        # gamma_2 lambda -> 0 mode by mode, or the batch removes the noise.
        vanishes = kappas.kappa_b + kappas.kappa_1 > max(0.0, 1 - 2 * alpha) + 1e-12
        return 0.0 if vanishes else c_2 * trace_constant(alpha, ratio) / (2 * batch)
    values = np.arange(1, 1000, dtype=np.float64) ** (-2 * alpha)
    curvature = (batch + 1) / batch  # of Gaussian data, as all laws here
    if c_2 * curvature >= 2:
        return math.inf  # the top mode, of eigenvalue 1, grows by itself
    head = np.sum(c_2 * values / (batch * (2 - c_2 * values * curvature)))
    tail = c_2 * (zeta(2 * alpha) - values.sum()) / (2 * batch)
    return float(head + tail)


def term_constants(
    alpha: float, terms: dict[str, Term], norm: float, rates: Rates
) -> dict[str, float]:
    """Log of the factor in front of each term's powers, noise included, in units of 2P.

    The floor's own size comes from `floor_risk`. Logs, since Gamma(rho / (2 alpha)) leaves the
    range of numbers at small alpha.
    """
    found = {}
    gain = -math.log1p(-norm)
    for name, term in terms.items():
        shape = math.lgamma(term.power) - math.log(2 * alpha) if term.power > 0 else 0.0
        found[name] = gain + shape
        if name == "K_pp":
            # |F|_1 = sum_j rho_j / (2 gamma_2), and sum_j rho_j -> 2 alpha zeta(2 beta); the law
            # brings zeta, summed over the modes that have been learned.
            found[name] += gain + math.log(max(1.0, 2 * alpha) / 2 * rates.c_2 / rates.c_b)
    return found


def momentum_factor(power: float, delta: float, kappa_3: float) -> float:
    """The factor c_p by which a term of this power sees momentum's effective time.

    Raises:
        ValueError: delta is too small for the term to fall like vartheta^-power.

    >>> round(momentum_factor(1.2, 8.0, 0.5), 3), round(momentum_factor(1.2, 8.0, 0.0), 3)
    (0.091, 0.124)
    """
    if kappa_3 >= 2:
        return 0.0  # momentum stops pushing: int sqrt(gamma_3) stays bounded
    nu = (delta + kappa_3 - 1) / (2 - kappa_3)
    if power == 0:
        return 1 / (2 * (nu + 1))  # the limit: each error falls like 1 - z^2 / (2 (nu + 1))
    if 2 * nu + 1 <= 2 * power:
        least = (2 - kappa_3) * power - kappa_3 / 2
        raise ValueError(
            f"`delta` must exceed {least:g} for momentum to reach the exponent {power:g} of a "
            f"term at kappa_3={kappa_3:g}, got {delta:g}: with less friction the modes ring."
        )
    lg = math.lgamma
    log_m = 2 * lg(nu + 1) + lg(2 * nu + 1 - 2 * power) - lg(2 * nu + 1 - power)
    log_m += power * math.log(4) - 2 * lg(nu + 1 - power)
    return math.exp(-log_m / power)


def momentum_time(steps: np.ndarray, kappa_3: float) -> np.ndarray:
    """(int_0^t (1 + s)^(-kappa_3/2) ds)^2."""
    half = 1 - kappa_3 / 2
    log_t = np.log1p(steps)
    grown = log_t if abs(half) < 1e-12 else np.expm1(half * log_t) / half
    return np.asarray(grown**2)
