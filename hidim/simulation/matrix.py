"""The algorithm on a matrix, as it is written: rows u and x and a label drawn for every sample.

O(B m d) per step and whatever the gradient costs. Parameters are seen flat, (runs, m d), by
gradients and updates, which need not know of the matrix; one that does, the polar factor, reads
`outputs` of the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from hidim.algorithms.base import Algorithm
from hidim.algorithms.gradients import Batch, changed, gradient_of, read_only, start_of
from hidim.problems.coordinates import coordinates_of
from hidim.problems.matrix import MatrixLeastSquares
from hidim.simulation.walk import Walk, generator


@dataclass(frozen=True, eq=False)
class MatrixBatch:
    """The samples of one step in every run, as a `Batch` has them.

    Attributes:
        left: (runs, batch, outputs), the rows u.
        right: (runs, batch, d), the rows x.
        residuals: (runs, batch).
        theta: (runs, outputs d), read only.
        t: the step.
    """

    left: np.ndarray
    right: np.ndarray
    residuals: np.ndarray
    theta: np.ndarray
    t: int

    @property
    def outputs(self) -> int:
        """Rows of the matrix."""
        return int(self.left.shape[-1])

    @property
    def features(self) -> np.ndarray:
        """u x^T of every sample, flat, (runs, batch, outputs d)."""
        return np.einsum("rbo,rbd->rbod", self.left, self.right).reshape(
            *self.residuals.shape, self.theta.shape[-1]
        )

    @property
    def samples(self) -> np.ndarray:
        """The gradient of every sample."""
        return self.residuals[..., None] * self.features

    @property
    def mean(self) -> np.ndarray:
        """The plain gradient, flat, (runs, outputs d)."""
        weighted = self.residuals[..., None] * self.left
        total = np.swapaxes(weighted, 1, 2) @ self.right
        return np.asarray(total.reshape(self.theta.shape) / self.residuals.shape[1])


class MatrixWalk(Walk):
    """Runs on a matrix problem.

    Args:
        problem: the problem; directions of its optimum are drawn from `problem_seed`.
        algorithm: whatever has an update.
        batch_size: samples per step.
        generic: whether the modes lie in no relation to the coordinates, or are these.
    """

    def __init__(
        self,
        problem: MatrixLeastSquares,
        algorithm: Algorithm,
        batch_size: int,
        *,
        runs: int,
        seed: int,
        problem_seed: int,
        basis: str | None,
    ) -> None:
        spectrum, optimum = problem.spectrum, problem.columns(problem_seed)
        counts = np.where(spectrum.eigenvalues > 0, spectrum.multiplicity, 0.0).astype(np.int64)
        along = np.repeat(spectrum.eigenvalues, counts)
        features = np.diag(np.sqrt(along))  # (modes, coordinates): x = z features
        known = None if basis is not None else coordinates_of(spectrum.law.basis)
        if basis == "generic":
            rng = np.random.default_rng(seed)
            features = features @ np.linalg.qr(rng.standard_normal(features.shape))[0]
        elif known is not None and known.covariance.ndim == 2:
            values, vectors = np.linalg.eigh(known.covariance)
            kept = np.argsort(-values)[: len(along)]
            features = np.sqrt(along)[:, None] * vectors[:, kept].T
        self._features, self._along, self._outputs = features, along, problem.outputs
        self._optimum = optimum * np.sqrt(along)  # what it answers to z
        self._batch, self._law = batch_size, spectrum.law.noise
        self._noise, self._floor = math.sqrt(2.0 * spectrum.risk_floor), spectrum.risk_floor
        self._update, self._gradient = algorithm.update(), gradient_of(algorithm)
        shaped = getattr(self._update, "on_matrix", None)
        if shaped is not None:
            self._update = shaped(self._outputs)
        rngs = (generator(seed, 0, part) for part in range(5))
        self._x, self._label_noise, self._left, self._own, self._laws_own = rngs
        size = (runs, self._outputs * features.shape[1])
        self._theta = start_of(self._gradient, size, generator(seed, 0, 5))
        self._state = self._update.start(self._theta)

    def risk(self, weight: float) -> np.ndarray:
        point = self._theta + weight * self._state[0] if weight else self._theta
        matrix = point.reshape(len(point), self._outputs, -1)
        miss = matrix @ self._features.T - self._optimum
        own = 0.0 if self._law is None else 0.5 * self._law.variance
        own = own if math.isfinite(own) else 0.0
        return np.asarray(self._floor + own + 0.5 * np.einsum("rod,rod->r", miss, miss))

    def advance(self, first: int, count: int) -> np.ndarray:
        seen = np.empty((count, len(self._theta)))
        for i in range(count):
            self._step(first + i)
            seen[i] = self.risk(0.0)
        return seen

    def _step(self, t: int) -> None:
        runs, modes = len(self._theta), len(self._along)
        z = self._x.standard_normal((runs, self._batch, modes))
        left = self._left.standard_normal((runs, self._batch, self._outputs))
        right = z @ self._features
        noise = self._noise * self._label_noise.standard_normal((runs, self._batch))
        if self._law is not None:
            noise += self._law.draw(self._laws_own, noise.shape)
        matrix = self._theta.reshape(runs, self._outputs, -1)
        answers = right @ np.swapaxes(matrix, 1, 2) - z @ self._optimum.T  # (runs, batch, outputs)
        miss = np.einsum("rbo,rbo->rb", left, answers) - noise
        batch = MatrixBatch(left, right, miss, read_only(self._theta), t)
        gradient = batch.mean
        if self._gradient is not None:
            gradient = changed(self._gradient, cast(Batch, batch), self._own)
        moved = self._update.step(t, self._theta, gradient, self._state)
        self._theta, self._state = moved
