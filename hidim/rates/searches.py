"""Which rate, of all sizes, leaves the least? A descent by factors, then within the best bracket.

For objectives with one valley in the logarithm, infinite where a run diverges; and the objective
itself, what a run leaves at a horizon.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hidim.engines.march import Resolution, TooLong, march
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import System

# Ends of a search need four digits. A walk at rates that keep a mode on its edge takes thousands of
# short blocks; no best rate lies there.
_SEARCH = Resolution(1e-5, stages=6, single_steps=64, most_blocks=400)
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def least_in_log(
    value: Callable[[float], float],
    start: float,
    *,
    factor: float = 4.0,
    within: float = 0.02,
    most: int = 60,
) -> float:
    """The positive x near which `value` is least.

    Args:
        value: of x; infinite is allowed, NaN counts as that.
        start: where to begin; the valley may lie anywhere.
        factor: between the first places that are tried.
        within: width of the last bracket, in log x.
        most: steps by `factor` before the valley counts as having no bottom.

    >>> round(least_in_log(lambda x: (math.log(x) - 3.0) ** 2, 1.0, within=1e-6), 4)
    20.0855
    """

    def at(log_x: float) -> float:
        found = value(math.exp(log_x))
        return found if found == found else math.inf

    step, middle = math.log(factor), math.log(start)
    known = {middle: at(middle)}
    for _ in range(most):
        for side in (middle - step, middle + step):
            if side not in known:
                known[side] = at(side)
        best = min((middle, middle - step, middle + step), key=known.__getitem__)
        if best == middle and math.isfinite(known[middle]):
            break
        middle = best if best != middle else middle - step  # nothing but divergence: go down
        known.setdefault(middle, math.inf)
    low, high = middle - step, middle + step
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    values = [at(x) for x in inner]
    while high - low > within:
        if values[0] <= values[1]:
            high = inner[1]
            inner = [high - _GOLDEN * (high - low), inner[0]]
            values = [at(inner[0]), values[0]]
        else:
            low = inner[0]
            inner = [inner[1], low + _GOLDEN * (high - low)]
            values = [values[1], at(inner[1])]
    best = inner[0] if values[0] <= values[1] else inner[1]
    return math.exp(best if min(values) <= known[middle] else middle)


def check_start(spectrum: Spectrum) -> None:
    """Refuse a problem whose start no step can improve, which has no best rate.

    Raises:
        ValueError: the error at the start is zero in every mode that moves.
    """
    if not np.any(spectrum.eigenvalues * spectrum.error_sq):
        raise ValueError("`problem` starts at its optimum: there is nothing to learn.")


def log_left(system: System, steps: float, floor: float) -> float:
    """log of the risk above `floor` after `steps`, infinite where there is none to speak of."""
    try:
        record = march(system, np.array([steps]), _SEARCH)
    except TooLong:
        return math.inf
    left = float(record.columns["risk"][-1]) - floor
    return math.log(left) if 0.0 < left < math.inf else math.inf
