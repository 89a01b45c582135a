"""The algorithm as it is written: features W^T x and target <x, b> drawn for every sample.

O(B v d) per step. It runs any algorithm that has an update, whatever gradient it makes of the
samples, and shares nothing with the walk in the eigenbasis but that update, which is its use.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.algorithms.base import Algorithm
from hidim.algorithms.gradients import Batch, changed, gradient_of, read_only, start_of
from hidim.problems.law import DataLaw
from hidim.simulation.lengths import Lengths
from hidim.simulation.walk import Walk, generator, row_dots


class Raw(Walk):
    """The algorithm as it is written: parameters theta, features W^T x, one draw per sample.

    Args:
        W: shape (v, d).
        scale: shape (v,), standard deviation of each coordinate of x.
        target: shape (v,), b.
        noise_variance: variance of the label noise.
        law: of the rows x, and of that noise.
    """

    # Numbers drawn at once: one matrix product per block instead of one per sample.
    _DRAW = 2**21

    def __init__(
        self,
        W: np.ndarray,
        scale: np.ndarray,
        target: np.ndarray,
        noise_variance: float,
        law: DataLaw,
        algorithm: Algorithm,
        batch_size: int,
        *,
        runs: int,
        seed: int,
        bundle: int,
    ) -> None:
        self._update, self._batch, self._noise = algorithm.update(), batch_size, noise_variance
        self._features = scale[:, None] * W  # (v, d)
        self._labels = scale * target  # (v,)
        self._gradient, self._own = gradient_of(algorithm), generator(seed, bundle, 3)
        beginning = generator(seed, bundle, 5)
        self._theta = start_of(self._gradient, (runs, W.shape[1]), beginning)
        self._state = self._update.start(self._theta)
        self._x, self._label_noise = generator(seed, bundle, 0), generator(seed, bundle, 1)
        self._lengths, self._kinds = (
            Lengths.of(law, noisy=self._noise > 0),
            generator(seed, bundle, 2),
        )
        self._law, self._laws_own = law.noise, generator(seed, bundle, 4)
        self._ahead = max(1, self._DRAW // (runs * batch_size * max(1, len(W))))

    def risk(self, weight: float) -> np.ndarray:
        # Only momentum is read at other points than theta, and it is the first of the state.
        return self._risks(self._theta + weight * self._state[0] if weight else self._theta)

    def _risks(self, theta: np.ndarray) -> np.ndarray:
        miss = theta @ self._features.T - self._labels
        own = 0.0 if self._law is None else self._law.variance
        # Without a variance the expected risk is infinite: then that part is left out.
        return 0.5 * (row_dots(miss, miss) + self._noise + (own if math.isfinite(own) else 0.0))

    def advance(self, first: int, count: int) -> np.ndarray:
        before, trail = self.risk(0.0), np.empty((count, *self._theta.shape))
        for start in range(0, count, self._ahead):
            stop = min(start + self._ahead, count)
            self._block(first + start, trail[start:stop])
        after = self.risk(0.0)
        if np.all(after <= 100.0 * before):
            # Reading the risk costs as much as a step: in between, it is not looked at.
            return np.broadcast_to(after, (count, len(after)))
        return np.stack([self._risks(theta) for theta in trail])

    def _block(self, first: int, trail: np.ndarray) -> None:
        count, runs, d = trail.shape
        x = self._x.standard_normal((count * runs * self._batch, len(self._labels)))
        phi = (x @ self._features).reshape(count, runs, self._batch, d)
        labels = (x @ self._labels).reshape(count, runs, self._batch)
        noise = math.sqrt(self._noise) * self._label_noise.standard_normal(labels.shape)
        if self._lengths is not None:
            share, squares, variances = self._lengths
            long = (self._kinds.random(labels.shape) < share).astype(np.intp)
            phi *= np.sqrt(squares)[long][..., None]
            labels *= np.sqrt(squares)[long]
            noise *= np.sqrt(variances)[long]
        labels += noise
        if self._law is not None:
            labels += self._law.draw(self._laws_own, labels.shape)
        del x, noise  # a gradient may ask for every sample's, which are no larger
        for i in range(count):
            miss = np.einsum("rbd,rd->rb", phi[i], self._theta) - labels[i]
            if self._gradient is None:
                gradient = np.einsum("rb,rbd->rd", miss, phi[i]) / self._batch
            else:
                batch = Batch(phi[i], miss, read_only(self._theta), first + i)
                gradient = changed(self._gradient, batch, self._own)
            moved = self._update.step(first + i, self._theta, gradient, self._state)
            trail[i], self._state = moved
            self._theta = moved[0]
