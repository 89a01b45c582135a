"""Polynomials on a block of many steps: right Radau points, and the discrete derivative there.

On a block of length L every number is a polynomial p of degree `stages` through its values at the
start and at the right Radau points. With eps = 1/L the matrix `shift(eps)` takes the values to
L (p(t + 1) - p(t)) at the points: (e^{eps D} - I) / eps with D the nilpotent differentiation
matrix, a short exact sum without cancellation. eps = 0 is the derivative, so one code serves
steps and continuous time (Radau IIA).
Source: derived for this project; the method of lines of Radau collocation is classical
(Hairer and Wanner, Solving Ordinary Differential Equations II, IV.5).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


class Scheme:
    """Collocation with a number of stages.

    Attributes:
        stages: points inside a block, its end included.
        points: (stages + 1,) on [0, 1], the start of the block first.

    >>> scheme(2).points.round(3).tolist()
    [0.0, 0.333, 1.0]
    """

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.points = np.concatenate([[0.0], _radau_points(stages)])
        gaps = self.points[:, None] - self.points + np.eye(stages + 1)
        self._weights = 1.0 / gaps.prod(axis=1)  # barycentric
        first = self._weights / self._weights[:, None] / gaps
        np.fill_diagonal(first, 0.0)
        np.fill_diagonal(first, -first.sum(axis=1))
        # D^k / k! for k = 1..stages: nilpotent, so this is the whole exponential series.
        self._powers = [first]
        for k in range(2, stages + 1):
            self._powers.append(self._powers[-1] @ first / k)
        # Values -> Legendre coefficients, to see how fast the polynomial converges.
        legendre = np.polynomial.legendre.legvander(2 * self.points - 1, stages)
        self._tail = np.linalg.inv(legendre)[-2:]

    def shift(self, eps: float) -> np.ndarray:
        """L (p(t + 1) - p(t)) at the points from the values there, (stages + 1, stages + 1)."""
        total = self._powers[-1].copy()
        for power in self._powers[-2::-1]:
            total = power + eps * total
        return total

    def basis(self, x: np.ndarray) -> np.ndarray:
        """What the values weigh in the polynomial at x in [0, 1], (len(x), stages + 1)."""
        gap = np.asarray(x, dtype=np.float64)[:, None] - self.points
        exact = gap == 0.0
        terms = self._weights / np.where(exact, 1.0, gap)
        basis = terms / terms.sum(axis=1, keepdims=True)
        hit = exact.any(axis=1)
        basis[hit] = exact[hit]
        return np.asarray(basis)

    def interpolate(self, values: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The polynomials through `values` (stages + 1, ...) at x, (len(x), ...)."""
        return np.tensordot(self.basis(x), values, axes=1)

    def last_two(self, values: np.ndarray) -> np.ndarray:
        """The last two Legendre coefficients of the polynomials, (2, ...)."""
        return np.asarray(np.tensordot(self._tail, values, axes=1))


@lru_cache(maxsize=8)
def scheme(stages: int) -> Scheme:
    """The scheme of so many stages, made once."""
    return Scheme(stages)


def _radau_points(stages: int) -> np.ndarray:
    """Right Radau points on [0, 1], ascending, the last one 1."""
    difference = np.zeros(stages + 1)
    difference[stages - 1 :] = -1.0, 1.0
    roots = np.sort(np.polynomial.legendre.legroots(difference).real)
    roots[-1] = 1.0
    return np.asarray(0.5 * (1.0 + roots))
