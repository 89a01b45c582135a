"""How strongly does any theory feed itself along a run, and how fast would it grow from there?

What a unit of an order comes back as (`System.loop_gain`), with the coefficients frozen at each
step and, where the theory is not affine, linearised at the state that the run visits there: below
1 nothing grows. The largest growth w per step is where the gain at z = 1 + w is 1.
Limits: frozen coefficients say nothing of transients; a loop that grows while it changes sign at
every step is not seen, and theories that give single steps alone have no gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from hidim.engines.march import PLAIN, Walk
from hidim.engines.start import empty_record
from hidim.support.roots import bracketed_root
from hidim.systems.base import Drive, System, chain

# A growth of e^-70 per step is none.
_SMALLEST_LOG, _LARGEST_LOG = -70.0, 70.0


def gains(system: System, steps: np.ndarray) -> tuple[np.ndarray, float]:
    """The gain at every step, of the system or of a driver where that is larger, and the growth.

    Args:
        steps: ascending, 0 among them.

    Returns:
        (steps,), infinite where a mode grows by itself or the run was given up, NaN where the
        theory gives single steps alone; and the growth at the last step that the run reaches.

    >>> from hidim.algorithms import sgd
    >>> from hidim.problems.spectrum import Spectrum
    >>> from hidim.systems.momentum import MomentumSystem
    >>> gains(MomentumSystem(Spectrum([1.0], [1.0], 0.0), sgd(0.5), 1), np.array([0.0, 9.0]))
    (array([0.5, 0.5]), 0.0)
    """
    parts = chain(system)
    if any(part.stepped for part in parts):
        return np.full(len(steps), math.nan), math.nan
    found, growth = np.zeros(len(steps)), 0.0
    drive: Drive | None = None
    for part in parts:
        states, orders = visited(part, steps)
        needed = [] if part.affine else [states]  # where it does not matter, it may be lost
        needed += [] if drive is None else [drive[0]]
        reached = np.ones(len(steps), dtype=bool)
        for values in needed:
            reached &= np.isfinite(values).all(axis=(1, 2))
        found[~reached] = math.inf
        here = None
        for i in np.flatnonzero(reached):
            known = None if drive is None else (drive[0][i : i + 1], drive[1][i : i + 1])
            here = partial(_gain, part, float(steps[i]), states[i], orders[i], known)
            found[i] = max(found[i], here(0.0))
        if here is not None:
            growth = max(growth, growth_of(here))
        drive = (states, orders)
    return found, growth


def visited(system: System, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (steps, kinds, modes) and orders of a run at some steps; infinite once given up."""
    record = empty_record(system, steps)
    states = np.full((len(steps), *system.start().shape), math.inf)
    record = replace(record, states=states, kept=np.asarray)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        Walk(system, record, PLAIN).run(float(steps[-1]))
        return states, np.asarray(system.order(states))


def growth_of(gain: Callable[[float], float]) -> float:
    """The largest w >= 0 at which a gain that falls with w is 1; 0.0 where it is less at 0.

    >>> round(growth_of(lambda w: 0.5 / (0.1 + w)), 12)
    0.4
    """
    if gain(0.0) < 1.0:
        return 0.0

    def room(log_w: float) -> float:
        found = gain(math.exp(log_w))
        return 1.0 / max(found, 1e-3) - 1.0 if found < math.inf else -1.0

    low = high = -7.0
    while room(high) <= 0.0:
        low, high = high, high + 3.5
        if high > _LARGEST_LOG:
            return math.inf
    while room(low) >= 0.0:
        low, high = low - 3.5, low
        if low < _SMALLEST_LOG:
            return 0.0
    return math.exp(bracketed_root(room, low, high))


def _gain(
    system: System, t: float, x: np.ndarray, q: np.ndarray, drive: Drive | None, w: float
) -> float:
    return float(system.loop_gain(np.array([t]), w, x=x, q=q, drive=drive)[0])
