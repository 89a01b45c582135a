"""The real algorithm on measured rows, in their eigenbasis: k numbers a row, and exact in law.

A rotation of the parameters changes nothing that a member of the momentum family does, so the rows
z_i of a Spectrum (problems/rows.py) serve as well as those they were made of. Every step draws its
batch of rows with replacement; the risk of a run is that over all rows.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.problems.rows import Rows
from hidim.simulation.walk import Walk, generator


class RowWalk(Walk):
    """A bundle of runs.

    Args:
        rows: measured rows in their eigenbasis.
        eigenvalues: of their columns, (k,).
        risk_floor: risk at the optimum.
        algorithm: any member of the family.
        batch_size: rows per step; math.inf for all of them.
        runs: runs in this bundle.
        seed, bundle: the rows drawn are a function of these two and of `runs` alone.
    """

    def __init__(
        self,
        rows: Rows,
        eigenvalues: np.ndarray,
        risk_floor: float,
        algorithm: Momentum,
        batch_size: float,
        *,
        runs: int,
        seed: int,
        bundle: int,
    ) -> None:
        self._rows, self._along, self._floor = rows, eigenvalues, risk_floor
        self._batch, self._update = batch_size, algorithm.update()
        self._error = np.tile(rows.start, (runs, 1, 1))  # (runs, k, outputs)
        self._state = self._update.start(self._error)
        self._rng = generator(seed, bundle)

    def risk(self, weight: float) -> np.ndarray:
        point = self._error + weight * self._state[0] if weight else self._error
        squares = np.einsum("rko,rko->rk", point, point)
        return np.asarray(self._floor + 0.5 * squares @ self._along)

    def advance(self, first: int, count: int) -> np.ndarray:
        found = np.empty((count, len(self._error)))
        for i in range(count):
            gradient = self._gradient()
            self._error, self._state = self._update.step(
                first + i, self._error, gradient, self._state
            )
            found[i] = self.risk(0.0)
        return found

    def _gradient(self) -> np.ndarray:
        if math.isinf(self._batch):
            return self._along[:, None] * self._error
        shape = (len(self._error), int(self._batch))
        drawn = self._rng.integers(len(self._rows), size=shape)
        z = self._rows.features[drawn]  # (runs, batch, k)
        left = z @ self._error - self._rows.residual[drawn]
        return np.asarray(np.swapaxes(z, 1, 2) @ left / self._batch)
