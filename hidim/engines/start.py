"""Where a walk begins: the states of a system and its drivers at step 0, and what is seen there."""

from __future__ import annotations

import numpy as np

from hidim.curve import DIVERGENCE_FACTOR
from hidim.engines.record import Record
from hidim.systems.base import Array, Drive, System, chain


def beginning(system: System) -> tuple[list[Array], dict[str, Array]]:
    """States at step 0, the drivers' first, and what is read there, each (1, ...)."""
    states, drive = [], None
    for part in chain(system):
        x = part.start()
        q = np.asarray(part.order(x))
        states.append(x)
        seen = part.readouts(np.zeros(1), x[None], q[None], drive)
        drive = (x[None], q[None])
    return states, seen


def empty_record(
    system: System, at: np.ndarray, *, discrete: bool = True, keep_states: bool = False
) -> Record:
    """A record of the steps `at`, still to be filled."""
    asked = np.asarray(at, dtype=np.float64)
    states, seen = beginning(system)
    shape = system.kept(states[-1]).shape
    return Record(
        asked,
        DIVERGENCE_FACTOR * np.maximum(seen["risk"][0], 1e-300),
        discrete,
        {name: np.full((len(asked), *v.shape[1:]), np.inf) for name, v in seen.items()},
        np.full((len(asked), *shape), np.inf) if keep_states else None,
        system.kept,
    )


def single_steps(
    systems: list[System], states: list[Array], first: float, count: int
) -> tuple[list[Array], list[Array], dict[str, Array]]:
    """States and orders of all systems at steps first .. first + count, and what is read there."""
    paths: list[Array] = []
    orders: list[Array] = []
    drive: Drive | None = None
    for system, state in zip(systems, states, strict=True):
        x, q = system.steps(first, count, state, drive)
        before, drive = drive, (x, q)
        paths.append(x)
        orders.append(q)
    times = first + np.arange(count + 1, dtype=np.float64)
    return paths, orders, systems[-1].readouts(times, paths[-1], orders[-1], before)
