"""The expected risk of a stochastic algorithm, exact and at any step.

Follows a system (systems/base.py) step by step where it moves fast and by block collocation of the
same difference equation where it moves slowly (march.py), so the cost is O(modes log steps); in
closed form where the theory has one, as at full batches and constant rates. Exact in expectation
for Gaussian data, any batch and step size.

Accuracy: `rtol` on the risk, 1e-8 by default, measured by a second resolution and returned with
the curve (control.py); where it could not be kept the status says so. Limits: functions of time
are trusted to be as smooth as they say (`Schedule.resolution`).
Source: arXiv 2505.16098; derivation in docs/theory/moments.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from hidim.engines.control import Controlled, controlled
from hidim.engines.march import MOST_SINGLE_STEPS, march
from hidim.engines.record import Record
from hidim.engines.start import empty_record
from hidim.systems.base import System, chain

_CHUNK = 1 << 20  # numbers held at once where states come in closed form
_EXACT = 1e-12  # of a closed form


def refuses(system: System, last: float) -> str | None:
    """Why this engine cannot follow a system up to step `last`, or None if it can."""
    stepped = [part.longest for part in chain(system) if part.stepped]
    most = min([MOST_SINGLE_STEPS, *stepped])
    if stepped and last > most:
        return (
            f"this theory is nonlinear mode by mode, so every step is taken by itself: up to "
            f"{most:,.0f} steps, got {last:g}. Ask for fewer steps."
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
    """What is read of the system at the steps `at` (ascending).

    Args:
        rtol: relative error allowed on what is shown.
        shown: name of the readout that the curve shows.
        moments: keep the states too, every mode solved by itself.
        sensitivity: names of parameters; columns "d_<name>" hold d log risk / d parameter.
    """
    system = system.answering(sensitivity).sharper(float(at[-1]))
    if sensitivity:
        from hidim.engines.sensitivity import with_slopes

        return with_slopes(system, at, rtol, sensitivity, shown=shown, moments=moments)
    closed = _in_closed_form(system, np.asarray(at, dtype=np.float64), moments=moments)
    if closed is not None:
        return Controlled(closed, _EXACT, True)
    return controlled(system, at, rtol, shown=shown, walked=partial(march, keep_states=moments))


def _in_closed_form(system: System, at: np.ndarray, *, moments: bool) -> Record | None:
    """The record from states at any step, where the theory has them."""
    if system.closed(at[:1]) is None:
        return None
    record = empty_record(system, at, keep_states=moments)
    rows = max(1, _CHUNK // system.start().size)
    for start in range(0, len(at), rows):
        part = slice(start, start + rows)
        states = system.closed(at[part])
        assert states is not None
        seen = system.readouts(at[part], states, np.asarray(system.order(states)))
        for name, values in seen.items():
            record.columns[name][part] = values
        if record.states is not None:
            record.states[part] = system.kept(states)
        record.last_risk = seen["risk"][-1]
    return record
