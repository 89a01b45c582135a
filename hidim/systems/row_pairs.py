"""How do two modes answer a kick of the gradient together, with the rates of one time?

    H_jk = sum_t (1 + w)^-(t + 1) h_j(t) h_k(t),

h_j the error of mode j after a unit kick at step 0, by the roots 1 - x of its 2 x 2 map and what
each of them carries. Source: derived for this project, docs/theory/rows.md.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.algorithms.gradients import plain_gradient
from hidim.algorithms.momentum import Momentum

# Roots of a mode's 2 x 2 map closer than this, relative, are moved apart: the sum does not see it.
_APART = 1e-4


def frozen_rates(
    eigenvalues: np.ndarray, algorithm: Momentum, t: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """a = gamma_2 lambda, b = gamma_1 gamma_3 lambda, the forgetting; gamma_2, gamma_1 gamma_3."""
    plain_gradient(algorithm)
    at = np.array([float(t)])
    gamma_2 = float(algorithm.gamma_2(at)[0])
    third = float(algorithm.gamma_1(at)[0] * algorithm.gamma_3(at)[0])
    forgetting = np.full(len(eigenvalues), float(algorithm.forgetting(at)[0]))
    return gamma_2 * eigenvalues, third * eigenvalues, forgetting, gamma_2, third


def pair_response(eigenvalues: np.ndarray, algorithm: Momentum, t: float, w: float) -> np.ndarray:
    """H of every pair of modes, (k, k), from roots 1 - x and what each carries."""
    a, b, forgetting, gamma_2, third = frozen_rates(eigenvalues, algorithm, t)
    total = gamma_2 + third
    if third == 0.0:
        x, carried = a[:, None], np.full((len(a), 1), gamma_2)
    else:
        slope, product = a + b + forgetting, a * forgetting + b
        gap = slope**2 - 4.0 * product
        least = (_APART * slope) ** 2
        gap = np.where(np.abs(gap) < least, np.where(gap < 0, -least, least), gap)
        root = np.sqrt(gap.astype(complex) if np.any(gap < 0) else gap)
        first = 0.5 * (slope + np.where(slope < 0, -root, root))
        x = np.stack([first, product / first], axis=1)
        # A kick of -G on the error and gamma_1 on the momentum: c_1 + c_2 and c_1 x_1 + c_2 x_2.
        lost = total**2 * eigenvalues - third * (1.0 - forgetting)
        apart = x[:, 0] - x[:, 1]
        carried = np.stack([(lost - total * x[:, 1]), (total * x[:, 0] - lost)], axis=1)
        carried = carried / apart[:, None]
    found = np.zeros((len(a), len(a)))
    for i in range(x.shape[1]):
        found += _shared(x[:, i], carried[:, i], x[:, i], carried[:, i], w)
    if x.shape[1] == 2:
        mixed = _shared(x[:, 0], carried[:, 0], x[:, 1], carried[:, 1], w)
        found += mixed + mixed.T
    return found


def _shared(
    x: np.ndarray, carried: np.ndarray, other: np.ndarray, its: np.ndarray, w: float
) -> np.ndarray:
    """What one root of every mode and one of every other answer together, (k, k), real."""
    kicked = np.multiply.outer(carried, its)
    lost = (w + x)[:, None] + (1.0 - x)[:, None] * other
    if np.all(lost):
        return np.asarray((kicked / lost).real)
    found = np.divide(kicked, lost, out=np.zeros_like(kicked), where=lost != 0).real
    found[(kicked != 0) & (lost == 0)] = math.inf  # undamped
    return np.asarray(found)
