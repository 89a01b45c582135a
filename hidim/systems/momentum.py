"""How the second moments of one eigenmode move in one step, shared by the engines.

Each mode carries E r^2, E y^2 and E r y, with r the error and y the momentum along the
eigenvector. With q = E g^2 = (1 + 1/B) lambda^2 E r^2 + (n lambda / B) 2P, the second moment
of the batch gradient along it, G = gamma_2 + gamma_1 gamma_3 and D = 1 - forgetting:

    E r^2  +=  -2 G lambda E r^2 + G^2 q + gamma_3^2 D^2 E y^2 - 2 gamma_3 D (1 - G lambda) E r y
    E y^2  +=  (D^2 - 1) E y^2 + gamma_1^2 q + 2 gamma_1 D lambda E r y
    E r y  +=  gamma_1 lambda E r^2 - G gamma_1 q - gamma_3 D^2 E y^2
               + (D - 1 - (G + gamma_1 gamma_3) D lambda) E r y

Exact in expectation for Gaussian data, any dimension, batch B and step size; the modes meet
only in the risk P. `n` is the multiplicity of a node. Source: arXiv 2505.16098, rederived in
docs/notation.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import Schedule
from hidim.problems.spectrum import Spectrum

ERROR, MOMENTUM, CROSS = 0, 1, 2


@dataclass(frozen=True)
class Coefficients:
    """The algorithm's scalars at given times, each of shape (times,)."""

    gamma_1: np.ndarray
    gamma_3: np.ndarray
    total: np.ndarray  # G
    keep: np.ndarray  # D

    @classmethod
    def at(cls, algorithm: Momentum, t: np.ndarray) -> Coefficients:
        """Evaluate the four schedules at the times `t`."""
        gamma_1, gamma_3 = algorithm.gamma_1(t), algorithm.gamma_3(t)
        total = algorithm.gamma_2(t) + gamma_1 * gamma_3
        return cls(gamma_1, gamma_3, total, 1.0 - algorithm.forgetting(t))


def initial_moments(spectrum: Spectrum) -> np.ndarray:
    """Moments at step 0, shape (3, modes): all error, no momentum."""
    state = np.zeros((3, len(spectrum)))
    state[ERROR] = spectrum.error_sq
    return state


def followed(
    algorithm: Momentum, readout: Schedule | None = None, *, moments: bool = False
) -> Momentum:
    """What an engine must follow: plain SGD where the momentum neither acts nor is read.

    Momentum that only a readout sees, as the average of SGD is, has to be carried along; momentum
    that nobody sees need not, and may grow past float range.

    Args:
        readout: weight of the point that is read; None for the iterate.
        moments: whether every moment is kept.
    """
    read = moments or (readout is not None and readout.constant != 0.0)
    if algorithm.has_momentum or (read and algorithm.gamma_1.constant != 0.0):
        return algorithm
    return Momentum(0.0, algorithm.gamma_2, 0.0, 1.0, name=algorithm.name)


def increment(
    algorithm: Momentum, eigenvalues: np.ndarray, batch_size: float, t: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per-step change of the moments as a linear map, without the subtraction of one.

    Args:
        algorithm: the member of the family.
        eigenvalues: shape (modes,).
        batch_size: B >= 1, math.inf for full batches.
        t: shape (times,), steps, real between the integers.

    Returns:
        change: (times, modes, 3, 3), the step map minus the identity, without the risk.
        noise: (times, modes, 3), what a unit of 2P adds to a mode of multiplicity one.
    """
    c = Coefficients.at(algorithm, np.asarray(t, dtype=np.float64))
    gamma_1, gamma_3, total, keep = (
        x[:, None] for x in (c.gamma_1, c.gamma_3, c.total, c.keep)
    )  # (times, 1)
    forget = algorithm.forgetting(t)[:, None]
    curve = (1.0 + 1.0 / batch_size) * eigenvalues**2
    change = np.empty((len(c.total), len(eigenvalues), 3, 3))
    change[..., ERROR, ERROR] = -2.0 * total * eigenvalues + total**2 * curve
    change[..., ERROR, MOMENTUM] = gamma_3**2 * keep**2
    change[..., ERROR, CROSS] = -2.0 * gamma_3 * keep * (1.0 - total * eigenvalues)
    change[..., MOMENTUM, ERROR] = gamma_1**2 * curve
    change[..., MOMENTUM, MOMENTUM] = -forget * (1.0 + keep)
    change[..., MOMENTUM, CROSS] = 2.0 * gamma_1 * keep * eigenvalues
    change[..., CROSS, ERROR] = gamma_1 * eigenvalues - total * gamma_1 * curve
    change[..., CROSS, MOMENTUM] = -gamma_3 * keep**2
    change[..., CROSS, CROSS] = -forget - (total + gamma_1 * gamma_3) * keep * eigenvalues
    per_risk = eigenvalues / batch_size
    noise = np.empty((len(c.total), len(eigenvalues), 3))
    noise[..., ERROR] = total**2 * per_risk
    noise[..., MOMENTUM] = gamma_1**2 * per_risk
    noise[..., CROSS] = -total * gamma_1 * per_risk
    return change, noise


def step_by_step(
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    state: np.ndarray,
    first: float,
    count: int,
    *,
    overflow: float,
    keep_states: bool = False,
    floors: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The plain recursion for `count` steps from step `first`.

    Args:
        state: (3, modes) at step `first`, or (3, targets, modes); not changed.
        overflow: stop once 2 (risk - floor) passes this or is no longer finite.
        keep_states: also return the state at every step.
        floors: (targets,) risk floors; the spectrum's own without an axis of targets.

    Returns:
        state after the last step made; sums (made + 1, 3, ...) of eigenvalue-weighted moments at
        steps first..first + made; the states at those steps if asked for.
    """
    c = Coefficients.at(algorithm, first + np.arange(count, dtype=np.float64))
    eigenvalues = spectrum.eigenvalues
    square = eigenvalues**2
    spread = square / batch_size  # the batch's own share of E g^2
    per_risk = spectrum.counts * eigenvalues / batch_size
    floor = 2.0 * np.asarray(spectrum.risk_floor if floors is None else floors)
    error, momentum, cross = state
    sums = np.zeros((count + 1, 3, *state.shape[1:-1]))
    sums[0] = state @ eigenvalues
    states = [state]
    made = count
    alone = not (np.any(c.gamma_1) or np.any(state[1:]))  # no momentum, nor will there be any
    for i in range(count):
        gamma_1, gamma_3, total, keep = c.gamma_1[i], c.gamma_3[i], c.total[i], c.keep[i]
        # (1 - G lambda)^2 as one factor after the other: no sum of three that cancels where a step
        # removes nearly all error, and no 1 - G lambda whose rounding every step would repeat.
        pull = total * eigenvalues
        noise = spread * error + per_risk * (floor + sums[i, ERROR])[..., None]
        left = error - pull * error
        if alone:
            error = left - pull * left + (total * total) * noise
            sums[i + 1, ERROR] = error @ eigenvalues
        else:
            kept = (keep * keep) * momentum
            moved = keep * cross
            along = eigenvalues * moved
            held = moved - total * along
            cross = gamma_1 * (eigenvalues * left - total * noise) - gamma_3 * kept
            cross += held - (gamma_1 * gamma_3) * along
            momentum = (gamma_1 * gamma_1) * (square * error + noise) + kept
            momentum += (2.0 * gamma_1) * along
            error = left - pull * left + (total * total) * noise
            error += gamma_3 * (gamma_3 * kept - 2.0 * held)
            sums[i + 1] = error @ eigenvalues, momentum @ eigenvalues, cross @ eigenvalues
        if keep_states:
            states.append(np.stack([error, momentum, cross]))
        within = np.abs(sums[i + 1, ERROR]) < overflow
        if not (within.all() if within.ndim else within):
            made = i + 1
            break
    return np.stack([error, momentum, cross]), sums[: made + 1], states
