"""Do runs on measured rows hold? The exact gain of the loop, and the rows that carry it.

Let row i bring noise in proportion to q_i, its mean squared residual. A unit gradient kick in
modes j and k is answered by H_jk = sum_t h_j(t) h_k(t), so the noise of all rows leaves the
covariance L * A, with A = Z^T diag(q / n) Z and L = (H / B) / (1 + lambda_j lambda_k H / B)
entry by entry, and that makes the squared residuals

    q'_i = z_i^T (L * A) z_i.

A positive symmetric map of n numbers: its largest eigenvalue is the gain. Runs are stable in mean
square if and only if every mode is and the gain is below 1; 1 / gain is the factor by which noise
may still grow; its eigenvector says which rows carry it. For growth by w per step H is
sum_t (1 + w)^-(t + 1) h_j(t) h_k(t).
Source: derived for this project, docs/theory/rows.md. Limits: rates frozen at one time; the mean
over runs: just above 1 single runs may look fine for long. From a sample of rows a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.problems.rows import Rows
from hidim.systems.kernel_norm import mode_growth

# Of the eigenvector's residual, relative: its eigenvalue errs by the square.
_RESIDUAL = 1e-3
_MOST_PRODUCTS = 120
# Roots of a mode's 2 x 2 map closer than this, relative, are moved apart: the sum does not see it.
_APART = 1e-4


class Gain(NamedTuple):
    """A gain and the eigenvector that carries it, (n,), adding up to 1."""

    value: float
    shares: np.ndarray

    @property
    def carriers(self) -> float:
        """How many rows carry the gain: 1 / sum of squared shares."""
        return float(1.0 / np.sum(self.shares**2))


@dataclass(frozen=True, eq=False)
class RowLoop:
    """The loop of some rows: `gain` at any rates.

    Args:
        rows: the rows in the eigenbasis.
        eigenvalues: of their columns, (k,).

    >>> from hidim.algorithms import sgd
    >>> loop = RowLoop(Rows(np.ones((4, 1)), np.zeros((4, 1)), np.ones((1, 1)), np.arange(4), 4),
    ...                np.ones(1))
    >>> round(loop.gain(sgd(0.5), 1, 0.0).value, 12)  # gamma / (2 lambda)
    0.25
    """

    rows: Rows
    eigenvalues: np.ndarray

    def gain(
        self,
        algorithm: Momentum,
        batch_size: float,
        t: float,
        w: float = 0.0,
        start: np.ndarray | None = None,
    ) -> Gain:
        """The gain with the rates of time t, for growth by w per step.

        Args:
            start: shares to start from, those of rates nearby.

        Returns:
            Infinite, with no row named, where a mode grows by itself.
        """
        n = len(self.rows)
        nobody = np.zeros(n)
        if batch_size == math.inf:
            return Gain(0.0 if self._modes_hold(algorithm, t, w) else math.inf, nobody)
        if not self._modes_hold(algorithm, t, w):
            return Gain(math.inf, nobody)
        pairs = _pair_response(self.eigenvalues, algorithm, t, w) / batch_size
        kept = pairs / (1.0 + np.outer(self.eigenvalues, self.eigenvalues) * pairs)
        Z = self.rows.features

        def passed_on(q: np.ndarray) -> np.ndarray:
            between = Z.T @ (Z * (q / n)[:, None])
            return np.asarray(np.einsum("ij,ij->i", Z @ (kept * between), Z))

        if start is None:
            start = np.einsum("ij,ij->i", Z, Z)
        value, vector = _largest(passed_on, start)
        vector = np.abs(vector)
        total = vector.sum()
        return Gain(value, vector / total if total > 0 else nobody)

    def _modes_hold(self, algorithm: Momentum, t: float, w: float) -> bool:
        a, b, forgetting = _rates(self.eigenvalues, algorithm, t)[:3]
        return bool(np.max(mode_growth(a, b, forgetting), initial=-1.0) < max(w, 1e-300))


def _rates(
    eigenvalues: np.ndarray, algorithm: Momentum, t: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """a = gamma_2 lambda, b = gamma_1 gamma_3 lambda, the forgetting; gamma_2, gamma_1 gamma_3."""
    at = np.array([float(t)])
    gamma_2 = float(algorithm.gamma_2(at)[0])
    third = float(algorithm.gamma_1(at)[0] * algorithm.gamma_3(at)[0])
    forgetting = np.full(len(eigenvalues), float(algorithm.forgetting(at)[0]))
    return gamma_2 * eigenvalues, third * eigenvalues, forgetting, gamma_2, third


def _pair_response(
    eigenvalues: np.ndarray, algorithm: Momentum, t: float, w: float
) -> np.ndarray:
    """H of every pair of modes, (k, k), from roots 1 - x and what each carries."""
    a, b, forgetting, gamma_2, third = _rates(eigenvalues, algorithm, t)
    total = gamma_2 + third
    if third == 0.0:
        x, carried = a[:, None].astype(complex), np.full((len(a), 1), gamma_2, dtype=complex)
    else:
        slope, product = a + b + forgetting, a * forgetting + b
        gap = slope**2 - 4.0 * product
        least = (_APART * slope) ** 2
        gap = np.where(np.abs(gap) < least, np.where(gap < 0, -least, least), gap)
        root = np.sqrt(gap.astype(complex))
        first = 0.5 * (slope + np.where(slope < 0, -root, root))
        x = np.stack([first, product / first], axis=1)
        # A kick of -G on the error and gamma_1 on the momentum: c_1 + c_2 and c_1 x_1 + c_2 x_2.
        lost = total**2 * eigenvalues - third * (1.0 - forgetting)
        apart = x[:, 0] - x[:, 1]
        carried = np.stack([(lost - total * x[:, 1]), (total * x[:, 0] - lost)], axis=1)
        carried = carried / apart[:, None]
    found = np.zeros((len(a), len(a)), dtype=complex)
    for i in range(x.shape[1]):
        for k in range(x.shape[1]):
            one, other = x[:, i, None], x[None, :, k]
            found += carried[:, i, None] * carried[None, :, k] / (w + one + other - one * other)
    return np.asarray(found.real)


def _largest(
    product: Callable[[np.ndarray], np.ndarray], start: np.ndarray
) -> tuple[float, np.ndarray]:
    """Largest eigenvalue of a symmetric map with its vector, by Lanczos' method."""
    size = float(np.linalg.norm(start))
    if size == 0.0:
        return 0.0, start
    basis, diagonal, beside = [start / size], [], []
    for _ in range(min(_MOST_PRODUCTS, len(start))):
        found = product(basis[-1])
        diagonal.append(float(found @ basis[-1]))
        for vector in (*basis, *basis):  # twice is enough
            found = found - (found @ vector) * vector
        length = float(np.linalg.norm(found))
        values, vectors = np.linalg.eigh(
            np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        )
        top, weights = float(values[-1]), vectors[:, -1]
        if length * abs(weights[-1]) <= _RESIDUAL * abs(top) or length == 0.0:
            break
        beside.append(length)
        basis.append(found / length)
    return top, np.stack(basis[: len(weights)]).T @ weights
