"""How do the learning rates of an optimizer scale with the number of parameters?

An optimizer of the class is, up to constants, four exponents:

    gamma_2 = c_2 d^-kappa_1,  gamma_3(t) = c_3 d^-kappa_2 (1 + t)^-kappa_3,  batch = d^kappa_b

with gamma_1 = 1 and Delta(t) = delta / (offset + t). They fix its effective time,

    vartheta(t) = 1 + 2 gamma_2 t + (int_0^t sqrt(gamma_3))^2,

whose power of d at t = d^tau is the largest of 0, tau - kappa_1, (2 - kappa_3)_+ tau - kappa_2.
Plain momentum (constant Delta) only rescales gamma_2, so it has SGD's exponents.
Below the line 2 alpha = 1 momentum gains exactly when kappa_b > 1 - 2 alpha, where the batch
outgrows the trace and SGD's own noise fades: then kappa_3 = (1 - kappa_b) / (2 alpha) < 1.

Sources: arXiv 2505.16098, slides; the stability exponents follow from the kernel norm
N(t) = (1/B) sum_j gamma_3 lambda_j / (2 (gamma_2 lambda_j + Delta)), power by power of d.
Limits: order of magnitude in d; whether one given amplitude is stable is for
`hidim.stability` to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hidim.support.checks import non_negative, positive

# Exponents are compared with this slack: they are sums of a few numbers of order one.
_SLACK = 1e-12


@dataclass(frozen=True)
class Kappas:
    """The powers of d and t in an optimizer's rates.

    Attributes:
        kappa_1: gamma_2 ~ d^-kappa_1.
        kappa_2: gamma_3 ~ d^-kappa_2; infinity when there is no gamma_3.
        kappa_3: gamma_3 ~ t^-kappa_3.
        kappa_b: batch size ~ d^kappa_b.
    """

    kappa_1: float = 0.0
    kappa_2: float = math.inf
    kappa_3: float = 0.0
    kappa_b: float = 0.0

    @property
    def time_branches(self) -> tuple[tuple[float, float], ...]:
        """Pairs (q, r): log_d vartheta(d^tau) is the largest of q tau - r."""
        branches = [(0.0, 0.0), (1.0, self.kappa_1)]
        if math.isfinite(self.kappa_2):
            branches.append((max(0.0, 2.0 - self.kappa_3), self.kappa_2))
        return tuple(branches)

    def effective_time(self, tau: float) -> float:
        """log_d of vartheta at t = d^tau.

        >>> Kappas(0.0, 1.0, 0.0).effective_time(2.0)
        3.0
        """
        return max(q * tau - r for q, r in self.time_branches)

    def time_to(self, theta: float) -> float:
        """The smallest tau at which log_d vartheta reaches `theta`."""
        if theta <= 0:
            return 0.0
        return min((theta + r) / q for q, r in self.time_branches if q > 0)


def sgd_kappa_1(alpha: float, kappa_b: float = 0.0) -> float:
    """The smallest stable kappa_1: gamma_2 tr(K) / B and gamma_2 stay bounded.

    >>> round(sgd_kappa_1(0.4), 12), sgd_kappa_1(0.4, kappa_b=0.5), sgd_kappa_1(1.0)
    (0.2, 0.0, 0.0)
    """
    return max(0.0, max(0.0, 1 - 2 * alpha) - kappa_b)


def stability_line(
    alpha: float, kappa_3: float, *, kappa_1: float | None = None, kappa_b: float = 0.0
) -> float:
    """The smallest kappa_2 at which gamma_3 stays stable as d grows.

    For 2 alpha > 1, batch 1 and kappa_3 <= 1 / (2 alpha) it is 1 - 2 alpha kappa_3; beyond, 0,
    where gamma_3 alone would be too large at the first step.

    Args:
        alpha: exponent of the data; positive.
        kappa_3: decay of gamma_3 in time, at least 0.
        kappa_1: exponent of gamma_2; the smallest stable one by default.
        kappa_b: batch exponent, at least 0.

    >>> stability_line(1.0, 0.25), stability_line(1.0, 0.5), stability_line(1.0, 0.8)
    (0.5, 0.0, 0.0)
    """
    alpha, kappa_b = positive("alpha", alpha), non_negative("kappa_b", kappa_b)
    kappa_3 = non_negative("kappa_3", kappa_3)
    kappa_1 = sgd_kappa_1(alpha, kappa_b) if kappa_1 is None else kappa_1
    spread = max(0.0, 1 - 2 * alpha)  # tr(K) ~ d^spread
    # The kernel norm, at kappa_2 = 0, is a power of d that is piecewise linear in tau with
    # kinks where modes start (gamma_2 t ~ 1) and stop (gamma_2 t ~ d^(2 alpha)) to respond.
    at_start = spread - kappa_b
    at_first = (1 - kappa_3) * kappa_1 + spread - kappa_b
    at_last = 1 + kappa_1 - kappa_3 * (2 * alpha + kappa_1) - kappa_b
    return max(0.0, at_start, at_first, at_last)


def no_gain_line(alpha: float, kappa_3: float, *, kappa_1: float | None = None) -> float:
    """The kappa_2 above which momentum does not shorten the time to irreducible loss.

    It is 2 alpha (1 - kappa_3) when kappa_1 = 0.

    >>> no_gain_line(1.0, 0.25)
    1.5
    """
    alpha, kappa_3 = positive("alpha", alpha), non_negative("kappa_3", kappa_3)
    kappa_1 = sgd_kappa_1(alpha) if kappa_1 is None else kappa_1
    return (2 - kappa_3) * (2 * alpha + kappa_1) - 2 * alpha


def general_kappas(
    alpha: float,
    kappa_b: float,
    kappa_1: float | None,
    kappa_2: float,
    kappa_3: float,
) -> Kappas:
    """Exponents of one's own, refused where the rates would be unstable as d grows.

    Args:
        kappa_1: gamma_2 ~ d^-kappa_1; None for the smallest stable one.
        kappa_2: gamma_3 ~ d^-kappa_2; infinity for no gamma_3.
        kappa_3: gamma_3 ~ t^-kappa_3.

    Raises:
        ValueError: an exponent out of range, or below its line of stability.
    """
    least = sgd_kappa_1(alpha, kappa_b)
    first = least if kappa_1 is None else non_negative("kappa_1", kappa_1)
    second = math.inf if kappa_2 == math.inf else non_negative("kappa_2", kappa_2)
    third = non_negative("kappa_3", kappa_3)
    if first < least - _SLACK:
        raise ValueError(
            f"`kappa_1` must be at least {least:g} at alpha={alpha:g}, kappa_b={kappa_b:g}, got "
            f"{kappa_1!r}: gamma_2 would exceed the largest stable rate as d grows."
        )
    line = stability_line(alpha, third, kappa_1=first, kappa_b=kappa_b)
    if second < line - _SLACK:
        raise ValueError(
            f"`kappa_2` must be at least {line:g} at alpha={alpha:g}, kappa_3={third:g}, got "
            f"{kappa_2!r}: gamma_3 would exceed the largest stable rate as d grows."
        )
    return Kappas(first, second, third, kappa_b)
