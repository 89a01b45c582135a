"""Full batches and constant rates: the state at any step by powers of each mode's own map.

Without noise the modes do not meet and nothing is random, so error r and momentum y move by

    (r, y)  <-  A (r, y),      A = [[1 - G lambda, -gamma_3 D], [gamma_1 lambda, D]],

and the risk is quadratic in the two. A^(2^k) comes by squaring in twice the precision:
the digits that a slow mode needs beside the identity, and the phase of one that rings, are there
after 1e20 steps still. A step is reached from its largest power of two downwards, so rounding is
relative to the state no longer than half the time ago: the risk is right to about 1e-12 of its
size around the step, however far it has fallen.
Needed where heavy ball rings for longer than any polynomial can follow.
"""

from __future__ import annotations

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.problems.spectrum import Spectrum
from hidim.systems.double_double import Pair, add, matrix_product, pair, product


def constant_rates(algorithm: Momentum) -> bool:
    """Whether none of the four schedules moves."""
    parts = (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting)
    return all(part.constant is not None for part in parts)


def states_by_powers(spectrum: Spectrum, algorithm: Momentum, at: np.ndarray) -> np.ndarray:
    """r and y from r = 1, y = 0 at the ascending steps `at`, (n, 2, modes).

    The modes must be stable by themselves.
    """
    doublings = _doublings(spectrum.eigenvalues, algorithm, int(at[-1]).bit_length())
    r, y = _responses(doublings, np.asarray(at, dtype=np.float64), len(spectrum))
    return np.stack([r.T, y.T], axis=1)


def _doublings(eigenvalues: np.ndarray, algorithm: Momentum, count: int) -> list[np.ndarray]:
    """The maps of 1, 2, 4, ... steps, each (modes, 2, 2)."""
    last = _step_map(eigenvalues, algorithm)
    found = [last[0]]
    while len(found) < count:
        last = matrix_product(last, last)
        found.append(last[0])
    return found


def _step_map(eigenvalues: np.ndarray, algorithm: Momentum) -> Pair:
    """A of every mode, exact to 32 digits of what the rates say."""
    gamma_1, gamma_2, gamma_3, minus_forgetting = (
        pair(np.asarray(value, dtype=np.float64))
        for value in (
            algorithm.gamma_1.constant,
            algorithm.gamma_2.constant,
            algorithm.gamma_3.constant,
            -(algorithm.forgetting.constant or 0.0),
        )
    )
    one, minus = pair(1.0), pair(-1.0)
    along = pair(eigenvalues)
    keep = add(one, minus_forgetting)
    total = add(gamma_2, product(gamma_1, gamma_3))
    rows = (
        (add(one, product(minus, product(total, along))), product(minus, product(gamma_3, keep))),
        (product(gamma_1, along), keep),
    )
    high, low = (np.empty((len(eigenvalues), 2, 2)) for _ in range(2))
    for i, row in enumerate(rows):
        for k, entry in enumerate(row):
            high[:, i, k], low[:, i, k] = entry
    return high, low


def _responses(
    doublings: list[np.ndarray], at: np.ndarray, modes: int
) -> tuple[np.ndarray, np.ndarray]:
    """r and y of every mode at the steps `at` from r = 1, y = 0, both (modes, steps)."""
    r, y = np.ones((modes, len(at))), np.zeros((modes, len(at)))
    for k in reversed(range(len(doublings))):
        # Dividing a float by a power of two is exact, so this is its k-th binary digit.
        here = np.fmod(np.floor(at / 2.0**k), 2.0) == 1.0
        if here.any():
            step = doublings[k][..., None]  # (modes, 2, 2, 1)
            before_r, before_y = r[:, here], y[:, here]
            r[:, here] = step[:, 0, 0] * before_r + step[:, 0, 1] * before_y
            y[:, here] = step[:, 1, 0] * before_r + step[:, 1, 1] * before_y
    return r, y
