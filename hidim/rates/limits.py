"""At which risk does a run stop, with the rates of a step held for ever?

Where noise and contraction balance: x = -change(q)^-1 source(q) and q = order(x), a root in the one
order. From the order at the end of a run the root is looked for in the direction in which the run
goes on, so that a run above its limit finds that from above.
Limits: theories with one order and without a driver, which are not stepped.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.support.roots import bracketed_root
from hidim.systems.base import System

_FACTOR = 1.5  # between the orders that are tried
_TRIES = 400


def limit_risk(system: System, t: float, last: float) -> float | None:
    """The risk without its floor's infinite part, or None where there is none to be found.

    Args:
        t: the step whose rates are held.
        last: the order at the end of the run, positive.
    """
    if system.stepped or system.driver is not None or len(system.orders) != 1:
        return None
    times = np.array([float(t)])

    def balanced(q: float) -> np.ndarray | None:
        """The state at which noise and contraction balance, None where a mode grows."""
        at = np.array([[q]])
        change, source = system.change(times, at)[0], system.source(times, at)[0]
        if np.max(np.abs(1.0 + np.linalg.eigvals(change))) > 1.0:
            return None
        still = ~np.any(change, axis=(1, 2))  # a mode without curvature stays where it is
        change = change - 1e-300 * np.eye(system.kinds) * still[:, None, None]
        state = np.linalg.solve(-change, source[..., None])[..., 0].T
        return np.asarray(np.where(still, 0.0, state))

    def ahead(log_q: float) -> float:
        """Positive where the risk rises from here."""
        state = balanced(math.exp(log_q))
        if state is None:
            return 1.0
        reached = float(system.order(state)[0])
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
    x = balanced(found)
    if x is None:
        return None
    seen = system.readouts(times, x[None], np.array([[found]]))
    return float(seen["risk"][0])
