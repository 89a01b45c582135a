"""Full batches and constant rates: the state at any step by powers of each mode's own map.

Without noise the modes do not meet, so t steps are the t-th power of a 3 x 3 map, by repeated
squaring. Kept as increments, (1 + M)^2 - 1 = 2 M + M^2, so that slow modes lose no digits to
the identity. Needed where heavy ball rings for longer than any polynomial can follow.
"""

from __future__ import annotations

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.engines.record import Record
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import increment, initial_moments


def applies(algorithm: Momentum, batch_size: float) -> bool:
    """Whether the state is a power of a constant map, mode by mode."""
    parts = (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting)
    return batch_size == np.inf and all(part.constant is not None for part in parts)


def powers(spectrum: Spectrum, algorithm: Momentum, record: Record) -> Record:
    """Fill `record` at its ascending steps; the modes must be stable by themselves."""
    change, _ = increment(algorithm, spectrum.eigenvalues, np.inf, np.zeros(1))
    doublings = [change[0]]  # (modes, 3, 3): the map of 2^k steps minus the identity
    while len(doublings) < int(record.at[-1]).bit_length():
        last = doublings[-1]
        doublings.append(2.0 * last + last @ last)
    state = initial_moments(spectrum).T[..., None]  # (modes, 3, 1)
    now = 0
    for i, asked in enumerate(record.at):
        for k in range((int(asked) - now).bit_length()):
            if (int(asked) - now) >> k & 1:
                state = state + doublings[k] @ state
        now = int(asked)
        record.sums[i] = spectrum.eigenvalues @ state[..., 0]
        if record.states is not None:
            record.states[i] = state[..., 0].T
    record.last_risk = float(record.risk(record.sums[-1]))
    record.effort["doublings"] = len(doublings)
    return record
