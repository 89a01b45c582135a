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
from hidim.systems.momentum import CROSS, ERROR, MOMENTUM, increment

STAGES = 7
# Risks below this are nothing: a run without a floor sinks through float range to zero.
_TINY = 1e-290
# A kept E y^2 is held to 30 times the error of the risk, relative to itself.
_MOMENTUM_SHARE = 1.0 / 30.0


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
TO_LEGENDRE = np.linalg.inv(np.polynomial.legendre.legvander(2 * POINTS - 1, STAGES))


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
        end: (kinds, ..., modes), the moments where the block ends.
        error: estimated error of the risk, relative to the smallest risk on the block; the
            largest over the targets.
        states: (STAGES + 1, kinds, ..., modes), the moments at POINTS, where they are known.
    """

    sums: np.ndarray
    end: np.ndarray
    error: float
    states: np.ndarray | None = None


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
    watch: Watch | None = None,
) -> Block:
    """Solve all modes over [start, start + length].

    Args:
        state: (3, modes) at `start`; (1, modes) when the momentum neither acts nor is read. An
            axis of targets may stand before the modes: they share the spectrum, so they cost
            little.
        discrete: True for steps of one, False for continuous time.
        last_time: schedules are read no later than this, the end of their current formula.
        floors: (targets,) risk floors; the spectrum's own without an axis of targets.
        watch: what beside the risk at the iterate the error must count.
    """
    kinds, targets = len(state), state.shape[1:-1]
    floor = np.asarray(spectrum.risk_floor if floors is None else floors)
    flat = state.reshape(kinds, -1, state.shape[-1]).transpose(2, 0, 1)  # (modes, kinds, n)
    n = flat.shape[-1]
    times = np.minimum(start + length * POINTS[1:], last_time)
    answer = responses(
        spectrum.eigenvalues, spectrum.counts, algorithm, batch_size, flat, times, length,
        discrete=discrete,
    )  # fmt: skip
    solution = answer[..., :n]
    if answer.shape[-1] > n:
        shares = np.tensordot(spectrum.eigenvalues, answer[:, :, ERROR], axes=1)
        twice_risk = close(shares, floor)
        solution = answer @ np.concatenate([np.eye(n), twice_risk])
    later = solution.transpose(1, 2, 3, 0).reshape(STAGES, kinds, *targets, len(spectrum))
    states = np.concatenate([state[None], later])
    sums = np.zeros((STAGES + 1, 3, *targets))
    sums[:, :kinds] = states @ spectrum.eigenvalues
    last = ERROR + 1 if watch is None else kinds
    tails = np.tensordot(TO_LEGENDRE[-2:], states[:, :last], axes=1)
    error = error_estimate(spectrum.eigenvalues, floor, tails, sums, watch)
    return Block(sums, states[-1], error, states)


def responses(
    eigenvalues: np.ndarray,
    counts: np.ndarray,
    algorithm: Momentum,
    batch_size: float,
    states: np.ndarray,
    times: np.ndarray,
    length: float,
    *,
    discrete: bool,
) -> np.ndarray:
    """Every mode by itself: what becomes of its states, and of a unit of 2P at each point.

    Args:
        states: (modes, kinds, n) at the start of the block, or (kinds, n) for every mode.
        times: (STAGES,) when the schedules are read.

    Returns:
        (modes, STAGES, kinds, n + STAGES); n columns alone where no noise is drawn.
    """
    kinds, n = states.shape[-2:]
    change, noise = increment(algorithm, eigenvalues, batch_size, times)
    change, noise = change[..., :kinds, :kinds], noise[..., :kinds]
    shift = _shift(1.0 / length if discrete else 0.0)
    modes, size = len(eigenvalues), STAGES * kinds
    matrix = np.empty((modes, STAGES, kinds, STAGES, kinds))
    matrix[...] = np.kron(shift[1:, 1:], np.eye(kinds)).reshape(STAGES, kinds, STAGES, kinds)
    # Columns: the free part of every state, then a unit of 2P at each point if noise is drawn.
    columns = n + STAGES if np.isfinite(batch_size) else n
    right = np.zeros((modes, STAGES, kinds, columns))
    right[..., :n] = -shift[1:, 0, None, None] * states[..., None, :, :]
    weights = length * counts[:, None]
    for i in range(STAGES):
        matrix[:, i, :, i, :] -= length * change[i]
        if columns > n:
            right[:, i, :, n + i] = weights * noise[i]
    answer = np.linalg.solve(matrix.reshape(modes, size, size), right.reshape(modes, size, columns))
    return answer.reshape(modes, STAGES, kinds, columns)


def close(shares: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """2P at the points, (STAGES, n), from the shares (STAGES, n + STAGES) of states and noise."""
    n = shares.shape[-1] - STAGES
    return np.linalg.solve(np.eye(STAGES) - shares[:, n:], 2.0 * floor + shares[:, :n])


def _shift(eps: float) -> np.ndarray:
    total = _POWERS[-1].copy()
    for power in _POWERS[-2::-1]:
        total = power + eps * total
    return total


@dataclass(frozen=True)
class Watch:
    """What beside the risk at the iterate a block must get right.

    Args:
        weights: (STAGES + 1,), w at POINTS of the point theta + w y whose risk is read.
        momentum: whether E y^2 counts by itself, as where every moment is kept.
    """

    weights: np.ndarray
    momentum: bool = False


def error_estimate(
    eigenvalues: np.ndarray,
    floor: np.ndarray,
    tails: np.ndarray,
    sums: np.ndarray,
    watch: Watch | None = None,
) -> float:
    """How far the block is from converged: sizes of the last Legendre coefficients.

    Args:
        tails: (2, kinds, ..., modes), the last two coefficients; those of the error alone
            without `watch`.
        sums: (STAGES + 1, 3, ...).
    """
    lowest = np.min(2.0 * floor + sums[:, ERROR], axis=0)
    if not np.all(np.isfinite(sums)) or np.any(lowest < -_TINY):
        return math.inf
    found = _size(tails[:, ERROR], eigenvalues) / (np.maximum(lowest, 0.0) + _TINY)
    if watch is not None and tails.shape[1] > 1:
        found = np.maximum(found, _watched(eigenvalues, floor, tails, sums, watch))
    return float(np.max(found))


def _size(tails: np.ndarray, eigenvalues: np.ndarray) -> np.ndarray:
    weight = np.abs(tails) @ eigenvalues
    return np.asarray(weight[1] + 0.05 * weight[0])


def _watched(
    eigenvalues: np.ndarray, floor: np.ndarray, tails: np.ndarray, sums: np.ndarray, watch: Watch
) -> np.ndarray:
    def at_point(moments: np.ndarray, w: float | np.ndarray) -> np.ndarray:
        return moments[:, ERROR] + 2.0 * w * moments[:, CROSS] + w**2 * moments[:, MOMENTUM]

    w = watch.weights
    point = 2.0 * floor + at_point(sums, w.reshape(-1, *np.ones(sums.ndim - 2, dtype=int)))
    lowest = np.min(point, axis=0)
    size = np.max([_size(at_point(tails, end), eigenvalues) for end in (w[0], w[-1])], axis=0)
    found = np.where(lowest < -_TINY, np.inf, size / (np.maximum(lowest, 0.0) + _TINY))
    if watch.momentum:
        largest = np.max(np.abs(sums[:, MOMENTUM]), axis=0)
        share = _size(tails[:, MOMENTUM], eigenvalues) / (largest + _TINY)
        found = np.maximum(found, _MOMENTUM_SHARE * share)
    return np.asarray(found)
