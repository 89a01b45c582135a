"""What of an optimizer goes into a checkpoint, and how: plain data, for `weights_only=True`.

A schedule in a parameter group is saved as the JSON text of {"hidim.schedule": the name of its
class, its fields} and rebuilt on loading; everything else passes unchanged. Text, since dicts and
tuples are cut up by torch.distributed.checkpoint, which then cannot load them where a number is.
Only a class of schedules that this process has defined is ever called with what a checkpoint says.
"""

from __future__ import annotations

import dataclasses
import json
import numbers
from decimal import Decimal
from typing import Any

import numpy as np

from hidim.algorithms.schedule_classes import find_known, known_as
from hidim.algorithms.schedules import Complement, Schedule

_TAG = "hidim.schedule"  # no identifier, so never the name of a field
_TEXT = f'{{"{_TAG}": '  # such text; dicts of this kind were written for a while
_OLD_TAG = "schedule"  # of version 0.1, which knew these:
_OLD_NAMES = {
    "Constant", "PowerLaw", "Forgetting", "NesterovWeight", "AverageWeight", "Warmup", "Cosine",
    "WSD", "Table", "Product",
}  # fmt: skip
_PLAIN = (type(None), bool, int, float, str)


def to_plain(value: Any) -> Any:
    """`value` with every schedule inside replaced by text, and whatever is a number by one.

    Raises:
        ValueError: a schedule that plain data cannot say; the remedy is in the message.

    >>> from hidim.algorithms.schedules import PowerLaw
    >>> to_plain(PowerLaw(1.0, 0.5))
    '{"hidim.schedule": "PowerLaw", "scale": 1.0, "t_exponent": 0.5}'
    """
    if isinstance(value, Schedule):
        plain = _described(value)
        _refuse_changed(plain)
        return json.dumps(plain)
    if isinstance(value, np.generic | np.ndarray) and value.size == 1:
        return value.item()
    if isinstance(value, numbers.Rational | Decimal) and not isinstance(value, int):
        return float(value)
    return _each(to_plain, value)


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`, for checkpoints of every version.

    Raises:
        ValueError: a schedule of a class that this process does not know, or whose fields do not
            fit it.
    """
    if isinstance(value, str) and value.startswith(_TEXT):
        return from_plain(_as_tuples(_read(value)))
    if not isinstance(value, dict):
        return _each(from_plain, value)
    if _TAG in value:
        return _made(value[_TAG], {k: v for k, v in value.items() if k != _TAG})
    old = value.get(_OLD_TAG)
    if isinstance(old, str) and old in _OLD_NAMES:
        return _made(old, {k: v for k, v in value.items() if k != _OLD_TAG})
    if isinstance(old, dict) and len(value) == 1 and isinstance(from_plain(old), Schedule):
        return Complement(from_plain(old))  # its field took the place of its name
    return _each(from_plain, value)


def attached(optimizer: Any) -> dict[str, Any]:
    """What copies and pickles of an optimizer bring along though it is no part of its state.

    Everything public that somebody put on it, the reasons of `from_adamw` for example. Functions
    stay behind: schedulers and profilers put their own `step` over the optimizer's.
    """
    return {
        name: value
        for name, value in vars(optimizer).items()
        if not name.startswith("_") and not callable(value)
    }


def _each(change: Any, value: Any) -> Any:
    if type(value) in (tuple, list):
        return type(value)(change(item) for item in value)
    return {key: change(item) for key, item in value.items()} if type(value) is dict else value


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"the schedule {text!r} cannot be read: {error}") from None


def _as_tuples(value: Any) -> Any:
    """Lists as the tuples they were: a schedule with lists would be refused."""
    if isinstance(value, list):
        return tuple(_as_tuples(item) for item in value)
    return _each(_as_tuples, value)


def _made(name: Any, fields: dict[str, Any]) -> Schedule:
    if not isinstance(name, str):
        raise ValueError(f"the name of a schedule must be text, got {name!r}.")
    kind = find_known(name)
    fields = {key: from_plain(item) for key, item in fields.items()}
    try:
        return kind(**fields)
    except Exception as error:  # whatever the constructor of a user's class may raise
        raise ValueError(f"the schedule {name} cannot be made of its fields: {error}") from None


def _within(value: Any) -> Any:
    """A field as plain data, a schedule in it as a dict."""
    if isinstance(value, Schedule):
        return _described(value)
    return value.item() if isinstance(value, np.generic) else _each(_within, value)


def _described(schedule: Schedule) -> dict[str, Any]:
    """Name of the class and fields, of which nothing need be looked up or run to be read."""
    kind = type(schedule)
    name = known_as(kind)
    if not dataclasses.is_dataclass(schedule):
        raise _refusal(name, "it is not a dataclass")
    if find_known(name) is not kind:
        raise _refusal(name, "another class was defined under this name since it was made")
    plain: dict[str, Any] = {_TAG: name}
    for field in dataclasses.fields(schedule):
        if field.init:  # the others follow from these
            value = _within(getattr(schedule, field.name))
            _refuse_objects(name, field.name, value)
            plain[field.name] = value
    return plain


def _refuse_objects(name: str, field: str, value: Any) -> None:
    if type(value) in (tuple, list):
        for item in value:
            _refuse_objects(name, field, item)
    elif type(value) is dict:
        _refuse_objects(name, field, [*value, *value.values()])
    elif type(value) not in _PLAIN:
        raise _refusal(name, f"its field `{field}` holds a {type(value).__name__}")


def _refuse_changed(plain: dict[str, Any]) -> None:
    try:
        again = from_plain(_as_tuples(json.loads(json.dumps(plain))))
        same = _described(again) == _as_tuples(plain)
    except (TypeError, ValueError) as error:
        raise _refusal(plain[_TAG], f"its fields do not make it again ({error})") from None
    if not same:
        raise _refusal(plain[_TAG], "what is made of its fields has others")


def _refusal(name: str, reason: str) -> ValueError:
    return ValueError(
        f"the schedule {name} cannot be put into a checkpoint: {reason}. Write it as a frozen "
        "dataclass of numbers, text, tuples and schedules, or give a Table of its values."
    )
