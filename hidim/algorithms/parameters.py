"""Which numbers does an algorithm of the family hold, and what is it with one of them moved?

A parameter is called by the schedule that holds it: "gamma_2" is the number in front of gamma_2,
"gamma_3.t_exponent" the field of its PowerLaw, "gamma_2.values[3]" the fourth value of its Table;
in a product each field is that of the first factor that has one. "delta" is the number of the
forgetting, and "kappa_3", "kappa_5" are the powers of time of gamma_3 and of the forgetting.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import Any

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import Constant, Product, Schedule

_PARTS = ("gamma_1", "gamma_2", "gamma_3", "forgetting")
_SHORT = {
    "delta": "forgetting",
    "kappa_3": "gamma_3.t_exponent",
    "kappa_5": "forgetting.t_exponent",
}
_NAME = re.compile(r"(\w+)(?:\.(\w+))?(?:\[(\d+)\])?")
# The number in front of a schedule, where it is a field of its own.
_SIZES = ("value", "scale", "delta", "peak")


def parameters(algorithm: Momentum) -> tuple[str, ...]:
    """Every name that `moved` takes for this algorithm.

    >>> from hidim.algorithms import dana_decaying
    >>> parameters(dana_decaying(0.2, 0.1, 0.5, 8.0))[:4]
    ('gamma_1', 'gamma_2', 'gamma_3', 'gamma_3.t_exponent')
    """
    found: list[str] = []
    for part in _PARTS:
        found.append(part)
        for field, value in _fields(getattr(algorithm, part)).items():
            if isinstance(value, tuple):
                found += [f"{part}.{field}[{i}]" for i in range(len(value))]
            elif field not in _SIZES:
                found.append(f"{part}.{field}")
    short = [name for name, full in _SHORT.items() if full in found]
    return (*found, *short)


def moved(algorithm: Momentum, name: str, by: float) -> tuple[Momentum, float]:
    """The algorithm with one parameter moved by about `by` of its size, and by how much it is.

    Raises:
        ValueError: there is no such parameter.

    >>> from hidim.algorithms import dana_decaying
    >>> other, size = moved(dana_decaying(0.2, 0.1, 0.5, 8.0), "kappa_3", 0.5)
    >>> other.gamma_3, size
    (PowerLaw(scale=0.1, t_exponent=0.75), 0.25)
    """
    known = parameters(algorithm)
    match = _NAME.fullmatch(_SHORT.get(name, name))
    if name not in known or match is None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(n for n in known if not n.endswith("]"))
        raise ValueError(f"no parameter {name!r}: this algorithm has {listed}.{hint}")
    part, field, index = match.groups()
    schedule, size = _moved(getattr(algorithm, part), field, index and int(index), by)
    return dataclasses.replace(algorithm, **{part: schedule}), size


def _moved(schedule: Schedule, field: str | None, index: Any, by: float) -> tuple[Any, float]:
    if isinstance(schedule, Product):
        for i, factor in enumerate(schedule.factors):
            if _has(factor, field):
                new, size = _moved(factor, field, index, by)
                factors = (*schedule.factors[:i], new, *schedule.factors[i + 1 :])
                return Product(factors), size
        return Product((Constant(1.0 + by), *schedule.factors)), by
    field = field or next((f for f in _SIZES if f in _fields(schedule)), None)
    if field is None:
        return Product((Constant(1.0 + by), schedule)), by
    value = getattr(schedule, field)
    if index is not None:
        size = _size(value[index], by)
        value = (*value[:index], value[index] + size, *value[index + 1 :])
        return dataclasses.replace(schedule, **{field: value}), size  # type: ignore[type-var]
    size = _size(value, by)
    return dataclasses.replace(schedule, **{field: value + size}), size  # type: ignore[type-var]


def _size(value: float, by: float) -> float:
    """How far a number is moved; one that is 0 only upwards, as rates cannot be negative."""
    return by * abs(value) if value else max(by, 0.0)


def _has(schedule: Schedule, field: str | None) -> bool:
    own = _fields(schedule)
    return field in own if field else any(f in own for f in _SIZES)


def _fields(schedule: Schedule) -> dict[str, Any]:
    """Numbers, and tuples of numbers, that a schedule holds; those of all factors of a product."""
    if isinstance(schedule, Product):
        found: dict[str, Any] = {}
        for factor in reversed(schedule.factors):
            found |= _fields(factor)
        return found
    if not dataclasses.is_dataclass(schedule):
        return {}
    values = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)}
    return {name: v for name, v in values.items() if _moves(name, v)}


def _moves(name: str, value: Any) -> bool:
    """Whether a curve has a derivative in this field: places where a formula changes are none."""
    if name in ("steps", "start", "warmup", "decay_fraction"):
        return False
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(entry, float) for entry in value)
    return isinstance(value, float) and not isinstance(value, bool)
