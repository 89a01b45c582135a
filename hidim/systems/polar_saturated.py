"""How does SignSVD move where the signal is not small beside the noise? Step by step.

With p_i = lambda_i rho_i / (n_i 2P) the share of a mode in the residual, g_i = lambda_i p_i the
square of its signal, f normal, k = E[f^2 / (1 + Z f^2)] and w = E[f^4 / (1 + Z f^2)] / k - 1,

    M~ = 1 / (t^2 (1 + s~ + (k^2/m) sum_j n_j g_j M_j)),
    M_i = 1 / (t^2 (1 + s lambda_i (1 + w p_i) + M~ k^2 g_i)),
    c = sum_j n_j lambda_j M_j,   Z = m M~ c t^2 / B^2,   s = m M~ k / B,   s~ = c k / B

have one root for every t > 0, and E (U V^T) q_i = lambda_i r_i / sqrt(2P) times

    (2 / pi) int_0^inf t^2 M~ M_i k dt,

which is F_i of polar_drift.py where all p are 0. k^2 is there because a sample's part of the signal
leans on its own residual, and 1 + w p_i because its row does: e^2 x_i^2 has the mean 2P lambda_i
(1 + 2 p_i). The noise is that of the linear theory. Solved by Newton's method at every step, from
the root of the step before.
Source: derived for this project, docs/theory/muon.md. Limits: no momentum; Gaussian noise; columns
of the optimum in unrelated directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.problems.matrix import MatrixLeastSquares
from hidim.systems.base import Array, Drive
from hidim.systems.polar_drift import MuonDrift, centre
from hidim.systems.saturating import Saturating

_LOG_T = np.arange(-13.0, 13.0 + 0.1, 0.2)
_TRIES, _CLOSE = 25, 1e-9
_SETTLING, _SMALLEST = 400, 1e-290
_LEAST, _FEW = 12.0, 4.0  # rows and columns, and modes that hold the trace
_TOO_FAST, _MISSING = 3.0, 0.04  # times 1 / min(m, d); share of the excess that is told
_LONGEST = 2.0  # move of a logarithm in one try
_MOST_WORK = 1e12  # multiplications that a run may take, a quarter of an hour of them


class PolarFactors:
    """Factors of the drift at given signals, from the last root.

    Args:
        along, count: eigenvalues and how often each occurs.
        outputs, batch: rows of the matrix, samples per step.
    """

    def __init__(self, along: Array, count: Array, outputs: int, batch: float) -> None:
        self._along, self._count, self._rows, self._batch = along, count, outputs, batch
        self._t = np.exp(_LOG_T + centre(along, count, outputs, batch))
        self._root: tuple[Array, Array] | None = None

    def __call__(self, signals: Array, shares: Array) -> Array:
        """Factors at the squares of the signals g and the shares p of the residual, (modes,)."""
        left = math.inf
        if self._root is not None:
            root, left, factors = self._solved(self._t, self._root, signals, shares)
        if not left < _CLOSE:
            guess = self._swept(signals, shares)
            root, left, factors = self._solved(self._t, guess, signals, shares)
        self._root = root
        return factors

    def _swept(self, signals: Array, shares: Array) -> tuple[Array, Array]:
        """The root at every t in turn, from large t on, where there is nothing but t."""
        found = np.empty((2, len(self._t)))
        trace = float(self._count @ self._along)
        log_g = -2.0 * np.log(self._t[-1:])
        root = np.log(self._rows * trace / self._batch**2) + log_g, log_g
        before = root
        for i in range(len(self._t) - 1, -1, -1):
            # On along a line, from one t to the next.
            guess = 2.0 * root[0] - before[0], 2.0 * root[1] - before[1]
            before = root
            root, _, _ = self._solved(self._t[i : i + 1], guess, signals, shares)
            found[:, i] = root[0][0], root[1][0]
        return found[0], found[1]

    def _solved(
        self, t: Array, guess: tuple[Array, Array], signals: Array, shares: Array
    ) -> tuple[tuple[Array, Array], float, Array]:
        """The root at the times t from a guess, what is left of the equations, the factors."""
        log_z, log_g = guess
        for _ in range(_TRIES):
            first, second, (a, b, c, d), factors = self._residuals(t, log_z, log_g, signals, shares)
            left = float(max(np.max(np.abs(first)), np.max(np.abs(second))))
            if left < _CLOSE:
                break
            det = a * d - b * c
            log_z = log_z - np.clip((d * first - b * second) / det, -_LONGEST, _LONGEST)
            log_g = log_g - np.clip((a * second - c * first) / det, -_LONGEST, _LONGEST)
        return (log_z, log_g), left, factors

    def _residuals(
        self, t: Array, log_z: Array, log_g: Array, signals: Array, shares: Array
    ) -> tuple[Array, Array, tuple[Array, Array, Array, Array], Array]:
        """Of both equations in logarithms, their derivatives by both, and the factors there."""
        rows, batch, t_2 = self._rows, self._batch, t**2
        Z, G = np.exp(log_z), np.exp(log_g)
        k, slope, own, own_slope = _means(Z)
        s = (rows / batch * G * k)[:, None] * self._along
        by_s = s * (1.0 + own[:, None] * shares)
        by_g = (G * k**2)[:, None] * signals
        den = 1.0 + by_s + by_g
        M = 1.0 / (t_2[:, None] * den)
        weighted, pulled = M * (self._count * self._along), M * (self._count * signals)
        c, X = weighted.sum(axis=1), k**2 * pulled.sum(axis=1) / rows
        # d log den by log Z and by log G
        by_z = (by_s * slope[:, None] + s * shares * own_slope[:, None]) / den
        by_z += 2.0 * slope[:, None] * by_g / den
        by_log_g = (by_s + by_g) / den
        c_z, c_g = -(weighted * by_z).sum(axis=1) / c, -(weighted * by_log_g).sum(axis=1) / c
        X_z = 2.0 * slope * X - k**2 * (pulled * by_z).sum(axis=1) / rows
        X_g = -(k**2) * (pulled * by_log_g).sum(axis=1) / rows
        tilde = c * k / batch
        A = 1.0 + tilde + X
        first = log_z - np.log(rows * G * c * t_2 / batch**2)
        second = log_g + np.log(t_2 * A)
        jacobian = (
            1.0 - c_z,
            -1.0 - c_g,
            (tilde * (c_z + slope) + X_z) / A,
            1.0 + (tilde * c_g + X_g) / A,
        )
        weights = (_LOG_T[1] - _LOG_T[0]) * t
        weights[0] += 0.5 * t[0]
        factors = (2.0 / math.pi) * ((weights * t_2 * G * k) @ M)
        return first, second, jacobian, factors


def _means(Z: Array) -> tuple[Array, Array, Array, Array]:
    """k = E[f^2 / (1 + Z f^2)], w = E[f^4 / (1 + Z f^2)] / k - 1, and their slopes in log Z.

    The slope of k is that of its logarithm.
    """
    from scipy.special import erfcx  # on use: importing hidim imports no SciPy

    small = Z < 1e-3
    z = np.where(small, 1e-3, Z)
    x = 1.0 / np.sqrt(2.0 * z)
    g = math.sqrt(math.pi) * x * erfcx(x)
    k = (1.0 - g) / z
    slope = (g * (0.5 + x**2) - x**2) / (1.0 - g) - 1.0
    near = 1.0 - Z * (3.0 - Z * (15.0 - 105.0 * Z))
    k = np.where(small, near, k)
    slope = np.where(small, -Z * (3.0 - Z * (30.0 - 315.0 * Z)) / near, slope)
    ratio = np.where(small, (3.0 - Z * (15.0 - 105.0 * Z)) / k, (1.0 - k) / (z * k))
    ratio_slope = -slope * k / np.maximum(1.0 - k, 1e-300) - 1.0 - slope
    ratio_slope = np.where(small, -2.0 * Z, ratio_slope)
    return k, slope, ratio - 1.0, ratio * ratio_slope


def small(problem: MatrixLeastSquares, batch: float) -> str:
    """What is to be careful about where a matrix is small, or its rows are; mostly nothing."""
    spectrum, told = problem.spectrum, []
    least = min(float(problem.outputs), spectrum.dimension)
    if least < _LEAST:
        told.append(
            f"polar factors are predicted for large matrices, and one side of this has {least:g}: "
            "some 3 % of the excess too low at 12, more below"
        )
    modes = spectrum.trace / float(spectrum.eigenvalues[0])
    if modes < _FEW and batch < problem.outputs:
        told.append(
            "polar factors of few samples are predicted for rows of nearly one length, and the "
            f"trace is only {modes:.2g} times the largest eigenvalue: some 6 % of the excess too "
            "low at 2"
        )
    return "; ".join(told)


def adds_up(
    problem: MatrixLeastSquares,
    floor: float,
    eta: Schedule,
    drift: MuonDrift,
    at: Array,
    risk: Array,
) -> str:
    """What a drift a little too fast at a finite size has made of an excess that fell far.

    Up to 3 / min(m, d) of it for every factor e that it fell (measured, docs/theory/muon.md),
    as far as it is not where noise holds it, T^2 (1 + sqrt(1 + (v/T)^2)).
    """
    spectrum, known = problem.spectrum, np.isfinite(risk) & (np.asarray(risk) > floor)
    left = np.asarray(risk)[known] - floor
    moving = drift.F > 0
    per_rate = float(spectrum.multiplicity[moving] @ (drift.q[moving] / drift.F[moving]))
    T = 0.25 * per_rate * eta(at[known])
    held = T**2 + T * np.sqrt(T**2 + 2.0 * floor)
    fallen = 0.5 * float(spectrum.eigenvalues @ spectrum.error_sq) / left
    least = min(float(problem.outputs), spectrum.dimension)
    missing = (
        _TOO_FAST / least * np.log(np.maximum(fallen, 1.0)) * np.maximum(1.0 - held / left, 0.0)
    )
    if not missing.size or missing.max() <= _MISSING:
        return ""
    worst = int(np.argmax(missing))
    return (
        f"at {least:g} rows or columns an excess on its way down is predicted too low, by up to "
        f"{-math.expm1(-missing[worst]):.0%} where it fell by {fallen[worst]:.2g}"
    )


@dataclass(frozen=True, eq=False)
class SaturatedPolar(Saturating):
    """Mean square error of every mode.

    Args:
        spectrum: the matrix problem.
        floor: the risk's, with the variance of the noise law in it.
        eta: the rate.
        batch_size: samples per step.
        drift: of the linear theory, whose q is the noise.
    """

    spectrum: MatrixLeastSquares
    floor: float
    eta: Schedule
    batch_size: float
    drift: MuonDrift

    kinds = 1

    @cached_property
    def _factors(self) -> PolarFactors:
        one = self.spectrum.spectrum
        moving = one.eigenvalues > 0
        return PolarFactors(
            one.eigenvalues[moving], self._count[moving], self.spectrum.outputs, self.batch_size
        )

    @cached_property
    def _count(self) -> Array:
        return self.spectrum.spectrum.multiplicity

    @property
    def work_per_step(self) -> float:  # type: ignore[override]
        """Some iterations of some operations for every t and mode."""
        return 40.0 * len(_LOG_T) * len(self._count)

    def start(self) -> Array:
        """W = 0."""
        return self.spectrum.spectrum.error_sq[None].copy()

    @cached_property
    def weights(self) -> Array:
        """Eigenvalues."""
        return self.spectrum.spectrum.eigenvalues[None, None].copy()

    def order(self, x: Array) -> Array:
        """Twice the excess."""
        return np.asarray((x[..., 0, :] @ self.spectrum.spectrum.eigenvalues)[..., None])

    def step(self, t: float, x: Array, q: Array, drive: Drive | None = None) -> Array:
        """One step of every mode."""
        eta, along = float(self.eta(float(t))), self.spectrum.spectrum.eigenvalues
        twice = max(2.0 * self.floor + float(q[0]), 1e-300)
        signals = np.maximum(along**2 * x[0] / (self._count * twice), 0.0)
        factors = np.zeros_like(along)
        shares = np.maximum(along * x[0] / (self._count * twice), 0.0)
        factors[along > 0] = self._factors(signals[along > 0], shares[along > 0])
        kept = 1.0 - 2.0 * eta * along * factors / math.sqrt(twice)
        return np.asarray((kept * x[0] + eta**2 * self._count * self.drift.q)[None])

    def resting(self, t: float) -> Array | None:
        """Where every mode's noise is what its drift takes away."""
        eta, spectrum = float(self.eta(t)), self.spectrum.spectrum
        moving = spectrum.eigenvalues > 0
        if eta == 0.0:
            return None
        along, count = spectrum.eigenvalues[moving], self._count[moving]
        rest, noise = np.zeros(len(along)), count * self.drift.q[moving]
        twice = 2.0 * self.floor + float(along @ (eta**2 * noise)) + _SMALLEST
        for _ in range(_SETTLING):
            shares = np.maximum(along * rest / (count * twice), 0.0)
            pull = 2.0 * along * self._factors(along * shares, shares)
            after = eta * noise * math.sqrt(twice) / pull
            close = np.allclose(after, rest, rtol=1e-11)
            rest = after if not rest.any() else np.sqrt(after * np.maximum(rest, _SMALLEST))
            twice = 2.0 * self.floor + float(along @ rest)
            if close:
                break
        state = np.zeros((1, len(moving)))
        state[0, moving] = rest
        return state

    def caution(self, last: float) -> str:
        """Whether the matrix is too small."""
        return small(self.spectrum, self.batch_size)

    def doubts(self, at: Array, risk: Array) -> str:
        """Whether the excess fell so far that errors of a finite size add up."""
        return adds_up(self.spectrum, self.floor, self.eta, self.drift, at, risk)

    @property
    def longest(self) -> float:  # type: ignore[override]
        """So many steps that a run takes a quarter of an hour."""
        return float(math.floor(_MOST_WORK / self.work_per_step))

    def facts(self, last: float) -> dict[str, str]:
        """Which law of the drift this is, what it costs and how far it goes."""
        cost = f"{self.work_per_step:.2g} multiplications a step, up to {self.longest:.3g} steps"
        return {"drift": "saturated", "cost": cost}
