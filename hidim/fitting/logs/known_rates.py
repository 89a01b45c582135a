"""At which learning rate was a Curve made?

A column "lr" says it row by row. Curves of hidim's own engines and simulations name their algorithm
in the provenance, and its gamma_2 is the rate, at every step. A rate is never made up.

Limits: gamma_2 is the whole rate of SGD alone; beside momentum it is the rate of the gradient step,
and a law of schedules then sees the shape of gamma_2, not that of gamma_3.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hidim.algorithms.schedules import Constant, Schedule
from hidim.algorithms.written import read_written
from hidim.curve import Curve
from hidim.support.checks import positive

Notes = tuple[str, ...]


def rate_of(
    curve: Curve, name: str, lr: float | None = None
) -> tuple[np.ndarray, Schedule | None, Notes]:
    """Learning rate at the steps of a curve, shape (n,), the schedule if known, and what to note.

    Args:
        curve: in whatever order its steps are.
        name: of the curve in a refusal.
        lr: a constant one, for a curve that says none.

    Raises:
        ValueError: nothing says the rate, or gamma_2 is 0.
    """
    if "lr" in curve.columns:
        return curve.columns["lr"], None, ()
    algorithm = curve.provenance.get("algorithm")
    if isinstance(algorithm, Mapping) and "gamma_2" in algorithm:
        schedule = _gamma_2(algorithm, name)
        moved = algorithm.get("gamma_3") != 0.0
        notes = (f"lr is gamma_2 of {algorithm.get('name')}",) if moved else ()
        at = np.asarray(curve.steps, dtype=np.float64)
        return np.asarray(schedule(at), dtype=np.float64), schedule, notes
    if lr is not None:
        return np.full(len(curve), positive("lr", lr)), None, ()
    raise ValueError(
        f'{name} does not say its learning rate: give it a column "lr", or `lr` for a constant one.'
    )


def _gamma_2(algorithm: Mapping[str, object], name: str) -> Schedule:
    try:
        schedule = read_written(algorithm["gamma_2"])
    except ValueError as error:
        text = str(error).rstrip(".")
        raise ValueError(f'{name}: {text}; or give the curve a column "lr".') from None
    if isinstance(schedule, Constant) and schedule.value == 0.0:
        raise ValueError(
            f"{name} is of {algorithm.get('name')} with gamma_2 = 0, moved by its momentum alone: "
            'say which rate counts with a column "lr".'
        )
    return schedule
