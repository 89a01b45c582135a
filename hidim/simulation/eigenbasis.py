"""The real algorithm on Gaussian or elliptical data, seen in the basis of the eigenvectors.

With w = sqrt(eigenvalues) * error, sigma^2 = 2 risk_floor and s^2 = |w|^2 + sigma^2, the sum of B
sample gradients is, in the same coordinates,

    eigenvalues * [chi w + sqrt(chi) (s xi - ((w.xi + sigma xi_0) / s) w)]

with chi a chi-squared variable of B degrees of freedom and xi, xi_0 standard normal. Where rows
have two lengths l, each with its noise sigma_l and its own chi_l, of as many degrees of freedom as
the batch has rows of it, the same holds with

    sum_l l^2 chi_l  for the first chi,    sum_l l^4 chi_l  for the others,
    sigma^2 = sum_l l^2 sigma_l^2 chi_l / sum_l l^4 chi_l:

exact in law, O(d) per step at any batch size.
Source: arXiv 2505.16098 (algorithm); the identity is derived for this project.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.algorithms import Momentum
from hidim.algorithms.update import momentum_step
from hidim.problems.law import DataLaw
from hidim.simulation.lengths import Lengths
from hidim.simulation.walk import CHUNK, Walk, generator, row_dots

_TINY = 1e-300


class Eigenbasis(Walk):
    """The real algorithm in the eigenbasis: exact in law, O(d) per step.

    Args:
        eigenvalues: shape (modes,), none zero, every mode on its own.
        error: shape (modes,), the initial error in each mode.
        risk_floor: risk at the optimum.
        law: of the rows; see lengths.py for how they are drawn.
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
        law: DataLaw,
        algorithm: Momentum,
        batch_size: float,
        *,
        runs: int,
        seed: int,
        bundle: int,
    ) -> None:
        self._update, self._batch, self._floor = algorithm.update(), batch_size, risk_floor
        self._eigenvalues = eigenvalues
        self._w = np.tile(np.sqrt(eigenvalues) * error, (runs, 1))  # (runs, modes)
        self._y = np.zeros_like(self._w)  # sqrt(eigenvalues) * momentum
        self._momentum = self._update.keeps_momentum
        self._lengths = Lengths.of(law, noisy=risk_floor > 0)
        parts = (generator(seed, bundle, part) for part in range(4))
        self._xi, self._xi_0, self._chi, self._counts = parts
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
            values = self._update.coefficients(first + start, stop - start)
            step(values, squares[start : stop + 1])
        return self._floor + 0.5 * squares[1:]

    def _draw(self, schedules: np.ndarray) -> tuple[np.ndarray, ...]:
        """xi (steps, runs, modes), and (steps, runs): sigma xi_0, sqrt(chi)/B, chi/B, sigma^2."""
        count, runs = len(schedules), len(self._w)
        xi = self._noise[:count]
        self._xi.standard_normal(out=xi)
        xi_0 = self._xi_0.standard_normal((count, runs))
        drift, spread, floor = self._draw_lengths((count, runs))
        # Without momentum the rate is applied to the scalars instead of to every mode.
        gain = (1.0 if self._momentum else schedules[:, 1:2]) / self._batch
        return xi, np.sqrt(floor) * xi_0, np.sqrt(spread) * gain, drift * gain, floor

    def _draw_lengths(self, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
        """The first chi, the others, and sigma^2."""
        if self._lengths is None:
            chi = 2.0 * self._chi.standard_gamma(0.5 * self._batch, shape)
            return chi, chi, np.broadcast_to(2.0 * self._floor, shape)
        share, squares, noise = self._lengths
        long = self._counts.binomial(int(self._batch), share, shape)
        rows = np.stack([self._batch - long, long], axis=-1)  # (steps, runs, 2)
        chi = 2.0 * self._chi.standard_gamma(0.5 * rows)
        spread = np.maximum(chi @ squares**2, _TINY)
        return chi @ squares, spread, 2.0 * self._floor * (chi @ (squares * noise)) / spread

    def _step(self, schedules: np.ndarray, squares: np.ndarray) -> None:
        """One block of updates; `squares` holds |w|^2 before it and receives each one after."""
        xi, xi_0, root, mean, floor = self._draw(schedules)
        w = self._w
        for i, values in enumerate(schedules.tolist()):
            gradient = xi[i]
            s = np.sqrt(np.maximum(squares[i] + floor[i], _TINY))
            along = (row_dots(w, gradient) + xi_0[i]) / s
            gradient *= (root[i] * s)[:, None]
            np.multiply(w, (mean[i] - root[i] * along)[:, None], out=self._scratch)
            gradient += self._scratch
            self._move(w, self._y, gradient, values, self._scratch)
            squares[i + 1] = row_dots(w, w)

    def _step_one(self, schedules: np.ndarray, squares: np.ndarray) -> None:
        """The same for a bundle of one run, with plain numbers where `_step` has short rows."""
        xi, xi_0, root, mean, floor = self._draw(schedules)
        w, y, scratch = self._w[0], self._y[0], self._scratch[0]
        square = float(squares[0, 0])
        columns = (
            schedules.tolist(),
            xi_0[:, 0].tolist(),
            root[:, 0].tolist(),
            mean[:, 0].tolist(),
            floor[:, 0].tolist(),
        )
        for i, (values, residual, factor, drift, own) in enumerate(zip(*columns, strict=True)):
            gradient = xi[i, 0]
            s = math.sqrt(max(square + own, _TINY))
            along = (float(w.dot(gradient)) + residual) / s
            gradient *= factor * s
            gradient += np.multiply(w, drift - factor * along, out=scratch)
            self._move(w, y, gradient, values, scratch)
            square = float(w.dot(w))
            squares[i + 1] = square

    def _descend(self, schedules: np.ndarray, squares: np.ndarray) -> None:
        """The same with infinitely many samples per step: no noise at all."""
        gradient = np.empty_like(self._w)
        for i, values in enumerate(schedules.tolist()):
            np.multiply(self._w, 1.0 if self._momentum else values[1], out=gradient)
            self._move(self._w, self._y, gradient, values, self._scratch)
            squares[i + 1] = row_dots(self._w, self._w)

    def _move(
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
            momentum_step(w, y, gradient, values, scratch)
        else:
            w -= gradient
