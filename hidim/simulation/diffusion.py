"""Homogenized SGD, the diffusion that replaces SGD in high dimension.

    dTheta = -gamma grad P dt + gamma sqrt(2 P K / B) dB,    one unit of time per step

with `shared` 2 P + `constant` 2 P_inf of problems/law.py in place of 2 P / B for elliptical rows.
Source: arXiv 2206.07252. Limits: SGD alone, at small rates; nothing is drawn of a row's length, so
every kurtosis goes.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.algorithms import Momentum
from hidim.problems.law import DataLaw
from hidim.simulation.walk import Walk, generator, row_dots


class Homogenized(Walk):
    """Homogenized SGD by an exponential integrator: stiff modes cost nothing.

    Within a time step the risk in the noise is frozen at its predicted value half-way, and
    each mode is then an Ornstein-Uhlenbeck process, advanced exactly.
    """

    # Longest time step as a share of the time passed since one unit before the start.
    _GROWTH = 0.02

    def __init__(
        self,
        eigenvalues: np.ndarray,
        error: np.ndarray,
        risk_floor: float,
        law: DataLaw,
        algorithm: Momentum,
        batch_size: float,
        *,
        runs: int,
        seed: int,
        bundle: int,
    ) -> None:
        self._gamma, self._batch, self._floor = algorithm.gamma_2, batch_size, risk_floor
        self._eigenvalues, self._law = eigenvalues, law
        self._w = np.tile(np.sqrt(eigenvalues) * error, (runs, 1))
        self._normals = generator(seed, bundle, 0)

    def risk(self, weight: float) -> np.ndarray:
        return self._floor + 0.5 * row_dots(self._w, self._w)

    def advance(self, first: int, count: int) -> np.ndarray:
        risks = np.empty((count, len(self._w)))
        time, row = float(first), 0
        while row < count:
            length = max(1, min(count - row, int(self._GROWTH * (time + 1.0))))
            pieces = max(1, math.ceil(1.0 / (self._GROWTH * (time + 1.0))))
            for piece in range(pieces):
                middle = time + (piece + 0.5) * length / pieces
                self._diffuse(float(self._gamma(middle)), length / pieces)
            # Between two time steps the risk is only looked at for divergence.
            risks[row : row + length] = self.risk(0.0)
            row, time = row + length, time + length
        return risks

    def _diffuse(self, gamma: float, span: float) -> None:
        rate = gamma * self._eigenvalues  # (modes,)
        share = 0.5 * gamma * self._eigenvalues  # stationary variance per unit of noise
        floor = 2.0 * self._floor

        def spread(elapsed: float) -> np.ndarray:
            return -share * np.expm1(-2.0 * elapsed * rate)

        def noise_of(square: np.ndarray) -> np.ndarray:
            shared = self._law.shared(self._batch, square + floor)
            return np.asarray(shared + self._law.constant(self._batch, floor))

        squares = self._w**2
        half = squares @ np.exp(-span * rate)
        middle = noise_of(half + spread(0.5 * span).sum() * noise_of(squares.sum(axis=1)))
        self._w *= np.exp(-span * rate)
        if not math.isinf(self._batch):
            deviation = np.sqrt(spread(span))
            noise = self._normals.standard_normal(self._w.shape)
            self._w += noise * deviation * np.sqrt(middle)[:, None]
