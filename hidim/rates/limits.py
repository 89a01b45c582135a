"""At which risk does a run stop, with the rates of a step held for ever?

Where noise and contraction balance: x = -change(q)^-1 source(q) and q = order(x). Of the first
order a root is looked for, from the order at the end of a run on in the direction in which the run
goes, so that a run above its limit finds that from above; other orders settle at each value of it.
A theory of single steps, or one that has such a theory beside it, says itself where it stays
(`System.resting`), if it knows.
Limits: theories without a driver.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.support.roots import bracketed_root
from hidim.systems.base import System

_FACTOR = 1.5  # between the orders that are tried
_TRIES = 400
_SETTLING, _PLAINLY = 200, 20  # tries for other orders to settle


def limit_risk(system: System, t: float, last: float) -> float | None:
    """The risk without its floor's infinite part, or None where there is none to be found.

    Args:
        t: the step whose rates are held.
        last: the order at the end of the run, positive.
    """
    if system.driver is not None or not system.orders:
        return None
    times = np.array([float(t)])
    rest = system.resting(float(t))
    if rest is not None or system.stepped:
        return None if rest is None else _risk(system, times, rest)

    def balanced(q: np.ndarray) -> np.ndarray | None:
        """The state at which noise and contraction balance, None where a mode grows."""
        at = q[None]
        change, source = system.change(times, at)[0], system.source(times, at)[0]
        if np.max(np.abs(1.0 + np.linalg.eigvals(change))) > 1.0:
            return None
        still = ~np.any(change, axis=(1, 2))  # a mode without curvature stays where it is
        change = change - 1e-300 * np.eye(system.kinds) * still[:, None, None]
        state = np.linalg.solve(-change, source[..., None])[..., 0].T
        return np.asarray(np.where(still, 0.0, state))

    others = np.maximum(np.asarray(system.order(system.start()))[1:], 0.0)

    def settled(first: float) -> np.ndarray | None:
        """The balanced state where the first order is held and the others are what it makes."""
        q = np.array([first, *others])
        state = balanced(q)
        for i in range(_SETTLING if len(q) > 1 else 0):
            if state is None:
                return None
            after = np.maximum(np.asarray(system.order(state)).ravel()[1:], 0.0)
            near = np.allclose(after, q[1:], rtol=1e-12, atol=0.0)
            if not near and i >= _PLAINLY:  # halfway in the logarithm: it swings
                after = np.sqrt(np.maximum(after, 1e-290) * np.maximum(q[1:], 1e-290))
            q[1:] = after
            state = balanced(q)
            if near:
                break
        return state

    def ahead(log_q: float) -> float:
        """Positive where the risk rises from here."""
        state = settled(math.exp(log_q))
        if state is None:
            return 1.0
        reached = float(np.asarray(system.order(state)).ravel()[0])
        return reached / math.exp(log_q) - 1.0 if math.isfinite(reached) else 1.0

    try:
        low = high = math.log(last)
        if ahead(low) > 0.0:
            while ahead(high) > 0.0:
                low, high = high, high + math.log(_FACTOR)
                if high - math.log(last) > _TRIES:
                    return None
        else:
            while ahead(low) <= 0.0:
                low, high = low - math.log(_FACTOR), low
                if low < -_TRIES:
                    return float(system.offset[0]) / 2.0 if system.affine else None
        found = math.exp(bracketed_root(ahead, low, high))
    except (np.linalg.LinAlgError, OverflowError):
        return None
    x = settled(found)
    return None if x is None else _risk(system, times, x)


def _risk(system: System, times: np.ndarray, x: np.ndarray) -> float:
    seen = system.readouts(times, x[None], np.asarray(system.order(x))[None])
    return float(seen["risk"][0])
