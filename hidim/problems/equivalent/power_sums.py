"""How large are the sums over a power-law spectrum, at a cost that does not grow with it?

Two sums carry everything the deterministic equivalent needs:

    power_sum(s, v)        = sum_{j <= v} j^-s                      (v may be infinite)
    PoleSums(u, p)         = S_p(u) = sum_{j <= v} j^-p / (1 + u j^(2 alpha))

The first is Euler-Maclaurin with midpoint corrections. The second replaces j by some
hundreds of nodes: the first integers one by one, Gauss-Legendre panels in log j after them
(Euler-Maclaurin corrections at both ends), a series for the tail when v is infinite. A panel
misses the pole x* = (-1/u)^(1/(2 alpha)) where it comes near the real axis; the difference
between the exact sum of 1/(j - x*), a digamma, and the panel's own is added back. No closed
form with a resonance is used, so every exponent p, negative ones too, is treated alike.

Limits: u outside the closed positive axis' mirror, that is Im u <= 0 and u not a pole.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

# Midpoint Euler-Maclaurin: B_2k(1/2) / (2k)! multiplies the (2k-1)-th derivative.
_MIDPOINT = (-1 / 24, 7 / 5760, -31 / 967680, 127 / 154828800, -73 / 3503554560)
_EXPLICIT = 32  # integers summed one by one before the panels start
_PANEL_NODES = 12
_NEAR = 1.0  # |Im log x*|, in panels, below which a panel sees the pole: pi/(2 alpha) is above
_CHUNK = 60_000  # matrix entries held at once: half a megabyte, which stays in cache
_SQUARABLE = 1e-140  # moduli from here to its inverse have squares in float64


def power_sum(s: float, v: float = math.inf, start: int = 1) -> float:
    """Sum of j^-s for j from `start` to v inclusive, to about 1e-15 relative.

    Args:
        s: any real exponent; above 1 when v is infinite.
        v: last index, a whole number or ``math.inf``.
        start: first index, at least 1.

    Returns:
        The sum; its cost does not depend on v.

    >>> round(power_sum(2.0), 12) == round(math.pi**2 / 6, 12)
    True
    >>> power_sum(-1.0, 10)
    55.0
    """
    last = min(v, start + _EXPLICIT - 1)
    j = np.arange(start, int(last) + 1, dtype=np.float64)
    total = float(np.sum((j**-s)[::-1]))
    if v <= last:
        return total
    return total + _midpoint_tail(s, last + 0.5, v + 0.5)


def _midpoint_tail(s: float, a: float, b: float, unit: float = 1.0) -> float:
    """Sum of j^-s over the integers between the half-integers a and b (b may be infinite).

    With `unit`, a and b are in that unit and the sum is divided by unit^(1-s).
    """
    if b == math.inf:
        if s <= 1:
            raise ValueError(f"`s` must exceed 1 for an infinite sum, got {s}.")
        total = a ** (1 - s) / (s - 1)
    else:
        span = math.log(b / a)
        exponent = (1 - s) * span
        ratio = math.expm1(exponent) / exponent if exponent != 0 else 1.0
        total = a ** (1 - s) * span * ratio
    derivative = -s  # d/dx x^-s = -s x^(-s-1), and so on by twos
    for k, coefficient in enumerate(_MIDPOINT):
        order = 2 * k + 1
        at_b = 0.0 if b == math.inf else b ** (-s - order)
        step = at_b - a ** (-s - order)
        total += coefficient * derivative * step * unit ** (-1 - order)
        derivative *= (s + order) * (s + order + 1)
    return total


class PoleSums:
    """S_p(u) = sum_{j<=v} j^-p / (1 + u j^(2 alpha)) for many u and several p at once.

    Args:
        alpha: half the exponent of j in the denominator, positive.
        v: number of terms, whole or infinite (then 2*alpha > 1).
        largest: the largest |x*| = |u|^(-1/(2 alpha)) that will be asked for; it places the
            start of the tail series when v is infinite.

    >>> sums = PoleSums(1.0, 5000)
    >>> j = np.arange(1, 5001)
    >>> u = -1e-4 - 1e-5j
    >>> bool(abs(sums(u, [0.3])[0] / np.sum(j**-0.3 / (1 + u * j**2.0)) - 1) < 1e-12)
    True
    """

    def __init__(self, alpha: float, v: float, largest: float = math.inf) -> None:
        self.exponent = 2.0 * alpha
        self.v = v
        self.tail = math.inf  # half-integer where the tail series takes over
        first = int(min(v, _EXPLICIT if v > 8 * _EXPLICIT else 8 * _EXPLICIT))
        end = v + 0.5
        if v == math.inf:
            # The series below keeps 4 terms: (x*/tail)^(4*2 alpha) is then under 1e-18.
            end = self.tail = math.floor(4 * largest * 10 ** (4.5 / self.exponent)) + 0.5
        self._x = np.arange(1, first + 1, dtype=np.float64)
        self._weights = np.ones(first)
        self.edges = np.array([first + 0.5])
        if first < v:
            self._add_panels(first + 0.5, end)
        self._inverse = self._x**-self.exponent
        self.of_power = functools.lru_cache(maxsize=8)(self._of_power)

    def _add_panels(self, start: float, end: float) -> None:
        width = min(1.0, 3.0 / self.exponent)
        panels = max(1, math.ceil(math.log(end / start) / width))
        edges = start * np.exp(np.linspace(0.0, math.log(end / start), panels + 1))
        edges = np.where(edges < 2**52, np.floor(edges) + 0.5, edges)
        edges[0], edges[-1] = start, end
        node, weight = np.polynomial.legendre.leggauss(_PANEL_NODES)
        y = np.log(edges)
        half = np.diff(y)[:, None] / 2
        x = np.exp((y[:-1, None] + y[1:, None]) / 2 + half * node)  # (panels, nodes)
        weights = x * half * weight
        weights[0] -= _end_correction(x[0], edges[0])
        if end < 1e9:  # beyond, the correction is under rounding
            weights[-1] += _end_correction(x[-1], edges[-1])
        self.edges = edges
        # The nodes that see a pole in a panel: its own and both neighbours', in units of its edge.
        unit = edges[:-1]
        apart = (
            np.full((panels, 3, _PANEL_NODES), 2.0 * x[-1, -1]),
            np.zeros((panels, 3, _PANEL_NODES)),
        )
        for window, own in zip(apart, (x, weights), strict=True):
            window[:, 1] = own
            window[1:, 0], window[:-1, 2] = own[:-1], own[1:]
            window /= unit[:, None, None]
        self.windows = apart[0].reshape(panels, -1), apart[1].reshape(panels, -1), unit
        self._x = np.concatenate([self._x, x.ravel()])
        self._weights = np.concatenate([self._weights, weights.ravel()])

    @property
    def size(self) -> int:
        """Number of terms one evaluation costs."""
        return self._x.size

    def __call__(self, u: complex | np.ndarray, powers: Sequence[float]) -> np.ndarray:
        """S_p(u) for each p in `powers`, shape (len(powers), *u.shape), complex.

        Args:
            u: complex numbers with Im u <= 0, away from the poles -j^(-2 alpha).
            powers: the exponents p; p + 2*alpha > 1 when v is infinite.
        """
        return self.at(u)(powers)

    def at(self, u: complex | np.ndarray) -> PointSums:
        """The same for fixed u, with what does not depend on the power worked out once."""
        return PointSums(self, np.asarray(u, dtype=np.complex128))

    def _of_power(self, p: float) -> tuple[np.ndarray, np.ndarray]:
        """(terms, 2) coefficients of 1/|u + x^(-2 alpha)|^2, and those of the tail series."""
        column = self._weights * self._x ** -(p + self.exponent)
        tail = np.zeros(0)
        if self.tail < math.inf:
            # tail^(s-1) sum_{j>tail} j^-s, so that no power overflows
            terms = [
                (-1) ** k * _midpoint_tail(p + self.exponent * (k + 1), 1.0, math.inf, self.tail)
                for k in range(5)
            ]
            tail = self.tail ** (1 - p) * np.array([0.0, *terms])
        return np.stack([column, column * self._inverse], axis=1), tail

    def _all_terms(self, u: np.ndarray, powers: Sequence[float]) -> np.ndarray:
        """The sums over all nodes, (powers, points).

        1/(1 + u x^(2 alpha)) = g (g + conj u) / |g + u|^2 with g = x^(-2 alpha): one matrix of
        reals serves both parts and every power.
        """
        result = np.empty((len(powers), u.size), dtype=np.complex128)
        columns = np.concatenate([self.of_power(p)[0] for p in powers], axis=1)
        size = np.abs(u)
        if size.size and (size.min() < _SQUARABLE or size.max() > 1 / _SQUARABLE):
            return self._all_terms_unsquared(u, columns, result)
        real, imag = u.real.copy(), u.imag.copy()
        squares = (imag * imag)[:, None]
        rows = max(1, _CHUNK // self._x.size)
        buffer = np.empty((min(rows, u.size), self._x.size))
        for begin in range(0, u.size, rows):
            part = slice(begin, begin + rows)
            matrix = buffer[: squares[part].size]
            np.add.outer(real[part], self._inverse, out=matrix)
            np.multiply(matrix, matrix, out=matrix)
            matrix += squares[part]
            np.reciprocal(matrix, out=matrix)
            both = (matrix @ columns).T
            result.real[:, part] = both[1::2] + real[part] * both[::2]
            result.imag[:, part] = -imag[part] * both[::2]
        return result

    def _all_terms_unsquared(
        self, u: np.ndarray, columns: np.ndarray, result: np.ndarray
    ) -> np.ndarray:
        """The same at three times the cost, where |g + u|^2 leaves float64."""
        rows = max(1, _CHUNK // self._x.size)
        for begin in range(0, u.size, rows):
            part = slice(begin, begin + rows)
            matrix = 1.0 / np.add.outer(u[part], self._inverse)
            result.real[:, part] = (matrix.real @ columns[:, ::2]).T
            result.imag[:, part] = (matrix.imag @ columns[:, ::2]).T
        return result


class PointSums:
    """S_p at fixed points u, for one list of powers after another."""

    def __init__(self, sums: PoleSums, u: np.ndarray) -> None:
        self.sums, self.u, self._flat = sums, u, np.atleast_1d(u).ravel()
        self._near = np.zeros(0, dtype=int)
        if sums.edges.size > 1:
            self._find_poles()

    def __call__(self, powers: Sequence[float]) -> np.ndarray:
        """As `PoleSums.__call__`."""
        sums, u = self.sums, self._flat
        result = sums._all_terms(u, powers)
        if self._near.size:
            for row, p in zip(result, powers, strict=True):
                row[self._near] -= np.exp((1 - p) * self._log_pole) * self._missed
        if sums.tail < math.inf:
            # Over j > tail |u j^(2 alpha)| is large: powers of its inverse.
            ratio = sums.tail**-sums.exponent / u
            for row, p in zip(result, powers, strict=True):
                row += np.polynomial.polynomial.polyval(ratio, sums.of_power(p)[1])
        return result.reshape((len(powers), *self.u.shape))

    def _find_poles(self) -> None:
        """What the panels around each pole x* miss of the sum of 1/(j - x*)."""
        sums, edges = self.sums, self.sums.edges
        log_pole = -np.log(-self._flat) / sums.exponent
        y = np.log(edges)
        near = np.abs(log_pole.imag) < _NEAR * min(1.0, 3.0 / sums.exponent)
        near &= (log_pole.real > y[0] - 1.0) & (log_pole.real < y[-1] + 1.0)
        self._near = np.flatnonzero(near)
        if self._near.size == 0:
            return
        self._log_pole = log_pole = log_pole[self._near]
        pole = np.exp(log_pole)
        panels = edges.size - 1
        panel = np.clip(np.searchsorted(y, log_pole.real) - 1, 0, panels - 1)
        low, high = np.maximum(panel - 1, 0), np.minimum(panel + 1, panels - 1)
        # Panel sums telescope, so the corrections to the integral enter at the outer ends only.
        exact = _half_digamma(edges[high + 1] - pole, high == panels - 1)
        exact -= _half_digamma(edges[low] - pole, low == 0)
        x, weights, unit = sums.windows
        real, imag = pole.real / unit[panel], pole.imag / unit[panel]
        ahead = x[panel]
        ahead -= real[:, None]
        share = ahead * ahead
        share += (imag * imag)[:, None]
        np.divide(weights[panel], share, out=share)
        exact.real -= np.einsum("ij,ij->i", share, ahead)
        exact.imag -= imag * share.sum(axis=1)
        self._missed = exact / sums.exponent


def _end_correction(x: np.ndarray, at: float) -> np.ndarray:
    """Weights on the nodes x of the midpoint Euler-Maclaurin correction at the end `at`.

    The function is interpolated in log x, where powers are entire; x^m (d/dx)^m is
    theta (theta - 1) ... (theta - m + 1) with theta = d/dlog x.
    """
    chebyshev = np.polynomial.chebyshev
    offset = np.log(x / at)
    span = np.abs(offset).max()
    count = x.size
    basis = chebyshev.chebvander(2 * np.abs(offset) / span - 1, count - 1)
    derivative = np.eye(count)  # columns: Chebyshev coefficients of x^m f^(m), m = 0, 1, ...
    functional = np.zeros(count)
    slope = 2 * float(np.sign(offset[0])) / span
    for m in range(2 * len(_MIDPOINT)):
        if m % 2:
            functional += _MIDPOINT[m // 2] * at**-m * chebyshev.chebval(-1.0, derivative)
        theta = np.zeros((count, count))
        theta[:-1] = slope * chebyshev.chebder(derivative, axis=0)
        derivative = theta - m * derivative
    return np.linalg.solve(basis.T, functional)


def _half_digamma(w: np.ndarray, corrected: np.ndarray) -> np.ndarray:
    """digamma(1/2 + w) by reflection, a shift and the midpoint series.

    Where `corrected` is false, log(w) stands for its smooth part.
    """
    flip = w.real < 0
    w = np.where(flip, -w, w)
    total = np.zeros_like(w)
    small = np.flatnonzero(corrected & (np.abs(w) < 12))
    near = w[small]
    shifted = w.copy()
    shifted[small] += 12
    total[small] -= sum(1.0 / (near + (i + 0.5)) for i in range(12))
    q = 1.0 / (shifted * shifted)
    series = q * (1 / 24 - q * (7 / 960 - q * (31 / 8064 - q * (127 / 30720 - q * 511 / 67584))))
    total += np.log(shifted) + np.where(corrected, series, 0.0)
    turned = w[flip]
    total[flip] -= math.pi * np.tan(math.pi * (turned - np.round(turned.real)))
    return total
