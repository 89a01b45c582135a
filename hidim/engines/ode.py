"""The continuous-time limit of a system, in closed correspondence with the exact engine.

Integrates dx/dt = change x + source with the same block collocation (Radau IIA, adaptive, error
controlled as in the exact engine), from t = 0 on. Of the momentum family it is the differential
equation of arXiv 2505.16098 with its curvature terms kept, so fixed points and stability
thresholds are those of the discrete recursion. The curves differ by some ten percent up to step 30
or so, twofold at worst, and by 0.2 % after, 4 % at worst; they agree as rates shrink.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from hidim.engines.control import Controlled, controlled
from hidim.engines.march import march
from hidim.systems.base import System, chain


def refuses(system: System, last: float) -> str | None:
    """Why this engine cannot follow a system up to step `last`, or None if it can."""
    if any(part.stepped for part in chain(system)):
        return (
            "engine 'ode' needs a theory that gives its change per unit of time; this one gives "
            "single steps alone. Use engine='exact'."
        )
    return None


def solve(
    system: System,
    at: np.ndarray,
    *,
    rtol: float,
    shown: str = "risk",
    moments: bool = False,
    sensitivity: Sequence[str] = (),
) -> Controlled:
    """What is read of the system at the times `at` (ascending, in optimizer steps)."""
    if sensitivity:
        raise ValueError("engine 'ode' has no sensitivities; use engine='exact'.")
    return controlled(
        system, at, rtol, shown=shown, walked=partial(march, discrete=False, keep_states=moments)
    )
