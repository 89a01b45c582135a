"""Where do the eigenvalues of a random projection of a power-law covariance lie?

K = W^T D^2 W with D^2 = diag(j^(-2 alpha)), W of shape (v, d) with N(0, 1/d) entries. Its
resolvent has a deterministic equivalent, diag(1 / (j^(-2 alpha) m(z) - z)), where

    m(z) = 1 / (1 + (1/d) sum_{j<=v} j^(-2 alpha) / (j^(-2 alpha) m(z) - z)).

Everything is explicit in u = -z/m, with S_p(u) = sum_{j<=v} j^-p / (1 + u j^(2 alpha)):

    m = 1 - S_0(u)/d,   z = -u m,   tr (K - z)^-1 = d/u,
    target-weighted resolvent = S_{2 beta}(u)/m,   risk floor = u_0 S_{2 beta}(u_0)/2,
    S_0(u_0) = d.

z in the upper half plane corresponds to u in {Im u < 0, sum_j 1/|1 + u j^(2 alpha)|^2 < d}.
Along a ray -u = r e^(i phi) that sum falls in phi, so the border, where z is a real point of
the spectrum, is a graph phi(r): one bracketed root each, no continuation.

Source: arXiv 2505.16098 (resolvent); derivation in docs/theory/equivalent.md. Cost is independent
of d and v (see power_sums). Limits: v >= d, and 2 alpha > 1 when v is infinite.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from hidim.problems.equivalent.power_sums import PointSums, PoleSums, power_sum
from hidim.support.roots import bracketed_root

_TINY = 1e-30  # imaginary step of the complex-step derivative
_LOWEST = -630.0  # log of the smallest r looked at: _TINY times it is a float still


class Resolvent:
    """The deterministic equivalent at fixed (alpha, d, v); targets (beta) come in by method.

    Attributes:
        u_0: u at z = 0, where S_0(u_0) = d (0 when v = d).
        log_r_min: log of u at the lowest edge of the spectrum (-inf when v = d).
        log_r_max: log of -u at the highest edge.
        narrow: whether the whole spectrum sits close around trace/d (v so large at
            2 alpha < 1 that the tail of K is a multiple of the identity).
        center: trace/d when narrow, else 1; `log_z` and `log_edges` are relative to it.

    >>> resolvent = Resolvent(1.0, 1000, math.inf)
    >>> lowest, highest = resolvent.edges
    >>> bool(0 < lowest < 1e-6 and 1 < highest < 1.2)
    True
    """

    def __init__(self, alpha: float, d: float, v: float) -> None:
        self.alpha, self.d, self.v = float(alpha), float(d), float(v)
        self.exponent = 2.0 * self.alpha
        self.sums = PoleSums(self.alpha, self.v, largest=self.d)
        # Near the bottom of a nearly square problem 1 - S_0/d cancels; v - S_0 does not.
        self.nearly_square = self.v <= 2 * self.d
        self.narrow, self.center = False, 1.0
        if self.v > 2 * self.d and self.exponent < 1:
            middle = power_sum(self.exponent, self.v) / self.d
            spread = math.sqrt(power_sum(2 * self.exponent, self.v) / self.d)
            if middle > 30 * max(1.0, spread):
                self.narrow, self.center = True, middle
        self.log_r_max = bracketed_root(self._log_crowd(-1.0), 0.0, 80.0, xtol=1e-16)
        # Below this the spectrum has ended (and the tail series too).
        if self.v == math.inf:
            lowest = -self.exponent * math.log(4 * self.d)
        else:
            missing = math.log(max(self.v - self.d, 1.0) / 4)
            lowest = max(_LOWEST, missing - (self.exponent + 1) * math.log(self.v))
        if self.v == self.d:
            self.u_0, self.log_r_min = 0.0, -math.inf
        else:
            self.log_r_min = bracketed_root(self._log_crowd(1.0), lowest, 80.0)
            self.u_0 = math.exp(bracketed_root(self._below_zero, lowest, 80.0))

    def _log_crowd(self, sign: float) -> Callable[[float], float]:
        """log of the sum over d at u = sign e^y: in logarithms it is nearly straight."""
        return lambda y: float(_log1p(self.crowding(sign * math.exp(y))))

    def _below_zero(self, y: float) -> float:
        """log of what falls through 1 where z = -u m passes zero."""
        u = complex(math.exp(y))
        if not self.nearly_square:
            return math.log(float(self.sums(u, [0.0])[0].real) / self.d)
        return math.log((self.v - self.d) / float((u * self.sums(u, [-self.exponent])[0]).real))

    def crowding(self, u: float | complex | np.ndarray) -> np.ndarray:
        """(1/d) sum_j 1/|1 + u j^(2 alpha)|^2 - 1: negative exactly where u belongs to some z.

        On the real axis it is dz/du, so that a gap of the spectrum has it negative.
        """
        u = np.asarray(u, dtype=np.complex128)
        u = u - np.where(u.imag == 0, 1j * _TINY * np.abs(u), 0)
        if self.narrow:  # u S_0 = trace - S_{2 alpha}, a constant less what varies
            return -self.sums(u, [self.exponent])[0].imag / (self.d * u.imag) - 1.0
        if not self.nearly_square:
            return (u * self.sums(u, [0.0])[0]).imag / (self.d * u.imag) - 1.0
        sums = self.sums(u, [0.0, -self.exponent])
        w = u * sums[1]
        other = ((self.v - self.d) - w.real - w.imag * (u.real / u.imag)) / self.d
        direct = (u * sums[0]).imag / (self.d * u.imag) - 1.0
        return np.where(np.abs(sums[0]) < 0.5 * self.d, direct, other)

    def m(self, sums: PointSums) -> tuple[np.ndarray, np.ndarray]:
        """The pair (S_0(u)/d, m) at the points of `sums`, each without cancellation."""
        if not self.nearly_square:
            ratio = sums([0.0])[0] / self.d
            return ratio, 1.0 - ratio
        both = sums([0.0, -self.exponent])
        ratio = both[0] / self.d
        other = (sums.u * both[1] - (self.v - self.d)) / self.d
        return ratio, np.where(np.abs(ratio) < 0.5, 1.0 - ratio, other)

    def z(self, u: np.ndarray) -> np.ndarray:
        """z(u) = -u m(u)."""
        return -u * self.m(self.sums.at(u))[1]

    def logs(self, sums: PointSums, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """S_0/d, log m and log(z/center) where u = -exp(w), the last two without cancellation."""
        if self.narrow:
            u = sums.u
            offset = -u - sums([self.exponent])[0] / self.d
            log_z = np.log1p(offset / self.center)
            m = -(self.center + offset) / u
            return 1.0 - m, np.log(m), log_z
        ratio, m = self.m(sums)
        small = np.abs(ratio) < 0.5
        log_m = np.where(small, np.log1p(-np.where(small, ratio, 0)), np.log(m))
        return ratio, log_m, w + log_m

    @functools.cached_property
    def edges(self) -> tuple[float, float]:
        """Lowest and highest point of the spectrum (the lowest is 0 when v = d)."""
        low, high = self.log_edges
        return self.center * math.exp(low), self.center * math.exp(high)

    @functools.cached_property
    def log_edges(self) -> tuple[float, float]:
        """log(lambda/center) at the edges (-inf for the lowest when v = d)."""
        w = np.array([self.log_r_max, max(self.log_r_min, _LOWEST) + 1j * math.pi])
        u = np.array([-1.0, 1.0]) * np.exp(w.real) - 0j
        high = float(self.logs(self.sums.at(u[:1]), w[:1])[2][0].real)
        if self.v == self.d:
            return -math.inf, high
        return float(self.logs(self.sums.at(u[1:]), w[1:])[2][0].real), high

    def border(self, log_r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Angles phi and eigenvalues of the real points of the spectrum at given log r.

        Where -r lies in a gap between bands, phi = 0 and the point is in that gap.

        Args:
            log_r: (n,) between log_r_min and log_r_max.

        Returns:
            phi (n,) in [0, pi] and log(lambda/center) (n,).
        """
        log_r = np.atleast_1d(np.asarray(log_r, dtype=np.float64))
        phi = np.zeros_like(log_r)
        inside = np.flatnonzero(self.crowding(-np.exp(log_r)) >= 0)
        y = log_r[inside]

        def crowd(log_phi: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return _log1p(self.crowding(-np.exp(y[rows] + 1j * np.exp(log_phi))))

        # Where many j share the ray, Im S_0 = pi J/(2 alpha) per unit of phi, with J = r^(-1/2a).
        usual = math.log(math.pi / (self.exponent * self.d)) - y / self.exponent
        guess = np.clip(usual, math.log(1e-13), 0.4)
        phi[inside] = np.exp(_falling_roots(crowd, math.log(1e-14), math.log(math.pi), guess))
        w = log_r + 1j * phi
        return phi, self.logs(self.sums.at(-np.exp(w)), w)[2].real

    def solve(self, z: np.ndarray) -> np.ndarray:
        """u at points z of the closed upper half plane (limits from above on the real axis).

        Newton from far above the axis, where u = trace/d - z, then down by quarters of Im z.

        Args:
            z: complex with Im z >= 0, any shape.

        Returns:
            u of the same shape, Im u <= 0.
        """
        z = np.asarray(z, dtype=np.complex128)
        target = z.ravel()
        height = 4.0 * (np.abs(target) + self.edges[1] + math.exp(self.log_r_max))
        height = np.maximum(height, target.imag)
        u = -(target.real + 1j * height)
        least = np.maximum(1e-10 * np.abs(target), 1e-10 * self.edges[0])
        while True:
            u = self._newton(u, target.real + 1j * height)
            if np.all(height == target.imag):
                return u.reshape(z.shape)
            close = height <= np.maximum(2 * target.imag, least)
            height = np.where(close, target.imag, height / 4)

    def _newton(self, u: np.ndarray, z: np.ndarray) -> np.ndarray:
        for _ in range(40):
            value = self.z(u)
            slope = (self.z(u * (1 + 1e-7)) - value) / (1e-7 * u)
            step = (z - value) / slope
            # Im u stays negative: at most nine tenths of the way to the axis.
            rise = np.maximum(step.imag, 0.0)
            step = step * np.minimum(1.0, 0.9 * -u.imag / np.maximum(rise, 1e-300))
            u = u + step
            if np.all(np.abs(step) <= 1e-13 * np.abs(u)):
                break
        return u

    def m_of(self, z: np.ndarray) -> np.ndarray:
        """m(z) anywhere in the complex plane; on the real axis the limit from above."""
        z = np.asarray(z, dtype=np.complex128)
        lower = z.imag < 0
        upper = np.where(lower, z.conj(), z)
        m = -upper / self.solve(upper)
        return np.where(lower, m.conj(), m)

    def density(self, x: np.ndarray) -> np.ndarray:
        """Fraction of the eigenvalues per unit of eigenvalue at the real points x."""
        x = np.asarray(x, dtype=np.float64)
        low, high = self.edges
        inside = (x > low) & (x < high)
        density = np.zeros(x.shape)
        values = (1.0 / self.solve(x[inside] + 0j)).imag / math.pi
        density[inside] = np.maximum(values, 0.0)
        return density

    def floor(self, beta: float) -> float:
        """Risk floor P_inf = u_0 S_{2 beta}(u_0)/2, with the 1/2 (0 when v = d)."""
        if self.u_0 == 0:
            return 0.0
        return 0.5 * self.u_0 * float(self.sums(complex(self.u_0), [2 * beta])[0].real)


def _log1p(x: np.ndarray) -> np.ndarray:
    """log(1 + x), for an x that is -1 to rounding too."""
    return np.log1p(np.maximum(x, -1 + 1e-15))


def _falling_roots(
    f: Callable[[np.ndarray, np.ndarray], np.ndarray], low: float, high: float, guess: np.ndarray
) -> np.ndarray:
    """Roots of many falling functions at once, (n,), by Chandrupatla's method.

    Args:
        f: values at x (k,) of the functions with the indices (k,).
        low, high: ends between which every function falls through zero; `f` is not asked there.
        guess: (n,) where a root is likely.
    """
    rows = np.arange(guess.size)
    a, b = guess.copy(), guess.copy()
    f_a = f(a, rows)
    f_b = f_a.copy()
    step = np.where(f_a > 0, 0.5, -0.5)
    while rows.size:  # outwards, in growing steps, until the sign changes
        b[rows] = np.clip(b[rows] + step[rows], low, high)
        f_b[rows] = f(b[rows], rows)
        inside = (b[rows] > low) & (b[rows] < high)
        rows = rows[((f_b[rows] > 0) == (f_a[rows] > 0)) & inside]
        a[rows], f_a[rows] = b[rows], f_b[rows]
        step[rows] *= 3
    root = b.copy()  # an end, where the function stays on its side to rounding
    rows = np.flatnonzero((f_a > 0) != (f_b > 0))
    a, b, f_a, f_b = a[rows], b[rows], f_a[rows], f_b[rows]
    fraction = f_a / (f_a - f_b)
    while rows.size:
        x = a + fraction * (b - a)
        f_x = f(x, rows)
        same = (f_x > 0) == (f_a > 0)
        c, f_c = np.where(same, a, b), np.where(same, f_a, f_b)
        b, f_b = np.where(same, b, a), np.where(same, f_b, f_a)
        a, f_a = x, f_x
        best = np.where(np.abs(f_a) < np.abs(f_b), a, b)
        narrowest = 1e-15 * (1 + np.abs(best))
        width = np.abs(b - a)
        root[rows] = best
        left = (f_a != 0) & (width > 2 * narrowest)
        rows, a, b, c = rows[left], a[left], b[left], c[left]
        f_a, f_b, f_c = f_a[left], f_b[left], f_c[left]
        xi, rise = (a - b) / (c - b), (f_a - f_b) / (f_c - f_b)
        quadratic = (rise**2 < xi) & ((1 - rise) ** 2 < 1 - xi)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = f_a / (f_b - f_a) * f_c / (f_b - f_c)
            inverse += (c - a) / (b - a) * f_a / (f_c - f_a) * f_b / (f_c - f_b)
        edge = narrowest[left] / width[left]
        fraction = np.clip(np.where(quadratic, inverse, 0.5), edge, 1 - edge)
    return root
