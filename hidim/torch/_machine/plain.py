"""Schedules as plain data in a checkpoint, so that `torch.load(weights_only=True)` reads it.

A schedule in a parameter group is saved as {"schedule": class name, its fields...} and rebuilt on
loading; everything else passes unchanged.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hidim.algorithms import schedules
from hidim.algorithms.schedules import Schedule

_TAG = "schedule"


def to_plain(value: Any) -> Any:
    """`value` with every schedule of hidim and NumPy scalar inside replaced by plain data.

    >>> to_plain(schedules.PowerLaw(1.0, 0.5))
    {'schedule': 'PowerLaw', 'scale': 1.0, 't_exponent': 0.5}
    """
    if isinstance(value, Schedule) and _known(type(value).__name__) is type(value):
        fields = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}  # type: ignore[arg-type]
        return {_TAG: type(value).__name__, **fields}
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(to_plain(item) for item in value)
    return value


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`."""
    if isinstance(value, dict) and _TAG in value:
        kind = _known(value[_TAG])
        if kind is None:
            raise ValueError(f"the checkpoint holds an unknown schedule {value[_TAG]!r}.")
        return kind(**{key: from_plain(item) for key, item in value.items() if key != _TAG})
    if type(value) in (tuple, list):
        return type(value)(from_plain(item) for item in value)
    return value


def _known(name: Any) -> type[Schedule] | None:
    kind = getattr(schedules, name, None) if isinstance(name, str) else None
    if isinstance(kind, type) and issubclass(kind, Schedule) and kind is not Schedule:
        return kind
    return None
