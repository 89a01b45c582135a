"""How does signSGD move in any coordinates where signals are not small? Pair by pair, step by step.

For Gaussian noise the sign of coordinate i leans by f(x_i), as in saturated.py, with

    x_i = (K r)_i / s_i,   s_i^2 = K_ii 2P,   r ~ N(m, V):   x_i ~ N((K m)_i, (K V K)_ii) / s_i,

so with slope_i = E f'(x_i) and G = diag(slope_i / s_i)

    m+ = m - eta E f,    E r r^T+ = E r r^T - eta (m E f^T + V K G + transposed) + eta^2 E s s^T.

E s s^T is K_sigma = (2 / pi) arcsin(correlations of K) for single samples, exactly; for larger
batches what the leanings have in common, E f E f^T + G K V K G, and K_sigma for what is left of
each sign. That is never less than the errors' share in it, so E r r^T stays a covariance.
Source: derived for this project, docs/theory/sign.md. Limits: no momentum; P is taken
at its mean; O(d^3) per step, so runs are kept short.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, Drive
from hidim.systems.saturated import NODES, WEIGHTS, mean_sign
from hidim.systems.saturating import Saturating

# Multiplications that a run may take, a quarter of an hour of them.
_MOST_WORK = 2e12


@dataclass(frozen=True, eq=False)
class SaturatedPairs(Saturating):
    """Mean and second moments of all coordinates' errors.

    Args:
        spectrum: the problem as it was given.
        covariance: (d, d), no coordinate without variance.
        optimum: (d,).
        floor: the risk's, with the variance of the noise law in it.
        eta: the rate.
        batch_size: samples per step.
    """

    spectrum: Spectrum
    covariance: Array
    optimum: Array
    floor: float
    eta: Schedule
    batch_size: float

    @property
    def kinds(self) -> int:  # type: ignore[override]
        """The mean, and a row of second moments for every coordinate."""
        return 1 + len(self.optimum)

    @property
    def work_per_step(self) -> float:  # type: ignore[override]
        """Two products of d x d matrices, and values of f."""
        d = float(len(self.optimum))
        return 2.0 * d**3 + 10.0 * d**2 + 10.0 * len(NODES) * d

    @property
    def longest(self) -> float:  # type: ignore[override]
        """So many steps that a run takes a quarter of an hour."""
        return float(math.floor(_MOST_WORK / self.work_per_step))

    @cached_property
    def _roots(self) -> Array:
        return np.sqrt(np.diag(self.covariance))

    @cached_property
    def _signs(self) -> Array:
        correlations = self.covariance / np.outer(self._roots, self._roots)
        found = (2.0 / math.pi) * np.arcsin(np.clip(correlations, -1.0, 1.0))
        np.fill_diagonal(found, 1.0)
        return found

    def start(self) -> Array:
        """theta = 0."""
        return np.vstack([-self.optimum[None], np.outer(self.optimum, self.optimum)])

    @cached_property
    def weights(self) -> Array:
        """The covariance, on second moments."""
        found = np.zeros((1, self.kinds, len(self.optimum)))
        found[0, 1:] = self.covariance
        return found

    def order(self, x: Array) -> Array:
        """Twice the excess."""
        return np.asarray(np.einsum("oaj,...aj->...o", self.weights, x))

    def step(self, t: float, x: Array, q: Array, drive: Drive | None = None) -> Array:
        """One step of every pair."""
        eta, mean, second = float(self.eta(float(t))), x[0], x[1:]
        twice = max(2.0 * self.floor + float(q[0]), 1e-300)
        size = self._roots * math.sqrt(twice)
        pulled = second @ self.covariance - np.outer(mean, mean @ self.covariance)  # V K
        variance = np.maximum(np.sum(self.covariance * pulled, axis=0), 0.0)  # (K V K)_ii
        centre, spread = (mean @ self.covariance) / size, np.sqrt(variance) / size
        leaning = mean_sign(np.clip(centre + NODES[:, None] * spread, -1.0, 1.0), self.batch_size)
        f = WEIGHTS @ leaning
        slope = (WEIGHTS * NODES) @ leaning / np.maximum(spread, 1e-12)
        gain = slope / size
        cross = np.outer(mean, f) + pulled * gain
        second = second - eta * (cross + cross.T) + eta**2 * self._products(f, gain, pulled)
        return np.vstack([(mean - eta * f)[None], second])

    def _products(self, f: Array, gain: Array, pulled: Array) -> Array:
        """E s s^T."""
        if self.batch_size == 1:
            return self._signs
        shared = np.outer(f, f) + gain[:, None] * (self.covariance @ pulled) * gain
        left = np.sqrt(np.maximum(1.0 - np.diag(shared), 0.0))
        return np.asarray(shared + np.outer(left, left) * self._signs)

    def facts(self, last: float) -> dict[str, Any]:
        """Which law of the drift this is, what it costs and how far it goes."""
        cost = f"{self.work_per_step:.2g} multiplications a step, up to {self.longest:.3g} steps"
        return {"drift": "saturated", "cost": cost}
