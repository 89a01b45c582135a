"""Which terms make up the risk, and how does each scale with effective time and size?

In 2P units the risk is a sum of

    F_0  ~ d^(-2a + max(0, 1-2b))        the floor of d random features
    F_pp ~ vartheta^(-rho/(2a))          target modes not yet learned, rho = 2a + 2b - 1
    F_ac ~ d^-1 vartheta^(-1 + 1/(2a))   target energy that W spreads over all modes
    K_pp ~ (gamma/B) vartheta^(-2 + 1/(2a))   noise that early, large gradients left behind

F_ac exists for 2b > 1 and 2a > 1, K_pp for 2b > 1 and a > 1/4. With x = 2 gamma_2 t for SGD
the constants of A are exact as d grows, for batch averages:

    F_pp = Gamma(p) x^-p / (2a), p = rho/(2a)
    F_ac = zeta(2b)/d Gamma(1-1/(2a)) x^(-1+1/(2a)) / (2a)   (zeta summed to j = x^(1/(2a)))
    K_pp = Gamma(2-1/(2a)) x^(-2+1/(2a)) / (2a)          (times the noise's amplitude)

Sources: arXiv 2405.15074 and 2505.16098; the floor's constant from the self-consistent
equation sum_j 1/(1 + u j^(2a)) = d, 2 P_inf = u sum_j j^(-2b) / (1 + u j^(2a)).
Limits: the floor approaches its constant only like d^-|2b-1|, so `floor_risk` sums it at d.
Related laws: without a random matrix (W the first d coordinates) F_ac drops and the floor is the
truncated tail d^-rho; in ridge regression there is no sampling noise left behind, so F_pp takes
the place of K_pp.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from hidim.algorithms.kappas import Kappas
from hidim.scaling.phases import ON_LINE, phase_of

VARIANTS = ("random-features", "no-random-matrix", "ridge-regression")

TERMS = ("F_0", "F_pp", "F_ac", "K_pp")

_LEADING = {
    "trivial": (),
    "Ia": ("F_0", "F_pp"),
    "Ib": ("F_0", "F_pp"),
    "Ic": ("F_0", "F_pp"),
    "II": ("F_0", "F_pp", "F_ac"),
    "III": ("F_0", "F_ac", "K_pp"),
    "IVa": ("F_0", "F_pp", "K_pp"),
    "IVb": ("F_0", "F_pp", "K_pp"),
}


@dataclass(frozen=True)
class Term:
    """One power law: constant x d^d_exponent x vartheta^-power, in units of 2P.

    Attributes:
        name: "F_0", "F_pp", "F_ac" or "K_pp".
        d_exponent: power of the number of parameters.
        power: rate of decay in effective time, at least 0.
        leading: whether the phase's law keeps it; the others fall faster throughout.
    """

    name: str
    d_exponent: float
    power: float
    leading: bool

    def level(self, theta: float) -> float:
        """log_d of the term at vartheta = d^theta.

        >>> Term("F_ac", -1.0, 0.5, True).level(2.0)
        -2.0
        """
        return self.d_exponent - self.power * theta


def terms_of(
    alpha: float, beta: float, kappas: Kappas, variant: str = "random-features"
) -> dict[str, Term]:
    """Every term present at (alpha, beta) for an optimizer with these exponents, by name.

    >>> sorted(terms_of(1.0, 0.7, Kappas()))
    ['F_0', 'F_ac', 'F_pp', 'K_pp']
    """
    rho = 2 * alpha + 2 * beta - 1
    leading = set(_LEADING[phase_of(alpha, beta)])
    floor = -2 * alpha + max(0.0, 1 - 2 * beta)
    if variant == "no-random-matrix":
        floor = -rho
        leading.discard("F_ac")
    if variant == "ridge-regression" and "K_pp" in leading:
        leading = (leading - {"K_pp"}) | {"F_pp"}
    powers = {"F_0": (floor, 0.0), "F_pp": (0.0, rho / (2 * alpha))}
    if 2 * beta > 1 + ON_LINE and 2 * alpha > 1 + ON_LINE and variant != "no-random-matrix":
        powers["F_ac"] = (-1.0, 1 - 1 / (2 * alpha))
    if 2 * beta > 1 + ON_LINE and alpha > 0.25 + ON_LINE and variant != "ridge-regression":
        powers["K_pp"] = (-kappas.kappa_1 - kappas.kappa_b, 2 - 1 / (2 * alpha))
    return {name: Term(name, *pair, name in leading) for name, pair in powers.items()}


def floor_constant(alpha: float, beta: float, ratio: float = math.inf) -> float:
    """The limit of 2 P_inf d^(2a - max(0, 1-2b)) as d grows at v = ratio x d.

    Args:
        alpha: exponent of the data.
        beta: exponent of the target, not 1/2, where the floor has a logarithm.
        ratio: v / d, above 1; infinity needs 2 alpha > 1.

    >>> round(floor_constant(1.0, 0.7), 4)     # zeta(1.4) (pi/2)^2
    7.6626
    """
    scale = _floor_scale(alpha, ratio)
    if 2 * beta > 1:
        return scale * zeta(2 * beta)
    if math.isinf(ratio):
        p = (1 - 2 * beta) / (2 * alpha)
        return scale ** (1 - p) * (math.pi / (2 * alpha)) / math.sin(math.pi * p)
    return scale * _unit_sum(lambda y: y ** (-2 * beta), scale, alpha, ratio)


def floor_risk(alpha: float, beta: float, d: np.ndarray, ratio: float = math.inf) -> np.ndarray:
    """2 P_inf at finite d, where the approach to its power law is slow: 2 P_inf = u S(u) with
    S(u) = sum_{j<=v} j^(-2 beta) / (1 + u j^(2 alpha)), v = ratio x d.

    The first terms are summed, the others integrated between half-integers, for u too. Right to
    2e-3 from d = 50 on.

    >>> float(np.round(floor_risk(1.0, 0.7, np.array([1e4]))[0] * 1e8, 3))
    7.464
    """
    d = np.asarray(d, dtype=np.float64)
    w = _floor_scale(alpha, ratio)
    # Half a mode lies below j = 1/2, and the share of half a mode above v.
    last = 0.0 if math.isinf(ratio) else 1 / (1 + w * ratio ** (2 * alpha))
    # u j^(2 alpha) = (j / knee)^(2 alpha): u alone may leave the range of numbers.
    knee = (w ** (-1 / (2 * alpha)) * (d + 0.5 - last / 2))[..., None]  # (..., nodes)
    head = np.arange(1, 33, dtype=np.float64)
    top = 1e3 * knee if math.isinf(ratio) else ratio * d[..., None] + 0.5
    low, high = math.log(32.5), np.log(np.maximum(top, 32.5))
    # Panels of Gauss-Legendre in log j resolve the knee.
    nodes, weights = np.polynomial.legendre.leggauss(12)
    nodes = ((np.arange(16)[:, None] + (nodes + 1) / 2) / 16).ravel()
    y = np.exp(low + (high - low) * nodes)
    weights = np.tile(weights / 32, 16) * (high - low) * y

    def term(j: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(j ** (-2 * beta) / (1 + (knee / j) ** (2 * alpha)))

    # j^-2b u / (1 + u j^2a) = j^-2a-2b / (1 + (knee/j)^2a): no u left.
    total = np.sum(head ** (-2 * alpha) * term(head), axis=-1)
    total += np.sum(weights * y ** (-2 * alpha) * term(y), axis=-1)
    if math.isinf(ratio):  # beyond: 1 / (1 + x) = 1 - x + ..., x = (knee / j)^(2 alpha)
        rho, edge = 2 * alpha + 2 * beta - 1, np.exp(high[..., 0])
        x = (knee[..., 0] / edge) ** (2 * alpha)
        total += edge**-rho * (1 / rho - x / (rho + 2 * alpha))
    return np.asarray(total)


@functools.lru_cache(maxsize=64)
def _floor_scale(alpha: float, ratio: float) -> float:
    """w in u_0 = w d^(-2 alpha), from int_0^ratio dy / (1 + w y^(2 alpha)) = 1."""
    if math.isinf(ratio):
        x = math.pi / (2 * alpha)
        return (x / math.sin(x)) ** (2 * alpha)
    from scipy.optimize import brentq

    def excess(log_w: float) -> float:
        return _unit_sum(lambda y: 1.0, math.exp(log_w), alpha, ratio) - 1

    return math.exp(brentq(excess, -60.0, 60.0, xtol=1e-13))


def _unit_sum(weight: object, w: float, alpha: float, ratio: float) -> float:
    """Integral over (0, ratio) of weight(y) / (1 + w y^(2 alpha))."""
    from scipy.integrate import quad

    # y = exp(s) resolves both the integrable singularity at 0 and the knee wherever it lies.
    def integrand(s: float) -> float:
        y = math.exp(s)
        return weight(y) * y / (1 + w * y ** (2 * alpha))  # type: ignore[operator]

    return float(quad(integrand, math.log(ratio) - 90, math.log(ratio), limit=400)[0])


def zeta(s: float) -> float:
    """Riemann's zeta at s > 1.

    >>> round(zeta(2.0), 12) == round(math.pi**2 / 6, 12)
    True
    """
    return _zeta_without_pole(s) + 1 / (s - 1)


def partial_zeta(s: float, n: np.ndarray) -> np.ndarray:
    """sum_{j <= n} j^-s for real n >= 1, to order n^-s; smooth through s = 1, where it is log n.

    >>> float(partial_zeta(1.0, np.array(1e6)).round(4))     # log(1e6) + 0.5772
    14.3927
    """
    log_n = np.log(np.asarray(n, dtype=np.float64))
    grown = log_n if s == 1 else np.expm1((1 - s) * log_n) / (1 - s)
    return np.asarray(_zeta_without_pole(s) + grown)


def _zeta_without_pole(s: float) -> float:
    """zeta(s) - 1/(s - 1)."""
    head = sum(j**-s for j in range(1, 20))
    n = 20.0  # Euler-Maclaurin from 20 on: the first dropped term is below 1e-16
    pole = -math.log(n) if s == 1 else math.expm1((1 - s) * math.log(n)) / (s - 1)
    tail = pole + 0.5 * n**-s + s * n ** (-s - 1) / 12
    tail -= s * (s + 1) * (s + 2) * n ** (-s - 3) / 720
    tail += s * (s + 1) * (s + 2) * (s + 3) * (s + 4) * n ** (-s - 5) / 30240
    return head + tail
