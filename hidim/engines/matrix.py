"""Engine "matrix": the whole covariance of a run on measured rows, step by step.

What other engines close on a diagonal and a few directions is followed in full (systems/
row_matrix.py): exact, the truth that they are measured by, and slow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hidim.engines import exact
from hidim.engines.control import Controlled
from hidim.systems.base import System

# Modes, and multiplications that take some minutes.
MOST_MODES = 128
MOST_WORK = 3e12


def refuses(system: System, last: float) -> str | None:
    """Why this engine cannot follow a system up to step `last`, or None if it can."""
    whole = system.whole()
    if whole is None:
        return (
            "engine 'matrix' follows the covariance of measured rows, Spectrum.from_data(X, y), "
            "under a member of the momentum family. Use engine='exact'."
        )
    modes, work = system.start().shape[-1], last * whole.work_per_step
    if modes > MOST_MODES:
        return f"engine 'matrix' follows up to {MOST_MODES} modes, got {modes}. Use engine='exact'."
    if work > MOST_WORK:
        most = int(MOST_WORK / whole.work_per_step)
        return (
            f"engine 'matrix' would take too long for {last:g} steps on these rows: up to "
            f"{most:,}. Use engine='exact'."
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
    """What is read of the system at the steps `at` (ascending)."""
    if sensitivity:
        raise ValueError(
            "engine 'matrix' has no sensitivities: use differences of two predictions."
        )
    whole = system.whole()
    assert whole is not None
    return exact.solve(whole, at, rtol=rtol, shown=shown, moments=moments)
