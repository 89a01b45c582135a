"""Do the few points at which a block reads the schedules see all that they do inside it?

A block of steps reads every schedule at a few points. A formula that is smooth between its
breakpoints needs no more, and says so by its `resolution`; any other is looked at here, at every
step of a short block and evenly through a long one, and compared with the polynomial through its
values at these points. What matters is how much rate was missed in all, which moves the slow
modes, and how far the rate strays, which moves the fast ones.
Limits: a feature must be wider than the spacing, `length / STEPS_LOOKED_AT` on a long block, unless
the schedule gives the resolution at which it has to be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

# A prime, so that no round period repeats with the spacing.
STEPS_LOOKED_AT = 16381
_MOST_STEPS = 1 << 22  # however fine a resolution is: a block is cut rather than the reading
_MISSED = 2e-6  # share of the mean rate; the risk then errs by about as much per block
_STRAY = 3e-3  # root mean square, relative: the smooth formulas in use stay below


def seen_length(
    watched: Sequence[Callable[[np.ndarray], np.ndarray]],
    start: float,
    length: float,
    shortest: float,
    last_time: float,
    points: np.ndarray,
) -> float:
    """`length`, halved until the points of the block see all there is, or below `shortest`.

    Args:
        watched: functions of time; how finely one must be read is its `resolution`, if it says so.
        points: (stages,), where in [0, 1] a block reads them.
    """
    nodes = tuple(points.tolist())
    for function in watched:
        while length >= shortest and not _is_seen(function, start, length, last_time, nodes):
            length *= 0.5
    return length


def _is_seen(
    function: Callable[[np.ndarray], np.ndarray],
    start: float,
    length: float,
    last_time: float,
    nodes: tuple[float, ...],
) -> bool:
    every = max(math.ceil(length), len(nodes) + 1)
    count = min(every, STEPS_LOOKED_AT)
    resolution = float(getattr(function, "resolution", 0.0))
    if resolution > 0:
        count = min(every, max(count, math.ceil(2.0 * length / resolution)))
    if count > _MOST_STEPS:
        return False
    x = _places(count, at_steps=count == every)
    values = function(np.minimum(start + length * x, last_time))
    points = function(np.minimum(start + length * np.array(nodes), last_time))
    missed = values - _polynomials(count, nodes, at_steps=count == every) @ points
    size = math.sqrt(np.mean(values**2))
    return bool(
        abs(np.mean(missed)) <= _MISSED * size and np.mean(missed**2) <= (_STRAY * size) ** 2
    )


def _places(count: int, *, at_steps: bool) -> np.ndarray:
    """Where in [0, 1] a block is read: at its own steps, or in the middle of as many parts."""
    return (np.arange(count) + (0.0 if at_steps else 0.5)) / count


@lru_cache(maxsize=8)
def _polynomials(count: int, points: tuple[float, ...], *, at_steps: bool) -> np.ndarray:
    """Values at the places from values at the points inside the block, (count, points)."""
    nodes = np.array(points)
    gaps = nodes[:, None] - nodes + np.eye(len(nodes))
    gap = _places(count, at_steps=at_steps)[:, None] - nodes
    hit = gap == 0.0
    terms = 1.0 / gaps.prod(axis=1) / np.where(hit, 1.0, gap)
    basis = terms / terms.sum(axis=1, keepdims=True)
    basis[hit.any(axis=1)] = hit[hit.any(axis=1)]
    return basis
