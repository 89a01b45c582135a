"""How does one realisation of the algorithm move? Bundles of runs that step side by side.

`Eigenbasis`: the real algorithm on Gaussian data, seen in the basis of the eigenvectors. With
w = sqrt(eigenvalues) * error, sigma^2 = 2 risk_floor and s^2 = |w|^2 + sigma^2, the sum of B
sample gradients is, in the same coordinates,

    eigenvalues * [chi w + sqrt(chi) (s xi - ((w.xi + sigma xi_0) / s) w)]

with chi a chi-squared variable of B degrees of freedom and xi, xi_0 standard normal: exact in
law, O(d) per step at any batch size.
`Raw`: features W^T x and target <x, b> drawn for every sample, O(B v d) per step. It shares
nothing with the first but the schedules, which is its use.
`Homogenized`: the diffusion that replaces SGD in high dimension,
dTheta = -gamma grad P dt + gamma sqrt(2 P K / B) dB, one unit of time per step.
Source: arXiv 2505.16098 (algorithm), arXiv 2206.07252 (diffusion); the identity is derived
for this project.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from hidim.algorithms import Momentum

# Numbers per array: small enough to stay in cache, large enough to drown the call overhead.
CHUNK = 2**14
_TINY = 1e-300
_VECDOT = getattr(np, "vecdot", None)


class Walk(ABC):
    """A bundle of runs; implement `advance` and `risk`."""

    @abstractmethod
    def advance(self, first: int, count: int) -> np.ndarray:
        """Make updates first .. first+count-1; risk of each run after each, (count, runs).

        A run that leaves float range shows as infinity or NaN from there on.
        """

    @abstractmethod
    def risk(self, weight: float) -> np.ndarray:
        """Risk of each run now at the point theta + weight * momentum, shape (runs,)."""


def generator(seed: int, *key: int) -> np.random.Generator:
    """A stream of its own per key, none of them the default_rng(seed) that draws W."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))


def bundles(runs: int, modes: int) -> list[int]:
    """How many runs step together, bundle by bundle, so that their arrays stay in cache."""
    size = max(1, min(runs, CHUNK // max(modes, 1)))
    return [size] * (runs // size) + ([runs % size] if runs % size else [])


def schedule_values(algorithm: Momentum, t: np.ndarray) -> np.ndarray:
    """gamma_1, gamma_2, gamma_3 and 1 - forgetting at steps t, shape (len(t), 4)."""
    parts = (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting)
    values = np.stack([part(t) for part in parts], axis=1)
    values[:, 3] = 1.0 - values[:, 3]
    return values


def row_dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner product of each row of `a` with the same row of `b`."""
    if _VECDOT is not None:  # NumPy 2: twice as fast
        return np.asarray(_VECDOT(a, b))
    return np.einsum("ij,ij->i", a, b)


class Eigenbasis(Walk):
    """The real algorithm in the eigenbasis: exact in law for Gaussian data, O(d) per step.

    Args:
        eigenvalues: shape (modes,), none zero, every mode on its own.
        error: shape (modes,), the initial error in each mode.
        risk_floor: risk at the optimum.
        algorithm: any member of the family.
        batch_size: samples per step; math.inf makes every step deterministic.
        runs: runs in this bundle.
        seed, bundle: the noise is a function of these two and of `runs` alone.
    """

    def __init__(
        self,
        eigenvalues: np.ndarray,
        error: np.ndarray,
        risk_floor: float,
        algorithm: Momentum,
        batch_size: float,
        *,
        runs: int,
        seed: int,
        bundle: int,
    ) -> None:
        self._algorithm, self._batch, self._floor = algorithm, batch_size, risk_floor
        self._eigenvalues = eigenvalues
        self._w = np.tile(np.sqrt(eigenvalues) * error, (runs, 1))  # (runs, modes)
        self._y = np.zeros_like(self._w)  # sqrt(eigenvalues) * momentum
        # An average can be read from a momentum that never moves the parameters.
        self._momentum = algorithm.has_momentum or bool(algorithm.readouts)
        self._xi, self._xi_0, self._chi = (generator(seed, bundle, part) for part in range(3))
        self._ahead = max(1, CHUNK // max(self._w.size, 1))
        # Kept from block to block: fresh pages cost as much as the arithmetic on them.
        self._noise = np.empty((self._ahead, *self._w.shape))
        self._scratch = np.empty_like(self._w)

    def risk(self, weight: float) -> np.ndarray:
        point = self._w + weight * self._y if weight else self._w
        return self._floor + 0.5 * row_dots(point, point)

    def advance(self, first: int, count: int) -> np.ndarray:
        squares = np.empty((count + 1, len(self._w)))
        squares[0] = row_dots(self._w, self._w)
        step = self._step if len(self._w) > 1 else self._step_one
        if math.isinf(self._batch):
            step = self._descend
        for start in range(0, count, self._ahead):
            stop = min(start + self._ahead, count)
            t = np.arange(first + start, first + stop, dtype=np.float64)
            step(schedule_values(self._algorithm, t), squares[start : stop + 1])
        return self._floor + 0.5 * squares[1:]

    def _draw(self, schedules: np.ndarray) -> tuple[np.ndarray, ...]:
        """xi (steps, runs, modes), sigma xi_0, sqrt(chi) / B and chi / B (steps, runs)."""
        count, runs = len(schedules), len(self._w)
        xi = self._noise[:count]
        self._xi.standard_normal(out=xi)
        xi_0 = math.sqrt(2.0 * self._floor) * self._xi_0.standard_normal((count, runs))
        chi = 2.0 * self._chi.standard_gamma(0.5 * self._batch, (count, runs))
        # Without momentum the rate is applied to the scalars instead of to every mode.
        gain = 1.0 if self._momentum else schedules[:, 1:2]
        return xi, xi_0, np.sqrt(chi) * (gain / self._batch), chi * (gain / self._batch)

    def _step(self, schedules: np.ndarray, squares: np.ndarray) -> None:
        """One block of updates; `squares` holds |w|^2 before it and receives each one after."""
        xi, xi_0, root, mean = self._draw(schedules)
        w, floor = self._w, 2.0 * self._floor
        for i, values in enumerate(schedules.tolist()):
            gradient = xi[i]
            s = np.sqrt(np.maximum(squares[i] + floor, _TINY))
            along = (row_dots(w, gradient) + xi_0[i]) / s
            gradient *= (root[i] * s)[:, None]
            np.multiply(w, (mean[i] - root[i] * along)[:, None], out=self._scratch)
            gradient += self._scratch
            self._update(w, self._y, gradient, values, self._scratch)
            squares[i + 1] = row_dots(w, w)

    def _step_one(self, schedules: np.ndarray, squares: np.ndarray) -> None:
        """The same for a bundle of one run, with plain numbers where `_step` has short rows."""
        xi, xi_0, root, mean = self._draw(schedules)
        w, y, scratch, floor = self._w[0], self._y[0], self._scratch[0], 2.0 * self._floor
        square = float(squares[0, 0])
        columns = (
            schedules.tolist(),
            xi_0[:, 0].tolist(),
            root[:, 0].tolist(),
            mean[:, 0].tolist(),
        )
        for i, (values, residual, factor, drift) in enumerate(zip(*columns, strict=True)):
            gradient = xi[i, 0]
            s = math.sqrt(max(square + floor, _TINY))
            along = (float(w.dot(gradient)) + residual) / s
            gradient *= factor * s
            gradient += np.multiply(w, drift - factor * along, out=scratch)
            self._update(w, y, gradient, values, scratch)
            square = float(w.dot(w))
            squares[i + 1] = square

    def _descend(self, schedules: np.ndarray, squares: np.ndarray) -> None:
        """The same with infinitely many samples per step: no noise at all."""
        gradient = np.empty_like(self._w)
        for i, values in enumerate(schedules.tolist()):
            np.multiply(self._w, 1.0 if self._momentum else values[1], out=gradient)
            self._update(self._w, self._y, gradient, values, self._scratch)
            squares[i + 1] = row_dots(self._w, self._w)

    def _update(
        self,
        w: np.ndarray,
        y: np.ndarray,
        gradient: np.ndarray,
        values: list[float],
        scratch: np.ndarray,
    ) -> None:
        """Move w and y; without momentum `gradient` already carries its rate."""
        gradient *= self._eigenvalues
        if self._momentum:
            gamma_1, gamma_2, gamma_3, keep = values
            y *= keep
            y += gradient if gamma_1 == 1.0 else np.multiply(gradient, gamma_1, out=scratch)
            w -= np.multiply(y, gamma_3, out=scratch)
            gradient *= gamma_2
        w -= gradient


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
        algorithm: Momentum,
        batch_size: float,
        *,
        runs: int,
        seed: int,
        bundle: int,
    ) -> None:
        self._gamma, self._batch, self._floor = algorithm.gamma_2, batch_size, risk_floor
        self._eigenvalues = eigenvalues
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
        share = 0.5 * gamma * self._eigenvalues / self._batch  # stationary variance per 2 P

        def spread(elapsed: float) -> np.ndarray:
            return -share * np.expm1(-2.0 * elapsed * rate)

        squares = self._w**2
        half = squares @ np.exp(-span * rate) + 2.0 * self._floor
        middle = half + spread(0.5 * span).sum() * (squares.sum(axis=1) + 2.0 * self._floor)
        self._w *= np.exp(-span * rate)
        if not math.isinf(self._batch):
            deviation = np.sqrt(spread(span))
            noise = self._normals.standard_normal(self._w.shape)
            self._w += noise * deviation * np.sqrt(middle)[:, None]


class Raw(Walk):
    """The algorithm as it is written: parameters theta, features W^T x, one draw per sample.

    Args:
        W: shape (v, d).
        scale: shape (v,), standard deviation of each coordinate of x.
        target: shape (v,), b.
        noise_variance: variance of the label noise.
    """

    # Numbers drawn at once: one matrix product per block instead of one per sample.
    _DRAW = 2**21

    def __init__(
        self,
        W: np.ndarray,
        scale: np.ndarray,
        target: np.ndarray,
        noise_variance: float,
        algorithm: Momentum,
        batch_size: int,
        *,
        runs: int,
        seed: int,
        bundle: int,
    ) -> None:
        self._algorithm, self._batch, self._noise = algorithm, batch_size, noise_variance
        self._features = scale[:, None] * W  # (v, d)
        self._labels = scale * target  # (v,)
        self._theta = np.zeros((runs, W.shape[1]))
        self._y = np.zeros_like(self._theta)
        self._x, self._label_noise = generator(seed, bundle, 0), generator(seed, bundle, 1)
        self._ahead = max(1, self._DRAW // (runs * batch_size * len(W)))

    def risk(self, weight: float) -> np.ndarray:
        return self._risks(self._theta + weight * self._y)

    def _risks(self, theta: np.ndarray) -> np.ndarray:
        miss = theta @ self._features.T - self._labels
        return 0.5 * (row_dots(miss, miss) + self._noise)

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
        labels += math.sqrt(self._noise) * self._label_noise.standard_normal(labels.shape)
        t = np.arange(first, first + count, dtype=np.float64)
        for i, (gamma_1, gamma_2, gamma_3, keep) in enumerate(schedule_values(self._algorithm, t)):
            miss = np.einsum("rbd,rd->rb", phi[i], self._theta) - labels[i]
            gradient = np.einsum("rb,rbd->rd", miss, phi[i]) / self._batch
            self._y = keep * self._y + gamma_1 * gradient
            self._theta = self._theta - gamma_2 * gradient - gamma_3 * self._y
            trail[i] = self._theta
