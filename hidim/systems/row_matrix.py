"""The whole covariance on measured rows, off-diagonals and all: exact, and n k^2 a step.

With A = 1 - G Lambda and the noise of the rows N = (1/B) [mean_i q_i z_i z_i^T - Lambda (C + m m^T)
Lambda], q_i = |z_i . m - e_i|^2 + z_i^T C z_i, the covariances C of the error, S of error and
momentum and Y of the momentum move as

    C  ->  A C A - gamma_3 D (A S + S^T A) + (gamma_3 D)^2 Y + G^2 N,
    S  ->  gamma_1 A C Lambda + D A S - gamma_1 gamma_3 D S^T Lambda - gamma_3 D^2 Y - G gamma_1 N,
    Y  ->  gamma_1^2 Lambda C Lambda + gamma_1 D (Lambda S + S^T Lambda) + D^2 Y + gamma_1^2 N.

Source: derived for this project, docs/theory/rows.md. What rows.py leaves out is measured by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, Drive, System
from hidim.systems.coefficients import Coefficients
from hidim.systems.moment_steps import ERROR
from hidim.systems.row_mean import MeanSystem

_C, _Y, _S = 0, 1, 2  # in the order of the moments


@dataclass(frozen=True, eq=False)
class MatrixSystem(System):
    """The covariances of one algorithm on measured rows, (3, k x k), one step at a time.

    Args:
        driver: the mean.
    """

    driver: MeanSystem

    kinds, orders, stepped = 3, (), True

    @property
    def spectrum(self) -> Spectrum:
        """The modes of the rows."""
        return self.driver.moments.spectrum

    @property
    def breakpoints(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where a schedule changes its formula."""
        return self.driver.breakpoints

    @property
    def roots(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where one ends that is no power series up to there."""
        return self.driver.roots

    @property
    def _modes(self) -> int:
        return len(self.spectrum)

    @property
    def work_per_step(self) -> float:  # type: ignore[override]
        """Two products with the rows, and what the matrices cost among themselves."""
        return 2.0 * len(self.driver.rows) * self._modes**2 + 20.0 * self._modes**2

    def start(self) -> Array:
        """No spread."""
        return np.zeros((3, self._modes**2))

    def order(self, x: Array) -> Array:
        """None."""
        return np.zeros((*x.shape[:-2], 0))

    def step(self, t: float, x: Array, q: Array, drive: Drive | None = None) -> Array:
        """One step of the three covariances."""
        assert drive is not None
        a = Coefficients.at(self.driver.moments.followed, np.array([float(t)]))
        gamma_1, gamma_3, total, keep = (
            float(v[0]) for v in (a.gamma_1, a.gamma_3, a.total, a.keep)
        )
        along, k = self.spectrum.eigenvalues, self._modes
        C, Y, S = (x[i].reshape(k, k) for i in (_C, _Y, _S))
        noise = self._noise(C, drive[0][ERROR])
        left = 1.0 - total * along
        row, column = along[:, None], along[None, :]
        turned = gamma_3 * keep
        mixed = left[:, None] * S
        after = np.empty((3, k, k))
        after[_C] = np.outer(left, left) * C - turned * (mixed + mixed.T)
        after[_C] += turned**2 * Y + total**2 * noise
        after[_S] = gamma_1 * left[:, None] * C * column + keep * mixed
        after[_S] -= gamma_1 * turned * S.T * column + turned * keep * Y + total * gamma_1 * noise
        held = row * S
        after[_Y] = gamma_1**2 * (np.outer(along, along) * C + noise)
        after[_Y] += gamma_1 * keep * (held + held.T) + keep**2 * Y
        return after.reshape(3, k * k)

    def _noise(self, C: Array, mean: Array) -> Array:
        rows, along = self.driver.rows, self.spectrum.eigenvalues
        Z, m = rows.features, mean.reshape(self._modes, rows.outputs)
        squared = np.sum((Z @ m - rows.residual) ** 2, axis=1)
        squared += np.einsum("ij,ij->i", Z @ C, Z)
        found = Z.T @ (Z * (squared / len(rows))[:, None])
        found -= np.outer(along, along) * (C + m @ m.T)
        # What gemm rounds differently above and below the diagonal would grow.
        return np.asarray(0.5 * (found + found.T) / self.driver.moments.batch_size)

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk at the iterate, and at the point that is read, of the diagonals."""
        assert drive is not None
        k = self._modes
        diagonals = x.reshape(*x.shape[:-1], k, k)[..., np.arange(k), np.arange(k)]
        return self.driver.with_spread(t, drive, diagonals)
