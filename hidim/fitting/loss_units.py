"""In which unit are losses of any size searched?

In the power of 2**20 nearest to their median: bounds and steps of a search are of losses about one,
and powers of two change no digit. Losses between about .001 and 1000 are searched as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_STEP = 20 * math.log(2.0)
_LARGEST = 600.0  # of a logarithm whose exponential a float holds, with room for what follows
_LINEAR = ("floor", "floor_limit")
_LOGARITHMS = ("signal", "release", "floor_excess", "scale", "scale_params", "scale_tokens")


def log_unit(log_loss: np.ndarray | float) -> float:
    """Log of the unit of losses whose logarithms these are, (n,): 0 for usual ones.

    >>> log_unit(1.0), round(log_unit(np.log([1e-7, 2e-7])) / np.log(2))
    (0.0, -20)
    """
    level = min(max(float(np.median(log_loss)), -_LARGEST), _LARGEST)
    return _STEP * round(level / _STEP)


def level_of(names: Sequence[str], vector: np.ndarray) -> float:
    """Log of the loss of a law of schedules at the peak rate at the end, floor and signal."""
    value = dict(zip(names, vector, strict=True))
    floor = math.log(max(float(value["floor"]), 1e-300))
    return min(float(np.logaddexp(floor, value["signal"])), _LARGEST)


def factors(names: Sequence[str], log: float) -> np.ndarray:
    """What parameters that are no logarithms are multiplied by where losses are times e^`log`."""
    return np.array([math.exp(log) if name in _LINEAR else 1.0 for name in names])


def scaled(names: Sequence[str], vector: np.ndarray, log: float) -> np.ndarray:
    """Parameters (..., p) of a law of schedules, of sizes or of both, for losses times e^`log`.

    >>> scaled(("floor", "signal", "decay_exponent"), np.array([2.0, 0.5, 0.4]), 0.0)
    array([2. , 0.5, 0.4])
    """
    shift = np.array([log if name in _LOGARITHMS else 0.0 for name in names])
    found: np.ndarray = vector * factors(names, log) + shift
    return found
