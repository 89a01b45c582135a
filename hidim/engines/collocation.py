"""Many steps at once: one polynomial per mode and block, for steps or for continuous time.

On a block of length L every moment is a polynomial p of degree `STAGES` that satisfies

    (p(t + 1) - p(t)) = change_t p(t) + noise_t 2P(t)

at the right Radau points of the block. The left side is (e^{eps D} - I) / eps in block units,
eps = 1 / L, with D the nilpotent differentiation matrix, so it is a short exact sum without
cancellation; eps = 0 is Radau IIA for the continuous-time limit, so one code serves both.
Modes meet only through the risk: each mode is solved for its free part and for the answer
to a unit of risk at each point, then one small system closes the risk.
Source: derived for this project; the method of lines of Radau collocation is classical
(Hairer and Wanner, Solving Ordinary Differential Equations II, IV.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import ERROR, increment

STAGES = 7


def _radau_points(stages: int) -> np.ndarray:
    """Right Radau points on [0, 1], ascending, the last one 1."""
    difference = np.zeros(stages + 1)
    difference[stages - 1 :] = -1.0, 1.0
    roots = np.sort(np.polynomial.legendre.legroots(difference).real)
    roots[-1] = 1.0
    return 0.5 * (1.0 + roots)


def _barycentric(points: np.ndarray) -> np.ndarray:
    gaps = points[:, None] - points + np.eye(len(points))
    return 1.0 / gaps.prod(axis=1)


def _differentiation(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    gaps = points[:, None] - points + np.eye(len(points))
    matrix = weights / weights[:, None] / gaps
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


POINTS = np.concatenate([[0.0], _radau_points(STAGES)])  # (STAGES + 1,), block start included
_WEIGHTS = _barycentric(POINTS)
# D^k / k! for k = 1..STAGES: nilpotent, so this is the whole exponential series.
_POWERS = [_differentiation(POINTS, _WEIGHTS)]
for _k in range(2, STAGES + 1):
    _POWERS.append(_POWERS[-1] @ _POWERS[0] / _k)
# Values at POINTS -> Legendre coefficients, to see how fast the polynomial converges.
_TO_LEGENDRE = np.linalg.inv(np.polynomial.legendre.legvander(2 * POINTS - 1, STAGES))


def interpolate(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Evaluate block polynomials at x in [0, 1]; values (STAGES + 1, ...) -> (x, ...)."""
    gap = np.asarray(x, dtype=np.float64)[:, None] - POINTS
    exact = gap == 0.0
    terms = _WEIGHTS / np.where(exact, 1.0, gap)
    basis = terms / terms.sum(axis=1, keepdims=True)
    hit = exact.any(axis=1)
    basis[hit] = exact[hit]
    return np.tensordot(basis, values, axes=1)


@dataclass(frozen=True)
class Block:
    """The solution on one block.

    Args:
        sums: (STAGES + 1, 3, ...), eigenvalue-weighted moments at POINTS.
        states: (STAGES + 1, 3, ..., modes), the moments at POINTS.
        error: estimated error of the risk, relative to the smallest risk on the block; the
            largest over the targets.
    """

    sums: np.ndarray
    states: np.ndarray
    error: float


def solve_block(
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    state: np.ndarray,
    start: float,
    length: float,
    *,
    discrete: bool,
    last_time: float,
    floors: np.ndarray | None = None,
) -> Block:
    """Solve all modes over [start, start + length].

    Args:
        state: (3, modes) at `start`; (1, modes) when the algorithm has no momentum. An axis of
            targets may stand before the modes: they share the spectrum, so they cost little.
        discrete: True for steps of one, False for continuous time.
        last_time: schedules are read no later than this, the end of their current formula.
        floors: (targets,) risk floors; the spectrum's own without an axis of targets.
    """
    kinds, targets = len(state), state.shape[1:-1]
    floor = np.asarray(spectrum.risk_floor if floors is None else floors)
    flat = state.reshape(kinds, -1, state.shape[-1]).transpose(2, 0, 1)  # (modes, kinds, n)
    n = flat.shape[-1]
    times = np.minimum(start + length * POINTS[1:], last_time)
    change, noise = increment(algorithm, spectrum.eigenvalues, batch_size, times)
    change, noise = change[..., :kinds, :kinds], noise[..., :kinds]
    shift = _shift(1.0 / length if discrete else 0.0)
    modes, size = len(spectrum), STAGES * kinds
    matrix = np.empty((modes, STAGES, kinds, STAGES, kinds))
    matrix[...] = np.kron(shift[1:, 1:], np.eye(kinds)).reshape(STAGES, kinds, STAGES, kinds)
    # Columns: the free part of every target, then a unit of 2P at each point if noise is drawn.
    columns = n + STAGES if np.isfinite(batch_size) else n
    right = np.zeros((modes, STAGES, kinds, columns))
    right[..., :n] = -shift[1:, 0, None, None] * flat[:, None]
    counts = length * spectrum.counts[:, None]
    for i in range(STAGES):
        matrix[:, i, :, i, :] -= length * change[i]
        if columns > n:
            right[:, i, :, n + i] = counts * noise[i]
    answer = np.linalg.solve(matrix.reshape(modes, size, size), right.reshape(modes, size, columns))
    solution = answer[..., :n]
    if columns > n:
        shares = np.tensordot(spectrum.eigenvalues, answer[:, ERROR::kinds], axes=1)
        closing = np.eye(STAGES) - shares[:, n:]
        twice_risk = np.linalg.solve(closing, 2.0 * floor + shares[:, :n])
        solution = answer @ np.concatenate([np.eye(n), twice_risk])
    solution = solution.reshape(modes, STAGES, kinds, n)
    later = solution.transpose(1, 2, 3, 0).reshape(STAGES, kinds, *targets, modes)
    states = np.concatenate([state[None], later])
    sums = np.zeros((STAGES + 1, 3, *targets))
    sums[:, :kinds] = states @ spectrum.eigenvalues
    return Block(sums, states, _error_estimate(spectrum, floor, states, sums))


def _shift(eps: float) -> np.ndarray:
    total = _POWERS[-1].copy()
    for power in _POWERS[-2::-1]:
        total = power + eps * total
    return total


def _error_estimate(
    spectrum: Spectrum, floor: np.ndarray, states: np.ndarray, sums: np.ndarray
) -> float:
    """Size of the last Legendre coefficients of every mode's share of the risk."""
    tail = np.tensordot(_TO_LEGENDRE[-2:], states[:, ERROR], axes=1)  # (2, ..., modes)
    weight = np.abs(tail) @ spectrum.eigenvalues
    smallest = np.min(2.0 * floor + sums[:, ERROR], axis=0)
    if not np.all(np.isfinite(sums)) or np.any(smallest < 0.0):
        return math.inf
    # The tiny number lets a run without a floor sink below float range.
    return float(np.max((weight[1] + 0.05 * weight[0]) / (smallest + 1e-290)))
